"""Figures of runs: rows named by their labels, in the colours of their families."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from asgml_core import figures, labels


def test_differences_have_the_colour_of_the_family(overlaps: Callable) -> None:
    runs = [run for run in labels.LABELS if run != "baseline"]
    at = np.linspace(-2, 2, len(runs))
    table = pd.DataFrame({"difference": at, "error": 0.5, "published (seed 42)": at + 0.1}, runs)
    figure = figures.differences(table)
    dots = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    drawn = {round(float(x), 9): line.get_color() for line in dots for x in line.get_xdata()}
    for run, value in zip(runs, at, strict=True):
        assert to_hex(drawn[round(float(value), 9)]) == figures.look(run).colour.lower()
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ticks == [labels.label(run) for run in runs]
    assert overlaps(figure) == []


def test_settings_that_are_no_runs_are_drawn_in_ink() -> None:
    table = pd.DataFrame({"difference": [1.0], "error": [0.5], "published (seed 42)": [2.0]}, ["x"])
    colours = {to_hex(line.get_color()) for line in figures.differences(table).axes[0].get_lines()
               if line.get_marker() == "o"}  # fmt: skip
    assert colours == {"#222222"}


def test_what_encoders_know_has_rows_with_labels(overlaps: Callable) -> None:
    table = pd.DataFrame({"audio": 80.0, "visual": 70.0}, index=list(labels.LABELS))
    figure = figures.encoder_knowledge(table)
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ticks == list(labels.LABELS.values())
    assert overlaps(figure) == []
