"""What a difference is worth: functions on arrays and tables; no files, no training.

A seed is the unit of most of them. Every function says which question it answers, and what it does
not tell. Nothing here drops a value, and what is drawn at random has a seed.
"""

from asgml_core.statistics.intervals import Interval, bca_interval, mean_interval
from asgml_core.statistics.items import (
    McNemar,
    accuracy_error,
    crossed_bootstrap,
    item_bootstrap,
    mcnemar,
    paired_difference,
)
from asgml_core.statistics.paired import (
    SignFlip,
    holm,
    paired_t,
    probability_of_improvement,
    sign_flip,
)
from asgml_core.statistics.planning import detectable_difference, power, seeds_needed
from asgml_core.statistics.ranks import Friedman, cliques, friedman
from asgml_core.statistics.spread import (
    BrownForsythe,
    PitmanMorgan,
    brown_forsythe,
    f_interval,
    pitman_morgan,
    spread_ratio,
)
from asgml_core.statistics.tables import contrasts, summarise

__all__ = [
    "BrownForsythe",
    "Friedman",
    "Interval",
    "McNemar",
    "PitmanMorgan",
    "SignFlip",
    "accuracy_error",
    "bca_interval",
    "brown_forsythe",
    "cliques",
    "contrasts",
    "crossed_bootstrap",
    "detectable_difference",
    "f_interval",
    "friedman",
    "holm",
    "item_bootstrap",
    "mcnemar",
    "mean_interval",
    "paired_difference",
    "paired_t",
    "pitman_morgan",
    "power",
    "probability_of_improvement",
    "seeds_needed",
    "sign_flip",
    "spread_ratio",
    "summarise",
]
