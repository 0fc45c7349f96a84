"""Figures of comparisons against the tables they show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from asgml_core import figures, labels, statistics
from asgml_core.figures.comparisons import p_value

Marks = Callable[..., np.ndarray]
PAIRS = [("ogmge", "baseline"), ("p2_boost_ogm", "baseline"), ("p2_boost_ogm", "ogmge"),
         ("p2_boost_ogm_a075", "unimodal_losses_only")]  # fmt: skip


@pytest.mark.parametrize("pairs", [PAIRS, [("ogmge", "baseline"), ("ogm", "baseline")]])
def test_differences_are_of_the_same_seeds(
    accuracies: pd.DataFrame, pairs: list, marks: Marks, overlaps: Callable
) -> None:
    contrasts = statistics.contrasts(accuracies, pairs)
    figure = figures.paired(accuracies, contrasts)
    points = marks(figure)
    for row, (run, reference) in enumerate(pairs):
        place = len(pairs) - 1 - row
        of_pair = points[np.abs(points[:, 1] - place) < 0.5, 0]
        apart = accuracies[run] - accuracies[reference]
        expected = np.sort([*apart, contrasts["difference"][row]])
        np.testing.assert_allclose(np.sort(of_pair), expected, atol=1e-9)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [*map(p_value, contrasts["p_holm"]), "p, Holm"]
    assert overlaps(figure) == []


def test_the_reference_is_named(accuracies: pd.DataFrame) -> None:
    several = figures.paired(accuracies, statistics.contrasts(accuracies, PAIRS))
    ticks = [label.get_text() for label in several.axes[0].get_yticklabels()]
    assert "boost + OGM-GE\nminus OGM-GE" in ticks
    one = figures.paired(accuracies, statistics.contrasts(accuracies, PAIRS[:2]))
    assert one.axes[0].get_xlabel() == "difference from baseline (points), the same seeds"


@pytest.mark.parametrize(
    ("p", "said"),
    [(0.0004, "< .001"), (0.0123, ".012"), (1.0, "1"), (0.5, ".500"), (np.nan, "none")],
)
def test_p_values_in_words(p: float, said: str) -> None:
    assert p_value(p) == said


@pytest.mark.parametrize("count", [3, 9, 18])
def test_ranks_are_where_they_are_and_labels_apart(
    accuracies: pd.DataFrame, count: int, overlaps: Callable, marks: Marks
) -> None:
    found = statistics.friedman(accuracies.iloc[:, :count])
    figure = figures.critical_difference(found)
    points = marks(figure)
    np.testing.assert_allclose(np.sort(points[:, 0]), np.sort(found.ranks))
    texts = [text.get_text() for text in figure.axes[0].texts]
    for run, rank in found.ranks.items():
        name = labels.label(str(run))
        assert {f"{name}  {rank:.1f}", f"{rank:.1f}  {name}"} & set(texts)
    assert f"critical difference {found.critical_difference:.2f}" in texts
    assert overlaps(figure) == []


def test_a_bar_joins_a_clique_and_bars_do_not_touch(accuracies: pd.DataFrame) -> None:
    found = statistics.friedman(accuracies)
    figure = figures.critical_difference(found)
    lines = [c for c in figure.axes[0].collections if c.get_linewidth()[0] > 2]
    bars = np.array([[*c.get_segments()[0][:, 0], c.get_segments()[0][0, 1]] for c in lines])
    expected = [
        (found.ranks[list(group)].min(), found.ranks[list(group)].max())
        for group in statistics.cliques(found)
    ]
    drawn = sorted((start + 0.06, end - 0.06) for start, end, _ in bars)
    np.testing.assert_allclose(drawn, sorted(expected), atol=1e-9)
    for place in set(bars[:, 2]):
        level = bars[bars[:, 2] == place]
        level = level[np.argsort(level[:, 0])]
        assert (level[1:, 0] > level[:-1, 1]).all()


def test_cost_and_accuracy_are_where_they_are(
    accuracies: pd.DataFrame, overlaps: Callable, marks: Marks
) -> None:
    mean = accuracies.mean().to_numpy()
    table = pd.DataFrame({"run": list(accuracies), "cost": np.linspace(1, 1.1, 18) ** 2,
                          "accuracy": mean, "low": mean - 0.5, "high": mean + 0.5})  # fmt: skip
    figure = figures.cost_against_accuracy(table)
    np.testing.assert_allclose(marks(figure), table[["cost", "accuracy"]])
    notes = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert notes[labels.label("ogmge")] == (table["cost"][1], table["accuracy"][1])
    assert len(notes) == 18
    assert overlaps(figure) == []


def test_runs_of_one_cost_and_accuracy_have_labels_apart(overlaps: Callable) -> None:
    table = pd.DataFrame({"run": list(labels.LABELS), "cost": 1.0, "accuracy": 80.0, "low": 79.0,
                          "high": 81.0})  # fmt: skip
    assert overlaps(figures.cost_against_accuracy(table)) == []


def test_seeds_needed_are_those_of_the_test(overlaps: Callable, marks: Marks) -> None:
    differences, stds = [0.5, 1.0, 2.0], [1.0, 2.0]
    figure = figures.power_curve(differences, stds)
    expected = [(d, statistics.seeds_needed(d, s)) for s in stds for d in differences]
    np.testing.assert_allclose(marks(figure), expected)
    assert overlaps(figure) == []
    with pytest.raises(ValueError, match="must be a number above 0"):
        figures.power_curve([0.0, 1.0], stds)
