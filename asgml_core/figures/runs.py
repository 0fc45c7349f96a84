"""Figures of runs: accuracies, signals, and differences from a reference."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from asgml_core import labels
from asgml_core.figures.style import (
    LINE,
    MEASURED,
    PUBLISHED,
    colours,
    drawn,
    grid,
    legend_of_panels,
    look,
    title_run,
)
from asgml_core.records import RunRecord


@drawn
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
    figure, axes = grid(len(having), 5, 1.9)
    for ax, record in zip(axes, having, strict=True):
        columns = [name for name in record.steps if f"/{quantity}/" in name]
        modalities = [name.rsplit("/", 1)[1] for name in columns]
        epochs = (record.steps.index + 1) / record.values["batches_per_epoch"]
        for name, m in zip(columns, modalities, strict=True):
            known = record.steps[name].notna()
            colour = colours(modalities)[m]
            ax.plot(epochs[known], record.steps[name][known], color=colour, lw=1.2, label=m)
        title_run(ax, record.run_id)
    legend_of_panels(figure, axes[0])
    figure.supxlabel("epoch", fontsize=9.5)
    figure.supylabel(label, fontsize=9.5)
    return figure


@drawn
def learning_curves(records: Sequence[RunRecord]) -> Figure:
    """Draw the test accuracy over epochs, fused and of each modality's own head, one panel a run.

    The dot is the epoch chosen on validation.
    """
    figure, axes = grid(len(records), 5, 1.9)
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
        title_run(ax, record.run_id)
    legend_of_panels(figure, axes[0])
    figure.supxlabel("epoch", fontsize=9.5)
    figure.supylabel("test accuracy (%)", fontsize=9.5)
    return figure


@drawn
def differences(
    table: pd.DataFrame,
    measured: str = "measured, this seed (bar: 2 standard errors over test items)",
    reference: str = "the baseline",
) -> Figure:
    """Draw each run's difference from a reference: measured with its error, and published.

    Args:
        table: of :func:`asgml_core.tables.against`, or of ``tables.sensitivity``.
        measured: what the dots are.
        reference: what the differences are from.
    """
    figure, ax = plt.subplots(figsize=(9, 0.36 * len(table) + 1.1))
    places = np.arange(len(table))[::-1]
    ax.axvline(0, color=LINE, lw=0.8)
    for place, (run, row) in zip(places, table.iterrows(), strict=True):
        colour = look(str(run)).colour if labels.family(str(run)) != labels.OTHER else MEASURED
        ax.errorbar(row["difference"], place + 0.11, xerr=2 * row["error"], fmt="o", ms=5, lw=1.2,
                    color=colour)  # fmt: skip
    ax.plot(
        table["published (seed 42)"],
        places - 0.16,
        "D",
        ms=4.5,
        mfc="white",
        color=PUBLISHED,
        label="published, CREMA-D, seed 42, best on test",
    )
    ax.set_yticks(places, [labels.label(str(run)) for run in table.index])
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel(f"difference from {reference}, points of test accuracy")
    ax.plot([], [], "o-", ms=5, lw=1.2, color=MEASURED, label=measured)  # for the legend alone
    figure.legend(loc="outside upper left", ncols=2, reverse=True)
    return figure


@drawn
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
    ax.set_yticks(places, [labels.label(str(run)) for run in table.index])
    ax.set_xlabel("test accuracy of a linear probe on the frozen encoder (%)")
    figure.legend(loc="outside upper left", ncols=len(table.columns))
    return figure


@drawn
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
    right.set(xlabel="epoch", title=labels.label(record.run_id))
    right.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=3)
    return figure
