"""A control: boost, but of an encoder drawn at each probe time."""

from __future__ import annotations

import torch
from torch import Tensor

from asgml_core.modulators.boost import Boost
from asgml_core.modulators.editing import Random
from asgml_core.modulators.probing import ProbeEMA


class BoostRandom(Boost):
    """Give boost's scales to the encoders in an order drawn at each probe time.

    With two modalities: a side is drawn, and scaled up as strongly as boost would. Arguments and
    costs as for :class:`~asgml_core.modulators.boost.Boost`; ``seed`` decides the draws too.

    Source: none; a control that the study lacks.
    """

    name = "boost_random"

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
        super().__init__(alpha, scale_max, eval_every, probe_steps, probe_split, probe_ema, seed)
        self.random = Random(seed, self.name)

    def target(self, accuracies: Tensor) -> Tensor:
        """Return boost's scales in an order drawn anew."""
        device = accuracies.device
        order = torch.randperm(len(accuracies), generator=self.random.on(device), device=device)
        return super().target(accuracies)[order]
