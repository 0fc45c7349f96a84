"""What the book runs over many seeds, and what it compares: fixed before the runs were looked at.

A plan's name is the name of its table in ``book/results``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from asgml_core import study
from asgml_core.checks import check_one_of
from asgml_core.config import RunConfig
from asgml_core.grids import Grid
from asgml_core.profiles import profile

SEEDS = tuple(range(20))
#: No run of the plans above has one of these.
TUNING_SEEDS = (100, 101, 102)
NINE = study.group("multi_seed")
FIVE = ("baseline", "ogmge", "p2_boost_default", "p2_boost_ogm", "p2_boost_ogm_a075")
COMBINATIONS = ("p2_boost_ogm_a075", "p2_boost_ogm")

#: The study's claims: its eight methods against its baseline, and the combinations against OGM-GE.
CLAIMS = (
    *((run, "baseline") for run in NINE if run != "baseline"),
    *((run, "ogmge") for run in COMBINATIONS),
)
#: What the study's table cannot tell: is boost more than a learning rate, is the noise needed, what
#: do the losses of the single modalities do alone?
CONTROLS = (
    ("p2_boost_default", "static_scale_audio"),
    ("p2_boost_default", "static_scale_visual"),
    ("p2_boost_default", "boost_wrong"),
    ("p2_boost_default", "boost_random"),
    ("ogmge", "ogm"),
    ("baseline", "joint_only"),
    ("baseline", "unimodal_losses_only"),
    ("p2_boost_ogm_a075", "unimodal_losses_only"),
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Settings of one method that are tried on validation: as many for every method.

    Args:
        run: of the study, or an arm; its own settings are among those tried.
        grid: the values, see :class:`asgml_core.grids.Grid`.
    """

    run: str
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)


_RATE = "train.learning_rate"
_RATES = (0.01, 0.02)


def _two_by_two(run: str, name: str, values: tuple[Any, Any]) -> Family:
    return Family(run=run, grid={name: values, _RATE: _RATES})


#: Four settings each: two learning rates and two strengths, or four rates where there is none.
FAMILIES = (
    Family(run="baseline", grid={_RATE: (0.01, 0.005, 0.02, 0.04)}),
    Family(run="unimodal_losses_only", grid={_RATE: (0.01, 0.005, 0.02, 0.04)}),
    _two_by_two("ogmge", "methods.ogm_ge.alpha", (0.8, 0.4)),
    _two_by_two("p2_boost_default", "methods.boost.alpha", (0.5, 1.0)),
    _two_by_two("p2_boost_ogm_a075", "methods.boost.alpha", (0.75, 0.5)),
    _two_by_two("p2_default", "methods.frequency.soft_mask_scale", (0.1, 0.0)),
    _two_by_two("p2_stale_lc020", "methods.staleness.lambda_comp", (0.2, 0.05)),
    _two_by_two("static_scale_visual", "methods.static_scale.scale", (1.5, 2.0)),
)

#: Every tuned method against the tuned baseline, and the combination against OGM-GE.
TUNED = (
    *((family.run, "baseline") for family in FAMILIES if family.run != "baseline"),
    ("p2_boost_ogm_a075", "ogmge"),
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Runs of one table.

    Args:
        name: of the table.
        dataset: as in :func:`asgml_core.profiles.profile`.
        profile: of the dataset.
        seeds: of every run.
        runs: of the study, or arms.
        families: whose settings are tried.
    """

    name: str
    dataset: str
    profile: str
    seeds: tuple[int, ...] = SEEDS
    runs: tuple[str, ...] = ()
    families: tuple[Family, ...] = ()

    def base(self, seed: int) -> RunConfig:
        """Return the baseline of a seed."""
        return profile(self.dataset, self.profile, seed=seed)

    def configs(self, base: Callable[[int], RunConfig] | None = None) -> list[RunConfig]:
        """Return the config of every run.

        Args:
            base: gives another baseline of a seed than the profile's.
        """
        base = self.base if base is None else base
        common = {"name": self.name, "seeds": self.seeds}
        grids = [Grid(runs=self.runs, **common)] if self.runs else []
        grids += [Grid(runs=(f.run,), grid=f.grid, **common) for f in self.families]
        return [config for grid in grids for config in grid.configs(base)]


PLANS = {
    plan.name: plan
    for plan in (
        Plan(name="many_seeds_grid", dataset="grid", profile="grid", runs=(*NINE, *study.ARMS)),
        Plan(name="many_seeds_grid_rich", dataset="grid", profile="grid_rich", runs=FIVE),
        Plan(name="many_seeds_synth", dataset="synth", profile="demo", runs=FIVE),
        Plan(name="tuning_grid", dataset="grid", profile="grid", seeds=TUNING_SEEDS,
             families=FAMILIES),
    )
}  # fmt: skip


def plan(name: str, tuning: pd.DataFrame | None = None) -> Plan:
    """Return a plan by name; ``"tuned_grid"`` has what was chosen by ``tuning``.

    Args:
        name: one of ``PLANS``, or ``"tuned_grid"``.
        tuning: the table ``tuning_grid``, see :func:`chosen`.

    Raises:
        ValueError: for an unknown name, or without the table.
    """
    if name != "tuned_grid":
        return PLANS[check_one_of("plan", name, [*PLANS, "tuned_grid"])]
    if tuning is None:
        raise ValueError("the plan 'tuned_grid' needs the table 'tuning_grid'.")
    wanted = [row for row in chosen(tuning).itertuples() if row.chosen != row.as_published]
    families = tuple(_only(str(row.Index), str(row.chosen)) for row in wanted)
    return Plan(name=name, dataset="grid", profile="grid", families=families)


def settings(family: Family) -> dict[str, dict[str, Any]]:
    """Return the settings of a family by the name of the run, the study's own first."""
    one = Plan(name="settings", dataset="grid", profile="grid", seeds=(0,), families=(family,))
    names = [config.run_id for config in one.configs()]
    values = pd.MultiIndex.from_product(family.grid.values(), names=list(family.grid))
    found = (dict(zip(family.grid, each, strict=True)) for each in values)
    return dict(zip(names, found, strict=True))


def chosen(tuning: pd.DataFrame) -> pd.DataFrame:
    """Return what each family's validation parts chose: the highest mean, the first of equals.

    Args:
        tuning: ``run``, ``seed`` and ``valid_accuracy`` of every setting.

    Returns:
        By the family's run ``chosen`` and ``as_published``, names of runs, the mean accuracy on
        validation of both, and their ``difference``.

    Raises:
        ValueError: when a setting is missing, or was not run with all seeds.
    """
    by_run = tuning.pivot(index="run", columns="seed", values="valid_accuracy")
    rows = {}
    for family in FAMILIES:
        names = list(settings(family))
        accuracies = by_run.reindex(index=names, columns=TUNING_SEEDS)
        for run in names:
            if accuracies.loc[run].isna().any():
                raise ValueError(f"the table lacks {run!r} for some of the seeds {TUNING_SEEDS}.")
        means = accuracies.mean(axis=1).round(5)  # the table's own digits must not break a tie
        best, usual = str(means.idxmax()), names[0]
        rows[family.run] = {
            "chosen": best,
            "as_published": usual,
            "setting": _in_words(settings(family)[best]),
            "valid_accuracy": means[best],
            "as_published_valid_accuracy": means[usual],
            "difference": means[best] - means[usual],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("family")


def _in_words(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in setting.items())


def tuned(runs: pd.DataFrame, again: pd.DataFrame, tuning: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of every family with the setting that validation chose.

    Args:
        runs: with the published settings, of :func:`asgml_core.tables.many_seeds`.
        again: those with other settings, of the plan ``"tuned_grid"``.
        tuning: the table that :func:`chosen` chooses by.

    Returns:
        The rows of the chosen settings, each under the name of its family's run.

    Raises:
        ValueError: when a chosen setting was not run.
    """
    parts = []
    for row in chosen(tuning).itertuples():
        usual = row.chosen == row.as_published
        table, name = (runs, row.Index) if usual else (again, row.chosen)
        part = table[table["run"] == name]
        if part.empty:
            raise ValueError(f"{name!r} was chosen, but the tables have no run of that name.")
        parts.append(part.assign(run=row.Index))
    return pd.concat(parts, ignore_index=True)


def _only(run: str, setting: str) -> Family:
    """Return the family of a run with one setting, under the name it had when it was tried."""
    family = next(family for family in FAMILIES if family.run == run)
    values = settings(family)[setting]
    return Family(run=run, grid={name: (value,) for name, value in values.items()})
