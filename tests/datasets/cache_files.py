"""A maker of small prepared caches, and what the tests of reading them share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from asgml_core.datasets.base import DataError, MultimodalDataset
from asgml_core.datasets.cache import Cache
from asgml_core.datasets.cached import from_cache
from asgml_core.datasets.transforms import Floats
from asgml_core.preparing.plan import Decoded, Item, ItemError, Plan, Split
from asgml_core.preparing.runner import prepare

NAMES = tuple(f"item_{i}" for i in range(8))
PARTS = ("train", "test", "train", "valid", "train", "test", "train", "train")
#: By name of the array: its values, ``(8, ...)``.
VALUES = {
    "wave": np.arange(40, dtype=np.float32).reshape(8, 5),
    "pixels": np.arange(96, dtype=np.uint8).reshape(8, 3, 4),
}


def toy_decode(items: Sequence[Item]) -> list[Decoded | ItemError]:
    made = []
    for item in items:
        number = NAMES.index(item.id)
        if item.facts["state"] == "bad":
            made.append(ItemError(f"{item.id} is bad."))
        else:
            made.append(Decoded({name: rows[number] for name, rows in VALUES.items()}))
    return made


def toy_cache(folder: Path, bad: Sequence[str] = (), label: str = "b", group: str = "g") -> Path:
    items = tuple(
        Item(
            id=name,
            label=label if i % 2 else "a",
            group=f"{group}{i % 3}",
            facts={"state": "bad" if name in bad else "good"},
        )
        for i, name in enumerate(NAMES)
    )
    plan = Plan(
        dataset="toy",
        classes=("a", "b", "c"),
        source=folder.parent,
        items=items,
        arrays={"wave": ("float32", (5,)), "pixels": ("uint8", (3, 4))},
        parameters={"kind": "toy"},
        decode=toy_decode,
        splits={"all": Split(dict(zip(NAMES, PARTS, strict=True)))},
    )
    prepare(plan, folder, workers=0, progress=False)
    return folder


def read(folder: Path, **options: bool) -> MultimodalDataset:
    transforms = {"wave": Floats(), "pixels": Floats()}
    return from_cache(Cache.open(folder, "toy"), "all", transforms, **options)


def refused(folder: Path, message: str) -> str:
    """Check that a cache is refused in one sentence, which names a file of it or its folder."""
    with pytest.raises(DataError, match=message) as caught:
        read(folder)
    said = str(caught.value)
    assert said.startswith(str(folder)), said
    assert "\n" not in said
    assert said.endswith(".")
    assert len(said) < 700
    return said


def change(file: Path, edit: Callable[[dict], object]) -> None:
    values = json.loads(file.read_text())
    edit(values)
    file.write_text(json.dumps(values))
