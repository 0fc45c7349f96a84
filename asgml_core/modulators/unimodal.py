"""The unimodal losses: every arm of the study carries them, the baseline too."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from asgml_core.checks import check_flag, check_number
from asgml_core.modulators.base import Modulator
from asgml_core.modulators.outputs import Clock, Groups, Outputs


class UnimodalLosses(Modulator):
    """Add ``gamma * CE(o_m, y)`` for every modality to the loss.

    Args:
        gamma: weight of the unimodal losses, above 0.
        fused: keep the fused loss ``CE(o, y)``; ``False`` trains on the unimodal losses alone.

    The terms are named by modality, so that a later part of a chain can drop or weigh one.
    Source: the study's loss, ``CE(o, y) + gamma * sum_m CE(o_m, y)``. One cross-entropy per
    modality and step.
    """

    name = "unimodal_losses"

    def __init__(self, gamma: float = 1.0, fused: bool = True) -> None:
        super().__init__()
        self.gamma = check_number("gamma", gamma, above=0.0)
        self.fused = check_flag("fused", fused)

    def terms(
        self, terms: dict[str, Tensor], outputs: Outputs, labels: Tensor, clock: Clock
    ) -> dict[str, Tensor]:
        """Add one term per modality."""
        kept = terms if self.fused else {k: v for k, v in terms.items() if k != "fused"}
        unimodal = {
            m: self.gamma * F.cross_entropy(logits, labels)
            for m, logits in outputs.unimodal_logits.items()
        }
        return {**kept, **unimodal}

    def measure(self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock) -> None:
        """Count the step, once, however many micro-batches it had."""
        self.count("acted")
