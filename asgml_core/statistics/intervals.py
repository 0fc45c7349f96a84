"""Intervals for what is known of a mean, or of any statistic, from a few seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from asgml_core.checks import check_between, check_count

RESAMPLES = 9999
#: Numbers that differ by less than this share of their range, or of their sum, are equal.
SAME = 1e-9


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval."""

    estimate: float
    low: float
    high: float


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return a mean and Student's t interval of it: where the mean over other seeds is expected.

    To be used for the mean over seeds of anything that is not far from normal. It says nothing of
    other items, data or networks. Equal values give a width of 0, which two runs that agree by
    chance give, too.

    Args:
        values: ``(N,)``, N of 2 or more, one a seed.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: for fewer than two values, or one that is not finite.
    """
    x = sample("values", values)
    check_between("level", level)
    half = stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half))


def bca_interval(
    values: ArrayLike,
    statistic: Callable[..., np.ndarray] = np.mean,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return a statistic and its BCa bootstrap interval: bias-corrected and accelerated.

    To be used where the values are far from normal, or the statistic is not a mean. With few values
    it is too narrow: of means of normal values an interval of 95 % covered 85, 89 and 93 % with 5,
    10 and 20 seeds. Like every interval over seeds it says nothing of other items. Source: Efron
    (1987).

    Args:
        values: ``(N,)``, N of 2 or more. Their order does not matter.
        statistic: takes an array and ``axis``.
        level: of confidence, between 0 and 1.
        resamples: of the bootstrap.
        seed: of the resampling.

    Returns:
        The estimate alone, as both ends, where all values, or all resamples, give the same.

    Raises:
        ValueError: for fewer than two values, or one that is not finite; for a statistic that is
            not finite for a resample, or lies outside all resamples.
    """
    x = np.sort(sample("values", values))
    check_between("level", level)
    check_count("resamples", resamples)
    estimate = float(statistic(x, axis=0))
    rows = np.random.default_rng(seed).integers(0, len(x), (resamples, len(x)))
    drawn = np.asarray(statistic(x[rows], axis=-1), dtype=np.float64)
    if not np.isfinite(drawn).all():
        count = int((~np.isfinite(drawn)).sum())
        raise ValueError(f"the statistic is not finite for {count} of {resamples} resamples.")
    if np.ptp(x) == 0 or (drawn == estimate).all():
        return Interval(estimate, estimate, estimate)
    ends = np.quantile(drawn, _bca_levels(x, drawn, statistic, level))
    return Interval(estimate, float(ends[0]), float(ends[1]))


def _bca_levels(
    x: np.ndarray, drawn: np.ndarray, statistic: Callable[..., np.ndarray], level: float
) -> np.ndarray:
    """Return the two quantiles of the resamples that BCa takes."""
    estimate = statistic(x, axis=0)
    # The same sum in another order differs in its last bits: such a draw is a tie, half below.
    same = np.abs(drawn - estimate) <= SAME * np.ptp(drawn)
    below = ((drawn < estimate) & ~same).mean() + same.mean() / 2
    if not 0 < below < 1:
        raise ValueError(
            f"the statistic of the values, {float(estimate):g}, lies outside all of its resamples, "
            "so a bootstrap says nothing of it."
        )
    others = ~np.eye(len(x), dtype=bool)
    left_out = statistic(np.stack([x[other] for other in others]), axis=-1)
    apart = left_out.mean() - left_out
    scale = (apart**2).sum() ** 1.5
    # Where no single value matters (a median amid ties) there is nothing to accelerate.
    acceleration = (apart**3).sum() / (6 * scale) if scale > 0 else 0.0
    bias = special.ndtri(below)
    shift = bias + special.ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    return special.ndtr(bias + shift / (1 - acceleration * shift))


def sample(name: str, values: ArrayLike, least: int = 2) -> np.ndarray:
    """Return values as ``(N,)`` float64.

    Raises:
        ValueError: naming what is wrong: the shape, the number, or the first that is not finite.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < least:
        raise ValueError(f"{name} has shape {x.shape}, but (N,), N >= {least}, is needed.")
    if not np.isfinite(x).all():
        at = int(np.flatnonzero(~np.isfinite(x))[0])
        raise ValueError(f"{name}: value {at} is {x[at]}, but all must be finite.")
    return x
