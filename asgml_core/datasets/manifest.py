"""Reading ``manifest.json``, which says what a cache holds."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asgml_core.datasets.base import DataError
from asgml_core.reading import ReadError, first_line, read_json, short

FORMAT = 1
MANIFEST, JOURNAL = "manifest.json", "journal.jsonl"
#: Types of array a cache may have.
DTYPES = ("uint8", "float16", "float32")
AGAIN = "prepare the cache again"
#: How many axes an item may have.
AXES = 16
#: What a manifest has to have.
_FIELDS = {
    "dataset": str, "classes": list, "arrays": dict, "counts": dict, "splits": dict,
    "fingerprint": str, "parameters": dict, "versions": dict,
}  # fmt: skip
_KINDS = {
    str: "a text that is not empty",
    list: "a list that is not empty",
    dict: "an object of named fields",
}
_MAY_BE_EMPTY = ("splits", "parameters", "versions")


def error_text(error: Exception) -> str:
    """Return what an error says, in one line and without the name of the file."""
    return first_line(error)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a cache.

    Raises:
        DataError: when there is none, it is of another format, or a field is not as it has to be.
    """
    file = folder / MANIFEST
    if not file.is_file():
        if (folder / JOURNAL).is_file():
            raise DataError(
                f"{folder} is not finished; the 'asgml data prepare' command that began it goes on "
                "where it stopped."
            )
        raise DataError(f"{file}: no such file; 'asgml data prepare' makes a cache.")
    try:
        manifest = read_json(file)
    except ReadError as error:
        raise DataError(f"{error.said}; {AGAIN}.") from error
    if not isinstance(manifest, dict):
        raise DataError(
            f"{file} holds {reprlib.repr(manifest)}, but an object of named fields was expected; "
            f"{AGAIN}."
        )
    found = manifest.get("format")
    if type(found) is not int or found != FORMAT:
        raise DataError(
            f"{file} has format {reprlib.repr(found)}, but this version reads {FORMAT}; {AGAIN}."
        )
    _check_manifest(file, manifest)
    return manifest


def _check_manifest(file: Path, manifest: dict[str, Any]) -> None:
    for name, kind in _FIELDS.items():
        found = manifest.get(name)
        _check_field(file, manifest, name, isinstance(found, kind) and bool(found), _KINDS[kind])
    classes, counts = manifest["classes"], manifest["counts"]
    distinct = all(isinstance(n, str) for n in classes) and len(set(classes)) == len(classes)
    _check_field(file, manifest, "classes", distinct, "a list of different names")
    listed = counts.get("listed")
    _check_field(
        file, manifest, "counts", type(listed) is int and listed > 0,
        "a whole number 'listed' of 1 or more in it",
    )  # fmt: skip
    _check_field(
        file, manifest, "items_sha256", isinstance(manifest.get("items_sha256", ""), str), "a hash"
    )
    for what, is_whole, expected in (
        ("arrays", _is_array, f"a 'dtype' of {', '.join(DTYPES)} and a 'shape'"),
        ("splits", _is_split, "a 'sha256'"),
    ):
        for name, said in manifest[what].items():
            if not name.isidentifier() or len(name) > 100 or not is_whole(said):
                raise DataError(
                    f"{file}: {what} has {short(name)}: {short(said)}, but a word of letters, "
                    f"digits and '_' with {expected} was expected; {AGAIN}."
                )


def _check_field(
    file: Path, manifest: Mapping[str, Any], name: str, is_right: bool, expected: str
) -> None:
    if is_right or (name in _MAY_BE_EMPTY and manifest.get(name) == {}):
        return
    found = f"is {reprlib.repr(manifest[name])}" if name in manifest else "is missing"
    raise DataError(f"{file}: {name} {found}, but {expected} was expected; {AGAIN}.")


def _is_array(said: Any) -> bool:
    shape = said.get("shape") if isinstance(said, dict) else None
    whole = isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape)
    whole = whole and len(shape) <= AXES
    return whole and said.get("dtype") in DTYPES


def _is_split(said: Any) -> bool:
    return isinstance(said, dict) and isinstance(said.get("sha256"), str)
