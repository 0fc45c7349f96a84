"""Miniature clips of GRID: films whose pictures tell their number, and alignments by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from media_files import film, sound

#: bbaf2n, with times in units of 1/25000 s.
SENTENCE = (
    (0, 23750, "sil"), (23750, 29500, "bin"), (29500, 34000, "blue"), (34000, 35500, "at"),
    (35500, 41000, "f"), (41000, 47250, "two"), (47250, 53000, "now"), (53000, 74500, "sil"),
)  # fmt: skip
CLIP = "bbaf2n"
SECONDS = 131328 / 44100


def align(path: Path, lines: Sequence[Sequence[object]] = SENTENCE, end: str = "\r\n") -> Path:
    """Write an alignment; the corpus' own files end their lines so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(" ".join(map(str, line)) + end for line in lines).encode())
    return path


def grey_of(number: int) -> int:
    """Return the brightness of a picture of :func:`counting`: neighbours differ by 8 or more."""
    return 30 + 8 * (number * 7 % 25)


def counting(count: int = 75, size: tuple[int, int] = (288, 360)) -> np.ndarray:
    """Return plain pictures whose brightness tells their number, ``(count, *size, 3)`` uint8."""
    greys = np.array([grey_of(number) for number in range(count)], np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (count, *size, 3)).copy()


def moving(lips: tuple[int, int], count: int = 75) -> np.ndarray:
    """Return still pictures in which a patch of the size of lips moves around a place."""
    draw = np.random.default_rng(lips)
    row, column = lips
    pictures = np.full((count, 288, 360, 3), 90, np.uint8)
    pictures[:, :120] = draw.integers(40, 200, (120, 360, 1))
    for number in range(count):
        opened = 2 + (number * 3) % 7
        pictures[number, row - opened : row + opened, column - 18 : column + 18] = 220
    return pictures


def clip(folder: Path, name: str = CLIP, frames: np.ndarray | None = None, **options) -> Path:
    """Write a clip's film and alignment side by side, and return the film."""
    align(folder / f"{name}.align")
    frames = counting() if frames is None else frames
    options = {"samples": sound(SECONDS, 44100, 2), **options}
    return film(folder / f"{name}.mpg", frames, **options)
