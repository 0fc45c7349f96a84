"""Processes of a test: waiting for what they do, and making sure that none is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
#: Seconds to wait for something that comes surely, unless it is broken.
PATIENCE = 120.0


def until(true: Callable[[], object], what: str) -> None:
    """Wait for something."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)


def start(code: str, *arguments: object) -> subprocess.Popen:
    """Start Python with some code as the leader of a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *_paths()])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def members(group: int) -> list[int]:
    """Return the processes of a group that are there, and not only waited for."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                said = (Path(entry.path) / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if said[2] == str(group) and said[0] not in "ZX":
                found.append(int(entry.name))
    return found
