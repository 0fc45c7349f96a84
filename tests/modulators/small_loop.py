"""The small loop that every method is tried on: nine steps of convolutional encoders."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asgml_core.modulators import (
    OGM,
    Chain,
    Clock,
    During,
    Evaluation,
    Metrics,
    Modulator,
    Outputs,
    UnimodalLosses,
)

NAMES = ("audio", "visual", "text", "touch", "depth", "pose")
SIZES = dict(zip(NAMES, (6, 4, 5, 3, 6, 2), strict=True))
CLASSES, BATCH, BATCHES, EPOCHS = 3, 10, 3, 3
STEPS = BATCHES * EPOCHS
HOOKS = ("passes", "features", "terms", "backward")


class Net(nn.Module):
    """A convolutional encoder per modality; the same weights whatever the order of the names."""

    def __init__(self, modalities: Iterable[str]) -> None:
        super().__init__()
        modalities = tuple(modalities)
        encoders, heads = {}, {}
        with torch.random.fork_rng(devices=[]):
            for m in modalities:
                torch.manual_seed(NAMES.index(m))
                encoders[m] = nn.Sequential(
                    nn.Conv2d(1, 3, 3),
                    nn.BatchNorm2d(3),
                    nn.ReLU(),
                    nn.Flatten(),
                    nn.Linear(12, SIZES[m]),
                )
                heads[m] = nn.Linear(SIZES[m], CLASSES)
        self.encoders, self.heads = nn.ModuleDict(encoders), nn.ModuleDict(heads)

    def encode(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {m: encoder(inputs[m]) for m, encoder in self.encoders.items()}

    def fuse(self, features: dict[str, Tensor]) -> Outputs:
        unimodal = {m: self.heads[m](z) for m, z in features.items()}
        logits = sum(unimodal[m] for m in NAMES if m in unimodal)
        return Outputs(logits, unimodal, features, lambda z: self.fuse(z).logits)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        groups = {m: list(encoder.parameters()) for m, encoder in self.encoders.items()}
        return {**groups, "fusion": list(self.heads.parameters())}


@functools.cache
def draw_batch(
    modalities: tuple[str, ...], seed: int, size: int = BATCH
) -> tuple[dict[str, Tensor], Tensor]:
    labels = torch.randint(CLASSES, (size,), generator=torch.Generator().manual_seed(seed))
    inputs = {}
    for m in modalities:
        place = NAMES.index(m)
        draw = torch.Generator().manual_seed(1000 * seed + place)
        noise = torch.randn(size, 1, 4, 4, generator=draw)
        inputs[m] = noise + labels.view(-1, 1, 1, 1) / (1 + place)
    return inputs, labels


def weighs_terms(method: Modulator | None) -> bool:
    return method is not None and any(part.weighs_terms for part in method.parts())


def loss_terms(outputs: Outputs, labels: Tensor, unimodal: bool) -> dict[str, Tensor]:
    logits = {"fused": outputs.logits, **(outputs.unimodal_logits if unimodal else {})}
    return {name: F.cross_entropy(o, labels) for name, o in logits.items()}


class Run:
    """A training loop that calls every hook; ``method=None`` is the same loop without methods.

    Args:
        method: what balances, if anything.
        modalities: their names, in order.
        order: puts the groups in another order.
        skip: hooks that this loop forgets to call.
        unimodal: whether the loss has unimodal terms; ``None``: where the method weighs some.
    """

    def __init__(
        self,
        method: Modulator | None,
        modalities: Iterable[str],
        order: Callable[[dict], dict] = dict,
        skip: tuple[str, ...] = (),
        unimodal: bool | None = None,
    ) -> None:
        self.method, self.skip, self.step = method, skip, 0
        self.unimodal = weighs_terms(method) if unimodal is None else unimodal
        self.modalities = tuple(modalities)
        self.net = Net(self.modalities)
        self.groups = order(self.net.groups())
        own = [{"params": parameters} for parameters in self.net.groups().values()]
        self.optimizer = torch.optim.SGD(own, lr=0.05, momentum=0.9)
        self.records: list[dict[str, Tensor]] = []
        self.epochs: list[dict[str, Tensor]] = []

    def hook(self, name: str, otherwise: Any, *args: Any) -> Any:
        if self.method is None or name in self.skip:
            return otherwise
        return getattr(self.method, name)(*args)

    def advance(self, steps: int) -> Run:
        for _ in range(steps):
            self.one_step()
        return self

    def one_step(self) -> None:
        epoch, batch = divmod(self.step, BATCHES)
        clock = Clock(epoch + 1, self.step, batch, BATCHES, EPOCHS)
        self.net.train()
        inputs, labels = draw_batch(self.modalities, self.step)
        for passed in self.hook("passes", (self.modalities,), self.modalities, clock):
            features = self.net.encode({m: inputs[m] for m in passed})
            features = self.hook("features", features, features, labels, clock)
            outputs = self.net.fuse(features)
            terms = loss_terms(outputs, labels, self.unimodal)
            terms = self.hook("terms", terms, terms, outputs, labels, clock)
            self.optimizer.zero_grad()
            if self.method is None or "backward" in self.skip:
                sum(terms.values()).backward()
            else:
                self.method.backward(terms, outputs, self.groups)
            if self.method is not None:
                self.records.append(self.method.modulate(outputs, labels, self.groups, clock))
            self.optimizer.step()
        self.step += 1
        if batch + 1 == BATCHES and self.method is not None and "epoch_end" not in self.skip:
            metrics = Metrics(self.evaluate(10_000), self.evaluate(10_001))
            self.epochs.append(self.method.epoch_end(metrics, self.optimizer, self.groups, clock))

    @torch.no_grad()
    def evaluate(self, seed: int) -> Evaluation:
        self.net.eval()
        inputs, labels = draw_batch(self.modalities, seed, 211)  # so many that ties are rare
        return Evaluation(self.net.fuse(self.net.encode(inputs)), labels)

    def state(self) -> dict[str, Any]:
        parts = {"net": self.net, "optimizer": self.optimizer, "method": self.method}
        return {name: part.state_dict() for name, part in parts.items()}

    def restore(self, state: dict[str, Any], step: int) -> Run:
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.method.load_state_dict(state["method"])
        self.step = step
        return self


@functools.cache
def plain_run(count: int, unimodal: bool = False) -> Run:
    """Return the run of no method at all, with the loss of the one it is compared with."""
    return Run(None, NAMES[:count], unimodal=unimodal).advance(STEPS)


def identical(a: Any, b: Any) -> bool:
    """Return whether two nested states are equal, tensors bit for bit."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        alike = isinstance(b, list | tuple) and len(a) == len(b)
        return alike and all(map(identical, a, b))
    return a == b


def same_weights(a: Run, b: Run) -> bool:
    return identical(a.net.state_dict(), b.net.state_dict())


def bare(method: Modulator, count: int) -> Modulator:
    return method


def windowed(method: Modulator, count: int) -> Modulator:
    return During(method, 0, 2)  # it ends after the place where the run is cut


def chained(method: Modulator, count: int) -> Modulator:
    partner = OGM(reference="mean") if method.name == "unimodal_losses" else UnimodalLosses()
    return Chain(partner, During(method, 2, 3))


@dataclass
class Step:
    """One step of two modalities, up to the call of ``modulate``."""

    method: Modulator

    def __post_init__(self) -> None:
        self.clock = Clock(1, 0, BATCHES - 1, BATCHES, EPOCHS)
        self.net = Net(NAMES[:2])
        self.inputs, self.labels = draw_batch(NAMES[:2], 0)
        self.groups = self.net.groups()
        self.again()

    def again(self, modalities: tuple[str, ...] = NAMES[:2]) -> None:
        method = self.method
        method.passes(modalities, self.clock)
        features = self.net.encode(self.inputs)
        features = {m: features[m] for m in modalities}
        features = method.features(features, self.labels, self.clock)
        self.outputs = self.net.fuse(features)
        terms = loss_terms(self.outputs, self.labels, weighs_terms(method))
        terms = method.terms(terms, self.outputs, self.labels, self.clock)
        self.net.zero_grad()
        method.backward(terms, self.outputs, self.groups)

    def modulate(self) -> dict[str, Tensor]:
        return self.method.modulate(self.outputs, self.labels, self.groups, self.clock)
