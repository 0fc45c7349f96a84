"""Which frames of a clip are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from asgml_core.checks import check_count, check_one_of
from asgml_core.preparing.plan import ItemError
from asgml_core.seeding import numpy_generator

CHOICES = ("first", "even", "random")


@dataclass(frozen=True)
class FrameChoice:
    """A rule that keeps ``frames`` frames of every clip.

    Args:
        frames: how many, 1 or more.
        choose: ``"first"`` (as the study and, in fact, OGM-GE's official code), ``"even"`` (the
            middle of each of ``frames`` equal shares) or ``"random"`` (drawn without replacement
            by the clip's name, in order of time; the same at every preparation).
        fps: consider only the frames that OGM-GE's official extraction takes at this many a
            second; ``None`` considers all.

    Raises:
        ValueError: for a value outside its range.
    """

    frames: int = 1
    choose: Literal["first", "even", "random"] = "first"
    fps: int | None = None

    def __post_init__(self) -> None:
        check_count("frames", self.frames, high=1000)
        check_one_of("choose", self.choose, CHOICES)
        if self.fps is not None:
            check_count("fps", self.fps, high=1000)

    def parameters(self) -> dict[str, Any]:
        """Return what a manifest should say of the rule."""
        return {"frames": self.frames, "choose": self.choose, "fps": self.fps}

    def indices(self, clip: str, count: int, rate: float) -> list[int]:
        """Return the frames to keep of a clip, counted from 0, rising.

        Args:
            clip: its name.
            count: how many frames it has.
            rate: its frames per second.

        Raises:
            ItemError: when it has fewer than ``frames``.
        """
        there = list(range(count)) if self.fps is None else per_second(count, rate, self.fps)
        if len(there) < self.frames:
            at = "" if self.fps is None else f" at {self.fps} a second"
            raise ItemError(f"{clip} has {len(there)} frames{at}, but {self.frames} are wanted.")
        if self.choose == "first":
            chosen: Sequence[int] = range(self.frames)
        elif self.choose == "even":
            chosen = [(2 * i + 1) * len(there) // (2 * self.frames) for i in range(self.frames)]
        else:
            draw = numpy_generator(0, "frames", clip)
            chosen = sorted(draw.choice(len(there), self.frames, replace=False).tolist())
        return [there[i] for i in chosen]


def per_second(count: int, rate: float, kept: int) -> list[int]:
    """Return the frames that OGM-GE's extraction keeps: ``kept`` in every second of whole frames.

    Source: ``data/CREMAD/video_preprocessing.py`` of GeWu-Lab/OGM-GE_CVPR2022, which counts
    seconds of ``int(rate)`` frames: 29 for 29.97.

    Args:
        count: frames of the clip.
        rate: frames per second.
        kept: how many to keep a second, at most ``int(rate)``.
    """
    second = max(1, int(rate))
    step = max(1, second // kept)
    return [i for i in range(count) if (i % second) % step == 0 and i % second < step * kept]
