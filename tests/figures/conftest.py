"""Tables of made-up runs, and which labels of a figure lie upon each other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from asgml_core import labels

RUNS = tuple(labels.LABELS)


@pytest.fixture(scope="session")
def accuracies() -> pd.DataFrame:
    """Eighteen runs over twenty seeds, in per cent of 400 items, so with ties."""
    rng = np.random.default_rng(7)
    values = 80 + rng.normal(0, 2, len(RUNS)) + rng.normal(0, 1, (20, len(RUNS)))
    return pd.DataFrame((4 * values).round() / 4, columns=list(RUNS)).rename_axis("seed")


@pytest.fixture(scope="session")
def text_boxes() -> Callable[[Figure], list[tuple[str, Bbox]]]:
    """Give every visible text of a figure with its box in pixels, arrows left out."""

    def boxes(figure: Figure) -> list[tuple[str, Bbox]]:
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw_without_rendering()
        unseen = {label for axis in figure.findobj(Axis) for label in _outside(axis)}
        found = []
        for text in figure.findobj(Text):
            if text.get_text().strip() and text.get_visible() and text not in unseen:
                if isinstance(text, Annotation):
                    text.update_positions(renderer)
                found.append((text.get_text(), Text.get_window_extent(text, renderer)))
        return found

    return boxes


def _outside(axis: Axis) -> list[Text]:
    """Return labels of ticks that are not drawn: outside the view, or switched off."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    hidden = not axis.get_visible() or not axis.axes.axison
    return [
        label
        for tick in ticks
        for label in (tick.label1, tick.label2)
        if hidden or not low - 1e-9 <= tick.get_loc() <= high + 1e-9
    ]


@pytest.fixture(scope="session")
def overlaps(text_boxes: Callable[[Figure], list[tuple[str, Bbox]]]) -> Callable[[Figure], list]:
    """Give the pairs of texts that lie upon each other, by more than a pixel each way."""

    def found(figure: Figure) -> list[tuple[str, str]]:
        pairs = combinations(text_boxes(figure), 2)
        return [(one, other) for (one, a), (other, b) in pairs if _common(a, b)]

    return found


def _common(a: Bbox, b: Bbox) -> bool:
    both = Bbox.intersection(a, b)
    return both is not None and both.width > 1 and both.height > 1


@pytest.fixture(scope="session")
def marks() -> Callable[..., np.ndarray]:
    """Give the positions of all points of a panel, ``(n, 2)``, without the caps of error bars."""

    def points(figure: Figure, panel: int = 0) -> np.ndarray:
        lines = [
            line
            for line in figure.axes[panel].get_lines()
            if line.get_marker() not in ("None", "|")
        ]
        return np.concatenate([np.asarray(line.get_xydata(), dtype=float) for line in lines])

    return points
