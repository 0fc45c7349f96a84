"""The published tables read again: the data are the log's, and every number follows from them."""

from __future__ import annotations

import csv
import itertools
import math
import random
import re
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from asgml_core import labels, notebooks, published, study
from asgml_core.published import LATER_SEEDS, PRINTED, Rereading
from asgml_core.statistics import contrasts
from asgml_core.tables import published as again

SHARED = Path(__file__).parents[1].parent / "shared" / "study"
needs_tables = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/study")
COMBINATION = [62.50, 63.04, 62.50, 62.63, 62.77]
OGM_GE = [63.98, 60.89, 61.02, 63.04, 63.44]
BASELINE = [59.81, 59.95, 61.56, 60.35, 59.81]


def rows(name: str) -> list[dict[str, str]]:
    with (SHARED / name).open() as file:
        return list(csv.DictReader(file))


@needs_tables
def test_printed_means_and_deviations_are_those_of_the_log() -> None:
    expected = {
        row["run_id"]: (float(row["published_mean"]), float(row["published_std"]))
        for row in rows("published_multi_seed.csv")
    }
    assert expected == PRINTED
    assert list(expected) == list(PRINTED)


@needs_tables
def test_later_results_are_those_of_the_table() -> None:
    expected = {
        (row["setting"], row["method"].removesuffix(" a=0.8"), int(row["seed"])): float(
            row["best_acc"]
        )
        for row in rows("later_results.csv")
    }
    ours = {
        (setting, str(method), seed): published.later(setting).loc[seed, method]
        for setting in published.SETTINGS
        for method in published.later(setting)
        for seed in LATER_SEEDS
    }
    assert ours == expected
    long = published.later_runs()
    names = {name: setting for setting, name in published.SETTINGS.items()}
    keys = zip(long["setting"].map(names), long["method"], long["seed"], strict=True)
    assert dict(zip(keys, long["best_acc"], strict=True)) == expected


@needs_tables
def test_printed_distances_and_quoted_numbers_stand_in_the_log() -> None:
    log = (SHARED / "experiment_log.md").read_text()
    for run, printed in published.PRINTED_DISTANCES.items():
        assert re.search(rf"\b{run}\b.*\| \**{re.escape(f'{printed:+.2f}')}\** \|", log), run
    for text in ("6.5x", "+0.22pp", "+2.39pp", "3.09pp", "across all 5 seeds", "ResNet10", "-15.6"):
        assert text in log


def test_the_nine_are_a_wide_table() -> None:
    wide = published.nine()
    assert wide.shape == (5, 9)
    assert wide["ogmge"].tolist() == OGM_GE
    assert wide.index.tolist() == [42, 0, 1, 2, 3]
    with pytest.raises(ValueError, match="Did you mean 'ave_pretrained'"):
        published.later("ave_pretraned")


def test_the_log_s_deviations_follow_no_definition() -> None:
    """Three are the sample one, cut off and not rounded; six lie between the two definitions."""
    table = again.deviations(published.nine(), PRINTED)
    for run, (mean, printed) in PRINTED.items():
        accuracies = [study.published(run, seed) for seed in study.SEEDS]
        assert table.loc[run, "mean"] == pytest.approx(statistics.mean(accuracies))
        assert round(statistics.mean(accuracies), 2) == mean
        assert table.loc[run, "sample std"] == pytest.approx(statistics.stdev(accuracies))
        assert table.loc[run, "population std"] == pytest.approx(statistics.pstdev(accuracies))
        cut = math.floor(100 * statistics.stdev(accuracies)) / 100 == printed
        assert table.loc[run, "fits"] == ("sample, cut off" if cut else "neither")
    assert table["fits"].value_counts().to_dict() == {"neither": 6, "sample, cut off": 3}


def test_definitions_that_fit_are_named() -> None:
    wide = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [1.0, 2.0, 4.0], "c": [1.0, 2.0, 4.0]})
    printed = {"a": (2.33, 1.53), "b": (2.33, 1.25), "c": (2.33, 1.52)}
    assert again.deviations(wide, printed)["fits"].tolist() == [
        "sample", "population", "sample, cut off",
    ]  # fmt: skip


def test_every_published_accuracy_is_a_whole_number_of_744_items() -> None:
    accuracies = [r.published_best_acc for r in study.runs() if r.published_best_acc is not None]
    for accuracy in accuracies:
        (k,) = [k for k in range(745) if f"{100 * k / 744:.2f}" == f"{accuracy:.2f}"]
        assert again.as_items(pd.DataFrame({"a": [accuracy]}), 744).iloc[0, 0] == k
    fitting = again.fitting_items(accuracies, most=1600)
    assert fitting == [744, 1488]
    assert again.as_items(pd.DataFrame({"a": [62.50, 62.55]}), 744)["a"].isna().tolist() == [
        False, True,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="items is 0"):
        again.as_items(published.nine(), 0)


@pytest.mark.parametrize(
    ("setting", "items"),
    [("cremad_3frame", 744), ("ave_pretrained", 810), ("kinetics_sounds_pretrained", 1228),
     ("cmu_mosei_3modality", 457)],
)  # fmt: skip
def test_the_two_digits_of_later_results_tell_how_many_items_there_are(
    setting: str, items: int
) -> None:
    values = published.later(setting).to_numpy().ravel()
    fitting = again.fitting_items(values, most=2 * items)
    naive = [
        n
        for n in range(1, 2 * items + 1)
        if all(
            any(
                f"{100 * k / n:.2f}" == f"{v:.2f}" for k in (int(v * n / 100), int(v * n / 100) + 1)
            )
            for v in values
        )
    ]
    assert fitting == naive
    assert fitting[0] == items


def test_items_bound_a_difference_whose_predictions_are_lost() -> None:
    table = again.item_range(62.50, 59.81, 744)  # 465 and 445 items
    assert table["items that differ"].tolist() == [20, 465 + 445 if 465 + 445 < 578 else 578]
    for differing, row in zip((20, 578), table.itertuples(), strict=True):
        ahead = (differing + 20) // 2
        outcome = np.repeat([1.0, -1.0, 0.0], [ahead, differing - ahead, 744 - differing])
        assert row.difference == pytest.approx(100 * outcome.mean())
        assert row.error == pytest.approx(100 * outcome.std() / math.sqrt(744))
        tail = sum(math.comb(differing, k) for k in range(ahead, differing + 1)) / 2**differing
        assert row.p == pytest.approx(min(1, 2 * tail))
    assert again.item_range(62.50, 62.50, 744)["p"].tolist() == [1, pytest.approx(1)]
    with pytest.raises(ValueError, match=r"accuracy is 62.51, which no whole number of 744"):
        again.item_range(62.51, 62.50, 744)


def test_the_range_of_items_holds_for_any_two_networks() -> None:
    generator = np.random.default_rng(3)
    for _ in range(50):
        items = int(generator.integers(5, 40))
        one, other = generator.random((2, items)) < generator.random(2)[:, None]
        table = again.item_range(100 * one.mean(), 100 * other.mean(), items)
        low, high = table["items that differ"]
        assert low <= (one != other).sum() <= high


def test_spreads_of_the_table() -> None:
    row = again.spread_ratios(published.nine(), "ogmge").loc["p2_boost_ogm_a075"]
    ratio = statistics.stdev(OGM_GE) / statistics.stdev(COMBINATION)
    assert row["ratio"] == pytest.approx(ratio) == pytest.approx(6.308, abs=5e-4)
    upper = stats.f(4, 4).ppf(0.975)  # of 4 and 4 degrees, as tables of F have it
    assert upper == pytest.approx(9.6045, abs=1e-4)
    assert row["F low"] == pytest.approx(ratio / math.sqrt(upper))
    assert row["F high"] == pytest.approx(ratio * math.sqrt(upper))
    assert row["p (F)"] == pytest.approx(2 * stats.f(4, 4).sf(ratio**2))
    assert row["p (Brown-Forsythe)"] == pytest.approx(naive_brown_forsythe(OGM_GE, COMBINATION))
    assert row["low"] <= ratio <= row["high"]
    r = np.corrcoef(OGM_GE, COMBINATION)[0, 1]
    t = (ratio**2 - 1) * math.sqrt(3 / (4 * ratio**2 * (1 - r**2)))
    assert row["p (Pitman-Morgan)"] == pytest.approx(2 * stats.t.sf(t, 3))
    assert row["p (Pitman-Morgan)"] == pytest.approx(0.0101, abs=5e-5)


def test_pairing_beside_welch() -> None:
    row = again.pairing(published.nine(), [("ogmge", "baseline")], level=0.9).iloc[0]
    assert row["correlation"] == pytest.approx(statistics.correlation(OGM_GE, BASELINE))
    paired = stats.ttest_rel(OGM_GE, BASELINE)
    assert row["p"] == pytest.approx(paired.pvalue)
    assert row["low"] == pytest.approx(paired.confidence_interval(0.9).low)
    variances = [statistics.variance(each) / 5 for each in (OGM_GE, BASELINE)]
    degrees = sum(variances) ** 2 / sum(v**2 / 4 for v in variances)
    error = math.sqrt(sum(variances))
    apart = statistics.mean(OGM_GE) - statistics.mean(BASELINE)
    assert row["p, unpaired"] == pytest.approx(2 * stats.t.sf(apart / error, degrees))
    assert row["high, unpaired"] - apart == pytest.approx(error * stats.t.ppf(0.95, degrees))
    assert row["low"] < row["low, unpaired"]  # pairing widens where seeds do not pair


def naive_brown_forsythe(one: list[float], other: list[float]) -> float:
    distances = [[abs(x - statistics.median(group)) for x in group] for group in (one, other)]
    return float(stats.f_oneway(*distances).pvalue)


def test_equal_spreads_reach_a_ratio_as_often_as_f_says() -> None:
    chances = again.spread_chances(2.0, draws=40_000, seed=1)
    tail = stats.f(4, 4).sf(4.0)
    assert chances["a pair named in advance, and which is steadier"] == pytest.approx(
        tail, abs=0.01
    )
    assert chances["a pair named in advance"] == pytest.approx(2 * tail, abs=0.01)
    assert chances.is_monotonic_increasing
    naive = random.Random(0)
    hits = 0
    for _ in range(4000):
        table = [[naive.gauss(0, 1) for _ in range(5)] for _ in range(9)]
        deviations = [statistics.stdev(row) for row in table]
        hits += max(deviations) >= 4 * min(deviations)
    wide = again.spread_chances(4.0, draws=40_000)
    assert wide["any pair, chosen after looking"] == pytest.approx(hits / 4000, abs=0.03)
    assert again.spread_chances(4.0, draws=500).equals(again.spread_chances(4.0, draws=500))
    with pytest.raises(ValueError, match="ratio is 1"):
        again.spread_chances(1.0)


def test_contrasts_have_the_seeds_they_would_need() -> None:
    found = contrasts(published.nine(), [("p2_boost_ogm_a075", "ogmge")])
    row = again.needed(found, wished=0.22).iloc[0]
    spread = statistics.stdev(a - b for a, b in zip(COMBINATION, OGM_GE, strict=True))
    assert row["std"] == pytest.approx(spread)
    assert naive_power(row["detectable"], spread, 5) == pytest.approx(0.8, abs=1e-3)
    seeds = int(row["seeds for 0.22"])
    assert naive_power(0.22, spread, seeds) >= 0.8 > naive_power(0.22, spread, seeds - 1)
    assert pd.isna(row["seeds for its difference"])  # the interval of the difference holds 0
    far = contrasts(published.nine(), [("p2_boost_ogm_a075", "baseline")])
    assert again.needed(far, wished=0.22)["seeds for its difference"].item() == 4


def naive_power(difference: float, std: float, n: int) -> float:
    shift, limit = difference / std * math.sqrt(n), stats.t(n - 1).ppf(0.975)
    return float(stats.nct(n - 1, shift).sf(limit))  # the other tail is below 1e-4 here


def test_single_runs_against_their_own_seed() -> None:
    table = again.same_seed()
    assert len(table) == 18
    for run, row in table.iterrows():
        assert row["recomputed"] == pytest.approx(row["printed"], abs=0.005)
        assert row["same seed"] == pytest.approx(study.published(str(run)) - 59.81)
        assert row["same seed"] - row["printed"] == pytest.approx(0.49, abs=0.005)
        right = round(study.published(str(run)) * 7.44)
        assert row["items"] == right - 445


def test_two_runs_of_one_name() -> None:
    table = again.two_ogm_ge()
    assert table.loc[42].tolist() == [59.95, 63.98, pytest.approx(4.03)]
    assert table.loc[0].tolist() == [56.99, 60.89, pytest.approx(3.90)]


def test_the_best_of_some_epochs_by_enumeration() -> None:
    """Four undecided items of eight, three epochs: all 16 ** 3 outcomes."""
    counts = [sum(bits) for bits in itertools.product((0, 1), repeat=4)]
    best = [max(triple) for triple in itertools.product(counts, repeat=3)]
    expected = 100 * (sum(best) / len(best) - 2) / 8
    table = again.expected_gain([0.5, 0.0], [1, 3], items=8)
    assert table.loc["50 %"].tolist() == [pytest.approx(0), pytest.approx(expected)]
    assert table.loc["0 %"].tolist() == [0, 0]


@pytest.mark.parametrize("together", [0.05, 0.5])
def test_the_best_of_some_epochs_in_which_items_flip_together(together: float) -> None:
    """Against draws: each epoch has a share right of its own, so items of it correlate."""
    generator, shape = np.random.default_rng(7), (1 / together - 1) / 2
    shares = generator.beta(shape, shape, (20_000, 3, 1))
    right = generator.random((20_000, 3, 40)) < shares
    assert np.corrcoef(right[:, 0, 0], right[:, 0, 1])[0, 1] == pytest.approx(together, abs=0.03)
    expected = 100 * (right.sum(axis=2).max(axis=1).mean() - 20) / 80
    table = again.expected_gain([0.5], [1, 3], items=80, together=together)
    assert table.loc["50 %"].tolist() == [
        pytest.approx(0, abs=1e-9), pytest.approx(expected, rel=0.03),
    ]  # fmt: skip
    assert table.loc["50 %", 3] > again.expected_gain([0.5], [3], items=80).loc["50 %", 3]
    with pytest.raises(ValueError, match="together is 1"):
        again.expected_gain([0.5], [3], items=80, together=1)


def test_later_results_pair_by_pair() -> None:
    pairs = again.later_pairs(published.COMBINATION, published.OGM_GE)
    assert pairs.columns.tolist() == [
        "CREMA-D, three frames", "AVE, pretrained encoders",
        "Kinetics-Sounds, pretrained encoders", "CMU-MOSEI, three modalities",
    ]  # fmt: skip
    mosei = pairs["CMU-MOSEI, three modalities"]
    assert mosei.tolist() == [0, 0, pytest.approx(-0.66), pytest.approx(0.44), 0]
    summary = again.later_summary()
    ours = summary.loc[("CREMA-D, three frames", labels.method_label(published.COMBINATION))]
    assert ours["mean"] == pytest.approx(statistics.mean([71.37, 72.04, 73.66, 71.24, 68.95]))
    assert ours["std"] == pytest.approx(statistics.stdev([71.37, 72.04, 73.66, 71.24, 68.95]))
    assert len(summary) == 22
    spreads = again.later_spreads()
    assert spreads.index.tolist() == pairs.columns.tolist()
    row = spreads.loc["CREMA-D, three frames"]
    assert row["std, OGM-GE"] == pytest.approx(
        statistics.stdev([67.88, 68.15, 69.35, 69.49, 70.83])
    )
    ours = labels.method_label(published.COMBINATION)
    assert row["ratio"] == pytest.approx(row["std, OGM-GE"] / row[f"std, {ours}"])
    assert row["ratio"] < 1


def test_later_tests_by_all_32_patterns_of_signs() -> None:
    pairs = again.later_pairs(published.COMBINATION, published.OGM_GE)
    table = again.later_tests(pairs)
    raw = {}
    for setting in pairs:
        values = pairs[setting].tolist()
        flipped = [
            abs(sum(sign * value for sign, value in zip(signs, values, strict=True)))
            for signs in itertools.product((1, -1), repeat=5)
        ]
        raw[setting] = sum(total >= abs(sum(values)) - 1e-9 for total in flipped) / 32
        row = table.loc[setting]
        assert row["p"] == pytest.approx(raw[setting])
        assert row["t_p"] == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
        assert row["above"] == sum(value > 0 for value in values)
        assert row["std"] == pytest.approx(statistics.stdev(values))
        reach = 2.7764 * statistics.stdev(values) / math.sqrt(5)
        assert row["high"] - row["difference"] == pytest.approx(reach, rel=1e-4)
    highest = 0.0
    for place, (setting, p) in enumerate(sorted(raw.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, p * (len(raw) - place)))
        assert table.loc[setting, "p_holm"] == pytest.approx(highest)
    assert table["t_p_holm"].tolist() == pytest.approx(
        multipletests(table["t_p"], method="holm")[1].tolist()
    )


def test_the_notebook_s_parameters() -> None:
    assert notebooks.settings({"seed": 1, "level": 0.9}, Rereading).level == 0.9
    for given, message in (
        ({"level": 1.0}, "level is 1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"dataset": "grid"}, "parameter is 'dataset'"),
        ({"profile": "gird"}, "profile is 'gird'.*Did you mean 'grid'"),
    ):
        with pytest.raises(ValueError, match=message):
            notebooks.settings(dict(given), Rereading)
