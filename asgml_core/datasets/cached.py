"""From a cache and one of its splits to a dataset; nothing is left out unsaid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from asgml_core.datasets.base import DataError, MultimodalDataset, Part
from asgml_core.datasets.cache import PARTS, REPORT, Cache
from asgml_core.datasets.stored import Stored
from asgml_core.datasets.transforms import Transform

#: How many missing items a record names.
NAMED = 20


def from_cache(
    cache: Cache,
    split: str,
    transforms: Mapping[str, Transform],
    *,
    allow_missing: bool = False,
) -> MultimodalDataset:
    """Return a cache's items as a dataset, its arrays unread.

    Args:
        cache: a finished cache, whose arrays are named like the modalities.
        split: the name of one of its splits.
        transforms: what turns an array's rows into what the network sees, by modality.
        allow_missing: go on where items of the split could not be prepared; ``notes`` names them.

    Raises:
        DataError: when there is no such split, or items of it are missing and that is not allowed.
    """
    parts = cache.split(split)
    missing = check_missing(cache, split, parts, allow_missing)
    inputs = lambda ids: {m: cache.stored(m, ids) for m in cache.manifest["arrays"]}  # noqa: E731
    chosen = split_parts(cache, parts, inputs)
    return MultimodalDataset(
        name=cache.manifest["dataset"],
        classes=cache.classes,
        **chosen,
        source=str(cache.folder),
        transforms=transforms,
        notes=cache_notes(cache, split, parts, missing),
    )


def check_missing(
    cache: Cache, split: str, parts: Mapping[str, str], allow_missing: bool
) -> list[str]:
    """Return the items of a split that the cache does not have, in order of their names.

    Raises:
        DataError: when there are some and that is not allowed.
    """
    missing = sorted(item for item in parts if item not in cache.rows)
    if missing and not allow_missing:
        raise DataError(
            f"{cache.folder}: {len(missing)} of the {len(parts)} items of split {split!r} are "
            f"missing, {missing[0]!r} first; {REPORT} says why. Mend them and prepare again, or "
            "go on without them (allow_missing=True, --allow-missing): the record will say so."
        )
    return missing


def split_parts(
    cache: Cache,
    parts: Mapping[str, str],
    inputs: Callable[[list[str]], Mapping[str, Tensor | Stored]],
) -> dict[str, Part | None]:
    """Return the parts of a split, items in the cache's order, by name; ``None`` for no such part.

    Args:
        cache: where the items are.
        parts: the part of every item, by id.
        inputs: gives the inputs of items, by modality.

    Raises:
        DataError: when the training or the test part has no item.
    """
    made: dict[str, Part | None] = {}
    for name in PARTS:
        ids = [item for item in cache.rows if parts.get(item) == name]
        if not ids and name in ("train", "test"):
            raise DataError(f"{cache.folder}: no item of the {name} part is there.")
        made[name] = _part(cache, ids, inputs) if ids else None
    return made


def _part(
    cache: Cache, ids: list[str], inputs: Callable[[list[str]], Mapping[str, Tensor | Stored]]
) -> Part:
    number = {name: i for i, name in enumerate(cache.classes)}
    return Part(
        inputs=inputs(ids),
        labels=torch.tensor([number[label] for label in cache.column("label", ids)]),
        ids=tuple(ids),
        groups=tuple(cache.column("group", ids)),
    )


def cache_notes(
    cache: Cache, split: str, parts: Mapping[str, str], missing: list[str]
) -> dict[str, Any]:
    """Return what a record should say of data that came from a cache."""
    manifest = cache.manifest
    by_part = {name: sum(parts[item] == name for item in missing) for name in PARTS}
    return {
        "cache": {
            key: manifest[key] for key in ("fingerprint", "parameters", "versions", "counts")
        },
        "split": {"name": split, **cache.splits[split]},
        "missing": {
            "items": len(missing),
            "by_part": {name: count for name, count in by_part.items() if count},
            "first": missing[:NAMED],
        },
        "not_in_split": sum(item not in parts for item in cache.rows),
    }
