"""Power of the paired t test, against statsmodels and against many simulated studies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from asgml_core.statistics import detectable_difference, power, seeds_needed

THEIRS = TTestPower()


@pytest.mark.parametrize("level", [0.05, 0.01])
@pytest.mark.parametrize("n", [2, 5, 20, 400])
@pytest.mark.parametrize("effect", [0.05, 0.4, -1.3, 8.0])
def test_power_against_an_integral_over_the_sample_deviation(effect, n, level) -> None:
    """Given the sample deviation the mean is normal: no noncentral distribution is needed."""
    far, edge = np.sqrt(n) * effect, stats.t.ppf(1 - level / 2, n - 1) / np.sqrt(n - 1)
    s = np.linspace(max(0, np.sqrt(n - 1) - 12), np.sqrt(n - 1) + 12, 200_001)[1:]
    found = (stats.norm.sf(edge * s - far) + stats.norm.cdf(-edge * s - far)) @ stats.chi.pdf(
        s, n - 1
    )
    assert power(effect * 1.7, 1.7, n, level) == pytest.approx(found * (s[1] - s[0]), abs=1e-4)


@pytest.mark.parametrize("level", [0.05, 0.01])
@pytest.mark.parametrize("n", [2, 5, 20, 40])
@pytest.mark.parametrize("effect", [0.05, 0.4, 0.7])
def test_power_against_statsmodels(effect: float, n: int, level: float) -> None:
    """Where its noncentral t is a number: for far tails scipy 1.17 gives NaN."""
    expected = THEIRS.power(effect, n, level)
    assert power(effect * 1.7, 1.7, n, level) == pytest.approx(expected, abs=1e-9)


def test_power_against_simulated_studies() -> None:
    x = np.random.default_rng(0).normal(1.0, 0.9, (20_000, 5))
    found = (stats.ttest_1samp(x, 0, axis=1).pvalue <= 0.05).mean()
    assert power(1.0, 0.9, 5) == pytest.approx(found, abs=0.01)


def test_without_a_difference_power_is_the_level() -> None:
    assert power(0, 1, 5, level=0.03) == pytest.approx(0.03)
    assert power(1000, 1, 5) == 1


@pytest.mark.parametrize("effect", [0.2, 0.5, 0.83, 1.5, 4.0])
@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.99])
def test_seeds_needed_are_the_fewest(effect: float, wanted: float) -> None:
    n = seeds_needed(effect, 1, wanted)
    assert power(effect, 1, n) >= wanted
    assert n == 2 or power(effect, 1, n - 1) < wanted
    if n > 3:
        assert n == np.ceil(THEIRS.solve_power(effect, power=wanted, alpha=0.05) - 1e-9)


def test_an_effect_of_a_half_needs_34() -> None:
    """The table value for a paired t test at .05 and 80 %."""
    assert seeds_needed(0.5, 1.0) == seeds_needed(-50, 100) == 34


@pytest.mark.parametrize("n", [2, 5, 20])
def test_detectable_difference_has_the_power(n: int) -> None:
    found = detectable_difference(1.4, n, power=0.9, level=0.01)
    assert power(found, 1.4, n, 0.01) == pytest.approx(0.9, abs=1e-6)
    assert detectable_difference(140, n, 0.9, 0.01) == pytest.approx(100 * found)


def test_refused() -> None:
    with pytest.raises(ValueError, match="std is 0"):
        power(1, 0, 5)
    with pytest.raises(ValueError, match="n is 1"):
        power(1, 1, 1)
    with pytest.raises(ValueError, match="difference is 0"):
        seeds_needed(0, 1)
    with pytest.raises(ValueError, match="needs more than 1000000 seeds"):
        seeds_needed(1e-4, 1)
    with pytest.raises(ValueError, match=r"power is 0\.05"):
        detectable_difference(1, 5, power=0.05)
    with pytest.raises(ValueError, match="level is 5"):
        seeds_needed(1, 1, level=5)
