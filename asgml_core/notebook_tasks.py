"""Executing a notebook with parameters, as a task of a sweep.

A task's key is a hash of the notebook's cells, of its parameters, and of the code and the measured
tables that it uses. The data are not in it: which data a notebook reads is known only once it is
executed, and the runs inside recognise theirs by themselves. Nor is the number of worker processes
that a sweep gives it, which decides no result.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from asgml_core.claims import Claim, claim, read_state
from asgml_core.files import WriteError
from asgml_core.imports import PACKAGE
from asgml_core.notebook_files import Notebook, read_notebook
from asgml_core.notebooks import NotebookError, execute, partial_of
from asgml_core.tasks import Kind, Task, Tell

if TYPE_CHECKING:
    from asgml_core.plans import Plan
    from asgml_core.sweep import Options

#: Where executed notebooks are, inside the outputs.
FOLDER = "notebooks"
#: Characters of an output's name without its ending.
LONGEST = 120
#: Notebooks of one plan.
MOST = 100_000
#: Files of the package that only carry out work: no result depends on them.
_CARRIERS = ("book.py", "cli*.py", "cleaning.py", "engines/*.py", "estimates.py", "grids.py",
             "kernels.py", "notebook_*.py", "plans.py", "reports.py", "sweep.py", "tasks.py",
             "worker.py")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NotebookTask(Task):
    """A notebook with parameters.

    Its values are ``notebook``, a path; ``parameters``; ``filled``, parameters that decide no
    result; and ``folder``, where the kernel works.
    """

    type: ClassVar[str] = "notebook"
    unit: ClassVar[str] = "cell"

    def place(self, outputs: Path) -> Path:
        """Return the path of its state file."""
        return outputs / FOLDER / f"{self.name}.state.json"

    def result(self, outputs: Path) -> Path:
        """Return the path of the executed notebook."""
        return outputs / FOLDER / f"{self.name}.ipynb"

    def made(self, outputs: Path) -> str | None:
        """Return the key of the notebook that is there, if it was executed to its end."""
        said = read_state(self.place(outputs))
        if said.get("state") != "done" or not self.result(outputs).is_file():
            return None
        return str(said.get("key", ""))

    def begun(self, outputs: Path) -> bool:
        """Return ``False``: a notebook is executed from its first cell, or not."""
        return False

    def work(self, outputs: Path, sweep: str, settings: Mapping[str, Any], tell: Tell) -> None:
        """Execute it.

        Raises:
            BusyError: when another process is at it.
            NotebookError: when it changed since it was planned, or a cell fails.
            WriteError: when the disk is full.
        """
        with claim(self.place(outputs), sweep) as held:
            if self.made(outputs) == self.key:
                return  # by somebody else, between the look at it and the claim
            held.begin(self.size, self.key)
            with held.ending():
                self._execute(outputs, held, tell)

    def _execute(self, outputs: Path, held: Claim, tell: Tell) -> None:
        notebook = read_notebook(Path(self.values["notebook"]))
        given, folder = self.values["parameters"], Path(self.values["folder"])
        if not folder.is_dir():
            raise NotebookError(f"{folder}, where its kernel is to work, is no folder here.")
        if _key(notebook, given, _used(notebook)) != self.key:
            raise NotebookError(
                f"{notebook.path.name} or the code changed after the sweep began; start it anew."
            )

        def tell_cells(done: int) -> None:
            done = min(done, self.size)  # papermill adds a cell
            with contextlib.suppress(WriteError):  # it is for a progress bar
                held.say(epoch=done, durable=False)
            tell(done)

        execute(
            notebook.path,
            self.result(outputs),
            {**given, **self.values["filled"]},
            folder=folder,
            outputs=outputs,
            tell=tell_cells,
        )
        held.check()

    def leftovers(self, outputs: Path, kind: Kind) -> dict[Path, str]:
        """Return what an execution left that was cut off."""
        partial = partial_of(self.result(outputs))
        return {partial: "a notebook that was cut off"} if partial.is_file() else {}

    def clear(self, outputs: Path) -> None:
        """Remove the executed notebook, and what a killed process left of one."""
        output = self.result(outputs)
        for path in (output, partial_of(output)):
            path.unlink(missing_ok=True)

    def explain(self, outputs: Path) -> str:
        """Return that the notebook which is there is another's."""
        return (
            f"{self.result(outputs)} was executed from other cells, other code or with other "
            "parameters; again=True (--again) executes all anew, renew=True (--renew) only such."
        )


def output_name(notebook: Notebook, given: Mapping[str, Any]) -> str:
    """Return the name of an executed notebook, without its ending.

    It ends with a hash where it would be too long, or where characters that a file's name should
    not have were replaced, so that two notebooks that differ in these differ in their names.

    Args:
        notebook: what is executed.
        given: checked parameters.
    """
    stem = notebook.path.stem
    said = stem + "".join(f"-{name}_{value}" for name, value in given.items())
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "_" for c in said)
    name = name.lstrip(".") or "notebook"
    if name == said and len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(json.dumps([stem, given]).encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}-{digest}"


def _key(notebook: Notebook, given: Mapping[str, Any], used: str) -> str:
    text = json.dumps([notebook.cells, given, used], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _used(notebook: Notebook) -> str:
    """Return a hash of the package, where a notebook names it, and of the tables of its book."""
    digest = hashlib.sha256()
    files: list[Path] = []
    if any(kind == "code" and PACKAGE.name in source for kind, source in notebook.cells):
        found = sorted(PACKAGE.rglob("*.py"))
        files = [f for f in found if not any(f.match(f"{PACKAGE.name}/{c}") for c in _CARRIERS)]
    folder = notebook.path.parent
    if folder.name == "book" and (folder.parent / "_config.yml").is_file():
        files += sorted(file for file in (folder / "results").glob("*") if file.is_file())
    for file in files:
        digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def points(
    grid: Mapping[str, Iterable[Any]], parameters: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return every combination of the values of some parameters.

    Args:
        grid: the values of each.
        parameters: of all combinations.

    Raises:
        ValueError: for a parameter in both, one without values, or too many combinations.
    """
    axes: dict[str, list[Any]] = {}
    for name, values in grid.items():
        if name in parameters:
            raise ValueError(f"parameter {name} is given twice: as one value, and in the grid.")
        if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
            raise ValueError(f"the grid has {values!r:.80} for {name}, but must have a list.")
        axes[name] = list(values)
        if not axes[name]:
            raise ValueError(f"the grid has no value for {name}.")
    count = math.prod(len(values) for values in axes.values())
    if count > MOST:
        raise ValueError(f"the grid has {count:,} combinations, but {MOST:,} are the most.")
    return [
        {**parameters, **dict(zip(axes, values, strict=True))}
        for values in itertools.product(*axes.values())
    ]


def plan_notebooks(
    path: Path,
    grid: Mapping[str, Iterable[Any]],
    parameters: Mapping[str, Any],
    options: Options,
) -> Plan:
    """Return the plan of a notebook for every combination of some parameters.

    Args:
        path: of the notebook.
        grid: the values of each parameter that changes.
        parameters: those that are equal for all.
        options: how the plan is carried out.

    Raises:
        ValueError: for a parameter that the notebook does not have, and as :func:`points`.
        NotebookError: when the notebook cannot be read.
    """
    from asgml_core.plans import Plan

    notebook = read_notebook(path)
    checked = [notebook.check(point) for point in points(grid, parameters)]
    workers = _workers_each(options, len(checked))
    used = _used(notebook)
    size = sum(kind == "code" and bool(source.strip()) for kind, source in notebook.cells)
    tasks = []
    for given in checked:
        values = {
            "notebook": str(notebook.path),
            "parameters": given,
            "filled": _filled(notebook, given, workers),
            "folder": str(Path.cwd()),
        }
        tasks.append(
            NotebookTask(
                name=output_name(notebook, given),
                key=_key(notebook, given, used),
                size=max(1, size),
                data="",
                values=values,
            )
        )
    return Plan(f"notebook-{output_name(notebook, {})}"[:LONGEST], tuple(tasks))


def _filled(notebook: Notebook, given: Mapping[str, Any], workers: int | None) -> dict[str, int]:
    """Return the number of its processes, where the notebook would start one for each core."""
    said = {**notebook.parameters, **given}
    on_gpu = str(said.get("device")).startswith("cuda")  # there it starts one for each GPU
    if workers is None or on_gpu or "workers" in given or said.get("workers", ...) is not None:
        return {}
    return {"workers": workers}


def _workers_each(options: Options, tasks: int) -> int | None:
    """Return how many processes each notebook may have, so that all together fill the cores."""
    from asgml_core.sweep import available_cores

    if options.engine == "slurm":
        return None  # its job has cores of its own, and the notebook counts them
    if options.engine == "ray":
        return max(1, int(options.engine_options.get("num_cpus", 1)))
    return max(1, available_cores() // min(options.count(), tasks))


def check_executed(plan: Plan, outputs: Path) -> None:
    """Check that every notebook of a plan was executed.

    Raises:
        SweepError: naming each output that is missing, with its reason.
    """
    from asgml_core.sweep import SweepError

    failures = []
    for task in plan.tasks:
        status = task.look(outputs)
        if status.kind != "done":
            failures.append(f"  {task.result(outputs)}: {status.reason or status.kind}")
    if failures:
        raise SweepError(
            "\n".join([f"{len(failures)} of {len(plan.tasks)} notebooks failed:", *failures])
        )
