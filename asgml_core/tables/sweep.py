"""The tables of the study's first sweep: frequency and staleness, one setting at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from asgml_core import study
from asgml_core.records import RunRecord
from asgml_core.statistics import paired_difference
from asgml_core.tables.diagnosis import modalities
from asgml_core.tables.runs import correct

#: The default of each half of the sweep, and what the defaults themselves are compared with.
FREQUENCY, STALENESS, BASELINE = "p2_default", "p1_stale_default", "baseline"
GROUPS = ("phase1_frequency", "phase1_staleness")


def sweep_names() -> list[str]:
    """Return the baseline, the default of frequency, and the sweep's 24 runs."""
    return [BASELINE, FREQUENCY, *study.group(GROUPS[0]), *study.group(GROUPS[1])]


def compared_with(run_id: str) -> str | None:
    """Return the run that a run of the sweep is compared with; ``None`` for the baseline."""
    if run_id == BASELINE:
        return None
    if run_id in (FREQUENCY, STALENESS):
        return BASELINE
    return STALENESS if run_id in study.group(GROUPS[1]) else FREQUENCY


def first_sweep(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one row a run and seed, as ``benchmarks/first_sweep.py`` writes them.

    Accuracies, differences and errors are from 0 to 1. ``difference`` is from the run that
    ``compared_with`` names, of the same seed; ``error`` is its standard error over test items.
    """
    by_name = {(record.run_id, record.seed): record for record in records}
    rows = []
    for record in records:
        other = compared_with(record.run_id)
        row = {"run": record.run_id, "seed": record.seed, "compared_with": other}
        row |= {name: entry["accuracy"] for name, entry in record.selections.items()}
        probes = record.selections["last"]["refitted_probes"]
        row |= {f"probe_{m}": accuracy for m, accuracy in probes.items()}
        difference = error = None
        if other is not None:
            difference, error = _difference(record, by_name[other, record.seed])
        row |= {"difference": difference, "error": error}
        for m in modalities(record):
            row[f"changed_{m}"] = record.epochs[f"activation/{m}"].mean()
            moved, raw = (record.steps[f"{kind}_norm/{m}"].sum() for kind in _WAYS)
            row[f"relative_update_{m}"] = moved / raw
        rows.append(row | {"wall_time": record.provenance["wall_time"]})
    return pd.DataFrame(rows)


_WAYS = ("update", "unmodulated")


def _difference(record: RunRecord, other: RunRecord) -> tuple[float, float]:
    selection = "validation" if "validation" in other.selections else "last"
    return paired_difference(correct(record, selection), correct(other, selection))


def sensitivity(measured: pd.DataFrame) -> pd.DataFrame:
    """Return the sweep setting by setting: mean over the seeds measured, and what was published.

    ``error`` is the standard error of the mean difference over seeds; of a single seed, over test
    items, which says nothing about another seed. All in per cent, but for the relative updates.

    Args:
        measured: of :func:`first_sweep`, or its table.
    """
    selection = "validation" if "validation" in measured else "last"
    rows = []
    for run_id, runs in measured.groupby("run", sort=False):
        other = compared_with(str(run_id))
        row: dict[str, object] = {"run": run_id, "setting": _setting(str(run_id))}
        row["accuracy"] = 100 * runs[selection].mean()
        row["difference"] = 100 * runs["difference"].mean()
        row["error"] = 100 * _error(runs)
        for name in runs:
            if name.startswith("changed_"):
                row[f"changed, {name.removeprefix('changed_')} (%)"] = 100 * runs[name].mean()
        for name in runs:
            if name.startswith("relative_update_"):
                m = name.removeprefix("relative_update_")
                row[f"relative update, {m}"] = runs[name].mean()
        row["published"] = ours = study.published(str(run_id))
        theirs = None if other is None else study.published(other)
        row["published (seed 42)"] = None if ours is None or theirs is None else ours - theirs
        rows.append(row)
    return pd.DataFrame(rows).set_index("run")


def _error(runs: pd.DataFrame) -> float:
    if len(runs) == 1:
        return float(runs["error"].iloc[0])
    return float(runs["difference"].std(ddof=1) / math.sqrt(len(runs)))


def _setting(run_id: str) -> str:
    params: Mapping[str, object] = study.named_run(run_id).params
    said = [
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in params.items()
        if key != "adaptation"
    ]
    return ", ".join(said) or ("" if run_id == BASELINE else "default")
