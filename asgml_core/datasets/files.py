"""Reading arrays from a user's disk: never a pickle, and one clear sentence when it fails."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from asgml_core import array_files
from asgml_core.datasets.base import DataError
from asgml_core.reading import ReadError


def read_npz(path: Path, keys: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file, by name.

    Args:
        path: the file.
        keys: the arrays to read; ``None`` reads all.

    Raises:
        DataError: when the file is missing, is no ``.npz``, lacks a key, holds Python objects, or
            would unpack to more than is allowed: see :mod:`asgml_core.array_files`.
    """
    try:
        return array_files.read_npz(path, keys)
    except ReadError as error:
        raise DataError(str(error)) from error


def read_npy(path: Path) -> np.ndarray:
    """Return the array of an ``.npy`` file.

    Raises:
        DataError: when the file is missing, is no ``.npy``, or holds Python objects.
    """
    try:
        return array_files.read_npy(path)
    except ReadError as error:
        raise DataError(str(error)) from error
