"""What a prepared cache holds: a contact sheet with its sound below."""

from __future__ import annotations

from collections import defaultdict
from itertools import zip_longest

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asgml_core.checks import check_count
from asgml_core.datasets.cache import Cache
from asgml_core.figures.style import drawn

COLUMNS = 6


@drawn
def contact_sheet(cache: Cache, items: int = 12) -> Figure:
    """Draw items of a cache, one of each class in turn: the kept frames, and the sound below.

    Args:
        cache: what to show.
        items: how many, 1 to 120; fewer where the cache has fewer.

    Raises:
        ValueError: when ``items`` is out of range.
    """
    shown = _one_of_each_class(cache)[: check_count("items", items, high=120)]
    labels = cache.column("label", shown)
    arrays = {name: cache.array(name) for name in cache.manifest["arrays"]}
    columns, rows = min(COLUMNS, len(shown)), -(-len(shown) // COLUMNS)
    heights = [_height(array.shape[1:]) for array in arrays.values()]
    figure, axes = plt.subplots(
        rows * len(arrays),
        columns,
        figsize=(9, rows * (sum(heights) * 9 / columns + 0.5)),
        height_ratios=heights * rows,
        squeeze=False,
    )
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for number, (item, label) in enumerate(zip(shown, labels, strict=True)):
        top, column = divmod(number, columns)
        for below, (name, array) in enumerate(arrays.items()):
            ax = axes[top * len(arrays) + below, column]
            _draw(ax, np.asarray(array[cache.rows[item]]))
            if below == 0:
                ax.set_title(f"{item}\n{label}", fontsize=6, parse_math=False)  # "$" in an id
            if column == 0:
                ax.set_ylabel(name, fontsize=7)
    return figure


def _one_of_each_class(cache: Cache) -> list[str]:
    members = defaultdict(list)
    for item, label in zip(cache.rows, cache.column("label", cache.rows), strict=True):
        members[label].append(item)
    in_turn = zip_longest(*(members[name] for name in cache.classes if name in members))
    return [item for turn in in_turn for item in turn if item is not None]


def _height(shape: tuple[int, ...]) -> float:
    """Return the height of an array's picture, of width 1."""
    if len(shape) == 4 and shape[-1] == 3:
        return shape[1] / (shape[0] * shape[2])
    return 0.8


def _draw(ax: Axes, item: np.ndarray) -> None:
    """Draw frames side by side, or a table of numbers with its first axis upwards."""
    if item.ndim == 4 and item.shape[-1] == 3:
        ax.imshow(np.concatenate(list(item), axis=1))
    elif item.dtype == np.uint8 and item.ndim == 3:  # grey frames
        ax.imshow(np.concatenate(list(item), axis=1), cmap="gray", vmin=0, vmax=255)
    else:
        table = item.reshape(-1, *item.shape[-2:])[0] if item.ndim > 1 else item[None]
        ax.imshow(table, cmap="magma", origin="lower", aspect="auto")
