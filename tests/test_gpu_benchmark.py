"""The benchmark for a lent GPU, tried on a CPU where torch and torchvision are all there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
ABSENT = (
    "pandas", "yaml", "tqdm", "tensorboard", "matplotlib", "seaborn", "av", "soxr", "librosa",
    "scipy", "papermill", "nbformat", "tests",
)  # fmt: skip
BLOCKER = f"""
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""
SECTIONS = ("device", "correctness", "sync", "compiled", "steps", "run", "methods", "several",
            "study")  # fmt: skip


def started(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess, dict]:
    (folder / "sitecustomize.py").write_text(BLOCKER)
    out = folder / "gpu.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--device", "cpu", "--small", "--out", str(out), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, json.loads(out.read_text())


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess, dict]:
    return started(tmp_path_factory.mktemp("gpu"))


def spreads(found: object) -> list[dict]:
    if not isinstance(found, dict):
        return []
    if "median" in found:
        return [found]
    return [spread for value in found.values() for spread in spreads(value)]


@pytest.mark.slow
def test_every_section_is_done_or_needs_a_gpu(tried) -> None:
    done, said = tried
    assert done.returncode == 0, done.stdout + done.stderr
    states = {name: section["status"] for name, section in said["sections"].items()}
    assert set(states) == set(SECTIONS)
    for name, state in states.items():
        assert state == ("needs CUDA" if name in ("sync", "compiled") else "done")
        assert said["sections"][name]["failures"] == []
    assert said["code"]
    assert said["date"]
    assert "commit" in said


@pytest.mark.slow
def test_times_have_a_number_and_quartiles(tried) -> None:
    sections = tried[1]["sections"]
    for name in ("device", "steps", "run", "methods", "several", "study"):
        found = spreads(sections[name]["results"])
        assert found, name
        for spread in found:
            assert spread["n"] >= 2
            assert 0 < spread["low"] <= spread["median"] <= spread["high"]


@pytest.mark.slow
def test_what_needs_a_gpu_says_so(tried) -> None:
    sections = tried[1]["sections"]
    assert sections["steps"]["results"]["bf16, graphs, deterministic"] == "needs CUDA"
    assert sections["correctness"]["results"]["resumed, eager, fp32, boost_ogm_ge"]["ok"] is True
    assert "graphs against eager, fp32, baseline: needs CUDA" in tried[0].stdout


def test_it_needs_torch_and_torchvision_alone(tmp_path: Path) -> None:
    done, said = started(tmp_path, "--sections", "device", "sync")
    assert done.returncode == 0, done.stdout + done.stderr
    assert said["sections"]["device"]["status"] == "done"
    assert said["sections"]["sync"]["status"] == "needs CUDA"
    assert all(spread["n"] >= 2 for spread in spreads(said["sections"]["device"]["results"]))


def test_a_section_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    done, said = started(tmp_path, "--minutes", "0.5", "--sections", "correctness", "study")
    assert done.returncode == 0, done.stdout + done.stderr
    assert said["sections"]["correctness"]["status"] == "left out: no time"
    assert said["sections"]["study"]["status"] == "done"
