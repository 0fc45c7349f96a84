"""From a plan to a cache: in parallel, resumable, and with a word on every item.

A dataset's module lists what the source holds (a :class:`~asgml_core.preparing.plan.Plan`) and says
how a chunk of items is decoded; everything else is here. A row is on disk before the journal says
so, so that a kill at any moment loses nothing but rows that have to be decoded again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

from asgml_core.checks import check_count
from asgml_core.datasets.cache import MANIFEST, Cache
from asgml_core.files import WriteError
from asgml_core.preparing.finish import finish
from asgml_core.preparing.journal import Entry, Journal
from asgml_core.preparing.plan import Item, Plan, PrepareError
from asgml_core.preparing.rows import RowWriter, row_bytes
from asgml_core.preparing.workers import Task, run_chunks

#: The journal is written when this many seconds have passed since the last time.
SYNC_SECONDS = 2.0


def prepare(
    plan: Plan, out: str | Path, *, workers: int | None = None, progress: bool = True
) -> Cache:
    """Decode what is not yet there, and write the cache.

    The same call goes on where a stopped one was; where items failed and their files have been
    mended since, it decodes these; where nothing is left to do, it does nothing.

    Args:
        plan: what to prepare.
        out: the cache's folder.
        workers: processes, one thread each; ``None`` takes one per core, 0 decodes in this process.
        progress: show a bar.

    Returns:
        The cache, complete or not; see :attr:`~asgml_core.datasets.cache.Cache.failed`.

    Raises:
        PrepareError: when the source has nothing, the folder holds another cache, the disk is full,
            or another process is at work there.
        ValueError: for a negative number of workers.
    """
    out = Path(out)
    check_workers(workers)
    _check_plan(plan)
    try:
        with Journal(out, _identity(plan)) as journal:
            writer = RowWriter(out, plan.arrays, len(plan.items))
            if writer.lacks():  # what the journal speaks of is not, or no longer, there
                journal.clear()
                writer.allocate()
            todo = _todo(plan, journal)
            if todo or not (out / MANIFEST).is_file():
                (out / MANIFEST).unlink(missing_ok=True)
            _check_space(plan, out, len(todo))
            processes = _workers(plan, workers, len(todo))
            _decode(plan, writer, journal, todo, processes, progress)
            return finish(plan, out, journal.entries)
    except WriteError:
        raise
    except OSError as error:
        raise PrepareError(
            f"{out} could not be written ({error.strerror or error}); what was prepared so far is "
            "kept, and the same command goes on from it."
        ) from error


def check_workers(workers: int | None) -> None:
    """Check a number of worker processes; ``None`` is one per core.

    Raises:
        ValueError: when it is no whole number of 0 or more.
    """
    if workers is not None:
        check_count("workers", workers, low=0)


def _check_plan(plan: Plan) -> None:
    if not plan.items:
        raise PrepareError(
            f"{plan.source}: nothing of {plan.dataset!r} was found there; the book's page on the "
            "dataset shows the layout that is expected."
        )
    seen: set[str] = set()
    for item in plan.items:
        if item.id in seen:
            raise PrepareError(f"{plan.source}: the item {item.id!r} is there twice.")
        if item.label not in plan.classes:
            raise PrepareError(
                f"{plan.source}: item {item.id!r} has the label {item.label!r}, but the classes "
                f"are {', '.join(plan.classes)}."
            )
        seen.add(item.id)


def _identity(plan: Plan) -> dict[str, Any]:
    """Return what must be equal for a cache to be gone on with."""
    return {
        "dataset": plan.dataset,
        "classes": list(plan.classes),
        "arrays": {name: [dtype, list(shape)] for name, (dtype, shape) in plan.arrays.items()},
        "parameters": dict(plan.parameters),
        "items": len(plan.items),
        "names": hashlib.sha256("\n".join(item.id for item in plan.items).encode()).hexdigest(),
    }


def _todo(plan: Plan, journal: Journal) -> list[tuple[int, Item]]:
    given_up = {line.id for line in plan.report if line.kind == "failed"}
    return [
        (row, item)
        for row, item in enumerate(plan.items)
        if item.id not in given_up and not journal.is_done(item, plan.source)
    ]


def _workers(plan: Plan, workers: int | None, items: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = (cores or 1) if workers is None else workers
    return min(wanted, -(-items // plan.chunk))


def _check_space(plan: Plan, out: Path, items: int) -> None:
    needed = items * sum(row_bytes(*array) for array in plan.arrays.values())
    free = shutil.disk_usage(out).free
    if needed > free:
        raise PrepareError(
            f"{out}: {items} items need {needed / 1e9:.2f} GB, but {free / 1e9:.2f} GB are free."
        )


def _decode(
    plan: Plan,
    writer: RowWriter,
    journal: Journal,
    todo: list[tuple[int, Item]],
    workers: int,
    progress: bool,
) -> None:
    from tqdm import tqdm

    chunks = [todo[i : i + plan.chunk] for i in range(0, len(todo), plan.chunk)]
    task = Task(plan.decode, writer, plan.source)
    saved = time.monotonic()
    entries: list[Entry] = []
    with tqdm(total=len(todo), desc=plan.dataset, unit="item", disable=not progress) as bar:
        try:
            for done in run_chunks(task, chunks, workers):
                entries += done
                bar.update(len(done))
                if time.monotonic() - saved > SYNC_SECONDS:
                    writer.sync()
                    journal.add(entries)
                    entries, saved = [], time.monotonic()
        finally:  # after an error or Ctrl-C too: what is decoded is kept
            writer.sync()
            journal.add(entries)
