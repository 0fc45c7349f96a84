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
        return torch.from_numpy(values if chosen.ndim else values.copy())

    def take(self, rows: Sequence[int] | Tensor) -> Stored:
        """Return the given rows, in the given order, without reading them."""
        rows = torch.as_tensor(rows, dtype=torch.long)
        return Stored(self.array, self.rows[rows], tuple(self.hashes[row] for row in rows.tolist()))

    def load(self, device: torch.device | str = "cpu") -> Tensor:
        """Read all rows into one tensor on a device, a share at a time."""
        whole = torch.empty(self.shape, dtype=self.dtype, device=device)
        share = max(1, (64 << 20) * len(self) // max(self.nbytes, 1))
        for start in range(0, len(self), share):
            whole[start : start + share] = self[start : start + share].to(device)
        return whole


def join(pieces: Sequence[Tensor | Stored]) -> Tensor | Stored:
    """Return the rows of several tensors, or of several selections of one stored array."""
    first = pieces[0]
    if isinstance(first, Tensor):
        return torch.cat(list(pieces))
    return Stored(
        first.array,
        torch.cat([piece.rows for piece in pieces]),
        tuple(value for piece in pieces for value in piece.hashes),
    )
