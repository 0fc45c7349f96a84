"""What is to be prepared: the words that a dataset's module and the runner share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asgml_core.checks import AsgmlError


class PrepareError(AsgmlError, RuntimeError):
    """A preparation that cannot go on; the message says why and what to do."""


class ItemError(AsgmlError, ValueError):
    """One item that cannot be decoded; it is reported by name and the others go on."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a dataset, as listed.

    Args:
        id: its name, once in a plan.
        label: its class name.
        group: what it belongs to (speaker, clip or video).
        files: what it is made from, by role (``"video"``, ``"audio"``, ...).
        facts: further columns of ``items.csv``.
    """

    id: str
    label: str
    group: str
    files: Mapping[str, Path] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decoded:
    """What decoding one item gave.

    Args:
        arrays: one row for each array of the plan, of its type and shape.
        facts: what was found while decoding (frames, seconds, rate, ...); further columns.
        notes: what a reader should know of an item that is used all the same, a sentence each.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """One line of ``report.csv``.

    Args:
        id: the item, or ``""`` for a file that belongs to none.
        file: the file, relative to the source, or ``""``.
        kind: ``"failed"`` (no row), ``"note"`` (a row, with something to know) or ``"ignored"``.
        message: one sentence.
    """

    id: str
    file: str
    kind: str
    message: str


@dataclass(frozen=True)
class Split:
    """A split of the items.

    Args:
        parts: ``train``, ``valid`` or ``test``, by id.
        facts: what the manifest should say of it: rule, files, hashes, the name it is known by.
    """

    parts: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be prepared.

    Args:
        dataset: its name.
        classes: the class names, in label order.
        source: the folder or file it comes from.
        items: everything that should be in the cache, in order, with files or without.
        arrays: type and item shape of each array, by name.
        parameters: what decides the result, JSON-able; a cache goes on only with equal ones.
        decode: turns a chunk of items into as many :class:`Decoded` or :class:`ItemError`; it is
            sent to worker processes.
        report: what was found while listing; an item that is ``"failed"`` here is not decoded.
        splits: by name.
        packages: whose versions belong into the manifest.
        chunk: how many items a worker decodes together.
        files: what the items come from, where an item has no files of its own.
    """

    dataset: str
    classes: tuple[str, ...]
    source: Path
    items: tuple[Item, ...]
    arrays: Mapping[str, tuple[str, tuple[int, ...]]]
    parameters: Mapping[str, Any]
    decode: Callable[[Sequence[Item]], Sequence[Decoded | ItemError]]
    report: tuple[Report, ...] = ()
    splits: Mapping[str, Split] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    chunk: int = 16
    files: tuple[Path, ...] = ()
