"""How a figure is saved and shown: for light and dark pages, as vectors and as pixels."""

from __future__ import annotations

import base64
import io
import os
import re
from contextlib import nullcontext
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from asgml_core.figures.dark import darkened
from asgml_core.figures.style import STYLE, settle

#: A larger SVG, in bytes, is shown as a PNG.
LARGEST_SVG = 150_000
#: Equal pictures are equal files: no date, no version, and no ids by chance.
_METADATA = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
_FIXED = {**STYLE, "svg.hashsalt": "asgml", "svg.fonttype": "path"}


class SavedFigure:
    """A figure as notebooks and the book show it; see :func:`save`.

    Args:
        figure: finished.
        name: as in :func:`save`.
        caption: as in :func:`save`.
    """

    def __init__(self, figure: Figure, name: str, caption: str | None = None) -> None:
        self.figure, self.name, self.caption = figure, name, caption

    def __repr__(self) -> str:
        return f"<figure {self.name}: {self.alt}>"

    @property
    def alt(self) -> str:
        """What the figure says instead of the picture, its caption, else its titles and labels."""
        return self.caption or _titles_and_labels(self.figure)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        png = render(self.figure, "png")
        return {
            "text/html": self._html(png),
            "text/plain": repr(self),
            "image/png": base64.b64encode(png).decode(),
        }

    def _html(self, png: bytes) -> str:
        alt = escape(self.alt, quote=True)
        width = round(96 * self.figure.get_figwidth())
        start = f'<img alt="{alt}" width="{width}"'
        dark = _address(self.figure, render(self.figure, "svg", dark=True), dark=True)
        light = _address(self.figure, render(self.figure, "svg"), png)
        below = "" if self.caption is None else f"<figcaption>{escape(self.caption)}</figcaption>\n"
        return (
            '<figure class="asgml-figure">\n<div>\n'
            f'{start} class="only-light" src="{light}">\n'
            # Other viewers than the book know no theme: they show the light one alone.
            f'{start} class="only-dark" style="display:none" src="{dark}">\n'
            f"</div>\n{below}</figure>"
        )


def save(figure: Figure, name: str, caption: str | None = None) -> SavedFigure:
    """Return a figure as a notebook shows it: for a light and for a dark page, with a caption.

    With ``$ASGML_FIGURES`` set, it is also written there as ``<name>.svg`` and ``<name>.png``.

    Args:
        figure: finished.
        name: with the notebook's, such as ``"04_v2_boost/scales"``.
        caption: of data, number of runs, kind of interval, and the one thing to see; also what a
            reader hears who cannot see the picture. ``None`` is none, and the picture is described
            by its titles and labels.
    """
    settle(figure)
    folder = os.environ.get("ASGML_FIGURES")
    if folder:
        for kind in ("svg", "png"):
            path = Path(folder) / f"{name}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(render(figure, kind))
    return SavedFigure(figure, name, caption)


def render(figure: Figure, kind: str, dark: bool = False) -> bytes:
    """Return the bytes of a figure; the same figure gives the same bytes.

    Args:
        figure: finished.
        kind: ``"svg"`` or ``"png"``.
        dark: for a dark page, transparent.
    """
    written = io.BytesIO()
    with plt.rc_context(_FIXED), darkened(figure) if dark else nullcontext():
        figure.savefig(written, format=kind, bbox_inches="tight", transparent=dark,
                       metadata=_METADATA[kind])  # fmt: skip
    return _shortened(written.getvalue()) if kind == "svg" else written.getvalue()


def _shortened(svg: bytes) -> bytes:
    """Write the points of paths with two decimals: a hundredth of a point is not seen."""

    def shorter(path: re.Match[bytes]) -> bytes:
        return re.sub(rb"\d+\.\d{3,}", lambda number: b"%.2f" % float(number[0]), path[0])

    return re.sub(rb' d="[^"]*"', shorter, svg)


def _address(figure: Figure, svg: bytes, png: bytes | None = None, dark: bool = False) -> str:
    """Return a picture as an address that holds all of it."""
    if len(svg) < LARGEST_SVG:
        text = re.sub(r"\s+", " ", svg.decode()).replace("> <", "><")
        return "data:image/svg+xml," + quote(text, safe=" =/:;,()'?!@*+-._~")
    if png is None:
        png = render(figure, "png", dark=dark)
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _titles_and_labels(figure: Figure) -> str:
    found = [figure.get_suptitle(), figure.get_supxlabel(), figure.get_supylabel()]
    for ax in figure.axes:
        found += [ax.get_title("left"), ax.get_title(), ax.get_xlabel(), ax.get_ylabel()]
    return "; ".join(dict.fromkeys(" ".join(text.split()) for text in found if text.strip()))
