"""Tables of runs: what is planned, what came out, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from asgml_core import study
from asgml_core.config import RunConfig
from asgml_core.records import RunRecord
from asgml_core.selection import SELECTIONS
from asgml_core.statistics import accuracy_error, paired_difference


def settings(config: RunConfig) -> str:
    """Return a run's methods and settings in one line, such as ``ogm_ge alpha=0.8, boost``."""
    parts = []
    for method in config.methods:
        options = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
                   for key, value in method.options.items()]  # fmt: skip
        if method.name != "unimodal_losses" or options not in ([], ["gamma=1"]):
            parts.append(" ".join([method.name, *options]))
    return ", ".join(parts) or "no modulation"


def planned(configs: Sequence[RunConfig]) -> pd.DataFrame:
    """Return the runs to come: what each does, and what the study published for it (seed 42)."""
    rows = [
        {
            "run": config.run_id,
            "methods and settings": settings(config),
            "published (%)": study.published(config.run_id),
        }
        for config in configs
    ]
    return pd.DataFrame(rows).set_index("run")


def shown(table: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """Return a table as people read it: numbers with fixed digits, and blanks where there is none.

    Args:
        table: any table. In the columns ``p`` and ``p_holm`` nothing is shown as 0.
        digits: after the decimal point.
    """
    least = 10**-digits

    def text(value: object, is_p: bool) -> object:
        if pd.isna(value):
            return ""
        if is_p and isinstance(value, float) and value < least:
            return f"< {least:.{digits}f}"
        return f"{value:.{digits}f}" if isinstance(value, float) else value

    columns = [table.iloc[:, at].map(partial(text, is_p=name in ("p", "p_holm")))
               for at, name in enumerate(table)]  # fmt: skip
    return pd.concat(columns, axis=1) if columns else table


def between(
    table: pd.DataFrame, intervals: Mapping[str, Sequence[str]], digits: int = 2
) -> pd.DataFrame:
    """Return a table in which each interval is one column, as people read it: ``1.9 (1.1 to 2.8)``.

    Args:
        table: any table.
        intervals: by the new column's name the columns that it joins, at the place of the first:
            the estimate and both ends, or both ends alone. Those that the table lacks are left out.
        digits: after the decimal point.
    """
    joined = table.copy()
    for name, columns in intervals.items():
        if not set(columns) <= set(table):
            continue
        said = [_between(values, digits) for values in table[list(columns)].to_numpy()]
        joined.insert(joined.columns.get_loc(columns[0]), name, said)
        joined = joined.drop(columns=list(columns))
    return joined


def _between(values: Sequence[float], digits: int) -> str:
    if np.isnan(values).any():
        return ""
    *estimate, low, high = (f"{value:.{digits}f}" for value in values)
    ends = f"{low} to {high}"
    return f"{estimate[0]} ({ends})" if estimate else ends


def words(table: pd.DataFrame) -> Words:
    """Return a table of sentences as people read it: whole, wrapped, without an index."""
    return Words(table)


class Words:
    """A table of sentences; a notebook shows it whole, where pandas would cut each cell short."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    def __repr__(self) -> str:
        return "\n".join(" | ".join(map(str, row)) for row in self.table.itertuples(index=False))

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return self.table.to_html(index=False, classes="words", border=0)


def correct(record: RunRecord, selection: str) -> np.ndarray:
    """Return, item by item of the test part, whether the fused prediction was right."""
    return record.predictions[f"{selection}/fused"].argmax(1) == record.predictions["label"]


def results(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return the test accuracy of each run in per cent, in all three selections.

    ``error`` is the binomial standard error of the chosen accuracy over the test items.
    """
    rows = []
    for record in records:
        chosen, items = record.accuracy(), record.values["items"]["test"]
        accuracies = {s: record.selections[s]["accuracy"] for s in SELECTIONS
                      if s in record.selections}  # fmt: skip
        rows.append(
            {
                "run": record.run_id,
                **{s.replace("_", " "): 100 * a for s, a in accuracies.items()},
                "error": 100 * accuracy_error(chosen, items),
                "published (seed 42)": study.published(record.run_id),
            }
        )
    return pd.DataFrame(rows).set_index("run")


def against(records: Sequence[RunRecord], reference: str = "baseline") -> pd.DataFrame:
    """Return how each run differs from the reference, in points, measured and published.

    ``error`` is the standard error over test items, of this one seed. Published differences are of
    the study's best-on-test accuracies at seed 42.
    """
    base = next(record for record in records if record.run_id == reference)
    selection = "validation" if "validation" in base.selections else "last"
    rows = []
    for record in records:
        if record is base:
            continue
        difference, error = paired_difference(correct(record, selection), correct(base, selection))
        ours, theirs = study.published(record.run_id), study.published(reference)
        rows.append(
            {
                "run": record.run_id,
                "difference": 100 * difference,
                "error": 100 * error,
                "published (seed 42)": None if ours is None else ours - theirs,
            }
        )
    return pd.DataFrame(rows).set_index("run")


def encoders(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return what a linear probe refitted on each frozen encoder reads, in per cent of test items.

    The encoder is that of the last epoch.
    """
    rows = [
        {
            "run": record.run_id,
            **{m: 100 * a for m, a in record.selections["last"]["refitted_probes"].items()},
        }
        for record in records
    ]
    return pd.DataFrame(rows).set_index("run")


def provenance(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return where the records came from; a value that differs between runs is listed once each."""
    rows: dict[str, list[str]] = {}
    for record in records:
        said = dict(record.provenance)
        versions = said.pop("versions")
        config = record.values["config"]
        said |= versions
        settings = ("seed", "protocol", "memory_format", "precision", "execution")
        said |= {key: config[key] for key in settings}
        said |= {"items": ", ".join(f"{n} {part}" for part, n in record.values["items"].items())}
        for key, value in said.items():
            rows.setdefault(key, []).append(str(value))
    times = [float(text) for text in rows.pop("wall_time")]
    rows.pop("finished")
    shown = {key: "; ".join(dict.fromkeys(values)) for key, values in rows.items()}
    shown["wall time"] = f"{sum(times):.0f} s of computing, {max(times):.0f} s the longest run"
    return pd.DataFrame({"value": shown})


def strengths(records: Sequence[RunRecord], method: str, option: str = "alpha") -> pd.DataFrame:
    """Return accuracy against the strength of a method, and what each step up changes.

    Args:
        records: runs that differ in the strength alone; one without the method has strength 0.
        method: its name.
        option: the name of its strength.

    Returns:
        By strength, in per cent, the measured accuracy with its binomial error, its change from the
        strength before with the error over test items, and the same of the published accuracies,
        whose item-by-item error is not known.
    """
    by_strength = {}
    for record in records:
        options = [part.options for part in record.config.methods if part.name == method]
        by_strength[float(options[0][option]) if options else 0.0] = record
    rows, before = [], None
    for strength, record in sorted(by_strength.items()):
        accuracy, ours = record.accuracy(), study.published(record.run_id)
        row = {option: strength, "run": record.run_id, "accuracy": 100 * accuracy}
        row["error"] = 100 * accuracy_error(accuracy, record.values["items"]["test"])
        change = _change(record, before) if before else (None, None)
        row |= {"change": change[0], "error of the change": change[1], "published": ours}
        theirs = study.published(before.run_id) if before else None
        row["published change"] = None if None in (ours, theirs) else ours - theirs
        rows.append(row)
        before = record
    return pd.DataFrame(rows).set_index(option)


def _change(record: RunRecord, before: RunRecord) -> tuple[float, float]:
    selection = "validation" if "validation" in before.selections else "last"
    difference, error = paired_difference(correct(record, selection), correct(before, selection))
    return 100 * difference, 100 * error
