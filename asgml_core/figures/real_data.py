"""Figures of what happens to real data on their way to a network."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from asgml_core.datasets.cache import Cache
from asgml_core.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD, Pictures
from asgml_core.figures.style import MEASURED, MODALITY_COLOURS, drawn
from asgml_core.real_data import FilmStrip
from asgml_core.seeding import generator

#: One colour per part of a split.
PART_COLOURS = {"train": "#C9CED3", "valid": "#56B4E9", "test": "#D55E00"}


@drawn
def repeated_sound(cache: Cache) -> Figure:
    """Draw the spectrograms of the shortest, the median and the longest clip, and all lengths.

    What is filled up with the clip's beginning once more is paler.

    Args:
        cache: of clips with a column ``seconds`` and an array ``audio``.
    """
    settings = cache.manifest["parameters"]["spectrogram"]
    length = settings["seconds"]
    ids = list(cache.rows)
    seconds = np.array(cache.column("seconds", ids), dtype=float)
    order = np.argsort(seconds, kind="stable")
    figure, axes = plt.subplots(1, 4, figsize=(9, 2.5), width_ratios=(1, 1, 1, 1.3))
    top = settings["rate"] / 2000
    for ax, place in zip(axes, (order[0], order[len(order) // 2], order[-1]), strict=False):
        table = cache.array("audio")[cache.rows[ids[place]]][0]
        ax.imshow(table, cmap="magma", origin="lower", aspect="auto", extent=(0, length, 0, top))
        ax.set(title=f"{ids[place]}\n{seconds[place]:.2f} s", xlabel="time (s)", xlim=(0, length))
        ax.title.set_size(8)
        if seconds[place] < length:
            ax.axvspan(seconds[place], length, color="white", alpha=0.45, lw=0)
            ax.axvline(seconds[place], color="white", lw=1.2)
            middle = (seconds[place] + length) / 2
            ax.text(middle, top * 0.93, "again", ha="center", va="top", fontsize=8)
        ax.set_yticks([])
    axes[0].set_yticks(range(0, round(top) + 1, 2))
    axes[0].set_ylabel("frequency (kHz)")
    _draw_lengths(axes[3], seconds, length)
    return figure


def _draw_lengths(ax: Axes, seconds: np.ndarray, length: float) -> None:
    edges = np.arange(np.floor(seconds.min() * 5) / 5, seconds.max() + 0.2, 0.2)
    shorter = MODALITY_COLOURS[0]
    for values, colour in ((seconds[seconds <= length], shorter), (seconds[seconds > length],
                           PART_COLOURS["test"])):  # fmt: skip
        ax.hist(values, bins=edges, color=colour, alpha=0.8)
    ax.axvline(length, color=MEASURED, lw=1)
    ax.set(xlabel="length of the sound (s)", ylabel="clips")
    high = ax.get_ylim()[1] * 1.18
    ax.set_ylim(0, high)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.text(length - 0.04, high, "repeated", ha="right", va="top", color=shorter, fontsize=8)
    ax.text(length + 0.04, high, "cut", ha="left", va="top", color=PART_COLOURS["test"], fontsize=8)


@drawn
def film_strip(strip: FilmStrip) -> Figure:
    """Draw frames of a film over time, and below them which frames each rule keeps.

    Args:
        strip: the frames and the rules' choices.
    """
    figure = plt.figure(figsize=(9, 2.5))
    grid = figure.add_gridspec(2, len(strip.pictures), height_ratios=(1.25, 1))
    for place, (picture, time) in enumerate(zip(strip.pictures, strip.times, strict=True)):
        ax = figure.add_subplot(grid[0, place])
        ax.imshow(picture)
        ax.set_axis_off()
        ax.set_title(f"{time:.2f} s", fontsize=8)
    ax = figure.add_subplot(grid[1, :])
    half = strip.times[1] / 2  # below the middles of the pictures
    ax.set_xlim(-half, strip.times[-1] + half)
    for row, times in enumerate(strip.kept.values()):
        ax.axhline(-row, color="#E3E3E3", lw=1, zorder=0)
        ax.plot(times, [-row] * len(times), "o", ms=6, color=MODALITY_COLOURS[row], alpha=0.85)
    ax.set_yticks([-row for row in range(len(strip.kept))], list(strip.kept))
    ax.set_ylim(-len(strip.kept) + 0.5, 0.5)
    ax.set_xlabel("time (s)")
    ax.spines["left"].set_visible(False)
    ax.tick_params(left=False)
    return figure


@drawn
def two_frames(one: Cache, other: Cache, frame: int, names: tuple[str, str]) -> Figure:
    """Draw, for one clip of each class, its frame in one cache above one of another cache.

    Args:
        one: a cache whose first kept frame is drawn.
        other: a cache of the same clips.
        frame: which of its kept frames, from 0.
        names: what the rows show.
    """
    labels = dict(zip(one.rows, one.column("label", one.rows), strict=True))
    both = [item for item in one.rows if item in other.rows]
    there = [next((i for i in both if labels[i] == name), None) for name in one.classes]
    shown = [item for item in there if item is not None]
    figure, axes = plt.subplots(2, len(shown), figsize=(9, 2.6), squeeze=False)
    for column, item in enumerate(shown):
        axes[0, column].set_title(labels[item])
        for ax, cache, number in ((axes[0, column], one, 0), (axes[1, column], other, frame)):
            ax.imshow(cache.array("visual")[cache.rows[item], number])
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(name)
    return figure


@drawn
def groups_of_splits(cache: Cache) -> Figure:
    """Draw where each group's items are, in every split: one bar a group, shares of its items.

    Args:
        cache: any.
    """
    group = dict(zip(cache.items["id"], cache.items["group"], strict=True))
    groups = sorted(set(group.values()))
    place = {name: number for number, name in enumerate(groups)}
    figure, axes = plt.subplots(
        len(cache.splits), 1, figsize=(9, 0.42 * len(cache.splits) + 0.8), sharex=True,
        squeeze=False,
    )  # fmt: skip
    for ax, name in zip(axes[:, 0], cache.splits, strict=True):
        counts = {part: np.zeros(len(groups)) for part in PART_COLOURS}
        for item, part in cache.split(name).items():
            counts[part][place[group[item]]] += 1
        total = np.maximum(sum(counts.values()), 1)
        below = np.zeros(len(groups))
        for part, count in counts.items():
            ax.bar(range(len(groups)), count / total, bottom=below, width=0.86,
                   color=PART_COLOURS[part], label=part, lw=0)  # fmt: skip
            below += count / total
        ax.set(yticks=[], ylim=(0, 1), xlim=(-0.6, len(groups) - 0.4))
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.spines[:].set_visible(False)
        ax.tick_params(bottom=False)
    step = max(1, len(groups) // 10)
    axes[-1, 0].set_xticks(range(0, len(groups), step), groups[::step])
    axes[-1, 0].set_xlabel("actor")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


@drawn
def crops(frame: np.ndarray, pictures: Pictures, seed: int, drawn_boxes: int = 2000) -> Figure:
    """Draw a frame with eight random boxes, what the network sees of them, and many boxes' sizes.

    Args:
        frame: ``(height, width, 3)`` uint8.
        pictures: the transform, of one frame.
        seed: of the boxes.
        drawn_boxes: how many sizes.
    """
    height, width = frame.shape[:2]
    draws = pictures.draw(drawn_boxes, (1, *frame.shape), generator(seed, "crops"))
    assert draws is not None
    eight = draws[:8]
    stored = torch.from_numpy(np.array(frame))[None, None].expand(8, -1, -1, -1, -1)
    seen = _as_seen(pictures(stored.contiguous(), eight))
    figure = plt.figure(figsize=(9, 2.6))
    grid = figure.add_gridspec(2, 7, width_ratios=(2.2, 1, 1, 1, 1, 0.05, 2))
    whole = figure.add_subplot(grid[:, 0])
    whole.imshow(frame)
    whole.set_axis_off()
    for number, (picture, row) in enumerate(zip(seen, eight[:, 0].tolist(), strict=True)):
        colour = MODALITY_COLOURS[number % len(MODALITY_COLOURS)]
        _, top, left, tall, wide, mirrored = row
        whole.add_patch(Rectangle((left, top), wide, tall, fill=False, ec=colour, lw=1.2))
        ax = figure.add_subplot(grid[number // 4, 1 + number % 4])
        ax.imshow(picture)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color=colour, linewidth=1.6)
        ax.set_title("mirrored" if mirrored else " ", fontsize=7, pad=2)
    _draw_box_sizes(figure.add_subplot(grid[:, 6]), draws[:, 0].numpy(), height * width)
    return figure


def _as_seen(pictures: torch.Tensor) -> np.ndarray:
    """Return normalised pictures ``(B, 3, H, W)`` as colours from 0 to 1, channels last."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (pictures * std + mean).clamp(0, 1).movedim(1, 3).numpy()


def _draw_box_sizes(ax: Axes, rows: np.ndarray, area: int) -> None:
    tall, wide = rows[:, 3].astype(float), rows[:, 4].astype(float)
    ax.scatter(tall * wide / area, wide / tall, s=2, alpha=0.35, color=MODALITY_COLOURS[0], lw=0)
    ax.set(xlabel="share of the frame", ylabel="width / height", xlim=(0, 1.02), yscale="log")
    ax.set_yticks((0.75, 1, 4 / 3), ("3/4", "1", "4/3"))
    ax.minorticks_off()
