"""Every method with settings that make it act, and the small loop it is tried on.

A new method needs one row in ``ROWS``, with settings that make it act within three short epochs,
and one in ``VALUES`` of ``test_values.py``: print its outcome once, after checking it by hand.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asgml_core.modulators import (
    OGM,
    REGISTRY,
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
HOOKS = ("passes", "features", "terms", "backward")


@dataclass(frozen=True)
class Row:
    """One method in one setting.

    Args:
        name: in the registry.
        settings: with which it acts.
        many: settings beside those for more than two modalities.
        still: settings with which it changes nothing, bit for bit; ``None`` where there are none.
        noiseless: settings with which its noise does not matter; ``None`` where its noise cannot
            be turned off, and only the first step's record is free of it.
        refused: settings out of range, and what the message says.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    many: dict[str, Any] = field(default_factory=dict)
    still: dict[str, Any] | None = None
    noiseless: dict[str, Any] | None = field(default_factory=dict)
    refused: tuple[tuple[dict[str, Any], str], ...] = ()
    label: str = ""

    def make(self, count: int, **changes: Any) -> Modulator:
        settings = self.settings | (self.many if count > 2 else {}) | changes
        return REGISTRY[self.name](**settings)


OGM_REFUSED = (
    ({"alpha": -0.1}, "alpha is -0.1"),
    ({"alpha": float("nan")}, "alpha is nan"),
    ({"alpha": "0.8"}, "alpha is '0.8'"),
    ({"reference": "median"}, "reference is 'median'"),
    ({"scope": "linear"}, "scope is 'linear'"),
    ({"variant": "paper"}, "variant is 'paper'"),
)
PROBE_REFUSED = (
    ({"alpha": -0.1}, "alpha is -0.1"),
    ({"alpha": float("inf")}, "alpha is inf"),
    ({"eval_every": 0}, "eval_every is 0"),
    ({"eval_every": 2.5}, "eval_every is 2.5"),
    ({"probe_steps": 0}, "steps is 0"),
    ({"probe_ema": "test"}, "probe_ema is 'test'"),
)
ROWS = (
    Row(
        "unimodal_losses",
        refused=(({"gamma": 0.0}, "gamma is 0.0"), ({"gamma": -1.0}, "gamma is -1.0")),
    ),
    Row("unimodal_losses", {"gamma": 0.5, "fused": False}, label="alone"),
    Row("ogm", {}, {"reference": "mean"}, still={"alpha": 0.0}, refused=OGM_REFUSED),
    Row(
        "ogm",
        {"variant": "official", "scope": "weights"},
        {"reference": "min"},
        still={"alpha": 0.0},
        label="official",
    ),
    Row(
        "ogm_ge",
        {"seed": 3},
        {"reference": "mean"},
        still={"alpha": 0.0},
        noiseless=None,
        refused=OGM_REFUSED,
    ),
    Row(
        "ogm_ge",
        {"variant": "official", "scope": "all", "alpha": 0.3},
        {"reference": "min"},
        noiseless=None,
        label="official",
    ),
    Row(
        "throttle",
        {"eval_every": 2},
        still={"alpha": 0.0},
        refused=(
            *PROBE_REFUSED,
            ({"alpha": 1.1}, "alpha is 1.1"),
            ({"scale_min": -0.1}, "scale_min is -0.1"),
            ({"scale_min": 1.5}, "scale_min is 1.5"),
        ),
    ),
    Row(
        "throttle",
        {"eval_every": 3, "probe_split": True, "probe_ema": "study", "seed": 4},
        still={"alpha": 0.0},
        label="study",
    ),
    Row(
        "boost",
        {"eval_every": 2},
        still={"alpha": 0.0},
        refused=(*PROBE_REFUSED, ({"scale_max": 0.9}, "scale_max is 0.9")),
    ),
    Row(
        "boost",
        {"eval_every": None, "probe_split": False, "probe_ema": "study", "alpha": 0.75},
        still={"alpha": 0.0},
        label="study",
    ),
    Row(
        "noise",
        {"sigma": 0.5},
        noiseless={"sigma": 1e-9},
        refused=(
            ({"sigma": 0.0}, "sigma is 0.0"),
            ({"sigma": -1.0}, "sigma is -1.0"),
            ({"scope": "linear"}, "scope is 'linear'"),
        ),
    ),
)

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.label}".strip())
counts = pytest.mark.parametrize("count", [2, 3, 6])


# -------------------------------------------------------------------------------- the loop


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


def draw_batch(modalities: Iterable[str], seed: int) -> tuple[dict[str, Tensor], Tensor]:
    labels = torch.randint(CLASSES, (BATCH,), generator=torch.Generator().manual_seed(seed))
    inputs = {}
    for m in modalities:
        place = NAMES.index(m)
        draw = torch.Generator().manual_seed(1000 * seed + place)
        noise = torch.randn(BATCH, 1, 4, 4, generator=draw)
        inputs[m] = noise + labels.view(-1, 1, 1, 1) / (1 + place)
    return inputs, labels


class Run:
    """A training loop that calls every hook; ``method=None`` is the same loop without methods."""

    def __init__(
        self,
        method: Modulator | None,
        modalities: Iterable[str],
        order: Callable[[dict], dict] = dict,
        skip: tuple[str, ...] = (),
    ) -> None:
        self.method, self.skip, self.step = method, skip, 0
        self.modalities = tuple(modalities)
        self.net = Net(self.modalities)
        self.groups = order(self.net.groups())
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.05, momentum=0.9)
        self.records: list[dict[str, Tensor]] = []

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
            terms = {"fused": F.cross_entropy(outputs.logits, labels)}
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
        if batch + 1 == BATCHES and self.method is not None:
            self.net.eval()
            with torch.no_grad():
                inputs, labels = draw_batch(self.modalities, 10_000)
                evaluation = Evaluation(self.net.fuse(self.net.encode(inputs)), labels)
            metrics = Metrics(evaluation, evaluation)
            self.method.epoch_end(metrics, self.optimizer, self.groups, clock)

    def state(self) -> dict[str, Any]:
        parts = {"net": self.net, "optimizer": self.optimizer, "method": self.method}
        return {name: part.state_dict() for name, part in parts.items()}

    def restore(self, state: dict[str, Any], step: int) -> Run:
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.method.load_state_dict(state["method"])
        self.step = step
        return self


STEPS = BATCHES * EPOCHS


@functools.cache
def plain_run(count: int) -> Run:
    return Run(None, NAMES[:count]).advance(STEPS)


def identical(a: Any, b: Any) -> bool:
    """Return whether two nested states are equal, tensors bit for bit."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(identical, a, b))
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
        terms = {"fused": F.cross_entropy(self.outputs.logits, self.labels)}
        terms = method.terms(terms, self.outputs, self.labels, self.clock)
        self.net.zero_grad()
        method.backward(terms, self.outputs, self.groups)

    def modulate(self) -> dict[str, Tensor]:
        return self.method.modulate(self.outputs, self.labels, self.groups, self.clock)
