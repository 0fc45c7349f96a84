"""Split files: read, checked line by line, and recognised by hash."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asgml_core.preparing.plan import PrepareError, Split

BOM = b"\xef\xbb\xbf"
#: How many characters of a wrong line a message shows.
SHOWN = 80


@dataclass(frozen=True)
class SplitLine:
    """One line of a split file: which item, of which class, and where it stands.

    Args:
        id: the item.
        label: its class, as the file gives it.
        where: file and line, for messages.
    """

    id: str
    label: str
    where: str


def text_hash(file: Path) -> str:
    """Return the SHA-256 of a text file without its byte-order mark and carriage returns."""
    return hashlib.sha256(_content(file)).hexdigest()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes().removeprefix(BOM).replace(b"\r\n", b"\n")
    except OSError as error:
        raise PrepareError(f"{file} could not be read ({error.strerror}).") from error


def read_lines(file: Path, fields: int, delimiter: str = ",") -> Iterator[tuple[str, list[str]]]:
    """Yield file and line number, and the fields, of every line that is not empty.

    Args:
        file: a text file, UTF-8, with or without a byte-order mark.
        fields: how many fields a line has.
        delimiter: what stands between them.

    Raises:
        PrepareError: naming the line, when it has another number of fields or an empty one.
    """
    try:
        text = _content(file).decode("utf-8")
    except UnicodeDecodeError as error:
        raise PrepareError(f"{file} is no UTF-8 text: {error}.") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:  # line by line: a quote that is never closed must not take in the rest of the file
            values = [field.strip() for field in next(csv.reader([line], delimiter=delimiter))]
        except csv.Error as error:
            raise PrepareError(f"{where} cannot be read: {error}.") from error
        if len(values) != fields or not all(values):
            raise PrepareError(
                f"{where} is {line[:SHOWN]!r}, but {fields} fields between {delimiter!r} are "
                "needed."
            )
        yield where, values


def join_parts(
    files: Mapping[str, Path],
    lines: Callable[[Path], Iterator[SplitLine]],
    known: Mapping[str, Mapping[str, str]],
    hash_of: Callable[[Path], str] = text_hash,
) -> tuple[str, Split, dict[str, SplitLine]]:
    """Read the files of a split into one, refusing an item that is in it twice.

    Args:
        files: by part, ``train``, ``test`` and perhaps ``valid``.
        lines: reads one of them.
        known: splits by name, each with the hash of its files by part.
        hash_of: what hash that is.

    Returns:
        The split's name (a known one, or ``"own"``), the split, and the line of every item.

    Raises:
        PrepareError: naming both lines of an item that is in the split twice.
    """
    seen: dict[str, SplitLine] = {}
    parts: dict[str, str] = {}
    for part, file in files.items():
        for line in lines(file):
            if line.id in seen:
                raise PrepareError(
                    f"{line.where}: {line.id!r} is there already ({seen[line.id].where}); "
                    "every item belongs to one part, once."
                )
            seen[line.id], parts[line.id] = line, part
    hashes = {part: hash_of(file) for part, file in files.items()}
    name = next((name for name, said in known.items() if said == hashes), "own")
    facts = {
        "rule": "from files" if name == "own" else f"the published files of {name!r}, by hash",
        "files": {part: {"name": files[part].name, "sha256": hashes[part]} for part in files},
    }
    return name, Split(parts, facts), seen
