"""The state file: what it says, what it is taken to say, and whom it keeps out."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgml_core import claims
from asgml_core.claims import (
    SIZE,
    STATE,
    STATES,
    BusyError,
    Terminated,
    claim,
    is_held,
    read_state,
)
from asgml_core.files import WriteError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "run" / STATE


def write(place: Path, content: bytes) -> None:
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)


def test_a_claim_makes_its_page_says_and_lets_go(place: Path) -> None:
    with claim(place, "s") as held:
        assert place.stat().st_size == SIZE
        assert read_state(place) == {}
        held.begin(4, "key")
        assert is_held(place)
        held.say(epoch=2, durable=False)
        said = read_state(place)
        assert (said["state"], said["epoch"], said["epochs"]) == ("running", 2, 4)
        assert (said["sweep"], said["key"], said["pid"]) == ("s", "key", os.getpid())
    assert not is_held(place)
    assert place.stat().st_size == SIZE


def test_two_do_not_get_in(place: Path) -> None:
    with claim(place), pytest.raises(BusyError, match="another process is at work"), claim(place):
        pass
    with claim(place):
        pass


def test_a_lock_ends_with_its_process(place: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from asgml_core.claims import claim\n"
        "with claim(Path(sys.argv[1]), 's') as held: held.begin(3, 'k'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(place)], check=False).returncode == -9
    assert read_state(place)["state"] == "running"
    assert not is_held(place)
    with claim(place, "s") as held:
        assert held.before["state"] == "running"
        assert held.deaths == 1
    with claim(place, "another sweep") as held:
        assert held.deaths == 0


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"\0" * SIZE, b"{", b'{"state": "running"', b"[]", b'"running"', b"nul",
        b'{"state": "finished"}', b'{"state": ["running"]}', b"[" * SIZE, b"9" * SIZE,
        b"\xff\xfe{}", b'{"state": 1e999}', b'{"a":' * 700, bytes(range(256)) * 16,
    ],
)  # fmt: skip
def test_a_page_of_anything_else_says_nothing(place: Path, content: bytes) -> None:
    write(place, content)
    assert read_state(place) == {}
    with claim(place, "s") as held:  # and keeps nobody out
        assert held.before == {}
        assert held.deaths == 0
        held.begin(1, "k")
    assert read_state(place)["state"] == "running"


def test_a_value_of_another_type_was_not_said(place: Path) -> None:
    page = {"state": "running", "epoch": "4", "pid": True, "deaths": 2.0, "key": None, "more": 1}
    write(place, json.dumps({**page, "epochs": 9}).encode())
    assert read_state(place) == {"state": "running", "epochs": 9}


@given(content=st.binary(max_size=300))
def test_no_page_is_an_error(content: bytes) -> None:
    assert claims._parse(content).get("state", "done") in STATES


@given(text=st.text(max_size=5000) | st.text('\0\x1f"\\é€😀\ud800', max_size=5000))
def test_a_reason_of_any_length_fits_its_page(text: str) -> None:
    cut = claims._cut(text)
    assert len(json.dumps(cut)) <= claims.LONGEST + len(" ...")
    assert cut == text or cut.endswith(" ...")


@pytest.mark.parametrize("letter", ["x", "é", "😀", "\0", '"', "\ud800"])
def test_the_longest_reasons_are_read_back(place: Path, letter: str) -> None:
    with claim(place, "sweep-" * 20) as held:
        held.begin(100_000, "0" * 16)
        held.say(state="failed", reason=letter * 100_000, step=10**9, resumed=10**5)
    assert place.stat().st_size == SIZE
    said = read_state(place)
    assert said["state"] == "failed"
    assert said["reason"].endswith(" ...")
    with claim(place) as held:
        held.begin(1, "k")  # a shorter page leaves nothing of a longer one
    assert "reason" not in read_state(place)


def test_deaths_in_a_row_are_counted_until_one_comes_further(place: Path) -> None:
    def live(resumed: int | None = None) -> int:
        with claim(place, "s") as held:
            held.begin(9, "k")
            if resumed is not None:
                held.resumed(resumed)
            return held.deaths

    assert [live(), live(), live()] == [0, 1, 2]
    assert [live(3), live(3), live(3)] == [0, 1, 2]
    assert [live(4), live(4)] == [0, 1]
    with claim(place, "s") as held:
        held.begin(9, "k")
        held.say(state="stopped")
    assert live(4) == 0  # that one had not died


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (None, "done", None),
        (WriteError("full"), "failed", "full"),
        (LookupError("no key"), "failed", "LookupError: no key"),
        (KeyboardInterrupt(), "stopped", "stopped by Ctrl-C"),
        (Terminated(), "stopped", "stopped by SIGTERM"),
        (SystemExit(1), "stopped", "stopped by Ctrl-C"),
    ],
)
def test_how_work_ends_is_said(
    place: Path, error: BaseException | None, state: str, reason: str | None
) -> None:
    with contextlib.suppress(type(error) if error else ()), claim(place) as held:
        held.begin(1, "k")
        with held.ending():
            if error:
                raise error
    said = read_state(place)
    assert (said["state"], said.get("reason")) == (state, reason)
    assert not is_held(place)


def test_what_cannot_be_said_is_noted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with claim(place) as held:
        held.begin(1, "k")
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(LookupError) as caught, held.ending():
            raise LookupError
        monkeypatch.undo()
    assert "could not be written (No space left on device)" in caught.value.__notes__[0]


# ---------------------------------------------------------------------- the file itself


def test_a_file_removed_under_a_waiting_process_lets_one_in(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cleaning removes the file that another has opened and not yet locked."""
    lock = claims.fcntl.flock
    places = []

    def removed_first(handle: int, how: int) -> None:
        if not places:
            places.append(handle)
            place.unlink()
            place.touch()  # made again, by a third
        lock(handle, how)

    write(place, b"")
    monkeypatch.setattr(claims.fcntl, "flock", removed_first)
    with claim(place):
        assert claims._is_at(os.open(place, os.O_RDONLY), place)
        with pytest.raises(BusyError), claim(place):
            pass


def test_a_folder_removed_under_a_waiting_process_is_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = claims.fcntl.flock
    times = []

    def removed_first(handle: int, how: int) -> None:
        if not times:
            times.append(handle)
            place.unlink()
            place.parent.rmdir()
        lock(handle, how)

    monkeypatch.setattr(claims.fcntl, "flock", removed_first)
    with claim(place) as held:
        held.check()
        assert is_held(place)


def test_many_threads_that_claim_and_remove_are_never_two_at_once(place: Path) -> None:
    inside, most, entries = 0, 0, 0

    def go(number: int) -> None:
        nonlocal inside, most, entries
        for _ in range(40):
            try:
                with claim(place):
                    inside += 1
                    most, entries = max(most, inside), entries + 1
                    if number % 2:
                        place.unlink()
                    inside -= 1
            except BusyError:
                pass

    threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert entries > 40


@pytest.mark.parametrize("what", ["removed", "replaced", "renamed"])
def test_a_holder_notices_that_its_file_is_gone(place: Path, what: str) -> None:
    with claim(place) as held:
        held.check()
        if what == "renamed":
            place.parent.rename(place.parent.with_name("moved"))
        else:
            place.unlink()
        if what == "replaced":
            place.touch()
        with pytest.raises(WriteError, match="is gone: it was removed or moved"):
            held.check()


def test_what_is_no_file_is_named(place: Path, tmp_path: Path) -> None:
    place.mkdir(parents=True)
    assert read_state(place) == {}
    with pytest.raises(WriteError, match=r"state\.json could not be made \(Is a directory\)"), \
            claim(place):  # fmt: skip
        pass
    place.rmdir()
    place.symlink_to(tmp_path / "elsewhere")  # not written through
    with pytest.raises(WriteError, match="could not be made"), claim(place):
        pass
    place.unlink()
    os.mkfifo(place)
    assert read_state(place) == {}  # and does not wait for who writes into it
    with pytest.raises(WriteError, match="could not be made"), claim(place):
        pass


def test_no_file_says_nothing_and_is_held_by_nobody(place: Path) -> None:
    assert read_state(place) == {}
    assert not is_held(place)
