"""Differences of spread: NIST's gears, the F interval, and the bootstrap's dark corners."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from asgml_core.statistics import brown_forsythe, f_interval, pitman_morgan, spread_ratio

#: Diameters of gears, ten batches of ten, in thousandths: NIST/SEMATECH e-Handbook, 1.3.5.10.
GEARS = np.array(
    [
        [1006, 996, 998, 1000, 992, 993, 1002, 999, 994, 1000],
        [998, 1006, 1000, 1002, 997, 998, 996, 1000, 1006, 988],
        [991, 987, 997, 999, 995, 994, 1000, 999, 996, 996],
        [1005, 1002, 994, 1000, 995, 994, 998, 996, 1002, 996],
        [998, 998, 982, 990, 1002, 984, 996, 993, 980, 996],
        [1009, 1013, 1009, 997, 988, 1002, 995, 998, 981, 996],
        [990, 1004, 996, 1001, 998, 1000, 1018, 1010, 996, 1002],
        [998, 1000, 1006, 1000, 1002, 996, 998, 996, 1002, 1006],
        [1002, 998, 996, 995, 996, 1004, 1004, 998, 999, 991],
        [991, 995, 984, 994, 997, 997, 991, 998, 1004, 997],
    ]
)


def test_nists_gears() -> None:
    found = brown_forsythe(*GEARS / 1000)
    assert found.statistic == pytest.approx(1.70591, abs=1e-5)  # of single precision
    assert found.p == pytest.approx(1 - 0.9009, abs=5e-5)  # 90.09 % in other published accounts


def test_brown_forsythe_is_an_analysis_of_variance_of_distances_from_medians() -> None:
    draw = np.random.default_rng(0)
    groups = [draw.normal(0, 1, 5), draw.normal(5, 3, 8)]
    expected = stats.f_oneway(*(np.abs(x - np.median(x)) for x in groups))
    found = brown_forsythe(*groups)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_brown_forsythe_refuses_what_it_cannot_judge() -> None:
    with pytest.raises(ValueError, match="1 groups were given"):
        brown_forsythe([1, 2, 3])
    with pytest.raises(ValueError, match=r"group 1 has shape \(2,\)"):
        brown_forsythe([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="equally far from the median"):
        brown_forsythe([1, 1, 1], [2, 2, 2])


def test_pitman_and_morgan_by_the_ratio_of_variances() -> None:
    """Their t from the ratio F and the correlation r of the pairs: the form without sums."""
    draw = np.random.default_rng(4)
    for n in (3, 5, 12):
        x = draw.normal(60, 2, n)
        y = 0.5 * x + draw.normal(0, 1, n)
        ratio, r = x.var(ddof=1) / y.var(ddof=1), np.corrcoef(x, y)[0, 1]
        t = (ratio - 1) * np.sqrt((n - 2) / (4 * ratio * (1 - r**2)))
        found = pitman_morgan(x, y)
        assert found.p == pytest.approx(2 * stats.t.sf(abs(t), n - 2))
        assert found.correlation == pytest.approx(t / np.sqrt(t**2 + n - 2))
        assert pitman_morgan(y, x).correlation == pytest.approx(-found.correlation)


def test_pitman_and_morgan_keep_the_level_that_f_loses_on_pairs() -> None:
    draw, found = np.random.default_rng(6), []
    for _ in range(2000):
        shared = draw.standard_normal(10)
        x, y = 2 * shared + draw.standard_normal((2, 10))
        above = stats.f.sf(x.var() / y.var(), 9, 9)
        found.append((pitman_morgan(x, y).p, 2 * min(above, 1 - above)))
    ours, independent = (np.array(found) < 0.05).mean(axis=0)
    assert ours == pytest.approx(0.05, abs=0.015)
    assert independent < 0.02


def test_pitman_and_morgan_refuse_what_they_cannot_judge() -> None:
    with pytest.raises(ValueError, match="3 values, but 4 of the reference"):
        pitman_morgan([1, 2, 4], [1, 2, 3, 5])
    with pytest.raises(ValueError, match="the difference of the two is the same"):
        pitman_morgan([1.1, 2.1, 4.1], [1, 2, 4])
    with pytest.raises(ValueError, match="the sum of the two is the same"):
        pitman_morgan([1, 2, 4], [4, 3, 1])
    with pytest.raises(ValueError, match="reference are all 2"):
        pitman_morgan([1, 2, 3], [2, 2, 2])


def test_the_f_interval_is_where_the_f_test_is_at_its_level() -> None:
    x, y = [59.81, 59.95, 61.56, 60.35, 59.81], [63.98, 60.89, 61.02, 63.04, 63.44, 60.0]
    found = f_interval(x, y, level=0.9)
    assert found.estimate == pytest.approx(np.std(x, ddof=1) / np.std(y, ddof=1))
    for end, tail in ((found.low, stats.f.sf), (found.high, stats.f.cdf)):
        assert tail((found.estimate / end) ** 2, 4, 5) == pytest.approx(0.05)
    other = f_interval(y, x, level=0.9)
    assert (1 / other.high, 1 / other.low) == pytest.approx((found.low, found.high))


def test_the_bootstrap_against_a_loop() -> None:
    draw = np.random.default_rng(1)
    x, y = draw.normal(0, 2, 12), draw.normal(0, 1, 15)
    ratios = [
        np.std(draw.choice(x, 12), ddof=1) / np.std(draw.choice(y, 15), ddof=1) for _ in range(6000)
    ]
    found = spread_ratio(x, y)
    assert (found.low, found.high) == pytest.approx(np.quantile(ratios, [0.025, 0.975]), rel=0.05)
    assert found.estimate == pytest.approx(np.std(x, ddof=1) / np.std(y, ddof=1))


def test_coverage_is_what_the_docstring_says() -> None:
    draw = np.random.default_rng(2)
    for n, expected in ((5, 0.97), (10, 0.92)):
        bootstrap = classical = 0
        for trial in range(1500):
            x, y = draw.normal(3, 1, n), draw.normal(0, 2, n)
            b, f = spread_ratio(x, y, resamples=499, seed=trial), f_interval(x, y)
            bootstrap += b.low <= 0.5 <= b.high
            classical += f.low <= 0.5 <= f.high
        assert bootstrap / 1500 == pytest.approx(expected, abs=0.02)
        assert classical / 1500 == pytest.approx(0.95, abs=0.018)


def test_draws_without_spread_reach_the_ends() -> None:
    """A third of the draws of four equal values and one other have no spread."""
    one_off, spread = [0.1, 0.1, 0.1, 0.1, 0.2], [0.1, 0.2, 0.3, 0.4, 0.6]
    assert spread_ratio(one_off, spread).low == 0
    assert spread_ratio(spread, one_off).high == np.inf
    # numpy's deviation of five times .11 is not 0, but some 1e-17.
    assert np.full(5, 0.11).std() > 0
    assert spread_ratio(spread, [0.11, 0.11, 0.11, 0.11, 0.2]).high == np.inf
    both = spread_ratio(one_off, one_off)
    assert (both.low, both.high) == (0, np.inf)


def test_draws_without_spread_on_both_sides_could_be_any_ratio() -> None:
    """Here 22 % of the draws are 0 and 11 % are 0/0: together more than the 32 % below the end."""
    one_off = [1, 1, 1, 1, 2]
    found = spread_ratio(one_off, one_off, level=0.36, resamples=40_000)
    assert (found.low, found.high) == (0, np.inf)


def test_seeds_and_units_do_not_matter() -> None:
    x, y = np.array([1.0, 2.0, 4.0, 7.0]), np.array([3.0, 3.5, 5.0, 9.0, 2.0])
    found = spread_ratio(x, y)
    assert spread_ratio(x[::-1], y[[4, 2, 0, 1, 3]]) == found
    scaled = spread_ratio(100 * x, 100 * y + 7)
    assert (scaled.low, scaled.high) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize("ratio", [spread_ratio, f_interval])
def test_a_ratio_with_nothing_is_refused(ratio) -> None:
    with pytest.raises(ValueError, match="reference are all 2, so there is no spread"):
        ratio([1, 2, 3], [2, 2, 2])
    with pytest.raises(ValueError, match="values are all 2"):
        ratio([2, 2, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"N >= 3, is needed"):
        ratio([1, 2], [1, 2, 3])
