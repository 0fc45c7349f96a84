"""Where points and labels of rows stand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from asgml_core.figures.rows import spread_apart, swarm


def test_texts_upon_each_other_are_found(overlaps: Callable) -> None:
    figure, ax = plt.subplots()
    plt.close(figure)
    ax.text(0.5, 0.5, "one")
    ax.annotate("other", (0, 0), (0.51, 0.5), arrowprops={"arrowstyle": "-"})
    ax.annotate("apart", (0.5, 0.5), (0.5, 0.8), arrowprops={"arrowstyle": "-"})
    assert overlaps(figure) == [("one", "other")]


numbers = st.lists(st.floats(-100, 100), min_size=1, max_size=12)


@given(values=numbers, reach=st.floats(0.01, 20))
def test_near_points_stand_on_different_heights(values: list[float], reach: float) -> None:
    heights = swarm(values, reach)
    assert np.abs(heights).max() <= 1
    for one, other in combinations(range(len(values)), 2):
        if abs(values[one] - values[other]) < reach:
            assert heights[one] != heights[other]


def test_points_that_are_alone_stand_in_the_middle() -> None:
    assert swarm([1, 5, 9], reach=1).tolist() == [0, 0, 0]
    assert swarm([1, 1, 9], reach=1).tolist() == [0, 0.5, 0]


@given(values=numbers, gap=st.floats(0.01, 20))
def test_labels_are_a_gap_apart_and_moved_as_little_as_possible(
    values: list[float], gap: float
) -> None:
    spread = spread_apart(values, gap)
    assert np.diff(np.sort(spread)).min(initial=gap) >= gap - 1e-6
    order = np.argsort(values, kind="stable")
    # The nearest heights, in least squares, that are a gap apart are an isotonic regression.
    offsets = gap * np.arange(len(values))
    best = isotonic_regression(np.array(values)[order] - offsets).x + offsets
    np.testing.assert_allclose(spread[order], best, atol=1e-6)


def test_labels_that_are_apart_stay() -> None:
    assert spread_apart([3.0, 1.0, 2.0], 0.5).tolist() == pytest.approx([3, 1, 2])
    assert spread_apart([1.0, 1.0], 1).tolist() == pytest.approx([0.5, 1.5])
