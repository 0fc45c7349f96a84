"""Figures of runs over seeds: every seed a point, with the mean and its interval."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asgml_core import labels
from asgml_core.figures.rows import AROUND, ROW, draw_mean, draw_points, height, label_rows
from asgml_core.figures.style import (
    FAMILY_COLOURS,
    LINE,
    MEASURED,
    PUBLISHED,
    WIDTH,
    Look,
    drawn,
    look,
)
from asgml_core.statistics import mean_interval

_GAINS = {"validation": "over the epoch chosen on validation", "last": "over the last epoch"}


@drawn
def seeds(
    table: pd.DataFrame,
    summary: pd.DataFrame | None = None,
    label: str = "test accuracy (%)",
    reference: str | None = None,
) -> Figure:
    """Draw every seed of every run as a point, with the mean and its 95 % t interval.

    Args:
        table: values, a row a seed and a column a run.
        summary: by run, columns ``mean``, ``low`` and ``high``, as of
            :func:`asgml_core.statistics.summarise`; ``None`` computes them.
        label: of the horizontal axis.
        reference: a run whose mean is drawn as a thin line.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, height(table.shape[1])))
    if reference is not None:
        ax.axvline(table[reference].mean(), color=LINE, lw=0.9, zorder=0)
    _rows(ax, table, summary)
    ax.set_xlabel(label)
    return figure


def _rows(ax: Axes, table: pd.DataFrame, summary: pd.DataFrame | None = None) -> None:
    """Draw a row a column of ``table``, looking as runs of these names do."""
    places = label_rows(ax, [labels.label(str(run)) for run in table])
    span = _span(table)
    for run, place in zip(table, places, strict=True):
        shown = look(str(run))
        draw_points(ax, table[run], place, shown, span)
        _mean(ax, table[run] if summary is None else summary.loc[run], place, shown)


def _span(table: pd.DataFrame) -> float:
    return float(np.nanmax(table.to_numpy()) - np.nanmin(table.to_numpy())) or 1.0


def _mean(ax: Axes, values: pd.Series, place: float, shown: Look) -> None:
    """Draw a mean and its interval: of values, or of a row of a summary."""
    if "mean" in values.index:
        draw_mean(ax, values["mean"], (values["low"], values["high"]), place, shown)
        return
    interval = mean_interval(values.dropna().to_numpy())
    draw_mean(ax, interval.estimate, (interval.low, interval.high), place, shown)


@drawn
def selection_gain(table: pd.DataFrame) -> Figure:
    """Draw what choosing the epoch on the test part adds, seed by seed, with means.

    Args:
        table: columns ``run``, ``seed``, ``validation`` if there is such a part, ``last`` and
            ``best_on_test``, from 0 to 1, as of :func:`asgml_core.tables.many_seeds`; a row a run
            of one seed.

    Raises:
        ValueError: when the accuracies are not from 0 to 1.
    """
    highest = table["best_on_test"].max()
    if highest > 1:
        raise ValueError(f"best_on_test reaches {highest:g}, but accuracies are from 0 to 1 here.")
    runs = list(dict.fromkeys(table["run"]))
    panels = {}
    for selection, title in _GAINS.items():
        if selection in table:
            gain = table.assign(gain=100 * (table["best_on_test"] - table[selection]))
            panels[title] = gain.pivot(index="seed", columns="run", values="gain")[runs]
    return _panels(panels, "what the best epoch on test adds (points)")


@drawn
def gains(tables: Mapping[str, pd.DataFrame], reference: str = "baseline") -> Figure:
    """Draw how far runs are above a reference on several data, seed by seed, with means.

    Args:
        tables: by the name of the data, values in per cent, a row a seed and a column a run; all
            have the same runs.
        reference: one of the runs.
    """
    panels = {}
    for name, table in tables.items():
        panels[name] = table.sub(table[reference], axis=0).drop(columns=reference)
    return _panels(panels, f"difference from {labels.label(reference)} (points), the same seeds")


def _panels(tables: Mapping[str, pd.DataFrame], label: str) -> Figure:
    """Draw differences side by side: a panel a table, a row a column of it."""
    rows = max(table.shape[1] for table in tables.values())
    figure, axes = plt.subplots(
        1, len(tables), figsize=(WIDTH, height(rows)), sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, table) in zip(axes[0], tables.items(), strict=True):
        ax.axvline(0, color=LINE, lw=0.9, zorder=0)
        _rows(ax, table)
        ax.set_title(title)
    figure.supxlabel(label, fontsize=9.5)
    return figure


@drawn
def published(
    table: pd.DataFrame, means: Mapping[str, float] | None = None, items: int = 744
) -> Figure:
    """Draw the study's table: five seeds a method, their mean and 95 % t interval.

    Above the rows are two measures of length: one clip of the test part, and one binomial standard
    error of an accuracy over it.

    Args:
        table: published accuracies in per cent, a row a seed and a column a run.
        means: by run, the means as they were published.
        items: of the test part.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, height(table.shape[1] + 1)))
    _rows(ax, table)
    rows = table.shape[1]
    if means:
        known = [(mean, rows - 1 - list(table).index(run)) for run, mean in means.items()]
        x, y = zip(*known, strict=True)
        ax.plot(x, np.array(y) - 0.28, "D", ms=8, mfc="none", color=PUBLISHED,
                label="mean as published")  # fmt: skip
        ax.legend(loc="lower right")
    share = float(table.to_numpy().mean()) / 100
    _lengths(ax, rows, {
        f"one clip of {items}: {100 / items:.3f} points".replace(" 0.", " ."): 100 / items,
        f"± one binomial standard error: {100 * (share * (1 - share) / items) ** 0.5:.1f} points":
            200 * (share * (1 - share) / items) ** 0.5,
    })  # fmt: skip
    ax.set_xlabel("published test accuracy, best epoch on test (%)")
    return figure


def _lengths(ax: Axes, place: float, lengths: Mapping[str, float]) -> None:
    """Draw measures of length above the rows, from the left."""
    ax.set_ylim(-0.6, place + 0.6)
    low, high = ax.get_xlim()
    for number, (said, length) in enumerate(lengths.items()):
        start, here = low + 0.02 * (high - low), place + 0.22 - 0.44 * number
        ax.errorbar(start + length / 2, here, xerr=length / 2, fmt="none", capsize=3, lw=1.2,
                    color=MEASURED)  # fmt: skip
        ax.annotate(said, (start + length, here), (7, 0), textcoords="offset points", va="center",
                    fontsize=8)  # fmt: skip
    ax.set_xlim(low, high)


@drawn
def later(table: pd.DataFrame, column: str = "best_acc") -> Figure:
    """Draw later results of the study: a panel a setting, a row a method, every seed a point.

    Args:
        table: columns ``setting``, ``method``, ``seed`` and the accuracy in per cent.
        column: the accuracy's.
    """
    settings = list(table.groupby("setting", sort=False))
    rows = [group["method"].nunique() for _, group in settings]
    figure, axes = plt.subplots(
        len(settings), 1, figsize=(WIDTH, ROW * sum(rows) + 0.75 * len(settings) + AROUND - 0.6),
        height_ratios=rows, squeeze=False,
    )  # fmt: skip
    for ax, (name, group) in zip(axes[:, 0], settings, strict=True):
        methods = list(dict.fromkeys(group["method"]))
        places = label_rows(ax, [labels.method_label(method) for method in methods])
        span = float(np.ptp(group[column])) or 1.0
        for method, place in zip(methods, places, strict=True):
            values = group.loc[group["method"] == method, column]
            shown = Look(FAMILY_COLOURS[labels.family_of_method(method)], "o", "-")
            draw_points(ax, values, place, shown, span)
            _mean(ax, values, place, shown)
        ax.set_title(labels.setting_label(str(name)), loc="left")
    axes[-1, 0].set_xlabel("published test accuracy, best epoch on test (%)")
    return figure
