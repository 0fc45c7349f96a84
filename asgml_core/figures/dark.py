"""The dark variant of a finished figure: its neutral colours turned around, its data as they are.

White becomes the dark page and ink becomes light. Colours of data stay, and so does all that is
drawn upon pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakSet

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import to_rgba, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

#: The page of the book in its dark theme, and the ink upon it.
PAGE, INK = 0.08, 0.95
#: A colour whose channels differ by less is neutral.
NEUTRAL = 0.03
_PARTS = ("color", "markerfacecolor", "markeredgecolor", "facecolor", "edgecolor")
_KEPT: WeakSet[Artist] = WeakSet()
Drawn = TypeVar("Drawn", bound=Artist)


def as_is(artist: Drawn) -> Drawn:
    """Let an artist keep its colours in the dark variant: ink upon a coloured bar, for example."""
    _KEPT.add(artist)
    return artist


def turned(rgba: np.ndarray) -> np.ndarray:
    """Return colours ``(n, 4)`` for a dark page: neutral ones turned around, the others kept."""
    rgba = np.array(rgba, dtype=float)
    neutral = np.ptp(rgba[:, :3], axis=1) < NEUTRAL
    rgba[neutral, :3] = INK - (INK - PAGE) * rgba[neutral, :3]
    return rgba


@contextmanager
def darkened(figure: Figure) -> Iterator[None]:
    """Recolour a figure for a dark page inside this context; outside it is as before."""
    kept = set(_KEPT) | _upon_pictures(figure)
    before: list[tuple[Artist, str, Any]] = []
    for artist in _artists(figure):
        if artist not in kept:
            before += _turn(artist)
    try:
        yield
    finally:
        for artist, part, value in reversed(before):
            getattr(artist, f"set_{part}")(value)


def _artists(figure: Figure) -> list[Artist]:
    """Return all artists once: figures and axes have no colours but their patches'."""
    found = [artist for artist in figure.findobj() if not isinstance(artist, (Figure, Axes))]
    texts = [artist for artist in found if isinstance(artist, Text)]
    beside = [text.get_bbox_patch() for text in texts]
    beside += [text.arrow_patch for text in texts if isinstance(text, Annotation)]
    return [*found, *(patch for patch in beside if patch is not None)]


def _upon_pictures(figure: Figure) -> set[Artist]:
    found: set[Artist] = set()
    for ax in figure.axes:
        if ax.images:
            found.update((*ax.lines, *ax.patches, *ax.texts, *ax.collections))
    return found


def _turn(artist: Artist) -> list[tuple[Artist, str, Any]]:
    """Recolour one artist, and return what was changed and how it was."""
    if isinstance(artist, Collection) and artist.get_array() is not None:
        return []  # it is coloured by its data
    parts = [p for p in _PARTS if hasattr(artist, f"get_{p}") and hasattr(artist, f"set_{p}")]
    was = {part: getattr(artist, f"get_{part}")() for part in parts}
    new = {part: other for part, value in was.items()
           if (other := _new(value)) is not None}  # fmt: skip
    for part, value in new.items():
        getattr(artist, f"set_{part}")(value)
    return [(artist, part, was[part]) for part in new]


def _new(value: Any) -> Any:
    """Return a colour or several for a dark page, or ``None`` where nothing changes."""
    old = to_rgba_array(value)
    new = turned(old)
    if len(old) == 0 or not old[:, 3].any() or np.array_equal(old, new):
        return None
    single = isinstance(value, str) or np.ndim(value) == 1
    return to_rgba(new[0]) if single else new
