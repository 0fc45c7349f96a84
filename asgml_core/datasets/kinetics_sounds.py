"""Kinetics-Sounds: 17396 clips of ten seconds from YouTube, 31 actions that can be heard.

The part of Kinetics-400 (Kay et al. 2017) that Arandjelovic and Zisserman (2017) proposed, as split
by Peng et al. (2022). ``asgml data prepare kinetics_sounds`` makes the cache that is read here.
"""

from __future__ import annotations

from typing import Literal

from asgml_core.datasets.base import MultimodalDataset
from asgml_core.datasets.clips import read_clips
from asgml_core.datasets.transforms import Pictures

#: What the class numbers 0 to 30 of OGM-GE's files mean. The files do not say it; the labels of
#: Kinetics-400 do, for 2594 of the 2597 test clips, without exception.
CLASSES = (
    "blowing nose", "blowing out candles", "bowling", "chopping wood", "dribbling basketball",
    "laughing", "mowing lawn", "playing accordion", "playing bagpipes", "playing bass guitar",
    "playing clarinet", "playing drums", "playing guitar", "playing harmonica", "playing keyboard",
    "playing organ", "playing piano", "playing saxophone", "playing trombone", "playing trumpet",
    "playing violin", "playing xylophone", "ripping paper", "shoveling snow", "shuffling cards",
    "singing", "stomping grapes", "tap dancing", "tapping guitar", "tapping pen", "tickling",
)  # fmt: skip


def kinetics_sounds(
    *,
    seed: int,
    path: str | None = None,
    split: str = "ogm_ge",
    frames: int | None = None,
    pick: Literal["first", "even", "random"] = "even",
    crops: Literal["frame", "clip"] = "frame",
    size: int = 224,
    allow_missing: bool = False,
) -> MultimodalDataset:
    """Return Kinetics-Sounds from a prepared cache.

    Args:
        seed: the run's seed; it decides nothing here, the split is the cache's.
        path: the cache's folder; by default ``kinetics_sounds`` in a data folder.
        split: ``"ogm_ge"`` is the published one of 14799 and 2597 clips, no video in both;
            ``"own"`` is that of other split files.
        frames: how many of the kept frames are seen; ``None`` takes all.
        pick: which of them.
        crops: in training, a crop for each frame (as OGM-GE's code) or one for the whole clip.
        size: height and width of the pictures that the network sees.
        allow_missing: go on without the clips of the split that could not be prepared.

    Returns:
        Modalities ``audio`` ``(1, 257, 1001)`` and ``visual`` ``(3, size, size)``, with a first
        axis of frames where more than one is seen; groups are YouTube videos.

    Raises:
        DataError: when there is no such cache or split, or clips are missing.
        ValueError: for an option outside its range.
    """
    pictures = Pictures(size=size, frames=frames, pick=pick, crops=crops)
    return read_clips("kinetics_sounds", path, split, pictures, allow_missing)
