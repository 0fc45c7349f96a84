"""A tiny data set of one's own, on which a whole run takes a second."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_data import write_tiny

from asgml_core import RunConfig, profile, study


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def base(tiny: Path) -> RunConfig:
    """The baseline on the tiny data: 4 epochs of 6 batches."""
    config = profile("arrays", seed=3, epochs=4, options={"path": str(tiny)})
    return config.replace(
        model={"width": 2, "stem": "small"}, train={"batch_size": 16, "learning_rate": 0.05}
    )


@pytest.fixture
def boosted(base: RunConfig) -> RunConfig:
    """Boost and OGM-GE: probes, noise and a window."""
    return study.config("boost_ogm", base)
