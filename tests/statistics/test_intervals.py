"""Intervals of a mean and of any statistic: published ones, scipy's, and how often they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from asgml_core.statistics import Interval, bca_interval, mean_interval

#: Spatial test scores of 26 children: Efron and Tibshirani (1993), table 14.1, column A.
SPATIAL = np.array(
    [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26,
     30, 41]
)  # fmt: skip
#: The 15 law schools of Efron and Tibshirani (1993), table 3.1.
LSAT = np.array([576, 635, 558, 578, 666, 580, 555, 661, 651, 605, 653, 575, 545, 572, 594])
GPA = np.array(
    [3.39, 3.30, 2.81, 3.03, 3.44, 3.07, 3.00, 3.43, 3.36, 3.13, 3.12, 2.74, 2.76, 2.88, 2.96]
)


def correlation(index: np.ndarray, axis: int) -> np.ndarray:
    rows = index.astype(int)
    x, y = (each[rows] - each[rows].mean(axis=axis, keepdims=True) for each in (LSAT, GPA))
    return (x * y).sum(axis) / np.sqrt((x**2).sum(axis) * (y**2).sum(axis))


def test_students_interval_against_scipy() -> None:
    values = [59.81, 59.95, 61.56, 60.35, 59.81]
    found = mean_interval(values, level=0.9)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-12)
    assert found.estimate == pytest.approx(np.mean(values))


def test_bca_of_the_spatial_data_is_the_published_one() -> None:
    """Efron and Tibshirani (1993), table 14.2: variance 171.5, 90 % BCa (115.8, 259.6).

    Theirs is of 2000 resamples: hence the tolerance. The percentile interval was (100.8, 233.9).
    """
    found = bca_interval(SPATIAL, np.var, level=0.9, resamples=40_000)
    assert found.estimate == pytest.approx(171.5, abs=0.05)
    assert (found.low, found.high) == pytest.approx((115.8, 259.6), abs=5)


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize(
    ("values", "statistic"),
    [
        (np.arange(15.0), correlation),
        (np.sort(SPATIAL).astype(float), np.mean),
        (np.sort(SPATIAL).astype(float), np.std),
        (np.array([60.0, 60.0, 60.0, 61.0, 64.0]), np.mean),  # many ties among the resamples
    ],
)
def test_bca_against_scipy_with_the_same_draws(values, statistic, level) -> None:
    found = bca_interval(values, statistic, level, resamples=2999, seed=4)
    expected = stats.bootstrap(
        (values,), statistic, method="BCa", confidence_level=level, n_resamples=2999,
        vectorized=True, rng=np.random.default_rng(4), batch=None,
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_the_law_schools_correlate() -> None:
    assert bca_interval(np.arange(15), correlation).estimate == pytest.approx(0.776, abs=5e-4)


def test_coverage_is_what_the_docstrings_say() -> None:
    """Student's is right for normal values at any n; BCa is too narrow for few, by so much."""
    draw = np.random.default_rng(0)
    for n, bca_covers in ((5, 0.85), (20, 0.93)):
        student = bca = 0
        for trial in range(2000):
            values = draw.standard_normal(n)
            t, b = mean_interval(values), bca_interval(values, resamples=499, seed=trial)
            student += t.low <= 0 <= t.high
            bca += b.low <= 0 <= b.high
        assert student / 2000 == pytest.approx(0.95, abs=0.015)
        assert bca / 2000 == pytest.approx(bca_covers, abs=0.025)


def test_equal_values_give_a_point() -> None:
    for found in (bca_interval([0.1] * 5), mean_interval([0.5] * 5), bca_interval([7, 7], np.std)):
        assert found.low == found.estimate == found.high


def test_a_median_amid_ties_has_an_interval() -> None:
    """Leaving any one value out changes nothing: there is no acceleration, and scipy gives NaN."""
    assert bca_interval([1, 2, 2, 2, 3], np.median) == Interval(2.0, 1.0, 3.0)


def test_the_order_of_seeds_does_not_matter_and_units_scale() -> None:
    values = np.array([59.81, 59.95, 61.56, 60.35, 59.80])
    found = bca_interval(values, seed=3)
    assert bca_interval(values[[3, 0, 4, 2, 1]], seed=3) == found
    assert bca_interval(values, seed=4) != found
    for interval in (bca_interval, mean_interval):
        whole, share = interval(values), interval(values / 100)
        assert (100 * share.low, 100 * share.high) == pytest.approx((whole.low, whole.high))


@pytest.mark.parametrize("interval", [mean_interval, bca_interval])
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0], r"values has shape \(1,\), but \(N,\), N >= 2"),
        ([[1.0, 2.0]], r"shape \(1, 2\)"),
        ([1.0, np.nan], "value 1 is nan"),
        ([1.0, 2.0, np.inf], "value 2 is inf"),
    ],
)
def test_refused(interval, values, said) -> None:
    with pytest.raises(ValueError, match=said):
        interval(values)


def test_a_level_in_per_cent_is_refused() -> None:
    with pytest.raises(ValueError, match="level is 95"):
        mean_interval([1, 2], level=95)


def test_a_statistic_that_no_bootstrap_suits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not finite for \d+ of 99 resamples"):
        bca_interval([1, 2, 3], lambda x, axis: np.where(np.ptp(x, axis) == 0, np.nan, 1), 0.9, 99)

    def distinct(x: np.ndarray, axis: int) -> np.ndarray:
        return (np.diff(np.sort(x, axis), axis=axis) > 0).sum(axis) + 1.0

    with pytest.raises(ValueError, match=r"values, 30, lies outside"):
        bca_interval(np.arange(30), distinct, resamples=99)
