"""Many runs at once, by their ranks within each seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from asgml_core.checks import check_between
from asgml_core.statistics.tables import checked


@dataclass(frozen=True)
class Friedman:
    """What :func:`friedman` found.

    Args:
        statistic: chi-square, corrected for ties.
        p: of it.
        f: of Iman and Davenport, from that chi-square; less conservative.
        f_p: of it.
        ranks: average rank of each run, 1 is best.
        critical_difference: of Nemenyi, between two average ranks.
        n: seeds.
        level: of the critical difference.
    """

    statistic: float
    p: float
    f: float
    f_p: float
    ranks: pd.Series
    critical_difference: float
    n: int
    level: float


def friedman(table: pd.DataFrame, level: float = 0.05) -> Friedman:
    """Return Friedman's test of whether runs differ at all, with the critical difference.

    To be used for a first look at many runs. Nemenyi's critical difference pays for every pair, and
    depends on which runs are in the table; contrasts declared in advance find more. It says nothing
    of how large a difference is. Demsar's blocks are datasets; here they are seeds of one dataset.
    Source: Demsar (2006), section 3.2.2, but corrected for ties; Iman and Davenport (1980).

    Args:
        table: a row a seed, a column a run, three or more; the highest value is the best.
        level: of the critical difference, an error between 0 and .5 (not a confidence).

    Raises:
        ValueError: for a value that is missing, fewer than three runs, or fewer than two seeds.
    """
    values = checked(table)
    check_between("level", level, 0.0, 0.5)
    n, k = values.shape
    if k < 3:
        raise ValueError(f"the table has {k} runs, but three or more are needed.")
    ranks = values.rank(axis=1, ascending=False)
    if (ranks == (k + 1) / 2).all(axis=None):
        chi = 0.0  # all runs tie in every seed, and scipy would divide 0 by 0
    else:
        chi = float(stats.friedmanchisquare(*(values[run] for run in values)).statistic)
    rest = n * (k - 1) - chi
    f = np.inf if rest <= 0 else (n - 1) * chi / rest
    return Friedman(
        statistic=chi,
        p=float(stats.chi2.sf(chi, k - 1)),
        f=float(f),
        f_p=float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))),
        ranks=ranks.mean().sort_values(kind="stable"),
        critical_difference=_nemenyi(k, level) * float(np.sqrt(k * (k + 1) / (6 * n))),
        n=n,
        level=level,
    )


@cache
def _nemenyi(k: int, level: float) -> float:
    return float(stats.studentized_range.ppf(1 - level, k, np.inf) / np.sqrt(2))


def cliques(friedman: Friedman) -> list[tuple[str, ...]]:
    """Return the largest groups of runs of which no two are apart by the critical difference.

    Args:
        friedman: of :func:`friedman`.

    Returns:
        Groups of two or more, the best first; in the diagram each is a bar.
    """
    ranks = friedman.ranks.sort_values(kind="stable")
    groups: list[tuple[str, ...]] = []
    for start, rank in enumerate(ranks):
        group = tuple(
            map(str, ranks.index[start:][ranks.iloc[start:] - rank < friedman.critical_difference])
        )
        if len(group) > 1 and not any(set(group) <= set(other) for other in groups):
            groups.append(group)
    return groups
