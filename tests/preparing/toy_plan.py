"""A source of small text files, whose preparation can be made to go wrong in every way."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asgml_core.preparing.plan import Decoded, Item, ItemError, Plan, Split
from asgml_core.preparing.runner import prepare

SHAPE = (3, 5)


@dataclass(frozen=True)
class ToyDecoder:
    """Turns a file that holds a number into arrays of it.

    What a file says beside: ``bad`` (no number), ``nan``, ``shape``, ``dtype``, ``die`` (the
    process ends), ``note``.

    Args:
        calls: a folder in which every item that is decoded leaves a file per time.
        seconds: how long an item takes.
    """

    calls: Path | None = None
    seconds: float = 0.0

    def __call__(self, items: Sequence[Item]) -> list[Decoded | ItemError]:
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Decoded | ItemError:
        if self.calls is not None:
            (self.calls / f"{item.id}.{time.monotonic_ns()}").touch()
        time.sleep(self.seconds)
        said, _, extra = item.files["number"].read_text().partition(" ")
        if said == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if not said.isdecimal():
            return ItemError(f"{item.files['number'].name} holds {said!r}, no number.")
        pixels = np.full(SHAPE, int(said) % 256, np.uint8)
        wave = np.linspace(0, int(said), 7, dtype=np.float32)
        if extra == "nan":
            wave[3] = np.nan
        if extra == "shape":
            pixels = pixels[:2]
        if extra == "dtype":
            wave = wave.astype(np.float64)
        notes = ("it is odd.",) if extra == "note" else ()
        return Decoded({"pixels": pixels, "wave": wave}, {"number": int(said)}, notes)


def toy_source(folder: Path, count: int = 40) -> Path:
    """Write files ``item_00.txt`` and on, each with its number."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"item_{i:02}.txt").write_text(str(i + 1))
    return folder


def toy_plan(source: Path, decoder: ToyDecoder | None = None, **changes: object) -> Plan:
    """Return the plan of a toy source, four items a chunk."""
    items = tuple(
        Item(id=path.stem, label="ab"[i % 2], group=f"g{i % 5}", files={"number": path})
        for i, path in enumerate(sorted(source.glob("*.txt")))
    )
    parts = {item.id: "test" if i % 4 == 0 else "train" for i, item in enumerate(items)}
    plan = Plan(
        dataset="toy",
        classes=("a", "b"),
        source=source,
        items=items,
        arrays={"pixels": ("uint8", SHAPE), "wave": ("float32", (7,))},
        parameters={"kind": "toy"},
        decode=decoder or ToyDecoder(),
        splits={"all": Split(parts, {"rule": "every fourth"})},
        chunk=4,
    )
    return replace(plan, **changes)


def contents(cache: Path) -> dict[str, bytes]:
    """Return every file of a cache but the journal, whose order is that of the work."""
    left_out = ("journal.jsonl", ".lock")
    return {
        str(path.relative_to(cache)): path.read_bytes()
        for path in sorted(cache.rglob("*"))
        if path.is_file() and path.name not in left_out
    }


if __name__ == "__main__":
    prepare(
        toy_plan(Path(sys.argv[1]), ToyDecoder(seconds=0.02)),
        sys.argv[2],
        workers=int(sys.argv[3]),
        progress=False,
    )
