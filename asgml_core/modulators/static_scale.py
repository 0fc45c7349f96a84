"""A control: one encoder's gradients times a constant, with no signal at all."""

from __future__ import annotations

import torch
from torch import Tensor

from asgml_core.checks import check_number, check_one_of
from asgml_core.modulators.base import Modulator
from asgml_core.modulators.editing import gradients_of, scale_gradients
from asgml_core.modulators.outputs import Clock, Groups, Outputs


class StaticScale(Modulator):
    """Multiply the gradients of one encoder, chosen by name, by a constant.

    With two modalities boost is a switch, so its effect may be no more than that of a larger
    learning rate for one encoder; this control is that and nothing else.

    Args:
        modality: the name of the encoder.
        scale: 0 or more; 1 changes nothing.

    Source: none; a control that the study lacks. One product per step.
    """

    name = "static_scale"

    def __init__(self, modality: str = "visual", scale: float = 1.5) -> None:
        super().__init__()
        self.modality = modality
        self.scale = check_number("scale", scale, low=0.0)

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Scale the gradients of the encoder.

        Raises:
            ValueError: when no modality has that name.
        """
        check_one_of("static_scale: modality", self.modality, tuple(outputs.unimodal_logits))
        gradients = gradients_of(groups[self.modality])
        scale_gradients(gradients, self.scale)
        self.count("acted", int(self.scale != 1 and bool(gradients)))
        scale = torch.full((), self.scale, device=outputs.logits.device)
        return {f"scale/{self.modality}": scale}
