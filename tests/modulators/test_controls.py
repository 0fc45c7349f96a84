"""The controls: a constant scale, and boost of the wrong side and of a random one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive_parts import SIZES, NaiveProbes, train_both
from small_loop import NAMES, STEPS, Run, Step, identical
from torch import Tensor

from asgml_core.modulators import (
    OGMGE,
    Boost,
    BoostRandom,
    BoostWrong,
    Chain,
    Outputs,
    StaticScale,
    boost_scales,
)
from asgml_core.seeding import generator

# ----------------------------------------------------------------------------- static scale


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("modality", NAMES[:3])
def test_a_constant_on_one_encoder_and_nothing_else(modality, scale):
    run = Run(StaticScale(modality, scale), NAMES[:3])
    for t in range(STEPS):
        plain = Run(None, NAMES[:3])
        plain.net.load_state_dict(run.net.state_dict())
        plain.step = t
        plain.advance(1)
        run.advance(1)
        for name, parameters in run.groups.items():
            for p, raw in zip(parameters, plain.groups[name], strict=True):
                assert torch.equal(p.grad, raw.grad * (scale if name == modality else 1.0))
        assert run.records[t] == {f"scale/{modality}": torch.tensor(scale)}
    assert int(run.method.acted) == STEPS


def test_a_constant_scale_is_a_learning_rate_without_decay():
    """SGD is linear in the gradient: the control is exactly what it is meant to be."""
    scaled = Run(StaticScale("visual", 1.5), NAMES[:2]).advance(STEPS)
    faster = Run(None, NAMES[:2])
    faster.optimizer.param_groups[1]["lr"] *= 1.5
    faster.advance(STEPS)
    for a, b in zip(scaled.net.parameters(), faster.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_modality_that_is_not_there_is_named():
    step = Step(StaticScale("video"))
    with pytest.raises(
        ValueError, match="modality is 'video', but must be one of: 'audio', 'visual'"
    ):
        step.modulate()


# -------------------------------------------------------------------------- boost_wrong


@given(
    st.lists(st.integers(0, 64).map(lambda n: n / 64), min_size=2, max_size=6),
    st.floats(0, 3),
    st.floats(1, 4),
)
def test_the_wrong_side_gets_what_boost_gives_the_right_one(accuracies, alpha, scale_max):
    low, high = min(accuracies), max(accuracies)
    expected = [1.0] * len(accuracies)
    if high > low:
        expected = [min(1 + alpha * (a - low) / (high - low), scale_max) for a in accuracies]
    tensor = torch.tensor(accuracies, dtype=torch.float64)
    found = BoostWrong(alpha, scale_max).target(tensor).tolist()
    assert found == pytest.approx(expected)
    right = boost_scales(tensor, alpha, scale_max)
    if len(accuracies) == 2:  # equal in strength: the same two numbers, the other way round
        assert sorted(found) == pytest.approx(sorted(right.tolist()))


def test_wrong_and_right_by_hand():
    accuracies = torch.tensor([0.9, 0.6, 0.5])
    assert BoostWrong(0.5).target(accuracies).tolist() == pytest.approx([1.5, 1.125, 1.0])
    assert Boost(0.5).target(accuracies).tolist() == pytest.approx([1.0, 1.375, 1.5])
    assert BoostWrong(0.5).target(accuracies * 0 + 0.3).tolist() == [1.0, 1.0, 1.0]


# --------------------------------------------------------------------- boost, turned round


class Naive:
    """Boost's rule with the strong side in the place of the weak one, or in an order drawn."""

    def __init__(self, kind: str, modalities: list[str], every: int, seed: int) -> None:
        self.kind, self.modalities, self.every = kind, modalities, every
        self.probes = NaiveProbes(modalities, seed, steps=10, split=True)
        self.scales = dict.fromkeys(modalities, 1.0)
        self.draw = generator(seed, "boost_random")

    def weights(self, step: int) -> dict[str, int]:
        return dict.fromkeys(self.modalities, 1)

    def edit(
        self,
        step: int,
        batch: int,
        outputs: Outputs,
        labels: Tensor,
        raw: dict[str, list[Tensor]],
        losses: dict[str, float],
    ) -> tuple[dict[str, list[Tensor]], dict[str, float]]:
        edited = {m: [g * self.scales[m] for g in raw[m]] for m in raw}
        told = {f"scale/{m}": scale for m, scale in self.scales.items()}
        if (batch + 1) % self.every == 0:
            self.probes.read(outputs, labels)
            told |= self.probes.record()
            for m, target in zip(self.modalities, self.targets(), strict=True):
                self.scales[m] = 0.3 * target + 0.7 * self.scales[m]
        return edited, told

    def targets(self) -> list[float]:
        low, gap = min(self.probes.accuracies.values()), self.probes.gap()
        found = [1.0] * len(self.modalities)
        if gap >= 1e-8:
            shares = [(a - low) / gap for a in self.probes.accuracies.values()]
            pushed = shares if self.kind == "wrong" else [1 - share for share in shares]
            found = [min(1 + 0.75 * share, 1.6) for share in pushed]
        if self.kind == "random":  # it draws where there is nothing to give, too
            order = torch.randperm(len(found), generator=self.draw).tolist()
            found = [found[place] for place in order]
        return found

    def epoch_end(self, test: object) -> None:
        pass


@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("kind", ["wrong", "random"])
def test_the_whole_trajectory(kind, count):
    modalities = list(SIZES)[:count]
    naive = Naive(kind, modalities, every=3, seed=6)
    make = BoostWrong if kind == "wrong" else BoostRandom
    method = make(alpha=0.75, scale_max=1.6, eval_every=3, seed=6)
    train_both(method, naive, modalities, batches=10, epochs=4)
    assert int(method.measured) == 12
    assert len(set(naive.scales.values())) > 1


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_random_order_is_as_strong_as_boost_and_blind(count):
    """The same numbers as boost's, each as often at every place, whoever is ahead."""
    accuracies = torch.arange(count).float() / 10
    method = BoostRandom(alpha=0.5, seed=1)
    drawn = torch.stack([method.target(accuracies) for _ in range(600)])
    expected = boost_scales(accuracies, 0.5, 2.0).sort().values
    assert bool((drawn.sort(1).values == expected).all())
    for value in expected:
        for place in (drawn == value).float().mean(0).tolist():
            assert place == pytest.approx(1 / count, abs=4 * (1 / count / 600) ** 0.5)
    again = BoostRandom(alpha=0.5, seed=1)
    assert torch.equal(torch.stack([again.target(accuracies) for _ in range(600)]), drawn)
    other = BoostRandom(alpha=0.5, seed=2)
    assert not torch.equal(torch.stack([other.target(accuracies) for _ in range(600)]), drawn)


def test_the_draws_are_not_those_of_another_method():
    """One seed, two streams: the noise of OGM-GE beside it changes no draw."""
    settings = {"eval_every": 1, "seed": 3}
    alone = Run(Chain(BoostRandom(**settings)), NAMES[:2]).advance(STEPS)
    both = Run(Chain(OGMGE(seed=3), BoostRandom(**settings)), NAMES[:2]).advance(STEPS)
    states = [run.method.chained[-1].random.get_extra_state() for run in (alone, both)]
    assert identical(*states)
