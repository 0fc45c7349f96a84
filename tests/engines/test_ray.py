"""Ray: workers that end, die, are stopped, and wait for their place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import toy_work
from engine_checks import (
    assert_same_runs,
    ends,
    in_mid_run,
    kill,
    lives,
    plans,
    runs,
    state,
    sweep,
    terminate,
    until,
)

from asgml_core import RunRecord
from asgml_core.engines import Call, End, EngineError, make_engine
from asgml_core.engines.ray import RayEngine

Calls = Callable[[str], list[Call]]

JOIN = """
import sys, time, toy_work
from asgml_core.engines import Call, make_engine
with make_engine("ray") as engine:
    engine.work = toy_work.work
    (worker,) = engine.start([Call(plan="done", outputs=sys.argv[1], sweep="", index=0, workers=1)])
    while worker.end() is None:
        time.sleep(0.05)
    print(worker.end().outcome, engine.address)
"""


@pytest.fixture(scope="module")
def ray(environment: pytest.MonkeyPatch) -> Iterator[RayEngine]:
    """Run a Ray of two CPUs, as the engine starts it by itself."""
    with make_engine("ray") as engine:
        before = signal.getsignal(signal.SIGTERM)
        engine._join(2)
        assert signal.getsignal(signal.SIGTERM) is before
        yield engine
    assert not engine._ray.is_initialized()


@pytest.fixture
def engine(ray: RayEngine) -> RayEngine:
    ray.work = toy_work.work
    return ray


def test_workers_say_how_they_ended(engine: RayEngine, calls: Calls, tmp_path: Path) -> None:
    workers = engine.start(calls("done replace raise refuse"))
    assert ends(workers) == [
        End("done"),
        End("replace"),
        End("replace", "LookupError: no such run"),
        End("stop", "the plan cannot be read"),
    ]
    assert "worker-" in workers[2].log()
    used = {process for i in range(4) for process in lives(tmp_path, i)}
    assert len(used) == 4  # each has had a process of its own
    until(lambda: not any(map(runs, used)), "the end of the processes")


def test_a_killed_worker_is_to_be_replaced(engine: RayEngine, calls: Calls, tmp_path: Path) -> None:
    workers = engine.start(calls("wait"))
    until(lambda: lives(tmp_path))
    assert workers[0].end() is None
    os.kill(lives(tmp_path)[0], signal.SIGKILL)
    (end,) = ends(workers)
    assert end.outcome == "replace"
    assert end.reason.startswith("killed: ")
    assert len(lives(tmp_path)) == 1  # Ray itself does not try again


def test_stop_lets_the_worker_leave_and_kill_does_not(
    engine: RayEngine, calls: Calls, tmp_path: Path
) -> None:
    workers = engine.start(calls("wait wait wait wait"))
    until(lambda: sum(bool(lives(tmp_path, i)) for i in range(4)) == 2)  # two wait for their place
    at_work = [i for i in range(4) if lives(tmp_path, i)]
    waiting = [i for i in range(4) if i not in at_work]
    workers[waiting[0]].stop()
    workers[waiting[1]].kill()
    workers[at_work[0]].stop()
    workers[at_work[1]].kill()
    said = ends(workers)
    assert [said[i] for i in waiting] == [End("stop", "stopped"), End("stop", "killed")]
    assert [said[i] for i in at_work] == [End("stop", "stopped"), End("stop", "killed")]
    assert [(tmp_path / f"left_{i}").exists() for i in at_work] == [True, False]
    assert not any(lives(tmp_path, i) for i in waiting)
    used = [process for i in at_work for process in lives(tmp_path, i)]
    until(lambda: not any(map(runs, used)), "the end of the processes")


def test_a_cluster_is_joined_and_left_as_it_was(engine: RayEngine, tmp_path: Path) -> None:
    address = engine._ray.get_runtime_context().gcs_address
    assert address.startswith("127.0.0.1:")
    done = subprocess.run(
        [sys.executable, "-c", JOIN, str(tmp_path)],
        env={**os.environ, "RAY_ADDRESS": address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["done", address], done.stderr
    assert engine._ray.cluster_resources()["CPU"] == 2


def test_a_sweep_that_is_stopped_and_then_loses_a_worker_ends_with_the_same_bits(
    ray: RayEngine, alone: list[RunRecord], tmp_path: Path
) -> None:
    long = plans()[0]
    with in_mid_run(tmp_path, long, terminate) as first, pytest.raises(KeyboardInterrupt):
        sweep([long], tmp_path, "ray")
    stopped = state(tmp_path, long)
    assert stopped["state"] == "stopped"
    until(lambda: not runs(first[0]["pid"]), "the end of the worker")
    with in_mid_run(tmp_path, long, kill) as second:
        records = sweep(plans(), tmp_path, "ray")
    assert_same_runs(records, alone)
    after = state(tmp_path, long)
    assert after["resumed"] >= second[0]["resumed"] == stopped["epoch"] >= 2
    assert len({said["pid"] for said in (first[0], second[0], after)}) == 3
    assert ray._ray.is_initialized()  # joined by somebody else, and left alone


def test_a_worker_asks_for_its_share_of_a_gpu_where_runs_do() -> None:
    assert RayEngine.for_runs(["cpu", "cuda:0"], each_gpu=2) == {"num_gpus": 0.5}
    assert RayEngine.for_runs(["cpu"], each_gpu=2) == {}


def test_what_is_wrong_is_told_in_a_sentence(
    ray: RayEngine, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="num_cpus is 0"):
        make_engine("ray", num_cpus=0)
    with pytest.raises(ValueError, match="Did you mean 'runtime_env'"):
        make_engine("ray", runtime_envs={})
    monkeypatch.setattr(ray._ray, "is_initialized", lambda: False)
    for address in ("127.0.0.1:9", "ray://127.0.0.1:9"):  # a port where nothing listens
        with pytest.raises(EngineError, match=f"the Ray at {address} cannot be reached: .*refused"):
            make_engine("ray", address=address).start(calls("done"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"pip install 'asgml-core\[cluster\]', on every machine"):
        make_engine("ray")
