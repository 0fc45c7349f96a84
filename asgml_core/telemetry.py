"""What happened in a run: a table by step and a table by epoch.

Values stay on the device until an epoch ends, and cross over in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


class StepRecorder:
    """Collects 0-dim tensors by step and name over one epoch."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Tensor]] = []

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add the values of one step, 0-dim tensors on any one device."""
        self._rows.append({name: value.detach() for name, value in values.items()})

    def table(self) -> dict[str, Tensor]:
        """Return ``{name: (steps,)}`` float32 on the CPU, NaN where a step has no such value."""
        places = [(row, name) for row, values in enumerate(self._rows) for name in values]
        if not places:
            return {}
        gathered = torch.stack([self._rows[row][name].float() for row, name in places]).cpu()
        columns: dict[str, Tensor] = {}
        for (row, name), value in zip(places, gathered, strict=True):
            if name not in columns:
                columns[name] = torch.full((len(self._rows),), float("nan"))
            columns[name][row] = value
        return columns


def join_tables(tables: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return tables one below the other; a column that a table lacks is NaN there."""
    tables = [table for table in tables if table]
    names = list(dict.fromkeys(name for table in tables for name in table))
    joined = {}
    for name in names:
        pieces = []
        for table in tables:
            rows = len(next(iter(table.values())))
            pieces.append(table.get(name, torch.full((rows,), float("nan"))))
        joined[name] = torch.cat([piece.float() for piece in pieces])
    return joined
