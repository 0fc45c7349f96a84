"""A control: boost, but of the encoder that is ahead."""

from __future__ import annotations

from torch import Tensor

from asgml_core.modulators.boost import Boost, boost_scales


class BoostWrong(Boost):
    """Scale up the gradients of the encoders whose probes read more, as strongly as boost.

    The scales are boost's for the accuracies turned round. If this helps as much as boost, the
    probes' guidance is not what helped. Arguments and costs as for
    :class:`~asgml_core.modulators.boost.Boost`.

    Source: none; a control that the study lacks.
    """

    name = "boost_wrong"

    def target(self, accuracies: Tensor) -> Tensor:
        """Return boost's scales for the order turned round."""
        return boost_scales(-accuracies, self.alpha, self.scale_max)
