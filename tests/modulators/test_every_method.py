"""What holds for every method, on the same small loops with 2, 3 and 6 modalities.

A new method needs one row in ``ROWS``, with settings that make it act within three short epochs.
"""

from __future__ import annotations

import functools
import inspect
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
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
    GradientNoise,
    Metrics,
    Modulator,
    Outputs,
    Throttle,
    UnimodalLosses,
)
from asgml_core.modulators.base import defines
from asgml_core.probes import Probes

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


def test_every_registered_method_has_a_row():
    assert {row.name for row in ROWS} == set(REGISTRY)
    for name, method in REGISTRY.items():
        assert method.name == name


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


# ------------------------------------------------------------------------------ properties


@every_row
@counts
def test_it_acts_and_everything_stays_finite(row, count):
    run = Run(row.make(count), NAMES[:count])
    for _ in range(STEPS):
        run.one_step()
        assert all(bool(p.grad.isfinite().all()) for p in run.net.parameters())
    for record in run.records:
        for name, value in record.items():
            assert value.shape == (), name
            assert bool(value.isfinite()), name
    assert int(run.method.acted) > 0
    assert (int(run.method.measured) > 0) == run.method.measures
    assert not same_weights(run, plain_run(count))


@every_row
def test_it_has_no_parameters(row):
    method = row.make(2)
    Run(method, NAMES[:2]).advance(STEPS)
    assert list(method.parameters()) == []
    assert not any(buffer.requires_grad for buffer in method.buffers())


@every_row
@counts
def test_the_order_of_the_groups_does_not_matter(row, count):
    def turned(groups: dict) -> dict:
        return dict(reversed(groups.items()))

    straight = Run(row.make(count), NAMES[:count]).advance(STEPS)
    reversed_ = Run(row.make(count), NAMES[:count], order=turned).advance(STEPS)
    assert list(straight.groups) != list(reversed_.groups)
    assert identical(straight.state(), reversed_.state())
    assert identical(straight.records, reversed_.records)


def give_probes(method: Modulator, modalities: tuple[str, ...]) -> None:
    """Start the probe of a modality from weights of its own, not from its place in the order."""
    for probes in (part for part in method.modules() if isinstance(part, Probes)):
        widest = max(SIZES[m] for m in modalities)
        weight = torch.zeros(len(modalities), CLASSES, widest)
        bias = torch.zeros(len(modalities), CLASSES)
        for i, m in enumerate(modalities):
            draw = torch.Generator().manual_seed(NAMES.index(m))
            weight[i, :, : SIZES[m]] = 0.3 * torch.randn(CLASSES, SIZES[m], generator=draw)
        state = {"taken": torch.zeros((), dtype=torch.float64), "weight": weight, "bias": bias}
        for moment in ("m", "v"):
            state |= {f"weight_{moment}": weight * 0, f"bias_{moment}": bias * 0}
        probes.load_state_dict(state)


@every_row
@counts
def test_the_order_of_the_modalities_does_not_matter(row, count):
    """By name and beyond ties. Two things are drawn in the order of the modalities: the probes'
    first weights, which are given here, and noise, which is turned off. Where it cannot be turned
    off the first record is compared: no noise has acted before it.
    """
    steps = 1 if row.noiseless is None else STEPS
    runs = []
    for names in (NAMES[:count], tuple(reversed(NAMES[:count]))):
        method = row.make(count, **(row.noiseless or {}))
        give_probes(method, names)
        runs.append(Run(method, names).advance(steps))
    straight, reversed_ = runs
    for a, b in zip(straight.records, reversed_.records, strict=True):
        assert set(a) == set(b)
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-5, msg=name)
    if row.noiseless is not None:
        for name, value in straight.net.state_dict().items():
            torch.testing.assert_close(
                reversed_.net.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name
            )


def bare(method: Modulator, count: int) -> Modulator:
    return method


def windowed(method: Modulator, count: int) -> Modulator:
    return During(method, 0, 2)  # it ends after the place where the run is cut


def chained(method: Modulator, count: int) -> Modulator:
    partner = OGM(reference="mean") if method.name == "unimodal_losses" else UnimodalLosses()
    return Chain(partner, During(method, 2, 3))


@every_row
@pytest.mark.parametrize(
    ("wrap", "count"), [(bare, 2), (bare, 3), (bare, 6), (windowed, 3), (chained, 3)]
)
def test_a_run_cut_anywhere_goes_on_bit_for_bit(row, count, wrap, tmp_path):
    whole = Run(wrap(row.make(count), count), NAMES[:count]).advance(STEPS)
    for cut in (1, BATCHES + 2):  # inside the first epoch and inside the second
        first = Run(wrap(row.make(count), count), NAMES[:count]).advance(cut)
        torch.save(first.state(), tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=True)
        second = Run(wrap(row.make(count), count), NAMES[:count]).restore(state, cut)
        second.advance(STEPS - cut)
        assert identical(first.records + second.records, whole.records)
        assert identical(second.state(), whole.state())


@every_row
def test_a_saved_state_replaces_what_a_method_had_seen(row):
    fresh = row.make(2).state_dict()
    used = row.make(2)
    Run(used, NAMES[:2]).advance(STEPS)
    used.load_state_dict(fresh)
    assert identical(used.state_dict(), fresh)
    expected = Run(row.make(2), NAMES[1:3]).advance(STEPS)
    assert identical(Run(used, NAMES[1:3]).advance(STEPS).state(), expected.state())


@every_row
@counts
def test_settings_that_ask_for_nothing_change_no_bit(row, count):
    if row.still is None:
        assert row.name in ("unimodal_losses", "noise", "ogm_ge")
        return
    run = Run(row.make(count, **row.still), NAMES[:count]).advance(STEPS)
    assert same_weights(run, plain_run(count))
    assert int(run.method.acted) == 0


@every_row
@counts
def test_outside_its_window_it_changes_no_bit(row, count):
    run = Run(During(row.make(count), EPOCHS + 1, EPOCHS + 9), NAMES[:count]).advance(STEPS)
    assert same_weights(run, plain_run(count))
    assert int(run.method.part.acted) == int(run.method.part.measured) == 0
    assert run.records == [{}] * STEPS


@pytest.mark.parametrize(
    "empty", [Chain, lambda: Chain(Chain(), Chain()), lambda: During(Chain(), 0, 9)]
)
@counts
def test_an_empty_chain_changes_no_bit(empty, count):
    run = Run(empty(), NAMES[:count]).advance(STEPS)
    assert same_weights(run, plain_run(count))


@every_row
def test_the_same_seed_gives_the_same_run(row):
    first, second = (Run(row.make(3), NAMES[:3]).advance(STEPS) for _ in range(2))
    assert identical(first.state(), second.state())
    assert identical(first.records, second.records)


@every_row
def test_another_seed_gives_another_run(row):
    if "seed" not in inspect.signature(REGISTRY[row.name]).parameters:
        return
    runs = [Run(row.make(3, seed=seed), NAMES[:3]).advance(STEPS) for seed in (0, 1)]
    assert not identical(*(run.method.state_dict() for run in runs))


@every_row
def test_the_global_random_state_is_left_alone(row):
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    Run(row.make(3), NAMES[:3]).advance(STEPS)
    after = torch.get_rng_state(), np.random.get_state(), random.getstate()
    assert torch.equal(before[0], after[0])
    assert all(np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True))
    assert before[2] == after[2]


@every_row
def test_the_global_random_state_does_not_matter(row):
    runs = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            runs.append(Run(row.make(3), NAMES[:3]).advance(STEPS))
    assert identical(runs[0].state(), runs[1].state())


@every_row
def test_its_repr_shows_every_setting(row):
    method = row.make(2)
    for name, parameter in inspect.signature(REGISTRY[row.name]).parameters.items():
        value = row.settings.get(name, parameter.default)
        assert f"{name}={value!r}" in repr(method), name
        assert getattr(method, name) == value
    assert repr(method) in repr(During(method, 0, 3)).replace("\n  ", "\n")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [(row.name, *refusal) for row in ROWS for refusal in row.refused],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_setting_out_of_range_is_refused(name, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        REGISTRY[name](**settings)


# ---------------------------------------------------------------------------- the door


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


wrapped = pytest.mark.parametrize(
    "wrap",
    [bare, lambda method, _: Chain(method), lambda method, _: During(method, 0, 9)],
    ids=["bare", "chain", "during"],
)


@every_row
@wrapped
class TestTheDoor:
    def test_an_iterator_is_a_type_error(self, row, wrap):
        step = Step(wrap(row.make(2), 2))
        step.groups["visual"] = iter(step.groups["visual"])
        with pytest.raises(TypeError, match=r"groups\['visual'\] is an iterator"):
            step.modulate()

    def test_a_missing_group_is_named(self, row, wrap):
        step = Step(wrap(row.make(2), 2))
        del step.groups["visual"]
        with pytest.raises(ValueError, match=r"groups has no 'visual'; it has audio, fusion"):
            step.modulate()

    def test_an_empty_group_is_named(self, row, wrap):
        step = Step(wrap(row.make(2), 2))
        step.groups["audio"] = []
        with pytest.raises(ValueError, match=r"groups\['audio'\] is empty"):
            step.modulate()

    def test_other_modalities_than_before_are_named(self, row, wrap):
        step = Step(wrap(row.make(2), 2))
        step.modulate()
        step.again(("visual", "audio"))
        with pytest.raises(ValueError, match=r"\('visual', 'audio'\), but they were \('audio', 'v"):
            step.modulate()

    def test_labels_of_another_shape_are_named(self, row, wrap):
        step = Step(wrap(row.make(2), 2))
        for shape in ((BATCH, 1), (BATCH - 1,), ()):
            step.labels = torch.zeros(shape, dtype=torch.long)
            message = re.escape(f"labels have shape {shape}, but the logits ({BATCH}, {CLASSES})")
            with pytest.raises(ValueError, match=message):
                step.modulate()

    def test_a_hook_that_was_never_called_is_named(self, row, wrap):
        needed = [hook for hook in HOOKS if defines(row.make(2), hook)]
        for hook in needed:
            run = Run(wrap(row.make(2), 2), NAMES[:2], skip=(hook,))
            with pytest.raises(RuntimeError, match=f"{REGISTRY[row.name].__name__}.{hook} was not"):
                run.one_step()

    def test_a_hook_that_is_called_no_more_is_named(self, row, wrap):
        needed = [hook for hook in HOOKS if defines(row.make(2), hook)]
        for hook in needed:
            run = Run(wrap(row.make(2), 2), NAMES[:2]).advance(1)
            run.skip = (hook,)
            with pytest.raises(RuntimeError, match=f"{REGISTRY[row.name].__name__}.{hook} was not"):
                run.one_step()


def test_the_table_holds_a_method_that_needs_a_hook():
    assert defines(UnimodalLosses(), "terms")


SCOPED = [row for row in ROWS if "scope" in inspect.signature(REGISTRY[row.name]).parameters]
scoped = pytest.mark.parametrize("row", SCOPED, ids=lambda row: f"{row.name} {row.label}".strip())


@scoped
def test_a_linear_encoder_under_scope_conv_is_an_error(row):
    step = Step(row.make(2, scope="conv"))
    step.groups["visual"] = list(step.net.encoders["visual"][4].parameters())
    with pytest.raises(ValueError, match=r"scope is 'conv', but the encoder 'visual' has no grad"):
        step.modulate()


@scoped
@pytest.mark.parametrize(("scope", "smallest"), [("conv", 4), ("weights", 2), ("all", 1)])
def test_a_scope_is_what_it_edits(row, scope, smallest):
    step = Step(row.make(2, scope=scope, **({} if row.name == "noise" else {"alpha": 0.8})))
    before = {name: p.grad.clone() for name, p in step.net.named_parameters()}
    record = step.modulate()
    edited = 0
    for name, p in step.net.named_parameters():
        kind, m = name.split(".")[:2]
        acting = f"coefficient/{m}" not in record or bool(record[f"coefficient/{m}"] != 1)
        acting |= row.settings.get("variant") == "official" and row.name == "ogm_ge"
        inside = kind == "encoders" and p.dim() >= smallest and acting
        assert torch.equal(p.grad, before[name]) == (not inside), name
        edited += inside
    assert edited > 0


def test_a_parameter_without_a_gradient_is_left_out():
    step = Step(Chain(OGM(scope="all"), GradientNoise(scope="all")))
    frozen = step.groups["audio"][0]
    frozen.grad = None
    step.modulate()
    assert frozen.grad is None


# --------------------------------------------------------------------- chains and windows


class Passing(Modulator):
    def passes(self, modalities, clock):
        return tuple((m,) for m in modalities)


class Doubling(Modulator):
    def backward(self, terms, outputs, groups):
        (2 * sum(terms.values())).backward()


class Tripling(Doubling):
    name = "tripling"


class Other(Passing):
    name = "other"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((Passing(), Other()), "Passing and Other both define 'passes'"),
        ((Doubling(), Tripling()), "Doubling and Tripling both define 'backward'"),
        ((Doubling(), During(Tripling(), 1, 2)), "Doubling and Tripling both define 'backward'"),
        ((Chain(Passing()), OGM(), Other()), "Passing and Other both define 'passes'"),
        ((OGM(), OGM(alpha=0.1)), "'ogm' is in the chain twice"),
        ((OGM(), During(OGM(), 1, 2)), "'ogm' is in the chain twice"),
    ],
)
def test_parts_that_cannot_stand_together_are_refused(parts, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Chain(*parts)


def test_a_chain_uses_the_one_part_that_defines_a_hook():
    chain = Chain(OGM(), During(Passing(), 2, 3), Chain(Doubling()))
    outside, inside = (Clock(epoch, 0, 0, 1, 9) for epoch in (1, 2))
    assert chain.passes(NAMES[:2], outside) == (NAMES[:2],)
    assert chain.passes(NAMES[:2], inside) == (("audio",), ("visual",))
    weight = nn.Parameter(torch.ones(()))
    chain.backward({"fused": 3 * weight}, None, {})
    assert weight.grad == 6


class Watching(Modulator):
    def measure(self, outputs, labels, groups, clock):
        self.seen = groups["audio"][0].grad.clone()


class Adding(Modulator):
    def gradients(self, outputs, labels, groups, clock):
        for p in groups["audio"]:
            p.grad.add_(1)
        return {"one": torch.ones(())}


class Halving(Modulator):
    def gradients(self, outputs, labels, groups, clock):
        for p in groups["audio"]:
            p.grad.mul_(0.5)
        return {"half": torch.full((), 0.5)}


@pytest.mark.parametrize("first", [Adding, Halving])
def test_a_chain_measures_before_it_edits_and_edits_in_order(first):
    second = Halving if first is Adding else Adding
    watch = Watching()
    step = Step(Chain(first(), second(), watch))
    raw = step.groups["audio"][0].grad.clone()
    record = step.modulate()
    assert torch.equal(watch.seen, raw)
    expected = (raw + 1) / 2 if first is Adding else raw / 2 + 1
    assert torch.equal(step.groups["audio"][0].grad, expected)
    assert set(record) == {"adding/one", "halving/half"}


@pytest.mark.parametrize(("start", "end", "acting"), [(0, 2, 2), (1, 1, 1), (2, 9, 2), (3, 3, 1)])
def test_a_window_holds_both_its_ends(start, end, acting):
    run = Run(During(OGM(), start, end), NAMES[:2]).advance(STEPS)
    lit = [bool(record) for record in run.records]
    expected = [start <= step // BATCHES + 1 <= end for step in range(STEPS)]
    assert lit == expected
    assert sum(lit) == acting * BATCHES
    assert run.method.name == "ogm"


def test_a_window_outside_the_run_is_an_error():
    clock = Clock(1, 0, 0, 10, 5)
    for start, end in ((0, 0), (6, 9)):
        with pytest.raises(ValueError, match=rf"ogm is at work from epoch {start} to {end}, but"):
            During(OGM(), start, end).schedule(clock)
    chain = Chain(UnimodalLosses(), During(Throttle(), 2, 9))
    assert chain.schedule(clock) == {
        "throttle/start": 2,
        "throttle/end": 9,
        "throttle/probe_times_per_epoch": 5,
    }
    with pytest.raises(ValueError, match="end is 1, but must be a whole number of 2 or more"):
        During(OGM(), 2, 1)
    with pytest.raises(ValueError, match="start is -1"):
        During(OGM(), -1, 1)
