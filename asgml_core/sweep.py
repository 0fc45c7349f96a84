"""Many runs at once: planned, looked at, and carried out by the workers of an engine."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asgml_core.checks import AsgmlError, check_count
from asgml_core.claims import BusyError, read_state
from asgml_core.config import RunConfig
from asgml_core.engines import Call, End, Engine, Worker, engine_class, make_engine
from asgml_core.modulators import REGISTRY
from asgml_core.paths import outputs_folder
from asgml_core.plans import Plan, plan_of
from asgml_core.records import RunRecord
from asgml_core.tasks import SETTLED, Status, Task
from asgml_core.worker import beat_file, stoppable

#: Seconds between two looks at the workers, and at runs of another sweep.
LOOK, WAIT = 0.1, 1.0
#: Seconds that workers have to end in order when they are asked to.
GRACE = 30.0
#: Workers that may die in a row without anything being done.
MOST_DEATHS = 5


class SweepError(AsgmlError, RuntimeError):
    """Runs that failed; the message names each with its reason. The others are finished."""


def available_cores() -> int:
    """Return the number of CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_all(
    configs: Sequence[RunConfig],
    outputs: str | Path | None = None,
    *,
    workers: int | None = None,
    again: bool = False,
    progress: bool = True,
    engine: str = "local",
    engine_options: Mapping[str, Any] | None = None,
    name: str = "runs",
) -> list[RunRecord]:
    """Run every config and return the records, in order.

    Args:
        configs: the runs; each names a folder of its own.
        outputs: see :func:`asgml_core.runs.run`.
        workers: how many at once; ``None`` means one for each core this process may use, or for
            each GPU where the runs use GPUs.
        again: see :func:`asgml_core.runs.run`.
        progress: show one bar over the epochs of all runs.
        engine: where the workers are: ``"local"``, ``"ray"`` or ``"slurm"``.
        engine_options: of the engine's class.
        name: of the sweep.

    Raises:
        ValueError: when two configs name the same folder.
        SweepError: when runs failed or diverged; the others are finished, and are not repeated
            next time. Also, before anything is done, when a folder holds the run of another config,
            other code or other data.
    """
    if not configs:
        return []
    folder = Path(outputs or outputs_folder()).absolute()
    options = options_for(
        configs,
        workers=workers,
        again=again,
        progress=progress,
        engine=engine,
        engine_options=engine_options or {},
    )
    plan = plan_of(name, configs)
    carry_out(plan, folder, options)
    _check_done(plan, folder)
    return [RunRecord.load(folder / "sweep" / config.folder) for config in configs]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a sweep is carried out; no result depends on it.

    Args:
        engine: ``"local"``, ``"ray"`` or ``"slurm"``.
        engine_options: of the engine.
        workers: how many at once; ``None`` is one a core, or one a GPU where GPUs were named.
        again: do all anew.
        renew: do anew what was made by another config, other code or other data.
        progress: show a bar.
        checkpoint_seconds: see :func:`asgml_core.runs.run`.
        imports: modules that register methods of one's own.
        each_gpu: workers that share a GPU.
        wait: stay until all is done; ``False`` only starts the workers.
    """

    engine: str = "local"
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    workers: int | None = None
    again: bool = False
    renew: bool = False
    progress: bool = True
    checkpoint_seconds: float = 5.0
    imports: tuple[str, ...] = ()
    each_gpu: int = 1
    wait: bool = True

    def count(self) -> int:
        """Return how many workers there are at once, where there is enough to do."""
        if self.workers is not None:
            return check_count("workers", self.workers)
        gpus = self.engine_options.get("gpus", ())
        return len(gpus) * self.each_gpu if gpus else available_cores()


def options_for(configs: Sequence[RunConfig], **given: Any) -> Options:
    """Return options for some runs: with the GPUs of this machine, where the runs ask for any GPU.

    Args:
        configs: the runs.
        given: fields of :class:`Options`.

    Raises:
        ValueError: for a number of workers below 1, a device that is not there, a method that no
            other process can import, or workers that end with this process when it does not wait.
    """
    options = Options(**given)
    options.count()
    check_count("each_gpu", options.each_gpu)
    devices = sorted({config.device for config in configs})
    engine = engine_class(options.engine)
    if not options.wait and not engine.outlives:
        raise ValueError(
            f"workers of the engine {engine.name!r} end with this process, so it must wait for "
            "them."
        )
    named = engine.for_runs(devices, options.each_gpu) | dict(options.engine_options)
    imports = dict.fromkeys([*options.imports, *_imports(configs)])
    return replace(options, engine_options=named, imports=tuple(imports))


def carry_out(plan: Plan, outputs: Path, options: Options) -> tuple[str, ...]:
    """Do what is left of a plan; see :meth:`asgml_core.tasks.Task.look` for what came of it.

    Args:
        plan: what to do.
        outputs: folder of all results.
        options: how.

    Returns:
        Where to read what the workers say, if they were only started.

    Raises:
        SweepError: before anything is done, when results of others are in the way; and when workers
            die or cannot write.
        EngineError: when the engine cannot be used here.
        Terminated: when it was asked to end by SIGTERM; the workers have ended before.
    """
    statuses = look_at(plan, outputs)
    _make_room(plan, outputs, options, statuses)
    left = [t for t in plan.tasks if options.again or statuses[t.name].kind not in SETTLED]
    if not left:
        return ()
    with stoppable(), make_engine(options.engine, **options.engine_options) as engine:
        sweep = _Sweep(plan.only(left), outputs, options, engine)
        if options.wait:
            with _Bar(plan, left, options.progress) as bar:
                sweep.to_the_end(bar)
        else:
            return tuple(worker.log() for worker in sweep.start_workers(len(left)))
    return ()


def look_at(plan: Plan, outputs: Path) -> dict[str, Status]:
    """Return how every task stands, by name."""
    return {task.name: task.look(outputs) for task in plan.tasks}


def _make_room(plan: Plan, outputs: Path, options: Options, statuses: Mapping[str, Status]) -> None:
    """Remove what is to be done anew; refuse where results of others are in the way."""
    foreign = [t for t in plan.tasks if statuses[t.name].kind in ("other", "damaged")]
    if foreign and not (options.again or options.renew):
        first = foreign[0]
        status = statuses[first.name]
        why = status.reason if status.kind == "damaged" else first.explain(outputs)
        raise SweepError(
            f"{len(foreign)} of {len(plan.tasks)} cannot be used or replaced: {why}"
            + ("" if len(foreign) == 1 else f" The others: {_names(foreign[1:])}.")
        )
    for task in plan.tasks if options.again else foreign:
        try:
            task.renew(outputs)
        except BusyError as error:
            raise SweepError(f"{error} Nothing was started.") from error


def _names(tasks: Sequence[Task], most: int = 5) -> str:
    more = "" if len(tasks) <= most else f" and {len(tasks) - most} more"
    return ", ".join(task.name for task in tasks[:most]) + more


def _check_done(plan: Plan, outputs: Path) -> None:
    failures = []
    for task in plan.tasks:
        status = task.look(outputs)
        if status.kind != "done":
            reason = status.reason or status.kind
            failures.append(f"  {task.name}: {reason.removeprefix(f'{task.name}: ')}")
    if failures:
        raise SweepError(
            "\n".join([f"{len(failures)} of {len(plan.tasks)} runs failed:", *failures])
        )


class _Sweep:
    """One start of a sweep."""

    def __init__(self, plan: Plan, outputs: Path, options: Options, engine: Engine) -> None:
        self.plan = plan
        self.outputs = outputs
        self.options = options
        self.engine = engine
        self.name = f"{plan.name}-{secrets.token_hex(4)}"
        self.file = plan.save(outputs)
        self.workers = options.count()
        self.calls: list[Call] = []
        self.deaths = 0
        self.seen = -1

    def to_the_end(self, bar: _Bar) -> None:
        """Start workers, replace those that die, and wait for runs of other sweeps."""
        waiting: list[Task] = list(self.plan.tasks)
        while waiting:
            mine = [t for t in waiting if t.look(self.outputs).kind != "running"]
            if mine:
                self._watch(self.start_workers(len(mine)), bar)
            waiting = [t for t in waiting if self._is_left(t)]
            if waiting:
                time.sleep(WAIT)
        for call in self.calls:
            _forget(beat_file(self.outputs, call))

    def _is_left(self, task: Task) -> bool:
        # Failed in another sweep counts, too: two at once would else hand a run to and fro.
        return task.look(self.outputs).kind not in (*SETTLED, "failed", "other", "damaged")

    def start_workers(self, tasks: int) -> list[Worker]:
        """Start as many workers as there is work for."""
        first, count = len(self.calls), min(self.workers, tasks)
        calls = [
            Call(
                plan=str(self.file),
                outputs=str(self.outputs),
                sweep=self.name,
                index=first + i,
                workers=count,
                checkpoint_seconds=self.options.checkpoint_seconds,
                gpu_share=1 / self.options.each_gpu,
                imports=self.options.imports,
                path=tuple(folder or os.getcwd() for folder in sys.path),
            )
            for i in range(count)
        ]
        self.calls += calls
        return self.engine.start(calls)

    def _watch(self, workers: list[Worker], bar: _Bar) -> None:
        try:
            while workers:
                bar.show(self._epochs())
                for worker in list(workers):
                    if (end := worker.end()) is not None:
                        workers.remove(worker)
                        workers += self._after(worker, end)
                time.sleep(LOOK)
            bar.show(self._epochs())
        except BaseException:
            _stop(workers)
            raise

    def _after(self, worker: Worker, end: End) -> list[Worker]:
        """Return who takes the place of a worker that ended."""
        if end.outcome == "done":
            return []
        if end.outcome == "stop":
            raise SweepError(f"a worker ended: {end.reason or 'it gave up'}{_last_words(worker)}")
        epochs = self._epochs()
        self.deaths = self.deaths + 1 if epochs == self.seen else 0
        self.seen = epochs
        if self.deaths >= MOST_DEATHS:
            raise SweepError(
                f"{self.deaths} workers in a row were lost and nothing was done; the last one was "
                f"{end.reason}{_last_words(worker)}"
            )
        return self.start_workers(1)

    def _epochs(self) -> int:
        return sum(read_state(beat_file(self.outputs, call)).get("epoch", 0) for call in self.calls)


def _last_words(worker: Worker) -> str:
    """Return the end of what a worker printed, as the end of a sentence."""
    log = Path(worker.log())
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return f"; see {worker.log()}"
    return f"; its last words, in {log}: {lines[-1]}" if lines else f"; {log} is empty."


def _stop(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.stop()
    end = time.monotonic() + GRACE
    while any(worker.end() is None for worker in workers) and time.monotonic() < end:
        time.sleep(LOOK)
    for worker in workers:
        if worker.end() is None:
            worker.kill()


def _forget(beat: Path) -> None:
    beat.unlink(missing_ok=True)
    log = beat.with_suffix(".log")
    if log.exists() and log.stat().st_size == 0:
        log.unlink()


def _imports(configs: Sequence[RunConfig]) -> tuple[str, ...]:
    """Return the modules that register the methods from outside this package.

    Raises:
        ValueError: for a method of the main script, which no other process can import.
    """
    modules = {REGISTRY[m.name].__module__: m.name for config in configs for m in config.methods}
    if "__main__" in modules:
        raise ValueError(
            f"the method {modules['__main__']!r} is defined in the main script or notebook, where "
            "other processes cannot find it; define it in a module of its own, and import that."
        )
    return tuple(sorted(m for m in modules if not m.startswith("asgml_core.")))


class _Bar:
    """One progress bar over the epochs of all tasks.

    Args:
        plan: all there is.
        left: what of it is to be done.
        show: whether anything is shown.
    """

    def __init__(self, plan: Plan, left: Sequence[Task], show: bool) -> None:
        from tqdm import tqdm

        self._done = plan.size - sum(task.size for task in left)
        self._bar: Any = tqdm(
            total=plan.size,
            initial=self._done,
            desc=f"{left[0].type}s",
            unit=left[0].unit,
            disable=not show,
            mininterval=1,
        )
        self._close: Callable[[], None] = self._bar.close

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def show(self, epochs: int) -> None:
        """Show how many epochs the workers of this sweep have done."""
        self._bar.update(min(self._done + epochs, self._bar.total) - self._bar.n)
