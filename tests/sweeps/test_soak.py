"""A sweep under SIGKILL ends with the undisturbed sweep's bits; see ``benchmarks/soak.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.parametrize(
    ("runs", "kills", "epochs", "workers"),
    [(4, 6, 3, 1), pytest.param(24, 50, 10, 2, marks=pytest.mark.slow)],
)
@pytest.mark.timeout(3600)
def test_kills_change_no_bit(
    tmp_path: Path, runs: int, kills: int, epochs: int, workers: int
) -> None:
    said = {"runs": runs, "kills": kills, "epochs": epochs, "workers": workers}
    done = subprocess.run(
        [sys.executable, str(SOAK), *(f"--{name}={value}" for name, value in said.items()),
         f"--out={tmp_path / 'said.json'}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "said.json").read_text())
    assert summary["kills"]["all"] == kills
    assert summary["differences"] == []
    assert summary["things compared"] > 500 * runs
