"""Miniatures of MMSA's feature files: the same keys, types and sizes, but few items."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

#: Steps and features by dataset and alignment, as in the real files.
SHAPES = {
    ("mosei", "aligned"): {"audio": (50, 74), "vision": (50, 35), "text": (50, 768)},
    ("mosei", "unaligned"): {"audio": (500, 74), "vision": (500, 35), "text": (50, 768)},
    ("mosi", "aligned"): {"audio": (50, 5), "vision": (50, 20), "text": (50, 768)},
    ("mosi", "unaligned"): {"audio": (375, 5), "vision": (500, 20), "text": (50, 768)},
}
VIDEOS = ("03bSnISJMiM", "-3g5yACwYnA", "_dI--eQ6qVU", "2vFs$w_8k", "c5xsKMxpXnc", "GWuJjcEuzt8")
WORDS = {-1: "Negative", 0: "Neutral", 1: "Positive"}


def part_of(
    dataset: str, alignment: str, count: int, videos: tuple[str, ...], seed: int
) -> dict[str, Any]:
    """Return one part, with the types that the real files have."""
    random = np.random.default_rng(seed)
    shapes = SHAPES[dataset, alignment]
    words = random.integers(3, 50, count)
    words[0] = 50
    lengths = {m: random.integers(1, shapes[m][0] + 1, count) for m in ("audio", "vision")}
    if alignment == "aligned":
        lengths = dict.fromkeys(lengths, words)
    level = 3 if dataset == "mosei" else 5
    sentiments = (random.integers(-3 * level, 3 * level + 1, count) / level).astype(np.float32)
    sentiments[:4] = 0, 0.5, -1, 3
    part: dict[str, Any] = {
        "raw_text": np.array([f"CLIP {i} WITH SOME WORDS" for i in range(count)]),
        "id": np.array([f"{videos[i % len(videos)]}$_${i // len(videos)}" for i in range(count)]),
    }
    for m, dtype in (("audio", np.float64), ("vision", np.float64), ("text", np.float32)):
        steps, features = shapes[m]
        values = random.normal(size=(count, steps, features)) * 3 + sentiments[:, None, None]
        if m != "text":  # behind the words BERT gives values too, and only the mask tells
            values *= np.arange(steps)[None, :, None] < lengths[m][:, None, None]
        part[m] = values.astype(dtype)
    mask = (np.arange(50) < words[:, None]).astype(np.int64)
    part["text_bert"] = np.stack([mask * 2000, mask, np.zeros_like(mask)], 1)
    part["annotations"] = np.array([WORDS[int(np.sign(s))] for s in sentiments])
    part["classification_labels"] = np.sign(sentiments) + 1.0
    part["regression_labels"] = sentiments
    if alignment == "unaligned":
        part |= {f"{m}_lengths": lengths[m].tolist() for m in lengths}
    return part


def features_of(dataset: str = "mosei", alignment: str = "aligned", size: int = 12) -> dict:
    """Return the content of a file, with ``size`` training items and half as many others."""
    return {
        "train": part_of(dataset, alignment, size, VIDEOS[:3], 0),
        "valid": part_of(dataset, alignment, max(4, size // 2), VIDEOS[3:4], 1),
        "test": part_of(dataset, alignment, max(4, size // 2), VIDEOS[4:], 2),
    }


def write_features(
    folder: Path, content: Any, alignment: str = "aligned", protocol: int = 4
) -> Path:
    """Write a file as MMSA names it, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{alignment}_50.pkl").write_bytes(pickle.dumps(content, protocol))
    return folder
