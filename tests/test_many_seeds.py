"""The plans over many seeds, their tables, and what is chosen on validation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from asgml_core import RunConfig, RunRecord, many_seeds, profile, results, run_all, study, tables
from asgml_core.measured import Chosen, Measured
from asgml_core.modulators import REGISTRY

RUNS = ("baseline", "p2_boost_ogm_a075", "audio_only")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    configs = [
        study.config(name, profile("synth", "smoke", seed=seed)) for seed in (3, 4) for name in RUNS
    ]
    return run_all(configs, tmp_path_factory.mktemp("outputs"), workers=1, progress=False)


@pytest.fixture(scope="module")
def shuffled(records: list[RunRecord]) -> list[RunRecord]:
    """The same records with their test items in another order."""
    found = []
    for record in records:
        order = np.random.default_rng(record.seed).permutation(len(record.predictions["id"]))
        again = RunRecord(record.folder, record.values)
        again.__dict__["predictions"] = {
            name: array[order] for name, array in record.predictions.items()
        }
        found.append(again)
    return found


@pytest.fixture(scope="module")
def measured(records: list[RunRecord]) -> Measured:
    return Measured.of(records, "a test")


# ------------------------------------------------------------------------------ plans


def test_the_plans_are_what_the_book_says() -> None:
    sizes = {name: len(plan.configs()) for name, plan in many_seeds.PLANS.items()}
    assert sizes == {
        "many_seeds_grid": 18 * 20,
        "many_seeds_grid_rich": 5 * 20,
        "many_seeds_synth": 5 * 20,
        "tuning_grid": 8 * 4 * 3,
    }
    assert not set(many_seeds.TUNING_SEEDS) & set(many_seeds.SEEDS)


def test_every_family_tries_as_many_settings_with_its_own_first() -> None:
    for family in many_seeds.FAMILIES:
        tried = many_seeds.settings(family)
        assert len(tried) == 4
        own = study.config(family.run, profile("grid", "grid", seed=0))
        plan = many_seeds.Plan(
            name="one", dataset="grid", profile="grid", seeds=(0,), families=(family,)
        )
        first = plan.configs()[0]
        assert made(first) == made(own), family.run
        assert dataclasses.replace(first, run_id="x", methods=()) == dataclasses.replace(
            own, run_id="x", methods=()
        )
        assert len({str(config.to_dict()) for config in plan.configs()}) == 4


def made(config: RunConfig) -> list[str]:
    """Return the methods as they are made, with every option."""
    return [repr(REGISTRY[method.name](**method.options)) for method in config.methods]


def test_a_setting_is_in_the_config_of_its_name() -> None:
    plan = many_seeds.PLANS["tuning_grid"]
    by_name = {config.run_id: config for config in plan.configs()}
    found = by_name["p2_boost_ogm_a075-alpha_0.5-learning_rate_0.02"]
    assert found.train.learning_rate == 0.02
    options = {method.name: method.options for method in found.methods}
    assert (options["boost"]["alpha"], options["ogm_ge"]["alpha"]) == (0.5, 0.8)


def tuning(best: dict[str, str]) -> pd.DataFrame:
    """Return a table in which the named setting of a family is ahead, and all others are equal."""
    rows = [
        {"run": run, "seed": seed, "valid_accuracy": 0.9 if best.get(family.run) == run else 0.8}
        for family in many_seeds.FAMILIES
        for run in many_seeds.settings(family)
        for seed in many_seeds.TUNING_SEEDS
    ]
    return pd.DataFrame(rows)


def test_the_best_on_validation_is_chosen_and_the_first_of_equals() -> None:
    wanted = "ogmge-alpha_0.4-learning_rate_0.02"
    found = many_seeds.chosen(tuning({"ogmge": wanted}))
    assert found.loc["ogmge", "chosen"] == wanted
    assert found.loc["ogmge", "difference"] == pytest.approx(0.1)
    others = found.drop("ogmge")
    assert (others["chosen"] == others["as_published"]).all()
    assert (others["difference"] == 0).all()


def test_a_tie_goes_to_the_first_whatever_the_order_of_its_seeds() -> None:
    table = tuning({})
    tied = {"ogmge-alpha_0.8-learning_rate_0.01": (100, 101, 102),
            "ogmge-alpha_0.8-learning_rate_0.02": (101, 101, 101),
            "ogmge-alpha_0.4-learning_rate_0.01": (102, 101, 100)}  # fmt: skip
    for run, counts in tied.items():
        # As a table keeps them: of 110 items, to six digits.
        table.loc[table["run"] == run, "valid_accuracy"] = [float(f"{c / 110:.6g}") for c in counts]
    found = many_seeds.chosen(table)
    assert found.loc["ogmge", "chosen"] == "ogmge-alpha_0.8-learning_rate_0.01"


def test_only_what_differs_from_the_published_settings_is_run_again() -> None:
    wanted = "ogmge-alpha_0.4-learning_rate_0.02"
    plan = many_seeds.plan("tuned_grid", tuning({"ogmge": wanted}))
    configs = plan.configs()
    assert {config.run_id for config in configs} == {wanted}
    assert [config.seed for config in configs] == list(many_seeds.SEEDS)
    assert configs[0].train.learning_rate == 0.02
    (ogm,) = [method for method in configs[0].methods if method.name == "ogm_ge"]
    assert ogm.options["alpha"] == 0.4


def test_tuned_runs_are_those_of_the_chosen_settings() -> None:
    wanted = "ogmge-alpha_0.4-learning_rate_0.02"
    usual = pd.DataFrame(
        {"run": [f.run for f in many_seeds.FAMILIES], "seed": 0, "validation": 0.5}
    )
    again = pd.DataFrame({"run": [wanted], "seed": [0], "validation": [0.7]})
    found = many_seeds.tuned(usual, again, tuning({"ogmge": wanted})).set_index("run")
    assert found.loc["ogmge", "validation"] == 0.7
    assert (found.drop("ogmge")["validation"] == 0.5).all()
    assert set(found.index) == {family.run for family in many_seeds.FAMILIES}
    with pytest.raises(ValueError, match="was chosen, but the tables have no run"):
        many_seeds.tuned(usual, again.iloc[:0], tuning({"ogmge": wanted}))


def test_a_table_of_tuning_with_a_hole_is_refused() -> None:
    table = tuning({})
    with pytest.raises(ValueError, match=r"lacks 'ogmge-alpha_0\.8-learning_rate_0\.01'"):
        many_seeds.chosen(table[table["run"] != "ogmge-alpha_0.8-learning_rate_0.01"])
    with pytest.raises(ValueError, match=r"lacks 'baseline-learning_rate_0\.01'"):
        many_seeds.chosen(table.iloc[1:])
    with pytest.raises(ValueError, match=r"lacks .* for some of the seeds \(100, 101, 102\)"):
        many_seeds.chosen(table[table["seed"] == 100])
    with pytest.raises(ValueError, match="needs the table 'tuning_grid'"):
        many_seeds.plan("tuned_grid")


# ----------------------------------------------------------------------------- tables


def test_the_rows_are_the_records(records: list[RunRecord]) -> None:
    table = tables.many_seeds(records).set_index(["run", "seed"])
    assert len(table) == len(records)
    for record in records:
        row = table.loc[record.run_id, record.seed]
        for name, entry in record.selections.items():
            assert row[name] == entry["accuracy"]
        logits = record.predictions["validation/fused"]
        assert row["validation"] == (logits.argmax(1) == record.predictions["label"]).mean()
        assert row["head_audio"] == record.selections["validation"]["accuracies"]["audio"]
        assert row["epoch"] == record.selections["validation"]["epoch"]
        at = record.epochs.set_index("epoch").loc[row["epoch"]]
        assert row["valid_accuracy"] == pytest.approx(at["valid_accuracy"])
        for m in ("audio",) if record.run_id == "audio_only" else ("audio", "visual"):
            mean = record.epochs[f"relative_update/{m}"].mean()
            assert row[f"relative_update_{m}"] == pytest.approx(mean)
    assert np.isnan(table.loc["audio_only", 3]["probe_visual"])
    assert table["digest"].nunique() == len(records)


@pytest.mark.parametrize("logits", ["last/fused", "validation/visual", "best_on_test/fused"])
def test_the_digest_changes_with_a_single_bit(records: list[RunRecord], logits: str) -> None:
    record = records[0]
    again = RunRecord(record.folder, record.values)
    assert tables.digest(record) == tables.digest(again)
    array = again.predictions[logits]
    array[0, 0] = np.nextafter(array[0, 0], np.float32(9))
    assert tables.digest(record) != tables.digest(again)


def test_curves_are_the_epochs_of_the_main_runs(
    records: list[RunRecord], measured: Measured
) -> None:
    assert set(measured.curves["run"]) == {"baseline", "p2_boost_ogm_a075"}
    for record in records:
        if record.run_id in many_seeds.FIVE:
            rows = measured.curves.query("run == @record.run_id and seed == @record.seed")
            assert list(rows["test_accuracy"]) == list(record.epochs["test_accuracy"])
            assert list(rows["valid_accuracy"]) == list(record.epochs["valid_accuracy"])


def test_the_epoch_chosen_on_validation_counts(measured: Measured) -> None:
    assert measured.selection == "validation"
    run, seed = "baseline", 4
    (row,) = measured.runs.query("run == @run and seed == @seed").to_dict("records")
    assert measured.accuracies.loc[seed, run] == 100 * row["validation"]


def test_two_methods_that_record_one_quantity_are_refused(records: list[RunRecord]) -> None:
    record = RunRecord(records[1].folder, records[1].values)
    doubled = record.epochs.assign(**{"throttle/scale/audio": 1.0})
    record.__dict__["epochs"] = doubled
    with pytest.raises(ValueError, match="two methods that record one quantity"):
        tables.dynamics([record])


def test_what_was_right_comes_back_item_by_item(
    records: list[RunRecord], measured: Measured
) -> None:
    found = measured.items
    assert list(found) == list(RUNS)
    names = sorted({str(i) for record in records for i in record.predictions["id"]})
    for record in records:
        row = found[record.run_id][(3, 4).index(record.seed)]
        logits = record.predictions["validation/fused"]
        hits = dict(
            zip(
                record.predictions["id"],
                logits.argmax(1) == record.predictions["label"],
                strict=True,
            )
        )
        assert len(row) == len(names)
        for name, value in zip(names, row, strict=True):
            assert (np.isnan(value) and name not in hits) or value == hits[name]
        assert np.nanmean(row) == pytest.approx(record.selections["validation"]["accuracy"])


def test_the_order_of_items_does_not_count(shuffled: list[RunRecord], measured: Measured) -> None:
    pd.testing.assert_frame_equal(tables.right(shuffled), measured.right)
    pd.testing.assert_frame_equal(tables.tested(shuffled), measured.tested)


def test_masks_that_do_not_fit_are_refused(measured: Measured) -> None:
    with pytest.raises(ValueError, match="run 'baseline' has no seed 4"):
        tables.by_item(measured.tested, measured.right.query("seed == 3"))
    fewer = measured.tested.copy()
    mask = int(fewer.loc[0, "tested"], 16)
    width = len(fewer.loc[0, "tested"])
    fewer.loc[0, "tested"] = f"{mask & (mask - 1):0{width}x}"
    with pytest.raises(ValueError, match="72 items, but 71 were tested"):
        tables.by_item(fewer, measured.right)


def test_dynamics_are_means_over_seeds(records: list[RunRecord], measured: Measured) -> None:
    table = measured.dynamics.set_index(["run", "epoch", "quantity"])
    for column, quantity in [
        ("test_accuracy", "test_accuracy"),
        ("boost/scale/audio", "scale/audio"),
        ("ogm_ge/coefficient/visual", "coefficient/visual"),
        ("relative_update/visual", "relative_update/visual"),
    ]:
        values = [
            record.epochs[column].iloc[0]
            for record in records
            if record.run_id == "p2_boost_ogm_a075"
        ]
        row = table.loc["p2_boost_ogm_a075", 1, quantity]
        assert row["mean"] == pytest.approx(np.mean(values))
        half = 12.706204736 * np.std(values, ddof=1) / np.sqrt(2)  # t of one degree of freedom
        assert row["high"] - row["mean"] == pytest.approx(half)


def test_a_missing_seed_is_named(measured: Measured) -> None:
    with pytest.raises(ValueError, match="validation of 'audio_only' is missing for seed 4"):
        tables.wide(measured.runs.iloc[:-1])


def test_tables_survive_being_written(
    measured: Measured, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "folder", lambda: tmp_path)
    assert len(measured.write("mine")) == 5
    again = Measured.read("mine")
    pd.testing.assert_frame_equal(again.runs, measured.runs, rtol=1e-5)
    pd.testing.assert_frame_equal(again.accuracies, measured.accuracies, rtol=1e-5)
    for run, hits in measured.items.items():
        np.testing.assert_array_equal(again.items[run], hits)
    assert again.provenance["command"] == "a test"


# ------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("given", "table", "dataset"),
    [
        ({}, "many_seeds_grid", "grid"),
        ({"profile": "grid_rich"}, "many_seeds_grid_rich", "grid"),
        ({"profile": "demo"}, "many_seeds_synth", "synth"),
        ({"profile": "smoke"}, None, "synth"),
        ({"profile": "cremad"}, None, "cremad"),
        ({"seeds": "0-4"}, None, "grid"),
        ({"measure": True}, None, "grid"),
        ({"epochs": 2}, None, "grid"),
        ({"precision": "bf16"}, None, "grid"),
        ({"again": True}, None, "grid"),
        ({"data": "."}, None, "grid"),
        ({"protocol": "paper"}, None, "grid"),
        ({"dataset": "grid", "profile": None}, "many_seeds_grid", "grid"),
    ],
)
def test_the_committed_table_is_read_where_it_holds_what_is_asked_for(
    given: dict, table: str | None, dataset: str
) -> None:
    chosen = Chosen(**given)
    assert (chosen.table, chosen.dataset) == (table, dataset)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"profile": "grit"}, "profile is 'grit'.*Did you mean 'grid'"),
        ({"seeds": "0..4"}, r"'0\.\.4' is no list of numbers"),
        ({"seeds": "3"}, "seeds is '3', but two or more are needed"),
        ({"protocol": "papr"}, "protocol is 'papr'"),
        ({"measure": "yes"}, "measure is 'yes'"),
        ({"profile": "grid", "dataset": "synth"}, "profile of 'synth' is 'grid'"),
    ],
)
def test_impossible_parameters_are_refused(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Chosen(**given)
