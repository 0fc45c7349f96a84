"""Whether one run varies more over seeds than another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from asgml_core.checks import check_between, check_count
from asgml_core.statistics.intervals import RESAMPLES, SAME, Interval, sample


@dataclass(frozen=True)
class BrownForsythe:
    """What :func:`brown_forsythe` found."""

    statistic: float
    p: float


def brown_forsythe(*groups: ArrayLike) -> BrownForsythe:
    """Return the test of equal spread that does not need normal values: Brown and Forsythe's.

    It is Levene's test with medians. To be used for two or more runs; with five seeds it finds only
    very large differences. It takes the groups for independent, and says nothing of their means.
    Source: Brown and Forsythe (1974).

    Args:
        groups: ``(N,)`` each, one value a seed.

    Raises:
        ValueError: for fewer than two groups, fewer than three values in one, or groups whose
            values are all equally far from their medians.
    """
    if len(groups) < 2:
        raise ValueError(f"{len(groups)} groups were given, but two or more are needed.")
    samples = [sample(f"group {i}", group, 3) for i, group in enumerate(groups)]
    if all(np.ptp(np.abs(x - np.median(x))) == 0 for x in samples):
        raise ValueError(
            "in every group all values are equally far from the median, so there is no measure of "
            "chance to compare their spreads with."
        )
    found = stats.levene(*samples, center="median")
    return BrownForsythe(float(found.statistic), float(found.pvalue))


@dataclass(frozen=True)
class PitmanMorgan:
    """What :func:`pitman_morgan` found.

    Args:
        correlation: of sums and differences by seed; above 0 where the values vary more.
        p: two-sided.
    """

    correlation: float
    p: float


def pitman_morgan(values: ArrayLike, reference: ArrayLike) -> PitmanMorgan:
    """Return the test of equal spread for two runs with the same seeds: Pitman's and Morgan's.

    Two runs vary alike exactly where their sum and their difference are not correlated, so that
    correlation is tested. To be used where the seeds pair, so that groups are not independent. It
    trusts the normal distribution of both, as the F test does, and says nothing of their means.
    Sources: Pitman (1939); Morgan (1939).

    Args:
        values: ``(N,)``, one a seed, N of 3 or more.
        reference: ``(N,)``, the same seeds in the same order.

    Raises:
        ValueError: for unequal numbers of values, fewer than three, one that is not finite, no
            spread in either, or a sum or difference that is the same for every seed.
    """
    x, y = _spreading(values, reference)
    if len(x) != len(y):
        raise ValueError(f"there are {len(x)} values, but {len(y)} of the reference.")
    both, apart = x + y, x - y
    for name, each in (("sum", both), ("difference", apart)):
        if np.ptp(each) <= SAME * (np.ptp(x) + np.ptp(y)):
            raise ValueError(f"the {name} of the two is the same for every seed: no chance in it.")
    found = stats.pearsonr(both, apart)
    return PitmanMorgan(float(found.statistic), float(found.pvalue))


def spread_ratio(
    values: ArrayLike,
    reference: ArrayLike,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the ratio of two sample deviations with a percentile bootstrap interval.

    Not the ratio of variances, which is its square. The seeds of each run are drawn anew, apart. A
    draw without any spread gives a ratio of 0 or infinity, and counts as that; one without spread
    on both sides could be any ratio, and counts as 0 for the low end and as infinity for the high
    one. Of normal values and equal spreads an interval of 95 % covered the truth in 97, 92 and
    93 % of trials with 5, 10 and 20 seeds. It says nothing of the means.

    Args:
        values: ``(N,)``, one a seed, N of 3 or more.
        reference: ``(K,)``, K of 3 or more.
        level: of confidence, between 0 and 1.
        resamples: of the bootstrap.
        seed: of the resampling.

    Raises:
        ValueError: for fewer than three values, one that is not finite, or no spread in either.
    """
    x, y = _spreading(values, reference)
    check_between("level", level)
    check_count("resamples", resamples)
    draw = np.random.default_rng(seed)
    ours, theirs = (_drawn_spreads(each, resamples, draw) for each in (x, y))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = ours / theirs
    # Order statistics, as in between 0 or infinity and something else there is nothing.
    below, above = (1 - level) / 2, (1 + level) / 2
    low = np.quantile(np.nan_to_num(ratios, nan=0.0, posinf=np.inf), below, method="lower")
    high = np.quantile(np.nan_to_num(ratios, nan=np.inf, posinf=np.inf), above, method="higher")
    return Interval(float(x.std(ddof=1) / y.std(ddof=1)), float(low), float(high))


def _drawn_spreads(x: np.ndarray, resamples: int, draw: np.random.Generator) -> np.ndarray:
    drawn = np.sort(x)[draw.integers(0, len(x), (resamples, len(x)))]
    # The deviation of equal values is not always 0 to the last bit.
    return np.where(np.ptp(drawn, axis=1) == 0, 0.0, drawn.std(axis=1, ddof=1))


def f_interval(values: ArrayLike, reference: ArrayLike, level: float = 0.95) -> Interval:
    """Return the ratio of two sample deviations with the interval of the F distribution.

    To be used where the values are normal. It relies on that at any number of seeds: of values with
    heavier tails (Student's t with 4 degrees of freedom) an interval of 95 % covered the truth in
    88, 84 and 79 % of trials with 5, 10 and 20 seeds.

    Args:
        values: ``(N,)``, one a seed, N of 3 or more.
        reference: ``(K,)``, K of 3 or more.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: for fewer than three values, one that is not finite, or no spread in either.
    """
    x, y = _spreading(values, reference)
    check_between("level", level)
    ratio = float(x.std(ddof=1) / y.std(ddof=1))
    ends = stats.f.ppf([(1 + level) / 2, (1 - level) / 2], len(x) - 1, len(y) - 1)
    return Interval(ratio, *(ratio / np.sqrt(ends)).tolist())


def _spreading(values: ArrayLike, reference: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = sample("values", values, 3), sample("reference", reference, 3)
    for name, each in (("values", x), ("reference", y)):
        if np.ptp(each) == 0:
            raise ValueError(f"{name} are all {each[0]:g}, so there is no spread to compare.")
    return x, y
