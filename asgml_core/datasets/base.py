"""The one dataset every source becomes: named modalities, three parts, ids and groups."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from asgml_core.checks import AsgmlError, check_number
from asgml_core.datasets.stored import Stored, join, row_numbers
from asgml_core.seeding import generator

if TYPE_CHECKING:
    from asgml_core.datasets.transforms import Transform


class DataError(AsgmlError, ValueError):
    """Data that cannot be used; the message names the source, the place and what was expected."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a dataset (train, valid or test), in memory or on disk.

    Args:
        inputs: by modality the ``N`` items, a tensor or rows on disk. Without a transform they are
            float: ``(N, d)`` feature vectors, ``(N, channels, height, width)`` pictures and
            spectrograms, ``(N, frames, channels, height, width)`` clips.
        labels: ``(N,)`` int64, from 0 to classes - 1.
        ids: ``N`` names, one per item.
        groups: ``N`` names of what an item belongs to (its speaker or clip); a validation part is
            held out by group.
    """

    inputs: Mapping[str, Tensor | Stored]
    labels: Tensor
    ids: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Sequence[int] | Tensor) -> Part:
        """Return the part made of the given rows, in the given order.

        Args:
            rows: numbers of rows, or True or False for each row.
        """
        rows = row_numbers(rows, len(self))
        order = rows.tolist()
        return Part(
            inputs={
                m: x.take(rows) if isinstance(x, Stored) else x[rows]
                for m, x in self.inputs.items()
            },
            labels=self.labels[rows],
            ids=tuple(self.ids[i] for i in order),
            groups=tuple(self.groups[i] for i in order),
        )

    def to(self, device: torch.device | str) -> Part:
        """Return the part whole on ``device``; what is on disk is read."""
        inputs = {
            m: x.load(device) if isinstance(x, Stored) else x.to(device)
            for m, x in self.inputs.items()
        }
        return dataclasses.replace(self, inputs=inputs, labels=self.labels.to(device))


@dataclass(frozen=True, kw_only=True)
class MultimodalDataset:
    """A dataset of named modalities with its train, valid and test parts.

    Args:
        name: what it is, in one word (``"synth"``, ``"grid"``, ...).
        classes: the class names, in label order.
        train: the training part.
        test: the test part; nothing is ever chosen on it.
        valid: the validation part, or ``None`` until :meth:`hold_out` makes one.
        source: where the data came from, for error messages and provenance.
        transforms: by modality what turns a batch of it, as kept, into what its encoder sees;
            a modality without one is seen as it is.
        notes: what a record should say of the data: the split, items left out, the cache.

    Raises:
        DataError: when parts disagree in modalities or shapes, a value is not finite, a label is
            out of range, a part is empty, or an item is in two parts.
    """

    name: str
    classes: tuple[str, ...]
    train: Part
    test: Part
    valid: Part | None = None
    source: str = field(default="", compare=False)
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for part_name, part in self.parts.items():
            _check_part(f"{self.source or self.name}: {part_name}", part, self)
        seen: dict[str, str] = {}
        for part_name, part in self.parts.items():
            for item in part.ids:
                if seen.setdefault(item, part_name) != part_name:
                    raise DataError(
                        f"{self.source or self.name}: item {item!r} is in both {seen[item]} and "
                        f"{part_name}; every item belongs to one part."
                    )

    @property
    def parts(self) -> dict[str, Part]:
        """The parts that exist, by name."""
        named = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: part for name, part in named.items() if part is not None}

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of the modalities, in order."""
        return tuple(self.train.inputs)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one item as its encoder sees it, by modality."""
        return {
            m: self.transforms[m].shape(stored) if m in self.transforms else stored
            for m, stored in self._stored_shapes.items()
        }

    @property
    def _stored_shapes(self) -> dict[str, tuple[int, ...]]:
        return {m: tuple(x.shape[1:]) for m, x in self.train.inputs.items()}

    @cached_property
    def fingerprint(self) -> str:
        """A hash of every array, id and group; equal data, equal fingerprint.

        Rows on disk count by the hashes that their cache holds.
        """
        digest = hashlib.sha256(repr((self.classes, self.modalities)).encode())
        for name, part in self.parts.items():
            digest.update(repr((name, part.ids, part.groups)).encode())
            for tensor in (*part.inputs.values(), part.labels):
                if isinstance(tensor, Stored):
                    digest.update(repr((tensor.dtype, tensor.shape, tensor.hashes)).encode())
                    continue
                array = tensor.detach().cpu().contiguous().numpy()
                digest.update(repr((array.dtype.str, array.shape)).encode())
                digest.update(memoryview(array).cast("B"))
        return digest.hexdigest()[:16]

    def select(self, modalities: Sequence[str]) -> MultimodalDataset:
        """Return the dataset with the named modalities only, in the given order.

        Raises:
            DataError: naming a modality that the dataset does not have.
        """
        for m in modalities:
            if m not in self.modalities:
                raise DataError(
                    f"{self.name} has no modality {m!r}; it has {', '.join(self.modalities)}."
                )

        def chosen(part: Part | None) -> Part | None:
            if part is None:
                return None
            return dataclasses.replace(part, inputs={m: part.inputs[m] for m in modalities})

        return dataclasses.replace(
            self,
            train=chosen(self.train),
            valid=chosen(self.valid),
            test=chosen(self.test),
            transforms={m: t for m, t in self.transforms.items() if m in modalities},
        )

    def hold_out(self, fraction: float, seed: int) -> MultimodalDataset:
        """Return the dataset with a validation part held out of the training part, by group.

        Whole groups move, in an order drawn from ``seed``, until the validation part has at least
        ``fraction`` of the items. A dataset that came with a validation part is returned as it is.

        Args:
            fraction: the share of the training items to hold out, above 0 and below 1.
            seed: the run's seed.

        Raises:
            DataError: when there are fewer than two groups to choose from.
        """
        check_number("fraction", fraction, above=0.0, high=0.99)
        if self.valid is not None:
            return self
        names = sorted(set(self.train.groups))
        if len(names) < 2:
            raise DataError(
                f"{self.name}: a validation part is held out by group, and the training part has "
                f"{len(names)} group; it needs two or more."
            )
        order = torch.randperm(len(names), generator=generator(seed, "hold out"))
        sizes = Counter(self.train.groups)
        target, count = fraction * len(self.train), 0
        held: set[str] = set()
        for name in (names[i] for i in order.tolist()):
            if count >= target or len(held) == len(names) - 1:  # one group stays in training
                break
            is_smallest = sizes[name] == min(sizes.values())
            if count + sizes[name] <= 2 * target or (is_smallest and not held):
                held.add(name)  # a group far larger than the part stays in training
                count += sizes[name]
        if not held:
            raise DataError(
                f"{self.name}: no group is small enough to be a validation part of {target:.0f} of "
                f"{len(self.train)} items; the smallest has {min(sizes.values())}."
            )
        rows = range(len(self.train))
        return dataclasses.replace(
            self,
            train=self.train.take([i for i in rows if self.train.groups[i] not in held]),
            valid=self.train.take([i for i in rows if self.train.groups[i] in held]),
        )

    def join_valid(self) -> MultimodalDataset:
        """Return the dataset with the validation part, if there is one, joined to the training."""
        if self.valid is None:
            return self
        a, b = self.train, self.valid
        joined = Part(
            inputs={m: join([a.inputs[m], b.inputs[m]]) for m in self.modalities},
            labels=torch.cat([a.labels, b.labels]),
            ids=a.ids + b.ids,
            groups=a.groups + b.groups,
        )
        return dataclasses.replace(self, train=joined, valid=None)


def _check_part(where: str, part: Part, dataset: MultimodalDataset) -> None:
    _check_items(where, part)
    _check_labels(where, part, len(dataset.classes))
    if tuple(part.inputs) != dataset.modalities:
        raise DataError(
            f"{where} has the modalities {tuple(part.inputs)}, "
            f"but train has {dataset.modalities}; every part needs the same."
        )
    for m, x in part.inputs.items():
        if not m.isidentifier() or m in _TAKEN:
            raise DataError(
                f"{where} has a modality named {m!r}; a name is a word of letters, digits and '_' "
                "that is not taken (as 'fusion', 'fused' and 'keys' are)."
            )
        _check_shape(f"{where}, {m}", x, part, dataset._stored_shapes[m])
        if m not in dataset.transforms:
            _check_values(f"{where}, {m}", x, part)


def _check_items(where: str, part: Part) -> None:
    n = len(part.labels)
    if n == 0:
        raise DataError(f"{where} has no items.")
    if not part.inputs:
        raise DataError(f"{where} has no modalities.")
    if len(part.ids) != n or len(part.groups) != n:
        raise DataError(
            f"{where} has {n} labels, {len(part.ids)} ids and {len(part.groups)} groups; "
            "the three must be equal in number."
        )
    if len(set(part.ids)) != n:
        twice, _ = Counter(part.ids).most_common(1)[0]
        raise DataError(f"{where} has the item {twice!r} more than once.")


def _check_labels(where: str, part: Part, classes: int) -> None:
    if part.labels.dtype != torch.int64 or part.labels.dim() != 1:
        raise DataError(
            f"{where}: labels are {part.labels.dtype} {tuple(part.labels.shape)}; "
            "int64 of shape (N,) is needed."
        )
    outside = (part.labels < 0) | (part.labels >= classes)
    if bool(outside.any()):
        row = int(outside.nonzero()[0])
        raise DataError(
            f"{where}: the label of row {row} (item {part.ids[row]!r}) is {int(part.labels[row])}, "
            f"but there are {classes} classes, 0 to {classes - 1}."
        )


#: Names that mean something else in groups and records, or in a torch.nn.ModuleDict.
_TAKEN = {"fusion", "fused", *dir(torch.nn.ModuleDict)}


def _check_shape(where: str, x: Tensor | Stored, part: Part, shape: tuple[int, ...]) -> None:
    if len(x) != len(part.labels):
        raise DataError(f"{where} has {len(x)} rows, but there are {len(part.labels)} labels.")
    if tuple(x.shape[1:]) != shape:
        raise DataError(f"{where} has items of shape {tuple(x.shape[1:])}, but train has {shape}.")


def _check_values(where: str, x: Tensor | Stored, part: Part) -> None:
    if not x.dtype.is_floating_point:
        raise DataError(f"{where} is {x.dtype}; a floating-point tensor was expected.")
    if isinstance(x, Stored):  # a cache holds finite values only; reading all would take minutes
        return
    finite = torch.isfinite(x).reshape(len(x), -1).all(1)
    if not bool(finite.all()):
        row = int((~finite).nonzero()[0])
        raise DataError(
            f"{where}: row {row} (item {part.ids[row]!r}) holds NaN or infinity "
            f"({int((~finite).sum())} such rows); "
            "every value must be finite."
        )
