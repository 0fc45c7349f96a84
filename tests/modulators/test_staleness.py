"""Staleness, step by step, against a second implementation, and what its settings mean."""

from __future__ import annotations

import copy
import functools
import itertools
from typing import Any

import pytest
import torch
from naive_parts import SIZES, NaiveSignal, train_both
from small_loop import NAMES, STEPS, Run, Step, identical, same_weights
from torch import Tensor, nn

from asgml_core.modulators import OGM, Chain, Clock, GradientNoise, Outputs, Staleness

BATCHES, EPOCHS = 10, 4


class NaiveStaleness:
    """METHODS.md, line by line; it keeps every gradient it ever saw."""

    def __init__(self, modalities: list[str], settings: dict[str, Any], batches: int) -> None:
        self.signal = NaiveSignal(modalities, settings)
        self.times = self.signal.times(batches)
        self.compensation = settings.get("lambda_comp", 0.1)
        self.study = settings.get("variant") == "study"
        self.lags = dict.fromkeys(modalities, 0)
        if settings.get("adaptation") == "fixed":
            self.lags[self.signal.settings["dominant"]] = settings.get("staleness", 2)
        self.history: dict[str, list[list[Tensor]]] = {m: [] for m in modalities}
        self.seen: list[dict[str, int]] = []

    def weights(self, step: int) -> dict[str, int]:
        return dict.fromkeys(self.lags, 1)  # no unimodal loss is ever left out

    def edit(
        self,
        step: int,
        batch: int,
        outputs: Outputs,
        labels: Tensor,
        raw: dict[str, list[Tensor]],
        losses: dict[str, float],
    ) -> tuple[dict[str, list[Tensor]], dict[str, float]]:
        told = {f"lag/{m}": s for m, s in self.lags.items()}
        self.seen.append(dict(self.lags))
        self.signal.see(raw, losses)
        edited = {m: self.old(m, step, raw[m]) for m in raw}
        if batch + 1 in self.times:
            told |= self.signal.move(outputs, labels)
            lags = {m: round(tau) - 1 for m, tau in self.signal.tau.items()}
            longest = int(self.signal.settings["kappa"] * min(max(s, 1) for s in lags.values()))
            self.lags = {m: min(s, longest) for m, s in lags.items()}
        return edited, told

    def old(self, m: str, step: int, fresh: list[Tensor]) -> list[Tensor]:
        lag = self.lags[m]
        self.history[m].append([g.clone() for g in fresh])  # history[i] is that of step i
        wanted = step - (lag - 1 if self.study else lag)
        if lag == 0 or wanted < 0:
            return fresh
        return [g / (1 + self.compensation * lag) for g in self.history[m][wanted]]

    def epoch_end(self, test: Any) -> None:
        if self.signal.settings["probe_ema"] == "study":
            self.signal.probes.epoch_end(test)


SHARP = {"signal_source": "probe", "threshold_delta": 0.0, "probe_steps": 15}
STUDY = {"variant": "study"}
CASES = {
    "as in the definition": (2, {}),
    "as in the study": (2, STUDY),
    "dual of three": (3, {"eval_every": 3, "tau_base": 3.4, "lambda_comp": 0.3}),
    "dual of three, the study's": (3, STUDY | {"eval_every": 3, "tau_base": 3.4}),
    "dual of six": (6, {"eval_every": 4, "kappa": 1.5, "tau_base": 4.4, "beta": 0.3}),
    "probe": (2, SHARP | {"eval_every": 3, "tau_base": 3.0}),
    "probe, the study's": (3, SHARP | STUDY | {"eval_every": 2, "tau_base": 4.0}),
    "both": (3, {"signal_source": "both", "eval_every": 4, "tau_base": 2.6}),
    "both, fed by the test set": (
        2,
        {"signal_source": "both", "eval_every": 3, "probe_ema": "study", "tau_base": 4.3},
    ),
    "fixed": (2, {"adaptation": "fixed"}),
    "fixed, the study's": (2, STUDY | {"adaptation": "fixed", "lambda_comp": 0.5}),
    "fixed at 5": (3, {"adaptation": "fixed", "staleness": 5, "dominant": "text"}),
    "fixed at 1, the study's": (2, STUDY | {"adaptation": "fixed", "staleness": 1}),
    "no compensation": (2, {"adaptation": "fixed", "staleness": 3, "lambda_comp": 0.0}),
}


@functools.cache
def train(case: str) -> tuple[Staleness, NaiveStaleness]:
    count, settings = CASES[case]
    modalities = list(SIZES)[:count]
    settings = {"probe_steps": 8} | settings if settings else settings  # 50 once, they cost time
    method, naive = Staleness(**settings), NaiveStaleness(modalities, settings, BATCHES)
    train_both(method, naive, modalities, BATCHES, EPOCHS)
    return method, naive


@pytest.mark.parametrize("case", CASES)
def test_the_whole_trajectory(case):
    method, naive = train(case)
    assert int(method.measured) == EPOCHS * len(naive.times)
    assert int(method.acted) > 4  # it compares something that was done
    if "fixed" not in case and "no" not in case:
        assert len({tuple(lags.values()) for lags in naive.seen}) > 1


def test_the_cases_show_what_they_are_meant_to_show():
    """Long lags, lags that move up and down, and one that kappa cuts."""
    moving = train("dual of three")[1].seen
    assert max(max(lags.values()) for lags in moving) >= 3
    changes = [b[m] - a[m] for a, b in itertools.pairwise(moving[4:]) for m in a]
    assert min(changes) < 0 < max(changes)
    cut = train("dual of six")[1]
    assert max(round(t) - 1 for t in cut.signal.tau.values()) > max(cut.seen[-1].values())


# ------------------------------------------------------------------------- what it means


class Track:
    """Gradients by hand: that of step t is t + 1, and what a method made of it is kept."""

    def __init__(self, method: Staleness, parameters: int = 1) -> None:
        self.method = method
        logits = torch.zeros(2, 3)
        self.outputs = Outputs(logits, {"audio": logits, "visual": logits}, {})
        self.groups = {
            m: [nn.Parameter(torch.zeros(2)) for _ in range(parameters)]
            for m in ("audio", "visual")
        }
        self.made: list[list[float | None]] = []

    def step(self, t: int, without: tuple[int, ...] = (), in_place: bool = False) -> None:
        for parameters in self.groups.values():
            for i, p in enumerate(parameters):
                if i in without:
                    p.grad = None
                elif in_place and p.grad is not None:
                    p.grad.fill_(t + 1.0)  # as zero_grad(set_to_none=False) and backward do
                else:
                    p.grad = torch.full((2,), t + 1.0)
        labels = torch.tensor([0, 1])
        self.method.modulate(self.outputs, labels, self.groups, Clock(1, t, t, 99, 1))
        found = [None if p.grad is None else float(p.grad[0]) for p in self.groups["audio"]]
        self.made.append(found)
        assert all(p.grad is None or bool((p.grad == t + 1).all()) for p in self.groups["visual"])


def fixed(lag: int, **settings: Any) -> Staleness:
    return Staleness("fixed", staleness=lag, **settings)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("lag", [1, 2, 4])
def test_a_gradient_of_so_many_steps_ago(lag, in_place):
    track = Track(fixed(lag, lambda_comp=0.25))
    for t in range(9):
        track.step(t, in_place=in_place)
    scale = 1 / (1 + 0.25 * lag)
    expected = [t + 1.0 if t < lag else scale * (t + 1 - lag) for t in range(9)]
    assert [made[0] for made in track.made] == pytest.approx(expected)


@pytest.mark.parametrize("lag", [1, 2, 4])
def test_the_study_s_variant_is_one_step_fresher_at_the_same_scale(lag):
    track = Track(fixed(lag, lambda_comp=0.25, variant="study"))
    for t in range(9):
        track.step(t)
    scale = 1 / (1 + 0.25 * lag)
    expected = [t + 1.0 if t < lag - 1 else scale * (t + 2 - lag) for t in range(9)]
    assert [made[0] for made in track.made] == pytest.approx(expected)


@pytest.mark.parametrize("lambda_comp", [0.05, 0.1, 0.2, 1.0])
def test_a_lag_of_1_in_the_study_is_the_fresh_gradient_scaled(lambda_comp):
    """Bit for bit, from the first step on: the study's staleness of one step was none at all."""
    run = Run(fixed(1, lambda_comp=lambda_comp, variant="study"), NAMES[:2])
    for t in range(4):
        fresh = Run(None, NAMES[:2])
        fresh.net.load_state_dict(run.net.state_dict())
        fresh.step = t
        run.advance(1)
        fresh.advance(1)
        for m, scale in (("audio", 1 / (1 + lambda_comp)), ("visual", 1.0)):
            for p, q in zip(run.groups[m], fresh.groups[m], strict=True):
                assert torch.equal(p.grad, q.grad * scale)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_parameter_that_had_no_gradient_then_keeps_its_fresh_one(in_place):
    """And what it is kept for is not overwritten by the loop's next backward."""
    track = Track(fixed(1, lambda_comp=1.0), parameters=2)
    for t in range(6):
        track.step(t, without=(1,) if t in (0, 3) else (), in_place=in_place)
    assert [made[0] for made in track.made] == [1.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert [made[1] for made in track.made] == [None, 2.0, 1.0, None, 5.0, 2.5]


def test_noise_after_it_does_not_reach_its_history():
    """Later parts edit in place what this one handed on, and so does a loop that fills zeros."""
    noisy = Run(Chain(fixed(2), GradientNoise(1.0, scope="all")), NAMES[:2]).advance(1)
    kept, plain = noisy.method.chained[0]._history["audio"][0], Run(None, NAMES[:2]).advance(1)
    for g, p in zip(kept, plain.groups["audio"], strict=True):
        assert torch.equal(g, p.grad)
    for _ in range(4):
        noisy.advance(1)
        before = copy.deepcopy(noisy.method.state_dict())
        noisy.optimizer.zero_grad(set_to_none=False)
        assert identical(noisy.method.state_dict(), before)


def test_it_keeps_no_more_than_it_can_ask_for():
    for lag, variant, kept in ((3, "definition", 3), (3, "study", 2), (1, "study", 0)):
        run = Run(fixed(lag, variant=variant), NAMES[:2]).advance(STEPS)
        assert len(run.method._history["audio"]) == kept
        assert len(run.method._history["visual"]) == 0
    adaptive = Staleness(eval_every=1, probe_steps=1, tau_base=1.5)
    run = Run(adaptive, NAMES[:2]).advance(STEPS)
    assert len(run.method._history["audio"]) == 2  # tau is 3 at most: twice the base
    assert len(Run(Staleness(tau_max=1.0), NAMES[:2]).advance(3).method._history["audio"]) == 0


def test_ogm_before_it_damps_the_gradient_of_its_own_step():
    """The old gradient carries the coefficient it had then, not today's."""
    method = Chain(OGM(scope="all"), fixed(1, lambda_comp=0.0))
    run, ogm, raw = Run(method, NAMES[:2]), [], []
    for t in range(5):
        run.advance(1)
        ogm.append(float(run.records[t]["ogm/coefficient/audio"]))
        kept = run.method.chained[1]._history["audio"][-1]
        raw.append([g / ogm[t] for g in kept])
        if t:
            for p, g in zip(run.groups["audio"], raw[t - 1], strict=True):
                torch.testing.assert_close(p.grad, ogm[t - 1] * g)
    assert len(set(ogm)) > 1


def test_a_frozen_encoder_is_left_out_and_thaws_with_its_fresh_gradient():
    track = Track(fixed(1, lambda_comp=0.0), parameters=2)
    for t in range(5):
        track.step(t, without=(0,) if t < 2 else ())
    assert [made[0] for made in track.made] == [None, None, 3.0, 3.0, 4.0]
    assert [made[1] for made in track.made] == [1.0, 1.0, 2.0, 3.0, 4.0]


def test_a_dominant_modality_that_is_not_there_is_named():
    step = Step(fixed(1, dominant="video"))
    with pytest.raises(ValueError, match=r"staleness: dominant is 'video', but must be .*'visual'"):
        step.modulate()


def test_a_lag_of_0_is_no_staleness():
    run = Run(fixed(0), NAMES[:2]).advance(STEPS)
    assert same_weights(run, Run(None, NAMES[:2]).advance(STEPS))
    assert int(run.method.acted) == 0
