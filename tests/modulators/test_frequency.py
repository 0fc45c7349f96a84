"""Frequency, step by step, against a second implementation, and what its settings mean."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from naive_parts import SIZES, NaiveSignal, train_both
from small_loop import BATCHES as SHORT
from small_loop import NAMES, STEPS, Run, Step, same_weights
from torch import Tensor
from torch.nn import functional as F

from asgml_core.modulators import (
    OGMGE,
    Chain,
    Clock,
    Frequency,
    Modulator,
    Outputs,
    UnimodalLosses,
)

BATCHES, EPOCHS = 10, 4


class NaiveFrequency:
    """METHODS.md, line by line."""

    def __init__(self, modalities: list[str], settings: dict[str, Any], batches: int) -> None:
        self.signal = NaiveSignal(modalities, settings)
        self.times = self.signal.times(batches)
        self.mask = settings.get("soft_mask_scale", 0.1)
        self.skip = settings.get("skip", "zero")
        self.periods = dict.fromkeys(modalities, 1)
        if settings.get("adaptation") == "fixed":
            self.periods[self.signal.settings["dominant"]] = settings.get("ratio", 2)
        self.seen: list[dict[str, int]] = []

    def weights(self, step: int) -> dict[str, int]:
        return {m: int(step % max(n, 1) == 0) for m, n in self.periods.items()}

    def edit(
        self,
        step: int,
        batch: int,
        outputs: Outputs,
        labels: Tensor,
        raw: dict[str, list[Tensor]],
        losses: dict[str, float],
    ) -> tuple[dict[str, list[Tensor | None]], dict[str, float]]:
        updates = self.weights(step)
        told = {f"period/{m}": n for m, n in self.periods.items()}
        told |= {f"updates/{m}": u for m, u in updates.items()}
        self.seen.append(dict(self.periods))
        self.signal.see(raw, losses)
        edited = {m: [self.masked(g, updates[m]) for g in raw[m]] for m in raw}
        if batch + 1 in self.times:
            told |= self.signal.move(outputs, labels)
            whole = {m: round(tau) for m, tau in self.signal.tau.items()}
            longest = int(self.signal.settings["kappa"] * min(max(n, 1) for n in whole.values()))
            self.periods = {m: min(n, longest) for m, n in whole.items()}
        return edited, told

    def masked(self, gradient: Tensor, updates: int) -> Tensor | None:
        if updates:
            return gradient
        return None if self.skip == "freeze" else gradient * self.mask

    def epoch_end(self, test: Any) -> None:
        if self.signal.settings["probe_ema"] == "study":
            self.signal.probes.epoch_end(test)


SHARP = {"signal_source": "probe", "threshold_delta": 0.0, "probe_steps": 15}
CASES = {
    "as in the study": (2, {}, 1.0),
    "dual of three": (3, {"eval_every": 3, "tau_base": 2.6, "beta": 0.2}, 0.5),
    "dual of six": (6, {"eval_every": 4, "kappa": 1.5, "tau_base": 3.4}, 1.0),
    "gradients alone": (2, {"eval_every": 2, "beta": 1.0, "tau_base": 3.0}, 1.5),
    "losses alone": (3, {"eval_every": 5, "beta": 0.0, "tau_max": 4.0, "tau_min": 1.5}, 0.25),
    "probe": (2, {**SHARP, "eval_every": 3, "tau_base": 3.0}, 1.0),
    "probe of three, split": (3, {**SHARP, "probe_split": True, "seed": 3, "tau_base": 2.7}, 1.0),
    "probe, now balanced": (
        3,
        SHARP | {"eval_every": 2, "threshold_delta": 0.14, "tau_base": 3.5, "tau_min": 2.0},
        1.0,
    ),
    "both": (3, {"signal_source": "both", "eval_every": 4, "tau_base": 2.4}, 1.0),
    "both, fed by the test set": (
        2,
        {"signal_source": "both", "eval_every": 3, "probe_ema": "study", "tau_base": 3.3},
        1.0,
    ),
    "hard skip": (3, {"eval_every": 3, "soft_mask_scale": 0.0, "tau_base": 2.6}, 1.0),
    "freeze": (3, {"eval_every": 3, "skip": "freeze", "tau_base": 2.6}, 1.0),
    "fixed": (2, {"adaptation": "fixed"}, 1.0),
    "fixed of three": (
        3,
        {"adaptation": "fixed", "ratio": 4, "dominant": "text", "soft_mask_scale": 0.3},
        0.5,
    ),
    "fixed freeze": (
        2,
        {"adaptation": "fixed", "ratio": 3, "dominant": "visual", "skip": "freeze"},
        1.0,
    ),
}


@functools.cache
def train(case: str) -> tuple[Frequency, NaiveFrequency]:
    count, settings, gamma = CASES[case]
    modalities = list(SIZES)[:count]
    settings = {"probe_steps": 8} | settings if settings else settings  # 50 once, they cost time
    method, naive = Frequency(**settings), NaiveFrequency(modalities, settings, BATCHES)
    train_both(method, naive, modalities, BATCHES, EPOCHS, gamma)
    return method, naive


@pytest.mark.parametrize("case", CASES)
def test_the_whole_trajectory(case):
    method, naive = train(case)
    assert int(method.measured) == EPOCHS * len(naive.times)
    skipped = [t for t, n in enumerate(naive.seen) if any(t % k for k in n.values())]
    assert int(method.acted) == len(skipped) > 4  # it compares something that was done
    if "fixed" not in case:
        assert len({tuple(n.values()) for n in naive.seen}) > 1


def test_the_cases_show_what_they_are_meant_to_show():
    """Some period is cut by kappa, some by the gap, and the modalities do not all skip at once."""
    cut = train("dual of six")[1]
    assert max(round(tau) for tau in cut.signal.tau.values()) > max(cut.seen[-1].values())
    balanced = [set(n.values()) == {2} for n in train("probe, now balanced")[1].seen]
    assert any(balanced[4:])
    assert not all(balanced[4:])
    assert any(len(set(n.values())) > 1 for n in train("dual of three")[1].seen)


# ------------------------------------------------------------------------- what it means


def steps_that_update(record: list[dict[str, Tensor]], m: str) -> list[int]:
    return [t for t, told in enumerate(record) if float(told[f"updates/{m}"]) == 1]


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_the_global_step_counts_from_0_and_on_over_the_epochs(ratio):
    run = Run(Frequency("fixed", ratio=ratio, dominant="visual"), NAMES[:2]).advance(STEPS)
    assert steps_that_update(run.records, "visual") == list(range(0, STEPS, ratio))
    assert steps_that_update(run.records, "audio") == list(range(STEPS))


def test_a_period_set_after_a_step_acts_from_the_next():
    method = Frequency(eval_every=SHORT, probe_steps=1, tau_base=3.0, tau_min=3.0)
    run = Run(method, NAMES[:2]).advance(STEPS)
    periods = [int(told["period/audio"]) for told in run.records]
    assert periods == [1] * SHORT + [3] * (STEPS - SHORT)  # step 2 sets it, step 3 has it
    assert steps_that_update(run.records, "audio") == [0, 1, 2, 3, 6]


@pytest.mark.parametrize("skip", ["zero", "freeze"])
def test_what_moves_on_a_skipped_step(skip):
    """Zero leaves momentum and weight decay at work, freeze leaves nothing; the fusion head goes
    on in both, and so does the other encoder."""
    method = Frequency("fixed", ratio=5, soft_mask_scale=0.0, skip=skip)
    run = Run(method, NAMES[:2])
    for group in run.optimizer.param_groups:
        group["weight_decay"] = 0.1
    run.advance(1)
    velocity = {p: run.optimizer.state[p]["momentum_buffer"].clone() for p in run.groups["audio"]}
    for _ in range(3):
        before = {p: p.detach().clone() for parts in run.groups.values() for p in parts}
        run.advance(1)
        for p in run.groups["audio"]:
            if skip == "freeze":
                assert torch.equal(p, before[p])
                assert torch.equal(run.optimizer.state[p]["momentum_buffer"], velocity[p])
            else:
                velocity[p] = 0.9 * velocity[p] + 0.1 * before[p]
                torch.testing.assert_close(p.detach(), before[p] - 0.05 * velocity[p])
        for name in ("visual", "fusion"):
            assert not any(torch.equal(p, before[p]) for p in run.groups[name])


def test_the_unimodal_loss_of_a_skipped_modality_is_left_out():
    method = Frequency("fixed", ratio=2, dominant="audio")
    weight = torch.ones((), requires_grad=True)
    terms = {name: weight * size for name, size in (("fused", 1.0), ("audio", 4.0), ("other", 2.0))}
    logits = torch.zeros(2, 3)
    outputs = Outputs(logits, {"audio": logits, "visual": logits}, {})
    sums = {}
    for step in (0, 1, 2, 3):
        found = method.terms(terms, outputs, torch.tensor([0, 1]), Clock(1, step, step, 4, 1))
        assert list(found) == list(terms)  # every head has a gradient on every step
        sums[step] = float(sum(found.values()).detach())
    assert sums == {0: 7.0, 1: 3.0, 2: 7.0, 3: 3.0}


class Growing(Modulator):
    """Stands for a method that edits gradients before frequency does."""

    def gradients(self, outputs, labels, groups, clock):
        for m in outputs.unimodal_logits:
            for p in groups[m]:
                p.grad.mul_(1000.0 if m == "audio" else 1.0)
        return {}


def test_the_speed_follows_the_raw_gradient():
    """What a part before it in the chain does to the gradient must not change the signal."""
    norms = []
    for first in (UnimodalLosses(), Growing()):
        method = Frequency(eval_every=1, probe_steps=1)
        run = Run(Chain(first, method), NAMES[:2], unimodal=True).advance(1)
        raw = Run(None, NAMES[:2], unimodal=True).advance(1).groups
        for m in NAMES[:2]:
            expected = 0.1 * torch.cat([p.grad.flatten() for p in raw[m]]).norm()
            torch.testing.assert_close(method.norms[NAMES.index(m)], expected)
        norms.append(run.records[0]["frequency/speed/audio"])
    assert torch.equal(*norms)


def test_with_ogm_ge_the_mask_comes_last():
    """The noise of OGM-GE on a skipped step is masked, too."""
    alone = Step(OGMGE(scope="all", variant="official", seed=3))
    both = Step(Chain(OGMGE(scope="all", variant="official", seed=3), Frequency("fixed", ratio=2)))
    both.clock = alone.clock = Clock(1, 1, SHORT - 1, SHORT, 3)
    for step in (alone, both):
        step.net.zero_grad()
        step.method.terms({}, step.outputs, step.labels, step.clock)
        F.cross_entropy(step.net.fuse(step.net.encode(step.inputs)).logits, step.labels).backward()
        step.modulate()
    for m, scale in (("audio", 0.1), ("visual", 1.0)):
        for p, expected in zip(both.groups[m], alone.groups[m], strict=True):
            torch.testing.assert_close(p.grad, scale * expected.grad)


def test_a_dominant_modality_that_is_not_there_is_named():
    step = Step(Frequency("fixed", dominant="visual"))
    step.method.dominant = "video"
    with pytest.raises(ValueError, match=r"frequency: dominant is 'video', but must be .*'visual'"):
        step.modulate()


def test_frequency_comes_after_what_adds_terms():
    for parts in ((Frequency(), UnimodalLosses()), (Chain(Frequency()), UnimodalLosses())):
        with pytest.raises(ValueError, match="'frequency' weighs terms of the loss, so it comes"):
            Chain(*parts)
    chain = Chain(UnimodalLosses(), OGMGE(), Frequency("fixed"))
    assert [part.name for part in chain.parts()] == ["unimodal_losses", "ogm_ge", "frequency"]


def test_with_two_level_modalities_both_skip_together():
    """Speeds around 1 give the period tau_base to both: the study found that out the hard way."""
    method = Frequency(eval_every=1, probe_steps=1, beta=1.0)
    logits, labels = torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])
    features = {m: torch.randn(4, 2, generator=torch.Generator().manual_seed(1)) for m in SIZES}
    pair = ("audio", "visual")
    groups = {m: [torch.nn.Parameter(torch.zeros(3))] for m in pair}
    outputs = Outputs(logits, dict.fromkeys(pair, logits), {m: features[m] for m in pair})
    for step in range(6):
        clock = Clock(1, step, step, 6, 1)
        method.terms({}, outputs, labels, clock)
        for i, m in enumerate(pair):
            groups[m][0].grad = torch.full((3,), 1.0 + 0.2 * i)
        record = method.modulate(outputs, labels, groups, clock)
    assert record["period/audio"] == record["period/visual"] == 2
    assert record["updates/audio"] == record["updates/visual"] == 0


def test_a_mask_of_1_is_not_a_skip_of_the_gradient_but_of_the_loss():
    """It shows that the two halves of a skip are separate."""
    masked = Run(Frequency("fixed", ratio=2, soft_mask_scale=1.0), NAMES[:2]).advance(STEPS)
    plain = Run(None, NAMES[:2], unimodal=True).advance(STEPS)
    joint = Run(None, NAMES[:2]).advance(STEPS)
    assert not same_weights(masked, plain)
    alone = Run(
        Frequency("fixed", ratio=2, soft_mask_scale=1.0), NAMES[:2], unimodal=False
    ).advance(STEPS)
    assert same_weights(alone, joint)
