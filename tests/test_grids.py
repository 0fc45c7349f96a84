"""Which runs a sweep has, from a group, from names, and from a YAML grid."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from asgml_core import RunConfig, profile, study
from asgml_core.grids import Grid, GridError, grid_of, of_group, parse_numbers, read_grid


def base(seed: int) -> RunConfig:
    return profile("synth", seed=seed)


def names(grid: Grid) -> list[str]:
    return [config.folder for config in grid.configs(base)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3", (3,)),
        ("0-4", (0, 1, 2, 3, 4)),
        ("42,0-3", (42, 0, 1, 2, 3)),
        (" 7 , 9-9 ", (7, 9)),
    ],
)
def test_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_numbers(text) == numbers


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30, unique=True))
def test_any_list_of_numbers_comes_back(numbers: list[int]) -> None:
    assert list(parse_numbers(",".join(map(str, numbers)))) == numbers


@pytest.mark.parametrize(
    "text", ["", "a", "1-", "-1", "3-1", "1,1", "0-4,2", "1.5", "0-99999999", "٣", "9" * 40]
)
def test_what_is_no_list_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|upwards"):
        parse_numbers(text)


def test_a_group_has_the_studys_runs_and_seeds() -> None:
    found = of_group("multi_seed").configs(base)
    published = {(r.run_id, r.seed) for r in study.runs() if r.group == "multi_seed"}
    assert {(config.run_id, config.seed) for config in found} == published
    assert len(found) == 45
    assert len(of_group("multi_seed", seeds=tuple(range(20))).configs(base)) == 180
    assert {config.seed for config in of_group("v2_boost").configs(base)} == {42}


def test_runs_of_one_seed_stand_side_by_side() -> None:
    """They share their data, which a worker keeps."""
    seeds = [config.seed for config in of_group("multi_seed").configs(base)]
    assert len([1 for a, b in pairwise(seeds) if a != b]) == 4


GRID = """
name: rates
runs: [baseline, boost_ogm]
seeds: 0-1
change: {train.epochs: 10}
grid:
  train.learning_rate: [0.01, 0.003]
  methods.boost.alpha: [0.5, 0.75]
"""


def test_a_field_of_a_method_is_for_the_runs_that_have_it() -> None:
    grid = grid_of(yaml.safe_load(GRID), "file")
    found = {config.folder: config for config in grid.configs(base)}
    assert len(found) == 2 * (2 + 4)
    assert "baseline-learning_rate_0.003_seed1" in found
    one = found["boost_ogm-learning_rate_0.003-alpha_0.75_seed1"]
    assert (one.train.learning_rate, one.train.epochs) == (0.003, 10)
    assert {m.name: m.options.get("alpha") for m in one.methods}["boost"] == 0.75
    usual = study.config("boost_ogm", base(1))
    assert one.replace(run_id="boost_ogm").model == usual.model
    assert one.data == usual.data


def test_options_of_the_data_and_plain_fields_can_be_varied() -> None:
    grid = grid_of({"runs": ["baseline"], "grid": {"data.train": [96, 192], "protocol": ["paper"]}},
                   "sizes")  # fmt: skip
    found = grid.configs(base)
    assert [config.data.options["train"] for config in found] == [96, 192]
    assert {config.protocol for config in found} == {"paper"}
    assert grid.name == "sizes"


def test_names_stay_different_where_values_cannot_be_in_a_name() -> None:
    grid = Grid(name="x", runs=("baseline",), seeds=(0,), grid={"data.hold_out": [0.1, 0.2]})
    assert names(grid) == ["baseline-hold_out_0.1_seed0", "baseline-hold_out_0.2_seed0"]
    odd = {"data.modalities": [["audio"], ["visual"], ["audio", "visual"]]}
    found = names(Grid(name="x", runs=("baseline",), seeds=(0,), grid=odd))
    assert len(set(found)) == 3
    assert all(len(name) < 120 and "[" not in name for name in found)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "needs either runs"),
        ({"runs": ["baseline"], "group": "early"}, "needs either runs"),
        ({"runs": "baseline"}, "runs is 'baseline', but must be a list of names"),
        ({"runs": []}, "a sweep needs runs"),
        ({"runs": ["bost_ogm"]}, "the study has no run 'bost_ogm'.*Did you mean 'boost_ogm'"),
        ({"group": "multi"}, "is 'multi', but must be one of"),
        ({"runs": ["baseline"], "sedes": "0-4"}, "field is 'sedes'.*Did you mean 'seeds'"),
        ({"runs": ["baseline"], "seeds": "a"}, "no list of numbers"),
        ({"runs": ["baseline"], "seeds": True}, "seeds is True"),
        ({"runs": ["baseline"], "seeds": [0.5]}, r"seeds is \[0.5\]"),
        ({"runs": ["baseline"], "grid": [1]}, "grid is"),
        ({"runs": ["baseline"], "grid": {"train.epochs": 3}}, "must be a list of values"),
        ({"runs": ["baseline"], "grid": {"train.epochs": []}}, "must be a list of values"),
        ({"runs": ["baseline"], "grid": {"train.epoch": [3]}}, "no field 'train.epoch'"),
        ({"runs": ["baseline"], "grid": {"epochs": [3]}}, "no field 'epochs'"),
        ({"runs": ["baseline"], "grid": {"train": [3]}}, "no field 'train'"),
        ({"runs": ["baseline"], "grid": {"train.epochs": [0]}}, "train.epochs is 0"),
        ({"runs": ["baseline"], "grid": {"methods.boost.alpha": [1]}}, "none of the runs has"),
        ({"runs": ["boost_ogm"], "grid": {"methods.boost.alfa": [1]}}, "option is 'alfa'"),
        ({"runs": ["baseline"], "grid": {"data.size": [1]}}, "option is 'size'"),
        ({"runs": ["baseline"], "name": "../x"}, "it names files"),
        ({"runs": ["baseline"], "name": 3}, "it names files"),
    ],
)
def test_a_wrong_grid_is_refused_by_field(said: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid_of(said, "file").configs(base)


def test_a_file_is_named_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("runs: [baseline]\nsedes: 1\n")
    with pytest.raises(GridError, match=r"mine.yaml: field is 'sedes'"):
        read_grid(path)
    path.write_text("- a\n")
    with pytest.raises(GridError, match=r"mine.yaml: it holds \['a'\]"):
        read_grid(path)
    with pytest.raises(GridError, match=r"gone.yaml"):
        read_grid(tmp_path / "gone.yaml")


def test_too_many_runs_are_refused_before_memory_is() -> None:
    many = {"train.epochs": list(range(1, 400)), "train.batch_size": list(range(2, 400))}
    with pytest.raises(GridError, match="more than 100000 runs"):
        Grid(name="x", runs=("baseline",), seeds=(0,), grid=many).configs(base)
