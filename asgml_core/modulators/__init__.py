"""The balancing methods, one file each, and the registry that names them.

    modulator = Chain(OGMGE(alpha=0.8), Boost(alpha=0.75))
    ...
    clock = Clock(epoch + 1, epoch * len(loader) + i, i, len(loader), epochs)  # counted from 0
    loss.backward()
    modulator.modulate(Outputs(logits, unimodal_logits, features), labels, groups, clock)
    optimizer.step()

``base.py`` says what a method may do, and when.
"""

from asgml_core.modulators.base import Clock, Evaluation, Metrics, Modulator, Outputs
from asgml_core.modulators.boost import Boost, boost_scales
from asgml_core.modulators.chain import Chain, During
from asgml_core.modulators.noise import GradientNoise
from asgml_core.modulators.ogm import OGM, OGMGE, ogm_coefficients, true_class_scores
from asgml_core.modulators.throttle import Throttle, throttle_scales
from asgml_core.modulators.unimodal import UnimodalLosses

#: Every method by its name in configs, records and tables. A chain keeps the config's order.
REGISTRY: dict[str, type[Modulator]] = {
    method.name: method for method in (UnimodalLosses, OGM, OGMGE, Throttle, Boost, GradientNoise)
}

__all__ = [
    "OGM",
    "OGMGE",
    "REGISTRY",
    "Boost",
    "Chain",
    "Clock",
    "During",
    "Evaluation",
    "GradientNoise",
    "Metrics",
    "Modulator",
    "Outputs",
    "Throttle",
    "UnimodalLosses",
    "boost_scales",
    "ogm_coefficients",
    "throttle_scales",
    "true_class_scores",
]
