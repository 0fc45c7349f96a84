"""What all tests share: the material beside the repository, and small seeded tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

# The tensors are tiny: a second thread costs more than it does.
torch.set_num_threads(1)

# The same examples on every machine, no files left behind, and no limit on an example's time.
hypothesis.settings.register_profile("asgml", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("asgml")


#: The longest files, the longest first: no worker is left alone with one of them at the end.
LONGEST = (
    "test_notebooks", "test_ray", "test_readme", "test_notebook_tasks", "test_slurm",
    "test_run_ends", "test_soak", "test_sweep_ends", "test_cli_sweep", "test_examples",
    "test_every_run", "test_frameworks", "test_book", "test_runner", "test_run", "test_resume",
    "test_diagnosis", "test_loops", "test_kills", "test_sweep", "test_synth", "test_ave",
    "test_miniature", "test_draws",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist keep the order of files; by itself it begins with those of most tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Give the path of something in ``../shared``; the test is skipped where it is absent."""

    def path(relative: str) -> Path:
        found = SHARED / relative
        if not found.exists():
            pytest.skip(f"../shared/{relative} is absent")
        return found

    return path


@pytest.fixture(scope="session")
def golden(shared: Callable[[str], Path]) -> Callable[[str], Mapping[str, Tensor]]:
    """Give all arrays of one golden file as tensors, by key."""

    @functools.cache
    def load(name: str) -> Mapping[str, Tensor]:
        with np.load(shared(f"golden/{name}.npz"), allow_pickle=False) as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    return load


@pytest.fixture(scope="session")
def normal() -> Callable[..., Tensor]:
    """Give standard normal float32 tensors: ``normal(3, 4, seed=1)``."""

    def draw(*shape: int, seed: int = 0) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    return draw


@pytest.fixture(scope="session")
def class_labels() -> Callable[..., Tensor]:
    """Give ``(size,)`` int64 labels below ``classes``: ``class_labels(8, 3, seed=1)``."""

    def draw(size: int, classes: int, seed: int = 0) -> Tensor:
        return torch.randint(classes, (size,), generator=torch.Generator().manual_seed(seed))

    return draw
