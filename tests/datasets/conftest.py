"""What the tests of datasets share."""

from __future__ import annotations

import shutil
from pathlib import Path

import cache_files
import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cache_files.toy_cache(tmp_path_factory.mktemp("whole") / "cache")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """Give a whole cache to be harmed."""
    return Path(shutil.copytree(whole, tmp_path / "cache"))
