"""The record of a finished run, and the files beside it.

A run's folder holds ``record.json`` (written last: with it a run is complete),
``predictions.npz``, ``steps.npz``, ``epochs.csv``, ``chosen.pt``, ``last.pt``, ``checkpoint.pt``
and TensorBoard events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asgml_core.array_files import read_npz
from asgml_core.checks import AsgmlError, check_one_of
from asgml_core.config import RunConfig
from asgml_core.reading import MissingError, ReadError, first_line, read_json, short
from asgml_core.tabular import read_csv

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
RECORD, PREDICTIONS, STEPS, EPOCHS = "record.json", "predictions.npz", "steps.npz", "epochs.csv"


class RecordError(AsgmlError, RuntimeError):
    """A record that cannot be used; the message names the file and what was expected."""


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Args:
        folder: where its files are.
        values: the content of ``record.json``.
    """

    folder: Path
    values: Mapping[str, Any]

    @classmethod
    def load(cls, folder: str | Path) -> RunRecord:
        """Read the record of a finished run.

        Raises:
            RecordError: when there is none, it is damaged or of another format, or a field is
                missing or of another type.
        """
        file = Path(folder) / RECORD
        try:
            values = read_json(file)
        except MissingError as error:
            raise RecordError(f"{error.said}; the run is not finished.") from error
        except ReadError as error:
            raise RecordError(str(error)) from error
        found = values.get("format") if isinstance(values, dict) else None
        if type(found) is not int or found != FORMAT:
            raise RecordError(f"{file} has format {short(found)}, but this version reads {FORMAT}.")
        for name, (is_right, expected) in _FIELDS.items():
            if name not in values:
                raise RecordError(f"{file}: {name} is missing, but {expected} was expected.")
            if not is_right(values[name]):
                raise RecordError(
                    f"{file}: {name} is {short(values[name])}, but {expected} was expected."
                )
        return cls(Path(folder), values)

    @property
    def config(self) -> RunConfig:
        """The config of the run.

        Raises:
            RecordError: when it is none, or has a method that is not registered here.
        """
        try:
            return RunConfig.from_dict(self.values["config"])
        except ValueError as error:
            said = first_line(error, 500)
            raise RecordError(f"{self.folder / RECORD}: config: {said}.") from error

    @property
    def run_id(self) -> str:
        """The name of the run."""
        return self.values["config"]["run_id"]

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.values["config"]["seed"]

    @property
    def provenance(self) -> dict[str, Any]:
        """Commit, versions, device, wall time and data fingerprint."""
        return self.values["provenance"]

    @property
    def selections(self) -> dict[str, dict[str, Any]]:
        """By selection (``validation``, ``last``, ``best_on_test``): epoch, accuracies, probes."""
        return self.values["selections"]

    def accuracy(self, selection: str | None = None, modality: str | None = None) -> float | None:
        """Return the accuracy on the test part, from 0 to 1.

        Args:
            selection: which epoch counts; by default ``validation``, and ``last`` in protocol
                ``paper``, which has no validation part.
            modality: of the unimodal logits instead of the fused ones; ``None`` is returned where
                their weights were never trained.

        Raises:
            ValueError: for a selection or a modality that the run does not have.
        """
        if selection is None:
            selection = "validation" if "validation" in self.selections else "last"
        entry = self.selections[check_one_of("selection", selection, self.selections)]
        if modality is None:
            return entry["accuracy"]
        return entry["accuracies"][check_one_of("modality", modality, entry["accuracies"])]

    @cached_property
    def steps(self) -> pd.DataFrame:
        """Losses, norms, coefficients, scales and probe accuracies at every step, as a table.

        ``loss/<m>`` is the term as it entered the loss: 0 where a method left it out.

        Raises:
            RecordError: when the file is missing or damaged, or is no table of numbers.
        """
        import pandas as pd

        columns = self._arrays(STEPS)
        length = len(next(iter(columns.values()), ()))
        for name, column in columns.items():
            if column.shape != (length,) or column.dtype.kind not in "biuf":
                raise RecordError(
                    f"{self.folder / STEPS}: {short(name)} is {column.dtype} {column.shape}, but "
                    f"numbers ({length},) were expected."
                )
        return pd.DataFrame(columns)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """Means of the steps, activation rates and accuracies of every epoch, as a table.

        Raises:
            RecordError: when the file is missing or damaged, or is no table of numbers.
        """
        file = self.folder / EPOCHS
        try:
            table = read_csv(file)
        except ReadError as error:
            raise RecordError(str(error)) from error
        if table.empty:
            raise RecordError(f"{file} has no lines, but one for each epoch was expected.")
        for name, column in table.items():
            if column.dtype.kind not in "iuf":
                raise RecordError(
                    f"{file}: the column {short(name)} holds {short(str(column.iloc[0]))}, but "
                    "numbers were expected."
                )
        return table

    @cached_property
    def predictions(self) -> dict[str, np.ndarray]:
        """By test item ``id``, ``label``, and logits named ``<selection>/<fused or m>``.

        Raises:
            RecordError: when the file is missing or damaged, or its arrays do not fit each other.
        """
        arrays = self._arrays(PREDICTIONS)
        for name, kinds, axes in (("id", "U", 1), ("label", "iu", 1), (None, "f", 2)):
            chosen = [name] if name else [key for key in arrays if key not in ("id", "label")]
            for key in chosen:
                found = arrays.get(key)
                is_right = found is not None and found.dtype.kind in kinds and found.ndim == axes
                if not is_right or len(found) != len(arrays["id"]):
                    said = "missing" if found is None else f"{found.dtype} {found.shape}"
                    raise RecordError(
                        f"{self.folder / PREDICTIONS}: {short(key)} is {said}, but "
                        f"{_ARRAYS[name]} for each test item was expected."
                    )
        return arrays

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        try:
            return read_npz(self.folder / name)
        except ReadError as error:
            raise RecordError(str(error)) from error


_ARRAYS = {"id": "a name", "label": "a whole number", None: "a row of logits"}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_config(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("run_id"), str)
        and type(value.get("seed")) is int
    )


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def _are_shares(value: Any) -> bool:
    return isinstance(value, dict) and all(n is None or _is_share(n) for n in value.values())


def _are_selections(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and "last" in value
        and all(
            isinstance(said, dict)
            and type(said.get("epoch")) is int
            and _is_share(said.get("accuracy"))
            and _are_shares(said.get("accuracies"))
            for said in value.values()
        )
    )


def _is_provenance(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name), str) for name in ("code", "data"))
        and type(value.get("wall_time")) in (int, float)
        and math.isfinite(value["wall_time"])
    )


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(type(n) is int and n >= 0 for n in value.values())


def _are_methods(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _are_counts(said) and {"measured", "acted"} <= set(said) for said in value.values()
    )


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


#: What a record has to have: how to know it, and what it is.
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "config": (_is_config, "an object with a 'run_id' and a 'seed'"),
    "classes": (_are_names, "a list of names"),
    "items": (_are_counts, "a number of items by part"),
    "batches_per_epoch": (lambda n: type(n) is int and n > 0, "a whole number of 1 or more"),
    "schedule": (_is_object, "an object of named fields"),
    "settings": (_is_object, "an object of named fields"),
    "methods": (_are_methods, "'measured' and 'acted' by method"),
    "selections": (_are_selections, "'last', with 'epoch', 'accuracy' and 'accuracies'"),
    "provenance": (_is_provenance, "an object with 'code', 'data' and 'wall_time'"),
}
