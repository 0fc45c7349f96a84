"""A plan: the tasks of a sweep in one file, which every worker reads."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgml_core.checks import AsgmlError
from asgml_core.files import write_atomically
from asgml_core.tasks import RunTask, Task

if TYPE_CHECKING:
    from asgml_core.config import RunConfig

FORMAT = 1
#: Folder of plans and of what workers say, inside the outputs.
SWEEPS = ".sweeps"
#: The largest plan that is read: a hundred thousand runs.
MOST = 400_000_000


class PlanError(AsgmlError, ValueError):
    """A plan that cannot be used; the message names the file and the place."""


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do.

    Args:
        name: of the sweep, such as the study's group.
        tasks: each with its own name.
    """

    name: str
    tasks: tuple[Task, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for task in self.tasks:
            if task.name in seen:
                raise ValueError(
                    f"two of the {task.type}s are called {task.name!r}; every one needs its own "
                    "name."
                )
            seen.add(task.name)

    @property
    def size(self) -> int:
        """Epochs of all tasks."""
        return sum(task.size for task in self.tasks)

    def only(self, tasks: Iterable[Task]) -> Plan:
        """Return a plan of the same name with other tasks."""
        return Plan(self.name, tuple(tasks))

    def save(self, outputs: Path) -> Path:
        """Write the plan under a name made of its content, and return the path.

        Raises:
            PlanError: when its name cannot name a file.
            WriteError: when it cannot be written.
        """
        _name(self.name)
        tasks = [{"type": t.type, **_fields(t)} for t in self.tasks]
        content = json.dumps({"format": FORMAT, "name": self.name, "tasks": tasks}).encode()
        digest = hashlib.sha256(content).hexdigest()[:12]
        path = outputs / SWEEPS / f"{self.name}-{digest}.json"
        if path.is_file():
            with contextlib.suppress(OSError):  # where nothing can be written
                os.utime(path)  # it is what was asked for last
        else:
            write_atomically(path, content)
        return path

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read a plan.

        Raises:
            PlanError: when it is missing or damaged.
        """
        from asgml_core.reading import ReadError, read_bytes

        try:
            values = json.loads(read_bytes(path, MOST))
        except ReadError as error:
            raise PlanError(f"{path}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise PlanError(f"{path} is not readable JSON: {error}.") from error
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise PlanError(f"{path} is no plan of format {FORMAT}.")
        try:
            tasks = tuple(_task(path, number, said) for number, said in enumerate(values["tasks"]))
            return cls(_name(values["name"]), tasks)
        except (KeyError, TypeError) as error:
            raise PlanError(f"{path} lacks {error}, or it is of another type.") from error


def plan_of(name: str, configs: Sequence[RunConfig]) -> Plan:
    """Return the plan of some runs, those of the same data side by side.

    Args:
        name: of the sweep.
        configs: the runs; each names a folder of its own.

    Raises:
        ValueError: when two configs name the same folder.
        DataError: when the data of a run are missing.
    """
    from asgml_core.identity import identify

    by_data: dict[str, list[RunTask]] = {}
    for config in configs:
        values = config.to_dict()
        data = json.dumps([values["data"], config.seed, config.protocol])
        task = RunTask(
            name=config.folder,
            key=identify(config, values).key,
            size=config.train.epochs,
            data=hashlib.sha256(data.encode()).hexdigest()[:16],
            values=values,
        )
        by_data.setdefault(task.data, []).append(task)
    return Plan(name, tuple(task for tasks in by_data.values() for task in tasks))


def saved_plans(outputs: Path, name: str | None = None) -> list[Plan]:
    """Return the plans that sweeps left in a folder, by name, one plan a name.

    Args:
        outputs: the folder.
        name: of one sweep only.

    Raises:
        PlanError: when one is damaged.
    """
    newest_first = sorted(
        (outputs / SWEEPS).glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True
    )
    tasks: dict[str, dict[str, Task]] = {}
    for path in newest_first:
        if name is None or path.name.rpartition("-")[0] == name:
            plan = Plan.load(path)
            known = tasks.setdefault(plan.name, {})
            for task in plan.tasks:
                known.setdefault(task.name, task)  # what was asked for last counts
    return [Plan(name, tuple(known.values())) for name, known in sorted(tasks.items())]


def unplanned(outputs: Path, plans: Sequence[Plan]) -> list[Plan]:
    """Return, as one plan, the runs in a folder that are in none of its plans; or no plan.

    Args:
        outputs: the folder.
        plans: those there are.
    """
    from asgml_core.claims import STATE, read_state

    known = {task.name for plan in plans for task in plan.tasks}
    found = []
    for place in sorted((outputs / "sweep").glob(f"*/{STATE}")):
        said = read_state(place)
        if place.parent.name not in known and said:
            values = {"name": place.parent.name, "size": max(1, said.get("epochs", 1))}
            found.append(RunTask(key=said.get("key", ""), data="", values={}, **values))
    return [Plan("(single runs)", tuple(found))] if found else []


def _fields(task: Task) -> dict[str, Any]:
    return {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}


#: Types of a task's fields.
_TYPES = {"name": str, "key": str, "size": int, "data": str, "values": dict}


def _task(path: Path, number: int, said: Any) -> Task:
    where = f"{path}: task {number}"
    if not isinstance(said, dict) or said.keys() != {"type", *_TYPES}:
        raise PlanError(f"{where} does not have the fields type, {', '.join(_TYPES)}.")
    for name, wanted in _TYPES.items():
        if type(said[name]) is not wanted:
            raise PlanError(f"{where}: {name} is {said[name]!r:.60}, not {wanted.__name__}.")
    _name(said["name"])
    types = task_types()
    if said["type"] not in types:
        raise PlanError(f"{where}: type is {said['type']!r:.60}, not one of {', '.join(types)}.")
    return types[said["type"]](**{name: said[name] for name in _TYPES})


def task_types() -> dict[str, type[Task]]:
    """Return every type of task by its name in plans."""
    from asgml_core.notebook_tasks import NotebookTask

    return {cls.type: cls for cls in (RunTask, NotebookTask)}


def _name(text: Any) -> str:
    """Check a name that becomes part of a path."""
    good = isinstance(text, str) and 0 < len(text) <= 150 and not text.startswith(".")
    if not good or not all(c.isascii() and (c.isalnum() or c in "_-.") for c in text):
        raise PlanError(
            f"a plan has the name {text!r:.60}, but it names a file: letters, digits, '_', '-' and "
            "'.', not starting with '.'."
        )
    return text
