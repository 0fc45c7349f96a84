"""What the engines' tests share: small runs, sweeps that are disturbed, and waiting."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from asgml_core import RunConfig, RunRecord, profile, study
from asgml_core.claims import read_state
from asgml_core.engines import End, Worker
from asgml_core.plans import plan_of
from asgml_core.sweep import carry_out, look_at, options_for

#: Seconds to wait for something that comes surely, unless it is broken.
PATIENCE = 60.0


def until(true: Callable[[], object], what: str = "it") -> None:
    """Wait for something."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.05)


def ends(workers: Sequence[Worker]) -> list[End]:
    """Wait for the ends of workers."""
    until(lambda: all(worker.end() for worker in workers), "the end of a worker")
    return [end for worker in workers if (end := worker.end())]


def lives(outputs: Path, index: int = 0) -> list[int]:
    """Return the processes that a worker of ``toy_work`` has had."""
    path = outputs / f"lives_{index}"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def runs(process: int) -> bool:
    """Say whether a process is there, and is more than an entry of one that ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it may end between opening and reading
        return False
    return state != "Z"


# ---------------------------------------------------------------------- sweeps


def plans() -> list[RunConfig]:
    """Return three runs: one of a second or two, to be disturbed, and two short ones."""
    options = {"train": 96, "test": 48}
    base = profile("synth", seed=2, epochs=12, options=options)
    base = base.replace(model={"width": 2, "stem": "small"})
    long = study.config("boost_ogm", base)
    short = base.replace(train={"epochs": 1})
    return [long, study.config("cont_noise", short), short]


def sweep(
    configs: Sequence[RunConfig], outputs: Path, engine: str, **engine_options: Any
) -> list[RunRecord]:
    """Do a sweep as ``run_all`` does, but with a checkpoint after every epoch."""
    options = options_for(
        configs,
        engine=engine,
        engine_options=engine_options,
        workers=2,
        progress=False,
        checkpoint_seconds=0.0,
    )
    plan = plan_of("test", configs)
    carry_out(plan, outputs, options)
    statuses = look_at(plan, outputs)
    assert {s.kind for s in statuses.values()} == {"done"}, statuses
    return [RunRecord.load(outputs / "sweep" / config.folder) for config in configs]


def state(outputs: Path, config: RunConfig) -> dict[str, Any]:
    """Return what a run's state file says."""
    return dict(read_state(outputs / "sweep" / config.folder / "state.json"))


@contextlib.contextmanager
def in_mid_run(
    outputs: Path, config: RunConfig, act: Callable[[dict[str, Any]], object]
) -> Iterator[list[dict[str, Any]]]:
    """Do something once a run has done some epochs; what its state file said is given.

    Args:
        outputs: of the sweep.
        config: the run.
        act: what to do; it is told what the state file says.
    """
    found: list[dict[str, Any]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            said = state(outputs, config)
            if said.get("state") == "running" and said.get("epoch", 0) >= 2:
                found.append(said)
                act(said)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def kill(said: dict[str, Any]) -> None:
    """Kill the process that is at work on a run."""
    os.kill(said["pid"], signal.SIGKILL)


def terminate(said: dict[str, Any]) -> None:
    """Ask this process, which watches the sweep, to end."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def assert_same_runs(some: Sequence[RunRecord], others: Sequence[RunRecord]) -> None:
    """Bit for bit, but for when and how long."""
    for one, other in zip(some, others, strict=True):
        a, b = (json.loads(json.dumps(record.values)) for record in (one, other))
        for values in (a, b):
            for name in ("wall_time", "finished"):
                del values["provenance"][name]
        assert a == b
        for name in ("last.pt", "chosen.pt"):
            first, second = (
                torch.load(record.folder / name, weights_only=True)["model"]
                for record in (one, other)
            )
            assert first.keys() == second.keys()
            assert all(torch.equal(first[k], second[k]) for k in first)
        for table in ("epochs.csv", "steps.npz", "predictions.npz"):
            assert (one.folder / table).read_bytes() == (other.folder / table).read_bytes()
