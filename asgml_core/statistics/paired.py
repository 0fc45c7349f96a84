"""Tests and chances for two runs with the same seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from asgml_core.checks import check_between, check_count
from asgml_core.statistics.intervals import RESAMPLES, SAME, Interval, sample

#: Up to so many differences all patterns of signs are gone through.
EXACT = 20
#: Patterns of signs that are drawn at a time.
CHUNK = 10_000


@dataclass(frozen=True)
class SignFlip:
    """What :func:`sign_flip` found.

    Args:
        p: two-sided.
        floor: the smallest p that so many differences can give.
        exact: whether all patterns of signs were gone through.
        n: how many differences there are.
    """

    p: float
    floor: float
    exact: bool
    n: int


def sign_flip(differences: ArrayLike, resamples: int = 99_999, seed: int = 0) -> SignFlip:
    """Return how often signs drawn by chance give a mean as far from 0: the paired sign-flip test.

    If a method did nothing, the difference of each seed could as well have the other sign. To be
    used for a difference of two runs with the same seeds; it assumes that without an effect a
    difference and its opposite are as likely, and no distribution. With five seeds p is never below
    .0625, however large the differences are. Source: Fisher (1935), section 21.

    Args:
        differences: ``(N,)``, one a seed. Up to 20 all :math:`2^N` patterns are gone through.
        resamples: patterns drawn where there are more; the observed one counts, too.
        seed: of that draw.

    Raises:
        ValueError: for fewer than two differences, or one that is not finite.
    """
    # Signs are drawn anyway, so sorted sizes give the same p in whatever order the seeds come.
    given = sample("differences", differences)
    x = np.sort(np.abs(given))
    check_count("resamples", resamples)
    n = len(x)
    least = abs(given.sum()) - SAME * x.sum()
    if n <= EXACT:
        sums = np.zeros(1)
        for value in x:
            sums = np.concatenate([sums + value, sums - value])
        return SignFlip(float((np.abs(sums) >= least).mean()), 2.0 ** (1 - n), True, n)
    draw, far = np.random.default_rng(seed), 1
    for start in range(0, resamples, CHUNK):
        signs = draw.integers(0, 2, (min(CHUNK, resamples - start), n)) * 2.0 - 1
        far += int((np.abs(signs @ x) >= least).sum())
    floor = max(1 / (resamples + 1), 2.0 ** (1 - n))
    return SignFlip(far / (resamples + 1), floor, False, n)


def paired_t(differences: ArrayLike) -> float:
    """Return the two-sided p of Student's t test: is a paired difference more than chance?

    To be used for two runs with the same seeds. It assumes normal differences, and few seeds cannot
    show whether they are; in return p has no floor, as that of :func:`sign_flip` has. It says
    nothing of how large the difference is: see ``mean_interval``. Source: Student (1908).

    Args:
        differences: ``(N,)``, N of 2 or more, one a seed.

    Returns:
        1 where all differences are 0. Where all are the same and not 0 it is 0, for there is no
        measure of chance, as in the interval of such values, which has no width.

    Raises:
        ValueError: for fewer than two differences, or one that is not finite.
    """
    x = sample("differences", differences)
    if np.ptp(x) <= SAME * np.abs(x).max():
        return 0.0 if x.any() else 1.0
    t = x.mean() * np.sqrt(len(x)) / x.std(ddof=1)
    return float(2 * stats.t.sf(abs(t), len(x) - 1))


def holm(p_values: pd.Series) -> pd.Series:
    """Return p values adjusted so that a whole family of tests errs as seldom as one.

    To be used on all the contrasts that were declared together, and on no choice of them. Source:
    Holm (1979).

    It bounds the chance of any false find in the family, and says nothing of how large an effect
    is. Five seeds give no p below .0625, and Holm only raises it.

    Args:
        p_values: each from 0 to 1.

    Raises:
        ValueError: when one is not, naming it.
    """
    p = p_values.to_numpy(dtype=np.float64)
    odd = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if len(odd):
        name = p_values.index[odd[0]]
        raise ValueError(f"p value {name!r} is {p[odd[0]]:g}, but must be from 0 to 1.")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return pd.Series(adjusted, index=p_values.index, name=p_values.name)


def probability_of_improvement(
    values: ArrayLike,
    reference: ArrayLike,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the chance that a run with one seed beats the reference with another; a tie is half.

    To be used to say how large a difference is beside the spread; .5 is none. The seeds are not
    paired. The interval is a percentile bootstrap of the seeds of each. Where every value beats
    every other it is the point 1 (or 0): no resample shows otherwise, another seed could. Source:
    Agarwal et al. (2021), section 4.3, after Mann and Whitney.

    Args:
        values: ``(N,)``, one a seed, N of 2 or more.
        reference: ``(K,)``, K of 2 or more.
        level: of confidence, between 0 and 1.
        resamples: of the bootstrap.
        seed: of the resampling.

    Raises:
        ValueError: for fewer than two values, or one that is not finite.
    """
    x, y = np.sort(sample("values", values)), np.sort(sample("reference", reference))
    check_between("level", level)
    check_count("resamples", resamples)
    wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    draw = np.random.default_rng(seed)
    ours = draw.multinomial(len(x), np.full(len(x), 1 / len(x)), resamples) / len(x)
    theirs = draw.multinomial(len(y), np.full(len(y), 1 / len(y)), resamples) / len(y)
    drawn = np.einsum("ri,ij,rj->r", ours, wins, theirs, optimize=True)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(wins.mean()), float(low), float(high))
