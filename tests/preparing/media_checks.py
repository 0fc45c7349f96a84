"""Reading media files in tests: what is wanted of them, and what a refusal has to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from asgml_core.preparing.media import (
    Audio,
    Video,
    read_audio,
    read_video,
)
from asgml_core.preparing.plan import ItemError

FILMS = (".flv", ".mpg", ".mp4", ".avi", ".mkv")


def every(count: int, rate: float) -> range:
    return range(count)


def first(count: int, rate: float) -> list[int]:
    return [0]


def read_frames(path: Path) -> Video:
    return read_video(path, every)


def attempt(reader: Callable[[Path], Audio | Video], path: Path) -> Audio | Video | str:
    """Return what is read, or the message of the error."""
    try:
        return reader(path)
    except ItemError as error:
        return str(error)


def fails(path: Path, message: str = ".", *, reader: Callable[[Path], object] = read_audio) -> str:
    """Check that reading a file is one sentence that begins with its name."""
    with pytest.raises(ItemError, match=message) as caught:
        reader(path)
    said = str(caught.value)
    assert said.startswith(path.name), said
    assert said.endswith("."), said
    assert "\n" not in said
    assert len(said) < 200
    return said
