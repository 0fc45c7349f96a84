"""Tables of comparisons against what a few lines of arithmetic say."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from asgml_core import figures, labels, tables

SEEDS = range(6)


@pytest.fixture
def accuracies() -> pd.DataFrame:
    draw = np.random.default_rng(3)
    runs = ("baseline", "ogmge", "p2_boost_ogm_a075")
    values = 90 + draw.normal(size=(len(SEEDS), len(runs))) + [0, 1, 2]
    return pd.DataFrame(values, index=pd.Index(SEEDS, name="seed"), columns=list(runs))


def t_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of six values; 2.570582 is t's quantile of five degrees."""
    half = 2.5705818 * np.std(values, ddof=1) / np.sqrt(6)
    return np.mean(values) - half, np.mean(values) + half


def test_gains_stand_beside_the_published_ones(accuracies: pd.DataFrame) -> None:
    table = tables.beside_published(accuracies)
    assert list(table.index) == ["p2_boost_ogm_a075", "ogmge", "baseline"]  # the study's order
    row = table.loc["ogmge"]
    gains = (accuracies["ogmge"] - accuracies["baseline"]).to_numpy()
    assert row["gain"] == pytest.approx(gains.mean())
    assert (row["low"], row["high"]) == pytest.approx(t_interval(gains))
    # The study's own numbers: 63.98 60.89 61.02 63.04 63.44 and 59.81 59.95 61.56 60.35 59.81.
    assert row["published mean"] == pytest.approx(62.474)
    assert row["published gain"] == pytest.approx(62.474 - 60.296)
    assert row["published std"] == pytest.approx(1.4270, abs=1e-4)


def test_the_interaction_is_a_difference_of_paired_differences(accuracies: pd.DataFrame) -> None:
    less = accuracies.copy()
    less["ogmge"] -= np.arange(6)
    table = tables.interaction(accuracies, less, [("ogmge", "baseline")])
    row = table.loc["ogmge", "baseline"]
    assert row["larger by"] == pytest.approx(2.5)
    assert (row["low"], row["high"]) == pytest.approx(t_interval(np.arange(6)))
    # 0 1 2 3 4 5, all of one sign but for a zero: 4 of the 64 patterns are as far from 0.
    assert row["p"] == row["p_holm"] == 4 / 64
    with pytest.raises(ValueError, match="other seeds"):
        tables.interaction(accuracies.iloc[1:], less, [("ogmge", "baseline")])


def measured() -> pd.DataFrame:
    rows = [
        {"run": run, "seed": seed, "validation": 0.9, "last": 0.91, "best_on_test": 0.92 + extra}
        for seed in SEEDS
        for run, extra in (("a", 0.0), ("b", 0.01 * seed))
    ]
    return pd.DataFrame(rows)


def test_what_the_choice_on_test_adds() -> None:
    table = tables.selection_gain(measured())
    assert table.loc["a", "above validation"] == pytest.approx(2)
    assert table.loc["a", "above last"] == pytest.approx(1)
    assert table.loc["a", "low, last"] == pytest.approx(1)
    assert table.loc["b", "above last"] == pytest.approx(1 + 2.5)
    # Over all runs a seed counts once: its runs share their test items.
    low, high = t_interval(1 + 0.5 * np.arange(6))
    assert table.loc["all runs", "low, last"] == pytest.approx(low)
    assert table.loc["all runs", "high, last"] == pytest.approx(high)
    without = tables.selection_gain(measured().drop(columns="validation"))
    assert not [name for name in without if "validation" in name]


def items() -> dict[str, np.ndarray]:
    """Two seeds with 30 items each, of 31: the run is right once where the reference is not."""
    run = np.ones((2, 31))
    run[0, 30] = run[1, 0] = np.nan
    reference = run.copy()
    reference[0, 1] = 0
    return {"a": run, "b": reference}


def test_differences_over_seeds_and_items() -> None:
    (row,) = tables.over_items(items(), [("a", "b")]).to_dict("records")
    assert row["difference"] == pytest.approx(100 * (1 / 30 + 0) / 2)
    # Of seeds: 3.33 and 0, so 1.67 and 12.706 standard errors of 1.67 to both sides.
    assert row["low, seeds"] == pytest.approx(1.6667 * (1 - 12.7062), rel=1e-4)
    # The lower end cannot be below 0: no item speaks for the reference.
    assert 0 <= row["low, seeds and items"] <= row["difference"] <= row["high, seeds and items"]
    (turned,) = tables.over_items(items(), [("b", "a")]).to_dict("records")
    assert turned["low, seeds and items"] == pytest.approx(-row["high, seeds and items"])
    assert row["high, seeds and items"] > 1  # points, not shares


def test_one_seed_by_mcnemar() -> None:
    table = tables.one_seed(items(), [("a", "b")])
    row = table.iloc[0]
    assert (row["only run"], row["only reference"], row["p"]) == (1, 0, 1.0)
    assert row["error"] == pytest.approx(
        100 / 30
    )  # one of 30: deviation .1826, over the root of 30
    assert row["difference"] == pytest.approx(100 / 30)
    other = tables.one_seed(items(), [("a", "b")], row=1).iloc[0]
    assert (other["only run"], other["difference"]) == (0, 0)


def test_spreads_are_ratios_of_sample_deviations(accuracies: pd.DataFrame) -> None:
    row = tables.spreads(accuracies, [("p2_boost_ogm_a075", "ogmge")]).iloc[0]
    deviations = accuracies.std(ddof=1)
    assert row["ratio"] == pytest.approx(deviations["ogmge"] / deviations["p2_boost_ogm_a075"])
    assert row["low"] < row["ratio"] < row["high"]
    others = stats.levene(accuracies["ogmge"], accuracies["p2_boost_ogm_a075"], center="median")
    assert row["p"] == pytest.approx(others.pvalue)
    still = accuracies.assign(ogmge=90.0)
    row = tables.spreads(still, [("p2_boost_ogm_a075", "ogmge")]).iloc[0]
    assert row["std of reference"] == 0
    assert len(row) == 2


def test_encoders_have_means_where_they_were_read() -> None:
    rows = [
        {"run": run, "seed": seed, "probe_audio": 0.8 + 0.01 * seed, "probe_visual": visual}
        for seed in SEEDS
        for run, visual in (("both", 0.5), ("audio_only", np.nan))
    ]
    table = tables.encoder_means(pd.DataFrame(rows))
    assert table.loc["both", "audio"] == pytest.approx(82.5)
    assert (table.loc["both", "audio, low"], table.loc["both", "audio, high"]) == pytest.approx(
        t_interval(80 + np.arange(6))
    )
    assert table.loc["both", "visual, low"] == pytest.approx(50)
    assert np.isnan(table.loc["audio_only", "visual"])


def test_names_are_those_of_the_figures(accuracies: pd.DataFrame) -> None:
    by_run = tables.labelled(tables.beside_published(accuracies), ["gain"])
    assert list(by_run.index) == [labels.label("p2_boost_ogm_a075"), "OGM-GE", "baseline"]
    assert list(by_run) == ["gain"]
    pairs = tables.spreads(accuracies, [("ogmge", "baseline")])
    assert list(tables.labelled(pairs).index) == ["OGM-GE \u2212 baseline"]


def test_cost_stands_beside_accuracy(accuracies: pd.DataFrame) -> None:
    costs = pd.DataFrame({"run": list(accuracies), "cost": [1.0, 1.1, 1.3]})
    table = tables.cost(costs, accuracies).set_index("run")
    assert table.loc["p2_boost_ogm_a075", "cost"] == 1.3
    values = accuracies["p2_boost_ogm_a075"].to_numpy()
    assert tuple(table.loc["p2_boost_ogm_a075", ["low", "high"]]) == pytest.approx(
        t_interval(values)
    )


def test_figures_do_without_a_validation_part() -> None:
    assert len(figures.selection_gain(measured()).axes) == 2
    assert len(figures.selection_gain(measured().drop(columns="validation")).axes) == 1
    curve = pd.DataFrame(
        {"epoch": [1, 2, 3], "valid_accuracy": np.nan, "test_accuracy": [0.1, 0.5, 0.4]}
    )
    (ax,) = figures.selections(curve).axes
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert said == ["test part", "last: epoch 3, 40.0 %", "best on test: epoch 2, 50.0 %"]


def test_every_pattern_of_signs_is_gone_through() -> None:
    """The p above, by hand: the sums of 0 to 5 under all signs."""
    sums = [
        sum(s * v for s, v in zip(signs, range(6), strict=True))
        for signs in itertools.product((-1, 1), repeat=6)
    ]
    assert sum(abs(total) >= 15 for total in sums) == 4
