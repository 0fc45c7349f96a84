"""The on-disk cache that ``asgml data prepare`` writes and a run reads.

A cache is a folder::

    manifest.json       written last: without it the cache is unfinished
    items.csv           a line per listed item: id, label, group, row, status, facts, hashes
    report.csv          id, file, kind (failed, note, ignored), message
    splits/<name>.csv   id, part
    <array>.npy         a row per listed item; the row of a failed one is a hole nothing refers to
    journal.jsonl       what a later call of the same command goes on from

Nothing here is ever unpickled, and no file's name is taken from the manifest.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import reprlib
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asgml_core.datasets.base import DataError
from asgml_core.datasets.manifest import AGAIN, JOURNAL, MANIFEST, error_text, read_manifest
from asgml_core.datasets.stored import Stored
from asgml_core.paths import data_folders
from asgml_core.reading import MissingError, ReadError, open_file, short

ITEMS, REPORT, SPLITS = "items.csv", "report.csv", "splits"
COLUMNS = ("id", "label", "group", "row", "status")
HASH = "sha256/"
#: How many names of columns a message says.
NAMED = 20
PARTS = ("train", "valid", "test")
#: The largest table, in bytes and in lines; a line of items has some hundred bytes.
TABLE_BYTES, TABLE_LINES = 256 << 20, 2_500_000


def row_hash(row: np.ndarray) -> str:
    """Return the hash of one item's array, 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(np.ascontiguousarray(row).data.cast("B")).hexdigest()[:16]


def is_cache(path: str | Path) -> bool:
    """Return whether ``path`` is a folder with a cache, finished or not."""
    folder = Path(path)
    return (folder / MANIFEST).is_file() or (folder / JOURNAL).is_file()


def find_cache(name: str) -> Path:
    """Return the cache of a dataset in the first data folder that has it.

    Raises:
        DataError: naming the folders looked into and what to do.
    """
    for folder in data_folders():
        if is_cache(folder / name):
            return folder / name
    looked = ", ".join(str(folder / name) for folder in data_folders())
    raise DataError(
        f"no prepared cache at {looked}; 'asgml data prepare {name} --source DIR --out "
        f"data/{name}' makes one. Set ASGML_DATA to another data folder, or give the path."
    )


@dataclass(frozen=True)
class Cache:
    """A finished cache.

    Args:
        folder: where it is.
        manifest: the content of ``manifest.json``: dataset, classes, arrays, parameters, versions,
            counts, source, splits, fingerprint.
        items: the columns of ``items.csv``, text.
    """

    folder: Path
    manifest: Mapping[str, Any]
    items: Mapping[str, tuple[str, ...]]

    @classmethod
    def open(cls, folder: str | Path, dataset: str | None = None, *, edited: bool = False) -> Cache:
        """Open a cache; the arrays are looked at, not read.

        Args:
            folder: where it is.
            dataset: what it should hold; ``None`` takes any.
            edited: take a table of items too that was changed after it was written.

        Raises:
            DataError: when there is none, it is unfinished, of another format or dataset, or its
                files do not fit each other.
        """
        folder = Path(folder)
        cache = cls(folder, read_manifest(folder), read_table(folder / ITEMS, COLUMNS))
        found = cache.manifest["dataset"]
        if dataset is not None and found != dataset:
            raise DataError(
                f"{folder} is a cache of {short(found)}, but {dataset!r} was asked for."
            )
        listed = cache.manifest["counts"]["listed"]
        if len(cache.items["id"]) != listed:
            raise DataError(
                f"{folder / ITEMS} has {len(cache.items['id'])} lines, but {MANIFEST} counts "
                f"{listed} items."
            )
        cache._check_items()
        if not edited and not cache.has_own_table():
            raise DataError(
                f"{folder / ITEMS} is not the table that {MANIFEST} names: it was changed after it "
                f"was written; {AGAIN}."
            )
        for name in cache.manifest["arrays"]:
            cache.array(name)
        return cache

    def has_own_table(self) -> bool:
        """Return whether ``items.csv`` is, byte by byte, what was written with the manifest."""
        said = self.manifest.get("items_sha256")  # a cache of before this was written has none
        return said is None or said == file_hash(self.folder / ITEMS)

    def _check_items(self) -> None:
        """Check that every item is there once, has a class, and a row of its own."""
        listed = len(self.items["id"])
        seen, free = {""}, set(map(str, range(listed)))
        expected = {
            "id": "a name that no line before has",
            "label": f"one of the classes in {MANIFEST}",
            "row": f"a number from 0 to {listed - 1} that no line before has",
            "status": "'ok' or 'failed'",
        }
        for line, values in enumerate(zip(*(self.items[name] for name in COLUMNS), strict=True), 2):
            item, label, _, row, status = values
            rules = {
                "id": item not in seen,
                "label": label in self.classes,
                "row": row in free,
                "status": status in ("ok", "failed"),
            }
            if not all(rules.values()):
                wrong = next(name for name, kept in rules.items() if not kept)
                found = reprlib.repr(dict(zip(COLUMNS, values, strict=True))[wrong])
                raise DataError(
                    f"{self.folder / ITEMS}, line {line}: {wrong} is {found}, but "
                    f"{expected[wrong]} was expected; {AGAIN}."
                )
            seen.add(item)
            free.remove(row)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in label order."""
        return tuple(self.manifest["classes"])

    @property
    def splits(self) -> Mapping[str, Mapping[str, Any]]:
        """What the manifest says of each split, by name."""
        return self.manifest["splits"]

    @property
    def failed(self) -> tuple[str, ...]:
        """The ids of the items that could not be decoded or were not there."""
        pairs = zip(self.items["id"], self.items["status"], strict=True)
        return tuple(item for item, status in pairs if status != "ok")

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of every item that was decoded, by id, in order."""
        columns = (self.items[name] for name in ("id", "row", "status"))
        return {
            item: int(row) for item, row, status in zip(*columns, strict=True) if status == "ok"
        }

    def array(self, name: str) -> np.ndarray:
        """Return an array, memory-mapped and read-only; its holes are not to be read.

        Raises:
            DataError: when it is missing, or not as the manifest says.
        """
        said = self.manifest["arrays"][name]
        shape = (self.manifest["counts"]["listed"], *said["shape"])
        file, expected = self.folder / f"{name}.npy", f"{said['dtype']} {shape}"
        found, is_fortran, dtype, start = _read_header(file, expected)
        if found != shape or dtype != np.dtype(said["dtype"]):
            raise DataError(
                f"{file} is {str(dtype)[:100]} {short(found)}, but {MANIFEST} says {expected}; "
                f"{AGAIN}."
            )
        bytes_there = file.stat().st_size
        bytes_said = start + math.prod(shape) * dtype.itemsize
        if bytes_there != bytes_said:
            raise DataError(
                f"{file} has {bytes_there} bytes, but {expected} has {bytes_said}; {AGAIN}."
            )
        return np.memmap(file, dtype, "r", start, shape, "F" if is_fortran else "C")

    def column(self, name: str, ids: Iterable[str]) -> list[str]:
        """Return a column of ``items.csv`` for the given items, in their order."""
        if name not in self.items:
            raise DataError(f"{self.folder / ITEMS} has no column {name!r}; {AGAIN}.")
        values = dict(zip(self.items["id"], self.items[name], strict=True))
        return [values[item] for item in ids]

    def stored(self, name: str, ids: Sequence[str]) -> Stored:
        """Return an array's rows of the given items, unread, in their order."""
        rows = torch.tensor([self.rows[item] for item in ids], dtype=torch.long)
        return Stored(self.array(name), rows, tuple(self.column(HASH + name, ids)))

    def split(self, name: str) -> dict[str, str]:
        """Return the part of every item of a split, by id.

        Raises:
            DataError: when there is no such split, or its file is not the one the manifest names.
        """
        if name not in self.splits:
            there = ", ".join(map(repr, self.splits)) or "none"
            raise DataError(
                f"{self.folder} has no split {name!r}; it has {there}. "
                "Prepare it again with the folder of the split's files (--splits)."
            )
        file = self.folder / SPLITS / f"{name}.csv"
        table = read_table(file, ("id", "part"))
        if twice := [item for item, times in Counter(table["id"]).items() if times > 1]:
            raise DataError(f"{file} has the item {short(twice[0])} more than once; {AGAIN}.")
        for line, part in enumerate(table["part"], 2):
            if part not in PARTS:
                raise DataError(
                    f"{file}, line {line}: part is {short(part)}, but one of "
                    f"{', '.join(PARTS)} was expected; {AGAIN}."
                )
        parts = dict(zip(table["id"], table["part"], strict=True))
        if split_hash(parts) != self.splits[name]["sha256"]:
            raise DataError(
                f"{file} is not the split that {MANIFEST} names: it was changed after it was "
                f"written; {AGAIN}."
            )
        return parts


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def _read_header(file: Path, expected: str) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Return shape, order and type of an array, and where its values begin.

    The file is mapped later: mapping a header that lies, as of a type without a size, can end the
    whole process with a signal.
    """
    if not file.is_file():
        raise DataError(f"{file} is missing, but {expected} was expected; {AGAIN}.")
    try:
        with open_file(file) as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a header in an old or a strange form
            version = np.lib.format.read_magic(opened)
            if version not in _HEADERS:
                raise ValueError(f"its header is of version {version}")
            shape, is_fortran, dtype = _HEADERS[version](opened)
            size = math.prod(shape) * dtype.itemsize
            if dtype.hasobject or not 0 < size < 1 << 62 or min(shape, default=1) < 1:
                raise ValueError(f"its header says {str(dtype)[:60]} {short(shape)}")
            return shape, is_fortran, dtype, opened.tell()
    # A damaged header is read as a Python literal, which fails in all these ways.
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
            MemoryError, RecursionError, SyntaxError, tokenize.TokenError) as error:  # fmt: skip
        said = error_text(error)[:100]
        raise DataError(
            f"{file} is no readable array of numbers ({said}), but {expected} was expected; "
            f"{AGAIN}."
        ) from error


def file_hash(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def split_hash(parts: Mapping[str, str]) -> str:
    """Return the SHA-256 of a split: its ``id,part`` lines in the order of the ids."""
    lines = "".join(f"{item},{part}\n" for item, part in sorted(parts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_table(file: Path, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of a CSV file with a header, as text.

    Raises:
        DataError: when the file is missing or damaged, or lacks a column.
    """
    header: list[str] = []
    rows: list[list[str]] = []
    try:
        opened = open_file(file, TABLE_BYTES)
        with io.TextIOWrapper(opened, encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            header = next(reader, [])
            for row in reader:
                rows.append(row)
                if len(rows) > TABLE_LINES:
                    raise DataError(f"{file} has more than the {TABLE_LINES:,} lines expected.")
                if len(row) != len(header):
                    raise DataError(
                        f"{file}, line {reader.line_num}: it has {len(row)} values, but "
                        f"{len(header)} were expected; {AGAIN}."
                    )
    except DataError:
        raise
    except MissingError as error:
        said = error_text(error.__cause__)
        raise DataError(f"{file} is missing or damaged ({said}); {AGAIN}.") from error
    except ReadError as error:
        raise DataError(f"{error.said}; {AGAIN}.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{file} is missing or damaged ({error_text(error)}); {AGAIN}.") from error
    _check_header(file, header, columns)
    values = zip(*rows, strict=True) if rows else ((),) * len(header)
    return dict(zip(header, values, strict=True))


def _check_header(file: Path, header: list[str], columns: Sequence[str]) -> None:
    there = ", ".join(map(short, header[:NAMED])) or "none"
    for name in columns:
        if name not in header:
            raise DataError(f"{file} has no column {name!r}; it has {there}; {AGAIN}.")
    name, times = Counter(header).most_common(1)[0]
    if times > 1:
        raise DataError(f"{file} has the column {short(name)} {times} times; {AGAIN}.")
