"""Rows of an array on disk, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Stored:
    """Some rows of a memory-mapped array; indexing reads them, :meth:`take` does not.

    It stands in a :class:`~asgml_core.datasets.Part` where a tensor would, for data that are larger
    than memory or that wait to be moved to the device once.

    Args:
        array: the whole array, ``(N, ...)``, numbers of any type torch knows.
        rows: which of its rows, ``(n,)`` int64, in order.
        hashes: a hash of each of these rows, ``n`` of them; equal rows, equal hash.
    """

    array: np.ndarray
    rows: Tensor
    hashes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> torch.Size:
        """The shape that the tensor of all rows would have."""
        return torch.Size((len(self), *self.array.shape[1:]))

    @property
    def dtype(self) -> torch.dtype:
        """The type of its numbers."""
        return torch.from_numpy(np.empty(0, self.array.dtype)).dtype

    @property
    def nbytes(self) -> int:
        """The size of all rows, in bytes."""
        return len(self) * self.array.itemsize * int(np.prod(self.array.shape[1:], dtype=np.int64))

    def __getitem__(self, rows: int | slice | Sequence[int] | Tensor) -> Tensor:
        """Read rows, counted within these; an int gives one item without the first axis."""
        chosen = self.rows[rows].numpy()
        values = np.asarray(self.array)[chosen]
        return torch.from_numpy(values if chosen.ndim else np.array(values))

    def take(self, rows: Sequence[int] | Tensor) -> Stored:
        """Return the given rows, in the given order, without reading them.

        Args:
            rows: numbers of rows, or True or False for each row.
        """
        rows = row_numbers(rows, len(self))
        return Stored(self.array, self.rows[rows], tuple(self.hashes[row] for row in rows.tolist()))

    def load(self, device: torch.device | str = "cpu") -> Tensor:
        """Read all rows into one tensor on a device, a share at a time."""
        whole = torch.empty(self.shape, dtype=self.dtype, device=device)
        share = max(1, (64 << 20) * len(self) // max(self.nbytes, 1))
        for start in range(0, len(self), share):
            whole[start : start + share] = self[start : start + share].to(device)
        return whole


def row_numbers(rows: Sequence[int] | Tensor, count: int) -> Tensor:
    """Return which of ``count`` rows are meant, ``(n,)`` int64.

    Args:
        rows: numbers, in the order wanted, or ``count`` times True or False.
        count: how many rows there are.

    Raises:
        ValueError: when they are neither, or a mask is of another length.
    """
    found = torch.as_tensor(rows)
    if found.dim() == 1 and not len(found):  # of no rows there is no saying what they are
        if isinstance(rows, Tensor) and found.dtype == torch.bool and count:
            raise ValueError(f"the mask of rows has no values, but there are {count} rows.")
        return found.long()
    if found.dim() != 1 or found.dtype.is_floating_point or found.dtype.is_complex:
        raise ValueError(
            f"rows are {found.dtype} {tuple(found.shape)}; whole numbers, or one True or False for "
            f"each of the {count} rows, are needed."
        )
    if found.dtype != torch.bool:
        return found.long()
    if len(found) != count:
        raise ValueError(f"the mask of rows has {len(found)} values, but there are {count} rows.")
    return found.nonzero()[:, 0]


def join(pieces: Sequence[Tensor | Stored]) -> Tensor | Stored:
    """Return the rows of several tensors, or of several selections of one stored array.

    Raises:
        ValueError: when some pieces are in memory and some on disk, or they are of several arrays.
    """
    first = pieces[0]
    if all(isinstance(piece, Tensor) for piece in pieces):
        return torch.cat(list(pieces))
    if not all(isinstance(piece, Stored) for piece in pieces):
        raise ValueError("rows in memory and rows on disk cannot be joined; load these first.")
    for piece in pieces:
        if not _is_one_array(first.array, piece.array):
            raise ValueError(
                f"rows of {_named(first.array)} and of {_named(piece.array)} cannot be joined "
                "without reading them; load both first."
            )
    return Stored(
        first.array,
        torch.cat([piece.rows for piece in pieces]),
        tuple(value for piece in pieces for value in piece.hashes),
    )


def _is_one_array(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays are the same memory; every part of a cache maps its files anew."""
    if a is b:
        return True
    if (a.shape, a.dtype, a.strides) != (b.shape, b.dtype, b.strides):
        return False
    if isinstance(a, np.memmap) and isinstance(b, np.memmap):
        return _place(a) == _place(b)
    return a.__array_interface__["data"] == b.__array_interface__["data"]


def _place(array: np.memmap) -> tuple[object, int, int]:
    """Return the file of a mapped array, where in it the map begins, and the array in the map."""
    whole = array
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    return array.filename, array.offset, array.ctypes.data - whole.ctypes.data


def _named(array: np.ndarray) -> str:
    return str(getattr(array, "filename", None) or f"an array {array.dtype} {array.shape}")
