"""Who is asked to end, or killed, ends; nobody is left, and the next sweep goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import PATIENCE, members, start, until
from toy_task import starts, toy, toys

from asgml_core.claims import Terminated, is_held, read_state
from asgml_core.plans import SWEEPS
from asgml_core.sweep import SweepError
from asgml_core.worker import stoppable

PLAN = toys(toy("a", how="wait"), toy("b", how="wait"))
#: A script of a user's, who knows nothing of signals.
SCRIPT = """
import sys
from pathlib import Path
from test_signals import PLAN
from asgml_core.sweep import Options, carry_out
carry_out(PLAN, Path(sys.argv[1]), Options(workers=2, progress=False, imports=("toy_worker",)))
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen]:
    process = start(SCRIPT, tmp_path)
    until(lambda: len(starts(tmp_path)) == 2 or process.poll() is not None, "work")
    try:
        yield process
    finally:
        if members(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def states(outputs: Path) -> dict[str, str]:
    return {task.name: task.look(outputs).reason for task in PLAN.tasks}


@pytest.mark.parametrize(
    ("send", "to_all", "status", "said"),
    [
        (signal.SIGINT, True, -signal.SIGINT, ("stopped by Ctrl-C", "stopped by SIGTERM")),
        (signal.SIGINT, False, -signal.SIGINT, ("stopped by SIGTERM",)),
        (signal.SIGTERM, False, None, ("stopped by SIGTERM",)),
        (signal.SIGKILL, False, -signal.SIGKILL, ("stopped by SIGTERM",)),
    ],
    ids=["Ctrl-C", "SIGINT", "SIGTERM", "SIGKILL"],
)
def test_a_sweep_that_is_ended_leaves_nobody_and_goes_on_later(
    parent: subprocess.Popen,
    tmp_path: Path,
    sweep: Callable[..., dict[str, str]],
    send: signal.Signals,
    to_all: bool,
    status: int | None,
    said: tuple[str, ...],
) -> None:
    assert len(members(parent.pid)) == 3
    (os.killpg if to_all else os.kill)(parent.pid, send)  # to all: as a terminal does
    ended = parent.wait(PATIENCE)
    assert ended == status if status else ended != 0
    if send != signal.SIGKILL:
        assert members(parent.pid) == []  # the sweep ends last
    until(lambda: not members(parent.pid), "the end of the workers")
    assert set(states(tmp_path).values()) <= set(said)
    assert {task.look(tmp_path).kind for task in PLAN.tasks} == {"stopped"}
    (tmp_path / "go").touch()
    assert sweep(PLAN, workers=2) == {"a": "done", "b": "done"}
    assert sorted(starts(tmp_path)) == [*"aabb"]
    assert read_state(tmp_path / "toys" / "a" / "state.json")["resumed"] == 1


@pytest.mark.parametrize("send", [signal.SIGTERM, signal.SIGKILL])
def test_one_worker_that_is_ended(
    tmp_path: Path, sweep: Callable[..., dict[str, str]], send: signal.Signals
) -> None:
    """Somebody who ends a worker on purpose ends its sweep; one that is killed is replaced."""
    plan = toys(toy("a", how="wait"), toy("b", how="wait", times=9))

    def end_it() -> None:
        until(lambda: len(starts(tmp_path)) == 2, "work")
        os.kill(read_state(plan.tasks[0].place(tmp_path))["pid"], send)
        if send == signal.SIGKILL:
            until(lambda: starts(tmp_path).count("a") == 2, "another worker")
            (tmp_path / "go").touch()

    thread = threading.Thread(target=end_it)
    thread.start()
    if send == signal.SIGTERM:
        with pytest.raises(SweepError, match=r"a worker.* stopped"):
            sweep(plan, workers=2)
        assert {task.look(tmp_path).kind for task in plan.tasks} == {"stopped"}
        (tmp_path / "go").touch()
    assert sweep(plan, workers=2) == {"a": "done", "b": "done"}
    thread.join()
    assert starts(tmp_path).count("a") == 2
    assert not any(is_held(beat) for beat in (tmp_path / SWEEPS / "workers").glob("*.json"))


def send_three() -> None:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:  # writing the state must not be interrupted by the next
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)


def test_only_the_first_request_counts_and_handlers_come_back() -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    with pytest.raises(Terminated), stoppable():
        send_three()
    assert {each: signal.getsignal(each) for each in before} == before
