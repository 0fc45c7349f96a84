"""What a sweep's folder can do without, and removing it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asgml_core.claims import BusyError, claim, is_held
from asgml_core.estimates import size_of
from asgml_core.plans import SWEEPS, Plan
from asgml_core.tasks import Kind, Status, Task

#: ``leftovers``: checkpoints of finished runs, temporary files, and words of workers that are gone.
#: ``failed``: tasks that failed, diverged, or cannot be read. ``other``: those of another config,
#: other code or other data. ``all``: every one of the plans.
What = Literal["leftovers", "failed", "other", "all"]
_KINDS: dict[str, tuple[Kind, ...]] = {
    "failed": ("failed", "diverged", "damaged"),
    "other": ("other",),
    "all": (
        "done", "diverged", "stopped", "killed", "failed", "other", "damaged", "planned",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Leftover:
    """Something that may go.

    Args:
        path: a file, or the folder of a run.
        why: what it is.
        size: in bytes.
        task: the run that must not be at work meanwhile; ``None`` for none.
    """

    path: Path
    why: str
    size: int
    task: Task | None = None


def find(
    plans: Sequence[Plan], statuses: Sequence[dict[str, Status]], outputs: Path, what: What
) -> list[Leftover]:
    """Return what may go; nothing is removed, and nothing that is at work is in it.

    Args:
        plans: whose runs are looked at.
        statuses: of each plan, how its tasks stand.
        outputs: folder of the results.
        what: see :data:`What`.
    """
    tasks = {
        task.name: (task, found[task.name].kind)
        for plan, found in zip(plans, statuses, strict=True)
        for task in plan.tasks
    }
    if what != "leftovers":
        return [
            Leftover(path, f"a {task.type} that is {kind}", size_of(path), task)
            for task, kind in tasks.values()
            if kind in _KINDS[what] and (path := task.result(outputs)).exists()
        ]
    found = [
        Leftover(path, why, size_of(path), task)
        for task, kind in tasks.values()
        if kind != "running"
        for path, why in task.leftovers(outputs, kind).items()
    ]
    return [*found, *_of_workers(outputs)]


def _of_workers(outputs: Path) -> Iterator[Leftover]:
    for beat in sorted((outputs / SWEEPS / "workers").glob("*.json")):
        if not is_held(beat):
            for path in (beat, beat.with_suffix(".log")):
                if path.exists():
                    yield Leftover(path, "of a worker that is gone", path.stat().st_size)


def remove(leftovers: Sequence[Leftover], outputs: Path) -> tuple[int, list[str]]:
    """Remove them.

    Args:
        leftovers: as :func:`find` gave them.
        outputs: folder of the results.

    Returns:
        The bytes that are free now, and the names of runs that were left since a process has begun
        to work on them.
    """
    freed, busy = 0, []
    for leftover in leftovers:
        try:
            if leftover.task is None:
                leftover.path.unlink(missing_ok=True)
            else:
                with claim(leftover.task.place(outputs)):
                    _remove(leftover.path)
        except BusyError:
            busy.append(leftover.task.name if leftover.task else leftover.path.name)
        else:
            freed += leftover.size
    return freed, busy


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # Out of the way at once: whoever begins this run meanwhile has a folder of its own.
        gone = path.with_name(f".removed-{secrets.token_hex(4)}-{path.name}")
        path.rename(gone)
        shutil.rmtree(gone)
    else:
        path.unlink(missing_ok=True)
