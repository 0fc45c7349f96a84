"""Gaussian noise on gradients, in proportion to their own spread."""

from __future__ import annotations

from torch import Tensor

from asgml_core.checks import check_number, check_one_of
from asgml_core.modulators.base import Modulator
from asgml_core.modulators.editing import (
    SMALLEST_DIMENSION,
    Random,
    Scope,
    add_noise,
    gradients_of,
    spread,
)
from asgml_core.modulators.outputs import Clock, Groups, Outputs


class GradientNoise(Modulator):
    """Add ``N(0, sigma * std(g) + 1e-8)`` to every encoder gradient in the scope.

    Args:
        sigma: size of the noise relative to the gradient's standard deviation, above 0.
        scope: gradients of 4 dimensions (``"conv"``, the study), ``"weights"`` or ``"all"``.
        seed: of the noise.

    In the study it follows the scaling of throttle or boost, so it stands after them in a chain.
    Source: the study's continuous mode. One normal number per gradient value and step.
    """

    name = "noise"

    def __init__(self, sigma: float = 0.1, scope: Scope = "conv", seed: int = 0) -> None:
        super().__init__()
        self.sigma = check_number("sigma", sigma, above=0.0)
        self.scope = check_one_of("scope", scope, SMALLEST_DIMENSION)
        self.seed = seed
        self.random = Random(seed, self.name)

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Add noise to the gradients of every encoder."""
        self.count("acted")
        for m in outputs.unimodal_logits:
            for g in gradients_of(groups[m], self.scope, m):
                add_noise(g, self.sigma * spread(g) + 1e-8, self.random)
        return {}
