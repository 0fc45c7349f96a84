"""What a careless loop is told: one clear sentence at the public door, for every method."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest
import torch
from methods_table import ROWS, every_row
from small_loop import (
    BATCH,
    CLASSES,
    HOOKS,
    NAMES,
    SIZES,
    Run,
    Step,
    bare,
)
from torch import nn
from torch.nn import functional as F

from asgml_core.modulators import (
    OGM,
    REGISTRY,
    Boost,
    Chain,
    Clock,
    During,
    GradientNoise,
    Modulator,
    Throttle,
    UnimodalLosses,
)
from asgml_core.modulators.base import defines
from asgml_core.probes import Probes

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

    def test_labels_of_another_type_are_named(self, row, wrap):
        step = Step(wrap(row.make(2), 2))
        step.labels = step.labels.float()
        with pytest.raises(ValueError, match=r"labels are torch.float32, but must be torch.int64"):
            step.modulate()

    def test_a_parameter_in_two_groups_is_named(self, row, wrap):
        step = Step(wrap(row.make(2), 2))
        step.groups["visual"] = [*step.groups["visual"], step.groups["audio"][0]]
        with pytest.raises(ValueError, match=r"groups\['audio'\] and groups\['visual'\] share a"):
            step.modulate()

    @pytest.mark.parametrize("wrong", [nn.Linear(2, 2), torch.zeros(3), 3.0])
    def test_a_group_that_is_no_list_of_parameters_is_named(self, row, wrap, wrong):
        step = Step(wrap(row.make(2), 2))
        step.groups["visual"] = wrong
        with pytest.raises(TypeError, match=r"groups\['visual'\] is a \w+, but must be a list"):
            step.modulate()

    def test_a_forgotten_backward_is_named(self, row, wrap):
        step = Step(wrap(row.make(2), 2))
        step.net.zero_grad()
        with pytest.raises(RuntimeError, match="call backward before modulate"):
            step.modulate()

    def test_a_frozen_encoder_is_left_out(self, row, wrap):
        step = Step(wrap(row.make(2), 2))
        for p in step.groups["audio"]:
            p.grad = None
        step.modulate()
        assert all(p.grad is None for p in step.groups["audio"])


@pytest.mark.parametrize(
    "moment", [(0, 0, 0, 5, 3), (4, 0, 0, 5, 3), (1, 0, 5, 5, 3), (1, -1, 0, 5, 3)]
)
def test_a_clock_that_is_no_moment_of_a_run_is_refused(moment):
    with pytest.raises(ValueError, match="is no moment of a run"):
        Clock(*moment)


@pytest.mark.parametrize("kind", [Throttle, Boost])
def test_features_are_found_by_name_whatever_their_order(kind):
    def scales(order: tuple[str, ...]) -> dict[str, float]:
        step = Step(kind(eval_every=1, probe_split=False))
        told = {
            "audio": 5 * F.one_hot(step.labels, SIZES["audio"]).float(),
            "visual": torch.zeros(BATCH, SIZES["visual"]),
        }
        features = {m: told[m] for m in order}
        step.outputs = dataclasses.replace(step.outputs, features=features)
        for _ in range(40):
            record = step.modulate()
        return {m: float(record[f"scale/{m}"]) for m in NAMES[:2]}

    usual = scales(("audio", "visual"))
    assert usual["audio"] < usual["visual"]  # audio says everything, visual nothing
    assert scales(("visual", "audio")) == usual


@pytest.mark.parametrize("kind", [Throttle, Boost])
def test_features_that_do_not_fit_are_named(kind):
    step = Step(kind(eval_every=1))
    missing = {"audio": step.outputs.features["audio"]}
    step.outputs = dataclasses.replace(step.outputs, features=missing)
    with pytest.raises(ValueError, match=r"modalities \('audio',\), but the unimodal logits"):
        step.modulate()
    step.again()
    short = {m: z[:-1] for m, z in step.outputs.features.items()}
    step.outputs = dataclasses.replace(step.outputs, features=short)
    with pytest.raises(ValueError, match=r"features of 'audio' have shape .*labels; \(B, d\)"):
        step.modulate()


def test_one_bad_batch_does_not_spoil_a_probe():
    probes = Probes(steps=20, split=False, learning_rate=0.05)
    labels = torch.arange(12) % 3
    good = {"a": 3 * F.one_hot(labels, 5).float()}
    probes.measure({"a": torch.full((12, 5), float("inf"))}, labels, 3)
    for _ in range(10):
        accuracy = probes.measure(good, labels, 3)
    assert float(accuracy[0]) == 1.0


def test_what_a_method_records_is_checked():
    class Careless(Modulator):
        def gradients(self, outputs, labels, groups, clock):
            return {"scale": 1.0}

    with pytest.raises(TypeError, match="careless: gradients must return a dict of 0-dim tensors"):
        Step(Chain(Careless())).modulate()
    with pytest.raises(TypeError, match="a chain is made of methods"):
        Chain([OGM()])


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
