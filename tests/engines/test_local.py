"""Worker processes of this machine: how they end, and which GPU each sees."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from asgml_core import profile
from asgml_core.engines import ENGINES, Call, End, Engine, Worker, make_engine
from asgml_core.engines.local import LocalEngine, visible_gpus
from asgml_core.sweep import Options, options_for

#: A module that a worker imports first: it says what it sees, and does as it is told.
MODULE = """
import json, os, signal, sys, time
def end(how):
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    with open(os.path.join(FOLDER, f"{how}.json"), "w") as file:
        json.dump({"gpu": seen, "pid": os.getpid()}, file)
    if how == "wait":
        time.sleep(300)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "abort":
        os.abort()
    if how == "status":
        os._exit(7)
"""


@pytest.fixture
def call(tmp_path: Path) -> Iterator:
    (tmp_path / "module_of_a_worker.py").write_text(f"FOLDER = {str(tmp_path)!r}\n{MODULE}")
    (tmp_path / "plan.json").write_text(json.dumps({"format": 1, "name": "none", "tasks": []}))

    def make(how: str, index: int = 0) -> Call:
        name = f"worker_that_does_{how}"
        (tmp_path / f"{name}.py").write_text(f"from module_of_a_worker import end\nend({how!r})\n")
        return Call(
            plan=str(tmp_path / "plan.json"), outputs=str(tmp_path), sweep="test", index=index,
            workers=1, imports=(name,), path=(str(tmp_path),),
        )  # fmt: skip

    return make


def ended(worker: Worker) -> End:
    for _ in range(600):
        if (end := worker.end()) is not None:
            return end
        time.sleep(0.1)
    worker.kill()
    raise AssertionError("the worker did not end")


@pytest.mark.parametrize(
    ("how", "outcome", "reason"),
    [
        ("nothing", "done", ""),
        ("kill", "replace", "killed by SIGKILL"),
        ("abort", "replace", "killed by SIGABRT"),
        ("status", "replace", "ended with status 7"),
    ],
)
def test_how_a_worker_ended_is_named(call, how: str, outcome: str, reason: str) -> None:
    (worker,) = LocalEngine().start([call(how)])
    assert ended(worker) == End(outcome, reason)
    assert worker.end() == End(outcome, reason)  # asked again
    worker.stop()  # nobody is there any more
    worker.kill()


@pytest.mark.parametrize("by", ["stop", "kill"])
def test_a_worker_is_stopped(call, by: str, tmp_path: Path) -> None:
    (worker,) = LocalEngine().start([call("wait")])
    for _ in range(600):
        if (tmp_path / "wait.json").is_file():
            break
        time.sleep(0.1)
    getattr(worker, by)()
    end = ended(worker)
    assert end.outcome == ("stop" if by == "stop" else "replace")
    pid = int(json.loads((tmp_path / "wait.json").read_text())["pid"])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_call_that_cannot_be_carried_out_says_why(call, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("[]")
    (worker,) = LocalEngine().start([call("nothing")])
    assert ended(worker).outcome == "stop"
    assert "plan.json is no plan of format 1" in Path(worker.log()).read_text()
    (tmp_path / "worker_that_does_nothing.py").unlink()


def test_workers_take_the_gpus_in_turn(call, tmp_path: Path) -> None:
    engine = LocalEngine(gpus=("3", "GPU-5"))
    seen = []
    for index in range(3):
        (worker,) = engine.start([call("nothing", index)])
        assert ended(worker).outcome == "done"
        seen.append(json.loads((tmp_path / "nothing.json").read_text())["gpu"])
    assert seen == ["3", "GPU-5", "3"]


def test_the_gpus_of_this_machine_are_those_it_may_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7")
    assert visible_gpus() == ("2", "GPU-7")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert visible_gpus() == ("0", "1", "2")
    options = options_for([profile("synth", device="cuda")])
    assert options.engine_options == {"gpus": ("0", "1", "2")}
    assert options.count() == 3
    assert options_for([profile("synth", device="cuda")], each_gpu=2).count() == 6
    one = options_for([profile("synth", device="cuda:1")])
    assert one.engine_options == {}  # it names its GPU itself
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(ValueError, match="this machine has 0 CUDA devices"):
        options_for([profile("synth", device="cuda")])


def test_engines_are_found_by_name() -> None:
    assert list(ENGINES) == ["local", "ray", "slurm"]
    assert isinstance(make_engine("local"), Engine)
    with pytest.raises(ValueError, match=r"engine is 'slrm'.*Did you mean 'slurm'"):
        make_engine("slrm")
    with pytest.raises(ValueError, match=r"engine 'local': .*'gpu'; its options are: gpus"):
        make_engine("local", gpu="0")
    with pytest.raises(ValueError, match="workers is 0"):
        Options(workers=0).count()
