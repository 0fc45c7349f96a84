"""Figures of seeds: what is drawn is the table, and no label lies upon another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from asgml_core import figures, labels, statistics, study

Marks = Callable[..., np.ndarray]


def segments(figure: Figure, panel: int = 0) -> np.ndarray:
    """Return the horizontal lines of a panel: left end, right end, height."""
    found = [s for c in figure.axes[panel].collections for s in c.get_segments()]
    return np.array([[s[0][0], s[1][0], s[0][1]] for s in found])


def published() -> pd.DataFrame:
    runs = [run for run in study.runs() if run.group == "multi_seed"]
    table = pd.DataFrame([vars(run) for run in runs])
    wide = table.pivot(index="seed", columns="run_id", values="published_best_acc")
    return wide[list(study.group("multi_seed"))]


def test_every_seed_is_a_point_and_the_mean_has_its_interval(
    accuracies: pd.DataFrame, marks: Marks
) -> None:
    figure = figures.seeds(accuracies, reference="baseline")
    points, drawn = marks(figure), segments(figure)
    summary = statistics.summarise(accuracies)
    for row, run in enumerate(accuracies):
        place = accuracies.shape[1] - 1 - row
        of_run = points[np.abs(points[:, 1] - place) < 0.5]
        seeds, mean = of_run[of_run[:, 1] > place - 0.2], of_run[of_run[:, 1] < place - 0.2]
        np.testing.assert_allclose(np.sort(seeds[:, 0]), np.sort(accuracies[run]))
        assert mean[:, 0] == pytest.approx([accuracies[run].mean()])
        interval = drawn[np.isclose(drawn[:, 2], mean[0, 1])][0, :2]
        np.testing.assert_allclose(interval, summary.loc[run, ["low", "high"]].astype(float))
    reference = figure.axes[0].get_lines()[0].get_xdata()
    np.testing.assert_allclose(reference, accuracies["baseline"].mean())


def test_a_given_summary_is_drawn(accuracies: pd.DataFrame, marks: Marks) -> None:
    two = accuracies[["baseline", "ogmge"]]
    summary = pd.DataFrame({"mean": [1.0, 2], "low": [0.5, 1], "high": [3.0, 4]}, index=list(two))
    figure = figures.seeds(two, summary)
    assert {1.0, 2.0} <= set(marks(figure)[:, 0])
    assert sorted(segments(figure)[:, :2].tolist()) == [[0.5, 3.0], [1.0, 4.0]]


def test_rows_have_labels_from_the_top(accuracies: pd.DataFrame, overlaps: Callable) -> None:
    figure = figures.seeds(accuracies)
    ticks = dict(zip(figure.axes[0].get_yticks(), figure.axes[0].get_yticklabels(), strict=True))
    assert ticks[17].get_text() == "baseline"
    assert ticks[0].get_text() == labels.label(str(accuracies.columns[-1]))
    assert overlaps(figure) == []


def test_what_choosing_on_test_adds(marks: Marks, overlaps: Callable) -> None:
    table = pd.DataFrame({
        "run": ["baseline", "baseline", "ogmge", "ogmge"], "seed": [1, 2, 1, 2],
        "validation": [0.50, 0.60, 0.70, 0.72], "last": [0.52, 0.60, 0.69, 0.73],
        "best_on_test": [0.53, 0.61, 0.70, 0.75],
    })  # fmt: skip
    figure = figures.selection_gain(table)
    first, second = (marks(figure, panel) for panel in (0, 1))
    assert sorted(first[first[:, 1] > 0.5, 0]) == pytest.approx([1, 2, 3])  # two seeds, a mean
    assert sorted(second[second[:, 1] < 0.5, 0]) == pytest.approx([1, 1.5, 2])
    assert overlaps(figure) == []
    with pytest.raises(ValueError, match="best_on_test reaches 75, but accuracies are from 0 to 1"):
        figures.selection_gain(table.assign(best_on_test=75.0))


def test_gains_are_over_the_reference_of_the_same_seed(marks: Marks, overlaps: Callable) -> None:
    one = pd.DataFrame({"baseline": [90.0, 92.0], "ogmge": [91.0, 91.0], "ogm": [94.0, 97.0]})
    other = pd.DataFrame({"baseline": [50.0, 52.0], "ogmge": [50.5, 52.5], "ogm": [50.0, 53.0]})
    figure = figures.gains({"GRID": one, "drawn data": other})
    assert [ax.get_title() for ax in figure.axes] == ["GRID", "drawn data"]
    ticks = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert ticks == ["OGM-GE", "OGM (no noise)"]
    first, second = (marks(figure, panel) for panel in (0, 1))
    assert sorted(first[first[:, 1] > 0.5, 0]) == pytest.approx([-1, 0, 1])  # two seeds, a mean
    assert sorted(first[first[:, 1] < 0.5, 0]) == pytest.approx([4, 4.5, 5])
    assert sorted(second[second[:, 1] < 0.5, 0]) == pytest.approx([0, 0.5, 1])
    assert overlaps(figure) == []


def test_the_published_table_and_its_measures(marks: Marks, overlaps: Callable) -> None:
    table = published()
    figure = figures.published(table, {"ogmge": 62.47})
    points = marks(figure)
    for value in table.to_numpy().ravel():
        assert np.isclose(points[:, 0], value).any()
    assert np.isclose(points[:, 0], 62.47).any()
    lengths = segments(figure)
    widths = (lengths[:, 1] - lengths[:, 0])[lengths[:, 2] > 8.5]  # above the rows
    p = table.to_numpy().mean() / 100
    expected = [100 / 744, 200 * np.sqrt(p * (1 - p) / 744)]
    assert sorted(widths) == pytest.approx(expected)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said == ["one clip of 744: .134 points", "± one binomial standard error: 1.8 points"]
    assert overlaps(figure) == []


def test_later_results_have_a_panel_a_setting(
    shared: Callable, marks: Marks, overlaps: Callable
) -> None:
    table = pd.read_csv(shared("study/later_results.csv"))
    figure = figures.later(table)
    assert [ax.get_title("left") for ax in figure.axes][:2] == [
        "CREMA-D, three frames", "CREMA-D, three frames, linear head",
    ]  # fmt: skip
    for panel, (_, group) in enumerate(table.groupby("setting", sort=False)):
        points = marks(figure, panel)[:, 0]
        assert len(points) == len(group) + group["method"].nunique()
        for value in group["best_acc"]:
            assert np.isclose(points, value).any()
    assert overlaps(figure) == []
