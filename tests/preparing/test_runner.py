"""Preparing: parallel or not, stopped or not, the same bytes; and no item is lost or made up."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_plan import ToyDecoder, contents, toy_plan, toy_source

from asgml_core.datasets.base import DataError
from asgml_core.datasets.cache import Cache
from asgml_core.preparing import runner
from asgml_core.preparing.plan import Plan, PrepareError, Report
from asgml_core.preparing.runner import prepare
from asgml_core.preparing.verify import verify

TOY = Path(__file__).parent / "toy_plan.py"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return toy_source(tmp_path / "source")


def quiet(plan: Plan, out: Path, workers: int = 0) -> Cache:
    return prepare(plan, out, workers=workers, progress=False)


def expected(source: Path, tmp_path: Path) -> dict[str, bytes]:
    """Return the files of a cache that was prepared at once."""
    quiet(toy_plan(source), tmp_path / "at once")
    return contents(tmp_path / "at once")


def report(cache: Cache) -> list[dict[str, str]]:
    with (cache.folder / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def calls_of(folder: Path) -> list[str]:
    return sorted(path.name.split(".")[0] for path in folder.iterdir())


def test_rows_facts_and_manifest_are_what_the_decoder_gave(source: Path, tmp_path: Path) -> None:
    cache = quiet(toy_plan(source), tmp_path / "cache")
    assert len(cache.rows) == 40
    for item, row in cache.rows.items():
        number = int(item[5:]) + 1
        assert (cache.array("pixels")[row] == number).all()
        assert np.array_equal(cache.array("wave")[row], np.linspace(0, number, 7, dtype="f4"))
    assert cache.column("number", ["item_07"]) == ["8"]
    said = cache.manifest
    assert said["counts"] == {
        "listed": 40, "decoded": 40, "failed": 0, "notes": 0, "ignored": 0,
    }  # fmt: skip
    assert said["source"]["files"] == 40
    assert said["source"]["bytes"] == sum(path.stat().st_size for path in source.iterdir())
    assert said["splits"]["all"]["items"] == {"test": 10, "train": 30}
    assert cache.split("all")["item_04"] == "test"
    assert verify(cache.folder, source, progress=False) == []


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_give_the_same_bytes(source: Path, tmp_path: Path, workers: int) -> None:
    quiet(toy_plan(source), tmp_path / "cache", workers)
    assert contents(tmp_path / "cache") == expected(source, tmp_path)


def test_a_bad_item_is_reported_and_the_others_are_there(source: Path, tmp_path: Path) -> None:
    for name, text in (("03", "x"), ("10", "11 nan"), ("11", "12 shape"), ("12", "13 dtype")):
        (source / f"item_{name}.txt").write_text(text)
    (source / "item_20.txt").write_text("21 note")
    cache = quiet(toy_plan(source), tmp_path / "cache")
    assert cache.failed == ("item_03", "item_10", "item_11", "item_12")
    assert len(cache.rows) == 36
    said = {line["id"]: line for line in report(cache)}
    assert said["item_03"]["message"] == "item_03.txt holds 'x', no number."
    assert said["item_10"]["message"] == "wave holds NaN or infinity."
    assert "came out as uint8 (2, 5), not uint8 (3, 5)" in said["item_11"]["message"]
    assert "came out as float64 (7,), not float32 (7,)" in said["item_12"]["message"]
    assert said["item_20"]["kind"] == "note"
    assert {said[name]["kind"] for name in cache.failed} == {"failed"}
    with pytest.raises(KeyError):
        cache.stored("pixels", ["item_03"])


def test_an_item_that_ends_its_worker_fails_alone(source: Path, tmp_path: Path) -> None:
    (source / "item_09.txt").write_text("die")
    cache = quiet(toy_plan(source), tmp_path / "cache", workers=2)
    assert cache.failed == ("item_09",)
    assert "item_09.txt: the process that decoded it died" in report(cache)[0]["message"]
    assert verify(cache.folder, progress=False) == []


def test_given_up_while_listing_is_not_decoded(source: Path, tmp_path: Path) -> None:
    (tmp_path / "calls").mkdir()
    lines = (Report("item_05", "x", "failed", "gone."), Report("", "y", "ignored", "other."))
    plan = toy_plan(source, ToyDecoder(tmp_path / "calls"), report=lines)
    cache = quiet(plan, tmp_path / "cache")
    assert cache.failed == ("item_05",)
    assert "item_05" not in calls_of(tmp_path / "calls")
    assert cache.manifest["counts"]["ignored"] == 1


def test_nothing_is_decoded_twice(source: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    (source / "item_03.txt").write_text("x")
    plan = toy_plan(source, ToyDecoder(calls))
    quiet(plan, tmp_path / "cache")
    assert calls_of(calls) == [item.id for item in plan.items]
    before = contents(tmp_path / "cache")

    def decoded_now() -> list[str]:
        for path in calls.iterdir():
            path.unlink()
        quiet(plan, tmp_path / "cache")
        return calls_of(calls)

    assert decoded_now() == ["item_03"]  # it failed, and is tried again
    assert contents(tmp_path / "cache") == before
    (source / "item_03.txt").write_text("4")
    assert decoded_now() == ["item_03"]
    assert contents(tmp_path / "cache") == expected(source, tmp_path)
    os.utime(source / "item_08.txt", (1, 1))  # another time, the same content
    assert decoded_now() == []
    (source / "item_08.txt").write_text("99")
    assert decoded_now() == ["item_08"]
    assert Cache.open(tmp_path / "cache").column("number", ["item_08"]) == ["99"]


@pytest.mark.parametrize("workers", [0, 2])
def test_kills_at_any_moment_lose_nothing(source: Path, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "cache"
    command = [sys.executable, str(TOY), str(source), str(out), str(workers)]
    draw = np.random.default_rng(workers)
    kills = 0
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (out / "journal.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(float(draw.uniform(0.05, 0.6)))
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
        if not (out / "manifest.json").exists():
            with pytest.raises(DataError, match="not finished"):
                Cache.open(out)
    assert kills
    assert subprocess.run(command, check=False).returncode == 0
    assert contents(out) == expected(source, tmp_path)


def test_workers_end_with_a_parent_that_was_killed(source: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(TOY), str(source), str(tmp_path / "cache"), "2"]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    children: list[str] = []
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not listed.exists():
        process.kill()
        process.wait()
        pytest.skip("this system does not list a process's children")
    while len(children) < 3 and time.monotonic() < deadline:  # two, and a tracker of resources
        children = listed.read_text().split()
        time.sleep(0.05)
    process.kill()
    process.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    states = [Path(f"/proc/{pid}/stat") for pid in children]
    alive = [path for path in states if path.exists() and " Z " not in path.read_text()]
    assert alive == []


def test_ctrl_c_keeps_what_is_decoded(source: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()

    class Interrupting(ToyDecoder):
        def __call__(self, items):
            if items[0].id == "item_20":
                raise KeyboardInterrupt
            return super().__call__(items)

    with pytest.raises(KeyboardInterrupt):
        quiet(toy_plan(source, Interrupting()), tmp_path / "cache")
    quiet(toy_plan(source, ToyDecoder(calls)), tmp_path / "cache")
    assert calls_of(calls) == [f"item_{i}" for i in range(20, 40)]
    assert contents(tmp_path / "cache") == expected(source, tmp_path)


@settings(max_examples=25)
@given(share=st.floats(0, 1))
def test_a_journal_cut_anywhere_gives_the_same_cache(
    share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp_path = tmp_path_factory.mktemp("cut")
    source = toy_source(tmp_path / "source", 9)
    quiet(toy_plan(source), tmp_path / "cache")
    before = contents(tmp_path / "cache")
    journal = tmp_path / "cache" / "journal.jsonl"
    first = journal.read_bytes().index(b"\n") + 1
    size = first + round(share * (journal.stat().st_size - first))
    journal.write_bytes(journal.read_bytes()[:size])
    quiet(toy_plan(source), tmp_path / "cache")
    assert contents(tmp_path / "cache") == before
    lines = journal.read_text().splitlines()
    assert sorted(json.loads(line)["id"] for line in lines[1:]) == sorted(
        item.id for item in toy_plan(source).items
    )


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_a_lost_array_is_decoded_anew(source: Path, tmp_path: Path, harm: str) -> None:
    quiet(toy_plan(source), tmp_path / "cache")
    file = tmp_path / "cache" / "wave.npy"
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-8])
    quiet(toy_plan(source), tmp_path / "cache")
    assert contents(tmp_path / "cache") == expected(source, tmp_path)


@pytest.mark.parametrize("limit", [600, 900, 1300, 3000])
def test_a_full_disk_is_said_and_gone_on_from(source: Path, tmp_path: Path, limit: int) -> None:
    # A limit on the size of files fails writes as a full disk does, at another place each time.
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        f"sys.path.insert(0, {str(TOY.parent)!r})\n"
        "from toy_plan import *\n"
        "try:\n"
        f"    prepare(toy_plan(Path({str(source)!r})), {str(tmp_path / 'cache')!r}, workers=0,"
        " progress=False)\n"
        "except OSError as error:\n    print(type(error).__name__, error)\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith(("PrepareError", "WriteError"))
    assert "could not be written (File too large)" in done.stdout
    assert not (tmp_path / "cache" / "manifest.json").exists()
    quiet(toy_plan(source), tmp_path / "cache")
    assert contents(tmp_path / "cache") == expected(source, tmp_path)


def test_no_space_is_said_before_the_work(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(runner.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(PrepareError, match=r"40 items need 0\.00 GB, but 0\.00 GB are free"):
        quiet(toy_plan(source), tmp_path / "cache")


def test_an_error_of_the_disk_in_a_worker_is_not_the_item_s(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(PrepareError, match="No space left on device"):
        quiet(toy_plan(source), tmp_path / "cache")
    monkeypatch.undo()
    quiet(toy_plan(source), tmp_path / "cache")
    assert contents(tmp_path / "cache") == expected(source, tmp_path)


def test_what_is_refused(source: Path, tmp_path: Path) -> None:
    plan = toy_plan(source)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").touch()
    with pytest.raises(PrepareError, match=r"holds 'thesis.tex' and no cache"):
        quiet(plan, tmp_path / "foreign")
    quiet(plan, tmp_path / "cache")
    with pytest.raises(PrepareError, match=r"other settings.*parameters.kind 'toy' -> 'new'"):
        quiet(toy_plan(source, parameters={"kind": "new"}), tmp_path / "cache")
    (source / "item_99.txt").write_text("1")
    with pytest.raises(PrepareError, match=r"another source \(items 40 -> 41\)"):
        quiet(toy_plan(source), tmp_path / "cache")
    with pytest.raises(PrepareError, match="nothing of 'toy' was found"):
        quiet(toy_plan(tmp_path / "nowhere"), tmp_path / "new")
    twice = toy_plan(source, items=(plan.items[0], plan.items[0]))
    with pytest.raises(PrepareError, match="'item_00' is there twice"):
        quiet(twice, tmp_path / "new")
    with pytest.raises(PrepareError, match=r"has the label 'a', but the classes are x"):
        quiet(toy_plan(source, classes=("x",)), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_two_at_once_are_refused(source: Path, tmp_path: Path) -> None:
    class Nested(ToyDecoder):
        def __call__(self, items):
            with pytest.raises(PrepareError, match="another process is preparing there"):
                quiet(toy_plan(source), tmp_path / "cache")
            return super().__call__(items)

    assert quiet(toy_plan(source, Nested()), tmp_path / "cache").failed == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said(source: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(PrepareError, match="Permission denied"):
        quiet(toy_plan(source), tmp_path / "locked" / "cache")
