"""What other items, and other seeds and items, would change: against examples and naive loops."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar

from asgml_core.statistics import crossed_bootstrap, item_bootstrap, mcnemar, paired_difference


def pairs(both: int, only: int, only_reference: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    ours = np.repeat([1, 1, 0, 0], [both, only, only_reference, neither])
    theirs = np.repeat([1, 0, 1, 0], [both, only, only_reference, neither])
    return ours.astype(bool), theirs.astype(bool)


def test_mcnemar_of_two_culture_media() -> None:
    """Armitage and Berry (1994), page 127: 20, 12, 2 and 16 specimens; exact p .0129."""
    found = mcnemar(*pairs(20, 12, 2, 16))
    assert (found.only, found.only_reference) == (12, 2)
    assert found.p == pytest.approx(0.0129, abs=5e-5)


@pytest.mark.parametrize("counts", [(5, 0, 0, 5), (3, 1, 0, 3), (9, 7, 7, 1), (100, 31, 55, 20)])
def test_mcnemar_against_statsmodels(counts) -> None:
    both, only, only_reference, neither = counts
    expected = their_mcnemar([[both, only], [only_reference, neither]], exact=True).pvalue
    assert mcnemar(*pairs(*counts)).p == pytest.approx(min(expected, 1), abs=1e-12)


def test_item_bootstrap_against_a_loop() -> None:
    ours, theirs = pairs(200, 61, 40, 99)
    change, draw = ours.astype(float) - theirs, np.random.default_rng(9)
    means = [draw.choice(change, 400).mean() for _ in range(4000)]
    found = item_bootstrap(ours, theirs, level=0.9)
    assert found.estimate == pytest.approx(21 / 400)
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.05, 0.95]), abs=0.004)


def test_item_bootstrap_covers_and_agrees_with_the_standard_error() -> None:
    draw, inside = np.random.default_rng(1), 0
    for trial in range(1000):
        ours, theirs = draw.random(400) < 0.75, draw.random(400) < 0.7
        found = item_bootstrap(ours, theirs, resamples=999, seed=trial)
        inside += found.low <= 0.05 <= found.high
    assert inside / 1000 == pytest.approx(0.95, abs=0.02)
    _, error = paired_difference(ours, theirs)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


@pytest.mark.parametrize("function", [mcnemar, item_bootstrap, paired_difference])
def test_what_is_neither_right_nor_wrong_is_refused(function) -> None:
    with pytest.raises(ValueError, match="reference: item 1 is nan, but must be 0 or 1"):
        function([1, 0, 1], [1, np.nan, 0])
    with pytest.raises(ValueError, match=r"correct: item 2 is 0\.9"):
        function([1, 0, 0.9], [1, 0, 0])
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\) items"):
        function([1, 0], [1, 0, 0])


def study(
    draw: np.random.Generator, seeds: int, items: int, tested: float
) -> tuple[np.ndarray, np.ndarray]:
    """Two runs of the same accuracy, whose items are hard or easy, and whose seeds see a part."""
    hard = draw.normal(0, 1.5, items)
    ours, theirs = (
        (draw.normal(0.5, 0.2, (seeds, 1)) - hard + draw.logistic(size=(seeds, items)) > 0)
        .astype(float)
        for _ in range(2)
    )  # fmt: skip
    missing = draw.random((seeds, items)) > tested
    ours[missing] = theirs[missing] = np.nan
    return ours, theirs


def test_crossed_bootstrap_against_a_loop_over_drawn_rows_and_columns() -> None:
    ours, theirs = study(np.random.default_rng(0), 6, 80, tested=0.5)
    draw, means = np.random.default_rng(1), []
    for _ in range(3000):
        rows, columns = draw.integers(0, 6, 6), draw.integers(0, 80, 80)
        means.append(np.nanmean((ours - theirs)[np.ix_(rows, columns)]))
    found = crossed_bootstrap(ours, theirs, resamples=3000)
    assert found.estimate == pytest.approx(np.nanmean(ours - theirs))
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.008)


@pytest.mark.parametrize("tested", [1.0, 0.4])
def test_crossed_bootstrap_covers_no_difference_at_least_as_often_as_it_says(tested) -> None:
    draw, inside = np.random.default_rng(2), 0
    for trial in range(250):
        found = crossed_bootstrap(*study(draw, 10, 150, tested), resamples=300, seed=trial)
        inside += found.low <= 0 <= found.high
    assert inside / 250 >= 0.95 - 0.014  # a standard error


def test_both_seeds_and_items_are_drawn() -> None:
    """With a difference of seeds alone the width is that over seeds; with one of items, of items.

    Each alone would leave one of the two without any width.
    """
    theirs = np.zeros((10, 40))
    by_seed, by_item = theirs.copy(), theirs.copy()
    by_seed[:5], by_item[:, :20] = 1, 1
    for ours, size in ((by_seed, 10), (by_item, 40)):
        found = crossed_bootstrap(ours, theirs, resamples=4000)
        assert (found.high - found.low) / 2 == pytest.approx(1.96 * 0.5 / np.sqrt(size), rel=0.12)


def test_items_that_no_seed_tests_play_no_part() -> None:
    ours, theirs = study(np.random.default_rng(3), 5, 60, tested=0.7)
    wide = [np.insert(each, [0, 30, 60], np.nan, axis=1) for each in (ours, theirs)]
    assert crossed_bootstrap(*wide) == crossed_bootstrap(ours, theirs)


def test_two_runs_that_are_the_same_have_no_difference() -> None:
    ours, _ = study(np.random.default_rng(4), 4, 30, tested=0.8)
    found = crossed_bootstrap(ours, ours)
    assert found.low == found.estimate == found.high == 0


def test_a_swap_of_the_runs_swaps_the_sign() -> None:
    ours, theirs = study(np.random.default_rng(5), 7, 90, tested=0.8)
    found, other = crossed_bootstrap(ours, theirs), crossed_bootstrap(theirs, ours)
    assert (-other.high, -other.low) == pytest.approx((found.low, found.high))


def test_crossed_bootstrap_refuses() -> None:
    ours = np.array([[1, 0, np.nan], [1, np.nan, 0]])
    with pytest.raises(ValueError, match="seed 1 tests item 1 in only one of the runs"):
        crossed_bootstrap(ours, [[1, 0, np.nan], [1, 1, 0]])
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 2\)"):
        crossed_bootstrap(ours, ours[:, :2])
    with pytest.raises(ValueError, match="reference: seed 0, item 0 is 2"):
        crossed_bootstrap(ours, 2 * ours)
    with pytest.raises(ValueError, match="seed 1 tests no item"):
        crossed_bootstrap(ours * [[1], [np.nan]], ours * [[1], [np.nan]])
    with pytest.raises(ValueError, match="1 seeds and 2 tested items"):
        crossed_bootstrap(ours[:1], ours[:1])
    apart = np.array([[1, np.nan], [np.nan, 1]])
    with pytest.raises(ValueError, match="resamples have no item that their seeds test"):
        crossed_bootstrap(apart, apart)
