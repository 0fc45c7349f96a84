"""The pictures of a mouth in a film of GRID.

The region and its reduction are those of the prepared file of speaker s1, found by trying
candidates against its rows: with PyAV 18.1 (FFmpeg 8) on x86-64 all its 15000 pictures come out
equal to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asgml_core.preparing.plan import ItemError

#: Height and width of the films and of the pictures that are kept, in pixels.
FILM, PICTURE = (288, 360), (32, 56)

#: Height and width of the window whose motion is largest where the lips are.
LIPS = (16, 40)
#: Rows and columns in which the centre of that window is looked for.
SEARCH = ((176, 256), (100, 260))
#: The centre of the motion is this far below the middle of the region: the jaw moves too.
BELOW = 2


@dataclass(frozen=True)
class Mouth:
    """The region of a film that shows the mouth.

    Args:
        height: in pixels, even.
        width: the same.
        top: its first row; ``None`` finds the region in each clip.
        left: its first column; ``None`` likewise.
    """

    height: int = 64
    width: int = 112
    top: int | None = None
    left: int | None = None

    def place(self, clip: str, pictures: np.ndarray) -> tuple[int, int]:
        """Return the region's first row and column in a clip.

        Args:
            clip: its name, for messages.
            pictures: ``(K, 288, 360)`` uint8, of the sentence.

        Raises:
            ItemError: when it is to be found and nothing moves.
        """
        if self.top is not None and self.left is not None:
            return self.top, self.left
        row, column = find_lips(clip, pictures)
        return row - BELOW - self.height // 2, column - self.width // 2


def parse_mouth(mouth: str | Sequence[int]) -> Mouth:
    """Return the mouth that ``"auto"`` or ``"top,left,height,width"`` describes.

    Raises:
        ValueError: when it is neither, is not inside the film, or its size is odd or too small.
    """
    if mouth == "auto":
        return Mouth()
    parts = mouth.split(",") if isinstance(mouth, str) else list(mouth)
    try:
        top, left, height, width = (int(str(part)) for part in parts)
    except (ValueError, TypeError):
        raise ValueError(
            f"mouth is {mouth!r}, but must be 'auto' or 'top,left,height,width' in pixels."
        ) from None
    inside = 0 <= top <= FILM[0] - height and 0 <= left <= FILM[1] - width
    if not inside or height < PICTURE[0] or width < PICTURE[1] or height % 2 or width % 2:
        raise ValueError(
            f"mouth is {mouth!r}, but must lie inside {FILM[0]} rows and {FILM[1]} columns, with "
            f"an even height of {PICTURE[0]} or more and an even width of {PICTURE[1]} or more."
        )
    return Mouth(height, width, top, left)


def find_lips(clip: str, pictures: np.ndarray) -> tuple[int, int]:
    """Return the row and column of the lower face around which most moves.

    The differences between pictures, summed over a window of the size of lips, are largest there.
    In whole numbers, so that the place is the same on every machine.

    Args:
        clip: its name, for messages.
        pictures: ``(K, 288, 360)`` uint8, while a sentence is said.

    Raises:
        ItemError: when nothing moves.
    """
    moved = np.abs(np.diff(pictures.astype(np.int16), axis=0)).sum(axis=0, dtype=np.int64)
    sums = np.pad(moved.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    (height, width), ((top, bottom), (left, right)) = LIPS, SEARCH
    rows = np.arange(top, bottom)[:, None] - height // 2
    columns = np.arange(left, right) - width // 2
    window = (
        sums[rows + height, columns + width] - sums[rows, columns + width]
        - sums[rows + height, columns] + sums[rows, columns]
    )  # fmt: skip
    if not window.any():
        raise ItemError(f"{clip}: nothing moves where the mouth is looked for.")
    row, column = np.unravel_index(window.argmax(), window.shape)
    return int(row) + top, int(column) + left


def luma(clip: str, frame: Any) -> np.ndarray:
    """Return the brightness of a frame of PyAV as it is coded, ``(288, 360)`` uint8.

    Raises:
        ItemError: when the picture is of another size.
    """
    if (frame.height, frame.width) != FILM:
        raise ItemError(
            f"{clip}: its pictures are {frame.width}x{frame.height}, but those of GRID are "
            f"{FILM[1]}x{FILM[0]}."
        )
    if frame.format.name != "yuv420p":
        frame = frame.reformat(format="yuv420p")
    return frame.to_ndarray()[: FILM[0]]


def shrink(picture: np.ndarray) -> np.ndarray:
    """Return a region at 32x56, means over areas, brightness stretched from 16..235 to 0..255.

    As FFmpeg's ``scale=56:32:flags=area,format=gray``, which rounds in a way of its own: plain
    means would differ by 1 in 5 % of the pixels.

    Args:
        picture: ``(height, width)`` uint8, both even.
    """
    import av

    height, width = picture.shape
    colours = np.full(height * width // 2, 128, np.uint8)
    planes = np.concatenate([picture.ravel(), colours]).reshape(-1, width)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame = frame.reformat(PICTURE[1], PICTURE[0], "gray", interpolation="AREA")
    return frame.to_ndarray()
