"""The benchmarks' arithmetic, and that each still runs. No test looks at a time."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from asgml_core.models import build_model

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = ["--size", "32", "--batch", "4", "--width", "8"]
#: By script: short settings, and the tables it writes.
SCRIPTS = {
    "step": ([*TINY, "--repeats", "2", "--warmup", "0"], ("step",)),
    "overhead": ([*TINY, "--repeats", "1", "--warmup", "1"], ("overhead",)),
    "scaling": (
        ["--size", "32", "--repeats", "1", "--axes", "epochs", "--precision", "fp32"],
        ("scaling", "scaling_exponents", "matmul_peaks"),
    ),
    "study_cost": (
        ["--steps", "1", "--batch", "2", "--test", "2", "--repeats", "1", "--warmup", "0",
         "--precision", "fp32"],
        ("study_cost",),
    ),
    "startup": (["--repeats", "1"], ("startup",)),
    "engines": (
        ["--seconds", "1", "--runs", "2", "--repeats", "1", "--engines", "local"],
        ("engines",),
    ),
    "profile_step": (
        ["--shapes", "grid", "--batch", "4", "--steps", "1", "--warmup", "0"],
        ("profile_step",),
    ),
}  # fmt: skip


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(name)


def test_a_power_law_has_its_exponent_without_error(monkeypatch: pytest.MonkeyPatch) -> None:
    scaling = module("scaling", monkeypatch)
    values = [1, 2, 4, 8]
    assert scaling.exponent(values, [3 * v**1.5 for v in values]) == pytest.approx((1.5, 0))
    noisy = [1.1, 2.3, 3.7, 8.4]
    x, y = np.log(values), np.log(noisy)
    (slope, _), covariance = np.polyfit(x, y, 1, cov="unscaled")
    left = y - np.polyval(np.polyfit(x, y, 1), x)
    error = np.sqrt(covariance[0, 0] * (left**2).sum() / 2)
    assert scaling.exponent(values, noisy) == pytest.approx((slope, error))


def test_a_spread_is_median_and_quartiles(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = module("measuring", monkeypatch).spread
    assert spread("t", [4.0, 1.0, 3.0, 2.0, 5.0]) == {"t": 3, "t, low": 2, "t, high": 4}
    assert spread("t", [7.0]) == {"t": 7, "t, low": 7, "t, high": 7}
    assert np.isnan(spread("t", [])["t"])


def test_work_is_that_of_the_inputs_of_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNet18 on 224 x 224 pictures: 1.8 G multiply-adds forward, as is well known."""
    flops = module("measuring", monkeypatch).flops
    shapes = {"visual": (3, 224, 224)}
    forward, step = flops(build_model(shapes, 6), shapes)
    assert forward == pytest.approx(2 * 1.814e9, rel=0.01)
    assert 2.9 * forward < step < 3 * forward  # the pictures themselves have no gradient


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_it_runs_and_writes_its_tables(script: str, tmp_path: Path) -> None:
    options, names = SCRIPTS[script]
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), "--results", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in names:
        said = json.loads((tmp_path / f"{name}.json").read_text())
        assert {"command", "commit", "versions", "device", "threads", "wall_time"} <= set(said)
        assert str(tmp_path) not in json.dumps(said)
        assert len(said["rows"]) == len(pd.read_csv(tmp_path / f"{name}.csv")) > 0
    assert sorted(path.stem for path in tmp_path.glob("*.csv")) == sorted(names)


def test_the_shares_of_a_step_are_of_its_whole_time(monkeypatch: pytest.MonkeyPatch) -> None:
    profiling = module("profile_step", monkeypatch)
    measuring = module("measuring", monkeypatch)
    data = measuring.random_data({"audio": (1, 32, 32), "visual": (1, 32, 32)}, 4)
    config = measuring.make_config(model={"width": 4}, train={"batch_size": 4})
    parts = [make() for make in profiling.METHODS["OGM-GE"]]
    trainer = measuring.make_trainer(config, data, profiling.Chain(*parts))
    profiling.mark(trainer)
    _, shares = profiling.shares_of_step(trainer)
    assert sum(shares.values()) == pytest.approx(100)
    for name in profiling.CLASSES:
        assert shares[name] > 0, name
