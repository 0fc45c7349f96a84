"""TensorBoard events of a run."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import Any

from asgml_core.files import WriteError
from asgml_core.trainer import Trainer

_START = "events.out.tfevents."


class Events:
    """TensorBoard events; what a killed run wrote after its last checkpoint is purged.

    TensorBoard's own writer is not used: it writes in another thread, where an error of a disk
    cannot be caught, and makes a file anew that was moved away.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: Any = None
        self._writer: Any = None

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written was said before
                self._file.close()

    def add(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Write the steps and the row of the epoch just done.

        Raises:
            WriteError: when they cannot be written.
        """
        first = (trainer.epoch - 1) * trainer.batches
        try:
            self._write(trainer, row, first)
        except OSError as error:
            raise WriteError(f"{self.folder} could not be written ({error.strerror}).") from error

    def _write(self, trainer: Trainer, row: dict[str, float], first: int) -> None:
        if self._file is None:
            self._open(first)
        newest = {name: v[-trainer.batches :].tolist() for name, v in trainer.steps.items()}
        for i in range(trainer.batches):
            self._add({f"step/{name}": values[i] for name, values in newest.items()}, first + i)
        last = first + trainer.batches - 1
        self._add({f"epoch/{name}": value for name, value in row.items()}, last)
        self._file.flush()

    def _open(self, first: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        # Readers go by name. The time is for people; the number is above those before in any case.
        before = (file.name.removeprefix(_START) for file in self.folder.glob(f"{_START}*"))
        numbers = [int(name[:10]) for name in before if name[:10].isdecimal()]
        number = max([int(time.time()), *(number + 1 for number in numbers)])
        name = f"{_START}{number:010d}.{socket.gethostname()}"
        self._file = (self.folder / name).open("xb")
        self._writer = RecordWriter(self._file)
        self._put(first, file_version="brain.Event:2")
        self._put(first, session_log=SessionLog(status=SessionLog.START))  # from here, all is new

    def _add(self, values: dict[str, float], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        # All of a step in one event: a run has tens of thousands of values.
        scalars = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
            if value == value  # not NaN: no such value at this step
        ]
        self._put(step, summary=Summary(value=scalars))

    def _put(self, step: int, **said: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        event = Event(wall_time=time.time(), step=step, **said)
        self._writer.write(event.SerializeToString())
