"""What people call a run: its label in figures and tables, and the family of methods it is of."""

from __future__ import annotations

import re
from functools import cache

from asgml_core import study

BASELINE, OTHER = "baseline", "other"
ALPHA, TAU, TIMES = (
    "\N{GREEK SMALL LETTER ALPHA}",
    "\N{GREEK SMALL LETTER TAU}",
    "\N{MULTIPLICATION SIGN}",
)
#: The families; runs of one family share a colour in all figures.
FAMILIES = (
    BASELINE, "OGM", "boost", "boost + OGM", "frequency", "staleness", "throttle", "control",
    "reference", OTHER,
)  # fmt: skip
#: Of the study's table over five seeds, and of the arms: by family, in order.
LABELS = {
    "baseline": "baseline",
    "ogmge": "OGM-GE",
    "ogm": "OGM (no noise)",
    "p2_boost_default": "boost",
    "p2_boost_ogm": "boost + OGM-GE",
    "p2_boost_ogm_a075": f"boost + OGM-GE ({ALPHA} = .75)",
    "p2_default": "frequency",
    "p2_sms000": "frequency, hard skip",
    "p2_beta100": "frequency, gradient signal",
    "p2_stale_lc020": "staleness (λ = .2)",
    "boost_wrong": "boost, wrong way",
    "boost_random": "boost, at random",
    "static_scale_audio": f"audio {TIMES} 1.5",
    "static_scale_visual": f"visual {TIMES} 1.5",
    "joint_only": "fused loss only",
    "unimodal_losses_only": "late ensemble",
    "audio_only": "audio only",
    "visual_only": "visual only",
}
_METHODS = {
    "baseline": BASELINE, "ogm_ge": "OGM", "ogm": "OGM", "boost": "boost",
    "boost+ogm_ge": "boost + OGM", "frequency": "frequency", "staleness": "staleness",
    "throttle": "throttle", "throttle+ogm_ge": "throttle",
}  # fmt: skip
_NAMES = {"ogm_ge": "OGM-GE", "ogm": "OGM", "opm": "OPM", "inforeg": "InfoReg", "miles": "MILES"}
_SETTINGS = {
    "cremad_3frame": "CREMA-D, three frames",
    "cremad_3frame_linear_head": "CREMA-D, three frames, linear head",
    "ave_pretrained": "AVE, pretrained encoders",
    "kinetics_sounds_pretrained": "Kinetics-Sounds, pretrained encoders",
    "cmu_mosei_3modality": "CMU-MOSEI, three modalities",
}
_DATASETS = {
    "synth": "drawn data", "grid": "GRID", "cremad": "CREMA-D", "ave": "AVE",
    "kinetics_sounds": "Kinetics-Sounds", "mosei": "CMU-MOSEI", "mosi": "CMU-MOSI",
}  # fmt: skip
_SYMBOLS = {"a": ALPHA, "alpha": ALPHA, "tau": TAU}


def label(run_id: str) -> str:
    """Return what people call a run; runs without a label are called by their run id."""
    return LABELS.get(run_id, run_id)


@cache
def family(run_id: str) -> str:
    """Return which of :data:`asgml_core.labels.FAMILIES` a run is of, else ``"other"``.

    A run whose name begins with that of another run, or of a family, is of the same family.
    """
    if run_id == "ogm":
        return "OGM"
    if run_id in study.ARMS or run_id.endswith("_only"):
        return "reference" if run_id.endswith("_only") else "control"
    methods = {run.run_id: run.method for run in study.runs()} | {name: name for name in FAMILIES}
    begun = [name for name in methods if f"{run_id}_".startswith((f"{name}_", f"{name}-"))]
    return family_of_method(methods[max(begun, key=len)]) if begun else OTHER


def family_of_method(method: str) -> str:
    """Return the family of a method as the study writes it, such as ``"boost+ogm_ge a=0.75"``."""
    return _METHODS.get(method.split(" ")[0], OTHER)


def setting_label(setting: str) -> str:
    """Return what people call a setting of the study's later results; others are as they are."""
    return _SETTINGS.get(setting, setting)


def data_label(dataset: str, profile: str) -> str:
    """Return what people call some data, with the profile where it is not named like the data."""
    name = _DATASETS.get(dataset, dataset)
    return name if profile == dataset else f"{name} (profile {profile})"


def method_label(method: str) -> str:
    """Return what people call a method as the study writes it, such as ``"ogm_ge a=0.8"``."""
    names, *settings = method.split(" ")
    said = " + ".join(_NAMES.get(name, name) for name in names.split("+"))
    if not settings:
        return said
    return f"{said} ({', '.join(map(_setting, settings))})"


def _setting(text: str) -> str:
    if epochs := re.fullmatch(r"(\d+)ep", text):
        return f"{epochs[1]} epochs"
    name, sign, value = text.partition("=")
    if not sign:
        return text
    return f"{_SYMBOLS.get(name, name)} = {re.sub(r'^0[.]', '.', value)}"
