"""The pure formulas against naive ones, written here in plain Python floats."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from asgml_core.modulators import (
    OGMGE,
    Clock,
    GradientNoise,
    Outputs,
    boost_scales,
    ogm_coefficients,
    throttle_scales,
    true_class_scores,
)
from asgml_core.modulators.probing import relative_dominance

# Whole quarters make ties common; the other floats make them rare.
ACCURACY = st.one_of(st.integers(0, 4).map(lambda i: i / 4), st.floats(0, 1, allow_subnormal=False))
ACCURACIES = st.lists(ACCURACY, min_size=2, max_size=6)
SCORE = st.one_of(
    st.integers(0, 3).map(float),
    st.floats(0, 64, allow_subnormal=False),
    st.sampled_from([1e-300, 1e-30, 1e30, 1e300]),
)
SCORES = st.lists(SCORE, min_size=2, max_size=6)
STRENGTH = st.one_of(st.sampled_from([0.0, 0.5, 0.8, 1.0]), st.floats(0, 3, allow_subnormal=False))
SHARE = st.floats(0, 1, allow_subnormal=False)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def close(found, expected, tolerance=1e-12):
    assert found.shape == (len(expected),)
    for got, want in zip(found.tolist(), expected, strict=True):
        assert math.isfinite(got)
        assert got == pytest.approx(want, rel=tolerance, abs=tolerance)


# ------------------------------------------------------------------- throttle and boost


def naive_dominance(accuracies):
    low, high = min(accuracies), max(accuracies)
    return [(a - low) / (high - low) for a in accuracies]


def naive_throttle(accuracies, alpha, scale_min):
    if max(accuracies) - min(accuracies) < 1e-8:
        return [1.0] * len(accuracies)
    return [max(1 - alpha * share, scale_min) for share in naive_dominance(accuracies)]


def naive_boost(accuracies, alpha, scale_max):
    if max(accuracies) - min(accuracies) < 1e-8:
        return [1.0] * len(accuracies)
    return [min(1 + alpha * (1 - share), scale_max) for share in naive_dominance(accuracies)]


@given(ACCURACIES)
def test_relative_dominance(accuracies):
    share, gap = relative_dominance(doubles(accuracies))
    assert float(gap) == max(accuracies) - min(accuracies)
    if float(gap) >= 1e-8:
        close(share, naive_dominance(accuracies))
        assert share.min() == 0
        assert share.max() == 1


@given(ACCURACIES, SHARE, SHARE)
@example([0.3, 0.3], 0.5, 0.1)
@example([0.3, 0.3 + 9e-9], 0.5, 0.1)
@example([0.3, 0.3 + 1.1e-8], 0.5, 0.1)
@example([0.0, 0.0, 0.0], 1.0, 0.0)
def test_throttle_scales(accuracies, alpha, scale_min):
    found = throttle_scales(doubles(accuracies), alpha, scale_min)
    close(found, naive_throttle(accuracies, alpha, scale_min))


@given(ACCURACIES, STRENGTH, st.floats(1, 4))
@example([0.3, 0.3], 0.5, 2.0)
@example([0.3, 0.3 + 9e-9], 0.5, 2.0)
@example([0.3, 0.3 + 1.1e-8], 0.5, 2.0)
@example([0.0, 0.0, 0.0], 1.0, 2.0)
def test_boost_scales(accuracies, alpha, scale_max):
    found = boost_scales(doubles(accuracies), alpha, scale_max)
    close(found, naive_boost(accuracies, alpha, scale_max))


@given(st.lists(st.integers(0, 64), min_size=2, max_size=6), SHARE)
def test_the_scales_in_the_float32_of_a_run(correct, alpha):
    accuracies = torch.tensor(correct) / 64
    found = throttle_scales(accuracies, alpha, 0.1)
    assert found.dtype == torch.float32
    close(found, naive_throttle(accuracies.tolist(), alpha, 0.1), 1e-6)
    close(boost_scales(accuracies, alpha, 2.0), naive_boost(accuracies.tolist(), alpha, 2.0), 1e-6)


@given(ACCURACY, ACCURACY)
def test_with_two_modalities_the_scale_is_a_switch(first, second):
    """However small the gap: the study's sweeps over scale_min and scale_max moved nothing."""
    accuracies = doubles([first, second])
    boosted = {tuple(boost_scales(accuracies, 0.5, top).tolist()) for top in (1.5, 2.0, 3.0)}
    damped = {tuple(throttle_scales(accuracies, 0.5, low).tolist()) for low in (0.05, 0.1, 0.3)}
    assert len(boosted) == len(damped) == 1
    if abs(first - second) < 1e-8:
        assert boosted == damped == {(1.0, 1.0)}
    elif first > second:
        assert (boosted, damped) == ({(1.0, 1.5)}, {(0.5, 1.0)})
    else:
        assert (boosted, damped) == ({(1.5, 1.0)}, {(1.0, 0.5)})


def test_a_middle_modality_gets_its_share():
    accuracies = doubles([0.9, 0.6, 0.5])
    assert throttle_scales(accuracies, 0.5, 0.1).tolist() == pytest.approx([0.5, 0.875, 1.0])
    assert boost_scales(accuracies, 0.5, 2.0).tolist() == pytest.approx([1.0, 1.375, 1.5])
    assert boost_scales(accuracies, 0.5, 1.4).tolist() == pytest.approx([1.0, 1.375, 1.4])


# ------------------------------------------------------------------------------------ OGM


def naive_ogm_pair(scores, alpha):
    first, second = scores
    if first == second:
        ratio = 1.0
    else:
        ratio = first / second if second else math.inf
    if ratio > 1:
        return [naive_coefficient(alpha, ratio), 1.0]
    return [1.0, naive_coefficient(alpha, 1 / ratio if ratio else math.inf)]


def naive_coefficient(alpha, ratio):
    return 1.0 if alpha == 0 else 1 - math.tanh(alpha * ratio)


def naive_ogm_many(scores, alpha, reference):
    if min(scores) == max(scores):
        return [1.0] * len(scores)
    against = sum(scores) / len(scores) if reference == "mean" else min(scores)
    ratios = [0.0 if s == 0 else s / against if against else math.inf for s in scores]
    return [naive_coefficient(alpha, r) if r > 1 else 1.0 for r in ratios]


@given(st.lists(SCORE, min_size=2, max_size=2), STRENGTH)
@example([2.0, 2.0], 0.8)
@example([0.0, 1.0], 2.2250738585072014e-308)
@example([0.0, 0.0], 0.8)
@example([1.0, 0.0], 0.8)
@example([0.0, 1.0], 0.8)
@example([1.0, 0.0], 0.0)
@example([0.0, 1.0], 0.0)
def test_ogm_pair(scores, alpha):
    close(ogm_coefficients(doubles(scores), alpha), naive_ogm_pair(scores, alpha))


@pytest.mark.parametrize("reference", ["mean", "min"])
@given(scores=SCORES, alpha=STRENGTH)
@example(scores=[0.0, 0.0, 0.0], alpha=0.8)
@example(scores=[0.0, 1.0, 2.0], alpha=0.8)
@example(scores=[0.0, 1.0, 2.0], alpha=0.0)
def test_ogm_mean_and_min(reference, scores, alpha):
    found = ogm_coefficients(doubles(scores), alpha, reference)
    expected = naive_ogm_many(scores, alpha, reference)
    # A score that equals the mean but for rounding may fall on either side of it.
    mean = sum(scores) / len(scores)
    level = [reference == "mean" and abs(s - mean) <= 1e-14 * mean for s in scores]
    if min(scores) == max(scores):
        level = [False] * len(scores)
    kept = torch.tensor([not on for on in level])
    close(found[kept], [k for k, on in zip(expected, level, strict=True) if not on])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("modalities", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("reference", ["mean", "min"])
def test_equal_scores_damp_nobody(reference, modalities, dtype):
    """Whatever the sum rounds to: where all are level, none is ahead of the mean."""
    draw = torch.Generator().manual_seed(modalities)
    for score in torch.rand(200, dtype=dtype, generator=draw):
        found = ogm_coefficients(score.repeat(modalities), 0.8, reference)
        assert found.tolist() == [1.0] * modalities, float(score)


@given(SCORES, st.floats(0.8, 3))
def test_an_acting_coefficient_is_at_most_336_thousandths(scores, alpha):
    for reference in ("pair", "mean", "min"):
        chosen = scores[:2] if reference == "pair" else scores
        for k in ogm_coefficients(doubles(chosen), alpha, reference).tolist():
            assert k == 1 or 0 <= k <= 1 - math.tanh(0.8) + 1e-12
    assert 1 - math.tanh(0.8) == pytest.approx(0.336, abs=5e-4)


def test_the_coefficient_jumps_where_the_scores_meet():
    just_ahead = ogm_coefficients(doubles([1 + 1e-9, 1.0]), 0.8)
    assert just_ahead.tolist() == pytest.approx([0.33596, 1.0], abs=1e-5)


def test_a_tie_damps_the_second_of_two():
    assert ogm_coefficients(doubles([3.0, 3.0]), 0.8).tolist() == pytest.approx(
        [1.0, 0.33596], abs=1e-5
    )


def test_two_modalities_under_mean_and_min_damp_the_one_ahead():
    scores = doubles([3.0, 1.0])
    close(ogm_coefficients(scores, 0.8, "min"), [1 - math.tanh(2.4), 1.0])
    close(ogm_coefficients(scores, 0.8, "mean"), [1 - math.tanh(1.2), 1.0])


def test_a_pair_of_three_is_refused():
    with pytest.raises(ValueError, match=r"'pair', but there are 3 modalities"):
        ogm_coefficients(torch.ones(3), 0.8)
    with pytest.raises(ValueError, match=r"reference is 'median'"):
        ogm_coefficients(torch.ones(3), 0.8, "median")


# --------------------------------------------------------------------------------- scores


@given(
    st.integers(1, 6),
    st.integers(2, 4),
    st.integers(2, 6),
    st.sampled_from([0.1, 1.0, 30.0]),
    st.integers(0, 2**31),
)
def test_true_class_scores(modalities, batch, classes, size, seed):
    draw = torch.Generator().manual_seed(seed)
    logits = size * torch.randn(modalities, batch, classes, generator=draw)
    labels = torch.randint(classes, (batch,), generator=draw)
    expected = []
    for m in range(modalities):
        total = 0.0
        for row, label in zip(logits[m].tolist(), labels.tolist(), strict=True):
            largest = max(row)
            powers = [math.exp(x - largest) for x in row]
            total += powers[label] / sum(powers)
        expected.append(total)
    found = true_class_scores(logits, labels)
    close(found, expected, 1e-5)
    by_name = {f"m{i}": logits[i] for i in range(modalities)}
    assert torch.equal(true_class_scores(by_name, labels), found)


def test_scores_are_float32_and_carry_no_gradient():
    logits = torch.zeros(2, 3, 4, dtype=torch.bfloat16, requires_grad=True)
    scores = true_class_scores(logits, torch.tensor([0, 1, 2]))
    assert scores.dtype == torch.float32
    assert not scores.requires_grad
    assert scores.tolist() == pytest.approx([0.75, 0.75])


# ---------------------------------------------------------------------------------- noise


def noise_of(method, ahead):
    """Return each encoder's raw gradient, and what a method made of it, audio or visual ahead."""
    labels = torch.tensor([0, 1])
    sure = 5 * torch.eye(2)
    unimodal = {m: sure if m == ahead else 0 * sure for m in ("audio", "visual")}
    groups, raw = {}, {}
    for m, size in (("audio", 3.0), ("visual", 0.02)):
        groups[m] = [torch.nn.Parameter(torch.zeros(20, 20, 3, 3))]
        draw = torch.Generator().manual_seed(len(m))
        raw[m] = size * (1 + torch.randn(20, 20, 3, 3, generator=draw))
        groups[m][0].grad = raw[m].clone()
    outputs = Outputs(sure, unimodal, {})
    method.modulate(outputs, labels, groups, Clock(1, 0, 0, 1, 1))
    return raw, {m: groups[m][0].grad for m in groups}


@pytest.mark.parametrize("ahead", ["audio", "visual"])
@pytest.mark.parametrize("variant", ["study", "official"])
def test_ogm_ge_adds_noise_as_large_as_the_gradient_before_damping(variant, ahead):
    raw, edited = noise_of(OGMGE(alpha=0.3, variant=variant, seed=1), ahead)
    probability = math.exp(5) / (math.exp(5) + 1)
    k = 1 - math.tanh(0.3 * probability / 0.5)
    for m in raw:
        noise = edited[m] - (k if m == ahead else 1.0) * raw[m]
        if variant == "study" and m != ahead:
            assert bool((noise == 0).all())
        else:
            assert float(noise.std() / raw[m].std()) == pytest.approx(1, abs=0.05)
            assert float(noise.mean() / raw[m].std()) == pytest.approx(0, abs=0.05)


def test_gradient_noise_is_sigma_times_the_spread_of_each_gradient():
    raw, edited = noise_of(GradientNoise(sigma=0.2, seed=1), "audio")
    drawn = {m: (edited[m] - raw[m]) / raw[m].std() for m in raw}
    for noise in drawn.values():
        assert float(noise.std()) == pytest.approx(0.2, abs=0.01)
        assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert not torch.allclose(drawn["audio"], drawn["visual"], atol=0.01)


@pytest.mark.parametrize(
    "method", [OGMGE(scope="all", variant="official"), GradientNoise(scope="all")]
)
def test_the_noise_of_a_single_number_is_finite(method):
    """One number has no spread; its noise must not be NaN."""
    groups = {m: [torch.nn.Parameter(torch.zeros(1))] for m in ("audio", "visual")}
    for m in groups:
        groups[m][0].grad = torch.full((1,), 0.5)
    logits = {m: torch.zeros(2, 2) for m in groups}
    outputs = Outputs(torch.zeros(2, 2), logits, {})
    method.modulate(outputs, torch.tensor([0, 1]), groups, Clock(1, 0, 0, 1, 1))
    assert all(bool(groups[m][0].grad.isfinite().all()) for m in groups)
