"""Figures of data: items, knobs, and how much each modality learns."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asgml_core.datasets import MultimodalDataset, synth
from asgml_core.datasets.synth import CLASSES
from asgml_core.datasets.synth import examples as clean_examples
from asgml_core.figures.style import LINE, MEASURED, colours, drawn


@drawn
def examples(
    dataset: MultimodalDataset,
    part: str = "train",
    per_class: int = 2,
    spectrograms: Sequence[str] = ("audio",),
) -> Figure:
    """Draw items of every class: one column per class, one row per modality and example.

    Args:
        dataset: what to show.
        part: ``"train"``, ``"valid"`` or ``"test"``.
        per_class: how many items of each class.
        spectrograms: modalities whose rows run from low to high frequency, drawn upwards.
    """
    shown = dataset.parts[part]
    rows = [(k, m) for k in range(per_class) for m in dataset.modalities]
    columns = len(dataset.classes)
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(9, 9 * len(rows) / columns), squeeze=False
    )
    labels = shown.labels.cpu().numpy()
    for c, name in enumerate(dataset.classes):
        axes[0, c].set_title(name)
        members = np.flatnonzero(labels == c)
        for ax, (k, m) in zip(axes[:, c], rows, strict=True):
            if k < len(members):
                draw_item(ax, shown.inputs[m][int(members[k])].cpu().numpy(), m in spectrograms)
            if c == 0:
                ax.set_ylabel(m)
    return figure


def draw_item(ax: Axes, item: np.ndarray, upwards: bool = False) -> None:
    """Draw one item into axes: a picture, a spectrogram, a clip's middle frame, or a vector.

    Args:
        ax: where.
        item: ``(d,)``, ``(channels, H, W)`` or ``(frames, channels, H, W)``.
        upwards: draw the first row at the bottom, as a spectrogram wants it.
    """
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if item.ndim == 1:
        ax.plot(item, lw=0.6, color=MEASURED)
        return
    picture = item[len(item) // 2] if item.ndim == 4 else item
    picture = np.moveaxis(picture, 0, 2) if len(picture) == 3 else picture.mean(0)
    low, high = np.percentile(picture, [0.5, 99.5])
    colour_map = "magma" if upwards else "gray"
    origin = "lower" if upwards else "upper"
    ax.imshow(picture, cmap=colour_map, vmin=low, vmax=high, aspect="auto", origin=origin)


@drawn
def emotions() -> Figure:
    """Draw one clean voice and face of ``synth`` for each emotion: the average, without noise."""
    drawn = clean_examples()
    figure, axes = plt.subplots(2, len(CLASSES), figsize=(9, 3.3))
    for row, (m, items) in zip(axes, drawn.items(), strict=True):
        for ax, item, name in zip(row, items, CLASSES, strict=True):
            draw_item(ax, np.asarray(item)[None], upwards=m == "audio")
            if m == "audio":
                ax.set_title(name)
        row[0].set_ylabel(m)
    return figure


@drawn
def knob(option: str, seed: int, levels: Sequence[float] = (0.0, 0.5, 1.0)) -> Figure:
    """Draw one ``synth`` item of each class at several levels of a signal knob.

    Args:
        option: ``"audio_signal"`` or ``"visual_signal"``.
        seed: of the data.
        levels: of the knob.
    """
    modality = option.removesuffix("_signal")
    drawn = [synth(seed=seed, **{option: level}) for level in levels]
    classes, labels = drawn[0].classes, drawn[0].train.labels.numpy()
    figure, axes = plt.subplots(len(levels), len(classes), figsize=(9, 1.55 * len(levels)))
    for row, (level, dataset) in enumerate(zip(levels, drawn, strict=True)):
        for c, name in enumerate(classes):
            item = dataset.train.inputs[modality][int(np.flatnonzero(labels == c)[0])].numpy()
            draw_item(axes[row, c], item, upwards=modality == "audio")
            if row == 0:
                axes[row, c].set_title(name)
        axes[row, 0].set_ylabel(f"signal {level:g}")
    return figure


@drawn
def phenomenon(measured: pd.DataFrame) -> Figure:
    """Draw, seed by seed, what each encoder reads alone and after joint training.

    Args:
        measured: as for :func:`asgml_core.tables.phenomenon`.
    """
    conditions = [name for name in measured if name not in ("seed", "modality")]
    modalities = list(dict.fromkeys(measured["modality"]))
    figure, axes = plt.subplots(1, len(modalities), figsize=(9, 2.8), sharey=True)
    for ax, m in zip(axes, modalities, strict=True):
        rows = 100 * measured[measured["modality"] == m][conditions]
        ax.plot(range(len(conditions)), rows.T, color=colours(modalities)[m], lw=1, alpha=0.45)
        ax.plot(range(len(conditions)), rows.mean(), "o", ms=6, color=colours(modalities)[m])
        ax.set_xticks(range(len(conditions)), [name.replace("_", "\n") for name in conditions])
        ax.set_xlim(-0.4, len(conditions) - 0.6)
        ax.set_title(m)
    axes[0].set_ylabel("right on the test part (%)")
    return figure


@drawn
def knobs(measured: pd.DataFrame) -> Figure:
    """Draw the accuracy of each modality alone against its signal knob, seed by seed.

    Args:
        measured: ``seed``, ``modality``, ``signal`` and ``accuracy``.
    """
    figure, ax = plt.subplots(figsize=(9, 2.9))
    modalities = list(dict.fromkeys(measured["modality"]))
    for m, colour in colours(modalities).items():
        rows = measured[measured["modality"] == m]
        for _, one in rows.groupby("seed"):
            ax.plot(one["signal"], 100 * one["accuracy"], color=colour, lw=0.8, alpha=0.4)
        mean = rows.groupby("signal")["accuracy"].mean()
        ax.plot(mean.index, 100 * mean, "o-", ms=5, lw=1.4, color=colour, label=m)
    ax.axhline(100 / 6, color=LINE, lw=0.8, ls=":", label="chance")
    ax.set(xlabel="signal", ylabel="test accuracy, alone (%)")
    ax.legend(loc="lower right")
    return figure
