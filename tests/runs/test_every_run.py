"""Every named run of the study and every arm, on data so small that a run takes half a second."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from asgml_core import RunConfig, RunRecord, datasets, identity, profile, run, runs, study
from asgml_core.modulators import REGISTRY

RUN_IDS = tuple(dict.fromkeys(named.run_id for named in study.runs()))
NAMES = (*RUN_IDS, *study.ARMS)
PROBED = {"frequency": 1, "staleness": 1, "throttle": 5, "boost": 5, "boost_wrong": 5,
          "boost_random": 5}  # probe times an epoch  # fmt: skip
RECORDED = {
    "ogm": "coefficient", "ogm_ge": "coefficient", "frequency": "period", "staleness": "lag",
    "miles": "factor", "throttle": "scale", "boost": "scale", "boost_wrong": "scale",
    "boost_random": "scale", "static_scale": "scale",
}  # fmt: skip


def test_these_are_the_97_runs() -> None:
    assert len(study.runs()) == 97
    assert len(RUN_IDS) == 60
    assert len(set(NAMES)) == 69


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One outputs folder; the data are drawn and the code is hashed once for all of its runs."""
    with pytest.MonkeyPatch.context() as patch:
        made: dict[str, datasets.MultimodalDataset] = {}

        def load(config: RunConfig) -> datasets.MultimodalDataset:
            key = f"{config.data} {config.seed} {config.protocol}"
            return made.setdefault(key, made.get(key) or datasets.load(config))

        patch.setattr(runs, "load", load)
        patch.setattr(identity, "code_of", lambda config: "tests")
        yield tmp_path_factory.mktemp("every_run")


@functools.cache
def small(seed: int = 42) -> RunConfig:
    options = {"train": 144, "test": 72, "speakers": 12}
    base = profile("synth", seed=seed, epochs=2, options=options)
    return base.replace(model={"width": 2}, train={"batch_size": 16})


def check(record: RunRecord, config: RunConfig) -> None:
    """Whatever the run: it is complete, and every method did what it must."""
    epochs, batches = config.train.epochs, record.values["batches_per_epoch"]
    modalities = config.data.modalities or ("audio", "visual")
    assert record.config == config
    assert len(record.steps) == epochs * batches
    assert len(record.epochs) == epochs
    for name in ("last.pt", "chosen.pt", "predictions.npz", "steps.npz", "epochs.csv"):
        assert (record.folder / name).stat().st_size > 0
    for m in modalities:
        raw, moved = record.steps[f"gradient_norm/{m}"], record.steps[f"update_norm/{m}"]
        assert np.isfinite([raw, moved]).all()
        for column in ("relative_update", "effective_learning_rate", "activation"):
            assert np.isfinite(record.epochs[f"{column}/{m}"]).all(), column
    assert {"last", "best_on_test", "validation"} == set(record.selections)
    assert all(np.isfinite(logits).all() for key, logits in record.predictions.items()
               if "/" in key)  # fmt: skip
    counts = record.values["methods"]
    assert list(counts) == [method.name for method in config.methods]
    for method in config.methods:
        check_method(record, method.name, REGISTRY[method.name](**method.options))


def check_method(record: RunRecord, name: str, made: torch.nn.Module) -> None:
    counted, batches = record.values["methods"][name], record.values["batches_per_epoch"]
    epochs = record.config.train.epochs
    measured = 0
    if name == "miles":
        measured = epochs
    elif made.measures:
        measured = epochs * min(PROBED[name], batches)
        assert record.values["schedule"][f"{name}/probe_times_per_epoch"] == measured // epochs
        column = record.steps[f"{name}/probe_accuracy/audio"]
        assert int(column.notna().sum()) == measured
    assert counted["measured"] == measured
    assert counted["acted"] <= epochs * batches
    if not made.may_rest:
        assert counted["acted"] > 0
    if name in RECORDED:
        modality = getattr(made, "modality", "audio")
        assert record.steps[f"{name}/{RECORDED[name]}/{modality}"].notna().any()


# With two modalities the scale is a switch, and dual reads no threshold: what the study swept in
# vain, and what it ran under two names, is one run.
SAME = (
    ("boost_default", "boost_sm150", "boost_sm300", "p2_boost_default"),
    ("cont_default", "cont_sm005", "cont_sm030"),
    ("p2_default", "p1_thresh005", "early_adaptive_dual"),
    ("boost_ogm", "p2_boost_ogm"),
    ("boost_ogm_a075", "p2_boost_ogm_a075"),
    ("p1_sms000", "p2_sms000"),
    ("p1_beta100", "p2_beta100"),
    ("p1_stale_lc020", "p2_stale_lc020"),
    ("early_baseline", "baseline"),
)
ALONE = tuple((name,) for name in NAMES if not any(name in names for names in SAME))


def encoder(record: RunRecord) -> bytes:
    weights = torch.load(record.folder / "last.pt", weights_only=True)["model"]
    return b"".join(w.numpy().tobytes() for k, w in weights.items() if k.startswith("encoders."))


@pytest.mark.parametrize("names", [*SAME, *ALONE], ids=lambda names: names[0])
def test_it_ends_in_a_complete_record(names: tuple[str, ...], folder: Path) -> None:
    found = set()
    for name in names:
        config = study.config(name, small())
        record = run(config, folder, progress=False)
        check(record, config)
        found.add(encoder(record))
    assert len(found) == 1


def test_other_settings_are_other_runs(folder: Path) -> None:
    """Else the comparison above would be worth nothing."""
    names = ("baseline", "boost_a025", "boost_a075", "p1_sms005", "p1_sms020", "joint_only")
    records = [run(study.config(name, small()), folder, progress=False) for name in names]
    assert len({encoder(record) for record in records}) == len(names)


# ------------------------------------------------------------------------------- real words


GRID = (
    "ogm", "early_ogmge_adaptive", "p1_stale_default", "early_miles_paper", "cont_noise",
    "boost_default", "static_scale_audio", "boost_wrong", "boost_random",
)  # fmt: skip


def test_grid_runs_have_every_method() -> None:
    base = profile("grid")
    found = {method.name for name in GRID for method in study.config(name, base).methods}
    assert found == set(REGISTRY)


@pytest.mark.parametrize("name", GRID)
def test_each_method_on_real_words(name: str, folder: Path, shared) -> None:
    path = str(shared("data/grid_s1") / "grid_s1_words.npz")
    base = profile("grid", epochs=1, options={"path": path}).replace(model={"width": 2})
    if name == "early_miles_paper":  # what it sets after an epoch acts in the next
        base = base.replace(train={"epochs": 2})
    config = study.config(name, base).replace(run_id=f"grid_{name}")
    record = run(config, folder, progress=False)
    check(record, config)
    assert record.values["batches_per_epoch"] == 23  # 25, less the tenth that is held out
    for method, counted in record.values["methods"].items():
        assert counted["acted"] > 0 or method == "miles"
