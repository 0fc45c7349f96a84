"""Every method with settings that make it act; the loop they are tried on is ``small_loop.py``.

A new method needs one row in ``ROWS``, with settings that make it act within three short epochs,
and one in ``VALUES`` of ``test_values.py``: print its outcome once, after checking it by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from asgml_core.modulators import REGISTRY, Modulator


@dataclass(frozen=True, eq=False)
class Row:
    """One method in one setting.

    Args:
        name: in the registry.
        settings: with which it acts.
        many: settings beside those for more than two modalities.
        still: settings with which it changes nothing, bit for bit; ``None`` where there are none.
        noiseless: settings with which its noise does not matter; ``None`` where its noise cannot
            be turned off, and only the first step's record is free of it.
        seeded: whether anything is drawn in this setting; if not, another seed is the same run.
        refused: settings out of range, and what the message says.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    many: dict[str, Any] = field(default_factory=dict)
    still: dict[str, Any] | None = None
    noiseless: dict[str, Any] | None = field(default_factory=dict)
    seeded: bool = True
    refused: tuple[tuple[dict[str, Any], str], ...] = ()
    label: str = ""

    def make(self, count: int, **changes: Any) -> Modulator:
        settings = self.settings | (self.many if count > 2 else {}) | changes
        return REGISTRY[self.name](**settings)


OGM_REFUSED = (
    ({"alpha": -0.1}, "alpha is -0.1"),
    ({"alpha": float("nan")}, "alpha is nan"),
    ({"alpha": "0.8"}, "alpha is '0.8'"),
    ({"reference": "median"}, "reference is 'median'"),
    ({"scope": "linear"}, "scope is 'linear'"),
    ({"variant": "paper"}, "variant is 'paper'"),
    ({"scores": "logits"}, "scores is 'logits'"),
    ({"seed": -1}, "seed is -1"),
)
PROBE_REFUSED = (
    ({"alpha": -0.1}, "alpha is -0.1"),
    ({"alpha": float("inf")}, "alpha is inf"),
    ({"eval_every": 0}, "eval_every is 0"),
    ({"eval_every": 2.5}, "eval_every is 2.5"),
    ({"probe_steps": 0}, "steps is 0"),
    ({"probe_ema": "test"}, "probe_ema is 'test'"),
)
PERIODS_REFUSED = (
    *PROBE_REFUSED[2:],
    ({"adaptation": "adaptiv"}, "adaptation is 'adaptiv', but must be one of: 'adaptive', 'fixed'"),
    ({"signal_source": "norms"}, "signal_source is 'norms'"),
    ({"tau_base": 0.0}, "tau_base is 0.0"),
    ({"tau_min": 0.5}, "tau_min is 0.5"),
    ({"tau_min": 3.0, "tau_max": 2.0}, "tau_max is 2.0, but must be a number of 3.0 or more"),
    ({"beta": 1.1}, "beta is 1.1"),
    ({"threshold_delta": -0.1}, "threshold_delta is -0.1"),
    ({"kappa": 0.9}, "kappa is 0.9"),
    ({"kappa": float("inf")}, "kappa is inf"),
    ({"seed": 1.5}, "seed is 1.5"),
)
FIXED = {"adaptation": "fixed"}
QUICK = {"eval_every": 2, "probe_steps": 3}
SLOW = {"tau_max": 1.0}  # of an adaptive method: every period is 1
ROWS = (
    Row(
        "unimodal_losses",
        refused=(({"gamma": 0.0}, "gamma is 0.0"), ({"gamma": -1.0}, "gamma is -1.0")),
    ),
    Row("unimodal_losses", {"gamma": 0.5, "fused": False}, label="alone"),
    Row(
        "ogm",
        {},
        {"reference": "mean"},
        still={"alpha": 0.0},
        seeded=False,
        refused=OGM_REFUSED,
    ),
    Row(
        "ogm",
        {"variant": "official", "scope": "weights"},
        {"reference": "min"},
        still={"alpha": 0.0},
        seeded=False,
        label="official",
    ),
    Row("ogm", {"scores": "split"}, still={"alpha": 0.0}, seeded=False, label="split"),
    Row("ogm", {"scores": "zero_out"}, still={"alpha": 0.0}, seeded=False, label="zero out"),
    Row("ogm", {"scores": "probe", "seed": 2}, still={"alpha": 0.0}, label="probe"),
    Row(
        "ogm_ge",
        {"seed": 3},
        {"reference": "mean"},
        still={"alpha": 0.0},
        noiseless=None,
        refused=OGM_REFUSED,
    ),
    Row("ogm_ge", {"scores": "probe"}, noiseless=None, label="probe"),
    Row(
        "ogm_ge",
        {"variant": "official", "scope": "all", "alpha": 0.3},
        {"reference": "min"},
        noiseless=None,
        label="official",
    ),
    Row(
        "frequency",
        {},
        still=SLOW,
        refused=(
            *PERIODS_REFUSED,
            ({"ratio": 0}, "ratio is 0"),
            ({"soft_mask_scale": 1.5}, "soft_mask_scale is 1.5"),
            ({"skip": "drop"}, "skip is 'drop'"),
        ),
    ),
    Row(
        "frequency",
        QUICK | {"signal_source": "probe", "threshold_delta": 0.0, "soft_mask_scale": 0.0},
        still=SLOW,
        label="probe hard",
    ),
    Row(
        "frequency",
        QUICK | {"signal_source": "both", "probe_split": True, "probe_ema": "study", "seed": 1},
        still=SLOW,
        label="both",
    ),
    Row(
        "frequency",
        QUICK | {"skip": "freeze", "tau_base": 3.0, "kappa": 1.0},
        still=SLOW,
        label="freeze",
    ),
    Row("frequency", FIXED, still={"ratio": 1}, seeded=False, label="fixed"),
    Row(
        "frequency",
        FIXED | {"skip": "freeze", "dominant": "visual", "ratio": 3, "probe_ema": "study"},
        still={"ratio": 1},
        seeded=False,
        label="fixed freeze",
    ),
    Row(
        "staleness",
        {"eval_every": 1, "probe_steps": 3},
        still=SLOW,
        refused=(
            *PERIODS_REFUSED,
            ({"staleness": -1}, "staleness is -1"),
            ({"lambda_comp": -0.1}, "lambda_comp is -0.1"),
            ({"variant": "official"}, "variant is 'official'"),
        ),
    ),
    Row(
        "staleness",
        QUICK | {"variant": "study", "signal_source": "both", "tau_base": 3.0, "seed": 1},
        still=SLOW,
        label="study",
    ),
    Row(
        "staleness",
        QUICK | {"signal_source": "probe", "threshold_delta": 0.0, "probe_ema": "study"},
        still=SLOW,
        label="probe",
    ),
    Row("staleness", FIXED, still={"staleness": 0}, seeded=False, label="fixed"),
    Row(
        "staleness",
        FIXED | {"variant": "study", "staleness": 3, "dominant": "visual", "lambda_comp": 0.2},
        still={"staleness": 0},
        seeded=False,
        label="fixed study",
    ),
    Row(
        "miles",
        {"threshold": 0.05},
        still={"reduction": 1.0},
        refused=(
            ({"threshold": -0.1}, "threshold is -0.1"),
            ({"reduction": 0.0}, "reduction is 0.0"),
            ({"reduction": 1.5}, "reduction is 1.5"),
            ({"reset_other": 1}, "reset_other is 1"),
            ({"signal": "train"}, "signal is 'train'"),
        ),
    ),
    Row(
        "miles",
        {"threshold": 0.0, "reduction": 0.3, "reset_other": False, "signal": "test"},
        still={"reduction": 1.0},
        label="test",
    ),
    Row(
        "static_scale",
        {},
        still={"scale": 1.0},
        refused=(({"scale": -0.5}, "scale is -0.5"), ({"scale": True}, "scale is True")),
    ),
    Row("static_scale", {"modality": "audio", "scale": 0.0}, still={"scale": 1.0}, label="off"),
    Row(
        "throttle",
        {"eval_every": 2},
        still={"alpha": 0.0},
        refused=(
            *PROBE_REFUSED,
            ({"alpha": 1.1}, "alpha is 1.1"),
            ({"scale_min": -0.1}, "scale_min is -0.1"),
            ({"scale_min": 1.5}, "scale_min is 1.5"),
        ),
    ),
    Row(
        "throttle",
        {"eval_every": 3, "probe_split": True, "probe_ema": "study", "seed": 4},
        still={"alpha": 0.0},
        label="study",
    ),
    Row(
        "boost",
        {"eval_every": 2},
        still={"alpha": 0.0},
        refused=(*PROBE_REFUSED, ({"scale_max": 0.9}, "scale_max is 0.9")),
    ),
    Row(
        "boost",
        {"eval_every": None, "probe_split": False, "probe_ema": "study", "alpha": 0.75},
        still={"alpha": 0.0},
        label="study",
    ),
    Row(
        "boost_wrong",
        {"eval_every": 2},
        still={"alpha": 0.0},
        refused=(*PROBE_REFUSED, ({"scale_max": 0.9}, "scale_max is 0.9")),
    ),
    Row(
        "boost_random",
        {"eval_every": 1, "seed": 5},
        still={"alpha": 0.0},
        noiseless=None,
        refused=(*PROBE_REFUSED, ({"scale_max": 0.9}, "scale_max is 0.9")),
    ),
    Row(
        "noise",
        {"sigma": 0.5},
        noiseless={"sigma": 1e-9},
        refused=(
            ({"sigma": 0.0}, "sigma is 0.0"),
            ({"sigma": -1.0}, "sigma is -1.0"),
            ({"scope": "linear"}, "scope is 'linear'"),
        ),
    ),
)

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.label}".strip())
counts = pytest.mark.parametrize("count", [2, 3, 6])
