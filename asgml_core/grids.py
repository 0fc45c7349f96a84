"""Which runs a sweep has: the study's groups, some of its runs and arms, or a grid of one's own.

A grid is a YAML file::

    name: rates                  # of the sweep
    dataset: grid                # optional: synth
    profile: grid                # optional: the dataset's first
    runs: [baseline, boost_ogm]  # of the study, or its arms; or group: v2_boost
    seeds: 0-4                   # or [0, 1, 2]; optional: the study's
    change:                      # optional: fields that all runs have otherwise than the profile
      train.epochs: 10
    grid:                        # optional: every combination is a run
      train.learning_rate: [0.01, 0.003]
      methods.boost.alpha: [0.5, 0.75]

A field of a method is for the runs that have this method; the others are there once.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asgml_core import study
from asgml_core.checks import AsgmlError, check_one_of
from asgml_core.config import RunConfig

#: The most runs of one plan.
MOST = 100_000
#: Characters of a run's name; the config allows as many.
LONGEST = 100
FIELDS = ("name", "dataset", "profile", "runs", "group", "seeds", "change", "grid")


class GridError(AsgmlError, ValueError):
    """A grid that cannot be used; the message names the field and what was expected."""


def parse_numbers(text: str) -> tuple[int, ...]:
    """Return the whole numbers that a text such as ``"0-4,7"`` stands for, in its order.

    Raises:
        ValueError: when it is no such text, names a number twice, or more than 100 000.
    """
    numbers: list[int] = []
    for piece in str(text).split(","):
        first, dash, last = piece.strip().partition("-")
        if not _is_number(first) or (dash and not _is_number(last)):
            raise ValueError(f"{text!r} is no list of numbers; such as 3, 0-19 or 0-4,42.")
        low, high = int(first), int(last if dash else first)
        if high < low or high - low >= MOST or len(numbers) > MOST:
            raise ValueError(
                f"{piece.strip()!r} in {text!r} must go upwards, over {MOST} numbers at most."
            )
        numbers += range(low, high + 1)
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"{text!r} names a number twice.")
    return tuple(numbers)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Runs to be planned.

    Args:
        name: of the sweep.
        runs: names of the study's runs and arms.
        seeds: of every run; ``None`` is the study's of the group, else 42.
        group: the study's sweep that the runs are of.
        dataset: as in :func:`asgml_core.profiles.profile`.
        profile: of the dataset; ``None`` is its first.
        change: by field, such as ``train.epochs``: what all runs have otherwise.
        grid: by field: the values of which every combination is a run.

    Raises:
        GridError: for an impossible name, no run, or a field without values.
    """

    name: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...] | None = None
    group: str | None = None
    dataset: str = "synth"
    profile: str | None = None
    change: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.runs:
            raise GridError("a sweep needs runs: a group of the study, or names of runs.")
        if not _is_good_name(self.name):
            raise GridError(
                f"name is {self.name!r:.80}, but it names files: up to 60 letters, digits, '_' and "
                "'-'."
            )
        for name, values in self.grid.items():
            if not isinstance(values, (list, tuple)) or not values:
                raise GridError(f"grid: {name} is {values!r:.80}, but must be a list of values.")

    def configs(self, base: Callable[[int], RunConfig]) -> list[RunConfig]:
        """Return the config of every run.

        Args:
            base: gives the baseline of a seed, such as a profile.

        Raises:
            GridError: for a field that there is not, or more than 100 000 runs.
            ValueError: for an unknown run, or a value out of range.
        """
        found: dict[str, RunConfig] = {}
        based = functools.cache(base)
        for seed, run_id in self._named():
            config = study.config(run_id, based(seed))
            axes = self._axes(config)
            if len(found) + math.prod(map(len, axes.values())) > MOST:
                raise GridError(f"{self.name} has more than {MOST} runs; make it smaller.")
            for one in self._combinations(config, axes):
                found.setdefault(one.folder, one)
        self._check_used(found)
        return list(found.values())

    def _named(self) -> list[tuple[int, str]]:
        """Return seeds and names, all runs of a seed side by side: they share their data."""
        if self.seeds is not None:
            return [(seed, run_id) for seed in self.seeds for run_id in self.runs]
        known = {(run.run_id, run.seed) for run in study.runs() if run.group == self.group}
        known = known or {(run_id, study.SEEDS[0]) for run_id in self.runs}
        return [(s, run_id) for s in study.SEEDS for run_id in self.runs if (run_id, s) in known]

    def _axes(self, config: RunConfig) -> dict[str, Sequence[Any]]:
        methods = {method.name for method in config.methods}
        return {name: each for name, each in self.grid.items() if _is_for(name, methods)}

    def _combinations(
        self, config: RunConfig, axes: Mapping[str, Sequence[Any]]
    ) -> list[RunConfig]:
        if not (axes or self.change):
            return [config]
        values = config.to_dict()
        methods = {method.name for method in config.methods}
        for name, value in self.change.items():
            if _is_for(name, methods):
                _put(values, name, value)
        if not axes:
            return [RunConfig.from_dict(values)]
        made = []
        for chosen in itertools.product(*axes.values()):
            one = copy.deepcopy(values)
            settings = dict(zip(axes, chosen, strict=True))
            for name, value in settings.items():
                _put(one, name, value)
            one["run_id"] = _run_id(config.run_id, settings)
            made.append(RunConfig.from_dict(one))
        return made

    def _check_used(self, configs: Mapping[str, RunConfig]) -> None:
        methods = {method.name for config in configs.values() for method in config.methods}
        for name in (*self.change, *self.grid):
            if not _is_for(name, methods):
                raise GridError(
                    f"{name}: none of the runs has the method {name.split('.')[1]!r}; they have "
                    f"{', '.join(sorted(methods)) or 'none'}."
                )


def of_group(name: str, **others: Any) -> Grid:
    """Return the grid of one sweep of the study, such as ``"multi_seed"``.

    Raises:
        ValueError: when the study has no such group, naming those it has.
    """
    return Grid(name=name, runs=study.group(name), group=name, **others)


def read_grid(path: Path) -> Grid:
    """Read a grid from a YAML file; see the module's text.

    Raises:
        GridError: naming the file, the field and what was expected.
    """
    from asgml_core.reading import ReadError, read_yaml

    try:
        said = read_yaml(path)
        if not isinstance(said, dict):
            raise GridError(f"it holds {said!r:.80}, but must be a mapping with the field runs.")
        return grid_of(said, path.stem)
    except ReadError as error:
        raise GridError(str(error)) from error
    except ValueError as error:
        raise GridError(f"{path}: {error}") from error


def grid_of(said: Mapping[str, Any], name: str) -> Grid:
    """Return the grid that a mapping describes.

    Args:
        said: as in the module's text.
        name: where it names none.

    Raises:
        ValueError: naming the field and what was expected.
    """
    for key in said:
        check_one_of("field", key, FIELDS)
    if ("runs" in said) == ("group" in said):
        raise GridError("it needs either runs, a list of names, or group.")
    runs = study.group(said["group"]) if "group" in said else _texts("runs", said["runs"])
    for section in ("change", "grid"):
        if not isinstance(said.get(section, {}), dict):
            raise GridError(f"{section} is {said[section]!r:.80}, but must be a mapping of fields.")
    return Grid(
        name=said.get("name", said.get("group", name)),
        runs=runs,
        seeds=_seeds(said["seeds"]) if "seeds" in said else None,
        group=said.get("group"),
        dataset=said.get("dataset", "synth"),
        profile=said.get("profile"),
        change=said.get("change", {}),
        grid=said.get("grid", {}),
    )


def _texts(name: str, found: Any) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise GridError(f"{name} is {found!r:.80}, but must be a list of names.")
    return tuple(dict.fromkeys(found))


def _seeds(found: Any) -> tuple[int, ...]:
    if isinstance(found, list) and found and all(type(seed) is int for seed in found):
        found = ",".join(map(str, found))
    if isinstance(found, bool) or not isinstance(found, (int, str)):
        raise GridError(f"seeds is {found!r:.80}, but must be such as 0-19 or [0, 1, 2].")
    return parse_numbers(str(found))


def _is_for(name: str, methods: set[str]) -> bool:
    """Return whether a field is one of runs with these methods."""
    section, _, rest = str(name).partition(".")
    return section != "methods" or rest.partition(".")[0] in methods


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    """Change one field of a config, given as its path."""
    section, *rest = str(name).split(".")
    if section == "methods" and len(rest) == 2:
        for method in values["methods"]:
            if method["name"] == rest[0]:
                at = method if rest[1] in ("start", "end") else method["options"]
                at[rest[1]] = value
        return
    if section in ("data", "model", "train") and len(rest) == 1:
        at = values[section] if rest[0] in values[section] else values[section].get("options")
        if at is not None:
            at[rest[0]] = value
            return
    if not rest and section in values and not isinstance(values[section], (dict, list)):
        values[section] = value
        return
    raise GridError(
        f"there is no field {name!r:.80}; fields are such as train.learning_rate, model.width, "
        "data.frames, methods.boost.alpha or protocol."
    )


def _run_id(run_id: str, settings: Mapping[str, Any]) -> str:
    parts = [f"{name.rpartition('.')[2]}_{value}" for name, value in settings.items()]
    text = "-".join([run_id, *parts])
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "_" for c in text)
    if name == text and len(name) <= LONGEST:
        return name
    # Shortened, or with characters replaced: two could have become one.
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}-{digest}"


def _is_good_name(text: Any) -> bool:
    return (
        isinstance(text, str)
        and 0 < len(text) <= 60
        and all(c.isascii() and (c.isalnum() or c in "_-") for c in text)
    )
