"""What runs over many seeds say beside each other, beside other data, and beside the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from asgml_core import labels, published, statistics, study

Pairs = Sequence[tuple[str, str]]


def beside_published(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Return measured beside published: mean and sample deviation, and what is above the baseline.

    Args:
        accuracies: in per cent, a row a seed, a column a run.

    Returns:
        By run of the study's table, in its order, ``mean``, ``std``, ``gain`` with ``low`` and
        ``high`` of its 95 % t interval over seeds, and ``published`` of each.
    """
    table = published.nine()
    rows = {}
    for run in (run for run in study.group("multi_seed") if run in accuracies):
        gains = accuracies[run] - accuracies["baseline"]
        gain = statistics.mean_interval(gains.to_numpy())
        theirs = table[run]
        rows[run] = {
            "mean": accuracies[run].mean(),
            "std": accuracies[run].std(),
            "gain": gain.estimate,
            "low": gain.low,
            "high": gain.high,
            "published mean": theirs.mean(),
            "published std": theirs.std(),
            "published gain": (theirs - table["baseline"]).mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def over_items(items: Mapping[str, np.ndarray], pairs: Pairs, seed: int = 0) -> pd.DataFrame:
    """Return differences in points with two intervals: over seeds, and over seeds and items.

    Args:
        items: what each run got right, ``(seeds, items)``, as
            :attr:`asgml_core.measured.Measured.items`.
        pairs: of a run and what it is compared with.
        seed: of the resampling.
    """
    rows = []
    for run, reference in pairs:
        by_seed = 100 * np.nanmean(items[run] - items[reference], axis=1)
        seeds = statistics.mean_interval(by_seed)
        both = statistics.crossed_bootstrap(items[run], items[reference], seed=seed)
        rows.append(
            {
                "run": run,
                "reference": reference,
                "difference": seeds.estimate,
                "low, seeds": seeds.low,
                "high, seeds": seeds.high,
                "low, seeds and items": 100 * both.low,
                "high, seeds and items": 100 * both.high,
            }
        )
    return pd.DataFrame(rows)


def one_seed(items: Mapping[str, np.ndarray], pairs: Pairs, row: int = 0) -> pd.DataFrame:
    """Return what a single seed says: difference in points, its error over items, McNemar's p.

    Args:
        items: as of :func:`over_items`.
        pairs: of a run and what it is compared with.
        row: of the seed.
    """
    rows = []
    for run, reference in pairs:
        mask = ~np.isnan(items[run][row])
        ours, theirs = items[run][row, mask].astype(bool), items[reference][row, mask].astype(bool)
        difference, error = statistics.paired_difference(ours, theirs)
        found = statistics.mcnemar(ours, theirs)
        rows.append(
            {
                "run": run,
                "reference": reference,
                "difference": 100 * difference,
                "error": 100 * error,
                "only run": found.only,
                "only reference": found.only_reference,
                "p": found.p,
            }
        )
    return pd.DataFrame(rows)


def selection_gain(measured: pd.DataFrame) -> pd.DataFrame:
    """Return what choosing the epoch on the test part adds, in points: mean and 95 % t interval.

    Args:
        measured: of :func:`asgml_core.tables.many_seeds`.

    Returns:
        By run, and over all runs, best on test less validation, and less last.
    """
    rows = {}
    groups = [*measured.groupby("run", sort=False), ("all runs", measured)]
    for run, of_run in groups:
        row = {}
        for selection in (s for s in ("validation", "last") if s in measured):
            gain = 100 * (of_run["best_on_test"] - of_run[selection])
            by_seed = gain.groupby(of_run["seed"]).mean()  # runs of a seed share their items
            found = statistics.mean_interval(by_seed.to_numpy())
            row[f"above {selection}"] = found.estimate
            row |= {f"low, {selection}": found.low, f"high, {selection}": found.high}
        rows[str(run)] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def cost(costs: pd.DataFrame, accuracies: pd.DataFrame) -> pd.DataFrame:
    """Return what each run costs, as a multiple of the baseline, beside its accuracy.

    Args:
        costs: ``run`` and ``cost``, as ``benchmarks/arm_costs.py`` writes them.
        accuracies: in per cent, a row a seed, a column a run.

    Returns:
        ``run``, ``cost``, ``accuracy`` with ``low`` and ``high`` of its 95 % t interval.
    """
    relative = costs.set_index("run")["cost"]
    rows = []
    for run in accuracies:
        found = statistics.mean_interval(accuracies[run].to_numpy())
        rows.append((run, relative[run], found.estimate, found.low, found.high))
    return pd.DataFrame(rows, columns=["run", "cost", "accuracy", "low", "high"])


def interaction(more: pd.DataFrame, less: pd.DataFrame, pairs: Pairs) -> pd.DataFrame:
    """Return how much larger a difference is on some data than on others, in points.

    Args:
        more: accuracies in per cent on the first data, a row a seed, a column a run.
        less: those on the second; rows of the same seed are taken as pairs.
        pairs: of a run and what it is compared with.

    Returns:
        By pair the difference on both data, and ``larger by`` with its 95 % t interval over seeds
        and its exact sign-flip p, adjusted by Holm over the pairs.

    Raises:
        ValueError: when the two have other seeds.
    """
    if list(more.index) != list(less.index):
        raise ValueError("the two tables have other seeds, but pairs of the same are needed.")
    rows = {}
    for run, reference in pairs:
        ours, theirs = (table[run] - table[reference] for table in (more, less))
        apart = (ours - theirs).to_numpy()
        found = statistics.mean_interval(apart)
        rows[run, reference] = {
            "with more": ours.mean(),
            "with less": theirs.mean(),
            "larger by": found.estimate,
            "low": found.low,
            "high": found.high,
            "p": statistics.sign_flip(apart).p,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["run", "reference"])
    return table.assign(p_holm=statistics.holm(table["p"]))


def spreads(accuracies: pd.DataFrame, pairs: Pairs, seed: int = 0) -> pd.DataFrame:
    """Return how much runs vary over seeds: sample deviations, their ratio, and Brown-Forsythe's p.

    Args:
        accuracies: in per cent, a row a seed, a column a run.
        pairs: of a run and what it is compared with.
        seed: of the resampling.

    Returns:
        By pair ``std`` of both, ``ratio`` of the reference's to the run's (above 1 where the run
        is steadier) with its bootstrap interval, and ``p``; the deviations alone where all seeds
        of a run are equal, as they can be in a trial.
    """
    rows = {}
    for run, reference in pairs:
        ours, theirs = accuracies[run].to_numpy(), accuracies[reference].to_numpy()
        row = {"std": ours.std(ddof=1), "std of reference": theirs.std(ddof=1)}
        if min(np.ptp(ours), np.ptp(theirs)) > 0:
            ratio = statistics.spread_ratio(theirs, ours, seed=seed)
            row |= {"ratio": ratio.estimate, "low": ratio.low, "high": ratio.high}
            row["p"] = statistics.brown_forsythe(ours, theirs).p
        rows[run, reference] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["run", "reference"])
    return table


def encoder_means(measured: pd.DataFrame) -> pd.DataFrame:
    """Return what a refitted probe reads from each encoder, in per cent: mean and 95 % t interval.

    Args:
        measured: of :func:`asgml_core.tables.many_seeds`.
    """
    rows: dict[str, dict[str, float]] = {}
    for run, of_run in measured.groupby("run", sort=False):
        row: dict[str, float] = {}
        for name in (name for name in measured if name.startswith("probe_")):
            values = 100 * of_run[name].dropna().to_numpy()
            if len(values):
                found, m = statistics.mean_interval(values), name.removeprefix("probe_")
                row |= {m: found.estimate, f"{m}, low": found.low, f"{m}, high": found.high}
        rows[str(run)] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def labelled(table: pd.DataFrame, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a table with the names that people have for its runs, and pairs as differences.

    Args:
        table: by ``run``, or by ``run`` and ``reference``, as an index or as columns.
        columns: those to be kept; ``None`` is all.
    """
    rows = table if "run" in table else table.reset_index()
    names = [labels.label(run) for run in rows["run"]]
    if "reference" in rows:
        others = [labels.label(run) for run in rows["reference"]]
        names = [f"{name} \u2212 {other}" for name, other in zip(names, others, strict=True)]
    rest = rows.drop(columns=["run", "reference"], errors="ignore").set_axis(names, axis=0)
    return rest if columns is None else rest[list(columns)]
