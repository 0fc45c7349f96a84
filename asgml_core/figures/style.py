"""The look of the book's figures: palette, style, and how a figure is drawn and saved."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

#: Okabe and Ito's palette, readable with any colour vision; one colour per modality, in order.
MODALITY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MEASURED, PUBLISHED = "#222222", "#8C8C8C"
STYLE = {
    **sns.axes_style("ticks"),
    "figure.dpi": 144,
    "savefig.dpi": 144,
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the book's style inside this context, and in the user's own outside."""
    with plt.rc_context(STYLE):
        yield


def drawn(function: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a function draw in the book's style, and return its figure laid out and closed."""

    @wraps(function)
    def draw(*args: Any, **kwargs: Any) -> Figure:
        with style():
            figure = function(*args, **kwargs)
            figure.canvas.draw()  # lay it out while the style holds
        plt.close(figure)  # a notebook shows what a cell returns; it must not show it twice
        return figure

    return draw


def save(figure: Figure, name: str) -> Figure:
    """Return the figure; with ``$ASGML_FIGURES`` set, also write it there as ``<name>.png``."""
    folder = os.environ.get("ASGML_FIGURES")
    if folder:
        path = Path(folder) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without the version in the file, equal pictures are equal files.
        figure.savefig(path, bbox_inches="tight", metadata={"Software": None})
    return figure


def colours(modalities: Sequence[str]) -> dict[str, str]:
    """Return the colour of each modality, by its place."""
    return {m: MODALITY_COLOURS[i % len(MODALITY_COLOURS)] for i, m in enumerate(modalities)}


def grid(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with that many panels on common axes, each row ``height`` inches."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(9, height * rows), sharex=True, sharey=True, squeeze=False
    )
    flat = list(axes.flat)
    for spare in flat[count:]:
        spare.set_axis_off()
    for ax in flat[:count]:
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for ax in flat[max(count - columns, 0) : count]:  # nothing stands below these
        ax.tick_params(labelbottom=True)
    return figure, flat[:count]
