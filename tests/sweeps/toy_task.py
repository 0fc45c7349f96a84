"""A task without training: it counts epochs in a file, notes its starts, and ends as told."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from asgml_core.checks import AsgmlError
from asgml_core.claims import STATE, Claim, claim
from asgml_core.files import write_atomically
from asgml_core.plans import Plan
from asgml_core.tasks import Kind, Task, Tell


class ToyError(AsgmlError, RuntimeError):
    """A failure of a toy."""


class SpoilingError(ToyError):
    spoils_process = True


class DivergingError(ToyError):
    state: ClassVar[dict[str, Any]] = {"state": "diverged", "epoch": 2, "step": 7}


def _end(how: str, outputs: Path) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "abort":
        os.abort()
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "wait":
        (outputs / "waits").touch()
        while not (outputs / "go").exists():
            time.sleep(0.02)
    elif how != "":
        raise ERRORS[how]


ERRORS = {
    "error": ToyError("it never acted"),
    "spoil": SpoilingError("out of memory"),
    "bug": LookupError("no such thing"),
    "diverge": DivergingError("the loss is nan"),
}


@dataclass(frozen=True, kw_only=True)
class ToyTask(Task):
    """Values: ``how`` it ends ``at`` an epoch in its first ``times`` starts."""

    type: ClassVar[str] = "toy"
    unit: ClassVar[str] = "epoch"

    def folder(self, outputs: Path) -> Path:
        return outputs / "toys" / self.name

    def place(self, outputs: Path) -> Path:
        return self.folder(outputs) / STATE

    def result(self, outputs: Path) -> Path:
        return self.folder(outputs) / "result"

    def made(self, outputs: Path) -> str | None:
        result = self.result(outputs)
        return result.read_text() if result.exists() else None

    def begun(self, outputs: Path) -> bool:
        return (self.folder(outputs) / "epochs").exists()

    def work(self, outputs: Path, sweep: str, settings: Mapping[str, Any], tell: Tell) -> None:
        if self.values.get("how") == "before":
            raise ToyError("its data are gone")
        with claim(self.place(outputs), sweep) as held:
            if self.made(outputs) is None:
                held.begin(self.size, self.key)
                note_start(outputs, self.name)
                with held.ending():
                    self._count(outputs, held, tell)

    def _count(self, outputs: Path, held: Claim, tell: Tell) -> None:
        counted = self.folder(outputs) / "epochs"
        done = len(counted.read_bytes()) if counted.exists() else 0
        if done:
            held.resumed(done)
        for epoch in range(done + 1, self.size + 1):
            first = starts(outputs).count(self.name) <= self.values.get("times", 1)
            if first and epoch == self.values.get("at", 2):
                _end(self.values.get("how", ""), outputs)
            time.sleep(self.values.get("seconds", 0.0))
            write_atomically(counted, b"x" * epoch)
            held.say(epoch=epoch, durable=False)
            tell(epoch)
        write_atomically(self.result(outputs), self.key.encode())

    def leftovers(self, outputs: Path, kind: Kind) -> dict[Path, str]:
        return {}

    def clear(self, outputs: Path) -> None:
        for name in ("result", "epochs"):
            (self.folder(outputs) / name).unlink(missing_ok=True)

    def explain(self, outputs: Path) -> str:
        return f"{self.name} is another's."


def note_start(outputs: Path, name: str) -> None:
    """Add a line to a file, apart from all that the package keeps."""
    handle = os.open(outputs / "starts", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, f"{name}\n".encode())
    os.close(handle)


def starts(outputs: Path) -> list[str]:
    """Return the names of the tasks that began, in order."""
    path = outputs / "starts"
    return path.read_text().split() if path.exists() else []


def toy(name: str, size: int = 3, key: str = "k", data: str = "d", **values: Any) -> ToyTask:
    return ToyTask(name=name, key=key, size=size, data=data, values=values)


def toys(*tasks: ToyTask) -> Plan:
    return Plan("toys", tasks)
