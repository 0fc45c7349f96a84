"""What a difference between two runs is worth. Functions on arrays: no files, no training."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


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
    change = np.asarray(correct, dtype=float)
    other = np.asarray(reference, dtype=float)
    if change.shape != other.shape or change.ndim != 1 or len(change) < 2:
        raise ValueError(
            f"the runs have {change.shape} and {other.shape} items; "
            "the same (N,), N >= 2, is needed."
        )
    change = change - other
    return float(change.mean()), float(change.std(ddof=1) / np.sqrt(len(change)))
