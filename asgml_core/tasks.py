"""The things a sweep does: one is done or not, is at work somewhere, or ended in some way.

Looking at a task reads small files and loads no torch, so that thousands are looked at in seconds.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from asgml_core.checks import AsgmlError
from asgml_core.claims import STATE, claim, is_held, read_state
from asgml_core.reading import JSON_BYTES, MissingError, read_bytes

RECORD, CHECKPOINT = "record.json", "checkpoint.pt"

#: ``killed`` ended without a word; ``other`` was made by another config, other code or other data.
Kind = Literal[
    "done", "diverged", "running", "stopped", "killed", "failed", "other", "damaged", "planned"
]
#: Nothing is left to do for these.
SETTLED = ("done", "diverged")
#: Told how many epochs of a task are done.
Tell = Callable[[int], None]


@dataclass(frozen=True)
class Status:
    """How a task stands.

    Args:
        kind: see :data:`Kind`.
        epoch: the last epoch that is done, as far as it was told.
        said: what its state file says.
    """

    kind: Kind
    epoch: int = 0
    said: Mapping[str, Any] | None = None

    @property
    def reason(self) -> str:
        """Why it ended as it did; empty where nobody said."""
        return "" if self.said is None else self.said.get("reason", "")


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """Something that a sweep does once.

    Args:
        name: what it is called; in a plan each has its own.
        key: a hash of what decides its result.
        size: how long it is, in units.
        data: text that is equal for tasks of the same data.
        values: what it needs, as plain values.
    """

    name: str
    key: str
    size: int
    data: str
    values: Mapping[str, Any]
    type: ClassVar[str]
    #: What its size is counted in.
    unit: ClassVar[str]

    @abstractmethod
    def place(self, outputs: Path) -> Path:
        """Return the path of its state file."""

    @abstractmethod
    def result(self, outputs: Path) -> Path:
        """Return the file or folder of its result."""

    @abstractmethod
    def made(self, outputs: Path) -> str | None:
        """Return the key of the finished result that is there; ``None`` where there is none.

        Raises:
            AsgmlError: when what is there cannot be read.
        """

    @abstractmethod
    def begun(self, outputs: Path) -> bool:
        """Return whether there is something that work would go on from."""

    @abstractmethod
    def work(self, outputs: Path, sweep: str, settings: Mapping[str, Any], tell: Tell) -> None:
        """Do it.

        Args:
            outputs: folder of all results.
            sweep: the sweep at work.
            settings: of the worker, such as ``checkpoint_seconds``.
            tell: is told of progress.
        """

    @abstractmethod
    def leftovers(self, outputs: Path, kind: Kind) -> dict[Path, str]:
        """Return what it can do without as it stands, and what that is."""

    @abstractmethod
    def clear(self, outputs: Path) -> None:
        """Remove what is there, finished or not; held by the caller."""

    @abstractmethod
    def explain(self, outputs: Path) -> str:
        """Return one sentence on what is there, where that is another's."""

    def look(self, outputs: Path) -> Status:
        """Return how it stands."""
        place = self.place(outputs)
        said = read_state(place)
        epoch = said.get("epoch", 0)
        try:
            made = self.made(outputs)
        except AsgmlError as error:
            return Status("damaged", epoch, {**said, "reason": str(error)})
        if made is not None:
            return Status("done" if made == self.key else "other", self.size, said)
        if not said:
            return Status("planned")
        is_running = said["state"] == "running"
        if is_running and is_held(place):
            return Status("running", epoch, said)
        if said.get("key") != self.key:
            return Status("other" if self.begun(outputs) else "planned", epoch, said)
        if is_running:
            return Status("killed", epoch, said)
        if said["state"] == "done":  # its result was removed
            return Status("planned")
        return Status(said["state"], epoch, said)

    def renew(self, outputs: Path) -> None:
        """Remove what is there, so that it is done anew.

        Raises:
            BusyError: when a process is at work on it.
        """
        place = self.place(outputs)
        if place.parent.exists():
            with claim(place) as held:
                self.clear(outputs)
                held.forget()


@dataclass(frozen=True, kw_only=True)
class RunTask(Task):
    """A run; its values are a config as a dictionary."""

    type: ClassVar[str] = "run"
    unit: ClassVar[str] = "epoch"

    def folder(self, outputs: Path) -> Path:
        """Return the run's folder."""
        return outputs / "sweep" / self.name

    def place(self, outputs: Path) -> Path:
        """Return the path of its state file."""
        return self.folder(outputs) / STATE

    def result(self, outputs: Path) -> Path:
        """Return the run's folder."""
        return self.folder(outputs)

    def made(self, outputs: Path) -> str | None:
        """Return the key that the record says."""
        try:
            content = read_bytes(self.folder(outputs) / RECORD, JSON_BYTES)
        except MissingError:
            return None
        try:
            identity = json.loads(content)["identity"]
            return str(identity["key"])
        except (ValueError, KeyError, TypeError, RecursionError):
            from asgml_core.records import RunRecord

            RunRecord.load(self.folder(outputs))  # has a better word where it is damaged
            return ""  # of an older version

    def begun(self, outputs: Path) -> bool:
        """Return whether there is a checkpoint."""
        return (self.folder(outputs) / CHECKPOINT).exists()

    def work(self, outputs: Path, sweep: str, settings: Mapping[str, Any], tell: Tell) -> None:
        """Run it to its record.

        Raises:
            RunError: when it would not be the run that was planned; all that ``run`` raises.
        """
        from asgml_core.config import RunConfig
        from asgml_core.identity import identify
        from asgml_core.runs import RunError, run

        config = RunConfig.from_dict(self.values)
        if identify(config).key != self.key:
            raise RunError("the code or the data changed after the sweep began; start it anew.")
        run(
            config,
            outputs,
            progress=lambda epoch, epochs, row: tell(epoch),
            sweep=sweep,
            **settings,
        )

    def leftovers(self, outputs: Path, kind: Kind) -> dict[Path, str]:
        """Return temporary files, and the checkpoint of a finished run."""
        folder = self.folder(outputs)
        found = dict.fromkeys(folder.glob(".*.tmp"), "a temporary file")
        if kind == "done" and (folder / CHECKPOINT).is_file():
            found[folder / CHECKPOINT] = "the checkpoint of a finished run"
        return found

    def clear(self, outputs: Path) -> None:
        """Remove the record, the checkpoint and all that belongs to them."""
        folder = self.folder(outputs)
        (folder / RECORD).unlink(missing_ok=True)  # first: without it, no run is finished
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != STATE:
                path.unlink()

    def explain(self, outputs: Path) -> str:
        """Return in what the run that is there differs."""
        from asgml_core.config import RunConfig
        from asgml_core.identity import identify
        from asgml_core.runs import RunError, finished

        config = RunConfig.from_dict(self.values)
        try:
            finished(self.folder(outputs), config, identify(config))
        except RunError as error:
            return str(error)
        return f"{self.folder(outputs)} holds an unfinished run of another config, code or data."
