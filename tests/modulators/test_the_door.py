"""What a careless loop is told: one clear sentence at the public door, for every method."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import re

import pytest
import torch
from methods_table import ROWS, Row, every_row
from small_loop import (
    BATCH,
    BATCHES,
    CLASSES,
    HOOKS,
    NAMES,
    SIZES,
    Run,
    Step,
    bare,
    identical,
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
    Frequency,
    GradientNoise,
    Modulator,
    Outputs,
    Throttle,
    UnimodalLosses,
)
from asgml_core.modulators.base import defines
from asgml_core.probes import Probes

WRAPS = (bare, lambda method, _: Chain(method), lambda method, _: During(method, 0, 9))
WRONG_GROUPS = (nn.Linear(2, 2), torch.zeros(3), 3.0)


def not_called(row: Row, hook: str) -> str:
    """Return what a loop is told that did not call a hook."""
    return rf"{REGISTRY[row.name].__name__}\.{hook} was not called"


@every_row
class TestTheDoor:
    def test_an_iterator_is_a_type_error(self, row):
        for wrap in WRAPS:
            step = Step(wrap(row.make(2), 2))
            step.groups["visual"] = iter(step.groups["visual"])
            with pytest.raises(TypeError, match=r"groups\['visual'\] is an iterator"):
                step.modulate()

    def test_a_missing_group_is_named(self, row):
        for wrap in WRAPS:
            step = Step(wrap(row.make(2), 2))
            del step.groups["visual"]
            with pytest.raises(ValueError, match=r"groups has no 'visual'; it has audio, fusion"):
                step.modulate()

    def test_an_empty_group_is_named(self, row):
        for wrap in WRAPS:
            step = Step(wrap(row.make(2), 2))
            step.groups["audio"] = []
            with pytest.raises(ValueError, match=r"groups\['audio'\] is empty"):
                step.modulate()

    def test_other_modalities_than_before_are_named(self, row):
        for wrap in WRAPS:
            step = Step(wrap(row.make(2), 2))
            step.modulate()
            step.again(("visual", "audio"))
            with pytest.raises(ValueError, match=r"\('visual', 'audio'\), but they were \('audio'"):
                step.modulate()

    def test_labels_of_another_shape_are_named(self, row):
        for wrap in WRAPS:
            step = Step(wrap(row.make(2), 2))
            for shape in ((BATCH, 1), (BATCH - 1,), ()):
                step.labels = torch.zeros(shape, dtype=torch.long)
                message = re.escape(
                    f"labels have shape {shape}, but the logits ({BATCH}, {CLASSES})"
                )
                with pytest.raises(ValueError, match=message):
                    step.modulate()

    def test_a_hook_that_was_never_called_is_named(self, row):
        for wrap in WRAPS:
            needed = [hook for hook in HOOKS if defines(row.make(2), hook)]
            for hook in needed:
                run = Run(wrap(row.make(2), 2), NAMES[:2], skip=(hook,))
                with pytest.raises(RuntimeError, match=not_called(row, hook)):
                    run.one_step()

    def test_a_hook_that_is_called_no_more_is_named(self, row):
        for wrap in WRAPS:
            needed = [hook for hook in HOOKS if defines(row.make(2), hook)]
            for hook in needed:
                run = Run(wrap(row.make(2), 2), NAMES[:2]).advance(1)
                run.skip = (hook,)
                with pytest.raises(RuntimeError, match=not_called(row, hook)):
                    run.one_step()

    def test_an_epoch_end_that_was_never_called_is_named(self, row):
        """Where a method needs it: at the first step of the next epoch, and not before."""
        for wrap in WRAPS:
            run = Run(wrap(row.make(2), 2), NAMES[:2], skip=("epoch_end",)).advance(BATCHES)
            if not row.make(2).needs_epoch_end:
                run.advance(1)
                continue
            with pytest.raises(RuntimeError, match=not_called(row, "epoch_end")):
                run.one_step()

    def test_an_epoch_end_that_is_called_no_more_is_named(self, row):
        for wrap in WRAPS:
            run = Run(wrap(row.make(2), 2), NAMES[:2]).advance(2 * BATCHES - 1)
            run.skip = ("epoch_end",)
            run.advance(1)
            if not row.make(2).needs_epoch_end:
                run.advance(1)
                continue
            with pytest.raises(RuntimeError, match=not_called(row, "epoch_end")):
                run.one_step()

    def test_labels_of_another_type_are_named(self, row):
        for wrap in WRAPS:
            step = Step(wrap(row.make(2), 2))
            step.labels = step.labels.float()
            with pytest.raises(ValueError, match=r"labels are torch.float32, but must be torch.in"):
                step.modulate()

    def test_a_parameter_in_two_groups_is_named(self, row):
        for wrap in WRAPS:
            step = Step(wrap(row.make(2), 2))
            step.groups["visual"] = [*step.groups["visual"], step.groups["audio"][0]]
            with pytest.raises(ValueError, match=r"groups\['audio'\] and groups\['visual'\] share"):
                step.modulate()

    def test_a_parameter_twice_in_a_group_is_named(self, row):
        for wrap in WRAPS:
            step = Step(wrap(row.make(2), 2))
            step.groups["visual"] = [*step.groups["visual"], step.groups["visual"][1]]
            with pytest.raises(ValueError, match=r"groups\['visual'\] holds a parameter twice"):
                step.modulate()

    def test_a_group_that_is_no_list_of_parameters_is_named(self, row):
        for wrap, wrong in itertools.product(WRAPS, WRONG_GROUPS):
            step = Step(wrap(row.make(2), 2))
            step.groups["visual"] = wrong
            with pytest.raises(TypeError, match=r"groups\['visual'\] is a \w+, but must be a list"):
                step.modulate()

    def test_a_forgotten_backward_is_named(self, row):
        for wrap in WRAPS:
            step = Step(wrap(row.make(2), 2))
            step.net.zero_grad()
            with pytest.raises(RuntimeError, match="call backward before modulate"):
                step.modulate()

    def test_a_frozen_encoder_is_left_out(self, row):
        for wrap in WRAPS:
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


@every_row
def test_a_resumed_loop_may_start_inside_any_epoch(row):
    """What was called before the cut is not asked for again."""
    run = Run(row.make(2), NAMES[:2]).advance(BATCHES + 1)
    again = Run(row.make(2), NAMES[:2]).restore(run.state(), 2 * BATCHES)
    again.advance(1)


def test_the_table_holds_methods_that_need_an_epoch_end():
    """MILES always, and what is guided by probes where the test set feeds its average."""
    needing = {row.name for row in ROWS if row.make(2).needs_epoch_end}
    assert needing == {"miles", "frequency", "staleness", "throttle", "boost"}
    assert not Throttle().needs_epoch_end
    assert not REGISTRY["frequency"]("fixed", probe_ema="study").needs_epoch_end  # it has no probe


@pytest.mark.parametrize("start", [1, 2, 3])
def test_in_a_window_the_epoch_end_is_asked_for_inside_alone(start):
    run = Run(During(REGISTRY["miles"](), start, 9), NAMES[:2], skip=("epoch_end",))
    run.advance(BATCHES * max(start - 1, 1))
    with pytest.raises(RuntimeError, match=r"MILES\.epoch_end was not called"):
        run.advance(BATCHES + 1)


# --------------------------------------------------------------------- several micro-batches


def parts_of(outputs: Outputs, sizes: tuple[int, ...]) -> list[Outputs]:
    """Return the rows of one batch as micro-batches."""
    logits = outputs.logits.split(sizes)
    unimodal = {m: o.split(sizes) for m, o in outputs.unimodal_logits.items()}
    features = {m: z.split(sizes) for m, z in outputs.features.items()}
    return [
        Outputs(
            logits[i],
            {m: pieces[i] for m, pieces in unimodal.items()},
            {m: pieces[i] for m, pieces in features.items()},
            outputs.fuse,
        )
        for i in range(len(sizes))
    ]


@every_row
def test_micro_batches_are_one_batch(row):
    """Gradient accumulation: the same gradients and the outputs of all give the same step."""
    whole, joined = Step(row.make(2)), Step(row.make(2))
    joined.outputs = Outputs.cat(parts_of(joined.outputs, (4, 1, 3, 2)))
    records = [step.modulate() for step in (whole, joined)]
    assert identical(*records)
    assert identical(*(step.method.state_dict() for step in (whole, joined)))
    for p, q in zip(whole.net.parameters(), joined.net.parameters(), strict=True):
        assert identical(p.grad, q.grad)


def test_joined_outputs_hold_no_graph_and_keep_their_order():
    step = Step(OGM())
    joined = Outputs.cat(parts_of(step.outputs, (7, 3)))
    for kind in ("unimodal_logits", "features"):
        found, expected = getattr(joined, kind), getattr(step.outputs, kind)
        assert list(found) == list(expected)
        for m in expected:
            assert torch.equal(found[m], expected[m])
            assert not found[m].requires_grad
    assert torch.equal(joined.logits, step.outputs.logits)
    assert not joined.logits.requires_grad
    assert joined.fuse is step.outputs.fuse


def test_micro_batches_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="there are no outputs to join"):
        Outputs.cat([])
    first, second = parts_of(Step(OGM()).outputs, (5, 5))
    turned = dict(reversed(second.unimodal_logits.items()))
    for change in ({"unimodal_logits": turned}, {"features": {}}):
        (kind,) = change
        with pytest.raises(ValueError, match=f"the {kind} of the micro-batches have the modaliti"):
            Outputs.cat([first, dataclasses.replace(second, **change)])


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"logits": torch.zeros(BATCH)}, ValueError, r"the logits 'fused' have shape \(10,\), but"),
        (
            {"unimodal_logits": {"audio": torch.zeros(BATCH), "visual": torch.zeros(BATCH, 3)}},
            ValueError,
            r"the logits 'audio' have shape \(10,\), but must be \(B, C\)",
        ),
        (
            {"unimodal_logits": [torch.zeros(BATCH, 3)]},
            TypeError,
            "is a list, but must be {modality",
        ),
        ({"unimodal_logits": None}, TypeError, "is a NoneType, but must be {modality"),
        ({"unimodal_logits": {}}, ValueError, "is empty; it names the modalities"),
    ],
)
def test_outputs_of_another_kind_are_named(change, kind, message):
    step = Step(OGM())
    step.outputs = dataclasses.replace(step.outputs, **change)
    with pytest.raises(kind, match=message):
        step.modulate()


def test_labels_that_are_no_tensor_are_named():
    step = Step(OGM())
    step.labels = step.labels.tolist()
    with pytest.raises(TypeError, match="labels is a list, but must be a tensor"):
        step.modulate()


def test_terms_that_frequency_cannot_tell_apart_are_named():
    step = Step(Frequency(adaptation="fixed"))
    terms = {"fused": torch.zeros(()), "ce_audio": torch.zeros(())}
    with pytest.raises(
        ValueError, match="the terms are fused, ce_audio; name each by its modality"
    ):
        step.method.terms(terms, step.outputs, step.labels, step.clock)
