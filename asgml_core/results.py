"""The committed tables of measured runs, under ``book/results/``, each with its provenance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from asgml_core.checks import AsgmlError
from asgml_core.files import write_atomically, write_json
from asgml_core.paths import project_root
from asgml_core.reading import ReadError, read_json, short
from asgml_core.records import RunRecord
from asgml_core.tabular import read_csv


class ResultError(AsgmlError, ValueError):
    """A table that cannot be read; the message names the file and what was expected."""


def folder() -> Path:
    """Return where the tables are."""
    return project_root() / "book" / "results"


def read(name: str, at: Path | None = None) -> pd.DataFrame:
    """Return a table by name.

    Args:
        name: of the table.
        at: another folder than :func:`folder`.

    Raises:
        FileNotFoundError: naming the tables there are.
        ResultError: when its file is damaged.
    """
    try:
        return read_csv(_existing(name, ".csv", at))
    except ReadError as error:
        raise ResultError(str(error)) from error


def provenance(name: str, at: Path | None = None) -> dict[str, Any]:
    """Return where a table came from: command, commit, versions, machine, wall time.

    Args:
        name: of the table.
        at: another folder than :func:`folder`.

    Raises:
        FileNotFoundError: naming the tables there are.
        ResultError: when its file is damaged.
    """
    file = _existing(name, ".json", at)
    try:
        said = read_json(file)
    except ReadError as error:
        raise ResultError(str(error)) from error
    if not isinstance(said, dict):
        raise ResultError(
            f"{file} holds {short(said)}, but an object of named fields was expected."
        )
    said.pop("rows", None)  # those are the table's
    return said


def came_from(command: str, records: Sequence[RunRecord]) -> dict[str, Any]:
    """Return the provenance of a table made of records: one machine, one code, many runs.

    Args:
        command: what makes the table again.
        records: the runs in it.
    """
    said = dict(records[0].provenance)
    del said["data"]  # each seed draws its own
    for key in ("commit", "code", "device"):
        said[key] = "; ".join(dict.fromkeys(str(r.provenance[key]) for r in records))
    said["finished"] = max(record.provenance["finished"] for record in records)
    wall_time = round(sum(record.provenance["wall_time"] for record in records), 1)
    return {"command": command, **said, "runs": len(records), "wall_time": wall_time}


def write(
    name: str,
    table: pd.DataFrame,
    came_from: dict[str, Any],
    to: Path | None = None,
    *,
    rows: bool = True,
) -> Path:
    """Write a table as CSV, and as JSON its provenance with the same rows; return the CSV's path.

    Args:
        name: of the table.
        table: numbers are kept to six digits.
        came_from: command, commit, versions, machine, wall time.
        to: another folder than :func:`folder`, such as for a trial.
        rows: ``False`` keeps the rows of a large table out of the JSON.
    """
    path = (folder() if to is None else to) / f"{name}.csv"
    text = table.to_csv(index=False, float_format="%.6g")
    write_atomically(path, text.encode())
    said = dict(came_from)
    if rows:
        said["rows"] = [
            {str(k): _plain(v) for k, v in row.items()} for row in table.to_dict("records")
        ]
    write_json(path.with_suffix(".json"), said)
    return path


def _plain(value: Any) -> Any:
    """Return a cell as JSON has it: no NaN, and the digits that the CSV has."""
    if pd.isna(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _existing(name: str, ending: str, at: Path | None) -> Path:
    inside = folder() if at is None else at
    if not name or set("/\\\0") & set(name):
        raise ResultError(f"{short(name)} is no name of a table: it would lead out of {inside}.")
    path = inside / f"{name}{ending}"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in inside.glob(f"*{ending}"))) or "none"
        raise FileNotFoundError(f"{path}: no such table; there are: {there}.")
    return path
