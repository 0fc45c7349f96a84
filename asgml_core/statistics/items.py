"""What a difference of two runs is worth, given the items that they were tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from asgml_core.checks import check_between, check_count
from asgml_core.statistics.intervals import RESAMPLES, Interval

#: Resamples that are worked on at a time.
_CHUNK = 250


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
        ValueError: when the two have different numbers of items, or fewer than two, or an item is
            neither right nor wrong.
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
        ValueError: when the two have different numbers of items, or fewer than two, or an item is
            neither right nor wrong.
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
        ValueError: when the two have different numbers of items, or fewer than two, or an item is
            neither right nor wrong.
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
    could have been others. Where chance in the cells rules, it is too wide, up to 1.7 times (the
    root of 3); where seeds rule and are few it is too narrow, as every percentile bootstrap is. It
    says nothing of other data or networks.

    Args:
        correct: ``(S, N)``: 1 where the run of the seed got the item right, 0 where it did not,
            NaN where the seed does not test the item. Items that no seed tests play no part.
        reference: the same of the run to compare with.
        level: of confidence, between 0 and 1.
        resamples: of the bootstrap.
        seed: of the resampling.

    Returns:
        The mean over all cells, each counted once, with the interval.

    Raises:
        ValueError: when the two have different shapes or test different items; for fewer than two
            seeds or items, or a seed without any; for items so scattered over seeds that a resample
            has no cell.
    """
    ours, theirs = _same_cells(correct, reference)
    check_between("level", level)
    check_count("resamples", resamples)
    there = ~np.isnan(ours)
    change, known = np.where(there, ours - theirs, 0.0), there.astype(float)
    generator, (seeds, items) = np.random.default_rng(seed), change.shape
    drawn = np.empty(resamples)
    # A few resamples at a time: the weights of all the items take resamples x items numbers.
    for start in range(0, resamples, _CHUNK):
        part = drawn[start : start + _CHUNK]
        of_seed = _weights(generator, len(part), seeds)
        of_item = _weights(generator, len(part), items)
        weight = np.einsum("ri,ri->r", of_seed @ known, of_item)
        if not weight.all():
            raise ValueError(
                f"{int((weight == 0).sum())} of {len(part)} resamples have no item that their "
                "seeds test; the seeds share too few items."
            )
        part[:] = np.einsum("ri,ri->r", of_seed @ change, of_item) / weight
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(change.sum() / known.sum()), float(low), float(high))


def _weights(generator: np.random.Generator, resamples: int, size: int) -> np.ndarray:
    """Return how often each of ``size`` things is drawn in ``size`` draws, ``(resamples, size)``.

    Counting draws is several times as fast as numpy's multinomial, which loops over the things.
    """
    draws = generator.integers(0, size, (resamples, size)) + size * np.arange(resamples)[:, None]
    counts = np.bincount(draws.ravel(), minlength=resamples * size)
    return counts.reshape(resamples, size).astype(float)


def _same_cells(correct: ArrayLike, reference: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return two checked arrays ``(S, N)``, without the items that no seed tests."""
    ours, theirs = np.asarray(correct, dtype=float), np.asarray(reference, dtype=float)
    if ours.shape != theirs.shape or ours.ndim != 2:
        raise ValueError(
            f"the runs have shapes {ours.shape} and {theirs.shape}; the same (S, N) is needed."
        )
    for name, each in (("correct", ours), ("reference", theirs)):
        _check_right_or_wrong(name, each, missing=True)
    there = ~np.isnan(ours)
    alone = np.argwhere(there != ~np.isnan(theirs))
    if len(alone):
        raise ValueError(f"seed {alone[0, 0]} tests item {alone[0, 1]} in only one of the runs.")
    empty = np.flatnonzero(~there.any(axis=1))
    if len(empty):
        raise ValueError(f"seed {empty[0]} tests no item.")
    tested = there.any(axis=0)
    if len(ours) < 2 or tested.sum() < 2:
        raise ValueError(
            f"there are {len(ours)} seeds and {int(tested.sum())} tested items, but two or more of "
            "both are needed."
        )
    return ours[:, tested], theirs[:, tested]


def _same_items(correct: ArrayLike, reference: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    ours, theirs = np.asarray(correct, dtype=float), np.asarray(reference, dtype=float)
    if ours.shape != theirs.shape or ours.ndim != 1 or len(ours) < 2:
        raise ValueError(
            f"the runs have {ours.shape} and {theirs.shape} items; "
            "the same (N,), N >= 2, is needed."
        )
    for name, each in (("correct", ours), ("reference", theirs)):
        _check_right_or_wrong(name, each)
    return ours, theirs


def _check_right_or_wrong(name: str, values: np.ndarray, missing: bool = False) -> None:
    odd = ~((values == 0) | (values == 1) | (missing & np.isnan(values)))
    if odd.any():
        at = tuple(map(int, np.argwhere(odd)[0]))
        place = f"item {at[0]}" if len(at) == 1 else f"seed {at[0]}, item {at[1]}"
        raise ValueError(f"{name}: {place} is {values[at]:g}, but must be 0 or 1.")
