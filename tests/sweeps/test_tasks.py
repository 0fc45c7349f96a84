"""How a run stands, by what lies in its folder; and how a worker goes through a plan."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_task import ToyTask, toy

from asgml_core import RunConfig
from asgml_core.claims import BusyError, claim, read_state
from asgml_core.plans import plan_of
from asgml_core.tasks import CHECKPOINT, RECORD, RunTask
from asgml_core.worker import in_order


@pytest.fixture
def task(tiny: Callable[..., RunConfig]) -> RunTask:
    (only,) = plan_of("p", [tiny()]).tasks
    assert isinstance(only, RunTask)
    return only


def say(task: RunTask, outputs: Path, key: str | None = None, **values: object) -> None:
    with claim(task.place(outputs), "s") as held:
        held.begin(task.size, task.key if key is None else key)
        held.say(**values)


def write_record(task: RunTask, outputs: Path, key: str) -> None:
    task.folder(outputs).mkdir(parents=True, exist_ok=True)
    (task.folder(outputs) / RECORD).write_text(json.dumps({"identity": {"key": key}}))


def test_nothing_is_planned(task: RunTask, tmp_path: Path) -> None:
    status = task.look(tmp_path)
    assert (status.kind, status.epoch, status.reason) == ("planned", 0, "")
    assert not task.folder(tmp_path).exists()  # looking leaves nothing behind


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"state": "running", "epoch": 1}, "killed"),
        ({"state": "stopped", "epoch": 1, "reason": "stopped by SIGTERM"}, "stopped"),
        ({"state": "failed", "epoch": 1, "reason": "full"}, "failed"),
        ({"state": "diverged", "epoch": 1, "step": 5, "reason": "nan"}, "diverged"),
        ({"state": "done", "epoch": 2}, "planned"),  # its record was removed
    ],
)
def test_each_end_has_its_name(
    task: RunTask, tmp_path: Path, said: dict[str, object], kind: str
) -> None:
    say(task, tmp_path, **said)
    status = task.look(tmp_path)
    assert status.kind == kind
    assert status.reason == ("" if kind == "planned" else said.get("reason", ""))
    if kind != "planned":
        assert status.epoch == 1


def test_one_at_work_is_running(task: RunTask, tmp_path: Path) -> None:
    with claim(task.place(tmp_path)) as held:
        assert task.look(tmp_path).kind == "planned"  # it only looks
        held.begin(2, task.key)
        held.say(epoch=1)
        assert task.look(tmp_path).kind == "running"
        with pytest.raises(BusyError):
            task.renew(tmp_path)
    assert task.look(tmp_path).kind == "killed"


def test_a_record_counts_whatever_the_state_says(task: RunTask, tmp_path: Path) -> None:
    write_record(task, tmp_path, task.key)
    assert task.look(tmp_path).kind == "done"
    say(task, tmp_path, state="running", epoch=1)  # killed after its last write
    assert (task.look(tmp_path).kind, task.look(tmp_path).epoch) == ("done", 2)
    write_record(task, tmp_path, "another key")
    assert task.look(tmp_path).kind == "other"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"identity": 3}', b"[" * 5000])
def test_a_damaged_record_is_named(task: RunTask, tmp_path: Path, content: bytes) -> None:
    write_record(task, tmp_path, "")
    (task.folder(tmp_path) / RECORD).write_bytes(content)
    status = task.look(tmp_path)
    assert status.kind == "damaged"
    assert RECORD in status.reason


@pytest.mark.parametrize("state", ["running", "stopped", "failed", "diverged"])
def test_what_others_left_is_theirs_when_work_would_go_on_from_it(
    task: RunTask, tmp_path: Path, state: str
) -> None:
    say(task, tmp_path, key="another", state=state)
    assert task.look(tmp_path).kind == "planned"
    (task.folder(tmp_path) / CHECKPOINT).touch()
    assert task.look(tmp_path).kind == "other"
    with claim(task.place(tmp_path)) as held:
        held.begin(2, "another")
        assert task.look(tmp_path).kind == "running"
    task.renew(tmp_path)
    assert task.look(tmp_path).kind == "planned"
    assert [path.name for path in task.folder(tmp_path).iterdir()] == ["state.json"]


def test_renewing_removes_everything_and_not_through_links(task: RunTask, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    write_record(task, tmp_path, "k")
    folder = task.folder(tmp_path)
    (folder / "link").symlink_to(outside)
    (folder / "events").mkdir()
    (folder / "events" / "one").touch()
    task.renew(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["state.json"]
    assert (outside / "file").exists()
    assert read_state(task.place(tmp_path)) == {}


def test_the_changed_run_is_not_the_planned_one(task: RunTask, tmp_path: Path) -> None:
    from asgml_core.runs import RunError

    changed = RunTask(name=task.name, key="before", size=2, data="", values=task.values)
    with pytest.raises(RunError, match="changed after the sweep began; start it anew"):
        changed.work(tmp_path, "s", {}, lambda epoch: None)


def test_looking_imports_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from asgml_core.tasks import RunTask\n"
        "import asgml_core.plans, asgml_core.claims\n"
        "RunTask(name='a', key='k', size=1, data='', values={}).look(Path('nowhere'))\n"
        "asgml_core.plans.saved_plans(Path('nowhere'))\n"
        "sys.exit(int(bool({'torch', 'numpy', 'pandas'} & set(sys.modules))))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------------- the order of work


@given(groups=st.lists(st.integers(1, 5), max_size=8), workers=st.integers(1, 12))
def test_every_worker_looks_at_every_task_once(groups: list[int], workers: int) -> None:
    tasks: list[ToyTask] = []
    for group, count in enumerate(groups):
        tasks += [toy(f"{group}-{i}", data=str(group)) for i in range(count)]
    first = []
    for index in range(2 * workers):  # those that take another's place have higher numbers
        order = in_order(tuple(tasks), index, workers)
        assert sorted(t.name for t in order) == sorted(t.name for t in tasks)
        first += [t.name for t in order[:1]]
    if len(tasks) >= workers:
        assert len(set(first)) == workers  # each begins somewhere else
    if len(groups) >= workers:
        assert all(name.endswith("-0") for name in first)  # where data begin
