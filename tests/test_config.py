"""The config of a run: whole to a dictionary and back, and refused by field when it is wrong."""

from __future__ import annotations

import json

import pytest

from asgml_core import RunConfig, profile, study
from asgml_core.config import DataConfig, MethodConfig, ModelConfig, TrainConfig, differences
from asgml_core.profiles import PROFILES


@pytest.mark.parametrize(
    "name", ["baseline", "boost_ogm_a075", "cont_combo", "joint_only", "visual_only"]
)
def test_a_config_survives_json(name: str) -> None:
    config = study.config(name, profile("grid", "grid_rich", seed=7))
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def values(**changes: object) -> dict:
    return {**profile("synth").to_dict(), **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sed": 1}, "config: field is 'sed'.*Did you mean 'seed'"),
        ({"seed": -1}, "seed is -1, but must be a whole number of 0 or more"),
        ({"seed": "1"}, "seed is '1'"),
        ({"seed": True}, "seed is True"),
        ({"run_id": "../up"}, "it names a folder"),
        ({"run_id": ""}, "it names a folder"),
        ({"protocol": "fair"}, "protocol is 'fair', but must be one of: 'honest', 'paper'"),
        ({"train": {"epochs": 0}}, "train.epochs is 0"),
        ({"train": {"learning_rate": float("nan")}}, "train.learning_rate is nan"),
        ({"train": {"lr": 1}}, "train: field is 'lr'"),
        ({"train": 3}, "train is 3, but must be a mapping"),
        ({"model": {"head": "concat"}}, "model.head is 'concat'.*'concat_mlp'"),
        ({"data": {"name": "imagenet"}}, "data.name is 'imagenet'.*'synth', 'grid', .*'arrays'"),
        ({"data": {"name": "grid", "options": {"frame": 1}}}, "option is 'frame'.*'frames'"),
        ({"data": {"name": "grid", "options": {"seed": 1}}}, "option is 'seed'"),
        ({"methods": [{"name": "bost"}]}, "method is 'bost'.*Did you mean 'boost'"),
        ({"methods": [{"name": "boost", "options": {"alfa": 1}}]}, "option is 'alfa'.*'alpha'"),
        ({"methods": [{"name": "boost", "options": {"alpha": -1}}]}, "alpha is -1"),
        ({"methods": [{"options": {}}]}, "method has no 'name'"),
        ({"methods": [{"name": "ogm", "start": 9, "end": 3}]}, "end is 3"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RunConfig.from_dict(values(**changes))


def test_a_run_needs_a_name_and_a_seed() -> None:
    with pytest.raises(ValueError, match="config has no 'run_id'"):
        RunConfig.from_dict({"seed": 1})


def test_differences_are_told_by_field() -> None:
    one = profile("synth", seed=1)
    other = one.replace(train={"epochs": 99}, threads=2)
    assert differences(one.to_dict(), other.to_dict()) == [
        f"train.epochs {one.train.epochs} -> 99",
        "threads 1 -> 2",
    ]
    assert differences(one.to_dict(), one.to_dict()) == []


def test_the_learning_rate_drops_once() -> None:
    train = TrainConfig(epochs=100, learning_rate=1e-3)
    assert train.scheduled_rate(1) == train.scheduled_rate(70) == 1e-3
    assert train.scheduled_rate(71) == train.scheduled_rate(100) == pytest.approx(1e-4)


def test_defaults_are_the_papers() -> None:
    """METHODS: SGD 1e-3, momentum .9, weight decay 1e-4, batch 64, 100 epochs, width 64."""
    train = TrainConfig()
    assert (train.learning_rate, train.momentum, train.weight_decay) == (1e-3, 0.9, 1e-4)
    assert (train.batch_size, train.epochs, train.drop_at, train.drop_factor) == (64, 100, 0.7, 0.1)
    assert ModelConfig() == ModelConfig(head="concat_mlp", width=64, stem="imagenet", init="study")
    assert DataConfig().hold_out == 0.1


@pytest.mark.parametrize(("dataset", "name"), [(d, n) for d in PROFILES for n in PROFILES[d]])
def test_every_profile_is_a_config(dataset: str, name: str) -> None:
    options = {"path": "mine.npz"} if dataset == "arrays" else None
    config = profile(dataset, name, seed=5, epochs=3, options=options)
    assert (config.data.name, config.seed, config.train.epochs) == (dataset, 5, 3)
    assert config.methods == (MethodConfig(name="unimodal_losses"),)


def test_an_unknown_profile_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"profile of 'grid' is 'rich'.*'grid_rich'"):
        profile("grid", "rich")
    with pytest.raises(ValueError, match=r"dataset is 'girds'.*Did you mean 'grid'"):
        profile("girds")
