"""What the second implementations share: a tiny network, linear probes, and the periods' signal.

All of it is written from the study's specification with ``nn.Linear``, ``torch.optim.Adam`` and
Python floats, and shares no code with the library but the weights that a probe starts from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asgml_core.modulators import Clock, Evaluation, Metrics, Modulator, Outputs
from asgml_core.probes import Probes

CLASSES = 3
SIZES = {"audio": 5, "visual": 4, "text": 6, "touch": 3, "depth": 5, "pose": 2}
STRENGTHS = {"audio": 2.0, "visual": 1.0, "text": 0.5, "touch": 0.2, "depth": 0.1, "pose": 0.0}


class Net(nn.Module):
    """A linear encoder per modality with a feature size of its own, a head each, and one on all."""

    def __init__(self, modalities: list[str]) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            self.encoders = nn.ModuleDict(
                {m: nn.Sequential(nn.Linear(4, SIZES[m]), nn.Tanh()) for m in modalities}
            )
            self.head = nn.Linear(sum(SIZES[m] for m in modalities), CLASSES)
            self.heads = nn.ModuleDict({m: nn.Linear(SIZES[m], CLASSES) for m in modalities})

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        features = {m: encoder(inputs[m]) for m, encoder in self.encoders.items()}
        logits = self.head(torch.cat(list(features.values()), 1))
        return Outputs(logits, {m: self.heads[m](z) for m, z in features.items()}, features)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {m: list(encoder.parameters()) for m, encoder in self.encoders.items()}


def draw_batch(modalities: list[str], size: int, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Draw inputs that tell the label, each modality in its own strength, and the labels."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (size,), generator=draw)
    signal = F.one_hot(labels, 4).float()
    inputs = {m: STRENGTHS[m] * signal + torch.randn(size, 4, generator=draw) for m in modalities}
    return inputs, labels


def same(found: dict[str, Tensor | None], expected: dict[str, float | Tensor | None]) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        if value is None:
            assert found[name] is None, name
            continue
        wanted = torch.as_tensor(value, dtype=torch.float32)
        # A speed is made of small differences of float32 losses.
        tolerance = 1e-4 if name.startswith(("speed/", "tau/")) else 1e-6
        torch.testing.assert_close(found[name], wanted, rtol=tolerance, atol=tolerance, msg=name)


def middles(batches: int, times: int = 5) -> list[int]:
    """The batch, from 1, in which the middle of each share of an epoch falls."""
    return [math.ceil(Fraction((2 * k + 1) * batches, 2 * times)) for k in range(times)]


# --------------------------------------------------------------------------------- probes


def starting_probes(modalities: list[str], seed: int) -> dict[str, nn.Linear]:
    """Return the probes of a seed as they start: steps too small to change a float32."""
    still = Probes(steps=1, learning_rate=1e-30, seed=seed)
    sizes = [SIZES[m] for m in modalities]
    features = {m: torch.ones(2, size) for m, size in zip(modalities, sizes, strict=True)}
    still.measure(features, torch.tensor([0, 1]), CLASSES)
    probes = {}
    for i, m in enumerate(modalities):
        probes[m] = nn.Linear(SIZES[m], CLASSES)
        with torch.no_grad():
            probes[m].weight.copy_(still.weight[i, :, : SIZES[m]])
            probes[m].bias.copy_(still.bias[i])
    return probes


class NaiveProbes:
    """One ``nn.Linear`` per modality with an Adam of its own, and a running accuracy of each."""

    def __init__(self, modalities: list[str], seed: int, steps: int, split: bool) -> None:
        self.layers, self.steps, self.split = starting_probes(modalities, seed), steps, split
        self.adams = {m: torch.optim.Adam(p.parameters(), lr=1e-3) for m, p in self.layers.items()}
        self.accuracies = dict.fromkeys(modalities, 0.0)
        self.readings = dict.fromkeys(modalities, 0.0)

    def read(self, outputs: Outputs, labels: Tensor) -> None:
        half = len(labels) // 2
        for m in self.layers:
            z = outputs.features[m].detach()
            seen = (z[:half], labels[:half]) if self.split else (z, labels)
            unseen = (z[half:], labels[half:]) if self.split else (z, labels)
            for _ in range(self.steps):
                self.adams[m].zero_grad()
                F.cross_entropy(self.layers[m](seen[0]), seen[1]).backward()
                self.adams[m].step()
            self.average(m, *unseen)

    def average(self, m: str, z: Tensor, labels: Tensor) -> None:
        right = sum(
            int(row.argmax()) == int(label)
            for row, label in zip(self.layers[m](z), labels, strict=True)
        )
        self.readings[m] = right / len(labels)
        self.accuracies[m] = 0.1 * self.readings[m] + 0.9 * self.accuracies[m]

    def gap(self) -> float:
        return max(self.accuracies.values()) - min(self.accuracies.values())

    def record(self) -> dict[str, float]:
        """Return what a method records at a probe time."""
        kinds = {"probe_accuracy": self.accuracies, "probe_reading": self.readings}
        values = {f"{kind}/{m}": a for kind, by_name in kinds.items() for m, a in by_name.items()}
        return values | {"gap": self.gap()}

    def epoch_end(self, test: Evaluation) -> None:
        """Feed the test part to the average, as the study did."""
        for m in self.layers:
            self.average(m, test.outputs.features[m], test.labels)


# ---------------------------------------------------------------------------- the periods

PERIODS = {
    "adaptation": "adaptive", "dominant": "audio", "signal_source": "dual", "tau_base": 2.0,
    "tau_min": 1.0, "tau_max": 8.0, "beta": 0.5, "threshold_delta": 0.1, "kappa": 3.0,
    "eval_every": None, "probe_steps": 50, "probe_split": False, "probe_ema": "train", "seed": 0,
}  # fmt: skip


def over_mean(values: dict[str, float]) -> dict[str, float]:
    mean = sum(values.values()) / len(values)
    return {m: value / mean for m, value in values.items()}


class NaiveSignal:
    """How fast each modality learns, and the period ``tau`` it gets for it."""

    def __init__(self, modalities: list[str], settings: Mapping[str, Any]) -> None:
        self.modalities = modalities
        self.settings = PERIODS | settings
        steps, split = self.settings["probe_steps"], self.settings["probe_split"]
        self.probes = NaiveProbes(modalities, self.settings["seed"], steps, split)
        self.norms = dict.fromkeys(modalities, 0.0)
        self.losses: dict[str, list[float]] = {m: [] for m in modalities}
        self.tau = dict.fromkeys(modalities, 1.0)

    def see(self, raw: dict[str, list[Tensor]], losses: dict[str, float]) -> None:
        for m in self.modalities:
            norm = math.sqrt(sum(x * x for g in raw[m] for x in g.flatten().tolist()))
            self.norms[m] = 0.1 * norm + 0.9 * self.norms[m]
            self.losses[m] = [*self.losses[m], losses[m]][-10:]

    def speeds(self) -> dict[str, float]:
        beta, norms = self.settings["beta"], over_mean(self.norms)
        descents = {m: abs(kept[0] - kept[-1]) for m, kept in self.losses.items()}
        if any(descents.values()):
            descents = over_mean(descents)
        else:  # nothing was lost by anyone: all are equally fast
            descents = dict.fromkeys(self.modalities, 1.0)
        return {m: beta * norms[m] + (1 - beta) * descents[m] for m in self.modalities}

    def move(self, outputs: Outputs, labels: Tensor) -> dict[str, float]:
        """Read the probes and set ``tau``; return what is recorded."""
        s, speeds = self.settings, self.speeds()
        self.probes.read(outputs, labels)
        accuracies = self.probes.accuracies
        if s["signal_source"] == "dual":
            wished = speeds
        elif s["signal_source"] == "probe":
            wished = over_mean(accuracies)
        else:
            best = max(accuracies.values())
            wished = {m: 0.5 * speeds[m] + 0.5 * accuracies[m] / best for m in self.modalities}
        for m in self.modalities:
            self.tau[m] = min(max(s["tau_base"] * wished[m], s["tau_min"]), s["tau_max"])
            if s["signal_source"] == "probe" and self.probes.gap() < s["threshold_delta"]:
                self.tau[m] = s["tau_min"]
        said = {f"speed/{m}": v for m, v in speeds.items()}
        return said | {f"tau/{m}": v for m, v in self.tau.items()} | self.probes.record()

    def times(self, batches: int) -> list[int]:
        """The batches of an epoch, from 1, in which the probes are read."""
        every = self.settings["eval_every"]
        if self.settings["adaptation"] == "fixed":
            return []
        return middles(batches, 1) if every is None else list(range(every, batches + 1, every))


# --------------------------------------------------------------------------- two learners


class Sgd:
    """Momentum and weight decay, one parameter at a time; ``None`` leaves a parameter alone."""

    RATE, MOMENTUM, DECAY = 0.1, 0.9, 0.01

    def __init__(self, net: nn.Module) -> None:
        self.parameters = dict(net.named_parameters())
        self.velocities = {name: torch.zeros_like(p) for name, p in self.parameters.items()}

    @torch.no_grad()
    def step(self, gradients: dict[str, Tensor | None]) -> None:
        for name, p in self.parameters.items():
            if gradients[name] is not None:
                v = self.MOMENTUM * self.velocities[name] + gradients[name] + self.DECAY * p
                self.velocities[name] = v
                p.sub_(self.RATE * v)


def train_both(
    method: Modulator,
    naive: Any,
    modalities: list[str],
    batches: int,
    epochs: int,
    gamma: float = 1.0,
) -> None:
    """Train with the method and with its naive twin; compare after each step.

    The twin has ``weights(step)``, the ``u_m`` of the unimodal losses; ``edit(step, batch, outputs,
    labels, raw, losses)``, which returns every encoder's gradients and what is recorded; and
    ``epoch_end(test)``.
    """
    ours, theirs = Net(modalities), Net(modalities)
    optimizer = torch.optim.SGD(
        ours.parameters(), lr=Sgd.RATE, momentum=Sgd.MOMENTUM, weight_decay=Sgd.DECAY
    )
    sgd = Sgd(theirs)
    test_inputs, test_labels = draw_batch(modalities, 40, seed=999)
    for step in range(batches * epochs):
        epoch, batch = divmod(step, batches)
        clock = Clock(epoch + 1, step, batch, batches, epochs)
        inputs, labels = draw_batch(modalities, 12, seed=step)
        outputs = ours(inputs)
        logits = {"fused": outputs.logits, **outputs.unimodal_logits}
        terms = {name: F.cross_entropy(o, labels) for name, o in logits.items()}
        terms = {name: t if name == "fused" else gamma * t for name, t in terms.items()}
        terms = method.terms(terms, outputs, labels, clock)
        optimizer.zero_grad()
        method.backward(terms, outputs, ours.groups())
        record = method.modulate(outputs, labels, ours.groups(), clock)

        expected, told = naive_step(naive, theirs, inputs, labels, step, batch, gamma)
        same({name: p.grad for name, p in ours.named_parameters()}, expected)
        same(record, told)
        optimizer.step()
        sgd.step(expected)
        same(ours.state_dict(), theirs.state_dict())
        theirs.load_state_dict(ours.state_dict())  # or the last bits would drift apart
        if batch + 1 == batches:
            with torch.no_grad():
                test = Evaluation(ours(test_inputs), test_labels)
            method.epoch_end(Metrics(None, test), optimizer, ours.groups(), clock)
            naive.epoch_end(test)


def naive_step(
    naive: Any,
    net: Net,
    inputs: dict[str, Tensor],
    labels: Tensor,
    step: int,
    batch: int,
    gamma: float,
) -> tuple[dict[str, Tensor | None], dict[str, float]]:
    """Return every gradient of the twin's step, by the parameter's name, and its record."""
    outputs, weights = net(inputs), naive.weights(step)
    losses = {m: F.cross_entropy(o, labels) for m, o in outputs.unimodal_logits.items()}
    loss = F.cross_entropy(outputs.logits, labels)
    for m, unimodal in losses.items():
        loss = loss + gamma * weights[m] * unimodal
    names = [name for name, _ in net.named_parameters()]
    gradients = dict(zip(names, torch.autograd.grad(loss, list(net.parameters())), strict=True))
    mine = {m: [n for n in names if n.startswith(f"encoders.{m}.")] for m in losses}
    raw = {m: [gradients[name] for name in mine[m]] for m in losses}
    plain = {m: float(unimodal.detach()) for m, unimodal in losses.items()}
    edited, told = naive.edit(step, batch, outputs, labels, raw, plain)
    for m in losses:
        gradients.update(zip(mine[m], edited[m], strict=True))
    return gradients, told
