"""Plans: read as they were written, refused when damaged, and merged by name."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgml_core import RunConfig
from asgml_core.files import WriteError
from asgml_core.plans import SWEEPS, Plan, PlanError, plan_of, saved_plans
from asgml_core.tasks import RunTask


def run_task(name: str = "a_seed0", key: str = "k", **values: Any) -> RunTask:
    return RunTask(name=name, key=key, size=3, data="d", values=values)


def test_a_plan_is_read_as_it_was_written(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    configs = [tiny(name, seed=seed) for name in ("baseline", "boost_ogm") for seed in (0, 1)]
    plan = plan_of("mine", configs)
    path = plan.save(tmp_path)
    assert Plan.load(path) == plan
    assert plan.save(tmp_path) == path  # once, under a name made of its content
    assert [p.name for p in (tmp_path / SWEEPS).iterdir()] == [path.name]
    assert plan.size == 8
    # Those of the same data lie side by side, and each is the config that was given.
    assert [t.name for t in plan.tasks] == [
        "baseline_seed0", "boost_ogm_seed0", "baseline_seed1", "boost_ogm_seed1"
    ]  # fmt: skip
    found = {t.name: RunConfig.from_dict(t.values) for t in plan.tasks}
    assert found == {config.folder: config for config in configs}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff", b"[]", b"{}", b"[" * 100_000,
        b'{"format": 2, "name": "a", "tasks": []}',
        b'{"format": 1}', b'{"format": 1, "name": "a", "tasks": 3}',
        b'{"format": 1, "name": "a", "tasks": [3]}', b'{"format": 1, "name": "a", "tasks": [{}]}',
        b'{"format": 1, "name": 7, "tasks": []}',
    ],
)  # fmt: skip
def test_a_damaged_plan_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(PlanError, match=r"plan\.json|a plan has the name 7"):
        Plan.load(path)


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="plan"):
        Plan.load(tmp_path / "plan.json")
    (tmp_path / "plan.json").mkdir()
    with pytest.raises(PlanError, match="plan"):
        Plan.load(tmp_path / "plan.json")


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/b", "", ".", ".hidden", "a\0", "é",
                                  "a" * 151, "a b", "a\n"])  # fmt: skip
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = Plan("good", (run_task(),)).save(tmp_path)
    content = json.loads(path.read_text())
    for changed in ({**content, "name": name}, _with_task(content, name=name)):
        path.write_text(json.dumps(changed))
        with pytest.raises(PlanError, match="it names a file: letters, digits"):
            Plan.load(path)
    with pytest.raises(PlanError, match="it names a file: letters, digits"):
        Plan(name, ()).save(tmp_path / "not_made")
    assert not (tmp_path / "not_made").exists()


def _with_task(content: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**content, "tasks": [{**content["tasks"][0], **values}]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"type": "shell"}, "task 0: type is 'shell', not one of run, notebook"),
        ({"size": "3"}, "task 0: size is '3', not int"),
        ({"size": True}, "task 0: size is True, not int"),
        ({"values": []}, "task 0: values is \\[\\], not dict"),
        ({"key": None}, "task 0: key is None, not str"),
        ({"more": 1}, "task 0 does not have the fields"),
    ],
)
def test_a_damaged_task_is_named(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    path = Plan("good", (run_task(),)).save(tmp_path)
    path.write_text(json.dumps(_with_task(json.loads(path.read_text()), **values)))
    with pytest.raises(PlanError, match=message):
        Plan.load(path)


@given(content=st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["format", "name", "tasks", "type"]), inner, max_size=4),
))  # fmt: skip
def test_no_content_is_another_error(
    content: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps({"format": 1, "name": "a", "tasks": content}))
    with contextlib.suppress(PlanError):
        Plan.load(path)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two of the runs are called 'a_seed0'"):
        Plan("p", (run_task(), run_task(key="other")))


def test_what_was_asked_for_last_counts(tmp_path: Path) -> None:
    def keys() -> dict[str, dict[str, str]]:
        return {p.name: {t.name: t.key for t in p.tasks} for p in saved_plans(tmp_path)}

    first = Plan("p", (run_task("a", "1"), run_task("b", "1")))
    second = Plan("p", (run_task("b", "2"), run_task("c", "2")))
    old = first.save(tmp_path)
    os.utime(old, ns=(0, 0))
    second.save(tmp_path)
    Plan("p-q", (run_task("b", "3"),)).save(tmp_path)
    assert keys() == {"p": {"a": "1", "b": "2", "c": "2"}, "p-q": {"b": "3"}}
    assert [plan.name for plan in saved_plans(tmp_path, "p")] == ["p"]
    assert saved_plans(tmp_path, "q") == []
    for path in (tmp_path / SWEEPS).glob("*.json"):
        os.utime(path, ns=(10**9, 10**9))
    first.save(tmp_path)  # it is there, and is what counts now
    assert keys()["p"] == {"a": "1", "b": "1", "c": "2"}


def test_one_damaged_plan_is_named_among_others(tmp_path: Path) -> None:
    Plan("p", (run_task(),)).save(tmp_path)
    (tmp_path / SWEEPS / "p-0.json").write_text("{")
    with pytest.raises(PlanError, match=r"p-0\.json"):
        saved_plans(tmp_path)


def test_a_plan_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / SWEEPS).write_text("in the way")
    with pytest.raises(WriteError, match="could not be written"):
        Plan("p", (run_task(),)).save(tmp_path)
