"""The sign-flip test, Holm's adjustment and the chance to beat: examples and enumerations."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from asgml_core.statistics import holm, paired_t, probability_of_improvement, sign_flip

#: Crossed less self-fertilised Zea mays, in eighths of an inch: Darwin's, in Fisher (1935).
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def test_darwins_maize() -> None:
    """Fisher (1935), section 21: 863 of 32768 sums are as large, on each side: 5.267 %."""
    found = sign_flip(DARWIN)
    assert found.p == 2 * 863 / 32768
    assert (found.exact, found.n, found.floor) == (True, 15, 2 / 2**15)


def test_ties_of_accuracies_count() -> None:
    """Against exact fractions: accuracies are multiples of 1/400, and sums of them tie."""
    draw, near = np.random.default_rng(0), 0
    for _ in range(60):
        ours, theirs = draw.integers(235, 250, 6), draw.integers(232, 247, 6)
        whole = [Fraction(int(a - b), 400) for a, b in zip(ours, theirs, strict=True)]
        sums = [
            sum(sign * d for sign, d in zip(signs, whole, strict=True))
            for signs in itertools.product((1, -1), repeat=6)
        ]
        expected = sum(abs(s) >= abs(sum(whole)) for s in sums) / 64
        assert sign_flip(ours / 400 - theirs / 400).p == expected
        floats = ours / 400 - theirs / 400
        flipped = np.array(list(itertools.product((1, -1), repeat=6))) @ floats
        near += (np.abs(flipped) >= abs(floats.sum())).mean() != expected
    assert near  # without a tolerance some of these p would be wrong


def test_the_floor_is_reached_and_no_more() -> None:
    assert sign_flip([1, 2, 3, 4, 5]).p == sign_flip([9e6, 1, 1, 1, 1]).p == 0.0625
    for n in (2, 5, 20):
        found = sign_flip(np.arange(1, n + 1))
        assert found.p == found.floor == 2 / 2**n


def test_no_difference_at_all() -> None:
    assert sign_flip([0.0, 0.0, 0.0]).p == 1


def test_against_scipy() -> None:
    x = np.random.default_rng(3).normal(0.3, 1, 9)
    expected = stats.permutation_test(
        (x,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert sign_flip(x).p == pytest.approx(expected.pvalue, abs=1e-12)


def test_many_differences_are_drawn() -> None:
    """By chance p agrees with the exact one of the sums, and is never 0."""
    x = np.random.default_rng(5).integers(-6, 10, 24)
    counts = {0: 1}
    for value in map(int, x):
        after: dict[int, int] = {}
        for total, ways in counts.items():
            for sum_ in (total + value, total - value):
                after[sum_] = after.get(sum_, 0) + ways
        counts = after
    exact = sum(ways for total, ways in counts.items() if abs(total) >= abs(x.sum())) / 2**24
    found = sign_flip(x, resamples=200_000)
    assert not found.exact
    assert found.p == pytest.approx(exact, abs=4 * np.sqrt(exact / 200_000))
    least = sign_flip(np.ones(40), resamples=999)
    assert least.p == least.floor == 1 / 1000
    assert sign_flip(np.ones(21), resamples=10**7).floor == 2.0**-20


@pytest.mark.parametrize("n", [7, 23])
def test_seeds_units_and_direction_do_not_matter(n: int) -> None:
    x = np.random.default_rng(n).normal(0.2, 1, n)
    p = sign_flip(x, resamples=999).p
    for same in (x[::-1], -x, 100 * x):
        assert sign_flip(same, resamples=999).p == p


def test_the_test_keeps_its_level() -> None:
    draw = np.random.default_rng(8)
    p = np.array([sign_flip(draw.standard_normal(8)).p for _ in range(3000)])
    for level in (0.05, 0.25, 0.5):
        assert (p <= level).mean() == pytest.approx(np.floor(level * 128) / 128, abs=0.03)


def test_one_difference_is_refused() -> None:
    with pytest.raises(ValueError, match=r"differences has shape \(1,\)"):
        sign_flip([0.1])


def test_students_sleep() -> None:
    """Student (1908): hours of sleep gained, one drug less the other; p as R's manual prints it."""
    gained = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    assert paired_t(gained) == pytest.approx(0.002833, abs=5e-7)
    assert paired_t(-np.array(gained)) == paired_t(gained)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_paired_t_against_scipy(n: int) -> None:
    x = np.random.default_rng(n).normal(0.3, 1, n)
    assert paired_t(x) == pytest.approx(stats.ttest_1samp(x, 0).pvalue)
    assert paired_t(100 * x) == pytest.approx(paired_t(x))


def test_paired_t_of_equal_differences() -> None:
    assert paired_t([0.0, 0.0, 0.0]) == 1
    assert paired_t([0.1, 0.1, 0.3 - 0.2]) == 0
    with pytest.raises(ValueError, match=r"differences has shape \(1,\)"):
        paired_t([0.1])


def test_holm_example() -> None:
    p = pd.Series({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}, name="p")
    adjusted = holm(p)
    assert adjusted.to_dict() == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert adjusted.name == "p"


@pytest.mark.parametrize("seed", range(4))
def test_holm_against_statsmodels(seed: int) -> None:
    draw = np.random.default_rng(seed)
    p = pd.Series(draw.choice([0.0, 0.001, 0.0625, 0.3, 1.0, *draw.random(5)], 12))
    expected = multipletests(p.to_numpy(), method="holm")[1]
    assert holm(p).to_numpy() == pytest.approx(expected, abs=1e-15)


def test_holm_refuses_what_is_no_p() -> None:
    for wrong in (np.nan, -0.1, 1.1):
        with pytest.raises(ValueError, match="p value 'b' is"):
            holm(pd.Series({"a": 0.5, "b": wrong}))


def test_probability_is_mann_whitneys() -> None:
    draw = np.random.default_rng(2)
    x, y = draw.integers(0, 6, 7), draw.integers(0, 6, 5)
    expected = stats.mannwhitneyu(x, y).statistic / 35
    assert probability_of_improvement(x, y).estimate == pytest.approx(expected)
    assert probability_of_improvement(y, x).estimate == pytest.approx(1 - expected)
    assert probability_of_improvement([1, 2], [1, 2]).estimate == 0.5


def test_its_interval_resamples_the_seeds_of_each() -> None:
    """Against a loop over drawn seeds, within what another draw changes."""
    draw = np.random.default_rng(3)
    x, y = draw.normal(0.7, 1, 10), draw.normal(0, 1, 12)
    drawn = [(draw.choice(x, 10)[:, None] > draw.choice(y, 12)).mean() for _ in range(4000)]
    found = probability_of_improvement(x, y)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)
    assert probability_of_improvement(x[::-1], y[::-1]) == found
    assert probability_of_improvement([3, 4], [1, 2]) == type(found)(1.0, 1.0, 1.0)


def test_its_interval_covers_a_half_without_a_difference() -> None:
    draw, inside = np.random.default_rng(4), 0
    for trial in range(800):
        x, y = draw.standard_normal((2, 20))
        found = probability_of_improvement(x, y, resamples=499, seed=trial)
        inside += found.low <= 0.5 <= found.high
    assert inside / 800 == pytest.approx(0.94, abs=0.025)
