"""Tables of downloads and of the caches made from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asgml_core.datasets.cache import REPORT, Cache, read_table


def folders(source: Path) -> pd.DataFrame:
    """Return what a download holds: files, size and a first name for each of its folders.

    Args:
        source: the download, unpacked; hidden files do not count.
    """
    rows = []
    for place in sorted(source.iterdir()):
        if place.name.startswith("."):
            continue
        files = sorted(f for f in place.rglob("*") if f.is_file()) if place.is_dir() else [place]
        size = sum(file.stat().st_size for file in files) / 1e6
        first = files[0].name if place.is_dir() and files else ""
        name = f"{place.name}/" if place.is_dir() else place.name
        rows.append({"in it": name, "files": len(files), "MB": round(size, 2), "the first": first})
    return pd.DataFrame(rows).set_index("in it")


def report(cache: Cache) -> pd.DataFrame:
    """Return the lines of a cache's ``report.csv``: what failed, was ignored, or is to be known."""
    return pd.DataFrame(read_table(cache.folder / REPORT, ("id", "file", "kind", "message")))


def arrays(cache: Cache) -> pd.DataFrame:
    """Return type, shape of an item, and size of each array of a cache."""
    listed = cache.manifest["counts"]["listed"]
    rows = []
    for name, said in cache.manifest["arrays"].items():
        item = math.prod(said["shape"]) * np.dtype(said["dtype"]).itemsize
        rows.append(
            {
                "array": name,
                "type": said["dtype"],
                "an item": " x ".join(map(str, said["shape"])),
                "MB an item": round(item / 1e6, 3),
                "MB in all": round(listed * item / 1e6, 1),
            }
        )
    return pd.DataFrame(rows).set_index("array")


def repeats(seconds: np.ndarray, length: float) -> dict[str, float]:
    """Return what repeating sounds until they fill a length, and cutting them there, does.

    Args:
        seconds: ``(n,)`` the sounds' lengths, above 0.
        length: what is filled, in seconds.

    Returns:
        ``clips``, ``shortest``, ``median`` and ``longest`` in seconds; in per cent the clips that
        are ``shorter`` and ``longer``, what part of all spectrograms is ``repeated``, and what part
        of all sound is ``cut off``.
    """
    return {
        "clips": len(seconds),
        "shortest": float(seconds.min()),
        "median": float(np.median(seconds)),
        "longest": float(seconds.max()),
        "shorter": 100 * float((seconds < length).mean()),
        "longer": 100 * float((seconds > length).mean()),
        "repeated": 100 * float(np.maximum(1 - seconds / length, 0).mean()),
        "cut off": 100 * float(np.maximum(seconds - length, 0).sum() / seconds.sum()),
    }


def splits(cache: Cache) -> pd.DataFrame:
    """Return the items of each part of each split, and how many groups are in more than one part.

    Items that could not be prepared count, too: a split is what its file says.
    """
    group = dict(zip(cache.items["id"], cache.items["group"], strict=True))
    rows = []
    for name in cache.splits:
        parts = cache.split(name)
        sides: dict[str, set[str]] = {}
        for item, part in parts.items():
            sides.setdefault(group[item], set()).add(part)
        counts = {p: sum(part == p for part in parts.values()) for p in ("train", "valid", "test")}
        shared = sum(len(side) > 1 for side in sides.values())
        rows.append({"split": name, **counts, "groups": len(sides), "in two parts": shared})
    return pd.DataFrame(rows).set_index("split")


def shares_right(counts: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """Return accuracies in per cent with their binomial standard errors.

    Args:
        counts: by name, how many were right, and of how many.
    """
    rows = []
    for name, (right, total) in counts.items():
        share = right / total
        error = math.sqrt(share * (1 - share) / total)
        rows.append({"seen": name, "clips": total, "right (%)": 100 * share, "error": 100 * error})
    return pd.DataFrame(rows).set_index("seen")


def notes(said: Mapping[str, Any]) -> pd.DataFrame:
    """Return what a record, or a dataset, says of the cache it came from.

    Args:
        said: ``record.values["data"]`` or ``dataset.notes``.
    """
    cache, split, missing = said["cache"], said["split"], said["missing"]
    named = ", ".join(missing["first"])
    rows = {
        "cache": cache["fingerprint"],
        "items in the cache": f"{cache['counts']['decoded']} of {cache['counts']['listed']}",
        "frames": ", ".join(f"{k} {v}" for k, v in cache["parameters"]["frames"].items() if v),
        "split": f"{split['name']} ({split['rule']})",
        "of the split, missing": f"{missing['items']}{': ' if named else ''}{named}",
        "not in the split": said["not_in_split"],
    }
    return pd.DataFrame(rows.items(), columns=["what", "value"])
