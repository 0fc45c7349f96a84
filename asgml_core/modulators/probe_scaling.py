"""What throttle and boost share: a probe guides one smoothed scale per encoder."""

from __future__ import annotations

import torch
from torch import Tensor

from asgml_core.modulators.editing import gradients_of, scale_gradients
from asgml_core.modulators.outputs import Clock, Groups, Outputs
from asgml_core.modulators.probing import ProbeEMA, Probing
from asgml_core.probes import Probes

SCALE_SHARE = 0.3


class ProbeScaling(Probing):
    """Every step each encoder's gradients times its scale; at probe times the scales move.

    A subclass gives :meth:`target`. At a probe time ``scale = .3 * target(acc) + .7 * old``, from
    1; the new scale acts from the next step on.

    Args:
        eval_every: see :class:`~asgml_core.modulators.probing.Probing`; ``None`` is five times an
            epoch.
        probe_ema: see there.
        probes: the probes.
    """

    def __init__(self, eval_every: int | None, probe_ema: ProbeEMA, probes: Probes) -> None:
        super().__init__(eval_every, probe_ema, probes)
        self.register_buffer("scales", None)

    def target(self, accuracies: Tensor) -> Tensor:
        """Return the scales ``(M,)`` that accuracies ``(M,)`` call for, before smoothing."""
        raise NotImplementedError

    def measure(self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock) -> None:
        """At probe times, train the probes and move the running accuracies."""
        super().measure(outputs, labels, groups, clock)
        if self.scales is None:
            self.scales = torch.ones_like(self.accuracies)

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Scale the gradients of each encoder; at probe times, then move the scales."""
        record = {}
        acted = torch.zeros((), dtype=torch.bool, device=self.scales.device)
        for m, scale in zip(outputs.unimodal_logits, self.scales, strict=True):
            gradients = gradients_of(groups[m])
            scale_gradients(gradients, scale)
            if gradients:  # a frozen encoder cannot be acted on
                acted |= scale != 1
            record[f"scale/{m}"] = scale
        self.count("acted", acted)
        if self.is_probe_time(clock):
            self.scales = torch.lerp(self.scales, self.target(self.accuracies), SCALE_SHARE)
            record |= self.probe_record(outputs)
        return record
