"""Figures of training over epochs: bands over seeds, and which epoch is chosen."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from asgml_core import labels
from asgml_core.figures.rows import label_ends
from asgml_core.figures.style import (
    MEASURED,
    PUBLISHED,
    WIDTH,
    colours,
    drawn,
    grid,
    legend_of_panels,
    look,
    title_run,
)

SHADE = 0.18


@drawn
def bands(epochs: pd.DataFrame, quantity: str, runs: Sequence[str], label: str) -> Figure:
    """Draw a quantity over the epochs: the mean over seeds as a line, its interval as a band.

    Args:
        epochs: columns ``run``, ``epoch``, ``quantity``, ``mean``, ``low`` and ``high``.
        quantity: which.
        runs: which; every one has a line.
        label: of the vertical axis.

    Raises:
        ValueError: when a run has no such quantity.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, max(3.2, 0.2 * len(runs) + 1)))
    ends = []
    for run in runs:
        rows, shown = _rows(epochs, quantity, run), look(run)
        ax.fill_between(rows["epoch"], rows["low"], rows["high"], color=shown.colour, lw=0,
                        alpha=SHADE / max(1, len(runs) / 5))  # fmt: skip
        ax.plot(rows["epoch"], rows["mean"], shown.dashes, lw=1.5, color=shown.colour)
        ends.append((rows["epoch"].iloc[-1], rows["mean"].iloc[-1]))
    ax.set(xlabel="epoch", ylabel=label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.margins(x=0)
    ax.set_ylim(ax.get_ylim())
    label_ends(ax, ends, [labels.label(run) for run in runs], [look(run) for run in runs])
    return figure


def _rows(epochs: pd.DataFrame, quantity: str, run: str) -> pd.DataFrame:
    rows = epochs[(epochs["run"] == run) & (epochs["quantity"] == quantity)]
    if rows.empty:
        raise ValueError(f"{run!r} has no quantity {quantity!r} in the table of epochs.")
    return rows.sort_values("epoch")


@drawn
def bands_by_modality(
    epochs: pd.DataFrame, quantity: str, runs: Sequence[str], label: str
) -> Figure:
    """Draw a quantity of each modality over the epochs, one panel a run: means and bands.

    Args:
        epochs: as for :func:`bands`.
        quantity: ``"scale"`` draws ``"scale/audio"`` and ``"scale/visual"``; one that is not of
            modalities, such as ``"gap"``, is drawn in ink.
        runs: which; every one has a panel.
        label: of the vertical axis.

    Raises:
        ValueError: when a run has no such quantity.
    """
    names = dict.fromkeys(epochs["quantity"])
    modalities = [name.rpartition("/")[2] for name in names if name.startswith(f"{quantity}/")]
    known = set(zip(epochs["run"], epochs["quantity"], strict=True))
    figure, axes = grid(len(runs), 4 if len(runs) <= 8 else 5, 2.1)
    for ax, run in zip(axes, runs, strict=True):
        own = [m for m in modalities if (run, f"{quantity}/{m}") in known]
        for m in own:
            _band(ax, _rows(epochs, f"{quantity}/{m}", run), colours(modalities)[m], m)
        if not own:  # it is of no modality, or the run has no such quantity
            _band(ax, _rows(epochs, quantity, run), MEASURED, quantity)
        title_run(ax, run)
    if modalities:
        legend_of_panels(figure, axes[0])
    figure.supxlabel("epoch", fontsize=9.5)
    figure.supylabel(label, fontsize=9.5)
    return figure


def _band(ax: Axes, rows: pd.DataFrame, colour: str, name: str) -> None:
    ax.fill_between(rows["epoch"], rows["low"], rows["high"], color=colour, lw=0, alpha=SHADE)
    ax.plot(rows["epoch"], rows["mean"], lw=1.4, color=colour, label=name)


@drawn
def selections(curve: pd.DataFrame) -> Figure:
    """Draw a run's accuracy by epoch, and which epoch each way of choosing takes.

    Args:
        curve: columns ``epoch``, ``valid_accuracy`` and ``test_accuracy``, from 0 to 1, as in a
            record's epochs; NaN where there is no validation part.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.2))
    epochs, test, valid = (curve[c] for c in ("epoch", "test_accuracy", "valid_accuracy"))
    chosen = {"last": ("s", curve.index[-1]), "best on test": ("D", test.idxmax())}
    if valid.notna().any():
        ax.plot(epochs, 100 * valid, lw=1.1, color=PUBLISHED, label="validation part")
        chosen = {"best on validation": ("o", valid.idxmax()), **chosen}  # the earliest of equals
    test = 100 * test
    ax.plot(epochs, test, lw=1.5, color=MEASURED, label="test part")
    at = {name: (epochs[row], test[row]) for name, (_, row) in chosen.items()}
    for name, (marker, row) in chosen.items():
        ax.plot(epochs[row], test[row], marker, ms=7, mfc="white", mew=1.6, color=MEASURED,
                label=f"{name}: epoch {epochs[row]}, {test[row]:.1f} %")  # fmt: skip
    _, best = at["best on test"]
    said = [f"{best - value:.1f} over {name}" for name, (_, value) in at.items() if value != best]
    ax.set(xlabel="epoch", ylabel="accuracy (%)")
    ax.set_title("choosing on test adds " + (", ".join(said) or "nothing"), loc="left")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
