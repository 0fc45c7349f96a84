"""Notebooks over a grid: each is executed once, to its end, and no kernel is left running."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import nbformat
import pytest
from notebook_files import plan, write

from asgml_core import kernels, notebooks
from asgml_core.claims import claim, read_state
from asgml_core.engines import Call
from asgml_core.files import WriteError
from asgml_core.notebook_tasks import NotebookTask
from asgml_core.notebooks import NotebookError
from asgml_core.plans import Plan
from asgml_core.sweep import SweepError

ROOT = Path(__file__).parents[2]
#: Says who it is, and waits until the file ``go`` is there.
WAITS = """
import os, pathlib, time
pathlib.Path("pid").write_text(str(os.getpid()))
while not pathlib.Path("go").exists():
    time.sleep(0.02)
"""


def states(found: Plan, outputs: Path) -> list[str]:
    return [task.look(outputs).kind for task in found.tasks]


def test_a_failure_leaves_the_others_and_is_tried_again(tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    path = write(
        tmp_path / "a.ipynb",
        "import os, pathlib",
        f"if seed == 1 and not pathlib.Path({str(mended)!r}).exists():\n"
        "    raise ValueError('not\\n yet')",
        "print(seed, workers, os.environ['ASGML_OUTPUTS'])",
    )
    outputs, folder = tmp_path / "out", tmp_path / "out" / "notebooks"
    grid = {"seed": [0, 1, 2]}
    with pytest.raises(SweepError, match="1 of 3 notebooks failed") as caught:
        notebooks.execute_all(path, grid, outputs=outputs, workers=2, progress=False)
    said = "a.ipynb, cell 4: ValueError: not yet"
    assert f"{folder / 'a-seed_1.ipynb'}: {said}" in str(caught.value)

    found = plan(path, grid, workers=2)
    assert states(found, outputs) == ["done", "failed", "done"]
    status = found.tasks[1].look(outputs)
    assert (status.reason, status.epoch, found.tasks[1].size) == (said, 3, 4)
    partial = nbformat.read(folder / "a-seed_1.ipynb", as_version=4)
    errors = [o for cell in partial.cells for o in cell.get("outputs", []) if "ename" in o]
    assert errors[0].ename == "ValueError"
    assert "raise" in "".join(errors[0].traceback)
    assert not list(folder.glob(".*"))

    mended.touch()
    before = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.ipynb")}
    paths = notebooks.execute_all(path, grid, outputs=outputs, workers=2, progress=False)
    assert paths == [folder / f"a-seed_{seed}.ipynb" for seed in range(3)]
    changed = [p.name for p in paths if p.stat().st_mtime_ns != before[p.name]]
    assert changed == ["a-seed_1.ipynb"]
    share = found.tasks[0].values["filled"]["workers"]
    for seed, executed in enumerate(paths):
        content = nbformat.read(executed, as_version=4)
        assert content.cells[-1].outputs[0].text == f"{seed} {share} {outputs}\n"
        assert content.metadata.papermill.output_path == str(executed)

    write(path, "1")  # another notebook of the same name
    with pytest.raises(SweepError, match=r"a-seed_0.ipynb was executed from other cells.*--renew"):
        notebooks.execute_all(path, grid, outputs=outputs, workers=2, progress=False)


def settled(task: NotebookTask, outputs: Path) -> list[int]:
    """Do a task in this process, and return what it told."""
    told: list[int] = []
    task.work(outputs, "sweep", {}, told.append)
    return told


def test_one_task_tells_its_cells_and_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASGML_FIGURES", "figures")  # two at once would write the same pictures
    (tmp_path / "{braces} é").mkdir()
    path = write(
        tmp_path / "{braces} é" / "a b.ipynb",
        "name",
        "import os; os.getcwd(), os.environ['ASGML_FIGURES']",
    )
    (task,) = plan(path, {}, {"name": 'say "it\'s" {x} \\n é'}).tasks
    outputs = tmp_path / "{braces} é"
    assert settled(task, outputs) == [1, 2, 3, 3]  # papermill's own cell is not counted
    cells = nbformat.read(task.result(outputs), as_version=4).cells
    assert cells[-2].outputs[0].data["text/plain"] == repr('say "it\'s" {x} \\n é')
    shown = ast.literal_eval(cells[-1].outputs[0].data["text/plain"])  # in one line or in two
    assert shown == (str(Path.cwd()), str(Path.cwd() / "figures" / task.name))
    assert task.look(outputs).kind == "done"
    assert settled(task, outputs) == []
    notebooks.partial_of(task.result(outputs)).touch()
    task.renew(outputs)
    assert task.look(outputs).kind == "planned"
    assert [p.name for p in (outputs / "notebooks").iterdir()] == [task.place(outputs).name]


def test_what_changed_since_it_was_planned_is_not_executed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "1")
    (task,) = plan(path).tasks
    write(path, "2")
    with pytest.raises(NotebookError, match="changed after the sweep began"):
        settled(task, tmp_path)
    assert task.look(tmp_path).kind == "failed"
    path.unlink()
    with pytest.raises(NotebookError, match=r"a.ipynb: no such file"):
        settled(task, tmp_path)


def test_a_dead_kernel_is_a_failure_and_an_unknown_one_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "1", "import os; os.kill(os.getpid(), 9)")
    (task,) = plan(path, {}, {"workers": None}).tasks
    with pytest.raises(NotebookError, match=r"a.ipynb, cell 4: the kernel died; .* memory"):
        settled(task, tmp_path)
    assert task.result(tmp_path).exists()
    (task,) = plan(write(path, "1", kernelspec={"name": "none", "display_name": "x"})).tasks
    with pytest.raises(NotebookError, match="its kernel 'none' is not installed here"):
        settled(task, tmp_path)
    assert task.look(tmp_path).reason.endswith("is not installed here")


def fails_at_start(times: int, message: str) -> Callable[[], None]:
    left = [times]

    def execute() -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise RuntimeError(message)

    return execute


def test_a_start_that_failed_is_tried_again_and_nothing_else() -> None:
    cells, died = kernels._Cells(None), "Kernel died before replying to kernel_info"
    kernels._start(cells, fails_at_start(2, died))
    with pytest.raises(NotebookError, match="died at the start, 3 times"):
        kernels._start(cells, fails_at_start(3, died))
    with pytest.raises(NotebookError, match="said nothing for 180 s"):
        kernels._start(cells, fails_at_start(1, "Kernel didn't respond in 180 seconds"))
    with pytest.raises(RuntimeError, match="another"):
        kernels._start(cells, fails_at_start(1, "another"))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("papermill.execute_notebook", full)
    output = tmp_path / "out.ipynb"
    output.write_text("before")
    with pytest.raises(WriteError, match=r"out.ipynb could not be written \(No space left"):
        notebooks.execute(write(tmp_path / "a.ipynb"), output)
    assert output.read_text() == "before"


def test_somebody_else_s_notebook_is_left_alone(tmp_path: Path) -> None:
    (task,) = plan(write(tmp_path / "a.ipynb", "1")).tasks
    with claim(task.place(tmp_path)) as held:
        held.begin(1, task.key)
        with pytest.raises(RuntimeError, match="another process is at work"):
            settled(task, tmp_path)
        assert task.look(tmp_path).kind == "running"
    assert task.look(tmp_path).kind == "killed"


# Ending


def descendants(pid: int) -> set[int]:
    """Return the processes below one."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended
        parents[int(stat.parent.name)] = int(fields[1])
    found: set[int] = set()
    layer = {pid}
    while layer:
        layer = {child for child, parent in parents.items() if parent in layer} - found
        found |= layer
    return found


def alive(pids: set[int]) -> set[int]:
    """Return those that have not ended; one that nobody waited for has."""
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found.add(pid)
    return found


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


Worker = Callable[[Plan, Path], "subprocess.Popen[bytes]"]


@pytest.fixture
def worker() -> Iterator[Worker]:
    """Start workers by hand, which end with the test."""
    started = []

    def start(found: Plan, outputs: Path) -> subprocess.Popen[bytes]:
        call = Call(
            plan=str(found.save(outputs)), outputs=str(outputs), sweep="s", index=0, workers=1
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "asgml_core.worker"], stdin=subprocess.PIPE
        )
        started.append(process)
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(call)).encode() + b"\n")
        process.stdin.flush()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks into /proc")


@pytest.fixture
def adopting() -> Iterator[None]:
    """Let this process, and not the first one, become the parent of orphans, as a session does."""
    import ctypes

    system = ctypes.CDLL(None)
    system.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    yield
    system.prctl(36, 0)


@linux
@pytest.mark.usefixtures("adopting")
@pytest.mark.parametrize("moment", ["starting", "working"])
def test_a_killed_worker_leaves_no_kernel_and_the_next_goes_on(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: Worker
) -> None:
    monkeypatch.chdir(tmp_path)
    found = plan(write(tmp_path / "a.ipynb", WAITS, "seed"), {"seed": [5]})
    process = worker(found, tmp_path)
    if moment == "working":
        until(Path("pid").exists)
    until(lambda: descendants(process.pid))
    below = descendants(process.pid)
    process.kill()
    process.wait()
    until(lambda: not alive(below), 3)
    for orphan in below:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(orphan, 0)
    (task,) = found.tasks
    assert task.look(tmp_path).kind == "killed"
    assert not task.result(tmp_path).exists()
    if moment == "working":
        Path("go").touch()
        settled(task, tmp_path)
        assert task.look(tmp_path).kind == "done"
        assert [p.name for p in (tmp_path / "notebooks").glob(".*")] == []


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_worker_says_so_and_ends_its_kernel(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: Worker
) -> None:
    monkeypatch.chdir(tmp_path)
    found = plan(write(tmp_path / "a.ipynb", WAITS))
    process = worker(found, tmp_path)
    until(Path("pid").exists)
    below = descendants(process.pid)
    assert int(Path("pid").read_text()) in below
    os.kill(process.pid, number)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert not alive(below)
    (task,) = found.tasks
    status = task.look(tmp_path)
    assert status.kind == "stopped"
    assert status.reason == f"stopped by {'SIGTERM' if number == signal.SIGTERM else 'Ctrl-C'}"
    assert not list((tmp_path / "notebooks").glob("*.ipynb"))


# The project's own


def smoke(tmp_path: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "asgml_core.cli", "notebooks", "04_v2_boost", "--seeds", "0-1",
        "-p", "epochs", "1", "--outputs", str(tmp_path), *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_04_over_two_seeds(tmp_path: Path) -> None:
    done = subprocess.run(
        smoke(tmp_path, "--workers", "2"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    runs = sorted((tmp_path / "synth-demo-1epochs" / "sweep").glob("*/record.json"))
    assert len(runs) == 20
    assert done.stdout.splitlines() == [
        str(tmp_path / "notebooks" / f"04_v2_boost-seed_{seed}-epochs_1.ipynb") for seed in (0, 1)
    ]


@pytest.mark.slow
@linux
def test_04_killed_at_work_leaves_nothing_and_goes_on(tmp_path: Path, worker: Worker) -> None:
    found = plan(ROOT / "book" / "04_v2_boost.ipynb", {}, {"epochs": 3}, workers=2)
    process = worker(found, tmp_path)
    folder = tmp_path / "synth-demo-3epochs" / "sweep"
    until(lambda: list(folder.glob("*/checkpoint.pt")))
    below = descendants(process.pid)
    assert len(below) >= 2  # the kernel and its workers
    process.kill()
    process.wait()
    until(lambda: not alive(below), 30)
    (task,) = found.tasks
    assert task.look(tmp_path).kind == "killed"
    begun = {read_state(p)["state"] for p in folder.glob("*/state.json")}
    assert begun <= {"done", "stopped", "running"}
    assert worker(found, tmp_path).wait(300) == 0
    assert task.look(tmp_path).kind == "done"
