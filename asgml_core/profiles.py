"""Named settings of data, network and training: what a run is before a method is chosen."""

from __future__ import annotations

from typing import Any

from asgml_core.checks import check_one_of
from asgml_core.config import RunConfig

_GRID_MODEL = {"width": 16, "stem": "imagenet", "frames": "channels"}
_GRID_TRAIN = {"epochs": 30, "learning_rate": 1e-2}
#: Of sequences of features; chosen without the real data, see the book's page on MOSEI.
_STEPS_TRAIN = {"epochs": 20, "optimizer": "adam", "learning_rate": 1e-3}

#: By dataset and name: the sections of a :class:`RunConfig`. The first of each is the default.
#: ``smoke`` is a trial of every step in seconds: too little data and training for any result.
PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    "synth": {
        "demo": {
            "data": {"options": {}},
            "model": {"width": 8, "stem": "imagenet"},
            "train": {"epochs": 8, "learning_rate": 1e-2},
        },
        "smoke": {
            "data": {"options": {"train": 288, "test": 72, "speakers": 24}},
            "model": {"width": 8, "stem": "imagenet"},
            "train": {"epochs": 2, "learning_rate": 1e-2, "batch_size": 32},
        },
    },
    "grid": {
        "grid": {
            "data": {"options": {"frames": 1, "audio_noise": 1.5}},
            "model": _GRID_MODEL,
            "train": _GRID_TRAIN,
        },
        "grid_rich": {
            "data": {"options": {"frames": 5, "audio_noise": 1.5}},
            "model": _GRID_MODEL,
            "train": _GRID_TRAIN,
        },
        "grid_clean": {
            "data": {"options": {"frames": 5, "audio_noise": 0.0}},
            "model": _GRID_MODEL,
            "train": _GRID_TRAIN,
        },
        "smoke": {
            "data": {"options": {"frames": 1, "audio_noise": 1.5, "test_clips": 800}},
            "model": {**_GRID_MODEL, "width": 8},
            "train": {**_GRID_TRAIN, "epochs": 2},
        },
    },
    "cremad": {
        "cremad": {"train": {"epochs": 100, "learning_rate": 1e-3}},
    },
    # Width, stem and batch of 64 are the defaults, and OGM-GE's, as are these two.
    "ave": {
        "ave": {"train": {"epochs": 100, "learning_rate": 1e-3}},
    },
    "kinetics_sounds": {
        "kinetics_sounds": {"train": {"epochs": 100, "learning_rate": 1e-3}},
    },
    "mosei": {
        "mosei": {"model": {"width": 8}, "train": _STEPS_TRAIN},
        "mosei_mean": {
            "data": {"options": {"pool": "mean"}},
            "model": {"width": 8},
            "train": _STEPS_TRAIN,
        },
    },
    "mosi": {
        "mosi": {"model": {"width": 4}, "train": _STEPS_TRAIN},
        "mosi_mean": {
            "data": {"options": {"pool": "mean"}},
            "model": {"width": 4},
            "train": _STEPS_TRAIN,
        },
    },
    "arrays": {
        "small": {
            "model": {"width": 16, "stem": "imagenet"},
            "train": {"epochs": 30, "learning_rate": 1e-2},
        },
        "paper": {"model": {"width": 64, "stem": "imagenet"}, "train": {"epochs": 100}},
    },
}


def profile_name(dataset: str, name: str | None = None) -> str:
    """Return the name of a profile; ``None`` means the dataset's default.

    Raises:
        ValueError: for a dataset or a profile that does not exist, naming those that do.
    """
    check_one_of("dataset", dataset, PROFILES)
    if name is None:
        return next(iter(PROFILES[dataset]))
    return check_one_of(f"profile of {dataset!r}", name, PROFILES[dataset])


def profile(
    dataset: str = "synth",
    name: str | None = None,
    *,
    seed: int = 42,
    epochs: int | None = None,
    options: dict[str, Any] | None = None,
    **changes: Any,
) -> RunConfig:
    """Return the baseline of a profile: the fused loss and the unimodal losses, no modulation.

    Args:
        dataset: one of ``PROFILES``, such as ``"synth"``.
        name: of the profile; ``None`` means the dataset's default.
        seed: the run's seed.
        epochs: another number of epochs than the profile's.
        options: further options of the dataset, such as ``{"path": ...}``.
        changes: other fields of :class:`~asgml_core.config.RunConfig`, such as ``device``.

    Raises:
        ValueError: for a profile, a field or a value that is not allowed.
    """
    name = profile_name(dataset, name)
    sections = PROFILES[dataset][name]
    train = dict(sections.get("train", {}))
    if epochs is not None:
        train["epochs"] = epochs
    data = dict(sections.get("data", {}))
    data["options"] = {**data.get("options", {}), **(options or {})}
    values = {
        "run_id": "baseline",
        "seed": seed,
        "data": {"name": dataset, **data},
        "model": sections.get("model", {}),
        "train": train,
    }
    return RunConfig.from_dict(values).replace(**changes)
