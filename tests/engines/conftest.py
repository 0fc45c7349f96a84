"""Servers for the engines: a Ray and a Slurm on this machine, for as long as the tests take."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine_checks import plans
from slurm_server import NoServer, slurm_server

from asgml_core import RunRecord, run
from asgml_core.engines import Call

HERE = Path(__file__).parent


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[str], list[Call]]:
    """Give one call a word: ``calls("done wait")``."""

    def make(plan: str) -> list[Call]:
        count = len(plan.split())
        same = {"plan": plan, "outputs": str(tmp_path), "sweep": "test", "workers": count}
        return [Call(index=index, **same) for index in range(count)]

    return make


@pytest.fixture(scope="session")
def environment() -> Iterator[pytest.MonkeyPatch]:
    """Let workers find ``toy_work``, and Ray stay on this machine and out of the home folder."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
    ):
        patch.setenv("RAY_TMPDIR", folder)  # not pytest's: the path of a socket is a short one
        patch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # Without this, Ray listens at every address of the machine. It is read on import.
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        if "ray" in sys.modules:
            patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)
        patch.delenv("RAY_ADDRESS", raising=False)
        yield patch


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    """Do the runs of the sweeps, one after the other in this process."""
    folder = tmp_path_factory.mktemp("alone")
    return [run(config, folder, progress=False) for config in plans()]


@pytest.fixture(scope="session")
def slurm(environment: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run a Slurm of two CPUs, and give its ``slurm.conf``."""
    server = slurm_server()
    try:
        conf = server.__enter__()
    except NoServer as why:
        pytest.skip(str(why))
    try:
        yield conf
    finally:
        server.__exit__(None, None, None)
