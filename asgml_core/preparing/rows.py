"""Writing rows of ``.npy`` files in place, from any process."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asgml_core.files import sync_folder
from asgml_core.preparing.plan import ItemError


def row_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the size of one row in bytes."""
    return np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))


@dataclass(frozen=True)
class RowWriter:
    """Writes rows of a cache's arrays.

    Rows are written with ``pwrite`` and not through a memory map: on a full disk the one is an
    error, the other the end of the process.

    Args:
        folder: the cache's.
        arrays: type and item shape, by name.
        rows: the number of rows of each.
    """

    folder: Path
    arrays: Mapping[str, tuple[str, tuple[int, ...]]]
    rows: int

    def lacks(self) -> list[str]:
        """Return the names of the arrays whose file is not there, or not as it has to be."""
        return [name for name in self.arrays if not self._is_there(name)]

    def allocate(self) -> None:
        """Make the files that are lacking, empty and with room for all rows."""
        for name in self.lacks():
            with self._file(name).open("wb") as handle:
                handle.write(self._header(name))
                handle.truncate(self._size(name))
        sync_folder(self.folder)

    def _is_there(self, name: str) -> bool:
        file, header = self._file(name), self._header(name)
        if not file.is_file() or file.stat().st_size != self._size(name):
            return False
        with file.open("rb") as handle:
            return handle.read(len(header)) == header

    def write(self, row: int, name: str, values: np.ndarray) -> None:
        """Write one row.

        Raises:
            ItemError: when the values are not of the type and shape of the array, or not finite.
            OSError: when the disk is full or the file cannot be written.
        """
        dtype, shape = self.arrays[name]
        if values.dtype != np.dtype(dtype) or values.shape != tuple(shape):
            raise ItemError(
                f"{name} came out as {values.dtype} {values.shape}, not {dtype} {tuple(shape)}."
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ItemError(f"{name} holds NaN or infinity.")
        content = np.ascontiguousarray(values).data.cast("B")
        offset = len(self._header(name)) + row * len(content)
        handle = os.open(self._file(name), os.O_WRONLY | os.O_NOFOLLOW)
        try:
            while content:
                written = os.pwrite(handle, content, offset)
                content, offset = content[written:], offset + written
        finally:
            os.close(handle)

    def sync(self) -> None:
        """Flush the files to disk."""
        for name in self.arrays:
            handle = os.open(self._file(name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def _size(self, name: str) -> int:
        return len(self._header(name)) + self.rows * row_bytes(*self.arrays[name])

    def _header(self, name: str) -> bytes:
        dtype, shape = self.arrays[name]
        described = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": (self.rows, *shape),
        }
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, described)
        return header.getvalue()
