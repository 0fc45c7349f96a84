"""Whole tables of seeds and runs: what each run is, and the contrasts declared in advance."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from asgml_core.statistics.intervals import bca_interval, mean_interval
from asgml_core.statistics.paired import holm, probability_of_improvement, sign_flip


def checked(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of seeds and runs.

    Raises:
        ValueError: for a value that is missing, naming run and seed; for fewer than two seeds.
    """
    for run in table:
        missing = table.index[table[run].isna()]
        if len(missing):
            raise ValueError(f"the table has no value of run {run!r} for seed {missing[0]}.")
    if len(table) < 2:
        raise ValueError(f"the table has {len(table)} seeds, but two or more are needed.")
    return table


def summarise(table: pd.DataFrame, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Return what each run is over its seeds; none is left out.

    Args:
        table: a row a seed, a column a run.
        level: of confidence, between 0 and 1.
        seed: of the resampling.

    Returns:
        By run: ``n``, ``mean``, ``std`` (of the sample), ``low`` and ``high`` (Student's t),
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

    Args:
        table: a row a seed, a column a run.
        family: of pairs of a run and what it is compared with; Holm's adjustment is over them all.
        level: of confidence, between 0 and 1.
        seed: of the resampling.

    Returns:
        A row a pair: ``run``, ``reference``, ``n``, ``difference``, ``std`` of the differences,
        ``low`` and ``high`` (Student's t), ``bca_low`` and ``bca_high``, ``p`` of
        :func:`sign_flip` with its ``floor``, ``p_holm``, and ``improvement`` with
        ``improvement_low`` and ``improvement_high``, of :func:`probability_of_improvement`.

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
                "improvement": chance.estimate,
                "improvement_low": chance.low,
                "improvement_high": chance.high,
            }
        )
    found = pd.DataFrame(rows)
    found.insert(found.columns.get_loc("floor") + 1, "p_holm", holm(found["p"]))
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
