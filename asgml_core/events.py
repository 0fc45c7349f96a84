"""TensorBoard events of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asgml_core.files import WriteError
from asgml_core.trainer import Trainer


class Events:
    """TensorBoard events; what a killed run wrote after its last checkpoint is purged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: Any = None

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def add(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Write the steps and the row of the epoch just done."""
        first = (trainer.epoch - 1) * trainer.batches
        try:
            self._write(trainer, row, first)
        except OSError as error:
            raise WriteError(f"{self.folder} could not be written ({error.strerror}).") from error

    def _write(self, trainer: Trainer, row: dict[str, float], first: int) -> None:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(self.folder, purge_step=first)
        newest = {name: v[-trainer.batches :].tolist() for name, v in trainer.steps.items()}
        for i in range(trainer.batches):
            self._add({f"step/{name}": values[i] for name, values in newest.items()}, first + i)
        last = first + trainer.batches - 1
        self._add({f"epoch/{name}": value for name, value in row.items()}, last)
        self.writer.flush()

    def _add(self, values: dict[str, float], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        # All of a step in one event: a run has tens of thousands of values.
        scalars = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
            if value == value  # not NaN: no such value at this step
        ]
        self.writer.file_writer.add_summary(Summary(value=scalars), step)
