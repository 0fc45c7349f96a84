"""Figures of what a method did: masks, periods, movements, gradients and probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asgml_core import labels, tables
from asgml_core.figures.style import (
    BAND,
    LINE,
    MEASURED,
    PUBLISHED,
    colours,
    drawn,
    grid,
    legend_of_panels,
    looks,
    title_run,
)
from asgml_core.records import RunRecord


def _epochs(record: RunRecord) -> pd.Index:
    """Return where each step stands on an axis of epochs: epoch 1 ends at 1."""
    return (record.steps.index + 1) / record.values["batches_per_epoch"]


@drawn
def masked_steps(records: Sequence[RunRecord]) -> Figure:
    """Draw on which steps frequency masked each encoder: one mark a step, one row a modality."""
    figure, axes = plt.subplots(
        len(records), 1, figsize=(9, 0.95 * len(records) + 0.6), sharex=True, squeeze=False
    )
    for ax, record in zip(axes[:, 0], records, strict=True):
        names = tables.by_modality(record.steps, "updates")
        width = 0.62 * 8 * 72 / len(record.steps)  # points of a step, with a gap to the next
        for place, (m, name) in enumerate(names.items()):
            at = _epochs(record)[record.steps[name] == 0]
            ax.vlines(at, -place - 0.36, -place + 0.36, color=colours(list(names))[m], lw=width)
        ax.set_yticks([-place for place in range(len(names))], names)
        ax.set_ylim(0.55 - len(names), 0.55)
        ax.tick_params(axis="y", length=0)
        ax.set_title(labels.label(record.run_id), loc="left")
    axes[-1, 0].set_xlim(0, record.config.train.epochs)
    axes[-1, 0].set_xlabel("epoch (a mark is a step on which the encoder was masked)")
    return figure


@drawn
def signal(replayed: pd.DataFrame, record: RunRecord, tau_base: float = 2.0) -> Figure:
    """Draw the dual signal at every step, its two parts, and the period it asks for.

    Args:
        replayed: of :func:`asgml_core.tables.speeds`, of a run such as the baseline.
        record: a run with adaptive periods; what it read is drawn as dots.
        tau_base: the period of average speed.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.9), width_ratios=(1, 1))
    m = next(name for name in replayed if name.startswith("speed/")).rsplit("/", 1)[1]
    epochs = _epochs(record)
    left.plot(epochs, replayed[f"losses/{m}"], color=PUBLISHED, lw=0.8, label="loss part")
    left.plot(epochs, replayed[f"gradients/{m}"], color=MEASURED, lw=1.4, label="gradient part")
    left.set(xlabel="epoch", ylabel="over the mean of the modalities", title=f"{m}: the two parts")
    left.legend(loc="upper right", ncols=2)
    left.set_ylim(-0.05, 2.5)
    for period in (1, 3):
        right.axhspan(period - 0.5, period + 0.5, color=BAND, lw=0)
    wished = (tau_base * replayed[f"speed/{m}"]).clip(lower=1)
    names = tables.by_modality(record.steps, "tau")
    right.plot(epochs, wished, color=colours(list(names))[m], lw=0.7, alpha=0.7)
    for name, colour in colours(list(names)).items():
        read = record.steps[names[name]].dropna()
        right.plot(epochs[read.index], read, "o", ms=5, mec="white", color=colour, label=name)
    right.set(xlabel="epoch", ylabel="period asked for (steps)", title="the period it asks for")
    right.set_ylim(0.8, 3.2)
    right.yaxis.set_major_locator(plt.MultipleLocator(1))
    right.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@drawn
def relative_updates(
    records: Sequence[RunRecord], expected: Mapping[str, tuple[float, float]] | None = None
) -> Figure:
    """Draw the relative update of each encoder by epoch, one panel a run.

    Args:
        records: the runs.
        expected: by run, a range to shade.
    """
    figure, axes = grid(len(records), 4 if len(records) <= 8 else 5, 2.0)
    for ax, record in zip(axes, records, strict=True):
        ax.axhline(1, color=LINE, lw=0.8)
        if low_high := (expected or {}).get(record.run_id):
            ax.axhspan(*low_high, color=BAND, lw=0)
        names = tables.modalities(record)
        for m, colour in colours(names).items():
            values = record.epochs[f"relative_update/{m}"]
            ax.plot(record.epochs["epoch"], values, "o-", ms=3, lw=1.2, color=colour, label=m)
        title_run(ax, record.run_id)
    axes[0].set_ylim(0, None)
    legend_of_panels(figure, axes[0])
    figure.supxlabel("epoch", fontsize=9.5)
    figure.supylabel("relative update", fontsize=9.5)
    return figure


@drawn
def skipped_gradients(record: RunRecord) -> Figure:
    """Draw the norm of the raw gradient step by step, updating and skipped steps apart."""
    names = tables.by_modality(record.steps, "updates")
    figure, axes = plt.subplots(1, len(names), figsize=(9, 2.8), sharey=True, squeeze=False)
    epochs = _epochs(record)
    for ax, (m, name) in zip(axes[0], names.items(), strict=True):
        updates = record.steps[name] == 1
        norm, colour = record.steps[f"gradient_norm/{m}"], colours(list(names))[m]
        ax.plot(epochs[updates], norm[updates], ".", ms=4, color=colour, label="updating")
        ax.plot(
            epochs[~updates], norm[~updates], "o", ms=3, mfc="white", color=colour, label="skipped"
        )
        ax.set(xlabel="epoch", title=m, yscale="log")
        ax.legend(loc="lower left", ncols=2, handletextpad=0.2, columnspacing=1)
    axes[0, 0].set_ylabel("norm of the raw gradient")
    return figure


@drawn
def replaced_gradients(records: Sequence[RunRecord]) -> Figure:
    """Draw the norm of the gradient that staleness used, over that of the fresh one, by step.

    The lines are ``1 / (1 + lambda lag)``, which it would be if the gradient were the fresh one.
    """
    figure, axes = plt.subplots(1, len(records), figsize=(9, 3.0), sharey=True, squeeze=False)
    for ax, record in zip(axes[0], records, strict=True):
        names = tables.by_modality(record.steps, "lag")
        comp = tables.option(record, "staleness", "lambda_comp", 0.1)
        _ratios(ax, record, names)
        longest = int(record.steps[list(names.values())].max(axis=None))
        for lag in range(1, longest + 1):
            ax.axhline(1 / (1 + comp * lag), color=MEASURED, lw=0.9, ls=":", zorder=3)
        ax.set(xlabel="epoch", title=labels.label(record.run_id), yscale="log")
        ax.set_yticks([0.5, 1, 2], ["0.5", "1", "2"])
        ax.minorticks_off()
    axes[0, 0].set_ylabel("norm used / norm of the fresh gradient")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0.2)
    return figure


def _ratios(ax: Axes, record: RunRecord, names: Mapping[str, str]) -> None:
    marks = {1: ".", 2: "x", 3: "+"}
    epochs = _epochs(record)
    for m, name in names.items():
        ratio = record.steps[f"modulated_norm/{m}"] / record.steps[f"gradient_norm/{m}"]
        for lag in sorted(set(record.steps[name][record.steps[name] > 0])):
            at = record.steps[name] == lag
            ax.plot(
                epochs[at], ratio[at], marks.get(int(lag), "1"), ms=4.5, mew=0.8,
                color=colours(list(names))[m], label=f"{m}, lag {lag:.0f}",
            )  # fmt: skip


@drawn
def probe_readings(records: Sequence[RunRecord], titles: Sequence[str]) -> Figure:
    """Draw what the probes read each epoch, and what the same probes read on the test part.

    Args:
        records: runs guided by probes, one column each.
        titles: of the columns.
    """
    names = list(tables.by_modality(records[0].steps, "probe_reading"))
    figure, axes = plt.subplots(
        len(names),
        len(records),
        figsize=(9, 1.9 * len(names)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for column, (record, title) in enumerate(zip(records, titles, strict=True)):
        readings = tables.last_readings(record)
        tests = tables.by_modality(record.epochs, "probe_on_test")
        for ax, m in zip(axes[:, column], names, strict=True):
            colour, epochs = colours(names)[m], record.epochs["epoch"]
            ax.plot(epochs, 100 * readings[m], "o--", ms=3.5, lw=1, mfc="white", color=colour,
                    label="reading")  # fmt: skip
            ax.plot(epochs, 100 * record.epochs[tests[m]], color=colour, lw=1.6, label="test")
            if column == 0:
                ax.set_ylabel(f"{m}: accuracy (%)")
                ax.legend(loc="lower right", handlelength=1.8)
        axes[0, column].set_title(title)
        axes[-1, column].set_xlabel("epoch")
    return figure


@drawn
def gaps(record: RunRecord, compared: Sequence[RunRecord]) -> Figure:
    """Draw the utilization gap as a method saw it and as it was, and the gap of several runs.

    Args:
        record: a run guided by probes.
        compared: runs whose unimodal heads' gap on the test part is drawn beside.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": 3}
    table = 100 * tables.gaps(record)
    styles = {"running mean": "-", "without its start": "--", "probes on test": ":"}
    for name, line in styles.items():
        left.plot(table.index, table[name], line, lw=1.4, color=MEASURED, label=name)
    left.set(
        xlabel="epoch",
        ylabel="gap (points of accuracy)",
        title=f"{labels.label(record.run_id)}: its probes",
    )
    left.legend(**below)
    for other, shown in zip(compared, looks([r.run_id for r in compared]), strict=True):
        heads = other.epochs[[f"test_accuracy/{m}" for m in tables.modalities(other)]]
        spread = 100 * (heads.max(axis=1) - heads.min(axis=1))
        right.plot(other.epochs["epoch"], spread, shown.dashes, lw=1.4, color=shown.colour,
                   label=labels.label(other.run_id))  # fmt: skip
    right.set(xlabel="epoch", title="the unimodal heads, on the test part")
    right.legend(**below)
    right.set_ylim(0, None)
    return figure


@drawn
def controls(records: Sequence[RunRecord], threshold: float) -> Figure:
    """Draw the gap that a method acts on, and the period it sets, for several runs.

    Args:
        records: runs of frequency guided by probes alone.
        threshold: the gap below which nothing is done.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), width_ratios=(1, 1))
    left.axhline(100 * threshold, color=LINE, lw=0.8)
    left.annotate("threshold", (0.02, 100 * threshold), xycoords=("axes fraction", "data"),
                  va="bottom", color=PUBLISHED)  # fmt: skip
    for record, shown in zip(records, looks([r.run_id for r in records]), strict=True):
        gap = record.steps[next(name for name in record.steps if name.endswith("/gap"))].dropna()
        left.plot(
            _epochs(record)[gap.index], 100 * gap, shown.dashes, marker=shown.marker, ms=3,
            color=shown.colour, label=labels.label(record.run_id),
        )  # fmt: skip
        periods = record.steps[list(tables.by_modality(record.steps, "period").values())]
        right.plot(_epochs(record), periods.max(axis=1), shown.dashes, color=shown.colour,
                   lw=1.4)  # fmt: skip
    left.set(xlabel="epoch", ylabel="running gap (points)", ylim=(0, None))
    right.set(xlabel="epoch", ylabel="longest period (steps)", ylim=(0.8, 3.2))
    right.yaxis.set_major_locator(plt.MultipleLocator(1))
    figure.legend(loc="outside upper left", ncols=len(records))
    return figure


@drawn
def strengths(table: pd.DataFrame) -> Figure:
    """Draw accuracy against the strength of a method: measured here, and as published.

    Args:
        table: of :func:`asgml_core.tables.strengths`.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.9))
    for ax, name, error, colour in (
        (axes[0], "accuracy", table["error"], MEASURED),
        (axes[1], "published", np.sqrt(table["published"] * (100 - table["published"]) / 744),
         PUBLISHED),
    ):  # fmt: skip
        ax.errorbar(table.index, table[name], yerr=2 * error, fmt="o-", ms=5, lw=1, color=colour)
        ax.set(xlabel=f"strength {table.index.name}", xticks=table.index)
    axes[0].set(ylabel="test accuracy (%)", title="measured, this seed")
    axes[1].set(title="published, CREMA-D, seed 42, best on test")
    return figure
