"""Which epoch counts: chosen on validation, the last one, or the best on the test set.

The third is how much of the field reports, and flatters; it is kept beside the others so that the
difference can be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from asgml_core.modulators.outputs import Evaluation, Metrics

SELECTIONS = ("validation", "last", "best_on_test")


def predictions(test: Evaluation) -> dict[str, Tensor]:
    """Return the logits on the test part: fused, and by modality."""
    unimodal = {m: z.float().cpu() for m, z in test.outputs.unimodal_logits.items()}
    return {"fused": test.outputs.logits.float().cpu(), **unimodal}


class Selections:
    """The three selections of one run so far; on a tie the earlier epoch stays."""

    def __init__(self) -> None:
        self.chosen: dict[str, dict[str, Any]] = {}
        self.weights: dict[str, Tensor] | None = None

    def update(self, epoch: int, metrics: Metrics, model: nn.Module) -> None:
        """Take in one epoch; the weights kept are those chosen on validation."""
        entry = {
            "epoch": epoch,
            "accuracy": metrics.test.accuracy,
            "accuracies": metrics.test.accuracies,
            "valid_accuracy": metrics.valid.accuracy if metrics.valid else None,
            "logits": predictions(metrics.test),
        }
        self.chosen["last"] = entry
        if self._is_better("best_on_test", "accuracy", entry):
            self.chosen["best_on_test"] = entry
        if metrics.valid is not None and self._is_better("validation", "valid_accuracy", entry):
            self.chosen["validation"] = entry
            self.weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}

    def _is_better(self, selection: str, measure: str, entry: Mapping[str, Any]) -> bool:
        best = self.chosen.get(selection)
        return best is None or entry[measure] > best[measure]

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"chosen": self.chosen, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.chosen, self.weights = dict(state["chosen"]), state["weights"]
