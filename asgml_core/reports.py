"""The results of a sweep as a page and a table, from the records that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from asgml_core import results, study
from asgml_core.estimates import time_text
from asgml_core.files import write_atomically
from asgml_core.plans import Plan
from asgml_core.records import RunRecord
from asgml_core.tasks import RunTask, Status

SELECTIONS = ("validation", "last", "best_on_test")


def write_report(plan: Plan, statuses: Mapping[str, Status], outputs: Path) -> Path:
    """Write ``<outputs>/sweep/<name>_results.md``, and beside it the table as CSV and JSON.

    Args:
        plan: the sweep.
        statuses: how its tasks stand, by name.
        outputs: folder of the results.

    Returns:
        The page's path.

    Raises:
        RecordError: when a record is damaged.
        WriteError: when a file cannot be written.
    """
    tasks = [task for task in plan.tasks if isinstance(task, RunTask)]
    done = [task for task in tasks if statuses[task.name].kind == "done"]
    records = [RunRecord.load(task.folder(outputs)) for task in done]
    folder = outputs / "sweep"
    page = [f"# {plan.name}: results", "", _summary(tasks, statuses), ""]
    if records:
        table = runs_table(records)
        said = results.came_from(f"asgml report {plan.name}", records)
        results.write(f"{plan.name}_results", table, said, to=folder)
        page += [*_by_run(table), *_provenance(said), *_all_runs(table, plan.name)]
    page += _not_done(tasks, statuses)
    path = folder / f"{plan.name}_results.md"
    write_atomically(path, ("\n".join(page).rstrip() + "\n").encode())
    return path


def runs_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one row a run: its accuracy on the test part in per cent, by selection."""
    rows = []
    for record in records:
        row: dict[str, Any] = {"run": record.run_id, "seed": record.seed}
        for name in SELECTIONS:
            entry = record.selections.get(name)
            row[name] = None if entry is None else 100 * entry["accuracy"]
        row["epoch"] = record.selections.get("validation", record.selections["last"])["epoch"]
        row["wall_time"] = record.provenance["wall_time"]
        rows.append(row)
    return pd.DataFrame(rows)


def _summary(tasks: Sequence[RunTask], statuses: Mapping[str, Status]) -> str:
    kinds: dict[str, int] = {}
    for task in tasks:
        kind = statuses[task.name].kind
        kinds[kind] = kinds.get(kind, 0) + 1
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"{len(tasks)} runs: {counts}." if tasks else "No runs."


def _by_run(table: pd.DataFrame) -> list[str]:
    chosen = "validation" if table["validation"].notna().any() else "last"
    shown = [name for name in SELECTIONS if table[name].notna().any()]
    lines = [
        "## Accuracy on the test part, in per cent",
        "",
        "Mean over the seeds ± its standard error; the deviation is the sample's, between seeds. "
        f"The epoch is chosen by `{chosen}` in the first column"
        + (
            "; `best_on_test` chooses it on the test part itself, as the study did: too high."
            if "best_on_test" in shown
            else "."
        ),
        "",
        "| run | seeds | " + " | ".join(shown) + " | deviation | published |",
        "|---|---|" + "---|" * (len(shown) + 2),
    ]
    by_run = table.groupby("run", sort=False)
    for run, rows in by_run:
        cells = [_mean(rows[name]) for name in shown]
        deviation = f"{rows[chosen].std():.2f}" if len(rows) > 1 else ""
        lines.append(
            f"| {run} | {len(rows)} | {' | '.join(cells)} | {deviation} | "
            f"{_published(str(run), rows['seed'])} |"
        )
    return [*lines, "", "Published: the study's best epoch on the test part of CREMA-D.", ""]


def _mean(values: pd.Series) -> str:
    values = values.dropna()
    if len(values) < 2:
        return "" if values.empty else f"{values.mean():.2f}"
    return f"{values.mean():.2f} ± {values.sem():.2f}"


def _published(run: str, seeds: pd.Series) -> str:
    found = [study.published(run, int(seed)) for seed in seeds]
    known = [accuracy for accuracy in found if accuracy is not None]
    return f"{sum(known) / len(known):.2f} ({len(known)})" if known else ""


def _provenance(said: Mapping[str, Any]) -> list[str]:
    return [
        f"{said['runs']} runs, {time_text(said['wall_time'])} of work in all, on "
        f"{said['device']}; {', '.join(f'{k} {v}' for k, v in said['versions'].items())}; code "
        f"{said['code']}, commit {said['commit']}.",
        "",
    ]


def _all_runs(table: pd.DataFrame, name: str) -> list[str]:
    return [f"Every run: [{name}_results.csv]({name}_results.csv).", ""]


def _not_done(tasks: Sequence[RunTask], statuses: Mapping[str, Status]) -> list[str]:
    lines = []
    for task in tasks:
        status = statuses[task.name]
        if status.kind != "done":
            at = f"after epoch {status.epoch} of {task.size}" if status.epoch else ""
            reason = " ".join(status.reason.split()).replace("|", "\\|")
            lines.append(f"| {task.name} | {status.kind} | {at} | {reason} |")
    head = ["## Not done", "", "| run | | | |", "|---|---|---|---|"]
    return [*head, *lines, ""] if lines else []
