"""What runs over many seeds left: read from the committed tables, or made of records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asgml_core import many_seeds, results, tables
from asgml_core.checks import check_flag, check_one_of
from asgml_core.config import RunConfig
from asgml_core.grids import parse_numbers
from asgml_core.notebooks import Settings
from asgml_core.profiles import PROFILES, profile_name
from asgml_core.records import RunRecord

#: Seeds of a trial, which has no committed table.
FEW = (0, 1, 2)
#: With which parameters the committed tables were made; see :attr:`Chosen.table`.
_COMMITTED = {
    "seeds": None, "epochs": None, "data": None, "device": "cpu", "precision": "fp32",
    "execution": "eager", "protocol": "honest",
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """The tables of one plan.

    Args:
        runs: of :func:`asgml_core.tables.many_seeds`.
        tested: of :func:`asgml_core.tables.tested`.
        right: of :func:`asgml_core.tables.right`.
        curves: of :func:`asgml_core.tables.curves`, of the main runs.
        dynamics: of :func:`asgml_core.tables.dynamics`.
        provenance: where they come from.
    """

    runs: pd.DataFrame
    tested: pd.DataFrame
    right: pd.DataFrame
    curves: pd.DataFrame
    dynamics: pd.DataFrame
    provenance: Mapping[str, Any]

    @classmethod
    def of(cls, records: Sequence[RunRecord], command: str) -> Measured:
        """Return the tables of some records.

        Args:
            records: of the runs, every run with the same seeds.
            command: what makes the tables again.
        """
        main = [record for record in records if record.run_id in many_seeds.FIVE]
        return cls(
            runs=tables.many_seeds(records),
            tested=tables.tested(records),
            right=tables.right(records),
            curves=tables.curves(main or records),
            dynamics=tables.dynamics(records),
            provenance=results.came_from(command, records),
        )

    @classmethod
    def read(cls, name: str) -> Measured:
        """Return the committed tables of a plan, such as ``"many_seeds_grid"``.

        Raises:
            FileNotFoundError: when there are none.
        """
        rest = {table: results.read(f"{name}_{table}") for table in cls._parts()}
        return cls(runs=results.read(name), provenance=results.provenance(name), **rest)

    def write(self, name: str) -> list[Path]:
        """Write the tables into ``book/results``, and return their paths."""
        found = {name: self.runs}
        found |= {f"{name}_{table}": getattr(self, table) for table in self._parts()}
        return [
            results.write(each, table, dict(self.provenance), rows=False)
            for each, table in found.items()
        ]

    @classmethod
    def _parts(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.name not in ("runs", "provenance")]

    @property
    def selection(self) -> str:
        """Which epoch counts, ``"validation"``, or ``"last"`` without a validation part."""
        return "validation" if "validation" in self.runs else "last"

    @cached_property
    def accuracies(self) -> pd.DataFrame:
        """Test accuracy in per cent, a row a seed, a column a run."""
        return tables.wide(self.runs, self.selection)

    @cached_property
    def items(self) -> dict[str, np.ndarray]:
        """By run, what it got right, ``(seeds, items)``, NaN where the seed has other items."""
        return tables.by_item(self.tested, self.right)


@dataclass(frozen=True, kw_only=True)
class Chosen(Settings):
    """The parameters of the chapter on many seeds.

    Args:
        dataset: ``None`` is the one that has the profile.
        profile: such as ``"grid"``, ``"smoke"`` or ``"cremad"``.
        seed: of the resampling.
        seeds: of the runs, such as ``"0-19"``; ``None`` reads the committed table if there is one,
            and is three seeds else.
        measure: run everything, also where there is a committed table.
        protocol: ``"honest"`` or ``"paper"``; only what is run has another than ``"honest"``.
    """

    dataset: str | None = None
    profile: str | None = "grid"
    seeds: str | None = None
    measure: bool = False
    protocol: str = "honest"

    def __post_init__(self) -> None:
        if self.dataset is None:
            having = {name: set(each) for name, each in PROFILES.items()}
            known = sorted(set().union(*having.values()))
            check_one_of("profile", self.profile, known)
            first = next(name for name, each in having.items() if self.profile in each)
            object.__setattr__(self, "dataset", first)
        check_flag("measure", self.measure)
        if self.seeds is not None and len(parse_numbers(self.seeds)) < 2:
            raise ValueError(f"seeds is {self.seeds!r}, but two or more are needed.")
        super().__post_init__()
        self.base().replace(protocol=self.protocol)
        object.__setattr__(self, "profile", profile_name(str(self.dataset), self.profile))

    @property
    def table(self) -> str | None:
        """The name of the committed table that holds what is asked for; ``None`` without one."""
        asked = {name: getattr(self, name) for name in _COMMITTED}
        if self.measure or self.again or asked != _COMMITTED:
            return None
        wanted = self.dataset, self.profile
        plans = many_seeds.PLANS.values()
        named = [p.name for p in plans if p.runs and (p.dataset, p.profile) == wanted]
        return named[0] if named else None

    def base_of(self, seed: int) -> RunConfig:
        """Return the baseline of a seed."""
        return replace(self, seed=seed).base().replace(protocol=self.protocol)

    def measured(self) -> Measured:
        """Return the tables: the committed ones if they hold what is asked for, else of new runs.

        Runs that have finished in the folder are not run again.
        """
        from asgml_core import run_all

        if self.table is not None:
            return Measured.read(self.table)
        seeds = FEW if self.seeds is None else parse_numbers(self.seeds)
        plan = many_seeds.Plan(
            name="many_seeds",
            dataset=str(self.dataset),
            profile=str(self.profile),
            seeds=seeds,
            runs=many_seeds.PLANS["many_seeds_grid"].runs,
        )
        configs = plan.configs(self.base_of)
        records = run_all(configs, self.folder(), workers=self.workers, again=self.again)
        return Measured.of(records, f"asgml notebook 05_multi_seed -p profile {self.profile}")
