"""What has been prepared so far: one line per item, on disk only after its rows."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from asgml_core.config import differences
from asgml_core.datasets.cache import JOURNAL, SPLITS
from asgml_core.files import write_atomically
from asgml_core.preparing.plan import Item, PrepareError

LOCK = ".lock"


@dataclass(frozen=True)
class Entry:
    """What became of one item.

    Args:
        id: the item.
        message: why it failed; ``None`` when its rows are there.
        files: what was read, by role: see :func:`stamp`.
        facts: what was found while decoding.
        hashes: of its rows, by array.
        notes: what to know of it, a sentence each.
    """

    id: str
    message: str | None = None
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Journal:
    """The journal of one cache, held by one process.

    Args:
        folder: the cache's; made if needed.
        identity: what must be equal for the cache to be gone on with, JSON-able.

    Raises:
        PrepareError: when the folder holds something else, or another process holds it.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self.file = folder / JOURNAL
        self.identity = json.loads(json.dumps(identity))
        self.entries: dict[str, Entry] = {}
        self._whole = 0  # how many bytes of the file are whole lines
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Journal:
        self.folder.mkdir(parents=True, exist_ok=True)
        left = {path.name for path in self.folder.glob(f".{JOURNAL}.*.tmp")}  # of a kill
        foreign = sorted(set(os.listdir(self.folder)) - {LOCK} - left)
        if foreign and not self.file.is_file():
            raise PrepareError(
                f"{self.folder} holds {foreign[0]!r} and no cache that can be gone on with; "
                "choose an empty folder."
            )
        with contextlib.ExitStack() as stack:
            lock = stack.enter_context((self.folder / LOCK).open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PrepareError(f"{self.folder}: another process is preparing there.") from error
            for left in (*self.folder.glob(".*.tmp"), *self.folder.glob(f"{SPLITS}/.*.tmp")):
                left.unlink()  # of a kill in the middle of a write
            if self.file.is_file():
                self._read()
            else:
                self.clear()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _read(self) -> None:
        first, _ = _split_first(self.file.read_bytes())
        try:
            found = json.loads(first)["identity"]
        except (ValueError, KeyError, TypeError) as error:
            raise PrepareError(
                f"{self.file} is damaged in its first line; choose another folder."
            ) from error
        changed = differences(found, self.identity)
        if len(changed) > 1:  # what else differs says more than the hash of the names
            changed = [phrase for phrase in changed if not phrase.startswith("names ")]
        if changed:
            raise PrepareError(
                f"{self.folder} holds a cache of other settings or another source "
                f"({'; '.join(changed)}); choose another folder."
            )
        self.entries, self._whole = _read_lines(self.file)

    def add(self, entries: Iterable[Entry]) -> None:
        """Append lines and flush them to disk; the rows they speak of must be there already.

        Raises:
            OSError: when that fails; the lines of before are kept, and adding again is safe.
        """
        entries = list(entries)
        if not entries:
            return
        content = b"".join(_line(asdict(entry)) for entry in entries)
        with self.file.open("r+b", buffering=0) as file:
            # Half a line, of a full disk or a kill, would make all after it unreadable.
            file.truncate(self._whole)
            file.seek(self._whole)
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        self._whole += len(content)
        self.entries |= {entry.id: entry for entry in entries}

    def clear(self) -> None:
        """Forget every entry."""
        first = _line({"identity": self.identity})
        write_atomically(self.file, first)
        self.entries, self._whole = {}, len(first)

    def is_done(self, item: Item, source: Path) -> bool:
        """Return whether an item's rows are there and its files are still what they were."""
        entry = self.entries.get(item.id)
        if entry is None or entry.message is not None or set(entry.files) != set(item.files):
            return False
        return all(is_same(entry.files[role], path, source) for role, path in item.files.items())


def read_entries(folder: Path) -> dict[str, Entry]:
    """Return what became of each item of a cache that no process is preparing, by id."""
    return _read_lines(folder / JOURNAL)[0]


def _read_lines(file: Path) -> tuple[dict[str, Entry], int]:
    """Return the last entry of each item, and how many bytes of the file are whole lines."""
    first, rest = _split_first(file.read_bytes())
    entries, whole = {}, len(first)
    for line in rest.splitlines(keepends=True):
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            break
        if not line.endswith(b"\n"):
            break  # of a kill in the middle of a line: its item is decoded again
        entries[entry.id] = entry
        whole += len(line)
    return entries, whole


def _split_first(content: bytes) -> tuple[bytes, bytes]:
    end = content.find(b"\n") + 1
    return content[:end], content[end:]


def stamp(path: Path, source: Path) -> dict[str, Any]:
    """Return what a file, or a folder of files, was when it was read.

    Returns:
        ``file`` (relative to the source), ``bytes``, ``time`` (of the last change, in
        nanoseconds) and ``sha256``.
    """
    parts = _parts(path)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(os.fsencode(part.name) + b"\0")
        with part.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return {
        "file": relative(path, source),
        "bytes": sum(part.stat().st_size for part in parts),
        "time": max((part.stat().st_mtime_ns for part in parts), default=0),
        "sha256": digest.hexdigest(),
    }


def is_same(said: Mapping[str, Any], path: Path, source: Path) -> bool:
    """Return whether a file is what its :func:`stamp` says; it is read only if its time differs."""
    try:
        parts = _parts(path)
        if sum(part.stat().st_size for part in parts) != said["bytes"]:
            return False
        if max((part.stat().st_mtime_ns for part in parts), default=0) == said["time"]:
            return True
        return stamp(path, source)["sha256"] == said["sha256"]
    except OSError:
        return False  # gone or unreadable: decoding it will say so


def relative(path: Path, source: Path) -> str:
    """Return a path below the source as text with slashes; one elsewhere as it is."""
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else str(path)


def _parts(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(part for part in path.iterdir() if part.is_file())
    return [path]


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, allow_nan=False).encode() + b"\n"
