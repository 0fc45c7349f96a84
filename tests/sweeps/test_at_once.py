"""Sweeps and runs at once in one folder: each run is done exactly once, by whoever was first."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import members, start, until
from toy_task import starts, toy, toys

from asgml_core import RunConfig, RunRecord, run
from asgml_core.claims import BusyError, is_held, read_state
from asgml_core.plans import plan_of
from asgml_core.sweep import Options, carry_out

#: A sweep that begins when it is told to, and whose workers note every start of a run.
SWEEP = """
import json, sys, time
from pathlib import Path
from asgml_core import RunConfig
from asgml_core.plans import plan_of
from asgml_core.sweep import Options, _check_done, carry_out
outputs = Path(sys.argv[1])
plan = plan_of("both", [RunConfig.from_dict(values) for values in json.loads(sys.argv[2])])
(outputs / sys.argv[3]).touch()
while not (outputs / "go").exists():
    time.sleep(0.001)
carry_out(plan, outputs, Options(workers=2, progress=False, imports=("noting_worker",)))
_check_done(plan, outputs)
"""


@pytest.mark.slow
def test_two_sweeps_and_a_run_started_at_one_moment_do_each_run_once(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    configs = [tiny(name, seed) for name in ("baseline", "cont_noise") for seed in (0, 1, 2)]
    values = json.dumps([config.to_dict() for config in configs])
    sweeps = [start(SWEEP, tmp_path, values, name) for name in ("first", "second")]
    for name, process in zip(("first", "second"), sweeps, strict=True):
        until((tmp_path / name).exists, f"{name}: {process.poll()}")
    (tmp_path / "go").touch()
    until(lambda: starts(tmp_path), "a worker")
    for config in reversed(configs):  # all that no sweep has got to
        try:
            run(config, tmp_path, progress=False)
        except BusyError:
            continue
    for process in sweeps:
        _, said = process.communicate()
        assert process.returncode == 0, said
    # The workers' notes and this process's own runs, apart from what state files say.
    mine = [c.folder for c in configs if _state(tmp_path, c)["pid"] == os.getpid()]
    assert Counter([*starts(tmp_path), *mine]) == Counter(config.folder for config in configs)
    for config in configs:
        record = RunRecord.load(tmp_path / "sweep" / config.folder)
        assert len(list((record.folder / "events").iterdir())) == 1  # one attempt
        assert "resumed" not in _state(tmp_path, config)


#: The same of toys, whose workers import no torch.
TOYS = """
import sys, time
from pathlib import Path
from toy_task import toy, toys
from asgml_core.sweep import Options, _check_done, carry_out
outputs = Path(sys.argv[1])
plan = toys(*(toy(f"t{number}", size=2, seconds=0.01) for number in range(6)))
(outputs / sys.argv[2]).touch()
while not (outputs / "go").exists():
    time.sleep(0.001)
carry_out(plan, outputs, Options(workers=2, progress=False, imports=("toy_worker",)))
_check_done(plan, outputs)
"""


def test_two_sweeps_started_at_one_moment_do_each_task_once(tmp_path: Path) -> None:
    sweeps = [start(TOYS, tmp_path, name) for name in ("first", "second")]
    for name, process in zip(("first", "second"), sweeps, strict=True):
        until((tmp_path / name).exists, f"{name}: {process.poll()}")
    (tmp_path / "go").touch()
    for process in sweeps:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert sorted(starts(tmp_path)) == [f"t{number}" for number in range(6)]


def _state(outputs: Path, config: RunConfig) -> dict[str, object]:
    return read_state(outputs / "sweep" / config.folder / "state.json")


@pytest.mark.parametrize("round_", range(3))
def test_three_sweeps_at_once_with_a_worker_killed(tmp_path: Path, round_: int) -> None:
    plan = toys(*(toy(f"t{i}", size=2, seconds=0.01) for i in range(12)), toy("bad", how="kill"))
    options = Options(workers=2, progress=False, imports=("toy_worker",))
    errors: list[BaseException] = []

    def go() -> None:
        try:
            carry_out(plan, tmp_path, options)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {task.look(tmp_path).kind for task in plan.tasks} == {"done"}
    assert Counter(starts(tmp_path)) == {**{t.name: 1 for t in plan.tasks}, "bad": 2}


def test_a_sweep_takes_over_what_another_leaves_when_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from test_signals import PLAN\n"
        "from asgml_core.sweep import Options, carry_out\n"
        "carry_out(PLAN, Path(sys.argv[1]), Options(workers=2, progress=False, "
        "imports=('toy_worker',)))"
    )
    other = start(code, tmp_path)
    until(lambda: len(starts(tmp_path)) == 2, "work")
    plan = toys(toy("a", how="wait"), toy("b", how="wait"))
    options = Options(workers=1, progress=False, imports=("toy_worker",))
    mine = threading.Thread(target=carry_out, args=(plan, tmp_path, options))
    mine.start()
    time.sleep(1.5)  # it waits: all is at work elsewhere
    assert mine.is_alive()
    assert starts(tmp_path) == ["a", "b"] or starts(tmp_path) == ["b", "a"]
    os.killpg(other.pid, signal.SIGKILL)
    other.communicate()
    until(lambda: not members(other.pid), "the end of the other")
    mine.join()
    assert {task.look(tmp_path).kind for task in plan.tasks} == {"done"}
    assert sorted(starts(tmp_path)) == [*"aabb"]


def test_a_run_at_work_is_left_alone_by_run(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = tiny()
    place = tmp_path / "sweep" / config.folder / "state.json"
    (task,) = plan_of("p", [config]).tasks

    def meanwhile(epoch: int, epochs: int, row: dict[str, float]) -> None:
        assert is_held(place)
        assert task.look(tmp_path).kind == "running"
        with pytest.raises(BusyError, match="another process is at work on this run"):
            run(config, tmp_path, progress=False)

    run(config, tmp_path, progress=meanwhile)
    assert task.look(tmp_path).kind == "done"
