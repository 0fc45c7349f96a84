"""What is in a feature file of MMSA: its items, their labels and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asgml_core.preparing.plan import Item, PrepareError, Report

PARTS = ("train", "valid", "test")
MODALITIES = ("audio", "vision", "text")
#: Sentiment below, at and above 0; ``annotations`` says the same.
CLASSES = ("negative", "neutral", "positive")
LARGEST = 3.0
SEPARATOR = "$_$"
KEYS = {
    "aligned": ("id", *MODALITIES, "text_bert", "annotations", "regression_labels"),
    "unaligned": (
        "id", *MODALITIES, "text_bert", "annotations", "regression_labels", "audio_lengths",
        "vision_lengths",
    ),
}  # fmt: skip


@dataclass
class Listing:
    """What a feature file of MMSA holds, found without reading its features.

    Args:
        file: its path, for messages.
        alignment: which of the two files it should be.
        items: every item, in the file's order; filled by :meth:`look`.
        report: the items that cannot be used, and why.
        shapes: steps and features, by modality.
        places: part and row of every item.
    """

    file: Path
    alignment: str
    items: list[Item] = field(default_factory=list)
    report: list[Report] = field(default_factory=list)
    shapes: dict[str, tuple[int, int]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def look(self, content: Any) -> None:
        """Fill the lists from the file's content.

        Raises:
            PrepareError: when it is not laid out as described, naming the part, key and row.
        """
        for part in PARTS:
            found = content.get(part) if isinstance(content, dict) else None
            if not isinstance(found, dict):
                raise PrepareError(
                    f"{self.file} has no part {part!r}; a dictionary of train, valid and test was "
                    "expected."
                )
            self._check_keys(part, found)
            self._list(part, found)
        self._note_shared_videos()

    def _check_keys(self, part: str, found: Mapping[str, Any]) -> None:
        for key in KEYS[self.alignment]:
            if key not in found:
                raise PrepareError(
                    f"{self.file}: {part} has no {key!r}; the {self.alignment} file has "
                    f"{', '.join(KEYS[self.alignment])}."
                )
        if self.alignment == "aligned" and "audio_lengths" in found:
            raise PrepareError(
                f"{self.file}: {part} has 'audio_lengths', so the file is unaligned; say so "
                "(alignment='unaligned', --alignment unaligned)."
            )
        count = len(self._texts(part, "id", found["id"]))
        for m in MODALITIES:
            self._check_features(part, m, found[m], count)
        steps = self.shapes["text"][0]
        masks = found["text_bert"]
        if not _is_numeric(masks) or masks.shape != (count, 3, steps):
            raise PrepareError(
                f"{self.file}: text_bert of {part} is {_described_as(masks)}, but numbers "
                f"{(count, 3, steps)} were expected, to fit id and text."
            )

    def _check_features(self, part: str, m: str, values: Any, count: int) -> None:
        if not _is_numeric(values) or values.ndim != 3 or 0 in values.shape[1:]:
            raise PrepareError(
                f"{self.file}: {m} of {part} is {_described_as(values)}; numbers of shape (items, "
                "steps, features) were expected."
            )
        if len(values) != count:
            raise PrepareError(
                f"{self.file}: {part} has {count} ids, but {len(values)} rows of {m}."
            )
        shape = self.shapes.setdefault(m, values.shape[1:])
        if values.shape[1:] != shape:
            raise PrepareError(
                f"{self.file}: items of {m} have the shape {values.shape[1:]} in {part}, but "
                f"{shape} in train."
            )

    def _list(self, part: str, found: Mapping[str, Any]) -> None:
        ids = self._texts(part, "id", found["id"])
        words = self._texts(part, "annotations", found["annotations"], len(ids))
        sentiments = self._numbers(part, "regression_labels", found, len(ids))
        lengths = {
            m: self._numbers(part, f"{m}_lengths", found, len(ids))
            for m in ("audio", "vision")
            if self.alignment == "unaligned"
        }
        for row, name in enumerate(ids):
            facts = {"sentiment": sentiments[row], "annotation": words[row]}
            facts |= {f"{m}_length": numbers[row] for m, numbers in lengths.items()}
            self._add(part, row, name, facts)

    def _add(self, part: str, row: int, name: str, facts: dict[str, Any]) -> None:
        place = f"row {row} of {part}"
        if name in self.places:
            raise PrepareError(
                f"{self.file}: item {name!r} is both {self.places[name]} and {place}; every item "
                "belongs to one part, once."
            )
        self.places[name] = place
        video, separator, clip = name.rpartition(SEPARATOR)
        if not (video and separator and clip) or not name.isprintable():
            raise PrepareError(
                f"{self.file}: the id {name!r} ({place}) is not of the form video{SEPARATOR}clip."
            )
        sentiment = facts["sentiment"]
        label = CLASSES[1 + (sentiment > 0) - (sentiment < 0)]
        facts |= {"video": video, "clip": clip, "part": part, "place": row}
        self.items.append(Item(id=name, label=label, group=video, facts=facts))
        if said := self._wrong(facts, label):
            self.report.append(Report(name, self.file.name, "failed", f"{place}: {said}"))

    def _wrong(self, facts: Mapping[str, Any], label: str) -> str | None:
        """Return what is wrong with an item's labels and lengths, or ``None``."""
        if abs(facts["sentiment"]) > LARGEST:
            return f"the sentiment is {facts['sentiment']:g}, but must be from -3 to 3."
        if facts["annotation"].strip().lower() != label:
            return (
                f"the sentiment is {facts['sentiment']:g}, which is {label}, but the annotation is "
                f"{facts['annotation']!r}."
            )
        for m in ("audio", "vision"):
            length, steps = facts.get(f"{m}_length", 0), self.shapes[m][0]
            if not 0 <= length <= steps or length != int(length):
                return f"{m}_lengths is {length:g}, but {m} has {steps} steps."
        return None

    def _texts(self, part: str, key: str, values: Any, count: int | None = None) -> list[str]:
        is_array = isinstance(values, np.ndarray) and values.dtype.kind == "U" and values.ndim == 1
        if not is_array and not (
            isinstance(values, list) and all(isinstance(value, str) for value in values)
        ):
            raise PrepareError(
                f"{self.file}: {key} of {part} is {_described_as(values)}; a list of text was "
                "expected."
            )
        self._check_count(part, key, len(values), count)
        return [str(value) for value in values]

    def _numbers(self, part: str, key: str, found: Mapping[str, Any], count: int) -> list[float]:
        values = found[key]
        if isinstance(values, list) and all(
            isinstance(one, int | float | np.number) for one in values
        ):
            values = np.array(values, dtype=np.float64)
        if not _is_numeric(values) or values.size != len(values):
            raise PrepareError(
                f"{self.file}: {key} of {part} is {_described_as(values)}; one number per item "
                "was expected."
            )
        self._check_count(part, key, values.size, count)
        values = values.reshape(-1)
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            raise PrepareError(
                f"{self.file}: {key} of {part} is {values[row]} in row {row}; a finite number was "
                "expected."
            )
        # The shortest text that means the same number: 0.6666667 for the float32 nearest to 2/3.
        return [float(str(value)) for value in values]

    def _check_count(self, part: str, key: str, found: int, count: int | None) -> None:
        if count is not None and found != count:
            raise PrepareError(f"{self.file}: {part} has {count} ids, but {found} {key}.")

    def _note_shared_videos(self) -> None:
        parts: dict[str, set[str]] = {}
        for item in self.items:
            parts.setdefault(item.group, set()).add(item.facts["part"])
        shared = sorted(video for video, names in parts.items() if len(names) > 1)
        if shared:
            self.report.append(
                Report(
                    "", self.file.name, "note",
                    f"{len(shared)} videos have clips in two parts or more, {shared[0]!r} first.",
                )
            )  # fmt: skip


def _is_numeric(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and values.ndim > 0


def _described_as(values: Any) -> str:
    if isinstance(values, np.ndarray):
        return f"{values.dtype} {values.shape}"
    return f"a {type(values).__name__}"
