"""Boost (the study's v2): push the encoder that is behind, by how far it is behind."""

from __future__ import annotations

import torch
from torch import Tensor

from asgml_core.checks import check_number
from asgml_core.modulators.probe_scaling import ProbeScaling
from asgml_core.modulators.probing import SMALLEST_GAP, ProbeEMA, relative_dominance
from asgml_core.probes import Probes


def boost_scales(accuracies: Tensor, alpha: float, scale_max: float) -> Tensor:
    """Return ``min(1 + alpha * (1 - (acc_m - min) / gap), scale_max)``; all 1 for a gap below 1e-8.

    Args:
        accuracies: ``(M,)`` probe accuracies, from 0 to 1.
        alpha: strength, 0 or more.
        scale_max: the largest scale, 1 or more.

    Returns:
        ``(M,)`` scales. With two modalities each is a switch: 1 for the stronger, ``min(1 + alpha,
        scale_max)`` for the weaker, however small the gap.
    """
    dominance, gap = relative_dominance(accuracies)
    scales = (1 + alpha * (1 - dominance)).clamp(max=scale_max)
    return torch.where(gap < SMALLEST_GAP, torch.ones_like(scales), scales)


class Boost(ProbeScaling):
    """Scale up the gradients of the encoders whose probes read less.

    Args:
        alpha: strength, 0 or more.
        scale_max: the largest scale, 1 or more.
        eval_every: batches between probe times; ``None``: five an epoch (the study: 20 of 105).
        probe_steps: Adam steps of the probes at a probe time.
        probe_split: measure on other items than trained on, as v2 did.
        probe_ema: see :class:`~asgml_core.modulators.probing.Probing`.
        seed: of the probes.

    Source: the study, continuous mode v2. One product per encoder and step, and ten steps of
    softmax regression at a probe time.
    """

    name = "boost"

    def __init__(
        self,
        alpha: float = 0.5,
        scale_max: float = 2.0,
        eval_every: int | None = None,
        probe_steps: int = 10,
        probe_split: bool = True,
        probe_ema: ProbeEMA = "train",
        seed: int = 0,
    ) -> None:
        super().__init__(eval_every, probe_ema, Probes(probe_steps, probe_split, seed=seed))
        self.probe_steps, self.probe_split, self.seed = probe_steps, probe_split, seed
        self.alpha = check_number("alpha", alpha, low=0.0)
        self.scale_max = check_number("scale_max", scale_max, low=1.0)

    def target(self, accuracies: Tensor) -> Tensor:
        """Return the scales that the accuracies call for."""
        return boost_scales(accuracies, self.alpha, self.scale_max)
