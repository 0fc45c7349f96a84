"""The balancing methods, one file each, and the registry that names them.

    modulator = Chain(OGMGE(alpha=0.8), Boost(alpha=0.75))
    ...
    clock = Clock(epoch + 1, epoch * len(loader) + i, i, len(loader), epochs)  # counted from 0
    loss.backward()
    modulator.modulate(Outputs(logits, unimodal_logits, features), labels, groups, clock)
    optimizer.step()

``base.py`` says what a method may do, and when.
"""

from asgml_core.modulators.base import Modulator
from asgml_core.modulators.boost import Boost, boost_scales
from asgml_core.modulators.boost_random import BoostRandom
from asgml_core.modulators.boost_wrong import BoostWrong
from asgml_core.modulators.chain import Chain, During
from asgml_core.modulators.frequency import Frequency
from asgml_core.modulators.miles import MILES, miles_factors, utilization_rates
from asgml_core.modulators.noise import GradientNoise
from asgml_core.modulators.ogm import OGM, OGMGE, ogm_coefficients
from asgml_core.modulators.outputs import Clock, Evaluation, Metrics, Outputs
from asgml_core.modulators.periods import learning_speeds, update_periods
from asgml_core.modulators.scores import split_logits, true_class_scores, zero_out_logits
from asgml_core.modulators.staleness import Staleness, staleness_lags
from asgml_core.modulators.static_scale import StaticScale
from asgml_core.modulators.throttle import Throttle, throttle_scales
from asgml_core.modulators.unimodal import UnimodalLosses

#: Every method by its name in configs, records and tables. A chain keeps the config's order.
REGISTRY: dict[str, type[Modulator]] = {
    method.name: method
    for method in (
        UnimodalLosses, OGM, OGMGE, Frequency, Staleness, MILES, Throttle, Boost, GradientNoise,
        StaticScale, BoostWrong, BoostRandom,
    )
}  # fmt: skip

__all__ = [
    "MILES",
    "OGM",
    "OGMGE",
    "REGISTRY",
    "Boost",
    "BoostRandom",
    "BoostWrong",
    "Chain",
    "Clock",
    "During",
    "Evaluation",
    "Frequency",
    "GradientNoise",
    "Metrics",
    "Modulator",
    "Outputs",
    "Staleness",
    "StaticScale",
    "Throttle",
    "UnimodalLosses",
    "boost_scales",
    "learning_speeds",
    "miles_factors",
    "ogm_coefficients",
    "split_logits",
    "staleness_lags",
    "throttle_scales",
    "true_class_scores",
    "update_periods",
    "utilization_rates",
    "zero_out_logits",
]
