"""Tiny runs, and sweeps of toys that need none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from asgml_core import RunConfig, profile, study
from asgml_core.plans import Plan
from asgml_core.sweep import Options, carry_out, look_at


@pytest.fixture(scope="session")
def tiny() -> Callable[..., RunConfig]:
    """Give a run of half a second: ``tiny("boost_ogm", seed=1, epochs=2)``."""

    def make(name: str = "baseline", seed: int = 0, epochs: int = 2) -> RunConfig:
        base = profile("synth", seed=seed, epochs=epochs, options={"train": 64, "test": 32})
        base = base.replace(model={"width": 2, "stem": "small"}, train={"batch_size": 16})
        return study.config(name, base)

    return make


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Carry a plan of toys out, and give how every task stands, by name."""

    def carry(plan: Plan, workers: int = 1, **options: object) -> dict[str, str]:
        imports = ("toy_worker",)
        given = Options(workers=workers, progress=False, imports=imports, **options)
        carry_out(plan, tmp_path, given)
        return {name: status.kind for name, status in look_at(plan, tmp_path).items()}

    return carry
