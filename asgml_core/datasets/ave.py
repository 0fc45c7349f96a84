"""AVE: 4143 events of 28 classes in 4097 clips of ten seconds from YouTube.

Tian, Shi, Li, Duan and Xu (2018). ``asgml data prepare ave`` makes the cache that is read here.
"""

from __future__ import annotations

from typing import Literal

from asgml_core.datasets.base import MultimodalDataset
from asgml_core.datasets.clips import read_clips
from asgml_core.datasets.transforms import Pictures

#: In the order of the alphabet, as in OGM-GE's code.
CLASSES = (
    "Accordion", "Acoustic guitar", "Baby cry, infant cry", "Banjo", "Bark", "Bus", "Cat",
    "Chainsaw", "Church bell", "Clock", "Female speech, woman speaking",
    "Fixed-wing aircraft, airplane", "Flute", "Frying (food)", "Goat", "Helicopter", "Horse",
    "Male speech, man speaking", "Mandolin", "Motorcycle", "Race car, auto racing",
    "Rodents, rats, mice", "Shofar", "Toilet flush", "Train horn", "Truck", "Ukulele",
    "Violin, fiddle",
)  # fmt: skip


def ave(
    *,
    seed: int,
    path: str | None = None,
    split: str = "official",
    frames: int | None = None,
    pick: Literal["first", "even", "random"] = "even",
    crops: Literal["frame", "clip"] = "frame",
    size: int = 224,
    allow_missing: bool = False,
) -> MultimodalDataset:
    """Return AVE from a prepared cache.

    Args:
        seed: the run's seed; it decides nothing here, the split is the cache's.
        path: the cache's folder; by default ``ave`` in a data folder.
        split: ``"official"`` is every line of the corpus' three files, in which 18 videos are in
            two parts, under two labels; ``"last_label"`` and ``"first_label"`` keep one line of a
            video in a part, as OGM-GE's and PMR's code; ``"single_label"`` has no video with two
            labels, and so none in two parts; ``"own"`` is that of other split files.
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
    return read_clips("ave", path, split, pictures, allow_missing)
