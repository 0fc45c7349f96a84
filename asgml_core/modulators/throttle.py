"""Throttle (the study's v1): slow the encoder that is ahead, by how far it is ahead."""

from __future__ import annotations

import torch
from torch import Tensor

from asgml_core.checks import check_number
from asgml_core.modulators.probe_scaling import ProbeScaling
from asgml_core.modulators.probing import SMALLEST_GAP, ProbeEMA, relative_dominance
from asgml_core.probes import Probes


def throttle_scales(accuracies: Tensor, alpha: float, scale_min: float) -> Tensor:
    """Return ``max(1 - alpha * (acc_m - min) / gap, scale_min)``; all 1 for a gap below 1e-8.

    Args:
        accuracies: ``(M,)`` probe accuracies, from 0 to 1.
        alpha: strength, from 0 to 1.
        scale_min: the smallest scale, from 0 to 1.

    Returns:
        ``(M,)`` scales. With two modalities each is a switch: 1 for the weaker, ``max(1 - alpha,
        scale_min)`` for the stronger, however small the gap.
    """
    dominance, gap = relative_dominance(accuracies)
    scales = (1 - alpha * dominance).clamp(min=scale_min)
    return torch.where(gap < SMALLEST_GAP, torch.ones_like(scales), scales)


class Throttle(ProbeScaling):
    """Scale down the gradients of the encoders whose probes read more.

    Args:
        alpha: strength, from 0 to 1.
        scale_min: the smallest scale, from 0 to 1.
        eval_every: batches between probe times; ``None``: five an epoch (the study: 20 of 105).
        probe_steps: Adam steps of the probes at a probe time.
        probe_split: measure on other items than trained on; v1 did not.
        probe_ema: see :class:`~asgml_core.modulators.probing.Probing`.
        seed: of the probes.

    Source: the study, continuous mode v1. One product per encoder and step, and ten steps of
    softmax regression at a probe time.
    """

    name = "throttle"

    def __init__(
        self,
        alpha: float = 0.5,
        scale_min: float = 0.1,
        eval_every: int | None = None,
        probe_steps: int = 10,
        probe_split: bool = False,
        probe_ema: ProbeEMA = "train",
        seed: int = 0,
    ) -> None:
        super().__init__(eval_every, probe_ema, Probes(probe_steps, probe_split, seed=seed))
        self.probe_steps, self.probe_split, self.seed = probe_steps, probe_split, seed
        self.alpha = check_number("alpha", alpha, low=0.0, high=1.0)
        self.scale_min = check_number("scale_min", scale_min, low=0.0, high=1.0)

    def target(self, accuracies: Tensor) -> Tensor:
        """Return the scales that the accuracies call for."""
        return throttle_scales(accuracies, self.alpha, self.scale_min)
