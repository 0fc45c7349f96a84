"""How long the rest of a sweep takes, and how much disk: from runs like those that are left."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgml_core.checks import AsgmlError
from asgml_core.plans import Plan
from asgml_core.records import RunRecord
from asgml_core.tasks import SETTLED, RunTask, Status, Task

if TYPE_CHECKING:
    from asgml_core.config import RunConfig

#: Finished runs that are looked at for one kind of run.
MOST = 20
#: Batches of a trial, and trials.
BATCHES, TRIALS = 3, 3


@dataclass(frozen=True)
class Cost:
    """What a kind of run costs.

    Args:
        seconds: an epoch, of one worker.
        disk: bytes a run.
        runs: how many finished ones say so; 0 for a trial.
    """

    seconds: float
    disk: float
    runs: int


@dataclass(frozen=True)
class Estimate:
    """What the rest of a plan costs.

    Args:
        tasks: how many are left.
        seconds: with all workers; ``None`` where nothing is known.
        disk: bytes; ``None`` where nothing is known.
        basis: where this is known from, as a phrase.
    """

    tasks: int
    seconds: float | None
    disk: float | None
    basis: str


def estimate(
    plan: Plan,
    statuses: Mapping[str, Status],
    outputs: Path,
    workers: int,
    costs: Mapping[str, Cost] | None = None,
) -> Estimate:
    """Return what is left of a plan.

    Args:
        plan: all of it.
        statuses: how every task stands, by name.
        outputs: folder of the results.
        workers: at once.
        costs: by kind of run, for kinds of which none is finished.
    """
    left = [task for task in plan.tasks if statuses[task.name].kind not in SETTLED]
    done = [task for task in plan.tasks if statuses[task.name].kind == "done"]
    known = {**(costs or {}), **_known(done, outputs)}
    if not left or not all(kind_of(task) in known for task in left):
        return Estimate(len(left), None, None, "none like them has finished here")
    seconds = disk = 0.0
    for task in left:
        cost = known[kind_of(task)]
        share = max(0.0, 1 - statuses[task.name].epoch / task.size)
        seconds += cost.seconds * task.size * share
        disk += cost.disk
    runs = sum(known[kind].runs for kind in {kind_of(task) for task in left})
    basis = f"from {runs} finished like them" if runs else f"from a trial of {BATCHES} batches"
    # A run is not divided among workers.
    return Estimate(len(left), seconds / min(workers, len(left)), disk, basis)


def kind_of(task: Task) -> str:
    """Return what the time of an epoch depends on most, as text; the method comes after that."""
    if not isinstance(task, RunTask) or not task.values:  # a run that no sweep planned
        return task.type
    v = task.values
    names = ("device", "threads", "precision", "execution", "protocol")
    data = {"name": v["data"]["name"], **v["data"]["options"]}
    data.pop("path", None)
    kind = [data, v["data"]["modalities"], v["model"], v["train"]["batch_size"]]
    return json.dumps([*kind, *(v[name] for name in names)])


def _known(done: list[Task], outputs: Path) -> dict[str, Cost]:
    samples: dict[str, list[RunTask]] = {}
    for task in done:
        if isinstance(task, RunTask) and len(samples.setdefault(kind_of(task), [])) < MOST:
            samples[kind_of(task)].append(task)
    return {kind: cost for kind, tasks in samples.items() if (cost := _mean(tasks, outputs))}


def _mean(tasks: list[RunTask], outputs: Path) -> Cost | None:
    seconds, disk = [], []
    for task in tasks:
        folder = task.folder(outputs)
        try:
            seconds.append(RunRecord.load(folder).provenance["wall_time"] / task.size)
        except (AsgmlError, KeyError, TypeError):
            continue
        disk.append(size_of(folder))
    if not seconds:
        return None
    return Cost(sum(seconds) / len(seconds), sum(disk) / len(disk), len(seconds))


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; of a link, its own."""
    if not path.is_dir():
        return path.lstat().st_size
    return sum(
        (Path(at) / name).lstat().st_size for at, _, names in os.walk(path) for name in names
    )


def trials(runs: Sequence[tuple[Task, RunConfig]]) -> dict[str, Cost]:
    """Return what each kind of run costs, by trying the first ones; the others cost their mean.

    Args:
        runs: the tasks and their configs.
    """
    costs: dict[str, Cost] = {}
    for task, config in runs:
        if kind_of(task) not in costs and len(costs) < TRIALS:
            costs[kind_of(task)] = trial(config)
    tried = list(costs.values())
    seconds, disk = (sum(getattr(c, x) for c in tried) / len(tried) for x in ("seconds", "disk"))
    return {kind_of(task): Cost(seconds, disk, 0) for task, _ in runs} | costs


def trial(config: RunConfig) -> Cost:
    """Return what a run costs by training it on three batches, without writing anything.

    Raises:
        DataError: when the data cannot be used.
    """
    import torch

    from asgml_core.datasets import load
    from asgml_core.execution import arithmetic
    from asgml_core.runs import make_trainer

    dataset = load(config)
    size = config.train.batch_size
    parts = {
        name: part.take(range(min(len(part), BATCHES * size)))
        for name, part in dataset.parts.items()
    }
    small = dataclasses.replace(dataset, **parts)
    with arithmetic(torch.device(config.device), config.threads, config.deterministic):
        trainer = make_trainer(config, small, None)
        trainer.run_epoch()  # the first one also sets things up
        began = time.perf_counter()
        trainer.run_epoch()
        epoch = time.perf_counter() - began
        began = time.perf_counter()
        evaluated = [n for n in ("valid", "test") if n in trainer.parts]
        for name in evaluated:
            trainer.evaluate(trainer.parts[name])
        evaluation = time.perf_counter() - began
    step = max(epoch - evaluation, 0.0) / trainer.batches
    item = evaluation / sum(len(parts[name]) for name in evaluated)
    seconds = step * len(dataset.train) / size
    seconds += item * sum(len(dataset.parts[name]) for name in evaluated)
    content = io.BytesIO()
    torch.save(trainer.state_dict(), content)
    weights = sum(p.numel() * p.element_size() for p in trainer.model.state_dict().values())
    return Cost(seconds, content.tell() + 2 * weights, 0)


def time_text(seconds: float) -> str:
    """Return a time as people read it, such as ``2 h 38 min``."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours / 24:.1f} days"


def size_text(count: float) -> str:
    """Return a number of bytes as people read it, such as ``1.2 GB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"


def free_bytes(folder: Path) -> int:
    """Return how much disk is free where a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    found: Any = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
