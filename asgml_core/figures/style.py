"""The look of the book's figures: colours, marks, style, and how a figure is drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from asgml_core import labels

#: Okabe and Ito's palette, readable with any colour vision; one colour per modality, in order.
MODALITY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: Ink, and what is said beside it. Neutral colours turn around in a figure's dark variant.
MEASURED, PUBLISHED = "#222222", "#8C8C8C"
#: Lines to compare with, and shaded ranges.
LINE, BAND = "#BBBBBB", "#E4E4E4"
#: One colour per family of methods, chosen by search: apart with normal, protan, deutan and tritan
#: vision, and three to one in contrast on a white and on a dark page.
FAMILY_COLOURS = {
    labels.BASELINE: MEASURED,
    "OGM": "#0087FF",
    "boost": "#C3870F",
    "boost + OGM": "#00A55A",
    "frequency": "#784BC3",
    "staleness": "#B478D2",
    "throttle": "#A54B0F",
    "control": "#3C6996",
    "reference": PUBLISHED,
    labels.OTHER: PUBLISHED,
}
#: Of the members of a family, in the order of their labels.
MARKERS, DASHES = ("o", "s", "D", "^"), ("-", "--", "-.", ":")
WIDTH = 9.0
STYLE = {
    **sns.axes_style("ticks"),
    "font.sans-serif": ["DejaVu Sans"],  # it comes with matplotlib: the same on every machine
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


@dataclass(frozen=True)
class Look:
    """How a run looks in every figure.

    Args:
        colour: of its family.
        marker: of its points.
        dashes: of its line.
    """

    colour: str
    marker: str
    dashes: str


def look(run_id: str) -> Look:
    """Return how a run looks: the colour of its family, and a mark among the family's members."""
    family = labels.family(run_id)
    members = [name for name in labels.LABELS if labels.family(name) == family]
    place = members.index(run_id) if run_id in members else 0
    return Look(FAMILY_COLOURS[family], MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])


def looks(run_ids: Sequence[str]) -> list[Look]:
    """Return how runs look in one figure: no two the same while there are dashes left."""
    found: list[Look] = []
    for run_id in run_ids:
        own = look(run_id)
        ways = [own, *(Look(own.colour, m, d) for m, d in zip(MARKERS, DASHES, strict=True))]
        found.append(next((way for way in ways if way not in found), own))
    return found


@contextmanager
def style() -> Iterator[None]:
    """Draw in the book's style inside this context, and in the user's own outside."""
    with plt.rc_context(STYLE):
        yield


def settle(figure: Figure) -> None:
    """Lay a figure out for good: each further layout would move it by a hair."""
    if figure.get_layout_engine() is not None:
        for _ in range(2):  # the ticks of the second are those of the panels' final size
            figure.draw_without_rendering()
        figure.set_layout_engine("none")


def drawn(function: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let a function draw in the book's style, and return its figure laid out and closed."""

    @wraps(function)
    def draw(*args: Any, **kwargs: Any) -> Figure:
        with style():
            figure = function(*args, **kwargs)
            settle(figure)  # while the style holds
        plt.close(figure)  # a notebook shows what a cell returns; it must not show it twice
        return figure

    return draw


def colours(modalities: Sequence[str]) -> dict[str, str]:
    """Return the colour of each modality, by its place."""
    return {m: MODALITY_COLOURS[i % len(MODALITY_COLOURS)] for i, m in enumerate(modalities)}


def ink_upon(colour: str) -> str:
    """Return white or ink, whichever is read better upon a colour."""
    red, green, blue = to_rgb(colour)
    return "white" if 0.3 * red**2.2 + 0.6 * green**2.2 + 0.1 * blue**2.2 < 0.2 else MEASURED


def grid(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with that many panels on common axes, each row ``height`` inches."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, height * rows), sharex=True, sharey=True, squeeze=False
    )
    flat = list(axes.flat)
    for spare in flat[count:]:
        spare.set_axis_off()
    for ax in flat[:count]:
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for ax in flat[max(count - columns, 0) : count]:  # nothing stands below these
        ax.tick_params(labelbottom=True)
    return figure, flat[:count]


def plain_numbers(axis: Axis) -> None:
    """Name 1, 2 and 5 of each power of ten on a logarithmic axis, as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def title_run(ax: Axes, run_id: str) -> None:
    """Write a run's label above its panel, on two lines where it is wider than that."""
    spec = ax.get_subplotspec()
    width = 105 // (1 if spec is None else spec.get_gridspec().ncols)  # letters
    whole = labels.label(run_id).replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    ax.set_title(textwrap.fill(whole, width), linespacing=1.05)


def legend_of_panels(figure: Figure, ax: Axes) -> None:
    """Write the legend of one of several alike panels above all of them."""
    handles, said = ax.get_legend_handles_labels()
    figure.legend(handles, said, loc="outside upper right", ncols=len(said), handlelength=1.2)
