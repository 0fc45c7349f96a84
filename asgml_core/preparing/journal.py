"""What has been prepared so far: one line per item, on disk only after its rows."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from asgml_core.config import differences
from asgml_core.datasets.cache import JOURNAL, SPLITS
from asgml_core.files import write_atomically
from asgml_core.preparing.plan import Item, PrepareError
from asgml_core.reading import ReadError, first_line, json_value, one_line, read_bytes

LOCK = ".lock"
#: The largest journal, in bytes; a line has some hundred.
MOST_BYTES = 1 << 30


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
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PrepareError(
                f"{self.folder} cannot be made ({first_line(error)}); choose another folder."
            ) from error
        left = {path.name for path in self.folder.glob(f".{JOURNAL}.*.tmp")}  # of a kill
        foreign = sorted(set(os.listdir(self.folder)) - {LOCK} - left)
        if foreign and not self.file.is_file():
            raise PrepareError(
                f"{self.folder} holds {foreign[0]!r} and no cache that can be gone on with; "
                "choose an empty folder."
            )
        with contextlib.ExitStack() as stack:
            lock = stack.enter_context(self._open_lock())
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

    def _open_lock(self) -> TextIO:
        """Open the lock, when nothing that is written here would be written elsewhere."""
        splits = self.folder / SPLITS
        inside = [*self.folder.iterdir(), *(splits.iterdir() if splits.is_dir() else ())]
        for path in inside:
            kind = path.lstat().st_mode
            if stat.S_ISLNK(kind):
                raise PrepareError(
                    f"{path} is a link to {os.readlink(path)}, but a file was expected: what is "
                    "prepared here would be written there. Put the file in its place, or choose "
                    "another folder."
                )
            if not stat.S_ISREG(kind) and path != splits:
                raise PrepareError(f"{path} is no file; choose another folder.")
        handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        return os.fdopen(handle, "r+")

    def _read(self) -> None:
        first, _ = _split_first(_content(self.file))
        try:
            found = json_value(first)["identity"]
        except (ValueError, LookupError, TypeError) as error:
            raise PrepareError(
                f"{self.file} is damaged in its first line; choose another folder."
            ) from error
        if not isinstance(found, dict):
            raise PrepareError(
                f"{self.file} is damaged in its first line: identity is no object of named fields; "
                "choose another folder."
            )
        changed = differences(found, self.identity)
        if len(changed) > 1:  # what else differs says more than the hash of the names
            changed = [phrase for phrase in changed if not phrase.startswith("names ")]
        if changed:
            raise PrepareError(
                f"{self.folder} holds a cache of other settings or another source "
                f"({one_line('; '.join(changed))}); choose another folder."
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
        if not set(self.identity.get("arrays", ())) <= set(entry.hashes):
            return False  # of a journal that was changed: its rows are decoded again
        return all(is_same(entry.files[role], path, source) for role, path in item.files.items())


def read_entries(folder: Path) -> dict[str, Entry]:
    """Return what became of each item of a cache that no process is preparing, by id.

    Raises:
        PrepareError: when its journal is missing or cannot be read.
    """
    return _read_lines(folder / JOURNAL)[0]


def _read_lines(file: Path) -> tuple[dict[str, Entry], int]:
    """Return the last entry of each item, and how many bytes of the file are whole lines."""
    first, rest = _split_first(_content(file))
    entries, whole = {}, len(first)
    for line in rest.splitlines(keepends=True):
        try:
            entry = _entry(json_value(line))
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break  # of a kill in the middle of a line: its item is decoded again
        entries[entry.id] = entry
        whole += len(line)
    return entries, whole


def _content(file: Path) -> bytes:
    try:
        return read_bytes(file, MOST_BYTES)
    except ReadError as error:
        raise PrepareError(str(error)) from error


def _entry(values: Any) -> Entry:
    """Return the entry that a line stands for.

    Raises:
        ValueError: when a field is missing, unknown, or of another type.
    """
    if not isinstance(values, dict) or not set(values) <= set(Entry.__dataclass_fields__):
        raise ValueError("a line holds something else than an entry.")
    entry = Entry(**{"id": None, **values})
    stamps = entry.files.values() if isinstance(entry.files, dict) else (None,)
    is_right = {
        "id": isinstance(entry.id, str),
        "message": entry.message is None or isinstance(entry.message, str),
        "files": all(map(_is_stamp, stamps)),
        "facts": isinstance(entry.facts, dict),
        "hashes": isinstance(entry.hashes, dict)
        and all(isinstance(value, str) for value in entry.hashes.values()),
        "notes": isinstance(entry.notes, (list, tuple))
        and all(isinstance(note, str) for note in entry.notes),
    }
    for name, right in is_right.items():
        if not right:
            raise ValueError(f"{name} is of another type than an entry's.")
    return entry


def _is_stamp(said: Any) -> bool:
    kinds = {"file": str, "bytes": int, "time": int, "sha256": str}
    return isinstance(said, dict) and all(type(said.get(n)) is kind for n, kind in kinds.items())


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
