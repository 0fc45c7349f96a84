"""The study as data: its 97 named runs with settings and published numbers, and arms it lacks.

Published numbers are the highest test accuracy over the epochs, in per cent, on CREMA-D.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from asgml_core.checks import check_one_of
from asgml_core.config import MethodConfig, RunConfig

SEEDS = (42, 0, 1, 2, 3)
EPOCHS = 100


@dataclass(frozen=True)
class NamedRun:
    """One run of the study.

    Args:
        run_id: its name in the study.
        seed: its seed.
        group: the sweep it belongs to.
        method: one method, or several joined by ``+``.
        params: its settings, where they differ from the defaults.
        published_best_acc: best test accuracy in per cent; ``None`` where the log gives none.
    """

    run_id: str
    seed: int
    group: str
    method: str
    params: Mapping[str, Any]
    published_best_acc: float | None


def _once(group: str, method: str, table: str, **common: Any) -> list[NamedRun]:
    """Read lines ``run_id published key=value ...``; all with seed 42."""
    found = []
    for line in table.strip().splitlines():
        run_id, published, *settings = line.split()
        pairs = (setting.split("=") for setting in settings)
        params = common | {key: _value(text) for key, text in pairs}
        accuracy = None if published == "-" else float(published)
        found.append(NamedRun(run_id, 42, group, method, params, accuracy))
    return found


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _five(run_id: str, method: str, published: str, **params: Any) -> list[NamedRun]:
    accuracies = [float(text) for text in published.split()]
    return [
        NamedRun(run_id, seed, "multi_seed", method, params, accuracy)
        for seed, accuracy in zip(SEEDS, accuracies, strict=True)
    ]


def _early() -> list[NamedRun]:
    def early(
        run_id: str, method: str, published: float, seed: int = 42, **params: Any
    ) -> NamedRun:
        return NamedRun(f"early_{run_id}", seed, "early", method, params, published)

    return [
        early("baseline", "baseline", 59.81),
        early("freq_fixed2", "frequency", 58.74, adaptation="fixed", ratio=2),
        early("stale_fixed2", "staleness", 57.66, adaptation="fixed", staleness=2),
        early("adaptive_dual", "frequency", 60.75, adaptation="adaptive"),
        early("miles_paper", "miles", 59.54, reduction=0.5, threshold=0.2),
        early("miles_repo", "miles", 58.74, reduction=1.0, threshold=0.5),
        early("ogmge_a080", "ogm_ge", 59.95, alpha=0.8, end_epoch=50),
        early("ogmge_a080", "ogm_ge", 56.99, seed=0, alpha=0.8, end_epoch=50),
        early("ogmge_a050_e100", "ogm_ge", 57.53, alpha=0.5, end_epoch=100),
        early("ogmge_adaptive", "ogm_ge+frequency", 59.54, adaptation="adaptive", ogm_alpha=0.8),
    ]


_FREQUENCY = """
p1_gamma025  55.11 gamma=0.25
p1_gamma050  -     gamma=0.5
p1_gamma150  -     gamma=1.5
p1_taubase10 -     tau_base=1.0
p1_taubase15 -     tau_base=1.5
p1_taubase25 -     tau_base=2.5
p1_taubase30 -     tau_base=3.0
p1_sms000    61.02 soft_mask_scale=0.0
p1_sms005    -     soft_mask_scale=0.05
p1_sms020    -     soft_mask_scale=0.2
p1_sms030    -     soft_mask_scale=0.3
p1_beta000   -     beta=0.0
p1_beta025   -     beta=0.25
p1_beta075   -     beta=0.75
p1_beta100   60.22 beta=1.0
p1_thresh005 60.75 threshold_delta=0.05
p1_probe     60.35 signal_source=probe
p1_combo1    -     gamma=0.5 tau_base=1.5
"""
_STALENESS = """
p1_stale_default 60.08
p1_stale_lc005   56.18 lambda_comp=0.05
p1_stale_lc020   60.22 lambda_comp=0.2
p1_stale_tb15    59.14 tau_base=1.5
p1_stale_g050    58.06 gamma=0.5
p1_stale_combo   -     gamma=0.5 lambda_comp=0.05 tau_base=1.5
"""
_THROTTLE = """
cont_a025    58.47 alpha=0.25
cont_default 57.66 alpha=0.5 scale_min=0.1
cont_sm005   57.66 scale_min=0.05
cont_sm030   57.66 scale_min=0.3
cont_a075    56.45 alpha=0.75
cont_noise   56.18 noise=0.1
cont_a100    53.63 alpha=1.0
cont_combo   52.96 alpha=0.75 noise=0.1 scale_min=0.05
"""
_BOOST = """
boost_default 60.48 alpha=0.5 scale_max=2.0
boost_a025    58.74 alpha=0.25
boost_a075    58.20 alpha=0.75
boost_a100    58.60 alpha=1.0
boost_sm150   60.48 scale_max=1.5
boost_sm300   60.48 scale_max=3.0
boost_noise   58.87 noise=0.1
"""
_BOOST_OGM = """
boost_ogm      61.83 alpha=0.5 ogm_alpha=0.8
boost_ogm_a075 62.50 alpha=0.75 ogm_alpha=0.8
"""


@cache
def runs() -> tuple[NamedRun, ...]:
    """Return the 97 named runs: 10 early ones, four sweeps, and nine methods over five seeds."""
    both, adaptive = "boost+ogm_ge", {"adaptation": "adaptive"}
    return (
        *_early(),
        *_once("phase1_frequency", "frequency", _FREQUENCY, **adaptive),
        *_once("phase1_staleness", "staleness", _STALENESS, **adaptive),
        *_once("v1_throttle", "throttle", _THROTTLE),
        *_once("v1_throttle", "throttle+ogm_ge", "cont_ogm 59.41 ogm_alpha=0.8"),
        *_once("v2_boost", "boost", _BOOST),
        *_once("v2_boost", both, _BOOST_OGM),
        *_five("p2_boost_ogm_a075", both, "62.50 63.04 62.50 62.63 62.77",
               alpha=0.75, ogm_alpha=0.8),
        *_five("ogmge", "ogm_ge", "63.98 60.89 61.02 63.04 63.44", alpha=0.8),
        *_five("p2_boost_ogm", both, "61.83 62.37 61.96 62.37 63.31",
               alpha=0.5, ogm_alpha=0.8),
        *_five("p2_boost_default", "boost", "60.48 61.02 60.48 61.29 59.01", alpha=0.5),
        *_five("p2_sms000", "frequency", "61.02 60.08 60.62 62.10 58.87",
               **adaptive, soft_mask_scale=0.0),
        *_five("p2_default", "frequency", "60.75 59.68 59.41 62.77 59.41", **adaptive),
        *_five("baseline", "baseline", "59.81 59.95 61.56 60.35 59.81"),
        *_five("p2_beta100", "frequency", "60.22 60.22 59.14 60.22 59.01",
               **adaptive, beta=1.0),
        *_five("p2_stale_lc020", "staleness", "60.22 59.01 58.06 60.08 58.87",
               **adaptive, lambda_comp=0.2),
    )  # fmt: skip


#: Arms that a fair comparison needs beside the named runs; :func:`arm` says what each is.
ARMS = (
    "joint_only", "audio_only", "visual_only", "unimodal_losses_only", "ogm",
    "static_scale_audio", "static_scale_visual", "boost_wrong", "boost_random",
)  # fmt: skip


def group(name: str) -> tuple[str, ...]:
    """Return the run ids of one sweep of the study, each once, in order."""
    check_one_of("group", name, dict.fromkeys(run.group for run in runs()))
    return tuple(dict.fromkeys(run.run_id for run in runs() if run.group == name))


def named_run(run_id: str) -> NamedRun:
    """Return the first run of that name (seed 42).

    Raises:
        ValueError: when the study has no such run.
    """
    for run in runs():
        if run.run_id == run_id:
            return run
    near = difflib.get_close_matches(run_id, [run.run_id for run in runs()], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"the study has no run {run_id!r}; 'asgml runs' lists its runs, and the arms are "
        f"{', '.join(ARMS)}.{hint}"
    )


def published(run_id: str, seed: int = 42) -> float | None:
    """Return the published best test accuracy in per cent, if the log gives one."""
    found = [r.published_best_acc for r in runs() if (r.run_id, r.seed) == (run_id, seed)]
    return found[0] if found else None


def config(name: str, base: RunConfig) -> RunConfig:
    """Return the config of a named run or arm on the data, network and training of ``base``.

    Windows given in epochs of the study's 100 scale with the number of epochs. The MILES runs bring
    their own optimizer, as in the study: Adam at 1e-3 without a drop. Staleness is the study's
    variant, and MILES looks at the test part only in protocol ``"paper"``, which holds out none.
    On CREMA-D's published split in that protocol probes are read at the study's very batches.

    Args:
        name: a run id of :func:`runs`, one of :data:`ARMS`, ``<modality>_only`` or
            ``static_scale_<modality>``.
        base: what everything but the methods is taken from, such as a profile.

    Raises:
        ValueError: for a name that the study does not have.
    """
    if name in ARMS or name.endswith("_only") or name.startswith(_STATIC):
        return arm(name, base)
    run = named_run(name)
    methods = _methods(run, base)
    changes = {"train": _MILES_TRAINING} if run.method == "miles" else {}
    return base.replace(run_id=name, methods=_for_data(methods, base), **changes)


def arm(name: str, base: RunConfig) -> RunConfig:
    """Return the config of an arm that the study lacks.

    ``joint_only`` has the fused loss alone (gamma 0). ``<modality>_only`` is one encoder with one
    linear layer, alone. ``unimodal_losses_only`` trains every encoder with its own linear layer and
    its own loss, and adds the logits: a late ensemble. ``ogm`` is OGM-GE without its noise.
    ``static_scale_<modality>``, ``boost_wrong`` and ``boost_random`` are controls, as strong as
    boost at alpha .5.

    Raises:
        ValueError: when there is no such arm.
    """
    if name == "joint_only":
        return base.replace(run_id=name, methods=())
    if name == "unimodal_losses_only":
        alone = MethodConfig(name="unimodal_losses", options={"fused": False})
        return base.replace(run_id=name, methods=(alone,), model={"head": "sum"})
    if name.endswith("_only"):
        return base.replace(
            run_id=name,
            methods=(),
            model={"head": "concat_linear"},
            data={"modalities": (name.removesuffix("_only"),)},
        )
    if name not in _PLAIN_ARMS and not name.startswith(_STATIC):
        raise ValueError(f"there is no arm {name!r}; there are {', '.join(ARMS)}.")
    method = MethodConfig(name=name) if name in _PLAIN_ARMS else _static_scale(name)
    methods = (MethodConfig(name="unimodal_losses"), method)
    return base.replace(run_id=name, methods=_for_data(methods, base))


_STATIC = "static_scale_"
_PLAIN_ARMS = ("ogm", "boost_wrong", "boost_random")
_MILES_TRAINING = {
    "optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 1e-4, "drop_at": 1.0,
}  # fmt: skip


def _static_scale(name: str) -> MethodConfig:
    modality = name.removeprefix(_STATIC)
    return MethodConfig(name="static_scale", options={"modality": modality, "scale": 1.5})


def _methods(run: NamedRun, base: RunConfig) -> tuple[MethodConfig, ...]:
    params = dict(run.params)
    gamma = params.pop("gamma", 1.0)
    noise = params.pop("noise", None)
    names = [name for name in run.method.split("+") if name != "baseline"]
    methods = [MethodConfig(name="unimodal_losses", options={"gamma": gamma})]
    if "ogm_ge" in names:  # it comes first, wherever the name stands
        names.remove("ogm_ge")
        alpha = params.pop("ogm_alpha", None) if names else params.pop("alpha")
        methods.append(_ogm_ge(alpha, params.pop("end_epoch", None), base.train.epochs))
    if "staleness" in names:
        params["variant"] = "study"
    if "miles" in names and base.protocol == "paper":
        params["signal"] = "test"
    methods += [MethodConfig(name=name, options=params) for name in names]
    if noise is not None:
        methods.append(MethodConfig(name="noise", options={"sigma": noise}))
    return tuple(methods)


#: Data whose encoders may have no convolution.
_WITHOUT_PICTURES = ("arrays", "mosei", "mosi")


def _for_data(methods: tuple[MethodConfig, ...], base: RunConfig) -> tuple[MethodConfig, ...]:
    if base.data.name in _WITHOUT_PICTURES:
        methods = tuple(map(_any_encoder, methods))
    return tuple(map(_study_times, methods)) if _is_reproduction(base) else methods


def _is_reproduction(base: RunConfig) -> bool:
    """Return whether an epoch has the study's 105 batches: 6698 training clips, 64 at a time."""
    split = base.data.options.get("split", "ogm_ge")
    whole = base.data.name == "cremad" and split == "ogm_ge" and base.protocol == "paper"
    return whole and base.train.batch_size == 64


#: Batches between the probe times of the study, by method.
_EVAL_EVERY = {
    "throttle": 20, "boost": 20, "boost_wrong": 20, "boost_random": 20,
    "frequency": 100, "staleness": 100,
}  # fmt: skip


def _study_times(method: MethodConfig) -> MethodConfig:
    """Let a method read its probes exactly when the study did, and not as often an epoch."""
    adaptive = method.options.get("adaptation") != "fixed"
    if method.name not in _EVAL_EVERY or not adaptive:
        return method
    options = {**method.options, "eval_every": _EVAL_EVERY[method.name]}
    return dataclasses.replace(method, options=options)


def _any_encoder(method: MethodConfig) -> MethodConfig:
    """Let a method of convolutions take all weights: the encoder may have no convolution.

    For the ResNet18 encoders of this package, whose weights are all convolutions, it is the same.
    """
    if method.name not in ("ogm", "ogm_ge", "noise"):
        return method
    return dataclasses.replace(method, options={**method.options, "scope": "weights"})


def _ogm_ge(alpha: float, end: int | None, epochs: int) -> MethodConfig:
    method = MethodConfig(name="ogm_ge", options={"alpha": alpha})
    if end is None:
        return method
    return dataclasses.replace(method, start=0, end=max(1, end * epochs // EPOCHS))
