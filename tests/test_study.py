"""The study as data: the 97 runs, their numbers, and the configs they become."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path

import pytest

from asgml_core import profile, study
from asgml_core.config import MethodConfig

SHARED = Path(__file__).parents[1].parent / "shared" / "study"
needs_tables = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/study")


def as_row(run: study.NamedRun) -> tuple:
    settings = json.dumps(dict(sorted(run.params.items())))
    return run.run_id, run.seed, run.group, run.method, settings, run.published_best_acc


@needs_tables
def test_the_97_runs_are_those_of_the_log() -> None:
    with (SHARED / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = {
        (
            row["run_id"],
            int(row["seed"]),
            row["group"],
            row["method"],
            json.dumps(dict(sorted(json.loads(row["params"]).items()))),
            float(row["published_best_acc"]) if row["published_best_acc"] else None,
        )
        for row in rows
    }
    assert len(study.runs()) == 97
    assert {as_row(run) for run in study.runs()} == expected


@needs_tables
def test_the_published_means_follow_from_the_runs() -> None:
    """The means do, to the last digit. The deviations lie between population and sample ones."""
    with (SHARED / "published_multi_seed.csv").open() as file:
        table = {row["run_id"]: row for row in csv.DictReader(file)}
    for run_id, row in table.items():
        accuracies = [study.published(run_id, seed) for seed in study.SEEDS]
        assert statistics.mean(accuracies) == pytest.approx(float(row["published_mean"]), abs=0.006)
        deviation = float(row["published_std"])
        assert statistics.pstdev(accuracies) < deviation < statistics.stdev(accuracies)


def test_groups() -> None:
    sizes = {name: len(study.group(name)) for name in dict.fromkeys(r.group for r in study.runs())}
    assert sizes == {
        "early": 9, "phase1_frequency": 18, "phase1_staleness": 6, "v1_throttle": 9, "v2_boost": 9,
        "multi_seed": 9,
    }  # fmt: skip
    with pytest.raises(ValueError, match="group is 'v2'"):
        study.group("v2")


def names(methods: tuple[MethodConfig, ...]) -> list[str]:
    return [method.name for method in methods]


def test_settings_reach_the_method_they_are_for() -> None:
    base = profile("synth")
    combo = study.config("cont_combo", base).methods
    assert names(combo) == ["unimodal_losses", "throttle", "noise"]
    assert combo[1].options == {"alpha": 0.75, "scale_min": 0.05}
    assert combo[2].options == {"sigma": 0.1}
    both = study.config("boost_ogm_a075", base).methods
    assert names(both) == ["unimodal_losses", "ogm_ge", "boost"]  # OGM-GE comes first
    assert (both[1].options, both[2].options) == ({"alpha": 0.8}, {"alpha": 0.75})
    assert names(study.config("baseline", base).methods) == ["unimodal_losses"]


@pytest.mark.parametrize(("epochs", "half"), [(100, 50), (30, 15), (1, 1)])
def test_windows_scale_with_the_epochs(epochs: int, half: int) -> None:
    base = profile("synth", epochs=epochs)
    assert study.config("early_ogmge_a080", base).methods[1].end == half
    assert study.config("early_ogmge_a050_e100", base).methods[1].end == epochs


def test_every_named_run_and_arm_has_a_config() -> None:
    for protocol in ("honest", "paper"):
        base = profile("synth", protocol=protocol)
        for name in [*(run.run_id for run in study.runs()), *study.ARMS]:
            assert study.config(name, base).run_id == name


def test_the_study_s_own_ways_are_kept() -> None:
    base = profile("grid")
    stale = study.config("p1_stale_combo", base).methods
    assert stale[0].options == {"gamma": 0.5}
    assert stale[1].options == {
        "adaptation": "adaptive", "lambda_comp": 0.05, "tau_base": 1.5, "variant": "study",
    }  # fmt: skip
    miles = study.config("early_miles_paper", base)
    assert (miles.train.optimizer, miles.train.learning_rate) == ("adam", 1e-3)
    assert miles.train.scheduled_rate(base.train.epochs) == 1e-3  # no drop
    assert miles.methods[1].options == {"reduction": 0.5, "threshold": 0.2}
    paper = study.config("early_miles_paper", profile("grid", protocol="paper"))
    assert paper.methods[1].options["signal"] == "test"
    both = study.config("early_ogmge_adaptive", base).methods
    assert names(both) == ["unimodal_losses", "ogm_ge", "frequency"]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'boost_default'"):
        study.config("boost_defualt", profile("synth"))


def test_arms() -> None:
    base = profile("synth")
    assert study.config("joint_only", base).methods == ()
    alone = study.config("visual_only", base)
    assert (alone.data.modalities, alone.methods) == (("visual",), ())
    separate = study.config("unimodal_losses_only", base)
    assert (separate.model.head, separate.methods[0].options) == ("sum", {"fused": False})
    still = study.config("static_scale_audio", base).methods[1]
    assert (still.name, still.options) == ("static_scale", {"modality": "audio", "scale": 1.5})
    assert names(study.config("boost_wrong", base).methods) == ["unimodal_losses", "boost_wrong"]
    with pytest.raises(
        ValueError, match="the study has no run 'jointly'; 'asgml runs' lists its runs"
    ):
        study.config("jointly", base)
