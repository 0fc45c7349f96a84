"""MILES: after each epoch, a smaller learning rate for the encoder that is used more."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from asgml_core.checks import check_flag, check_number, check_one_of
from asgml_core.modulators.base import Modulator
from asgml_core.modulators.editing import set_rate_factor
from asgml_core.modulators.outputs import Clock, Groups, Metrics, Outputs


def utilization_rates(fused_accuracy: Tensor | float, accuracies: Tensor) -> Tensor:
    """Return ``u_m = (M_all - mean of the other accuracies) / M_all``, what modality ``m`` adds.

    Args:
        fused_accuracy: ``M_all``, from 0 to 1.
        accuracies: ``(M,)`` accuracies of the unimodal logits, from 0 to 1; 2 or more.

    Returns:
        ``(M,)``, at most 1; 0 where ``M_all`` is 0.

    Source: MILES (Guerra-Manzanares and Shamout, 2025), conditional utilization rates of two
    modalities; the mean over the others is ours, for more.
    """
    fused = torch.as_tensor(fused_accuracy, dtype=accuracies.dtype, device=accuracies.device)
    itself = torch.eye(len(accuracies), dtype=torch.bool, device=accuracies.device)
    # Not the sum minus itself, which rounds: an accuracy equal to M_all must give exactly 0.
    others = accuracies.expand(len(accuracies), -1).masked_fill(itself, 0).sum(1)
    others = others / (len(accuracies) - 1)
    return torch.where(fused == 0, torch.zeros_like(others), (fused - others) / fused)


def miles_factors(
    fused_accuracy: Tensor | float,
    accuracies: Tensor,
    threshold: float,
    reduction: float,
    previous: Tensor | None = None,
) -> Tensor:
    """Return the factor of each encoder's learning rate for the next epoch.

    With ``delta = max u - min u``: where ``delta <= threshold``, or all ``u`` are below 0, every
    factor is 1. Else the encoder of the largest ``u`` gets ``reduction`` and the others 1.

    Args:
        fused_accuracy: from 0 to 1.
        accuracies: ``(M,)`` accuracies of the unimodal logits, from 0 to 1; 2 or more.
        threshold: 0 or more.
        reduction: above 0 and at most 1; 1 changes nothing.
        previous: ``(M,)`` the factors so far: the others then keep theirs, as in the paper's
            pseudo-code. ``None`` resets them to 1, as in the study.

    Returns:
        ``(M,)`` factors of the scheduled rate; they never compound.

    Raises:
        ValueError: for fewer than two modalities.

    Source: MILES (Guerra-Manzanares and Shamout, 2025), its algorithm; the released code has
    ``reduction = 1`` and so changes nothing.
    """
    if len(accuracies) < 2:
        raise ValueError(f"MILES compares modalities, but there is {len(accuracies)}.")
    rates = utilization_rates(fused_accuracy, accuracies)
    lowest, highest = rates.aminmax()
    ones = torch.ones_like(rates)
    others = ones if previous is None else previous.to(rates)
    first = torch.arange(len(rates), device=rates.device) == rates.argmax()
    reduced = torch.where(first, torch.full_like(rates, reduction), others)
    return torch.where((highest - lowest <= threshold) | (highest < 0), ones, reduced)


class MILES(Modulator):
    """Multiply the learning rate of the encoder that is used more by ``reduction``.

    Args:
        threshold: of the difference between utilization rates, 0 or more.
        reduction: above 0 and at most 1; 1 changes nothing.
        reset_other: the other encoders go back to the base rate (the study); ``False`` leaves them
            as they are (the paper's pseudo-code).
        signal: the accuracies of the ``"valid"`` part, or of the ``"test"`` part, as in the study.

    A scheduler that sets the rate anew from its own formula (LambdaLR, OneCycleLR) forgets the
    factor: after ``scheduler.step()`` multiply each group's ``lr`` by ``group.get("factor", 1)``.
    The accuracies are those of the unimodal logits, so their heads must be trained: it goes with
    the unimodal losses. The loop calls ``epoch_end`` after each epoch, and the optimizer has one
    parameter group per encoder. Nothing is done in a step; the evaluation is the cost.
    Source: MILES (Guerra-Manzanares and Shamout, 2025). The study ran it with Adam.
    """

    name = "miles"
    measures = True
    may_rest = True
    needs_epoch_end = True

    def __init__(
        self,
        threshold: float = 0.2,
        reduction: float = 0.5,
        reset_other: bool = True,
        signal: Literal["valid", "test"] = "valid",
    ) -> None:
        super().__init__()
        self.threshold = check_number("threshold", threshold, low=0.0)
        self.reduction = check_number("reduction", reduction, above=0.0, high=1.0)
        self.reset_other = check_flag("reset_other", reset_other)
        self.signal = check_one_of("signal", signal, ("valid", "test"))
        self.register_buffer("factors", None)

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Edit nothing; record the factors of this epoch's learning rates."""
        if self.factors is None:
            return {}
        self.count("acted", (self.factors != 1).any())
        return {
            f"factor/{m}": factor
            for m, factor in zip(outputs.unimodal_logits, self.factors, strict=True)
        }

    def epoch_end(
        self,
        metrics: Metrics,
        optimizer: torch.optim.Optimizer,
        groups: Groups,
        clock: Clock,
    ) -> dict[str, Tensor]:
        """Set the learning rates of the next epoch; record the utilization rates.

        Raises:
            ValueError: when the part it looks at is not there, or an encoder has no parameter group
                of its own in the optimizer.
        """
        evaluation = metrics.valid if self.signal == "valid" else metrics.test
        if evaluation is None:
            raise ValueError(
                f"miles: signal is {self.signal!r}, but metrics.{self.signal} is None; hold out a "
                "validation part, or choose the other signal."
            )
        self._modalities = modalities = self._modalities or tuple(evaluation.accuracies)
        measured = [evaluation.accuracies[m] for m in modalities]
        accuracies = torch.tensor(measured, dtype=torch.float64)
        factors = miles_factors(
            evaluation.accuracy,
            accuracies,
            self.threshold,
            self.reduction,
            None if self.reset_other or self.factors is None else self.factors.cpu(),
        )
        for m, factor in zip(modalities, factors.tolist(), strict=True):
            self._set_factor(optimizer, groups, m, factor)
        self.factors = factors.to(self.acted.device)
        self.count("measured")
        rates = utilization_rates(evaluation.accuracy, accuracies)
        return {f"utilization/{m}": rate for m, rate in zip(modalities, rates, strict=True)}

    def release(self, optimizer: torch.optim.Optimizer, groups: Groups) -> None:
        """Give the encoders their scheduled learning rates back."""
        for m in self._modalities if self.factors is not None else ():
            self._set_factor(optimizer, groups, m, 1.0)
        self.factors = None

    def _set_factor(
        self, optimizer: torch.optim.Optimizer, groups: Groups, m: str, factor: float
    ) -> None:
        if any(p.requires_grad for p in groups[m]):  # a frozen encoder has no rate
            set_rate_factor(optimizer, groups[m], factor, m)
