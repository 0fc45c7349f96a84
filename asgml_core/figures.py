"""Tables and records in, matplotlib figures out. No training, no global change of style."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from asgml_core.datasets import MultimodalDataset, synth
from asgml_core.datasets.synth import CLASSES
from asgml_core.datasets.synth import examples as clean_examples
from asgml_core.records import RunRecord

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


def _figure(function: Callable[..., Figure]) -> Callable[..., Figure]:
    @wraps(function)
    def drawn(*args: Any, **kwargs: Any) -> Figure:
        with style():
            figure = function(*args, **kwargs)
            figure.canvas.draw()  # lay it out while the style holds
        plt.close(figure)  # a notebook shows what a cell returns; it must not show it twice
        return figure

    return drawn


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


def _grid(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
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


@_figure
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


@_figure
def trajectories(records: Sequence[RunRecord], quantity: str, label: str) -> Figure:
    """Draw a quantity by modality over the steps of each run, one panel a run.

    Args:
        records: the runs that have it; the others are left out.
        quantity: the name of the columns ``<method>/<quantity>/<modality>`` in the steps.
        label: of the vertical axis.

    Raises:
        ValueError: when no run has such a column.
    """
    having = [r for r in records if any(f"/{quantity}/" in name for name in r.steps)]
    if not having:
        raise ValueError(f"none of the runs recorded {quantity!r}.")
    figure, axes = _grid(len(having), 5, 1.9)
    for ax, record in zip(axes, having, strict=True):
        columns = [name for name in record.steps if f"/{quantity}/" in name]
        modalities = [name.rsplit("/", 1)[1] for name in columns]
        epochs = (record.steps.index + 1) / record.values["batches_per_epoch"]
        for name, m in zip(columns, modalities, strict=True):
            known = record.steps[name].notna()
            colour = colours(modalities)[m]
            ax.plot(epochs[known], record.steps[name][known], color=colour, lw=1.2, label=m)
        ax.set_title(record.run_id)
    axes[0].legend(loc="best", handlelength=1.2)
    figure.supxlabel("epoch", fontsize=9.5)
    figure.supylabel(label, fontsize=9.5)
    return figure


@_figure
def learning_curves(records: Sequence[RunRecord]) -> Figure:
    """Draw the test accuracy over epochs, fused and of each modality's own head, one panel a run.

    The dot is the epoch chosen on validation.
    """
    figure, axes = _grid(len(records), 5, 1.9)
    for ax, record in zip(axes, records, strict=True):
        epochs = record.epochs
        accuracies = record.selections["last"]["accuracies"]
        trained = [m for m, accuracy in accuracies.items() if accuracy is not None]
        for m in trained:
            colour = colours(list(accuracies))[m]
            ax.plot(
                epochs["epoch"], 100 * epochs[f"test_accuracy/{m}"], color=colour, lw=1, label=m
            )
        ax.plot(
            epochs["epoch"], 100 * epochs["test_accuracy"], color=MEASURED, lw=1.4, label="fused"
        )
        if chosen := record.selections.get("validation"):
            ax.plot(chosen["epoch"], 100 * chosen["accuracy"], "o", ms=4, color=MEASURED)
        ax.set_title(record.run_id)
    axes[0].legend(loc="lower right", handlelength=1.2)
    figure.supxlabel("epoch", fontsize=9.5)
    figure.supylabel("test accuracy (%)", fontsize=9.5)
    return figure


@_figure
def differences(table: pd.DataFrame) -> Figure:
    """Draw each run's difference from the baseline: measured with its error, and published.

    Args:
        table: of :func:`asgml_core.tables.against`.
    """
    figure, ax = plt.subplots(figsize=(9, 0.36 * len(table) + 1.1))
    places = np.arange(len(table))[::-1]
    ax.axvline(0, color="#BBBBBB", lw=0.8)
    ax.errorbar(
        table["difference"],
        places + 0.11,
        xerr=2 * table["error"],
        fmt="o",
        ms=5,
        lw=1.2,
        color=MEASURED,
        label="measured, this seed (bar: 2 standard errors over test items)",
    )
    ax.plot(
        table["published (seed 42)"],
        places - 0.16,
        "D",
        ms=4.5,
        mfc="white",
        color=PUBLISHED,
        label="published, CREMA-D, seed 42, best on test",
    )
    ax.set_yticks(places, table.index)
    ax.set_xlabel("difference from the baseline (points of test accuracy)")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


@_figure
def encoder_knowledge(table: pd.DataFrame, reference: str = "baseline") -> Figure:
    """Draw what a refitted probe reads from each encoder, one row a run.

    Args:
        table: of :func:`asgml_core.tables.encoders`.
        reference: the run whose values are drawn as lines.
    """
    figure, ax = plt.subplots(figsize=(9, 0.33 * len(table) + 1.1))
    places = np.arange(len(table))[::-1]
    for m, colour in colours(list(table.columns)).items():
        if reference in table.index:
            ax.axvline(table.loc[reference, m], color=colour, lw=0.8, ls=":")
        ax.plot(table[m], places, "o", ms=5.5, color=colour, label=m)
    ax.set_yticks(places, table.index)
    ax.set_xlabel("test accuracy of a linear probe on the frozen encoder (%)")
    figure.legend(loc="outside upper left", ncols=len(table.columns))
    return figure


@_figure
def coefficients(record: RunRecord, alpha: float) -> Figure:
    """Draw OGM-GE's coefficients over a run, beside the curve they come from.

    Args:
        record: a run with OGM or OGM-GE, of two modalities.
        alpha: its strength.
    """
    columns = [name for name in record.steps if "/coefficient/" in name]
    modalities = [name.rsplit("/", 1)[1] for name in columns]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.7), width_ratios=(1, 1.9), sharey=True)
    ratio = np.linspace(1, 3, 200)
    left.plot(ratio, 1 - np.tanh(alpha * ratio), color=MEASURED, lw=1.4)
    left.plot([0, 1], [1, 1], color=MEASURED, lw=1.4)
    left.plot(1, 1 - np.tanh(alpha), "o", ms=4, mfc="white", color=MEASURED)
    left.set(xlabel="score ratio", ylabel="coefficient", xlim=(0, 3), ylim=(-0.03, 1.05))
    epochs = (record.steps.index + 1) / record.values["batches_per_epoch"]
    for name, m in zip(columns, modalities, strict=True):
        known = record.steps[name].notna()
        right.plot(epochs[known], record.steps[name][known], ".", ms=3, label=m,
                   color=colours(modalities)[m])  # fmt: skip
    right.set(xlabel="epoch", title=record.run_id)
    right.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=3)
    return figure


@_figure
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


@_figure
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


@_figure
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
    axes[0].set_ylabel("test accuracy (%)")
    return figure


@_figure
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
    ax.axhline(100 / 6, color="#BBBBBB", lw=0.8, ls=":", label="chance")
    ax.set(xlabel="signal", ylabel="test accuracy, alone (%)")
    ax.legend(loc="lower right")
    return figure
