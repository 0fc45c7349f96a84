"""Figures of what training costs: shares of a step, ratios of speed, growth, and the study."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from asgml_core.figures.dark import as_is
from asgml_core.figures.style import (
    MEASURED,
    MODALITY_COLOURS,
    PUBLISHED,
    drawn,
    ink_upon,
    plain_numbers,
)

#: Of the classes of a step's time, in the order of the columns; the last ones are what is left.
SHARE_COLOURS = (*MODALITY_COLOURS, "#F0E442", "#B4BCC8", "#5F6B7A")


@drawn
def shares_of_step(table: pd.DataFrame, columns: Sequence[str]) -> Figure:
    """Draw where the time of a training step goes, one bar a row.

    Args:
        table: shares in per cent; its index says what the rows are.
        columns: which columns are shares, in order.
    """
    figure, ax = plt.subplots(figsize=(9, 0.4 * len(table) + 1.4))
    places = np.arange(len(table))[::-1]
    left = np.zeros(len(table))
    for i, name in enumerate(columns):
        shares = table[name].to_numpy(dtype=float)
        colour = SHARE_COLOURS[i % len(SHARE_COLOURS)]
        ax.barh(places, shares, left=left, height=0.7, color=colour, label=name)
        for place, share, start in zip(places, shares, left, strict=True):
            if share >= 4:  # there is room for the number
                as_is(ax.text(start + share / 2, place, f"{share:.0f}", ha="center", va="center",
                              color=ink_upon(colour), fontsize=8))  # fmt: skip
        left += shares
    ax.set_yticks(places, [str(row) for row in table.index])
    ax.set(xlabel="share of the step's time (%)", xlim=(0, max(100, left.max())))
    figure.legend(loc="outside upper left", ncols=5, handlelength=1)
    return figure


@drawn
def speed_ratios(table: pd.DataFrame, column: str, label: str, panels: str | None = None) -> Figure:
    """Draw ratios of speed as bars from 1, with their quartiles.

    Args:
        table: with ``column``, ``<column>, low`` and ``<column>, high``; its index says what the
            rows are.
        column: which ratio.
        label: of the horizontal axis.
        panels: a column of which every value has a panel of its own; ``None`` draws one panel.
    """
    known = table[table[column].notna()]
    groups = [("", known)] if panels is None else list(known.groupby(panels, sort=False))
    rows = max(len(group) for _, group in groups)
    figure, axes = plt.subplots(
        1, len(groups), figsize=(9, 0.34 * rows + 1.1), sharex=True, sharey=True, squeeze=False
    )
    for ax, (name, group) in zip(axes.flat, groups, strict=True):
        places = np.arange(len(group))[::-1]
        _bars_from_one(ax, places, group, column)
        ax.set_yticks(places, [str(row) for row in group.index])
        ax.set_title(str(name))
    figure.supxlabel(label, fontsize=9.5)
    return figure


def _bars_from_one(ax: Axes, places: np.ndarray, table: pd.DataFrame, column: str) -> None:
    middle = table[column].to_numpy(dtype=float)
    around = [middle - table[f"{column}, low"], table[f"{column}, high"] - middle]
    colours = [MODALITY_COLOURS[0] if value >= 1 else MODALITY_COLOURS[1] for value in middle]
    ax.barh(places, middle - 1, left=1, height=0.6, color=colours)
    ax.errorbar(middle, places, xerr=np.abs(around), fmt="none", lw=1.2, color=MEASURED)
    ax.axvline(1, color=MEASURED, lw=0.8)
    for place, value, high in zip(places, middle, table[f"{column}, high"], strict=True):
        ax.annotate(f"{value:.2f}", (max(value, high, 1), place), xytext=(4, 0),
                    textcoords="offset points", va="center", fontsize=8)  # fmt: skip
    ax.margins(x=0.18)


@drawn
def scaling(points: pd.DataFrame, fits: pd.DataFrame) -> Figure:
    """Draw the time of runs against what was changed, both logarithmic, with the fitted lines.

    Args:
        points: columns axis, value, precision, and seconds with its quartiles.
        fits: columns axis, precision, exponent and standard error.
    """
    axes_of_growth = list(dict.fromkeys(points["axis"]))
    columns = min(3, len(axes_of_growth))
    rows = -(-len(axes_of_growth) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(9, 2.5 * rows), squeeze=False)
    for spare in axes.flat[len(axes_of_growth) :]:
        spare.set_axis_off()
    for ax, axis in zip(axes.flat, axes_of_growth, strict=False):
        chosen = points[points["axis"] == axis]
        for i, (precision, group) in enumerate(chosen.groupby("precision", sort=False)):
            fit = fits[(fits["axis"] == axis) & (fits["precision"] == precision)].iloc[0]
            _line_and_points(ax, group, fit, MODALITY_COLOURS[i % len(MODALITY_COLOURS)])
        ax.set(title=axis, xscale="log", yscale="log")
        ax.set_xticks(sorted(set(chosen["value"])), sorted(set(chosen["value"])))
        ax.xaxis.set_minor_locator(NullLocator())
        plain_numbers(ax.yaxis)
        ax.legend(fontsize=7, handlelength=1)
    figure.supylabel("seconds a run", fontsize=9.5)
    return figure


def _line_and_points(ax: Axes, group: pd.DataFrame, fit: pd.Series, colour: str) -> None:
    value, seconds = (group[name].to_numpy(dtype=float) for name in ("value", "seconds"))
    around = [seconds - group["seconds, low"], group["seconds, high"] - seconds]
    said = f"{fit['precision']}: {fit['exponent']:.2f} ± {fit['standard error']:.2f}"
    ax.errorbar(value, seconds, yerr=np.abs(around), fmt="o", ms=4, lw=1.2, color=colour)
    # A least-squares line goes through the mean of the logarithms.
    middle = np.exp(np.log(value).mean()), np.exp(np.log(seconds).mean())
    line = middle[1] * (value / middle[0]) ** fit["exponent"]
    ax.plot(value, line, lw=1, color=colour, label=said)


@drawn
def study_costs(table: pd.DataFrame) -> Figure:
    """Draw what a run costs, beside the time of its matrix products alone.

    Args:
        table: of ``benchmarks/study_cost.py``; its index says what the rows are.
    """
    figure, ax = plt.subplots(figsize=(9, 0.42 * len(table) + 1.1))
    places = np.arange(len(table))[::-1]
    per, unit = (3600, "hours") if table["seconds a run"].min() > 7200 else (1, "seconds")
    times = table["seconds a run"].to_numpy(dtype=float) / per
    low, high = (table[f"seconds a run, {end}"].to_numpy() / per for end in ("low", "high"))
    around = [times - low, high - times]
    ax.errorbar(times, places, xerr=np.abs(around), fmt="o", ms=5, lw=1.2, color=MEASURED,
                label="measured, scaled up to a run")  # fmt: skip
    roofline = table["roofline, seconds a run"].to_numpy(dtype=float) / per
    ax.plot(roofline, places, "D", ms=4.5, mfc="white", color=PUBLISHED,
            label="convolutions and matrix products alone")  # fmt: skip
    ax.hlines(places, roofline, times, color=PUBLISHED, lw=0.8)
    ax.set_yticks(places, [str(row) for row in table.index])
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set(xscale="log", xlabel=f"{unit} a run")
    plain_numbers(ax.xaxis)
    ax.set_xlim(roofline.min() / 1.5, times.max() * 1.5)
    figure.legend(loc="outside upper left", ncols=2)
    return figure
