"""The journal and the last step: after a failed write, beside foreign files, with nothing to do."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from toy_plan import ToyDecoder, contents, toy_plan, toy_source

from asgml_core.cli import main
from asgml_core.datasets.cache import Cache
from asgml_core.preparing import finish, runner
from asgml_core.preparing.journal import Entry, Journal, read_entries
from asgml_core.preparing.plan import Decoded, Item, ItemError, Plan, PrepareError
from asgml_core.preparing.runner import prepare
from asgml_core.preparing.verify import verify


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return toy_source(tmp_path / "source", 20)


def quiet(plan: Plan, out: Path, workers: int = 0) -> Cache:
    return prepare(plan, out, workers=workers, progress=False)


def at_once(source: Path, tmp_path: Path) -> dict[str, bytes]:
    quiet(toy_plan(source), tmp_path / "at once")
    return contents(tmp_path / "at once")


def failing_write(monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    """Let the next write to a journal stop after some bytes, as on a full disk."""
    real, left = os.fsync, ["once"]

    def half(handle: int) -> None:
        name = os.readlink(f"/proc/self/fd/{handle}")
        if name.endswith("journal.jsonl") and left:
            left.clear()
            os.ftruncate(handle, max(0, os.fstat(handle).st_size - written))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", half)


on_linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")


@on_linux
@pytest.mark.parametrize("lost", [0, 1, 30, 100])
def test_what_is_added_after_a_half_failed_write_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    with Journal(tmp_path / "cache", {"kind": "toy"}) as journal:
        journal.add([Entry("before")])
        failing_write(monkeypatch, lost)
        with pytest.raises(OSError, match="No space left"):
            journal.add([Entry("first", message="x" * 40), Entry("second")])
        assert list(journal.entries) == ["before"]
        journal.add([Entry("second"), Entry("third")])
    assert list(read_entries(tmp_path / "cache")) == ["before", "second", "third"]
    with Journal(tmp_path / "cache", {"kind": "toy"}) as journal:
        assert list(journal.entries) == ["before", "second", "third"]


@on_linux
def test_a_preparation_loses_nothing_by_a_half_failed_write(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    monkeypatch.setattr(runner, "SYNC_SECONDS", 0.0)
    failing_write(monkeypatch, 50)
    with pytest.raises(PrepareError, match=r"No space left.*what was prepared so far is kept"):
        quiet(toy_plan(source, ToyDecoder(calls)), tmp_path / "cache")
    first = {path.name.split(".")[0] for path in calls.iterdir()}
    assert first == {"item_00", "item_01", "item_02", "item_03"}  # added when stopping
    quiet(toy_plan(source, ToyDecoder(calls)), tmp_path / "cache")
    assert len(list(calls.iterdir())) == 20  # none of them twice
    assert contents(tmp_path / "cache") == at_once(source, tmp_path)


@pytest.mark.parametrize("half", [b"", b"{", b'{"id": "item_07"', b"\n\n", b"\xff" * 9, b"[]\n"])
def test_half_a_line_at_the_end_is_written_over(source: Path, tmp_path: Path, half: bytes) -> None:
    quiet(toy_plan(source), tmp_path / "cache")
    journal = tmp_path / "cache" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:8]) + half)
    quiet(toy_plan(source), tmp_path / "cache")
    assert contents(tmp_path / "cache") == at_once(source, tmp_path)
    assert len(read_entries(tmp_path / "cache")) == 20
    assert all(json.loads(line) for line in journal.read_text().splitlines())


# Files that are there already.


def test_a_manifest_without_a_journal_is_not_touched(source: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "cache"
    foreign.mkdir()
    (foreign / "manifest.json").write_text('{"mine": 1}')
    with pytest.raises(PrepareError, match=r"holds 'manifest\.json' and no cache that can be gone"):
        quiet(toy_plan(source), foreign)
    assert (foreign / "manifest.json").read_text() == '{"mine": 1}'
    assert os.listdir(foreign) == ["manifest.json"]


@pytest.mark.parametrize("kind", ["another cache's", "no JSON", "other versions and splits"])
def test_a_foreign_manifest_beside_a_journal_is_replaced(
    source: Path, tmp_path: Path, kind: str
) -> None:
    expected = at_once(source, tmp_path)
    out = tmp_path / "cache"
    quiet(toy_plan(source), out)
    if kind == "another cache's":
        other = toy_source(tmp_path / "other", 9)
        text = quiet(toy_plan(other), tmp_path / "other cache").folder / "manifest.json"
        shutil.copy(text, out / "manifest.json")
    elif kind == "no JSON":
        (out / "manifest.json").write_bytes(b"\xff")
    else:
        said = json.loads((out / "manifest.json").read_text())
        said["fingerprint"], said["versions"] = "0" * 16, {"asgml_core": "9"}
        (out / "manifest.json").write_text(json.dumps(said))
    quiet(toy_plan(source), out)
    assert contents(out) == expected
    assert verify(out, source, progress=False) == []


def test_a_journal_of_another_source_is_refused_and_kept(source: Path, tmp_path: Path) -> None:
    other = toy_source(tmp_path / "other", 9)
    quiet(toy_plan(other), tmp_path / "cache")
    before = contents(tmp_path / "cache")
    with pytest.raises(PrepareError, match=r"another source \(items 9 -> 20\); choose another"):
        quiet(toy_plan(source), tmp_path / "cache")
    assert contents(tmp_path / "cache") == before


@pytest.mark.parametrize("finished", [True, False])
def test_temporary_files_of_a_kill_are_removed(
    source: Path, tmp_path: Path, finished: bool
) -> None:
    out = tmp_path / "cache"
    if finished:
        quiet(toy_plan(source), out)
        (out / "splits" / ".all.csv.x1.tmp").write_bytes(b"id,pa")
        (out / ".manifest.json.y2.tmp").write_bytes(b"{")
    out.mkdir(exist_ok=True)
    (out / ".journal.jsonl.z3.tmp").write_bytes(b'{"identity"')
    quiet(toy_plan(source), out)
    assert contents(out) == at_once(source, tmp_path)
    assert list(out.rglob("*.tmp")) == []


def test_temporary_files_of_others_are_foreign(source: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "thesis.tmp").touch()
    with pytest.raises(PrepareError, match=r"holds 'thesis\.tmp' and no cache"):
        quiet(toy_plan(source), tmp_path / "cache")
    assert (tmp_path / "cache" / "thesis.tmp").exists()


# Nothing to do.


def times(folder: Path) -> dict[str, tuple[int, int]]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def test_where_nothing_is_to_do_nothing_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cache"
    quiet(toy_plan(source), out)
    before = times(out)
    assert len(before) == 7
    quiet(toy_plan(source), out)
    assert times(out) == before
    # What decoded the cache stays in the manifest when other versions find it complete.
    monkeypatch.setattr(finish, "__version__", "99.0")
    assert quiet(toy_plan(source), out).manifest["versions"]["asgml_core"] != "99.0"
    assert times(out) == before
    (source / "item_03.txt").write_text("77")
    cache = quiet(toy_plan(source), out)
    assert cache.manifest["versions"]["asgml_core"] == "99.0"
    assert cache.column("number", ["item_03"]) == ["77"]


@pytest.mark.parametrize("name", ["items.csv", "report.csv", "splits/all.csv"])
def test_a_table_that_was_edited_or_lost_is_written_anew(
    source: Path, tmp_path: Path, name: str
) -> None:
    out, expected = tmp_path / "cache", at_once(source, tmp_path)
    quiet(toy_plan(source), out)
    (out / name).write_text((out / name).read_text() + "more\n")
    quiet(toy_plan(source), out)
    assert contents(out) == expected
    (out / name).unlink()
    quiet(toy_plan(source), out)
    assert contents(out) == expected


# A source that changes, and workers.


class Vanishing(ToyDecoder):
    """Removes a file of the source before, or just after, it is decoded."""

    before = True

    def __call__(self, items: Sequence[Item]) -> list[Decoded | ItemError]:
        gone = [item.files["number"] for item in items if item.id == "item_06"]
        decoded = [] if self.before and gone else super().__call__(items)
        for path in gone:
            path.unlink(missing_ok=True)
        return decoded or super().__call__(items)


class VanishingAfter(Vanishing):
    before = False


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (Vanishing, r"item_06\.txt could not be read \(No such file or directory\)\."),
        (VanishingAfter, r"item_06\.txt could not be read again \(No such file or directory\)\."),
    ],
)
def test_a_source_file_that_vanishes_is_its_item_s_error_alone(
    source: Path, tmp_path: Path, workers: int, decoder: type[Vanishing], message: str
) -> None:
    cache = quiet(toy_plan(source, decoder()), tmp_path / "cache", workers)
    assert cache.failed == ("item_06",)
    said = (cache.folder / "report.csv").read_text()
    assert re.search(message, said)
    assert verify(cache.folder, progress=False) == []
    (source / "item_06.txt").write_text("7")
    quiet(toy_plan(source), cache.folder)
    assert contents(cache.folder) == at_once(source, tmp_path)


@pytest.mark.parametrize("workers", [-1, -8, 1.5, True, "2"])
def test_an_impossible_number_of_workers_is_refused(
    source: Path, tmp_path: Path, workers: object
) -> None:
    with pytest.raises(
        ValueError, match=rf"^workers is {workers!r}, but must be a whole number of 0"
    ):
        prepare(toy_plan(source), tmp_path / "cache", workers=workers, progress=False)
    assert not (tmp_path / "cache").exists()


def test_the_command_refuses_negative_workers(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "prepare", "cremad", "--source", str(source), "--out", str(tmp_path / "c")]
    assert main([*command, "--workers", "-1"]) != 0
    said = capsys.readouterr().err
    assert "workers is -1, but must be a whole number of 0 or more" in said
    assert "Traceback" not in said
    assert not (tmp_path / "c").exists()
