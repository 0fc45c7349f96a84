"""Workers as processes of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from asgml_core.config import check_device
from asgml_core.engines.base import Call, End, Engine, Outcome, Worker
from asgml_core.worker import STATUS, beat_file

_OUTCOMES: dict[int, Outcome] = {status: outcome for outcome, status in STATUS.items()}


class LocalEngine(Engine):
    """Starts every worker as a process of its own, which ends when this one does.

    Args:
        gpus: names of GPUs as ``CUDA_VISIBLE_DEVICES`` has them, given to the workers in turn;
            none leaves the workers all there are.
    """

    name: ClassVar[str] = "local"

    def __init__(self, gpus: Sequence[str] = ()) -> None:
        self.gpus = tuple(gpus)

    @classmethod
    def for_runs(cls, devices: Sequence[str], each_gpu: int) -> dict[str, Any]:
        """Return the GPUs of this machine, where runs ask for any of them."""
        for device in devices:
            check_device(device)
        return {"gpus": visible_gpus()} if "cuda" in devices else {}

    def start(self, calls: Sequence[Call]) -> list[Worker]:
        """Start one process a call."""
        return [_Process(call, self._environment(call.index)) for call in calls]

    def _environment(self, index: int) -> dict[str, str]:
        if not self.gpus:
            return dict(os.environ)
        return {**os.environ, "CUDA_VISIBLE_DEVICES": self.gpus[index % len(self.gpus)]}


def visible_gpus() -> tuple[str, ...]:
    """Return the GPUs of this machine, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named:
        return tuple(named.split(","))
    return tuple(str(number) for number in range(torch.cuda.device_count()))


class _Process(Worker):
    def __init__(self, call: Call, environment: dict[str, str]) -> None:
        self._log = beat_file(Path(call.outputs), call).with_suffix(".log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            # Not forked: a forked child inherits locks of threads that it does not have.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "asgml_core.worker"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died already; end() says so
            # Left open: its end tells the worker that this process is gone.
            self._process.stdin.write(json.dumps(asdict(call)).encode() + b"\n")
            self._process.stdin.flush()

    def end(self) -> End | None:
        """Return how the process ended, ``None`` before that."""
        status = self._process.poll()
        if status is None:
            return None
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        if status < 0:
            return End("replace", f"killed by {signal.Signals(-status).name}")
        if status == 128 + signal.SIGTERM:
            return End("stop", "stopped")
        outcome = _OUTCOMES.get(status, "replace")
        return End(outcome, "" if outcome == "done" else f"ended with status {status}")

    def stop(self) -> None:
        """Send SIGTERM."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._process.poll() is None:
            self._process.kill()

    def log(self) -> str:
        """Return the path of what it printed."""
        return str(self._log)
