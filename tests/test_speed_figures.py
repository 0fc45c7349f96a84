"""Figures of speed against the tables they show. Nothing here takes the time of anything."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from asgml_core import figures


def widths(figure: Figure, axes: int = 0) -> list[float]:
    return [bar.get_width() for bar in figure.axes[axes].patches]


def test_shares_lie_end_to_end() -> None:
    table = pd.DataFrame({"a": [60.0, 30.0], "b": [40.0, 70.0]}, index=["one", "other"])
    figure = figures.shares_of_step(table, ["a", "b"])
    assert widths(figure) == [60, 30, 40, 70]
    starts = [bar.get_x() for bar in figure.axes[0].patches]
    assert starts == [0, 0, 60, 30]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["one", "other"]


def test_ratios_are_bars_from_one_and_unknown_ones_are_left_out() -> None:
    table = pd.DataFrame(
        {
            "mode": ["x", "x", "y"],
            "faster": [2.0, 0.5, np.nan],
            "faster, low": [1.9, 0.4, np.nan],
            "faster, high": [2.2, 0.6, np.nan],
        },
        index=["ours", "theirs", "none"],
    )
    figure = figures.speed_ratios(table, "faster", "times faster", "mode")
    assert len(figure.axes) == 1
    assert widths(figure) == [1, -0.5]
    ends = np.concatenate([c.get_segments()[0] for c in figure.axes[0].collections])[:, 0]
    assert ends.tolist() == pytest.approx([1.9, 2.2])
    both = figures.speed_ratios(table.fillna(1.0), "faster", "times faster", "mode")
    assert [ax.get_title() for ax in both.axes] == ["x", "y"]


def test_the_line_of_a_power_law_goes_through_its_points() -> None:
    points = pd.DataFrame({"axis": "width", "value": [1, 2, 4], "precision": "fp32"})
    points["seconds"] = 3.0 * points["value"] ** 2
    points["seconds, low"] = points["seconds, high"] = points["seconds"]
    fits = pd.DataFrame(
        {"axis": ["width"], "precision": ["fp32"], "exponent": [2.0], "standard error": [0.0]}
    )
    figure = figures.scaling(points, fits)
    line = next(one for one in figure.axes[0].get_lines() if "2.00" in str(one.get_label()))
    np.testing.assert_allclose(line.get_ydata(), points["seconds"])


def test_a_run_is_drawn_beside_its_roofline() -> None:
    table = pd.DataFrame(
        {
            "seconds a run": [200.0],
            "seconds a run, low": [190.0],
            "seconds a run, high": [220.0],
            "roofline, seconds a run": [50.0],
        },
        index=["fp32"],
    )
    drawn = [line.get_xdata() for line in figures.study_costs(table).axes[0].get_lines()]
    assert [200.0] in [list(xs) for xs in drawn]
    assert [50.0] in [list(xs) for xs in drawn]
