"""Rows of points: one row a run, every seed a point, with the mean and its interval below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text

from asgml_core.figures.style import LINE, MEASURED, Look

#: Inches of a row, and of what is above and below all rows.
ROW, AROUND = 0.36, 1.1


def height(rows: int, row: float = ROW) -> float:
    """Return how many inches a figure with that many rows is high."""
    return row * rows + AROUND


def swarm(values: Sequence[float], reach: float) -> np.ndarray:
    """Return how far each point stands from the middle of its row, from -1 to 1.

    Args:
        values: of the points, ``(n,)``.
        reach: two points nearer than this do not stand on one height.
    """
    values = np.asarray(values, dtype=float)
    levels = np.zeros(len(values), dtype=int)
    order = np.argsort(values, kind="stable")
    for place, here in enumerate(order):
        near = [other for other in order[:place] if values[here] - values[other] < reach]
        taken = {int(levels[other]) for other in near}
        levels[here] = next(level for level in _outwards(len(values)) if level not in taken)
    most = max(2, int(np.abs(levels).max(initial=0)))
    return levels / most


def _outwards(count: int) -> list[int]:
    """Return 0, 1, -1, 2, -2 and so on."""
    return [(-1) ** (k + 1) * -(-k // 2) for k in range(2 * count + 1)]


def draw_points(ax: Axes, values: Sequence[float], place: float, shown: Look, span: float) -> None:
    """Draw one run's values as points around the height ``place``.

    Args:
        ax: where.
        values: of the seeds.
        place: of the row.
        shown: the run's look.
        span: of the horizontal axis, in its unit.
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    offsets = 0.24 * swarm(values, 0.011 * span)
    ax.plot(values, place + 0.1 + offsets, shown.marker, ms=4, mew=0, alpha=0.85,
            color=shown.colour, ls="none")  # fmt: skip


def draw_mean(
    ax: Axes, middle: float, ends: tuple[float, float], place: float, shown: Look
) -> None:
    """Draw a mean and its interval, below the points of the row at ``place``."""
    ax.hlines(place - 0.28, *ends, color=shown.colour, lw=2.2)
    ax.plot(middle, place - 0.28, shown.marker, ms=6, mec="white", mew=0.9, color=shown.colour)


def label_rows(ax: Axes, labels: Sequence[str]) -> np.ndarray:
    """Name the rows from the top down, with a thin line between any two; return their heights."""
    places = np.arange(len(labels))[::-1]
    ax.set_yticks(places, labels)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for place in places[:-1]:
        ax.axhline(place - 0.5, color=LINE, lw=0.4, zorder=0)
    return places


def spread_apart(values: Sequence[float], gap: float) -> np.ndarray:
    """Return the values moved as little as is needed for neighbours to be ``gap`` apart.

    Values that are too near form a block around their mean, as in isotonic regression.
    """
    values = np.asarray(values, dtype=float)
    order = np.argsort(values, kind="stable")
    blocks: list[list[float]] = []  # of each: the sum of its values less their offsets, and a size
    for value in values[order] - gap * np.arange(len(values)):
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, size = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += size
    moved = np.concatenate([np.full(int(size), total / size) for total, size in blocks])
    spread = np.empty(len(values))
    spread[order] = moved + gap * np.arange(len(values))
    return spread


def label_ends(
    ax: Axes, ends: Sequence[tuple[float, float]], labels: Sequence[str], looks: Sequence[Look]
) -> list[Text]:
    """Write a label right of the axes for each of some points, apart and with a thin line to it.

    The vertical axis must have its final limits.

    Args:
        ax: where.
        ends: the points, in data coordinates.
        labels: one each.
        looks: one each.
    """
    low, high = ax.get_ylim()
    inches = ax.get_figure().get_figheight() - 0.8
    gap = 0.175 / inches
    at = (np.array([y for _, y in ends]) - low) / (high - low)
    heights = spread_apart(at, gap)
    heights += max(0.0, -heights.min()) - max(0.0, heights.max() - 1)
    texts = []
    for (x, y), place, text, shown in zip(ends, heights, labels, looks, strict=True):
        note = ax.annotate(
            text, (x, y), (1.03, place), xycoords="data", textcoords="axes fraction",
            va="center", color=MEASURED, fontsize=8.5, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": shown.colour, "lw": 0.5, "alpha": 0.7,
                        "shrinkA": 1, "shrinkB": 2, "relpos": (0, 0.5)},
        )  # fmt: skip
        texts.append(note)
    return texts
