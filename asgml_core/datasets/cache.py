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
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asgml_core.datasets.base import DataError
from asgml_core.datasets.stored import Stored
from asgml_core.paths import data_folders

FORMAT = 1
MANIFEST, ITEMS, REPORT, SPLITS, JOURNAL = (
    "manifest.json", "items.csv", "report.csv", "splits", "journal.jsonl",
)  # fmt: skip
COLUMNS = ("id", "label", "group", "row", "status")
HASH = "sha256/"


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
    def open(cls, folder: str | Path, dataset: str | None = None) -> Cache:
        """Open a cache; the arrays are looked at, not read.

        Args:
            folder: where it is.
            dataset: what it should hold; ``None`` takes any.

        Raises:
            DataError: when there is none, it is unfinished, of another format or dataset, or its
                files do not fit each other.
        """
        folder = Path(folder)
        cache = cls(folder, _read_manifest(folder), read_table(folder / ITEMS, COLUMNS))
        found = cache.manifest["dataset"]
        if dataset is not None and found != dataset:
            raise DataError(f"{folder} is a cache of {found!r}, but {dataset!r} was asked for.")
        listed = cache.manifest["counts"]["listed"]
        if len(cache.items["id"]) != listed:
            raise DataError(
                f"{folder / ITEMS} has {len(cache.items['id'])} lines, but {MANIFEST} counts "
                f"{listed} items."
            )
        cache._check_items()
        for name in cache.manifest["arrays"]:
            cache.array(name)
        return cache

    def _check_items(self) -> None:
        """Check that every item is there once, has a class, and a row of its own if it has one."""
        listed = len(self.items["id"])
        seen: dict[str, set[str]] = {"id": set(), "row": set()}
        for line, values in enumerate(zip(*(self.items[name] for name in COLUMNS), strict=True), 2):
            item, label, _, row, status = values
            rules = {
                "id": item not in seen["id"],
                "label": label in self.classes,
                "row": row.isdecimal() and int(row) < listed and row not in seen["row"],
                "status": status in ("ok", "failed"),
            }
            if not all(rules.values()):
                wrong = next(name for name, kept in rules.items() if not kept)
                raise DataError(
                    f"{self.folder / ITEMS}, line {line}: {wrong} is "
                    f"{dict(zip(COLUMNS, values, strict=True))[wrong]!r}; it is damaged."
                )
            seen["id"].add(item)
            seen["row"].add(row)

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
        file = self.folder / f"{name}.npy"
        try:
            array = np.lib.format.open_memmap(file, mode="r")
        except (OSError, ValueError) as error:
            raise DataError(
                f"{file} is missing or damaged ({type(error).__name__}); prepare it again."
            ) from error
        expected = (self.manifest["counts"]["listed"], *said["shape"])
        if array.shape != expected or array.dtype != np.dtype(said["dtype"]):
            raise DataError(
                f"{file} is {array.dtype} {array.shape}, but {MANIFEST} says {said['dtype']} "
                f"{expected}."
            )
        return array

    def column(self, name: str, ids: Iterable[str]) -> list[str]:
        """Return a column of ``items.csv`` for the given items, in their order."""
        if name not in self.items:
            raise DataError(f"{self.folder / ITEMS} has no column {name!r}.")
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
        table = read_table(self.folder / SPLITS / f"{name}.csv", ("id", "part"))
        parts = dict(zip(table["id"], table["part"], strict=True))
        if split_hash(parts) != self.splits[name]["sha256"]:
            raise DataError(
                f"{self.folder / SPLITS / name}.csv is not the split that {MANIFEST} names; "
                "prepare the cache again."
            )
        return parts


def split_hash(parts: Mapping[str, str]) -> str:
    """Return the SHA-256 of a split: its ``id,part`` lines in the order of the ids."""
    lines = "".join(f"{item},{part}\n" for item, part in sorted(parts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_table(file: Path, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of a CSV file with a header, as text.

    Raises:
        DataError: when the file is missing or damaged, or lacks a column.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            header, *rows = list(csv.reader(lines, strict=True))
        table = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{file} is missing or damaged ({error}); prepare the cache again."
        ) from error
    table = table or dict.fromkeys(header, ())
    for name in columns:
        if name not in table:
            raise DataError(f"{file} has no column {name!r}; prepare the cache again.")
    return table


def _read_manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    if not file.is_file():
        if (folder / JOURNAL).is_file():
            raise DataError(
                f"{folder} is not finished; the 'asgml data prepare' command that began it goes on "
                "where it stopped."
            )
        raise DataError(f"{file}: no such file; 'asgml data prepare' makes a cache.")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} is not readable JSON: {error}") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise DataError(f"{file} has format {found!r}, but this version reads {FORMAT}.")
    _check_manifest(file, manifest)
    return manifest


def _check_manifest(file: Path, manifest: dict[str, Any]) -> None:
    needed = {
        "dataset": str, "classes": list, "arrays": dict, "counts": dict, "splits": dict,
        "fingerprint": str, "parameters": dict, "versions": dict,
    }  # fmt: skip
    for name, kind in needed.items():
        if not isinstance(manifest.get(name), kind):
            raise DataError(f"{file}: {name} is {manifest.get(name)!r}; it is damaged.")
    if not isinstance(manifest["counts"].get("listed"), int):
        raise DataError(f"{file}: counts has no whole number 'listed'; it is damaged.")
    if not all(isinstance(name, str) for name in manifest["classes"]):
        raise DataError(f"{file}: classes is {manifest['classes']!r}; it is damaged.")
    for what, is_whole in (("arrays", _is_array), ("splits", _is_split)):
        for name, said in manifest[what].items():
            if not name.isidentifier() or not is_whole(said):
                raise DataError(f"{file}: {what} has {name!r}: {said!r}; it is damaged.")


def _is_array(said: Any) -> bool:
    shape = said.get("shape") if isinstance(said, dict) else None
    whole = isinstance(shape, list) and all(isinstance(n, int) and n > 0 for n in shape)
    return whole and said.get("dtype") in ("uint8", "float16", "float32")


def _is_split(said: Any) -> bool:
    return isinstance(said, dict) and isinstance(said.get("sha256"), str)
