"""The record of a finished run, and the files beside it.

A run's folder holds ``record.json`` (written last: with it a run is complete),
``predictions.npz``, ``steps.npz``, ``epochs.csv``, ``chosen.pt``, ``last.pt``, ``checkpoint.pt``
and TensorBoard events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asgml_core.checks import AsgmlError, check_one_of
from asgml_core.config import RunConfig

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
            RecordError: when there is none, or it is damaged or of another format.
        """
        file = Path(folder) / RECORD
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RecordError(f"{file}: no such file; the run is not finished.") from error
        except (OSError, ValueError) as error:
            raise RecordError(f"{file} is not readable JSON: {error}") from error
        found = values.get("format") if isinstance(values, dict) else None
        if found != FORMAT:
            raise RecordError(f"{file} has format {found!r}, but this version reads {FORMAT}.")
        return cls(Path(folder), values)

    @property
    def config(self) -> RunConfig:
        """The config of the run."""
        return RunConfig.from_dict(self.values["config"])

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
        """
        import pandas as pd

        with np.load(self.folder / STEPS, allow_pickle=False) as archive:
            return pd.DataFrame({name: archive[name] for name in archive.files})

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """Means of the steps, activation rates and accuracies of every epoch, as a table."""
        import pandas as pd

        return pd.read_csv(self.folder / EPOCHS)

    @cached_property
    def predictions(self) -> dict[str, np.ndarray]:
        """By test item ``id``, ``label``, and logits named ``<selection>/<fused or m>``."""
        with np.load(self.folder / PREDICTIONS, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
