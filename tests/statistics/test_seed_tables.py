"""Tables of seeds and runs: each column against the function that it names, on the study's runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from asgml_core import statistics, study
from asgml_core.statistics import contrasts, summarise

FAMILY = [("p2_boost_ogm_a075", "baseline"), ("ogmge", "baseline"), ("p2_beta100", "baseline")]


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    """The nine runs of the study with five seeds each, in per cent."""
    rows = [run for run in study.runs() if run.group == "multi_seed"]
    table = pd.DataFrame(
        {"seed": r.seed, "run": r.run_id, "accuracy": r.published_best_acc} for r in rows
    )
    return table.pivot(index="seed", columns="run", values="accuracy")


def test_summary(published: pd.DataFrame) -> None:
    found = summarise(published)
    assert list(found.columns) == [
        "n", "mean", "std", "low", "high", "bca_low", "bca_high", "min", "max"
    ]  # fmt: skip
    assert list(found.index) == list(published.columns)
    assert found.index.name == "run"
    row, x = found.loc["ogmge"], published["ogmge"]
    assert (row["n"], row["mean"], row["min"], row["max"]) == (5, x.mean(), x.min(), x.max())
    assert row["std"] == pytest.approx(np.std(x, ddof=1))
    t, bca = statistics.mean_interval(x), statistics.bca_interval(x)
    assert tuple(row[["low", "high", "bca_low", "bca_high"]]) == pytest.approx(
        (t.low, t.high, bca.low, bca.high)
    )
    narrower = summarise(published, level=0.5).loc["ogmge"]
    assert row["low"] < narrower["low"] < narrower["high"] < row["high"]
    assert row["bca_low"] < narrower["bca_low"] < narrower["bca_high"] < row["bca_high"]


def test_contrasts(published: pd.DataFrame) -> None:
    found = contrasts(published, FAMILY)
    assert list(zip(found["run"], found["reference"], strict=True)) == FAMILY
    assert {"n", "difference", "std", "low", "high", "bca_low", "bca_high", "p", "floor"} <= set(
        found.columns
    )
    for row in found.itertuples():
        x, y = published[row.run], published[row.reference]
        paired = stats.ttest_rel(x, y)
        interval = paired.confidence_interval(0.95)
        assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
        assert row.difference == pytest.approx((x - y).mean())
        assert row.std == pytest.approx((x - y).std())
        assert row.p == statistics.sign_flip(x - y).p
        assert row.t_p == pytest.approx(paired.pvalue)
        assert (row.n, row.floor) == (5, 0.0625)
        better = (x.to_numpy()[:, None] > y.to_numpy()).mean()
        better += (x.to_numpy()[:, None] == y.to_numpy()).mean() / 2
        assert row.improvement == pytest.approx(better)
        assert row.improvement_low <= better <= row.improvement_high
        bca = statistics.bca_interval(x - y)
        assert (row.bca_low, row.bca_high) == (bca.low, bca.high)
    for p in ("p", "t_p"):
        expected = statistics.holm(found[p])
        pd.testing.assert_series_equal(found[f"{p}_holm"], expected, check_names=False)


def test_holm_is_over_the_declared_family_and_no_more(published: pd.DataFrame) -> None:
    alone, three = contrasts(published, FAMILY[:1]), contrasts(published, FAMILY)
    assert alone["p"].item() == three["p"].iloc[0] == 0.0625
    assert alone["p_holm"].item() == 0.0625
    assert three["p_holm"].iloc[0] == 3 * 0.0625


def test_seeds_pair_and_their_order_does_not_matter(published: pd.DataFrame) -> None:
    found = contrasts(published, FAMILY)
    shuffled = published.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(contrasts(shuffled, FAMILY), found)
    pd.testing.assert_frame_equal(summarise(shuffled), summarise(published))
    unpaired = published.assign(baseline=published["baseline"].to_numpy()[::-1])
    assert contrasts(unpaired, FAMILY)["std"].iloc[0] != found["std"].iloc[0]


def test_units_scale(published: pd.DataFrame) -> None:
    found, shares = contrasts(published, FAMILY), contrasts(published / 100, FAMILY)
    for column in ("difference", "std", "low", "high", "bca_low", "bca_high"):
        assert 100 * shares[column].to_numpy() == pytest.approx(found[column].to_numpy(), rel=1e-6)
    for column in ("p", "floor", "p_holm", "t_p", "t_p_holm", "improvement"):
        assert shares[column].to_list() == pytest.approx(found[column].to_list())


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ([("ogmge", "base")], "no run 'base'; it has baseline, ogmge"),
        ([FAMILY[0], FAMILY[1], FAMILY[0]], "named twice"),
        ([FAMILY[0], FAMILY[0][::-1]], "named twice"),
        ([("ogmge", "ogmge")], "of one run"),
        ([], "no contrast"),
    ],
)
def test_a_family_that_is_none_is_refused(published, family, said) -> None:
    with pytest.raises(ValueError, match=said):
        contrasts(published, family)


@pytest.mark.parametrize("function", [summarise, lambda table: contrasts(table, [("a", "b")])])
def test_a_table_with_holes_is_refused(function) -> None:
    table = pd.DataFrame({"a": [0.1, 0.2, 0.3], "b": [0.3, 0.1, 0.2]}, index=[42, 0, 1])
    function(table)
    with pytest.raises(ValueError, match="no finite value of run 'b' for seed 0, but nan"):
        function(table.assign(b=[1.0, np.nan, 2.0]))
    with pytest.raises(ValueError, match="no finite value of run 'a' for seed 1, but inf"):
        function(table.assign(a=[1.0, 2.0, np.inf]))
    with pytest.raises(ValueError, match="2 runs and 1 seeds"):
        function(table.iloc[:1])
    with pytest.raises(ValueError, match="seed 42 twice"):
        function(table.set_axis([42, 0, 42]))
    with pytest.raises(ValueError, match="run 'a' twice"):
        function(table.set_axis(["a", "a"], axis=1))
    with pytest.raises(ValueError, match="run 'b' has values of type"):
        function(table.assign(b=["61", "62", "63"]))


def test_every_public_name_has_a_home() -> None:
    for name in statistics.__all__:
        assert getattr(statistics, name).__doc__
