"""What people call runs, and the family of each."""

from __future__ import annotations

import pytest

from asgml_core import labels, study
from asgml_core.profiles import PROFILES


def test_every_run_of_the_table_and_every_arm_has_a_label_of_its_own() -> None:
    named = [*study.group("multi_seed"), *study.ARMS]
    assert sorted(labels.LABELS) == sorted(named)
    assert len(set(labels.LABELS.values())) == len(named)
    assert labels.label("p2_boost_ogm_a075") == "boost + OGM-GE (\u03b1 = .75)"
    assert labels.label("p1_gamma025") == "p1_gamma025"


@pytest.mark.parametrize(
    ("run", "family"),
    [
        ("baseline", "baseline"),
        ("ogmge", "OGM"),
        ("ogm", "OGM"),
        ("p2_boost_default", "boost"),
        ("boost_a100", "boost"),
        ("boost_ogm", "boost + OGM"),
        ("p2_boost_ogm_a075", "boost + OGM"),
        ("p1_probe_test", "frequency"),  # a variant of p1_probe
        ("frequency_freeze", "frequency"),
        ("p1_stale_default", "staleness"),
        ("cont_ogm", "throttle"),
        ("boost_random", "control"),
        ("static_scale_visual", "control"),
        ("unimodal_losses_only", "reference"),
        ("video_only", "reference"),
        ("my_own_idea", "other"),
    ],
)
def test_families(run: str, family: str) -> None:
    assert labels.family(run) == family


def test_every_run_of_the_study_has_a_family() -> None:
    others = {run.method for run in study.runs() if labels.family(run.run_id) == labels.OTHER}
    assert others <= {"miles", "ogm_ge+frequency", "frequency+ogm_ge", "throttle+staleness"}
    assert {labels.family(run.run_id) for run in study.runs()} <= set(labels.FAMILIES)


@pytest.mark.parametrize(
    ("method", "said", "family"),
    [
        ("boost+ogm_ge a=0.75", "boost + OGM-GE (\u03b1 = .75)", "boost + OGM"),
        ("inforeg 100ep", "InfoReg (100 epochs)", "other"),
        ("miles tau=0.2", "MILES (\u03c4 = .2)", "other"),
        ("opm+ogm", "OPM + OGM", "other"),
        ("ogm_ge", "OGM-GE", "OGM"),
        ("baseline", "baseline", "baseline"),
    ],
)  # fmt: skip
def test_methods_as_the_study_writes_them(method: str, said: str, family: str) -> None:
    assert labels.method_label(method) == said
    assert labels.family_of_method(method) == family


def test_every_dataset_has_a_name() -> None:
    named = {
        labels.data_label(dataset, profile): (dataset, profile)
        for dataset, profiles in PROFILES.items()
        for profile in profiles
    }
    assert {"GRID", "GRID (profile grid_rich)", "drawn data (profile demo)", "CREMA-D"} <= set(
        named
    )
    assert len(named) == sum(map(len, PROFILES.values()))
    assert labels.data_label("my_own", "my_own") == "my_own"
