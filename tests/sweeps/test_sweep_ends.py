"""However a task or its worker ends, the others go on, and the next sweep does what is left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_task import ToyTask, starts, toy, toys

from asgml_core import sweep as sweeps
from asgml_core.claims import claim, read_state
from asgml_core.plans import SWEEPS, Plan
from asgml_core.sweep import Options, SweepError, carry_out, look_at

Carry = Callable[..., dict[str, str]]


def reason(outputs: Path, task: ToyTask) -> str:
    return task.look(outputs).reason


@pytest.mark.parametrize("how", ["kill", "abort", "segfault"])
def test_a_worker_that_crashes_is_replaced(sweep: Carry, tmp_path: Path, how: str) -> None:
    plan = toys(toy("a"), toy("b", how=how), toy("c"))
    assert sweep(plan) == dict.fromkeys("abc", "done")
    assert starts(tmp_path) == ["a", "b", "b", "c"]


def test_a_task_that_is_killed_again_and_again_is_left_until_the_next_sweep(
    sweep: Carry, tmp_path: Path
) -> None:
    bad = toy("b", how="kill", at=1, times=3)
    plan = toys(toy("a"), bad, toy("c"))
    assert sweep(plan) == {"a": "done", "b": "failed", "c": "done"}
    assert "killed 3 times after epoch 0; the system does that where memory is short" in reason(
        tmp_path, bad
    )
    assert starts(tmp_path).count("b") == 3
    assert sweep(plan) == dict.fromkeys("abc", "done")
    assert starts(tmp_path) == ["a", "b", "b", "b", "c", "b"]


def test_deaths_count_anew_when_a_task_comes_further(sweep: Carry, tmp_path: Path) -> None:
    bad = toy("b", how="kill", at=2, times=4)  # the first death is after no checkpoint
    assert sweep(toys(bad)) == {"b": "failed"}
    assert "killed 3 times after epoch 1" in reason(tmp_path, bad)
    assert sweep(toys(bad)) == {"b": "done"}


def test_many_failures_in_a_row_do_not_stop_the_others(sweep: Carry, tmp_path: Path) -> None:
    """Each spoils its worker, so that more are replaced in a row than may die of nothing."""
    bad = [toy(f"bad{i}", how="spoil", at=1, times=9) for i in range(sweeps.MOST_DEATHS + 2)]
    found = sweep(toys(*bad, toy("good")))
    assert found.pop("good") == "done"
    assert set(found.values()) == {"failed"}
    assert sorted(starts(tmp_path)) == sorted([*found, "good"])  # each was tried once


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ("error", "failed", "it never acted"),
        ("spoil", "failed", "out of memory"),
        ("bug", "failed", "LookupError: no such thing"),
        ("before", "failed", "its data are gone"),  # before it could hold its state file
        ("diverge", "diverged", "the loss is nan"),
    ],
)
def test_a_failure_is_named_and_the_others_are_done(
    sweep: Carry, tmp_path: Path, how: str, kind: str, said: str
) -> None:
    bad = toy("b", how=how, times=1)
    assert sweep(toys(toy("a"), bad, toy("c"))) == {"a": "done", "b": kind, "c": "done"}
    assert said in reason(tmp_path, bad)
    with pytest.raises(SweepError, match=f"1 of 1 runs failed:\n  b: .*{said.split(':')[0]}"):
        sweeps._check_done(toys(bad), tmp_path)
    before = len(starts(tmp_path))
    again = sweep(toys(bad))
    if kind == "diverged":  # it would again
        assert again == {"b": "diverged"}
        assert len(starts(tmp_path)) == before
        assert sweep(toys(bad), again=True) == {"b": "done"}
    elif how != "before":
        assert again == {"b": "done"}


def test_what_fails_under_two_sweeps_at_once_is_not_handed_to_and_fro(tmp_path: Path) -> None:
    plan = toys(*(toy(f"bad{i}", how="error", times=99, at=1) for i in range(3)))
    options = Options(workers=1, progress=False, imports=("toy_worker",))
    threads = [threading.Thread(target=carry_out, args=(plan, tmp_path, options)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert len(starts(tmp_path)) <= 2 * 2 * len(plan.tasks)
    assert {status.kind for status in look_at(plan, tmp_path).values()} == {"failed"}


def test_workers_that_cannot_begin_end_the_sweep(tmp_path: Path) -> None:
    options = Options(workers=1, progress=False, imports=("no_such_module_at_all",))
    with pytest.raises(SweepError, match=r"ended with status 4.*No module named 'no_such"):
        carry_out(toys(toy("a")), tmp_path, options)


def test_a_sweep_leaves_only_its_plan(sweep: Carry, tmp_path: Path) -> None:
    sweep(toys(toy("a"), toy("b", how="kill")), workers=2)
    (plan,) = (tmp_path / SWEEPS).glob("*.json")
    assert Plan("toys", ()).name in plan.name
    assert not list((tmp_path / SWEEPS / "workers").iterdir())


# ---------------------------------------------------------------------- making room


def test_what_others_made_is_in_the_way(sweep: Carry, tmp_path: Path) -> None:
    sweep(toys(*(toy(name, key="old") for name in "abcdefgh"), toy("mine")))
    plan = toys(*(toy(name) for name in "abcdefgh"), toy("mine", key="k"))
    message = (
        r"8 of 9 cannot be used or replaced: a is another's\. The others: b, c, d, e, f and 2 more"
    )
    with pytest.raises(SweepError, match=message):
        sweep(plan)
    with pytest.raises(SweepError, match=r"1 of 2 cannot be used or replaced: a is another's\.$"):
        sweep(toys(toy("a"), toy("mine")))
    assert len(starts(tmp_path)) == 9  # nothing was begun


def test_renewing_replaces_only_what_others_made(sweep: Carry, tmp_path: Path) -> None:
    sweep(toys(toy("mine"), toy("theirs", key="old")))
    sweep(toys(toy("half", key="old", how="error", at=2, times=9)))  # begun, and not finished
    plan = toys(toy("mine"), toy("theirs"), toy("half"))
    assert sweep(plan, renew=True) == dict.fromkeys(("mine", "theirs", "half"), "done")
    assert sorted(starts(tmp_path)[3:]) == ["half", "theirs"]


def test_again_does_all_anew(sweep: Carry, tmp_path: Path) -> None:
    plan = toys(toy("a"), toy("b", key="old"), toy("c"))
    sweep(plan)
    (tmp_path / "toys" / "c" / "result").unlink()  # its epochs are there, and must not be used
    later = toys(toy("a"), toy("b"), toy("c"))
    assert sweep(later, again=True) == dict.fromkeys("abc", "done")
    assert starts(tmp_path) == [*"abc", *"abc"]
    assert "resumed" not in read_state(tmp_path / "toys" / "c" / "state.json")


@pytest.mark.parametrize("option", ["again", "renew"])
def test_what_is_at_work_is_not_replaced(sweep: Carry, tmp_path: Path, option: str) -> None:
    task = toy("a")
    sweep(toys(toy("a", key="old")))
    with claim(task.place(tmp_path)), pytest.raises(SweepError, match="Nothing was started"):
        sweep(toys(task), **{option: True})
    assert task.made(tmp_path) == "old"


def test_nothing_to_do_starts_nothing(sweep: Carry, tmp_path: Path) -> None:
    sweep(toys(toy("a")))
    (tmp_path / "starts").unlink()
    assert sweep(toys(toy("a"))) == {"a": "done"}
    assert starts(tmp_path) == []
