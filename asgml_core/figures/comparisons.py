"""Figures of comparisons: paired differences, ranks, costs, and seeds needed."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asgml_core import labels
from asgml_core.checks import check_number
from asgml_core.figures.rows import draw_mean, draw_points, height, label_ends, label_rows
from asgml_core.figures.style import LINE, MEASURED, WIDTH, Look, drawn, look, plain_numbers
from asgml_core.statistics import Friedman, cliques, seeds_needed


@drawn
def paired(table: pd.DataFrame, contrasts: pd.DataFrame) -> Figure:
    """Draw the difference of runs from their references, seed by seed, with means and p values.

    Args:
        table: values in per cent, a row a seed and a column a run.
        contrasts: of :func:`asgml_core.statistics.contrasts`: ``run``, ``reference``,
            ``difference``, its interval ``low`` and ``high``, and ``p_holm``.
    """
    one = contrasts["reference"].nunique() == 1
    figure, ax = plt.subplots(figsize=(WIDTH, height(len(contrasts), 0.36 if one else 0.46)))
    ax.axvline(0, color=MEASURED, lw=0.9, zorder=0)
    places = label_rows(ax, _pairs(contrasts))
    differences = [table[run] - table[reference] for run, reference in _both(contrasts)]
    span = float(np.ptp(pd.concat(differences).dropna())) or 1.0
    for row, values, place in zip(contrasts.itertuples(), differences, places, strict=True):
        shown = look(row.run)
        draw_points(ax, values, place, shown, span)
        draw_mean(ax, row.difference, (row.low, row.high), place, shown)
        _beside(ax, place, p_value(row.p_holm))
    _beside(ax, len(contrasts) - 0.25, "p, Holm")
    of = f" from {labels.label(contrasts['reference'].iloc[0])}" if one else ""
    ax.set_xlabel(f"difference{of} (points), the same seeds")
    return figure


def _both(contrasts: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(contrasts["run"], contrasts["reference"], strict=True))


def _pairs(contrasts: pd.DataFrame) -> list[str]:
    """Return the label of each contrast; the reference is named where there are several."""
    if contrasts["reference"].nunique() == 1:
        return [labels.label(run) for run in contrasts["run"]]
    return [f"{labels.label(run)}\nminus {labels.label(other)}" for run, other in _both(contrasts)]


def _beside(ax: Axes, place: float, text: str) -> None:
    ax.annotate(text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8.5)


def p_value(p: float) -> str:
    """Return a p value as people write it: ``.012``, or ``< .001``."""
    if np.isnan(p):
        return "none"
    if p < 0.001:
        return "< .001"
    return f"{p:.3f}".removeprefix("0") if p < 0.9995 else "1"


@drawn
def critical_difference(friedman: Friedman) -> Figure:
    """Draw average ranks over the seeds; runs that a bar joins do not differ by Nemenyi's test.

    The diagram is that of Demsar, "Statistical comparisons of classifiers over multiple data sets"
    (2006), figure 1.

    Args:
        friedman: of :func:`asgml_core.statistics.friedman`.
    """
    ranks = friedman.ranks.sort_values(kind="stable")
    bars = _levels([(ranks[list(c)].min(), ranks[list(c)].max()) for c in cliques(friedman)])
    below = 0.5 + 0.22 * (1 + max((level for *_, level in bars), default=-1))
    half = -(-len(ranks) // 2)
    bottom = below + 0.28 * half
    figure, ax = plt.subplots(figsize=(WIDTH, 1.25 + 0.75 * bottom))
    count = len(ranks)
    ax.hlines(0, 1, count, color=MEASURED, lw=1)
    ax.vlines(range(1, count + 1), 0, -0.1, color=MEASURED, lw=1)
    for rank in range(1, count + 1):
        ax.text(rank, -0.17, str(rank), ha="center", va="bottom", fontsize=8.5)
    for start, end, level in bars:
        ax.hlines(0.3 + 0.22 * level, start - 0.06, end + 0.06, color=MEASURED, lw=2.6)
    for place, (run, rank) in enumerate(ranks.items()):
        left = place < half
        row = place if left else count - 1 - place
        _elbow(ax, rank, below + 0.28 * row, (0.4 if left else count + 0.6), str(run))
    _critical(ax, friedman.critical_difference, count)
    ax.set(xlim=(1 - 0.42 * count, count + 0.42 * count), ylim=(bottom, -1.05))
    ax.set_axis_off()
    return figure


def _levels(bars: Sequence[tuple[float, float]]) -> list[tuple[float, float, int]]:
    """Give each bar the highest level where it overlaps no other; bars of one run are left out."""
    placed: list[tuple[float, float, int]] = []
    for start, end in sorted(bars):
        if end > start:
            taken = {level for _, other, level in placed if other >= start - 0.3}
            level = next(n for n in range(len(bars) + 1) if n not in taken)
            placed.append((start, end, level))
    return placed


def _elbow(ax: Axes, rank: float, down: float, side: float, run: str) -> None:
    """Draw the line from a rank down and to its label at one side."""
    shown = look(run)
    ax.plot([rank, rank, side], [0, down, down], color=shown.colour, lw=0.9)
    ax.plot(rank, 0, shown.marker, ms=5, mec="white", mew=0.6, color=shown.colour, zorder=3)
    text = labels.label(run)
    left = side < rank
    said = f"{text}  {rank:.1f}" if left else f"{rank:.1f}  {text}"
    ax.text(side + (-0.1 if left else 0.1), down, said, va="center", fontsize=8.5,
            ha="right" if left else "left")  # fmt: skip


def _critical(ax: Axes, length: float, count: int) -> None:
    ax.errorbar(1 + length / 2, -0.62, xerr=length / 2, fmt="none", capsize=3, lw=1.2,
                color=MEASURED)  # fmt: skip
    ax.text(1 + length / 2, -0.72, f"critical difference {length:.2f}", ha="center", va="bottom",
            fontsize=8.5)  # fmt: skip
    ax.text(count + 0.03 * count, 0, "average rank, 1 is best", va="center", fontsize=8.5)


@drawn
def cost_against_accuracy(table: pd.DataFrame) -> Figure:
    """Draw the accuracy of each run, with its interval, against what it costs.

    Args:
        table: columns ``run``, ``cost`` (time over the baseline's), ``accuracy``, ``low`` and
            ``high`` in per cent; a row a run.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, max(3.2, 0.2 * len(table) + 1)))
    ax.axvline(1, color=LINE, lw=0.9, zorder=0)
    shown = [look(run) for run in table["run"]]
    for row, seen in zip(table.itertuples(), shown, strict=True):
        ax.vlines(row.cost, row.low, row.high, color=seen.colour, lw=1.4, alpha=0.7)
        ax.plot(row.cost, row.accuracy, seen.marker, ms=6, mec="white", color=seen.colour)
    ax.margins(0.05)
    ax.set_ylim(ax.get_ylim())
    ends = list(zip(table["cost"], table["accuracy"], strict=True))
    label_ends(ax, ends, [labels.label(run) for run in table["run"]], shown)
    ax.set(xlabel="time of an epoch, over the baseline's", ylabel="test accuracy (%)")
    return figure


@drawn
def power_curve(
    differences: Sequence[float], stds: Sequence[float], power: float = 0.8, level: float = 0.05
) -> Figure:
    """Draw how many seeds a paired t test needs, against the difference to be found.

    Args:
        differences: in points, above 0; they are joined by lines.
        stds: standard deviations of the paired differences, in points; one line each.
        power: the chance to find the difference, from 0 to 1.
        level: of the test, from 0 to 1.
    """
    for value in (*differences, *stds):
        check_number("a difference or a standard deviation", value, above=0.0)
    figure, ax = plt.subplots(figsize=(WIDTH, 3.4))
    shown = [Look(MEASURED, "o", "-")] * len(stds)
    ends = []
    for std in stds:
        needed = [seeds_needed(d, std, power=power, level=level) for d in differences]
        ax.plot(differences, needed, "o-", ms=3, lw=1.2, color=MEASURED)
        ends.append((differences[-1], needed[-1]))
    ax.set(
        xscale="log", yscale="log", xlabel="true difference (points)",
        ylabel=f"seeds for a power of {power:g}".replace("0.", "."),
    )  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        plain_numbers(axis)
    ax.set_ylim(ax.get_ylim())
    label_ends(ax, ends, [f"std {std:.3g}" for std in stds], shown)
    return figure
