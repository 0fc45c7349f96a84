"""Many runs at once give what one at a time gives, and a failure loses nothing."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from asgml_core import profile, run, run_all, study
from asgml_core.config import MethodConfig
from asgml_core.datasets import load
from asgml_core.modulators import REGISTRY
from asgml_core.sweep import SweepError
from asgml_core.worker import LastData


def configs(count: int = 2) -> list:
    base = profile("synth", seed=2, epochs=1, options={"train": 192, "test": 96})
    return [study.config(name, base) for name in ("baseline", "boost_ogm", "cont_noise")[:count]]


def test_workers_give_the_same_bits_in_the_same_order(tmp_path: Path) -> None:
    plans = configs(3)
    alone = [run(config, tmp_path / "alone", progress=False) for config in plans]
    together = run_all(plans, tmp_path / "together", workers=2, progress=False)
    assert [record.run_id for record in together] == [config.run_id for config in plans]
    for a, b in zip(alone, together, strict=True):
        for name in ("last.pt", "epochs.csv", "predictions.npz"):
            if name == "epochs.csv":
                assert (a.folder / name).read_text() == (b.folder / name).read_text()
        assert a.selections == b.selections
        assert (a.predictions["last/fused"] == b.predictions["last/fused"]).all()


def test_one_failure_is_named_and_the_others_are_finished(tmp_path: Path) -> None:
    good, other = configs(2)
    idle = MethodConfig(name="boost", options={"alpha": 0.0})
    bad = other.replace(run_id="idle", methods=(idle,))
    with pytest.raises(
        SweepError, match=r"1 of 2 runs failed:\n  idle_seed2: the method 'boost' never acted"
    ):
        run_all([good, bad], tmp_path, workers=2, progress=False)
    assert (tmp_path / "sweep" / good.folder / "record.json").exists()


def test_two_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    one = configs(1)[0]
    with pytest.raises(ValueError, match="two of the runs are called 'baseline_seed2'"):
        run_all([one, one], tmp_path)


def test_a_worker_loads_the_data_of_equal_runs_once() -> None:
    base, other = configs(2)
    last = LastData()
    first = last.load(base)
    assert last.load(other) is first  # another method on the same data
    assert last.load(other.replace(device="cuda")) is first
    for changed in (
        other.replace(seed=3),
        other.replace(data={"hold_out": 0.2}),
        other.replace(data={"modalities": ("audio",)}),
        other.replace(protocol="paper"),
    ):
        assert last.load(changed).fingerprint == load(changed).fingerprint != first.fingerprint


OWN = """
from asgml_core.modulators import REGISTRY, Modulator
from asgml_core.modulators.editing import scale_gradients, gradients_of


class Halve(Modulator):
    '''Halves the gradients of one encoder.'''

    name = "halve_for_a_test"

    def __init__(self, modality: str = "audio") -> None:
        super().__init__()
        self.modality = modality

    def gradients(self, outputs, labels, groups, clock):
        scale_gradients(gradients_of(groups[self.modality]), 0.5)
        self.acted += 1
        return {}


REGISTRY[Halve.name] = Halve
"""


def test_workers_know_a_method_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halving_method.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    halving_method = importlib.import_module("halving_method")
    try:
        base = configs(1)[0]
        method = MethodConfig(name="halve_for_a_test")
        mine = base.replace(run_id="halved", methods=(*base.methods, method))
        alone = run(mine, tmp_path / "alone", progress=False)
        records = run_all([base, mine], tmp_path / "together", workers=2, progress=False)
        assert records[1].selections == alone.selections
        assert records[1].selections != records[0].selections
        monkeypatch.setattr(halving_method.Halve, "__module__", "__main__")
        with pytest.raises(ValueError, match="'halve_for_a_test' is defined in the main script"):
            run_all([mine], tmp_path / "main", progress=False)
    finally:
        REGISTRY.pop("halve_for_a_test", None)
