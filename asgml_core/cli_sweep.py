"""Sweeps of ``asgml``: plan and run many runs, see how they stand, report, and clean up."""

from __future__ import annotations

import argparse
import contextlib
import gc
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgml_core.checks import AsgmlError

if TYPE_CHECKING:
    from asgml_core.config import RunConfig
    from asgml_core.estimates import Estimate
    from asgml_core.grids import Grid
    from asgml_core.plans import Plan
    from asgml_core.tasks import Status, Task

#: Tasks of one kind that are named one by one.
NAMED = 10
#: Runs of a plan that is tried without being asked to.
TRIED = 2000
#: In the order in which they are shown.
KINDS = (
    "done", "running", "stopped", "killed", "planned", "failed", "diverged", "other", "damaged",
)  # fmt: skip
MEANINGS = {
    "stopped": "they were asked to stop; they go on",
    "killed": "their process died; they go on, runs from the last checkpoint",
    "planned": "they have not begun",
    "failed": "the next start tries them again",
    "diverged": "their loss was not finite; they would diverge again, so they are left",
    "other": "made by another config, other code or other data; --renew makes them anew",
    "damaged": "they cannot be read; --renew makes them anew",
}


class CleanError(AsgmlError, RuntimeError):
    """Cleaning that nobody agreed to."""


def add_sweep_parsers(commands: Any) -> None:
    """Add ``sweep``, ``status``, ``report`` and ``clean``."""
    _add_sweep(commands)

    status = commands.add_parser("status", help="say how the runs of sweeps stand")
    _add_place(status)
    status.add_argument("--all", action="store_true", help="name every run, not the first ones")
    status.set_defaults(call=_status)

    report = commands.add_parser("report", help="write the results of a sweep: a page and a table")
    _add_place(report)
    report.set_defaults(call=_report)

    clean = commands.add_parser("clean", help="remove what sweeps can do without; asks first")
    _add_place(clean)
    clean.add_argument(
        "--what",
        default="leftovers",
        choices=("leftovers", "failed", "other", "all"),
        help="leftovers: checkpoints of finished runs and temporary files (default); failed: runs "
        "that failed or diverged; other: runs of other code, data or settings; all: every run",
    )
    clean.add_argument("--yes", action="store_true", help="do not ask")
    clean.set_defaults(call=_clean)


def _add_sweep(commands: Any) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="run many runs: a group of the study, some of its runs, or a grid",
        description="Run what is left of a sweep. It can be stopped and started at will, and in "
        "several places at once: nothing runs twice.",
    )
    sweep.add_argument("name", nargs="?", help="a group of the study such as multi_seed; with "
                       "--runs, a name of one's own")  # fmt: skip
    sweep.add_argument("--group", help="the same as naming it")
    sweep.add_argument("--runs", help="runs and arms instead of a group: baseline,boost_ogm,...")
    sweep.add_argument("--grid", help="a YAML file of a grid; see asgml_core.grids")
    sweep.add_argument("--seeds", help="such as 0-19 or 42,0-3; by default the study's")
    add_base_options(sweep)
    sweep.add_argument("--plan", action="store_true", help="only show what is done and left")
    sweep.add_argument("--trial", action="store_true", help="where none has finished yet, train "
                       "three batches to estimate the time")  # fmt: skip
    sweep.add_argument("--again", action="store_true", help="compute all anew")
    sweep.add_argument("--renew", action="store_true", help="compute anew what was made by other "
                       "code, data or settings")  # fmt: skip
    add_engine_options(sweep)
    sweep.add_argument("--each-gpu", type=int, default=1, help="workers that share a GPU")
    sweep.add_argument("--checkpoint-seconds", type=float, default=5.0,
                       help="save a run that often (default: 5)")  # fmt: skip
    sweep.add_argument("--import", action="append", default=[], dest="imports", metavar="MODULE",
                       help="import it first: it registers a method; may be repeated")  # fmt: skip
    sweep.add_argument("--no-wait", action="store_true", help="only start the workers (slurm)")
    sweep.set_defaults(call=_sweep)


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add where workers run, and how many."""
    parser.add_argument("--workers", type=int, help="by default one a core, or one a GPU")
    parser.add_argument("--engine", default="local", help="local, ray or slurm (default: local)")
    parser.add_argument("--engine-option", nargs=2, action="append", default=[],
                        dest="engine_options", metavar=("NAME", "VALUE"),
                        help="such as: slurm_partition gpu; may be repeated")  # fmt: skip


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="of one sweep; by default all")
    parser.add_argument("--outputs", help="folder of the runs (default: outputs)")


def add_base_options(parser: argparse.ArgumentParser) -> None:
    """Add what is equal for all runs of a command."""
    parser.add_argument(
        "--dataset", default="synth", help="synth, grid, cremad, ..., or arrays (default: synth)"
    )
    parser.add_argument("--profile", help="of the dataset; its first one by default")
    parser.add_argument("--epochs", type=int, help="another number than the profile's")
    parser.add_argument("--data", help="path of the data file or folder")
    parser.add_argument("--option", nargs=2, action="append", default=[], dest="options",
                        metavar=("NAME", "VALUE"),
                        help="of the dataset, such as: split own; may be repeated")  # fmt: skip
    parser.add_argument(
        "--allow-missing", action="store_true", help="train without items that are not prepared"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    parser.add_argument(
        "--precision", default="fp32", help="of the encoders: fp32 or bf16 (default: fp32)"
    )
    parser.add_argument(
        "--execution",
        default="eager",
        help="of training: eager, graphs, compile or compile_graphs (default: eager)",
    )
    parser.add_argument(
        "--fast", action="store_true", help="let a GPU choose its kernels; other bits every time"
    )
    parser.add_argument("--protocol", default="honest", help="honest or paper (default: honest)")
    parser.add_argument("--outputs", help="folder for the runs (default: outputs)")


def base_of(parsed: argparse.Namespace, seed: int) -> RunConfig:
    """Return the baseline that a command's options describe."""
    import yaml

    from asgml_core import profile

    options = {name: yaml.safe_load(value) for name, value in parsed.options}
    options |= {"path": parsed.data} if parsed.data else {}
    options |= {"allow_missing": True} if parsed.allow_missing else {}
    return profile(
        parsed.dataset,
        parsed.profile,
        seed=seed,
        epochs=parsed.epochs,
        options=options,
        device=parsed.device,
        precision=parsed.precision,
        execution=parsed.execution,
        deterministic=not parsed.fast,
        protocol=parsed.protocol,
    )


def _sweep(parsed: argparse.Namespace) -> None:
    import importlib

    sys.path.insert(0, "")  # a module of one's own lies where the command is given
    for module in parsed.imports:
        importlib.import_module(module)
    from asgml_core.plans import plan_of
    from asgml_core.sweep import carry_out, look_at, options_for

    grid, outputs = _grid(parsed), _outputs(parsed)
    with _all_kept():
        configs = grid.configs(lambda seed: base_of(parsed, seed))
        plan = plan_of(grid.name, configs)
    options = options_for(
        configs,
        engine=parsed.engine,
        engine_options=engine_options(parsed),
        workers=parsed.workers,
        again=parsed.again,
        renew=parsed.renew,
        checkpoint_seconds=parsed.checkpoint_seconds,
        imports=tuple(parsed.imports),
        each_gpu=parsed.each_gpu,
        wait=not parsed.no_wait,
    )
    statuses = look_at(plan, outputs)
    _print_plan(plan, statuses, outputs)
    _print_left(_estimate(parsed, plan, statuses, configs, options.count()), outputs)
    if parsed.plan:
        return
    logs = carry_out(plan, outputs, options)
    if options.wait:
        _print_end(plan, outputs)
    elif logs:
        print(f"  {len(logs)} workers were started; what they say is in", *logs, sep="\n    ")


@contextlib.contextmanager
def _all_kept() -> Iterator[None]:
    """Do not look for memory to free; of ten thousand runs all is kept, and looking takes long."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _grid(parsed: argparse.Namespace) -> Grid:
    import dataclasses

    from asgml_core import grids

    seeds = grids.parse_numbers(parsed.seeds) if parsed.seeds else None
    given = [bool(parsed.grid), bool(parsed.runs), bool(parsed.group)]
    if sum(given) > 1 or (parsed.name and (parsed.grid or parsed.group)):
        raise ValueError("name a sweep by a group, by --runs or by --grid: by one of them.")
    if parsed.grid:
        grid = grids.read_grid(Path(parsed.grid))
        parsed.dataset, parsed.profile = grid.dataset, grid.profile
        return grid if seeds is None else dataclasses.replace(grid, seeds=seeds)
    if parsed.runs:
        runs = tuple(name.strip() for name in parsed.runs.split(","))
        return grids.Grid(name=parsed.name or "runs", runs=runs, seeds=seeds)
    if not (parsed.group or parsed.name):
        raise ValueError("a sweep needs a group of the study such as multi_seed, --runs or --grid.")
    return grids.of_group(parsed.group or parsed.name, seeds=seeds)


def engine_options(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the engine's options that were given."""
    import yaml

    return {name: yaml.safe_load(value) for name, value in parsed.engine_options}


def _outputs(parsed: argparse.Namespace) -> Path:
    from asgml_core.paths import outputs_folder

    return Path(parsed.outputs or outputs_folder()).absolute()


def _estimate(
    parsed: argparse.Namespace,
    plan: Plan,
    statuses: Mapping[str, Status],
    configs: Sequence[RunConfig],
    workers: int,
) -> Estimate:
    from asgml_core import estimates

    outputs = _outputs(parsed)
    found = estimates.estimate(plan, statuses, outputs, workers)
    tried = parsed.trial or (parsed.plan and found.tasks <= TRIED)
    if found.seconds is not None or not found.tasks or not tried:
        return found
    by_name = {config.folder: config for config in configs}
    costs = estimates.trials([(task, by_name[task.name]) for task in plan.tasks])
    return estimates.estimate(plan, statuses, outputs, workers, costs)


def _print_plan(plan: Plan, statuses: Mapping[str, Status], outputs: Path) -> None:
    kinds = {task.type for task in plan.tasks}
    what = f"{kinds.pop()}s" if len(kinds) == 1 else "tasks"
    print(f"{plan.name}: {len(plan.tasks)} {what} in {outputs}")
    for kind in KINDS:
        count = sum(status.kind == kind for status in statuses.values())
        if count:
            meaning = f"  ({MEANINGS[kind]})" if kind in MEANINGS else ""
            print(f"  {kind:9}{count:7}{meaning}")


def _print_left(left: Estimate, outputs: Path) -> None:
    from asgml_core.estimates import free_bytes, size_text, time_text

    if not left.tasks:
        print("  nothing is left to do")
    elif left.seconds is None or left.disk is None:
        print(f"  left: {left.tasks}; {left.basis}, so --trial would tell how long they take")
    else:
        print(
            f"  left: {left.tasks}, about {time_text(left.seconds)} and {size_text(left.disk)} of "
            f"disk ({left.basis}; {size_text(free_bytes(outputs))} are free)"
        )


def _print_end(plan: Plan, outputs: Path) -> None:
    from asgml_core.sweep import SweepError, look_at

    statuses = look_at(plan, outputs)
    _print_plan(plan, statuses, outputs)
    _print_named(plan.tasks, statuses, ("failed", "diverged"), NAMED)
    print(f"  asgml report {plan.name} writes the results")
    left = [name for name, status in statuses.items() if status.kind not in ("done", "diverged")]
    if left:
        raise SweepError(f"{len(left)} of {len(plan.tasks)} are not done; their reasons are above.")


def _print_named(
    tasks: Sequence[Task], statuses: Mapping[str, Status], kinds: Sequence[str], most: int
) -> None:
    for kind in kinds:
        found = [task for task in tasks if statuses[task.name].kind == kind]
        for task in found[:most]:
            print(f"  {kind}: {task.name}{_details(task, statuses[task.name])}")
        if len(found) > most:
            print(f"  {kind}: and {len(found) - most} more (--all names them)")


def _details(task: Task, status: Status) -> str:
    said = status.said or {}
    parts = [f"{task.unit} {status.epoch} of {task.size}"] if status.epoch else []
    if status.kind == "running":
        parts.append(f"process {said.get('pid')} on {said.get('host')}")
    if "step" in said:
        parts.append(f"step {said['step']}")
    if status.reason and status.kind != "running":
        parts.append(status.reason.removeprefix(f"{task.name}: "))
    return f", {', '.join(parts)}" if parts else ""


def _status(parsed: argparse.Namespace) -> None:
    outputs = _outputs(parsed)
    most = sys.maxsize if parsed.all else NAMED
    kinds = ("running", "stopped", "killed", "failed", "diverged", "other", "damaged")
    for plan, statuses in _plans(parsed, outputs):
        _print_plan(plan, statuses, outputs)
        _print_named(plan.tasks, statuses, kinds, most)
        from asgml_core.estimates import estimate

        _print_left(estimate(plan, statuses, outputs, workers=1), outputs)


def _plans(parsed: argparse.Namespace, outputs: Path) -> list[tuple[Plan, dict[str, Status]]]:
    """Return the plans there are, and how their tasks stand; without torch, in seconds."""
    from asgml_core.plans import PlanError, saved_plans, unplanned

    plans = saved_plans(outputs, parsed.name)
    if parsed.name is None:
        plans += unplanned(outputs, plans)
    if not plans:
        what = "no sweep" if parsed.name is None else f"no sweep {parsed.name!r}"
        raise PlanError(f"{outputs} has {what}; 'asgml sweep' makes one.")
    with _all_kept():
        return [(plan, {t.name: t.look(outputs) for t in plan.tasks}) for plan in plans]


def _report(parsed: argparse.Namespace) -> None:
    from asgml_core.reports import write_report

    outputs = _outputs(parsed)
    for plan, statuses in _plans(parsed, outputs):
        with _all_kept():
            page = write_report(plan, statuses, outputs)
        print(page)


def _clean(parsed: argparse.Namespace) -> None:
    from asgml_core import cleaning
    from asgml_core.estimates import size_text

    outputs = _outputs(parsed)
    plans = _plans(parsed, outputs)
    found = cleaning.find([p for p, _ in plans], [s for _, s in plans], outputs, parsed.what)
    if not found:
        print("There is nothing to remove.")
        return
    kinds: dict[str, list[int]] = {}
    for leftover in found:
        kinds.setdefault(leftover.why, []).append(leftover.size)
    for why, sizes in kinds.items():
        print(f"  {len(sizes):6} x {why}, {size_text(sum(sizes))}")
    if not parsed.yes and not _agreed():
        raise CleanError("nothing was removed.")
    freed, busy = cleaning.remove(found, outputs)
    print(f"{size_text(freed)} are free again.")
    if busy:
        print(f"{len(busy)} were left, since a process is at work on them: {shlex.join(busy[:5])}")


def _agreed() -> bool:
    try:
        return input("Remove them? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
