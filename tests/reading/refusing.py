"""What every refusal has to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guard import watched

from asgml_core.reading import ReadError


def refused(
    read: Callable[[Path], Any], path: Path, message: str, error: type[Exception] = ReadError
) -> str:
    """Check that a file is refused fast, in little memory, in one sentence that names it."""
    with watched(path.parent) as watch, pytest.raises(error, match=message) as caught:
        read(path)
    said = str(caught.value)
    assert str(path) in said
    assert "\n" not in said
    assert said.endswith(".")
    assert len(said) < 700
    assert not watch.wrong
    assert watch.seconds < 5
    assert watch.bytes < 128 << 20
    return said
