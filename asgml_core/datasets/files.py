"""Reading arrays from a user's disk: never a pickle, and one clear sentence when it fails."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from asgml_core.datasets.base import DataError

_NEEDED = (
    "it is damaged, of another format, or holds Python objects; plain arrays of numbers or text "
    "are needed."
)


def read_npz(path: Path, keys: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file, by name.

    Args:
        path: the file.
        keys: the arrays to read; ``None`` reads all.

    Raises:
        DataError: when the file is missing, is no ``.npz``, lacks a key, or holds Python objects.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        # Opened here, since numpy would leave a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            wanted = list(archive.files if keys is None else keys)
            for key in wanted:
                if key not in archive.files:
                    raise DataError(
                        f"{path} has no array {key!r}; it has {', '.join(archive.files)}."
                    )
            return {key: archive[key] for key in wanted}
    except DataError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{path} is no readable .npz: {_NEEDED}") from error


def read_npy(path: Path) -> np.ndarray:
    """Return the array of an ``.npy`` file.

    Raises:
        DataError: when the file is missing, is no ``.npy``, or holds Python objects.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is no readable .npy: {_NEEDED}") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an archive; a single .npy array was expected.")
    return array
