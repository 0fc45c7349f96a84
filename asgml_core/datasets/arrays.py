"""A user's own data: an ``.npz`` file or a folder of ``.npy`` files, with a small manifest.

The manifest is ``manifest.yaml`` in the folder, or ``<name>.yaml`` beside ``<name>.npz``::

    classes: [cat, dog]          # in label order
    modalities: [audio, visual]  # an array of each name, (N, ...)
    labels: labels               # optional: the arrays' names, these are the defaults
    parts: parts                 # (N,) text: train, valid or test
    ids: ids                     # (N,) text, optional
    groups: groups               # (N,) text, optional: speaker or clip; else each item its own
    test_fraction: 0.2           # optional, instead of parts: split by group, from the run's seed
    standardise: true            # optional: remove mean and deviation of the training part

Items are ``(d,)``, ``(channels, height, width)`` or ``(frames, channels, height, width)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asgml_core.array_files import shown
from asgml_core.checks import check_flag, check_number, check_one_of
from asgml_core.datasets.base import DataError, MultimodalDataset, Part
from asgml_core.datasets.files import read_npy, read_npz
from asgml_core.datasets.standard import standardise
from asgml_core.reading import MissingError, ReadError, first_line, read_yaml, short
from asgml_core.seeding import numpy_generator

PARTS = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What ``manifest.yaml`` says; see the module's text."""

    classes: list[str]
    modalities: list[str]
    labels: str = "labels"
    parts: str = "parts"
    ids: str = "ids"
    groups: str = "groups"
    test_fraction: float | None = None
    standardise: bool = True
    #: The optional arrays that the manifest names, and that must then be there.
    named: tuple[str, ...] = ()


def arrays(*, seed: int, path: str) -> MultimodalDataset:
    """Return a user's own data.

    Args:
        seed: the run's seed; it draws the split where the manifest gives ``test_fraction``.
        path: the ``.npz`` file, or the folder of ``.npy`` files.

    Raises:
        DataError: naming the file, the key and the shapes, when anything is missing or misfits.
    """
    if not isinstance(path, (str, Path)) or not Path(path).name or "\0" in str(path):
        raise DataError(f"path is {short(path)}, but the path of a file or folder was expected.")
    source = Path(path)
    manifest_file = source / "manifest.yaml" if source.is_dir() else source.with_suffix(".yaml")
    manifest = _read_manifest(source, manifest_file)
    table = _read_arrays(source, manifest)
    labels = _labels(source, manifest.labels, table[manifest.labels])
    n = len(labels)
    for key, array in table.items():
        if array.ndim == 0 or len(array) != n:
            raise DataError(
                f"{source}: {key} has shape {array.shape}, but {manifest.labels} has {n} rows; "
                "every array needs one row per item."
            )
    for key in (manifest.ids, manifest.groups, manifest.parts):
        _check_column(source, key, table)
    ids = _texts(table.get(manifest.ids), [f"item_{i:06d}" for i in range(n)])
    groups = _texts(table.get(manifest.groups), ids)
    parts = _parts(source, manifest, table, groups, seed)
    training = torch.from_numpy(np.flatnonzero(parts == "train"))
    whole = Part(
        inputs={m: _input(source, m, table[m], training, manifest) for m in manifest.modalities},
        labels=labels,
        ids=tuple(ids),
        groups=tuple(groups),
    )
    split = {p: whole.take(np.flatnonzero(parts == p)) for p in PARTS if (parts == p).any()}
    for needed in ("train", "test"):
        if needed not in split:
            raise DataError(f"{source}: {manifest.parts} gives no item to {needed!r}.")
    return MultimodalDataset(
        name="arrays",
        classes=tuple(manifest.classes),
        train=split["train"],
        valid=split.get("valid"),
        test=split["test"],
        source=str(source),
    )


def _read_manifest(source: Path, file: Path) -> Manifest:
    if not source.exists():
        raise DataError(f"{source}: no such file or folder.")
    try:
        said = read_yaml(file)
    except MissingError as error:
        raise DataError(f"{error.said}; {source} needs a manifest beside its arrays.") from error
    except ReadError as error:
        raise DataError(str(error)) from error
    if not isinstance(said, dict):
        raise DataError(
            f"{file} holds {short(said)}; a mapping with classes and modalities is needed."
        )
    try:
        return _manifest(said)
    except ValueError as error:
        said = first_line(error, 500)
        raise DataError(f"{file}: {said}{'' if said.endswith('?') else '.'}") from error


def _manifest(said: dict[str, Any]) -> Manifest:
    fields = [field for field in Manifest.__dataclass_fields__ if field != "named"]
    for field in said:
        check_one_of("field", field[:100], fields)
    for field in ("classes", "modalities"):
        _check_names(field, said.get(field))
    for field in ("labels", "parts", "ids", "groups"):
        if not _is_array_name(said.get(field, field)):
            raise ValueError(f"{field} is {short(said[field])}, but must be the name of an array.")
    check_flag("standardise", said.get("standardise", True))
    for name in said["modalities"]:
        if not _is_array_name(name):
            raise ValueError(f"modalities has {short(name)}, but a name of an array was expected.")
    named = tuple(said[field] for field in ("ids", "groups") if field in said)
    manifest = Manifest(**said, named=named)
    if manifest.test_fraction is not None:
        check_number("test_fraction", manifest.test_fraction, above=0.0, high=0.9)
    return manifest


def _check_names(field: str, names: Any) -> None:
    is_list = isinstance(names, list) and names and all(isinstance(n, str) for n in names)
    if not is_list or len(set(names)) != len(names):
        raise ValueError(f"{field} is {short(names)}; a list of different names is needed.")


def _is_array_name(name: Any) -> bool:
    """Return whether a name is of an array in the folder: with a slash it would lead elsewhere."""
    return isinstance(name, str) and 0 < len(name) <= 200 and not set("/\\\0") & set(name)


def _read_arrays(source: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    needed = [*manifest.modalities, manifest.labels, *manifest.named]
    if manifest.test_fraction is None:
        needed.append(manifest.parts)
    optional = [key for key in (manifest.ids, manifest.groups) if key not in manifest.named]
    if source.is_dir():
        optional = [key for key in optional if (source / f"{key}.npy").is_file()]
        return {key: read_npy(source / f"{key}.npy") for key in needed + optional}
    table = read_npz(source)
    for key in needed:
        if key not in table:
            there = ", ".join(map(shown, list(table)[:20]))
            raise DataError(f"{source} has no array {key!r}; it has {there}.")
    return {key: table[key] for key in needed + optional if key in table}


def _labels(source: Path, key: str, labels: np.ndarray) -> Tensor:
    if labels.dtype.kind not in "ui" or labels.ndim != 1:
        raise DataError(
            f"{source}: {key} is {labels.dtype} {labels.shape}; whole numbers (N,) are needed."
        )
    return torch.from_numpy(labels.astype(np.int64))


def _check_column(source: Path, key: str, table: dict[str, np.ndarray]) -> None:
    if key in table and table[key].ndim != 1:
        raise DataError(
            f"{source}: {key} is {table[key].dtype} {table[key].shape}; one value for each item, "
            "(N,), is needed."
        )


def _texts(array: np.ndarray | None, otherwise: list[str]) -> list[str]:
    return otherwise if array is None else [str(value) for value in array]


def _input(
    source: Path, key: str, array: np.ndarray, training: Tensor, manifest: Manifest
) -> Tensor:
    if array.dtype.kind not in "fui" or array.ndim not in (2, 4, 5):
        raise DataError(
            f"{source}: {key} is {array.dtype} {array.shape}; numbers of shape (N, d), "
            "(N, channels, height, width) or (N, frames, channels, height, width) are needed."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        x = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    # Not-a-number must reach the dataset's own check, which names the row.
    return standardise(x, training) if manifest.standardise and bool(x.isfinite().all()) else x


def _parts(
    source: Path,
    manifest: Manifest,
    table: dict[str, np.ndarray],
    groups: list[str],
    seed: int,
) -> np.ndarray:
    if manifest.test_fraction is None:
        parts = np.array([str(value) for value in table[manifest.parts]])
        for row, part in enumerate(parts):
            if part not in PARTS:
                raise DataError(
                    f"{source}: {manifest.parts} row {row} is {short(str(part))}; "
                    "it must be train, valid or test."
                )
        return parts
    names = sorted(set(groups))
    tested = max(1, round(manifest.test_fraction * len(names)))
    if tested >= len(names):
        raise DataError(f"{source} has {len(names)} group(s); a split by group needs two or more.")
    order = numpy_generator(seed, "arrays", "split").permutation(len(names))
    in_test = {names[i] for i in order[:tested]}
    return np.array(["test" if group in in_test else "train" for group in groups])
