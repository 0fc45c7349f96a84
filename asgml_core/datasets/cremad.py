"""CREMA-D: 7442 clips of 91 actors who say a sentence in one of six emotions.

Cao, Cooper, Keutmann, Gur, Nenkova and Verma (2014), ODbL 1.0. ``asgml data prepare cremad`` makes
the cache that is read here.
"""

from __future__ import annotations

from typing import Literal

from asgml_core.datasets.base import MultimodalDataset
from asgml_core.datasets.clips import read_clips
from asgml_core.datasets.transforms import Pictures

#: In OGM-GE's label order.
CLASSES = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")


def cremad(
    *,
    seed: int,
    path: str | None = None,
    split: str = "ogm_ge",
    frames: int | None = None,
    pick: Literal["first", "even", "random"] = "first",
    crops: Literal["frame", "clip"] = "frame",
    size: int = 224,
    allow_missing: bool = False,
) -> MultimodalDataset:
    """Return CREMA-D from a prepared cache.

    Args:
        seed: the run's seed; it decides nothing here, the split is the cache's.
        path: the cache's folder; by default ``cremad`` in a data folder.
        split: ``"ogm_ge"`` is the published one of 6698 and 744 clips, in which every actor is on
            both sides; ``"speakers_0"`` to ``"speakers_4"`` have no actor in two parts; ``"own"``
            is that of other split files.
        frames: how many of the kept frames are seen; ``None`` takes all.
        pick: which of them.
        crops: in training, a crop for each frame (as OGM-GE's code) or one for the whole clip.
        size: height and width of the pictures that the network sees.
        allow_missing: go on without the clips of the split that could not be prepared.

    Returns:
        Modalities ``audio`` ``(1, 257, 188)`` and ``visual`` ``(3, size, size)``, with a first
        axis of frames where more than one is seen; groups are actors.

    Raises:
        DataError: when there is no such cache or split, or clips are missing.
        ValueError: for an option outside its range.
    """
    pictures = Pictures(size=size, frames=frames, pick=pick, crops=crops)
    return read_clips("cremad", path, split, pictures, allow_missing)
