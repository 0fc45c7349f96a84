"""What a record says was done to each encoder, in runs where that is known beforehand."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asgml_core import RunConfig, RunRecord, run
from asgml_core.config import MethodConfig

DROPPED = 3  # the first epoch at a tenth of the learning rate
ENCODERS = ("audio", "visual")


@pytest.fixture
def plain(base: RunConfig) -> RunConfig:
    """Four epochs without weight decay, the learning rate dropping in the middle."""
    return base.replace(train={"weight_decay": 0.0, "drop_at": 0.5})


def measured(base: RunConfig, folder: Path, name: str, **options: Any) -> RunRecord:
    methods = (*base.methods, MethodConfig(name=name, options=options, start=0, end=4))
    return run(base.replace(run_id=name, methods=methods), folder, progress=False)


def scheduled(record: RunRecord) -> np.ndarray:
    rates = [record.config.train.scheduled_rate(epoch) for epoch in range(1, 5)]
    assert rates[DROPPED - 1] == pytest.approx(0.1 * rates[0])
    return np.array(rates)


def columns(record: RunRecord, what: str) -> np.ndarray:
    return record.epochs[[f"{what}/{m}" for m in ENCODERS]].to_numpy()


def test_a_baseline_moves_as_it_would(plain: RunConfig, tmp_path: Path) -> None:
    record = run(plain, tmp_path, progress=False)
    assert (columns(record, "relative_update") == 1).all()
    assert (columns(record, "activation") == 0).all()
    rates = np.stack([scheduled(record)] * 2, 1)
    np.testing.assert_allclose(columns(record, "effective_learning_rate"), rates, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 0.4, 1.5])
def test_a_constant_scale_is_what_the_record_says(
    plain: RunConfig, tmp_path: Path, scale: float
) -> None:
    """Momentum does not change it, nor a drop of the learning rate: all of it is linear."""
    record = measured(plain, tmp_path, "static_scale", modality="audio", scale=scale)
    np.testing.assert_allclose(
        columns(record, "relative_update"), [[scale, 1.0]] * 4, rtol=1e-4, atol=1e-6
    )
    assert columns(record, "activation").tolist() == [[1.0, 0.0]] * 4
    rates = scheduled(record)
    np.testing.assert_allclose(
        columns(record, "effective_learning_rate"),
        np.stack([scale * rates, rates], 1),
        rtol=1e-4,
        atol=1e-9,
    )
    np.testing.assert_allclose(columns(record, "learning_rate"), np.stack([rates] * 2, 1))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_factor_of_miles_is_the_relative_update(
    base: RunConfig, tmp_path: Path, optimizer: str
) -> None:
    """With momentum and weight decay, or with Adam: it is the learning rate and nothing else."""
    rate = 0.01 if optimizer == "sgd" else 0.001
    train = {"drop_at": 0.5, "optimizer": optimizer, "learning_rate": rate}
    more = base.replace(train=train, data={"hold_out": 0.3})  # 45 items: ties are rare
    record = measured(more, tmp_path, "miles", threshold=0.0, reduction=0.3)
    factors = columns(record, "miles/factor")
    assert np.isnan(factors[0]).all()  # nothing is set before the first epoch is over
    factors[0] = 1.0
    np.testing.assert_allclose(columns(record, "relative_update"), factors, rtol=2e-4)
    rates = scheduled(record)
    np.testing.assert_allclose(
        columns(record, "learning_rate"), factors * rates[:, None], rtol=1e-6
    )
    np.testing.assert_allclose(record.epochs["learning_rate/fusion"], rates, rtol=1e-6)
    assert (columns(record, "activation") == 0).all()  # no gradient is edited
    for epoch in range(4):
        utilization = utilizations(record, epoch)
        said = columns(record, "miles/utilization")[epoch]
        np.testing.assert_allclose(said, [float(u) for u in utilization], rtol=1e-5, atol=1e-7)
        if epoch < 3:
            expected = [1.0, 1.0]
            if utilization[0] != utilization[1] and max(utilization) >= 0:
                expected[utilization.index(max(utilization))] = 0.3
            np.testing.assert_allclose(factors[epoch + 1], expected)
    assert factors.min() < 0.31


def utilizations(record: RunRecord, epoch: int) -> list[Fraction]:
    """Return the rates of an epoch from the counts of right answers on the validation part."""
    items = record.values["items"]["valid"]
    names = ("", "/visual", "/audio")  # of each the other
    right = [round(items * record.epochs[f"valid_accuracy{name}"][epoch]) for name in names]
    return [Fraction(right[0] - other, right[0]) for other in right[1:]]


@pytest.mark.parametrize("skip", ["zero", "freeze"])
def test_a_skipped_step_in_the_record(base: RunConfig, tmp_path: Path, skip: str) -> None:
    record = measured(
        base, tmp_path, "frequency", adaptation="fixed", ratio=3, soft_mask_scale=0.0, skip=skip
    )
    steps = record.steps
    skipped = np.arange(len(steps)) % 3 != 0
    assert (steps["frequency/updates/audio"] == ~skipped).all()
    assert (steps["frequency/period/audio"] == 3).all()
    assert (steps["loss/audio"][skipped] == 0).all()
    assert (steps["loss/audio"][~skipped] > 0).all()
    assert (steps["loss/visual"] > 0).all()
    assert (steps["gradient_norm/audio"] > 0).all()  # of the fused loss
    assert (steps["modulated_norm/audio"][skipped] == 0).all()
    moved = steps["update_norm/audio"]
    if skip == "freeze":
        assert (moved[skipped] == 0).all()
    else:  # momentum and weight decay go on
        assert (moved > 0).all()
    assert (moved[~skipped] > 0).all()
    assert columns(record, "activation").tolist() == [[pytest.approx(2 / 3), 0.0] for _ in range(4)]
    relative = columns(record, "relative_update")
    assert (relative[:, 0] < 0.97).all()
    np.testing.assert_allclose(relative[:, 1], 1.0, rtol=1e-5)


def test_the_study_s_staleness_of_one_step_is_a_learning_rate(
    plain: RunConfig, tmp_path: Path
) -> None:
    record = measured(
        plain, tmp_path, "staleness", adaptation="fixed", staleness=1, variant="study",
        lambda_comp=0.25,
    )  # fmt: skip
    np.testing.assert_allclose(columns(record, "relative_update"), [[0.8, 1.0]] * 4, rtol=1e-4)
    stale = measured(
        plain.replace(run_id="real"), tmp_path / "real", "staleness", adaptation="fixed",
        staleness=1, lambda_comp=0.25,
    )  # fmt: skip
    ratio = (stale.steps["update_norm/audio"] / stale.steps["unmodulated_norm/audio"])[1:]
    assert ratio.std() > 0.01  # an older gradient is another direction, not another length


def test_what_the_probes_read_on_other_items_is_recorded(base: RunConfig, tmp_path: Path) -> None:
    record = measured(base, tmp_path, "boost")
    for part in ("valid", "test"):
        read = columns(record, f"boost/probe_on_{part}")
        assert np.isfinite(read).all()
        assert ((read >= 0) & (read <= 1)).all()
    assert record.steps["boost/probe_reading/audio"].notna().sum() == 4 * 5
