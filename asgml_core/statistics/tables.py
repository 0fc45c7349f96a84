"""Whole tables of seeds and runs: what each run is, and the contrasts declared in advance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from asgml_core.statistics.intervals import bca_interval, mean_interval
from asgml_core.statistics.paired import (
    holm,
    paired_t,
    probability_of_improvement,
    sign_flip,
)


def checked(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of seeds and runs.

    Raises:
        ValueError: for a value that is missing or not finite, naming run and seed; for a run or a
            seed that is there twice; for no run, or fewer than two seeds.
    """
    for what, names in (("run", table.columns), ("seed", table.index)):
        if not names.is_unique:
            raise ValueError(
                f"the table has {what} {names[names.duplicated()].tolist()[0]!r} twice."
            )
    if not len(table.columns) or len(table) < 2:
        raise ValueError(
            f"the table has {len(table.columns)} runs and {len(table)} seeds, but a run and two "
            "seeds or more are needed."
        )
    for run in table:
        if not is_numeric_dtype(table[run]):
            raise ValueError(f"run {run!r} has values of type {table[run].dtype}, not numbers.")
        odd = table.index[~np.isfinite(table[run].to_numpy(dtype=float, na_value=np.nan))]
        if len(odd):
            found = table.loc[odd[0], run]
            raise ValueError(
                f"the table has no finite value of run {run!r} for seed {odd[0]}, but {found}."
            )
    return table


def summarise(table: pd.DataFrame, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Return what each run is over its seeds; none is left out.

    Args:
        table: a row a seed, a column a run.
        level: of confidence, between 0 and 1.
        seed: of the resampling.

    Returns:
        By run ``n``, ``mean``, ``std`` (of the sample), ``low`` and ``high`` (Student's t),
        ``bca_low`` and ``bca_high``, ``min`` and ``max``.

    Raises:
        ValueError: for a value that is missing, or fewer than two seeds.
    """
    rows = {}
    for run, values in checked(table).items():
        x = values.to_numpy(dtype=float)
        t, bca = mean_interval(x, level), bca_interval(x, level=level, seed=seed)
        rows[run] = {
            "n": len(x),
            "mean": t.estimate,
            "std": float(x.std(ddof=1)),
            "low": t.low,
            "high": t.high,
            "bca_low": bca.low,
            "bca_high": bca.high,
            "min": float(x.min()),
            "max": float(x.max()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def contrasts(
    table: pd.DataFrame,
    family: Sequence[tuple[str, str]],
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the paired differences of a family of contrasts that was declared in advance.

    To be used for the claims of a study, all at once: Holm's adjustment is over exactly the family.
    Neither p nor intervals say what other items would change, and the intervals are not adjusted.
    With five seeds no ``p`` is below .0625; ``t_p`` can be, as it assumes normal differences.

    Args:
        table: a row a seed, a column a run.
        family: of pairs of a run and what it is compared with; Holm's adjustment is over them all.
        level: of confidence, between 0 and 1.
        seed: of the resampling.

    Returns:
        A row a pair with ``run``, ``reference``, ``n``, ``difference``, ``std`` of the differences,
        ``low`` and ``high`` (Student's t), ``bca_low`` and ``bca_high``, ``p`` of
        :func:`sign_flip` with its ``floor``, ``p_holm``, ``t_p`` of :func:`paired_t`, ``t_p_holm``,
        and ``improvement`` with ``improvement_low`` and ``improvement_high``, of
        :func:`probability_of_improvement`.

    Raises:
        ValueError: for a pair that is named twice, a run that the table lacks, a value that is
            missing, or fewer than two seeds.
    """
    _check_family(checked(table), family)
    rows = []
    for run, reference in family:
        ours, theirs = table[run].to_numpy(dtype=float), table[reference].to_numpy(dtype=float)
        apart = ours - theirs
        t, bca = mean_interval(apart, level), bca_interval(apart, level=level, seed=seed)
        test = sign_flip(apart, seed=seed)
        chance = probability_of_improvement(ours, theirs, level, seed=seed)
        rows.append(
            {
                "run": run,
                "reference": reference,
                "n": len(apart),
                "difference": t.estimate,
                "std": float(apart.std(ddof=1)),
                "low": t.low,
                "high": t.high,
                "bca_low": bca.low,
                "bca_high": bca.high,
                "p": test.p,
                "floor": test.floor,
                "t_p": paired_t(apart),
                "improvement": chance.estimate,
                "improvement_low": chance.low,
                "improvement_high": chance.high,
            }
        )
    found = pd.DataFrame(rows)
    for p, before in (("p", "floor"), ("t_p", "t_p")):
        found.insert(found.columns.get_loc(before) + 1, f"{p}_holm", holm(found[p]))
    return found


def _check_family(table: pd.DataFrame, family: Sequence[tuple[str, str]]) -> None:
    if not family:
        raise ValueError("the family has no contrast.")
    seen = set()
    for pair in family:
        for run in pair:
            if run not in table:
                known = ", ".join(map(str, table.columns))
                raise ValueError(f"contrast {pair}: the table has no run {run!r}; it has {known}.")
        if frozenset(pair) in seen or pair[0] == pair[1]:
            raise ValueError(f"contrast {pair} is of one run, or named twice.")
        seen.add(frozenset(pair))
