"""Chains and windows of methods."""

from __future__ import annotations

import re

import pytest
import torch
from small_loop import (
    BATCHES,
    NAMES,
    STEPS,
    Run,
    Step,
)
from torch import nn

from asgml_core.modulators import (
    OGM,
    Chain,
    Clock,
    During,
    Modulator,
    Throttle,
    UnimodalLosses,
)


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


def test_default_windows_are_shares_of_a_run():
    """OGM-GE works in the first half of the epochs, and in one of one."""
    assert [OGM().default_window(epochs) for epochs in (100, 30, 5, 1)] == [
        (0, 50), (0, 15), (0, 2), (0, 1)
    ]  # fmt: skip
    assert Throttle().default_window(100) is None
