"""Every method at the edges: odd logits, batches, encoders and gradients.

It does something defined, or it says what is wrong.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools

import pytest
import torch
from methods_table import Row, every_row
from small_loop import BATCHES, EPOCHS, NAMES, STEPS, Net, Run, Step, identical
from torch import Tensor, nn
from torch.nn import functional as F

from asgml_core.modulators import OGMGE, Chain, Clock, During, Outputs, base
from asgml_core.modulators.editing import Random, add_noise
from asgml_core.probes import Probes
from asgml_core.seeding import derive_seed

INF, NAN = float("inf"), float("nan")


def finite(value: object) -> bool:
    """Return whether every number in a nested state is finite."""
    if isinstance(value, Tensor):
        return bool(value.isfinite().all())
    if value is None:
        return True
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(finite, value))


class Told:
    """What a method is told of one batch, again and again, with nothing computed anew."""

    def __init__(self, row: Row) -> None:
        self.step = Step(row.make(2))
        self.method, self.labels = self.step.method, self.step.labels.clone()
        self.outputs = Outputs.cat([self.step.outputs])
        self.groups = self.step.groups
        self.raw = {p: p.grad for p in self.step.net.parameters()}

    def modulate(self, t: int) -> dict[str, Tensor]:
        clock = Clock(t // BATCHES + 1, t, t % BATCHES, BATCHES, EPOCHS)
        for p, g in self.raw.items():
            p.grad = g.clone()
        terms = {name: torch.zeros(()) for name in ("fused", "audio", "visual")}
        self.method.terms(terms, self.outputs, self.labels, clock)
        self.method._called.add("epoch_end")
        return self.method.modulate(self.outputs, self.labels, self.groups, clock)

    def check(self, count: int = BATCHES + 1) -> None:
        """Take steps; what the method makes and keeps is finite, and so is what it records."""
        for t in range(count):
            assert finite(self.modulate(t))
            assert finite([p.grad for p in self.raw])
        assert finite(self.method.state_dict())


def reads_a_split_probe(row: Row) -> bool:
    """Return whether a row's method reads probes on a part of the batch that they were not fed."""
    method = row.make(2)
    reads = getattr(method, "measures", False)
    return reads and any(p.split for p in method.modules() if isinstance(p, Probes))


# ----------------------------------------------------------------------------------- logits


@every_row
def test_odd_unimodal_logits(row):
    """The heads may overflow where they are in no loss; the encoders' gradients are finite then."""
    values = (0.0, 1e30, -1e30, INF, -INF, NAN)
    for value, whose in itertools.product(values, (("audio",), ("visual",), NAMES[:2])):
        told = Told(row)
        odd = {m: torch.zeros_like(o) for m, o in told.outputs.unimodal_logits.items()}
        for m in whose:
            odd[m][::2, 0] = value
        told.outputs = dataclasses.replace(told.outputs, unimodal_logits=odd)
        told.check()


@every_row
def test_logits_that_say_all_or_nothing(row):
    """The scores are 0 and B: a ratio of infinity."""
    told = Told(row)
    sure = 1e4 * F.one_hot(told.labels, 3).float()
    for audio in (sure, -sure):
        logits = {"audio": audio, "visual": -audio}
        told.outputs = dataclasses.replace(told.outputs, unimodal_logits=logits)
        told.check()
        told = Told(row)


@every_row
def test_odd_features(row):
    for size in (0.0, 1e-30, 1e15):
        told = Told(row)
        odd = {m: size * z for m, z in told.outputs.features.items()}
        told.outputs = dataclasses.replace(told.outputs, features=odd)
        told.check()


# ---------------------------------------------------------------------------------- batches


@every_row
def test_one_class_in_the_batch(row):
    told = Told(row)
    told.labels.fill_(1)
    told.check()


@every_row
def test_a_batch_of_one(row):
    step = Step(row.make(2))
    step.inputs = {m: x[:1] for m, x in step.inputs.items()}
    step.labels = step.labels[:1]
    step.clock = dataclasses.replace(step.clock, batch=(BATCHES - 1) // 2)
    if "eval_every" in row.settings:
        step.clock = dataclasses.replace(step.clock, batch=(row.settings["eval_every"] or 2) - 1)
    step.again()
    if reads_a_split_probe(row):
        with pytest.raises(ValueError, match="a split probe needs 2 items or more, but the batch"):
            step.modulate()
    else:
        assert finite(step.modulate())
        assert finite({n: p.grad for n, p in step.net.named_parameters() if p.grad is not None})


# --------------------------------------------------------------------------------- encoders


@every_row
@pytest.mark.parametrize("frozen", NAMES[:2])
def test_a_frozen_encoder_stays_as_it_is(row, frozen):
    run = Run(row.make(2), NAMES[:2])
    for p in run.groups[frozen]:
        p.requires_grad_(False)
    before = [p.clone() for p in run.groups[frozen]]
    other = NAMES[1 - NAMES.index(frozen)]
    start = run.groups[other][0].detach().clone()
    run.advance(STEPS)
    assert all(p.grad is None for p in run.groups[frozen])
    assert all(map(torch.equal, run.groups[frozen], before))
    switched_off = row.settings.get("scale") == 0 and row.settings["modality"] == other
    assert torch.equal(run.groups[other][0], start) == switched_off
    assert finite(run.state())
    assert finite(run.records + run.epochs)


@every_row
def test_one_parameter_without_a_gradient(row):
    run = Run(row.make(2), NAMES[:2])
    still = [run.net.encoders[m][4].bias for m in NAMES[:2]]
    before = [p.detach().clone() for p in still]
    for p in still:
        p.requires_grad_(False)
    run.advance(STEPS)
    assert all(p.grad is None for p in still)
    assert all(map(torch.equal, still, before))
    assert finite(run.state())
    assert int(run.method.acted) > 0


@every_row
def test_an_encoder_without_convolutions(row):
    """It is an error where convolutions were asked for, and works where they were not."""
    step = Step(row.make(2))
    step.groups = {m: list(step.net.encoders[m][4].parameters()) for m in NAMES[:2]}
    if getattr(step.method, "scope", None) == "conv":
        with pytest.raises(ValueError, match="scope is 'conv', but the encoder 'audio' has no gra"):
            step.modulate()
    else:
        assert finite(step.modulate())


@every_row
def test_a_parameter_of_no_numbers(row):
    """A layer of width 0 is odd, and no reason to stop."""
    told, empty = Told(row), nn.Parameter(torch.zeros(0, 3, 1, 1))
    told.raw[empty] = torch.zeros_like(empty)
    told.groups["audio"] = [*told.groups["audio"], empty]
    told.check()


# -------------------------------------------------------------------------------- gradients


def next_step(run: Run) -> tuple:
    """Return the arguments of a run's next ``modulate``: hooks called, gradients filled."""
    step = Step(run.method)
    step.clock = Clock(2, BATCHES, 0, BATCHES, EPOCHS)
    step.net, step.groups = run.net, run.groups
    step.again()
    return told_by(step)


def told_by(step: Step) -> tuple:
    return step.outputs, step.labels, step.groups, step.clock


@every_row
@pytest.mark.parametrize(
    ("group", "value", "chained"),
    [("audio", NAN, False), ("visual", INF, False), ("fusion", -INF, False), ("audio", INF, True)],
)
def test_gradients_that_are_not_finite_leave_everything_alone(row, group, value, chained):
    """A step that a scaler will leave out: no state moves, no gradient is edited."""
    method = Chain(During(row.make(2), 0, 9)) if chained else row.make(2)
    run = Run(method, NAMES[:2]).advance(BATCHES)
    arguments = next_step(run)
    run.groups[group][-1].grad.flatten()[-1] = value
    before = copy.deepcopy(run.method.state_dict())
    gradients = {n: p.grad.clone() for n, p in run.net.named_parameters()}
    assert run.method.modulate(*arguments) == {}
    assert identical(run.method.state_dict(), before)
    for name, p in run.net.named_parameters():
        assert p.grad.nan_to_num(7.0).equal(gradients[name].nan_to_num(7.0)), name
    run.step = BATCHES
    run.advance(2)  # and the next steps are like any other
    assert finite(run.records)


@every_row
def test_the_first_step_of_all_may_be_left_out(row):
    step = Step(row.make(2))
    step.groups["audio"][0].grad.fill_(INF)
    before = copy.deepcopy(step.method.state_dict())
    assert step.modulate() == {}
    assert identical(step.method.state_dict(), before)


@every_row
def test_a_loop_that_knows_is_believed(row, monkeypatch):
    """``finite=True`` does not look, which would wait for a GPU; ``False`` leaves the step out."""

    def looked(groups: dict) -> bool:
        raise AssertionError("it looked")

    monkeypatch.setattr(base, "gradients_are_finite", looked)
    step = Step(row.make(2))
    before = copy.deepcopy(step.method.state_dict())
    assert step.method.modulate(*told_by(step), finite=False) == {}
    assert identical(step.method.state_dict(), before)
    step.again()
    step.method.modulate(*told_by(step), finite=True)
    assert not identical(step.method.state_dict(), before)
    step.again()
    with pytest.raises(AssertionError, match="it looked"):
        step.modulate()


@every_row
def test_large_but_finite_gradients_are_not_left_out(row):
    """Their squares overflow float32; the gradients do not."""
    step = Step(row.make(2))
    for m in NAMES[:2]:
        for p in step.groups[m]:
            p.grad.fill_(1e25)
    before = copy.deepcopy(step.method.state_dict())
    step.modulate()
    assert not identical(step.method.state_dict(), before)
    assert finite([p.grad for p in step.net.parameters()])
    assert finite(step.method.state_dict())  # a norm that overflowed must not stay in an average


def test_the_small_loop_s_net_has_features_of_different_sizes():
    """What every row above runs on: no test here rests on equal sizes."""
    sizes = [layers[4].out_features for layers in Net(NAMES).encoders.values()]
    assert len(set(sizes)) > 3


def test_noise_is_drawn_where_the_last_one_was_and_is_the_same_as_drawn_afresh():
    """One piece of memory for gradients of all sizes, layouts and types."""
    random, draw = Random(3, "noise"), torch.Generator().manual_seed(derive_seed(3, "noise"))
    for shape, dtype in (((4, 3, 3, 3), torch.float32), ((2, 5), torch.float32),
                         ((40, 3, 3, 3), torch.float32), ((2, 5), torch.float64)):  # fmt: skip
        gradient = torch.randn(shape, dtype=dtype)
        if len(shape) == 4:
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        expected = gradient + 0.5 * torch.empty(shape, dtype=dtype).normal_(generator=draw)
        add_noise(gradient, 0.5, random)
        assert torch.equal(gradient, expected)


def test_an_encoder_that_is_not_damped_takes_its_share_of_the_noise_s_stream():
    """So what the other gets does not depend on which of the two is damped."""
    changed = []
    for k in (torch.tensor(1.0), torch.tensor(0.4)):
        method = OGMGE(seed=5)
        first, second = torch.ones(3, 2, 2, 2), torch.randn(3, 2, 2, 2)
        kept = first.clone()
        method.edit([first], k)
        assert torch.equal(first, kept) == (k == 1)
        before = second.clone()
        method.edit([second], torch.tensor(0.4))
        changed.append((second - 0.4 * before) / (before.std() + 1e-8))
    torch.testing.assert_close(changed[0], changed[1])
