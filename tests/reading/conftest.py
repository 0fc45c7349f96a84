"""What the tests of reading share: a folder in which examples are made one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")
