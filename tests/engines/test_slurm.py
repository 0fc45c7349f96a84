"""Slurm: jobs that end, die, are cancelled, and come back."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import slurm_server
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

from asgml_core import RunConfig, RunRecord
from asgml_core.engines import Call, End, EngineError, make_engine
from asgml_core.engines.slurm import SlurmEngine, _SlurmWorker
from asgml_core.sweep import SweepError

Calls = Callable[[str], list[Call]]


@pytest.fixture
def engine(slurm: Path) -> SlurmEngine:
    made = make_engine("slurm", poll_seconds=0.2, timeout_min=5, slurm_signal_delay_s=30)
    made.work = toy_work.work
    return made


def scontrol(*command: str) -> None:
    subprocess.run(["scontrol", *command], check=True)


def scancel(*command: str) -> None:
    subprocess.run(["scancel", *command], check=True)


def test_workers_say_how_they_ended(engine: SlurmEngine, calls: Calls, tmp_path: Path) -> None:
    workers = engine.start(calls("done replace raise refuse"))
    assert ends(workers) == [
        End("done"),
        End("replace"),
        End("replace", "LookupError: no such run"),
        End("stop", "the plan cannot be read"),
    ]
    first = engine.job_ids[0].partition("_")[0]
    assert engine.job_ids == [f"{first}_{i}" for i in range(4)]  # one array
    assert Path(workers[2].log()).parent == tmp_path / ".slurm"
    assert "no such run" in Path(workers[2].log()).read_text()
    (alone,) = engine.start(calls("done"))
    assert ends([alone]) == [End("done")]


def test_a_killed_worker_is_to_be_replaced(
    engine: SlurmEngine, calls: Calls, tmp_path: Path
) -> None:
    workers = engine.start(calls("wait"))
    until(lambda: lives(tmp_path))
    assert workers[0].end() is None
    os.kill(lives(tmp_path)[0], signal.SIGKILL)
    assert ends(workers) == [End("replace", "killed (Slurm: failed)")]


def test_a_job_cancelled_by_a_person_is_not_replaced(
    engine: SlurmEngine, calls: Calls, tmp_path: Path
) -> None:
    workers = engine.start(calls("wait wait wait"))  # the third waits for its place
    until(lambda: lives(tmp_path, 0) and lives(tmp_path, 1))
    scancel(engine.job_ids[0], engine.job_ids[2])
    assert ends([workers[0], workers[2]]) == [End("stop", "cancelled")] * 2
    assert (tmp_path / "left_0").exists()
    assert workers[1].end() is None
    (tmp_path / "go").touch()
    assert ends(workers[1:2]) == [End("done")]


def test_stop_lets_the_worker_leave_and_kill_does_not(
    engine: SlurmEngine, calls: Calls, tmp_path: Path
) -> None:
    workers = engine.start(calls("wait wait"))
    until(lambda: lives(tmp_path, 0) and lives(tmp_path, 1))
    workers[0].stop()
    workers[1].kill()
    assert ends(workers) == [End("stop", "stopped"), End("stop", "killed")]
    assert (tmp_path / "left_0").exists()
    assert not (tmp_path / "left_1").exists()
    assert not any(runs(process) for i in range(2) for process in lives(tmp_path, i))


@pytest.mark.parametrize("way", [pytest.param("requeue", marks=pytest.mark.slow), "timeout"])
def test_a_job_that_is_put_back_goes_on(
    engine: SlurmEngine, calls: Calls, tmp_path: Path, way: str
) -> None:
    workers = engine.start(calls("wait"))
    until(lambda: lives(tmp_path))
    if way == "requeue":
        scontrol("requeue", engine.job_ids[0])
    else:  # as Slurm does before the time is over
        scancel("--signal=USR2", engine.job_ids[0])
    until(lambda: workers[0].end() or len(lives(tmp_path)) == 2, "the second life")
    assert workers[0].end() is None
    assert not runs(lives(tmp_path)[0])
    (tmp_path / "go").touch()
    assert ends(workers) == [End("done")]


def test_slurm_is_asked_once_for_all_workers(
    engine: SlurmEngine, calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    module = __import__("asgml_core.engines.slurm", fromlist=["_slurm"])
    ask = module._slurm
    monkeypatch.setattr(module, "_slurm", lambda *words: asked.append(words[0]) or ask(*words))
    engine = make_engine("slurm", poll_seconds=3600, timeout_min=5)
    engine.work = toy_work.work
    workers = engine.start(calls("wait wait"))
    for _ in range(5):
        assert [worker.end() for worker in workers] == [None, None]
    assert asked == ["squeue"]
    (tmp_path / "go").touch()
    assert ends(workers) == [End("done")] * 2  # told by its result, without a question
    assert asked == ["squeue"]


def test_what_is_wrong_is_told_in_a_sentence(
    slurm: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"Unknown argument 'queue' .* partition"):
        make_engine("slurm", slurm_queue="night")
    with pytest.raises(ValueError, match="timeout_min"):
        make_engine("slurm", minutes=3)
    with pytest.raises(ValueError, match="poll_seconds is 0"):
        make_engine("slurm", poll_seconds=0)
    engine = make_engine("slurm", slurm_partition="night")
    with pytest.raises(EngineError, match=r"Slurm refuses the jobs: .*invalid partition"):
        engine.start(calls("done"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError, match="there is no Slurm here"):
        make_engine("slurm")


def test_a_job_asks_for_a_gpu_where_runs_do() -> None:
    assert SlurmEngine.for_runs(["cpu", "cuda"], each_gpu=1) == {"gpus_per_node": 1}
    with pytest.raises(ValueError, match="each_gpu is 2, but Slurm gives a GPU to one job"):
        SlurmEngine.for_runs(["cuda"], each_gpu=2)
    assert SlurmEngine.for_runs(["cpu"], each_gpu=1) == {}


class Said:
    """Stands in for a queue that says one thing."""

    def __init__(self, state: str) -> None:
        self.state = lambda job: state
        self.add = self.remove = lambda job: None


@pytest.mark.parametrize(
    ("state", "said", "end"),
    [
        ("PENDING", End("stop", "stopped"), None),  # it was put back
        ("", None, None),  # nobody knows
        ("COMPLETED", None, None),  # its word is still on the way
        ("RUNNING", End("done"), End("done")),
        ("COMPLETED", End("stop", "the disk is full"), End("stop", "the disk is full")),
        ("CANCELLED", End("stop", "stopped"), End("stop", "cancelled")),
        ("PREEMPTED", End("stop", "stopped"), End("replace", "killed (Slurm: preempted)")),
        ("TIMEOUT", End("stop", "stopped"), End("replace", "killed (Slurm: timeout)")),
        ("NODE_FAIL", None, End("replace", "killed (Slurm: node fail)")),
        ("GONE", End("replace"), End("replace")),
        ("GONE", None, End("replace", "killed (Slurm: gone)")),
    ],
)
def test_what_a_state_means(state: str, said: End | None, end: End | None, tmp_path: Path) -> None:
    result = tmp_path / "result.pkl"
    if said is not None:
        result.write_bytes(pickle.dumps(("success", said)))
    paths = SimpleNamespace(result_pickle=result)
    assert _SlurmWorker("1", paths, Said(state)).end() == end


def on_slurm(configs: list[RunConfig], outputs: Path) -> list[RunRecord]:
    options = {"poll_seconds": 0.2, "timeout_min": 5}
    return sweep(configs, outputs, "slurm", **options)


def job_of(said: dict[str, Any]) -> str:
    """Return the job of a process."""
    variables = Path(f"/proc/{said['pid']}/environ").read_bytes().decode().split("\0")
    return dict(line.partition("=")[::2] for line in variables)["SLURM_JOB_ID"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["kill", "requeue", "timeout"])
def test_a_sweep_that_is_disturbed_ends_with_the_same_bits(
    slurm: Path, alone: list[RunRecord], tmp_path: Path, way: str
) -> None:
    ways: dict[str, Callable[[dict[str, Any]], None]] = {
        "kill": kill,
        "requeue": lambda said: scontrol("requeue", job_of(said)),
        "timeout": lambda said: scancel("--signal=USR2", job_of(said)),
    }
    with in_mid_run(tmp_path, plans()[0], ways[way]) as before:
        records = on_slurm(plans(), tmp_path)
    assert_same_runs(records, alone)
    after = state(tmp_path, plans()[0])
    assert after["resumed"] >= 2
    assert after["pid"] != before[0]["pid"]
    assert not runs(before[0]["pid"])


@pytest.mark.slow
def test_a_cancelled_job_ends_the_sweep_and_the_next_one_goes_on(
    slurm: Path, alone: list[RunRecord], tmp_path: Path
) -> None:
    long = plans()[:1]
    with (
        in_mid_run(tmp_path, long[0], lambda said: scancel(job_of(said))) as before,
        pytest.raises(SweepError, match="cancelled"),
    ):
        on_slurm(long, tmp_path)
    assert not runs(before[0]["pid"])
    with in_mid_run(tmp_path, long[0], terminate), pytest.raises(KeyboardInterrupt):
        on_slurm(long, tmp_path)
    first = state(tmp_path, long[0])
    assert first["state"] == "stopped"
    assert first["resumed"] >= 2
    assert_same_runs(on_slurm(long, tmp_path), alone[:1])
    assert state(tmp_path, long[0])["resumed"] >= first["resumed"]


def test_nothing_is_left_at_work(slurm: Path) -> None:
    until(lambda: not slurm_server.alive(), "the end of all jobs")
