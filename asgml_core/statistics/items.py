"""What a difference of two runs is worth, given the items that they were tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from asgml_core.checks import check_between, check_count
from asgml_core.statistics.intervals import RESAMPLES, Interval


@dataclass(frozen=True)
class McNemar:
    """What :func:`mcnemar` found.

    Args:
        only: items that only the run gets right.
        only_reference: items that only the reference gets right.
        p: two-sided, exact.
    """

    only: int
    only_reference: int
    p: float


def accuracy_error(accuracy: float, items: int) -> float:
    """Return the binomial standard error of an accuracy, from 0 to 1, over ``items`` items."""
    return float(np.sqrt(accuracy * (1 - accuracy) / items))


def paired_difference(correct: ArrayLike, reference: ArrayLike) -> tuple[float, float]:
    """Return the difference of two accuracies on the same items, and its standard error.

    The error comes from the items that only one of the two gets right (the quantity of McNemar's
    test). It says what another draw of test items would change; it says nothing about another seed.

    Args:
        correct: ``(N,)`` booleans, whether the run got the item right.
        reference: ``(N,)`` booleans of the run to compare with, the same items in the same order.

    Raises:
        ValueError: when the two have different numbers of items, or fewer than two.
    """
    change = np.subtract(*_same_items(correct, reference))
    return float(change.mean()), float(change.std(ddof=1) / np.sqrt(len(change)))


def mcnemar(correct: ArrayLike, reference: ArrayLike) -> McNemar:
    """Return McNemar's exact test of whether two runs get equally many items right.

    To be used for one run against another on one test part. It says nothing about another seed:
    with two seeds of *one* method it often finds a difference, too. Source: McNemar (1947), with
    the binomial distribution in place of chi-square.

    Args:
        correct: ``(N,)`` booleans, whether the run got the item right.
        reference: ``(N,)`` booleans of the run to compare with, the same items in the same order.

    Raises:
        ValueError: when the two have different numbers of items, or fewer than two.
    """
    ours, theirs = _same_items(correct, reference)
    only, only_reference = int((ours > theirs).sum()), int((ours < theirs).sum())
    both = only + only_reference
    p = float(stats.binomtest(only, both).pvalue) if both else 1.0
    return McNemar(only, only_reference, p)


def item_bootstrap(
    correct: ArrayLike,
    reference: ArrayLike,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the difference of two accuracies, from -1 to 1, with a bootstrap over the items.

    To be used for one run against another on one test part; it says nothing about another seed.

    Args:
        correct: ``(N,)`` booleans, whether the run got the item right.
        reference: ``(N,)`` booleans of the run to compare with, the same items in the same order.
        level: of confidence, between 0 and 1.
        resamples: of the bootstrap.
        seed: of the resampling.

    Raises:
        ValueError: when the two have different numbers of items, or fewer than two.
    """
    change = np.subtract(*_same_items(correct, reference))
    check_between("level", level)
    check_count("resamples", resamples)
    # Only how many items of each kind are drawn matters: worse, equal, better.
    shares = np.array([(change == kind).mean() for kind in (-1, 0, 1)])
    drawn = np.random.default_rng(seed).multinomial(len(change), shares, resamples)
    means = (drawn[:, 2] - drawn[:, 0]) / len(change)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(change.mean()), float(low), float(high))


def crossed_bootstrap(
    correct: ArrayLike,
    reference: ArrayLike,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean difference of two runs, from -1 to 1, over other seeds and other items.

    Seeds and items are drawn anew, apart, and a cell counts as often as its seed times its item:
    the pigeonhole bootstrap of Owen (2007). To be used to say how sure a difference is where both
    could have been others. It errs on the safe side: an interval is somewhat too wide.

    Args:
        correct: ``(S, N)``: 1 where the run of the seed got the item right, 0 where it did not,
            NaN where the seed does not test the item.
        reference: the same of the run to compare with.
        level: of confidence, between 0 and 1.
        resamples: of the bootstrap.
        seed: of the resampling.

    Raises:
        ValueError: when the two have different shapes or test different items, or there are fewer
            than two seeds or items.
    """
    ours, theirs = np.asarray(correct, float), np.asarray(reference, float)
    if ours.shape != theirs.shape or ours.ndim != 2 or min(ours.shape) < 2:
        raise ValueError(
            f"the runs have shapes {ours.shape} and {theirs.shape}; the same (S, N), both >= 2, is "
            "needed."
        )
    there = ~np.isnan(ours)
    if (there != ~np.isnan(theirs)).any() or not there.any(axis=1).all():
        raise ValueError("the two runs must have the same items in every seed, one at least.")
    check_between("level", level)
    check_count("resamples", resamples)
    change, known = np.where(there, ours - theirs, 0.0), there.astype(float)
    draw, (seeds, items) = np.random.default_rng(seed), change.shape
    of_seed = draw.multinomial(seeds, np.full(seeds, 1 / seeds), resamples).astype(float)
    of_item = draw.multinomial(items, np.full(items, 1 / items), resamples).astype(float)
    weight = ((of_seed @ known) * of_item).sum(axis=1)
    drawn = ((of_seed @ change) * of_item).sum(axis=1)[weight > 0] / weight[weight > 0]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(change.sum() / known.sum()), float(low), float(high))


def _same_items(correct: ArrayLike, reference: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    ours, theirs = np.asarray(correct, dtype=float), np.asarray(reference, dtype=float)
    if ours.shape != theirs.shape or ours.ndim != 1 or len(ours) < 2:
        raise ValueError(
            f"the runs have {ours.shape} and {theirs.shape} items; "
            "the same (N,), N >= 2, is needed."
        )
    return ours, theirs
