"""Friedman's test and Nemenyi's critical difference: example and tables of Demsar (2006)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from asgml_core.statistics import Friedman, cliques, friedman

#: The ranks of four decision trees on 14 datasets: Demsar (2006), table 6.
TREES = pd.DataFrame(
    [
        [4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5],
        [3, 2, 4, 1], [2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5],
        [3, 2, 4, 1], [4, 1, 2, 3], [3, 1, 4, 2],
    ],
    columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"],
)  # fmt: skip
#: Critical values of Nemenyi's test for 3 to 10 classifiers: Demsar (2006), table 5 (a).
CRITICAL = {
    0.05: [2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.10: [2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}


def accuracies(ranks: pd.DataFrame) -> pd.DataFrame:
    return 1 - ranks / 10


def test_demsars_example() -> None:
    """His chi-square is not corrected for the ties of iris, lung, mushroom and primary tumour."""
    found = friedman(accuracies(TREES))
    assert found.ranks.round(3).to_dict() == {
        "C4.5": 3.143, "C4.5+m": 2.0, "C4.5+cf": 2.893, "C4.5+m+cf": 1.964
    }  # fmt: skip
    assert list(found.ranks.index) == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    correction = 1 - (6 + 6 + 60 + 6) / (14 * 4 * 15)
    uncorrected = found.statistic * correction
    assert uncorrected == pytest.approx(9.28, abs=0.005)
    assert 13 * uncorrected / (14 * 3 - uncorrected) == pytest.approx(3.69, abs=0.005)
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert (found.n, found.level) == (14, 0.05)


def test_demsars_cliques() -> None:
    """At .05 nothing is apart; at .10 plain C4.5 is, from the two with m."""
    assert cliques(friedman(accuracies(TREES))) == [("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5")]
    found = friedman(accuracies(TREES), level=0.10)
    assert found.critical_difference == pytest.approx(1.12, abs=0.005)
    assert cliques(found) == [("C4.5+m+cf", "C4.5+m", "C4.5+cf"), ("C4.5+cf", "C4.5")]


def test_demsars_critical_values() -> None:
    draw = np.random.default_rng(0)
    for level, expected in CRITICAL.items():
        for k, value in enumerate(expected, start=3):
            found = friedman(pd.DataFrame(draw.random((7, k))), level)
            difference = value * np.sqrt(k * (k + 1) / 42)
            assert found.critical_difference == pytest.approx(difference, rel=3e-4)


def test_against_scipy_and_an_analysis_of_variance_of_the_ranks() -> None:
    """Iman and Davenport's F is the F of a two-way analysis of variance of the ranks, ties too."""
    table = pd.DataFrame(np.random.default_rng(1).integers(0, 6, (9, 4)), columns=list("abcd"))
    found = friedman(table)
    expected = stats.friedmanchisquare(*table.to_numpy().T)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    ranks = stats.rankdata(-table.to_numpy(), axis=1)
    effect = ranks.mean(axis=0) - 2.5
    rest = ranks - 2.5 - effect
    f = (9 * (effect**2).sum() / 3) / ((rest**2).sum() / 24)
    assert (found.f, found.f_p) == pytest.approx((f, stats.f.sf(f, 3, 24)))


def test_the_highest_value_is_the_best() -> None:
    found = friedman(pd.DataFrame({"low": [0.1, 0.2], "high": [0.8, 0.9], "mid": [0.5, 0.4]}))
    assert found.ranks.to_dict() == {"high": 1, "mid": 2, "low": 3}
    assert found.f == np.inf
    assert found.f_p == 0


def test_runs_that_always_tie_do_not_differ() -> None:
    found = friedman(pd.DataFrame(np.ones((3, 4)), columns=list("abcd")))
    assert (found.statistic, found.p, found.f_p) == (0, 1, 1)
    assert cliques(found) == [("a", "b", "c", "d")]


def cliques_by_all_subsets(found: Friedman) -> set[frozenset]:
    names = list(found.ranks.index)
    close = [
        frozenset(names[i] for i in range(len(names)) if bits >> i & 1)
        for bits in range(1, 2 ** len(names))
    ]
    close = [
        group
        for group in close
        if len(group) > 1 and np.ptp([found.ranks[n] for n in group]) < found.critical_difference
    ]
    return {group for group in close if not any(group < other for other in close)}


@pytest.mark.parametrize("seed", range(6))
def test_cliques_are_the_maximal_ones(seed: int) -> None:
    draw = np.random.default_rng(seed)
    ranks = pd.Series(draw.uniform(1, 8, 8), index=list("abcdefgh"))
    given = Friedman(1, 1, 1, 1, ranks, critical_difference=1 + seed / 2, n=5, level=0.05)
    found = cliques(given)
    assert {frozenset(group) for group in found} == cliques_by_all_subsets(given)
    assert len(found) == len(cliques_by_all_subsets(given))
    for group in found:
        assert list(ranks[list(group)]) == sorted(ranks[list(group)])


def test_seeds_and_units_do_not_matter() -> None:
    table = pd.DataFrame(np.random.default_rng(2).random((6, 5)))
    found, other = friedman(table), friedman(100 * table.sample(frac=1, random_state=1))
    assert other.ranks.to_dict() == pytest.approx(found.ranks.to_dict())
    assert other.statistic == pytest.approx(found.statistic)


def test_refused() -> None:
    table = pd.DataFrame(np.eye(3), columns=list("abc"))
    with pytest.raises(ValueError, match="2 runs, but three or more"):
        friedman(table[["a", "b"]])
    with pytest.raises(ValueError, match=r"level is 0.95, but must be a number between 0 and 0.5"):
        friedman(table, level=0.95)
    with pytest.raises(ValueError, match="no finite value of run 'b' for seed 1"):
        friedman(table.assign(b=[0.0, np.nan, 1.0]))
