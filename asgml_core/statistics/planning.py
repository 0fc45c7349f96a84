"""How many seeds a difference needs to be found; for the paired t test, two-sided."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from asgml_core.checks import check_between, check_count, check_number

#: More seeds than this are not looked for.
MOST = 1_000_000


def power(difference: float, std: float, n: int, level: float = 0.05) -> float:
    """Return the chance that ``n`` seeds find a true difference, from 0 to 1.

    To be used before a study, with a spread from elsewhere; taken of the same data after the test
    it only repeats p. It takes the differences for normal, and is not the power of the sign-flip
    test, which with five seeds finds nothing at .05. Source: the noncentral t distribution with
    ``n - 1`` degrees of freedom and noncentrality ``sqrt(n) * difference / std``.

    Args:
        difference: the true mean difference.
        std: standard deviation of the paired differences over seeds, above 0, in the same unit.
        n: seeds, 2 or more.
        level: of the test, between 0 and 1.

    Raises:
        ValueError: for a value out of range.
    """
    _check(difference, std, level)
    check_count("n", n, low=2)
    return _chance(difference / std, n, level)


def _chance(effect: float, n: int, level: float) -> float:
    # The lower tail is the upper one of the opposite effect, which scipy's noncentral t can do: of
    # its own far lower tail it makes NaN (version 1.17).
    far, edge = np.sqrt(n) * abs(effect), stats.t.ppf(1 - level / 2, n - 1)
    return float(stats.nct.sf(edge, n - 1, far) + stats.nct.sf(edge, n - 1, -far))


def seeds_needed(difference: float, std: float, power: float = 0.8, level: float = 0.05) -> int:
    """Return how many seeds find a true difference with a chance of ``power``.

    The smallest n of which :func:`power` is enough, under the same assumptions. A spread that was
    estimated from few seeds is itself uncertain: four degrees of freedom give it within a factor
    of .6 to 2.9 (95 %).

    Args:
        difference: the true mean difference, not 0.
        std: standard deviation of the paired differences over seeds, above 0, in the same unit.
        power: between 0 and 1.
        level: of the test, between 0 and 1.

    Raises:
        ValueError: for a value out of range, or where a million seeds are too few.
    """
    _check(difference, std, level)
    check_between("power", power)
    if difference == 0:
        raise ValueError("difference is 0, which no number of seeds can find.")
    effect, low, high = difference / std, 1, 2
    while _chance(effect, high, level) < power:
        low, high = high, min(2 * high, MOST)
        if low == MOST:
            raise ValueError(f"a difference of {difference:g} needs more than {MOST} seeds.")
    while high - low > 1:
        middle = (low + high) // 2
        enough = _chance(effect, middle, level) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def detectable_difference(std: float, n: int, power: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest true difference that ``n`` seeds find with a chance of ``power``.

    To be used to say what a study could have found. A smaller difference is not excluded by a test
    that finds nothing. The assumptions are those of :func:`power`.

    Args:
        std: standard deviation of the paired differences over seeds, above 0.
        n: seeds, 2 or more.
        power: above ``level``, below 1.
        level: of the test, between 0 and 1.

    Raises:
        ValueError: for a value out of range.
    """
    _check(0.0, std, level)
    check_count("n", n, low=2)
    check_between("power", power, level)
    high = 1.0
    while _chance(high, n, level) < power:
        high *= 2
    return float(std * optimize.brentq(lambda effect: _chance(effect, n, level) - power, 0, high))


def _check(difference: float, std: float, level: float) -> None:
    check_number("difference", difference)
    check_number("std", std, above=0.0)
    check_between("level", level)
