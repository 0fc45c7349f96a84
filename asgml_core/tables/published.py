"""The published tables read again: tables of accuracies in, tables out. In per cent and points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from asgml_core import labels, published, study
from asgml_core.checks import check_count, check_number
from asgml_core.statistics import (
    brown_forsythe,
    detectable_difference,
    f_interval,
    holm,
    mean_interval,
    paired_t,
    pitman_morgan,
    seeds_needed,
    sign_flip,
    spread_ratio,
)

#: What names the definition that a printed standard deviation follows.
SAMPLE, POPULATION, CUT, NEITHER = "sample", "population", "sample, cut off", "neither"


def deviations(wide: pd.DataFrame, printed: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Return means and both standard deviations beside those printed, and which definition fits.

    A printed deviation fits when it is the sample or the population one, rounded to two digits, or
    the sample one cut off after two.

    Args:
        wide: index the seeds, one column a run.
        printed: by run, the mean and the standard deviation as printed.
    """
    rows = {}
    for run, (mean, deviation) in printed.items():
        sample, population = (float(wide[run].std(ddof=d)) for d in (1, 0))
        rows[run] = {
            "mean": float(wide[run].mean()),
            "printed mean": mean,
            "sample std": sample,
            "population std": population,
            "printed std": deviation,
            "fits": _definition(deviation, sample, population),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def _definition(printed: float, sample: float, population: float) -> str:
    if abs(printed - round(sample, 2)) < 1e-9:
        return SAMPLE
    if abs(printed - round(population, 2)) < 1e-9:
        return POPULATION
    return CUT if abs(printed - int(100 * sample) / 100) < 1e-9 else NEITHER


def as_items(wide: pd.DataFrame, items: int) -> pd.DataFrame:
    """Return how many test items each accuracy stands for; blank where none gives its two digits.

    Args:
        wide: accuracies in per cent, printed with two digits.
        items: of the test part.

    Raises:
        ValueError: for a number of items below 1.
    """
    check_count("items", items)
    return wide.map(lambda accuracy: _count(accuracy, items)).astype("Int64")


def fitting_items(values: Sequence[float], most: int = 5000) -> list[int]:
    """Return every number of test items with which all accuracies are whole numbers of items.

    Args:
        values: in per cent, printed with two digits.
        most: items to try. Near 10000 everything fits.
    """
    return [n for n in range(1, most + 1) if all(_count(value, n) is not None for value in values)]


def _count(accuracy: float, items: int) -> int | None:
    count = round(accuracy * items / 100)
    return count if abs(100 * count / items - accuracy) < 0.005 + 1e-9 else None


def item_range(first: float, second: float, items: int) -> pd.DataFrame:
    """Return what the test items allow for a difference whose predictions were not kept.

    Two networks with known accuracies disagree on at least as many items as their accuracies differ
    by, and at most on all that one of them gets wrong and the other right. Both ends get a standard
    error of the difference and McNemar's exact p.

    Args:
        first: accuracy in per cent.
        second: accuracy in per cent.
        items: of the common test part.

    Raises:
        ValueError: when an accuracy is no whole number of items.
    """
    right, other = (_whole(accuracy, items) for accuracy in (first, second))
    least, most = abs(right - other), min(right + other, 2 * items - right - other)
    rows = {}
    for name, differing in (("fewest", least), ("most", most)):
        ahead = (differing + abs(right - other)) // 2
        error = np.sqrt(differing - (right - other) ** 2 / items) / items
        p = stats.binomtest(ahead, differing).pvalue if differing else 1.0
        rows[name] = {
            "items that differ": differing,
            "difference": 100 * (right - other) / items,
            "error": 100 * float(error),
            "p": float(p),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("items that differ are")


def _whole(accuracy: float, items: int) -> int:
    count = _count(check_number("accuracy", accuracy, low=0, high=100), items)
    if count is None:
        raise ValueError(f"accuracy is {accuracy!r}, which no whole number of {items} items gives.")
    return count


def spread_ratios(
    wide: pd.DataFrame, reference: str, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Return how many times as far the reference spreads over seeds as each other run.

    ``F low`` and ``F high`` hold if accuracies are normally distributed, ``low`` and ``high`` are
    of the bootstrap. The three ``p`` ask whether the spreads are equal; only Pitman and Morgan's
    allows for the common seeds.

    Args:
        wide: index the seeds, one column a run.
        reference: the run whose spread is the numerator.
        level: of the intervals.
        seed: of the bootstrap.
    """
    rows = {}
    for run in wide.columns.drop(reference):
        ours, theirs = wide[run].to_numpy(), wide[reference].to_numpy()
        normal = f_interval(theirs, ours, level)
        bootstrap = spread_ratio(theirs, ours, level=level, seed=seed)
        above = stats.f.sf(normal.estimate**2, len(theirs) - 1, len(ours) - 1)
        rows[run] = {
            "std": float(ours.std(ddof=1)),
            "ratio": normal.estimate,
            "F low": normal.low,
            "F high": normal.high,
            "low": bootstrap.low,
            "high": bootstrap.high,
            "p (F)": float(2 * min(above, 1 - above)),
            "p (Brown-Forsythe)": brown_forsythe(theirs, ours).p,
            "p (Pitman-Morgan)": pitman_morgan(theirs, ours).p,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def spread_chances(
    ratio: float, methods: int = 9, seeds: int = 5, draws: int = 100_000, seed: int = 0
) -> pd.Series:
    """Return how often chance alone makes one spread this many times another.

    All methods have the same true spread; accuracies are normal and independent.

    Args:
        ratio: of two sample standard deviations, above 1.
        methods: how many there are to choose from, 2 or more.
        seeds: of each method, 2 or more.
        draws: of the whole table.
        seed: of the draws.

    Returns:
        The share of tables in which the ratio is reached by a pair named in advance, the larger
        one named, too; by such a pair either way; by one method named in advance over the
        steadiest of the others; by the least over the most steady of all.
    """
    check_number("ratio", ratio, above=1)
    for name, value in (("methods", methods), ("seeds", seeds)):
        check_count(name, value, low=2)
    generator = np.random.default_rng(seed)
    drawn = generator.standard_normal((draws, methods, seeds)).std(axis=2, ddof=1)
    named, other = drawn[:, 0], drawn[:, 1]
    reached = {
        "a pair named in advance, and which is steadier": named >= ratio * other,
        "a pair named in advance": np.maximum(named, other) >= ratio * np.minimum(named, other),
        "one named, over the steadiest of the others": named >= ratio * drawn[:, 1:].min(axis=1),
        "any pair, chosen after looking": drawn.max(axis=1) >= ratio * drawn.min(axis=1),
    }
    return pd.Series({name: float(share.mean()) for name, share in reached.items()})


def needed(contrasts: pd.DataFrame, wished: float, level: float = 0.95) -> pd.DataFrame:
    """Return how many seeds the contrasts would need, and what theirs can detect; power is .8.

    The true spread of the differences is taken to be the observed one, which few seeds know badly.
    How many seeds its own difference would need is blank where its interval holds 0: such a number
    would be made of noise.

    Args:
        contrasts: with columns ``n``, ``difference``, ``std``, ``low`` and ``high``, in points.
        wished: a difference that one may want to see, in points.
        level: 1 less the level of the test.
    """
    alpha = 1 - level
    table = contrasts[["difference", "std"]].copy()
    pairs = zip(contrasts["std"], contrasts["n"], strict=True)
    table["detectable"] = [detectable_difference(std, int(n), level=alpha) for std, n in pairs]
    for name, sought in (
        ("seeds for its difference", contrasts["difference"].abs()),
        (f"seeds for {wished:g}", [wished] * len(contrasts)),
    ):
        both = zip(sought, contrasts["std"], strict=True)
        table[name] = [seeds_needed(float(d), std, level=alpha) for d, std in both]
    noise = (contrasts["low"] <= 0) & (contrasts["high"] >= 0)
    own = table["seeds for its difference"].astype("Int64")
    return table.assign(**{own.name: own.mask(noise)})


def pairing(
    wide: pd.DataFrame, family: Sequence[tuple[str, str]], level: float = 0.95
) -> pd.DataFrame:
    """Return what it changes to compare by seed: paired and unpaired intervals, side by side.

    Pairing narrows an interval where good and bad seeds are common to both runs, so where their
    correlation is above 0, and widens it where it is below.

    Args:
        wide: index the seeds, one column a run.
        family: of pairs of a run and what it is compared with.
        level: of the intervals.

    Returns:
        A row a pair with the correlation over seeds, Student's paired interval and p, and those of
        Welch (1947), who takes the runs for independent.
    """
    rows = []
    for run, reference in family:
        ours, theirs = wide[run].to_numpy(), wide[reference].to_numpy()
        found = mean_interval(ours - theirs, level)
        welch = stats.ttest_ind(ours, theirs, equal_var=False)
        ends = welch.confidence_interval(level)
        row = {"run": run, "reference": reference}
        row |= {"correlation": float(np.corrcoef(ours, theirs)[0, 1])}
        row |= {"low": found.low, "high": found.high, "p": paired_t(ours - theirs)}
        row |= {"low, unpaired": float(ends.low), "high, unpaired": float(ends.high)}
        rows.append(row | {"p, unpaired": float(welch.pvalue)})
    return pd.DataFrame(rows)


def same_seed() -> pd.DataFrame:
    """Return the 18 single runs of v1 and v2, printed against 60.30 and against their own seed.

    ``items`` is the distance from the baseline of seed 42 in test items.
    """
    baseline = study.published("baseline")
    rows = []
    for run, printed in published.PRINTED_DISTANCES.items():
        accuracy = study.published(run)
        row = {"run": run, "accuracy": accuracy, "printed": printed}
        row["recomputed"] = accuracy - published.PRINTED["baseline"][0]
        row["same seed"] = accuracy - baseline
        row["items"] = round(row["same seed"] * published.ITEMS / 100)
        rows.append(row)
    return pd.DataFrame(rows).set_index("run")


def two_ogm_ge() -> pd.DataFrame:
    """Return the study's accuracies of OGM-GE at alpha .8: the early runs and the later ones."""
    rows = {}
    for seed in (42, 0):
        early, late = study.published("early_ogmge_a080", seed), study.published("ogmge", seed)
        rows[seed] = {"early": early, "five-seed table": late, "change": late - early}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("seed")


def expected_gain(
    shares: Sequence[float], epochs: Sequence[int], items: int, together: float = 0.0
) -> pd.DataFrame:
    """Return by how much the best of some epochs exceeds their mean by chance alone, in points.

    A share of the test items is undecided: the network gets each right in half of the epochs, by
    chance, and one epoch tells nothing of the next. It is always right, or always wrong, on the
    others.

    Args:
        shares: of undecided items, from 0 to 1; the rows.
        epochs: from which the best is taken; the columns.
        items: of the test part.
        together: the correlation of two undecided items within an epoch, from 0 to below 1. Above
            0 an epoch has a share right of its own, drawn from a symmetric beta distribution.
    """
    check_number("together", together, low=0, high=1 - 1e-9)
    rows = {}
    for share in shares:
        undecided = round(items * check_number("share", share, low=0, high=1))
        shape = (1 / together - 1) / 2 if together else 0.0
        law = stats.betabinom(undecided, shape, shape) if shape else stats.binom(undecided, 0.5)
        below = law.cdf(np.arange(undecided))  # P(right <= k), k < all
        gains = {n: (1 - below**n).sum() - undecided / 2 for n in epochs}
        rows[f"{100 * share:g} %"] = {n: 100 * float(gain) / items for n, gain in gains.items()}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("undecided items")
    return table.rename_axis("best of ... epochs", axis="columns")


def later_summary() -> pd.DataFrame:
    """Return mean, sample deviation and range of every method of the later results."""
    rows = []
    for setting, name in published.SETTINGS.items():
        wide = published.later(setting)
        for method in wide:
            values = wide[method]
            row = {
                "setting": name,
                "method": labels.method_label(method),
                "mean": values.mean(),
                "std": values.std(),
            }
            rows.append(row | {"min": values.min(), "max": values.max()})
    return pd.DataFrame(rows).set_index(["setting", "method"])


def later_pairs(run: str, reference: str) -> pd.DataFrame:
    """Return the paired differences of two methods in every setting that has both, by seed.

    Args:
        run: such as ``asgml_core.published.COMBINATION``.
        reference: what it is compared with.

    Returns:
        Index the seeds, one column a setting, in points.
    """
    found = {}
    for setting, name in published.SETTINGS.items():
        wide = published.later(setting)
        if run in wide and reference in wide:
            found[name] = wide[run] - wide[reference]
    return pd.DataFrame(found)


def later_tests(pairs: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Return what the paired differences of each setting say; Holm's family is all of them.

    Args:
        pairs: of :func:`later_pairs`.
        level: of Student's interval.

    Returns:
        By setting, in how many seeds the difference is above 0, its mean, sample deviation and
        interval, the exact sign-flip p, that of the paired t test, and each adjusted by Holm.
    """
    rows = {}
    for setting in pairs:
        values = pairs[setting].to_numpy()
        found = mean_interval(values, level=level)
        rows[setting] = {
            "above": int((values > 0).sum()),
            "difference": found.estimate,
            "std": float(values.std(ddof=1)),
            "low": found.low,
            "high": found.high,
            "p": sign_flip(values).p,
            "t_p": paired_t(values),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("setting")
    adjusted = {f"{p}_holm": holm(table[p]) for p in ("p", "t_p")}
    return table.astype({"above": int}).assign(**adjusted)


def later_spreads(level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Return, by setting, how many times as far OGM-GE spreads over seeds as the combination.

    Args:
        level: of the intervals.
        seed: of the bootstrap.
    """
    pair = [published.COMBINATION, published.OGM_GE]
    found = {}
    for setting, name in published.SETTINGS.items():
        wide = published.later(setting)
        if set(pair) <= set(wide):
            row = spread_ratios(wide[pair], published.OGM_GE, level, seed).iloc[0]
            stds = wide[pair].std().rename(labels.method_label).add_prefix("std, ")
            found[name] = pd.concat([stds, row.drop("std")])
    return pd.DataFrame(found).T.rename_axis("setting")
