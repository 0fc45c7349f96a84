"""Tables of data, and of measurements over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from asgml_core.datasets.base import MultimodalDataset
from asgml_core.records import RunRecord


def parts(dataset: MultimodalDataset) -> pd.DataFrame:
    """Return how many items and groups each part of a dataset has, and the shape of an item."""
    rows = [
        {
            "part": name,
            "items": len(part),
            "groups": len(set(part.groups)),
            **{m: " x ".join(map(str, shape)) for m, shape in dataset.shapes.items()},
        }
        for name, part in dataset.parts.items()
    ]
    return pd.DataFrame(rows).set_index("part")


def classes(dataset: MultimodalDataset) -> pd.DataFrame:
    """Return how many items of each class each part of a dataset has."""
    counts = {
        name: np.bincount(part.labels.cpu().numpy(), minlength=len(dataset.classes))
        for name, part in dataset.parts.items()
    }
    return pd.DataFrame(counts, index=pd.Index(dataset.classes, name="class"))


def phenomenon(measured: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over seeds of what joint training leaves unlearned.

    Args:
        measured: ``seed``, ``modality`` and accuracies from 0 to 1, as
            ``benchmarks/synth_phenomenon.py`` writes them.
    """
    columns = [name for name in measured if name not in ("seed", "modality")]
    by_modality = 100 * measured.set_index("modality")[columns]
    mean, deviation = by_modality.groupby(level=0).mean(), by_modality.groupby(level=0).std()
    text = mean.map("{:.1f}".format) + " \u00b1 " + deviation.map("{:.1f}".format)
    return text.rename(columns=lambda name: name.replace("_", " "))


def accuracies(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one row a run: its accuracy by selection, its refitted probes and its wall time.

    Args:
        records: runs whose last epoch was probed.
    """
    rows = []
    for record in records:
        row = {"run": record.run_id, "seed": record.seed}
        row |= {name: entry["accuracy"] for name, entry in record.selections.items()}
        row |= {f"probe_{m}": a for m, a in record.selections["last"]["refitted_probes"].items()}
        rows.append(row | {"wall_time": record.provenance["wall_time"]})
    return pd.DataFrame(rows)


def from_baseline(measured: pd.DataFrame) -> pd.DataFrame:
    """Return each run's difference from the baseline of its seed, in points, by selection.

    The mean over seeds, and its standard error.

    Args:
        measured: as :func:`accuracies` returns it, with a run ``baseline`` for every seed.
    """
    columns: dict[str, pd.Series] = {}
    for selection in ("validation", "last"):
        by_run = 100 * measured.pivot(index="seed", columns="run", values=selection)
        apart = by_run.sub(by_run["baseline"], axis=0).drop(columns="baseline")
        columns[selection], columns[f"{selection}, error"] = apart.mean(), apart.sem()
    runs = [run for run in dict.fromkeys(measured["run"]) if run != "baseline"]
    return pd.DataFrame(columns).loc[runs].round(2).rename_axis("run").reset_index()


def summary(measured: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds of each run in per cent, with the sample deviation if it has one.

    Args:
        measured: ``run``, ``seed`` and accuracies from 0 to 1, one row a run and seed.
    """
    accuracies = measured.drop(columns=["seed", "wall_time"]).set_index("run") * 100
    runs = list(dict.fromkeys(measured["run"]))
    mean = accuracies.groupby(level=0).mean().loc[runs]
    deviation = accuracies.groupby(level=0).std().loc[runs]
    text = mean.map("{:.1f}".format)
    if deviation.notna().any(axis=None):
        text += " \u00b1 " + deviation.map("{:.1f}".format)
    text = text.where(mean.notna(), "").rename(columns=lambda name: name.replace("_", " "))
    return text.reset_index()
