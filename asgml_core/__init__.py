"""Balancing modalities in multimodal learning: methods, probes, runs and the study they come from.

The nouns: a *modulator* balances modalities, a *probe* reads features, a *trainer* runs a model on
a dataset, a *run* leaves a *record*. In your own loop::

    from asgml_core import OGMGE, Boost, Chain, Clock, Outputs

    modulator = Chain(OGMGE(alpha=0.8), Boost(alpha=0.75))
    groups = {"audio": list(net.audio.parameters()), "visual": list(net.visual.parameters())}
    ...
    clock = Clock(epoch + 1, epoch * len(loader) + i, i, len(loader), epochs)  # counted from 0
    loss.backward()
    modulator.modulate(Outputs(logits, unimodal_logits, features), labels, groups, clock)
    optimizer.step()

A whole run::

    from asgml_core import profile, run, study

    record = run(study.config("boost_default", profile("synth", seed=1)))
    record.accuracy()

Names are loaded when they are first used, so that ``import asgml_core`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asgml_core import study as study
    from asgml_core.config import RunConfig as RunConfig
    from asgml_core.datasets import MultimodalDataset as MultimodalDataset
    from asgml_core.models import LateFusion as LateFusion
    from asgml_core.models import build_model as build_model
    from asgml_core.modulators import MILES as MILES
    from asgml_core.modulators import OGM as OGM
    from asgml_core.modulators import OGMGE as OGMGE
    from asgml_core.modulators import Boost as Boost
    from asgml_core.modulators import BoostRandom as BoostRandom
    from asgml_core.modulators import BoostWrong as BoostWrong
    from asgml_core.modulators import Chain as Chain
    from asgml_core.modulators import Clock as Clock
    from asgml_core.modulators import During as During
    from asgml_core.modulators import Evaluation as Evaluation
    from asgml_core.modulators import Frequency as Frequency
    from asgml_core.modulators import GradientNoise as GradientNoise
    from asgml_core.modulators import Metrics as Metrics
    from asgml_core.modulators import Modulator as Modulator
    from asgml_core.modulators import Outputs as Outputs
    from asgml_core.modulators import Staleness as Staleness
    from asgml_core.modulators import StaticScale as StaticScale
    from asgml_core.modulators import Throttle as Throttle
    from asgml_core.modulators import UnimodalLosses as UnimodalLosses
    from asgml_core.profiles import profile as profile
    from asgml_core.records import RunRecord as RunRecord
    from asgml_core.runs import run as run
    from asgml_core.sweep import run_all as run_all

_HOMES = {
    "MILES": "modulators",
    "OGM": "modulators",
    "OGMGE": "modulators",
    "Boost": "modulators",
    "BoostRandom": "modulators",
    "BoostWrong": "modulators",
    "Chain": "modulators",
    "Clock": "modulators",
    "During": "modulators",
    "Evaluation": "modulators",
    "Frequency": "modulators",
    "GradientNoise": "modulators",
    "LateFusion": "models",
    "Metrics": "modulators",
    "Modulator": "modulators",
    "MultimodalDataset": "datasets",
    "Outputs": "modulators",
    "RunConfig": "config",
    "RunRecord": "records",
    "Staleness": "modulators",
    "StaticScale": "modulators",
    "Throttle": "modulators",
    "UnimodalLosses": "modulators",
    "build_model": "models",
    "profile": "profiles",
    "run": "runs",
    "run_all": "sweep",
}

__all__ = [
    "MILES",
    "OGM",
    "OGMGE",
    "Boost",
    "BoostRandom",
    "BoostWrong",
    "Chain",
    "Clock",
    "During",
    "Evaluation",
    "Frequency",
    "GradientNoise",
    "LateFusion",
    "Metrics",
    "Modulator",
    "MultimodalDataset",
    "Outputs",
    "RunConfig",
    "RunRecord",
    "Staleness",
    "StaticScale",
    "Throttle",
    "UnimodalLosses",
    "build_model",
    "profile",
    "run",
    "run_all",
    "study",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "study":
        return importlib.import_module("asgml_core.study")
    if name not in _HOMES:
        raise AttributeError(f"module 'asgml_core' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"asgml_core.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
