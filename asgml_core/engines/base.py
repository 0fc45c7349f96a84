"""The one interface behind which workers run: processes here, on a Ray cluster, or in Slurm.

An engine starts workers and says how each ended. It hands out no runs: every worker takes the next
run of the plan whose claim it gets (see :mod:`asgml_core.claims`), so that any number of workers,
of any engine and of several sweeps, can be at work on one folder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from asgml_core.checks import AsgmlError

#: How work ended: nothing was left; it wants a fresh process; it makes no sense to go on.
Outcome = Literal["done", "replace", "stop"]


class EngineError(AsgmlError, RuntimeError):
    """An engine that cannot be used; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a worker is told; plain values, so that every engine can carry it.

    Args:
        plan: path of the plan's file, seen by every machine at work.
        outputs: folder of the runs, the same.
        sweep: a name of this start of the sweep.
        index: the worker's number, from 0.
        workers: how many there are.
        checkpoint_seconds: see :func:`asgml_core.runs.run`.
        gpu_share: how much of its GPU's memory the worker may take, above 0 and up to 1.
        imports: modules to import first, which register methods of one's own.
        path: folders to look for them.
    """

    plan: str
    outputs: str
    sweep: str
    index: int
    workers: int
    checkpoint_seconds: float = 5.0
    gpu_share: float = 1.0
    imports: tuple[str, ...] = ()
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class End:
    """How a worker ended.

    Args:
        outcome: what it said, ``"replace"`` if it died, ``"stop"`` if somebody ended it on purpose.
        reason: one phrase, such as ``"killed by SIGKILL"``; empty for ``"done"``.
    """

    outcome: Outcome
    reason: str = ""


class Worker(ABC):
    """A worker that was started; it waits for its place, is at work, or has ended."""

    @abstractmethod
    def end(self) -> End | None:
        """Return how it ended, ``None`` before that; never waits."""

    @abstractmethod
    def stop(self) -> None:
        """Ask it to end now; its run goes on from the last checkpoint another time."""

    @abstractmethod
    def kill(self) -> None:
        """End it without asking."""

    @abstractmethod
    def log(self) -> str:
        """Return where to read what it printed: a path, or a sentence."""


class Engine(ABC):
    """Where workers run; a context manager, which gives back what it started."""

    name: ClassVar[str]
    #: Whether its workers go on when the process that started them has ended.
    outlives: ClassVar[bool] = False

    @classmethod
    def for_runs(cls, devices: Sequence[str], each_gpu: int) -> dict[str, Any]:
        """Return the options that runs on these devices call for, where none are given.

        Args:
            devices: those of the runs, such as ``"cuda"``.
            each_gpu: workers that share a GPU.

        Raises:
            ValueError: for a device that is not there.
        """
        return {}

    @abstractmethod
    def start(self, calls: Sequence[Call]) -> list[Worker]:
        """Start one worker a call, all at once.

        Raises:
            EngineError: when this engine cannot be used here; the message says what is missing.
        """

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what the engine itself holds; workers have ended before."""
