"""Errors of accuracies against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from asgml_core.statistics import accuracy_error, paired_difference


def test_binomial_error() -> None:
    """METHODS' own example: 744 items at 62 % have a standard error of 1.8 points."""
    assert accuracy_error(0.62, 744) == pytest.approx(0.0178, abs=5e-5)
    assert accuracy_error(1.0, 10) == 0


def test_paired_difference_is_mcnemars_quantity() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.random(500) < 0.8, draw.random(500) < 0.7
    n, only_a, only_b = 500, int((a & ~b).sum()), int((~a & b).sum())
    difference, error = paired_difference(a, b)
    assert difference == pytest.approx((only_a - only_b) / n)
    variance = (only_a + only_b - (only_a - only_b) ** 2 / n) / (n - 1)
    assert error == pytest.approx(np.sqrt(variance / n))
    assert paired_difference(a, a) == (0, 0)


def test_the_error_covers_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        difference, error = paired_difference(draw.random(400) < 0.75, draw.random(400) < 0.7)
        inside += abs(difference - 0.05) < 1.96 * error
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


def test_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\) items"):
        paired_difference([1, 0, 1], [1, 0])
