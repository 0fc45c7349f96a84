"""Tables against the records they come from, figures against the tables they show.

The tables of the diagnosis are in ``test_diagnosis.py``, on records made by hand.
"""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from asgml_core import datasets, figures, profile, run_all, study, tables
from asgml_core.records import RunRecord

NAMES = ("baseline", "boost_default", "boost_ogm", "joint_only")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    base = profile("synth", seed=2, epochs=2, options={"train": 192, "test": 96})
    plans = [study.config(name, base) for name in NAMES]
    return run_all(plans, tmp_path_factory.mktemp("tables"), workers=2, progress=False)


def test_settings_in_one_line() -> None:
    base = profile("synth")
    lines = {name: tables.settings(study.config(name, base)) for name in study.group("v2_boost")}
    assert lines["boost_default"] == "boost alpha=0.5 scale_max=2"
    assert lines["boost_ogm"] == "ogm_ge alpha=0.8, boost alpha=0.5"
    assert lines["boost_noise"] == "boost, noise sigma=0.1"
    assert tables.settings(study.config("baseline", base)) == "no modulation"
    assert "fused=False" in tables.settings(study.config("unimodal_losses_only", base))


def test_planned_runs_show_what_was_published(records: list[RunRecord]) -> None:
    planned = tables.planned([record.config for record in records])
    assert planned.loc["boost_ogm", "published (%)"] == 61.83
    assert pd.isna(planned.loc["joint_only", "published (%)"])


def test_results_are_the_records(records: list[RunRecord]) -> None:
    results = tables.results(records)
    assert list(results.index) == list(NAMES)
    for record in records:
        row = results.loc[record.run_id]
        assert row["validation"] == 100 * record.selections["validation"]["accuracy"]
        assert row["best on test"] >= max(row["validation"], row["last"])
        p = row["validation"] / 100
        assert row["error"] == pytest.approx(100 * (p * (1 - p) / 96) ** 0.5)


def test_differences_are_paired_by_item(records: list[RunRecord]) -> None:
    differences = tables.against(records)
    assert "baseline" not in differences.index
    results = tables.results(records)
    for name, row in differences.iterrows():
        expected = results.loc[name, "validation"] - results.loc["baseline", "validation"]
        assert row["difference"] == pytest.approx(expected)
    assert differences.loc["boost_ogm", "published (seed 42)"] == pytest.approx(61.83 - 59.81)


def test_shown_blanks_what_is_missing() -> None:
    table = pd.DataFrame({"a": [1.005, np.nan], "b": ["x", None], "c": [3, 4]})
    shown = tables.shown(table, digits=1)
    assert shown.to_numpy().tolist() == [["1.0", "x", 3], ["", "", 4]]
    chances = pd.DataFrame({"p": [0.0004, 0.0011], "p_holm": [0.04, 1.0], "gain": [0.0004, 0.5]})
    shown = tables.shown(chances, digits=3)
    assert shown.to_numpy().tolist() == [["< 0.001", "0.040", "0.000"], ["0.001", "1.000", "0.500"]]


def test_an_interval_is_one_column_at_the_place_of_its_estimate() -> None:
    table = pd.DataFrame(
        {"n": [5, 5], "mean": [1.94, -0.5], "low": [1.068, np.nan], "high": [2.807, np.nan],
         "a": [-3.0, 0.0], "b": [-1.25, 0.5], "p": [0.1, 0.2]}
    )  # fmt: skip
    columns = {"mean (95 %)": ("mean", "low", "high"), "ends": ("a", "b"), "none": ("x", "y")}
    joined = tables.between(table, columns, digits=1)
    assert list(joined) == ["n", "mean (95 %)", "ends", "p"]
    assert list(joined["mean (95 %)"]) == ["1.9 (1.1 to 2.8)", ""]
    assert list(joined["ends"]) == ["-3.0 to -1.2", "0.0 to 0.5"]
    assert list(table)[1] == "mean"


def test_provenance_tells_of_every_run(records: list[RunRecord]) -> None:
    table = tables.provenance(records)["value"]
    assert records[0].provenance["data"] in table["data"]
    assert table["torch"] == records[0].provenance["versions"]["torch"]
    assert table["items"] == "171 train, 21 valid, 96 test"


def test_parts_and_classes_count_items() -> None:
    data = datasets.synth(seed=1, train=192, test=96)
    assert tables.parts(data)["items"].to_dict() == {"train": 192, "test": 96}
    counts = tables.classes(data)
    assert counts.sum().to_dict() == {"train": 192, "test": 96}
    assert counts.loc["SAD", "test"] == int((data.test.labels == 2).sum())


def points(figure: plt.Figure, axes: int = 0) -> list[np.ndarray]:
    return [line.get_xydata() for line in figure.axes[axes].get_lines()]


def test_differences_are_drawn_where_they_are(records: list[RunRecord]) -> None:
    table = tables.against(records)
    drawn = np.concatenate([xy[:, 0] for xy in points(figures.differences(table))])
    for value in (*table["difference"], *table["published (seed 42)"].dropna()):
        assert np.isclose(drawn, value).any()


def test_trajectories_are_the_telemetry(records: list[RunRecord]) -> None:
    figure = figures.trajectories(records, "scale", "scale")
    shown = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert shown == ["boost_default", "boost_ogm"]  # the others have no scale
    audio = records[1].steps["boost/scale/audio"].to_numpy()
    np.testing.assert_allclose(points(figure)[0][:, 1], audio)
    with pytest.raises(ValueError, match="none of the runs recorded 'tau'"):
        figures.trajectories(records, "tau", "period")


def test_every_other_figure_is_drawn(records: list[RunRecord]) -> None:
    knowledge = tables.encoders(records)
    xs = np.concatenate([xy[:, 0] for xy in points(figures.encoder_knowledge(knowledge))])
    assert np.isclose(xs, knowledge.loc["joint_only", "visual"]).any()
    curves = figures.learning_curves(records)
    untrained = curves.axes[3]  # joint only: heads without training are not drawn
    assert untrained.get_title() == "fused loss only"
    assert len(untrained.get_lines()) == 2
    coefficients = figures.coefficients(records[2], alpha=0.8)
    y = coefficients.axes[1].get_lines()[0].get_ydata()
    assert ((y == 1) | (y <= 1 - np.tanh(0.8) + 1e-6)).all()
    data = datasets.synth(seed=1, train=192, test=96)
    assert len(figures.examples(data, per_class=1).axes) == 12
    assert len(figures.knob("visual_signal", seed=1).axes) == 18
    assert len(figures.emotions().axes) == 12


def test_drawing_changes_nothing_of_the_users(records: list[RunRecord]) -> None:
    before, opened = dict(mpl.rcParams), plt.get_fignums()
    figures.learning_curves(records)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == opened


def test_a_summary_is_mean_and_deviation_over_seeds() -> None:
    measured = pd.DataFrame(
        {"run": ["b", "b", "a", "a"], "seed": [1, 2, 1, 2], "last": [0.5, 0.6, 0.8, 0.8],
         "probe_audio": [0.1, 0.3, np.nan, np.nan], "wall_time": 1.0}
    )  # fmt: skip
    table = tables.summary(measured)
    assert list(table.columns) == ["run", "last", "probe audio"]
    assert table.to_numpy().tolist() == [
        ["b", "55.0 ± 7.1", "20.0 ± 14.1"],
        ["a", "80.0 ± 0.0", ""],
    ]
    one = tables.summary(measured[measured["seed"] == 1])
    assert one.to_numpy().tolist() == [["b", "50.0", "10.0"], ["a", "80.0", ""]]


def test_differences_are_from_the_baseline_of_the_same_seed() -> None:
    measured = pd.DataFrame(
        {"run": ["a", "baseline", "baseline", "a"], "seed": [1, 1, 2, 2],
         "validation": [0.5, 0.4, 0.8, 0.7], "last": [0.6, 0.5, 0.9, 0.94]}
    )  # fmt: skip
    table = tables.from_baseline(measured)
    assert list(table.columns) == ["run", "validation", "validation, error", "last", "last, error"]
    assert table.to_numpy().tolist() == [["a", 0.0, 10.0, 7.0, 3.0]]


def test_sentences_are_shown_whole() -> None:
    sentence = "a sentence of more than fifty characters, which pandas would cut short"
    words = tables.words(pd.DataFrame({"said": [sentence], "verdict": ["holds"]}))
    assert sentence in words._repr_html_()
    assert repr(words) == f"{sentence} | holds"
