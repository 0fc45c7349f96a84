"""Throttle and boost, step by step, against a second implementation that shares no code."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asgml_core.modulators import Boost, Clock, During, Evaluation, Metrics, Outputs, Throttle
from asgml_core.probes import Probes

CLASSES = 3
BATCHES = 10
EPOCHS = 2
SIZES = {"audio": 5, "visual": 4, "text": 6, "touch": 3, "depth": 5, "pose": 2}
STRENGTHS = {"audio": 2.0, "visual": 1.0, "text": 0.5, "touch": 0.2, "depth": 0.1, "pose": 0.0}


class Net(nn.Module):
    """A linear encoder per modality with a feature size of its own, and one head on all."""

    def __init__(self, modalities: list[str]) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            self.encoders = nn.ModuleDict(
                {m: nn.Sequential(nn.Linear(4, SIZES[m]), nn.Tanh()) for m in modalities}
            )
            self.head = nn.Linear(sum(SIZES[m] for m in modalities), CLASSES)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        features = {m: encoder(inputs[m]) for m, encoder in self.encoders.items()}
        logits = self.head(torch.cat(list(features.values()), 1))
        return Outputs(logits, dict.fromkeys(features, logits), features)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {m: list(encoder.parameters()) for m, encoder in self.encoders.items()}


def draw_batch(modalities: list[str], size: int, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Draw inputs that tell the label, each modality in its own strength, and the labels."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (size,), generator=draw)
    signal = F.one_hot(labels, 4).float()
    inputs = {m: STRENGTHS[m] * signal + torch.randn(size, 4, generator=draw) for m in modalities}
    return inputs, labels


@dataclass
class Naive:
    """The study's rule, written with ``nn.Linear``, ``torch.optim.Adam`` and Python floats."""

    kind: str
    modalities: list[str]
    starts: dict[str, nn.Linear]
    alpha: float
    limit: float
    steps: int
    split: bool
    times: frozenset[int]
    adams: dict[str, torch.optim.Adam] = field(init=False)
    accuracies: dict[str, float] = field(init=False)
    readings: dict[str, float] = field(init=False, default_factory=dict)
    scales: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.adams = {m: torch.optim.Adam(p.parameters(), lr=1e-3) for m, p in self.starts.items()}
        self.accuracies = dict.fromkeys(self.modalities, 0.0)
        self.scales = dict.fromkeys(self.modalities, 1.0)

    def edit(self, outputs: Outputs, labels: Tensor, groups, batch: int) -> None:
        for m in self.modalities:
            for p in groups[m]:
                p.grad *= self.scales[m]
        if batch + 1 in self.times:
            self.probe(outputs, labels)
            target = self.target()
            for m in self.modalities:
                self.scales[m] = 0.3 * target[m] + 0.7 * self.scales[m]

    def probe(self, outputs: Outputs, labels: Tensor) -> None:
        half = len(labels) // 2
        for m in self.modalities:
            z = outputs.features[m].detach()
            seen = (z[:half], labels[:half]) if self.split else (z, labels)
            unseen = (z[half:], labels[half:]) if self.split else (z, labels)
            for _ in range(self.steps):
                self.adams[m].zero_grad()
                F.cross_entropy(self.starts[m](seen[0]), seen[1]).backward()
                self.adams[m].step()
            self.average(m, *unseen)

    def average(self, m: str, z: Tensor, labels: Tensor) -> None:
        right = sum(
            int(row.argmax()) == int(label)
            for row, label in zip(self.starts[m](z), labels, strict=True)
        )
        self.readings[m] = right / len(labels)
        self.accuracies[m] = 0.1 * self.readings[m] + 0.9 * self.accuracies[m]

    def target(self) -> dict[str, float]:
        low, high = min(self.accuracies.values()), max(self.accuracies.values())
        gap = high - low
        if gap < 1e-8:
            return dict.fromkeys(self.modalities, 1.0)
        share = {m: (a - low) / gap for m, a in self.accuracies.items()}
        if self.kind == "throttle":
            return {m: max(1 - self.alpha * share[m], self.limit) for m in self.modalities}
        return {m: min(1 + self.alpha * (1 - share[m]), self.limit) for m in self.modalities}

    def epoch_end(self, test: Evaluation) -> None:
        for m in self.modalities:
            self.average(m, test.outputs.features[m], test.labels)


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


class Learner:
    """A net and its optimizer."""

    def __init__(self, modalities: list[str]) -> None:
        self.net = Net(modalities)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1, momentum=0.9)

    def backward(self, inputs: dict[str, Tensor], labels: Tensor) -> Outputs:
        outputs = self.net(inputs)
        self.optimizer.zero_grad()
        F.cross_entropy(outputs.logits, labels).backward()
        return outputs

    def gradients(self) -> dict[str, Tensor]:
        return {name: p.grad for name, p in self.net.named_parameters()}

    def step(self) -> dict[str, Tensor]:
        self.optimizer.step()
        return self.net.state_dict()


def same(found: dict[str, Tensor], expected: dict[str, float | Tensor]) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        wanted = torch.as_tensor(value, dtype=torch.float32)
        torch.testing.assert_close(found[name], wanted, rtol=1e-6, atol=1e-6, msg=name)


def middles(batches: int) -> list[int]:
    """The batch, from 1, in which the middle of each fifth of an epoch falls."""
    return [math.ceil(Fraction((2 * k + 1) * batches, 10)) for k in range(5)]


METHODS = {
    "throttle": lambda **settings: Throttle(alpha=0.6, scale_min=0.3, **settings),
    "boost": lambda **settings: Boost(alpha=0.75, scale_max=1.6, **settings),
}
ALPHAS = {"throttle": (0.6, 0.3), "boost": (0.75, 1.6)}


@pytest.mark.parametrize(
    ("eval_every", "split", "probe_ema"),
    [
        (None, True, "train"),
        (None, False, "study"),
        (1, False, "train"),
        (3, True, "study"),
        (3, False, "train"),
        (10, True, "study"),
    ],
)
@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("kind", METHODS)
def test_the_whole_trajectory(kind, count, eval_every, split, probe_ema):
    modalities = list(SIZES)[:count]
    method = METHODS[kind](
        eval_every=eval_every, probe_steps=4, probe_split=split, probe_ema=probe_ema, seed=5
    )
    times = middles(BATCHES) if eval_every is None else range(eval_every, BATCHES + 1, eval_every)
    times, probes = frozenset(times), starting_probes(modalities, 5)
    naive = Naive(kind, modalities, probes, *ALPHAS[kind], 4, split, times)
    ours, theirs = Learner(modalities), Learner(modalities)
    test_inputs, test_labels = draw_batch(modalities, 40, seed=99)
    for step in range(EPOCHS * BATCHES):
        epoch, batch = divmod(step, BATCHES)
        clock = Clock(epoch + 1, step, batch, BATCHES, EPOCHS)
        inputs, labels = draw_batch(modalities, 12, seed=step)
        outputs = {learner: learner.backward(inputs, labels) for learner in (ours, theirs)}
        expected = {f"scale/{m}": scale for m, scale in naive.scales.items()}
        record = method.modulate(outputs[ours], labels, ours.net.groups(), clock)
        naive.edit(outputs[theirs], labels, theirs.net.groups(), batch)
        if batch + 1 in times:
            expected |= {f"probe_accuracy/{m}": a for m, a in naive.accuracies.items()}
            expected |= {f"probe_reading/{m}": a for m, a in naive.readings.items()}
            expected["gap"] = max(naive.accuracies.values()) - min(naive.accuracies.values())
        same(record, expected)
        same(dict(zip(modalities, method.accuracies, strict=True)), naive.accuracies)
        same(dict(zip(modalities, method.scales, strict=True)), naive.scales)
        same(ours.gradients(), theirs.gradients())
        same(ours.step(), theirs.step())
        if batch + 1 == BATCHES:
            with torch.no_grad():
                test = Evaluation(ours.net(test_inputs), test_labels)
            method.epoch_end(Metrics(None, test), ours.optimizer, ours.net.groups(), clock)
            if probe_ema == "study":
                naive.epoch_end(test)
    assert int(method.measured) == EPOCHS * len(times)
    assert len(set(naive.scales.values())) > 1  # the run compares something that moved


@pytest.mark.parametrize("kind", METHODS)
def test_the_test_set_moves_the_study_s_average_and_no_other(kind):
    def averages(probe_ema: str) -> Tensor:
        method = METHODS[kind](eval_every=1, probe_ema=probe_ema)
        net, clock = Net(["audio", "visual"]), Clock(1, 0, 0, 1, 1)
        inputs, labels = draw_batch(["audio", "visual"], 12, seed=0)
        outputs = net(inputs)
        outputs.logits.sum().backward()
        method.modulate(outputs, labels, net.groups(), clock)
        before = method.accuracies
        metrics = Metrics(None, Evaluation(outputs, labels))
        method.epoch_end(metrics, torch.optim.SGD(net.parameters()), net.groups(), clock)
        return method.accuracies - before

    assert bool((averages("train") == 0).all())
    assert bool((averages("study") > 0).all())


@pytest.mark.parametrize(
    ("batches", "times"),
    [(5, 5), (10, 5), (25, 5), (100, 5), (105, 5), (9, 5), (24, 5), (26, 5), (4, 4), (1, 1)],
)
@pytest.mark.parametrize("kind", METHODS)
def test_none_means_five_probe_times_an_epoch(kind, batches, times):
    method = METHODS[kind](eval_every=None)
    clocks = [Clock(1, b, b, batches, 1) for b in range(batches)]
    assert sum(method.is_probe_time(clock) for clock in clocks) == times
    assert method.schedule(clocks[0]) == {"probe_times_per_epoch": times}
    if batches >= 5:
        assert {c.batch + 1 for c in clocks if method.is_probe_time(c)} == set(middles(batches))


@pytest.mark.parametrize("kind", METHODS)
def test_the_study_s_period_gives_five_probe_times_in_105_batches(kind):
    method = METHODS[kind](eval_every=20)
    probed = [b + 1 for b in range(105) if method.is_probe_time(Clock(2, 105 + b, b, 105, 2))]
    assert probed == [20, 40, 60, 80, 100]


@pytest.mark.parametrize("kind", METHODS)
def test_a_period_longer_than_the_epoch_is_an_error(kind):
    method = METHODS[kind](eval_every=11)
    clock = Clock(1, 0, 0, 10, 5)
    message = rf"{kind}: eval_every is 11 batches, but an epoch has 10"
    with pytest.raises(ValueError, match=message):
        method.schedule(clock)
    with pytest.raises(ValueError, match=message):
        During(method, 0, 3).schedule(clock)
    net = Net(["audio", "visual"])
    inputs, labels = draw_batch(["audio", "visual"], 4, seed=0)
    outputs = net(inputs)
    outputs.logits.sum().backward()
    with pytest.raises(ValueError, match=message):
        method.modulate(outputs, labels, net.groups(), clock)
    assert METHODS[kind](eval_every=10).schedule(clock) == {"probe_times_per_epoch": 1}


def test_the_largest_boost_is_one_number_for_two_modalities():
    """At alpha .5, scale_max 1.5, 2 and 3 are one method: the study swept a constant."""

    def scales(scale_max: float) -> list[list[float]]:
        method = Boost(alpha=0.5, scale_max=scale_max, eval_every=1)
        net, trajectory = Net(["audio", "visual"]), []
        for step in range(8):
            inputs, labels = draw_batch(["audio", "visual"], 12, seed=step)
            outputs = net(inputs)
            outputs.logits.sum().backward()
            clock = Clock(1, step, step, 8, 1)
            method.modulate(outputs, labels, net.groups(), clock)
            trajectory.append(method.scales.tolist())
        return trajectory

    assert scales(1.5) == scales(2.0) == scales(3.0)
    assert scales(1.5)[-1] != [1.0, 1.0]
    assert scales(1.2) != scales(1.5)
