"""Run the book's plans again, all or a random share, and compare with the committed tables."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from asgml_core import many_seeds, results, tables
from asgml_core.checks import AsgmlError, check_number
from asgml_core.config import RunConfig
from asgml_core.measured import Measured
from asgml_core.records import RunRecord

TUNING = "tuning_grid"
#: Where the arithmetic is another, a run is as good as one of another seed. The mean of the
#: differences of ``n`` runs then lies within this many standard errors of 0; those of one name,
#: which are looked at one after the other, within somewhat more.
WITHIN, WITHIN_ONE = 3.0, 4.0


class ReproductionError(AsgmlError, RuntimeError):
    """Results that are not those of the committed table; the message says which and by how much."""


def plan_of(name: str) -> many_seeds.Plan:
    """Return the plan of a table; ``"tuned_grid"`` follows the committed table of the tuning.

    Raises:
        ValueError: when there is no such plan.
        FileNotFoundError: when the table of the tuning is needed and missing.
    """
    return many_seeds.plan(name, results.read(TUNING) if name == "tuned_grid" else None)


def share_of(configs: Sequence[RunConfig], share: float, seed: int) -> list[RunConfig]:
    """Return a random share of runs, in their order.

    Args:
        configs: all of them.
        share: above 0, to 1; at least one run is taken.
        seed: of the draw.

    Raises:
        ValueError: for another share, or where there is no run.
    """
    if not configs:
        raise ValueError("there is nothing to be run: validation chose the published settings.")
    check_number("share", share, above=0.0, high=1.0)
    count = max(1, math.ceil(share * len(configs)))
    chosen = sorted(random.Random(seed).sample(range(len(configs)), count))
    return [configs[i] for i in chosen]


def compare(records: Iterable[RunRecord], committed: pd.DataFrame) -> pd.DataFrame:
    """Return measured beside committed, a row a run: accuracies from 0 to 1, and ``same_bits``.

    Args:
        records: of runs that are in the table.
        committed: of :func:`asgml_core.tables.many_seeds`.

    Raises:
        ReproductionError: naming the first run that the table lacks.
    """
    column = _selection(committed)
    known = committed.set_index(["run", "seed"])
    rows = []
    for row in tables.many_seeds(records).to_dict("records"):
        key = row["run"], row["seed"]
        if key not in known.index:
            raise ReproductionError(f"the committed table has no run {key[0]!r} of seed {key[1]}.")
        there = known.loc[key]
        rows.append(
            {
                "run": row["run"],
                "seed": row["seed"],
                "measured": row[column],
                "committed": there[column],
                "difference": row[column] - there[column],
                "same_bits": row["digest"] == there["digest"],
            }
        )
    return pd.DataFrame(rows)


def tolerance(count: int, committed: pd.DataFrame, within: float = WITHIN) -> float:
    r"""Return how far from 0 the mean difference of some runs may be, from 0 to 1.

    On another kind of machine the arithmetic rounds otherwise, and a run ends like one of another
    seed. Two such runs differ by :math:`\sqrt 2` of the spread over seeds.

    Args:
        count: of the runs.
        committed: the table.
        within: standard errors.

    Raises:
        ReproductionError: when the table has one seed, and so no spread.
    """
    spread = committed.groupby("run")[_selection(committed)].var().mean() ** 0.5
    if not math.isfinite(spread):
        raise ReproductionError("the committed table has one seed a run, so it shows no spread.")
    return within * math.sqrt(2 / count) * float(spread)


def check(compared: pd.DataFrame, committed: pd.DataFrame) -> str:
    """Return in one sentence how a reproduction went.

    Args:
        compared: of :func:`compare`.
        committed: the table.

    Raises:
        ReproductionError: when some runs have the committed bits and others not, for then it is not
            the machine; when the mean difference of all runs, or of those of one name, is outside
            the tolerance.
    """
    count, same = len(compared), int(compared["same_bits"].sum())
    if same == count:
        return f"all {count} runs have the committed results, to the last bit"
    if same:
        other = compared[~compared["same_bits"]].iloc[0]
        raise ReproductionError(
            f"{same} of {count} runs have the committed bits, so this machine computes as the "
            f"table's did; but {count - same} have not, {other['run']} of seed {other['seed']} "
            f"first ({100 * other['difference']:+.2f} points): these are other results."
        )
    _check_mean("all runs", compared, committed, WITHIN)
    for run, of_run in compared.groupby("run", sort=False):
        _check_mean(f"runs {run!r}", of_run, committed, WITHIN_ONE)
    mean, most = compared["difference"].mean(), compared["difference"].abs().max()
    return (
        f"no run has the committed bits, as on another kind of machine; {count} runs differ by "
        f"{100 * most:.2f} points at most and {100 * mean:+.2f} on average "
        f"({100 * tolerance(count, committed):.2f} would still be rounding)"
    )


def _check_mean(what: str, compared: pd.DataFrame, committed: pd.DataFrame, within: float) -> None:
    mean = float(compared["difference"].mean())
    allowed = tolerance(len(compared), committed, within)
    if abs(mean) > allowed:
        raise ReproductionError(
            f"{what}: {len(compared)} differ by {100 * mean:+.2f} points on average, and "
            f"{100 * allowed:.2f} would still be rounding: these are other results."
        )


def _selection(committed: pd.DataFrame) -> str:
    return "validation" if "validation" in committed else "last"


def write(name: str, records: Sequence[RunRecord]) -> list[Path]:
    """Write the tables of a plan into ``book/results``, and return their paths.

    Args:
        name: of the plan.
        records: of all its runs.
    """
    command = f"asgml reproduce {name} --write"
    if plan_of(name).runs:
        return Measured.of(records, command).write(name)
    return [results.write(name, tables.many_seeds(records), results.came_from(command, records))]
