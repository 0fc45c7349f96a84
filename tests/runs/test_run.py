"""One run: what it leaves behind, what it refuses, and that it is decided by its config."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from asgml_core import RunConfig, RunRecord, identity, profile, run, runs, study
from asgml_core.claims import STATE, BusyError, claim, read_state
from asgml_core.config import MethodConfig
from asgml_core.modulators import REGISTRY, Clock, Modulator
from asgml_core.records import RecordError
from asgml_core.runs import RunError
from asgml_core.trainer import DivergedError

FILES = {
    "state.json", "record.json", "predictions.npz", "steps.npz", "epochs.csv", "chosen.pt",
    "last.pt", "checkpoint.pt", "events",
}  # fmt: skip


def weights(record: RunRecord, name: str = "last.pt") -> dict[str, torch.Tensor]:
    return torch.load(record.folder / name, weights_only=True)["model"]


def assert_same_results(one: RunRecord, other: RunRecord) -> None:
    """Bit for bit, but for when and how long."""
    a, b = (json.loads(json.dumps(r.values)) for r in (one, other))
    for values in (a, b):
        del values["provenance"]["wall_time"], values["provenance"]["finished"]
    assert a == b
    for name in ("last.pt", "chosen.pt"):
        first, second = weights(one, name), weights(other, name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[k], second[k]) for k in first)
    for table in ("steps.npz", "predictions.npz"):
        with np.load(one.folder / table) as x, np.load(other.folder / table) as y:
            assert x.files == y.files
            assert all(x[k].tobytes() == y[k].tobytes() for k in x.files)
    assert (one.folder / "epochs.csv").read_text() == (other.folder / "epochs.csv").read_text()


def test_a_run_leaves_everything_a_reader_needs(boosted: RunConfig, tmp_path: Path) -> None:
    record = run(boosted, tmp_path, progress=False)
    assert record.folder == tmp_path / "sweep" / "boost_ogm_seed3"
    assert {path.name for path in record.folder.iterdir()} == FILES
    assert list((record.folder / "events").glob("events.out.tfevents.*"))
    assert record.config == boosted
    assert record.values["schedule"] == {
        "ogm_ge/start": 0, "ogm_ge/end": 2, "boost/probe_times_per_epoch": 5
    }  # fmt: skip
    items = record.values["items"]
    assert items["train"] + items["valid"] == 105
    assert items["test"] == 45
    assert set(record.provenance) == {
        "commit", "code", "data", "versions", "system", "device", "threads", "finished",
        "wall_time",
    }  # fmt: skip
    assert "eval_every=None, probe_steps=10" in record.values["settings"]["boost"]
    assert len(record.epochs) == 4
    assert len(record.steps) == 4 * record.values["batches_per_epoch"]
    expected = {
        f"{quantity}/{m}"
        for m in ("audio", "visual")
        for quantity in (
            "loss", "gradient_norm", "modulated_norm", "update_norm", "unmodulated_norm",
            "ogm_ge/coefficient", "boost/scale", "boost/probe_accuracy", "boost/probe_reading",
        )
    } | {"loss/fused", "boost/gap", "train_accuracy"}  # fmt: skip
    assert set(record.steps) == expected
    assert {
        "activation/audio", "relative_update/visual", "effective_learning_rate/audio",
        "test_accuracy/visual", "boost/probe_on_valid/audio", "boost/probe_on_test/visual",
    } <= set(record.epochs)  # fmt: skip


def test_the_record_agrees_with_the_predictions(boosted: RunConfig, tmp_path: Path) -> None:
    record = run(boosted, tmp_path, progress=False)
    kept = record.predictions
    assert len(set(kept["id"])) == 45
    for selection, entry in record.selections.items():
        for name, accuracy in {"fused": entry["accuracy"], **entry["accuracies"]}.items():
            right = kept[f"{selection}/{name}"].argmax(1) == kept["label"]
            assert right.mean() == pytest.approx(accuracy, abs=1e-12)
        assert record.epochs["test_accuracy"][entry["epoch"] - 1] == pytest.approx(
            entry["accuracy"], abs=1e-6
        )
    tests = record.epochs["test_accuracy"]
    assert record.selections["best_on_test"]["accuracy"] == pytest.approx(tests.max(), abs=1e-6)
    assert record.selections["best_on_test"]["epoch"] == int(tests.idxmax()) + 1
    valid = record.epochs["valid_accuracy"]
    assert record.selections["validation"]["epoch"] == int(valid.idxmax()) + 1
    assert record.selections["last"]["epoch"] == 4
    assert record.accuracy() == record.selections["validation"]["accuracy"]


def test_what_the_method_did_is_in_the_telemetry(boosted: RunConfig, tmp_path: Path) -> None:
    record = run(boosted, tmp_path, progress=False)
    steps, batches = record.steps, record.values["batches_per_epoch"]
    inside = np.arange(len(steps)) < 2 * batches  # OGM-GE's window: the first half
    coefficients = steps[["ogm_ge/coefficient/audio", "ogm_ge/coefficient/visual"]].to_numpy()
    assert np.isfinite(coefficients[inside]).all()
    assert np.isnan(coefficients[~inside]).all()
    # One of two is damped at each step, to 1 - tanh(.8) at most; the other is left alone.
    assert (coefficients[inside].max(1) == 1).all()
    assert (coefficients[inside].min(1) <= 1 - np.tanh(0.8) + 1e-6).all()
    # Outside the window boost alone is at work: the norm changes by its scale.
    for m in ("audio", "visual"):
        ratio = (steps[f"modulated_norm/{m}"] / steps[f"gradient_norm/{m}"])[~inside]
        np.testing.assert_allclose(ratio, steps[f"boost/scale/{m}"][~inside], rtol=1e-4)
    assert record.values["methods"]["ogm_ge"] == {"measured": 0, "acted": 2 * batches}
    assert record.values["methods"]["boost"]["measured"] == 4 * 5
    assert record.epochs["activation/audio"].between(0, 1).all()


def test_a_finished_run_is_read_and_not_repeated(
    base: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(base, tmp_path, progress=False)

    def refuse(*_: object) -> None:
        raise AssertionError("the run was started again")

    monkeypatch.setattr(runs, "_Run", refuse)
    assert run(base, tmp_path, progress=False).values == first.values


def test_same_config_same_bits(boosted: RunConfig, tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = run(boosted, tmp_path / "one", progress=False)
    assert torch.equal(torch.get_rng_state(), state)  # the global state is nobody's business
    torch.manual_seed(2)
    assert_same_results(one, run(boosted, tmp_path / "two", progress=False))
    other = run(boosted.replace(seed=4), tmp_path / "two", progress=False)
    assert not torch.equal(*(weights(r)["encoders.audio.conv1.weight"] for r in (one, other)))


def test_methods_share_data_weights_and_order(base: RunConfig, tmp_path: Path) -> None:
    """Until a method acts, its run is the baseline's."""
    plain = run(base, tmp_path, progress=False)
    late = MethodConfig(name="ogm_ge", start=3)
    acting = run(
        base.replace(run_id="late", methods=(*base.methods, late)), tmp_path, progress=False
    )
    first = 2 * plain.values["batches_per_epoch"]
    for column in ("loss/fused", "gradient_norm/audio", "update_norm/visual"):
        a, b = plain.steps[column].to_numpy(), acting.steps[column].to_numpy()
        assert (a[:first] == b[:first]).all()
    assert not np.array_equal(plain.steps["loss/fused"], acting.steps["loss/fused"])


def test_the_three_arms_that_the_study_lacks(base: RunConfig, tmp_path: Path) -> None:
    joint = run(study.config("joint_only", base), tmp_path, progress=False)
    assert set(joint.steps) >= {"loss/fused"}
    assert "loss/audio" not in joint.steps
    # Heads that were never trained say nothing, and the record does not pretend otherwise.
    assert joint.selections["last"]["accuracies"] == {"audio": None, "visual": None}
    assert joint.selections["last"]["refitted_probes"]["audio"] > 0.6
    alone = run(study.config("audio_only", base), tmp_path, progress=False)
    assert list(alone.selections["last"]["accuracies"]) == ["audio"]
    assert alone.accuracy(modality="audio") == alone.accuracy()
    separate = run(study.config("unimodal_losses_only", base), tmp_path, progress=False)
    assert {name for name in separate.steps if name.startswith("loss/")} == {
        "loss/audio", "loss/visual"
    }  # fmt: skip
    summed = separate.predictions["last/audio"] + separate.predictions["last/visual"]
    np.testing.assert_allclose(separate.predictions["last/fused"], summed, atol=1e-5)


def test_protocol_paper_trains_on_everything_and_has_no_validation(
    base: RunConfig, tmp_path: Path
) -> None:
    record = run(base.replace(protocol="paper"), tmp_path, progress=False)
    assert record.values["items"] == {"train": 105, "test": 45}
    assert set(record.selections) == {"last", "best_on_test"}
    assert record.accuracy() == record.selections["last"]["accuracy"]


def test_a_folder_of_another_config_is_refused_by_field(base: RunConfig, tmp_path: Path) -> None:
    run(base, tmp_path, progress=False)
    other = base.replace(train={"learning_rate": 0.01})
    with pytest.raises(RunError, match=r"train\.learning_rate 0\.05 -> 0\.01"):
        run(other, tmp_path, progress=False)
    again = run(other, tmp_path, again=True, progress=False)
    assert again.config == other


def test_a_run_of_other_code_is_refused(
    base: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(base, tmp_path, progress=False)
    monkeypatch.setattr(identity, "code_of", lambda config: "another")
    with pytest.raises(RunError, match="made by other code"):
        run(base, tmp_path, progress=False)


def test_a_method_that_never_acts_is_an_error(base: RunConfig, tmp_path: Path) -> None:
    idle = base.replace(methods=(*base.methods, MethodConfig(name="boost", options={"alpha": 0.0})))
    with pytest.raises(RunError, match="'boost' never acted"):
        run(idle, tmp_path, progress=False)
    with pytest.raises(RecordError, match="not finished"):
        RunRecord.load(tmp_path / "sweep" / idle.folder)


def test_a_probe_period_longer_than_the_epoch_stops_before_training(
    base: RunConfig, tmp_path: Path
) -> None:
    slow = MethodConfig(name="throttle", options={"eval_every": 100})
    with pytest.raises(ValueError, match="eval_every is 100 batches, but an epoch has 6"):
        run(base.replace(methods=(*base.methods, slow)), tmp_path, progress=False)
    (folder,) = (tmp_path / "sweep").iterdir()
    assert [file.name for file in folder.iterdir()] == [STATE]
    assert read_state(folder / STATE)["state"] == "failed"


def test_a_window_outside_the_run_is_refused(base: RunConfig) -> None:
    late = MethodConfig(name="ogm", start=5, end=9)
    with pytest.raises(ValueError, match="from epoch 5 to 9, but the run has epochs 1 to 4"):
        base.replace(methods=(*base.methods, late))


def test_a_diverging_run_says_where(base: RunConfig, tmp_path: Path) -> None:
    wild = base.replace(train={"learning_rate": 1e18, "weight_decay": 1e3})
    with pytest.raises(DivergedError, match=r"loss/\w+ is (nan|inf) in epoch 1, step \d+"):
        run(wild, tmp_path, progress=False)
    folder = tmp_path / "sweep" / wild.folder
    assert not (folder / "record.json").exists()
    said = read_state(folder / STATE)
    assert (said["state"], said["epoch"]) == ("diverged", 1)
    assert f"step {said['step']};" in said["reason"]
    with pytest.raises(DivergedError, match="diverged before, and would again"):
        run(wild, tmp_path, progress=False)
    with pytest.raises(DivergedError, match=r"loss/\w+ is (nan|inf) in epoch 1, step \d+"):
        run(wild, tmp_path, again=True, progress=False)


def test_a_device_that_is_not_there_is_refused(base: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be 'cpu', 'cuda'"):
        run(base.replace(device="gpu"), tmp_path, progress=False)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="has 0 CUDA devices in reach"):
            run(base.replace(device="cuda"), tmp_path, progress=False)


def test_threads_are_given_back(base: RunConfig, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(base, tmp_path, progress=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_bar_is_told_every_epoch(base: RunConfig, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    run(base, tmp_path, progress=lambda epoch, epochs, row: told.append((epoch, epochs)))
    assert told == [(k, 4) for k in range(5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not readable JSON"), ("[]", "has format None"), ('{"format": 9}', "has format 9")],
)
def test_a_damaged_record_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(RecordError, match=message):
        RunRecord.load(tmp_path)


def three_kinds(folder: Path) -> Path:
    """Write data of three modalities of three ranks: a vector, a picture, a clip."""
    draw = np.random.default_rng(0)
    labels = np.arange(120) % 3
    onehot = np.eye(3)[labels]
    path = folder / "three.npz"
    np.savez(
        path,
        text=onehot @ draw.normal(size=(3, 9)) + draw.normal(size=(120, 9)),
        audio=onehot[:, [0, 1, 2, 0], None].reshape(120, 1, 2, 2).repeat(4, 2).repeat(4, 3)
        + draw.normal(size=(120, 1, 8, 8)),
        visual=draw.normal(size=(120, 2, 1, 8, 8)),
        labels=labels,
        groups=np.array([f"g{i % 12}" for i in range(120)]),
    )
    path.with_suffix(".yaml").write_text(
        "classes: [a, b, c]\nmodalities: [text, audio, visual]\ntest_fraction: 0.25\n"
    )
    return path


def test_three_modalities_of_three_kinds(tmp_path: Path) -> None:
    base = profile("arrays", seed=1, epochs=2, options={"path": str(three_kinds(tmp_path))})
    base = base.replace(model={"width": 2, "stem": "small"}, train={"batch_size": 16})
    ogm = MethodConfig(name="ogm_ge", options={"reference": "mean", "scope": "weights"})
    methods = (*base.methods, ogm, MethodConfig(name="boost"))
    record = run(base.replace(run_id="three", methods=methods), tmp_path, progress=False)
    scales = record.steps[[f"boost/scale/{m}" for m in ("text", "audio", "visual")]]
    assert (scales.iloc[-1].nunique()) == 3  # not a switch any more: the middle one has a share
    assert set(record.selections["last"]["refitted_probes"]) == {"text", "audio", "visual"}
    conv = base.replace(run_id="conv", methods=(*base.methods, MethodConfig(name="ogm")))
    with pytest.raises(ValueError, match="the encoder 'text' has no gradient of 4 or more"):
        run(conv, tmp_path, progress=False)
    for name in study.group("v2_boost"):  # the study's runs fit any encoder
        options = {m.name: m.options.get("scope") for m in study.config(name, base).methods}
        assert options.get("ogm_ge", "weights") == options.get("noise", "weights") == "weights"


def test_a_method_may_train_one_modality_a_pass(base: RunConfig, tmp_path: Path) -> None:
    """The hook ``passes``: each encoder learns from its own pass, on every head."""

    class Alternating(Modulator):
        name = "alternating"

        def passes(self, modalities: tuple, clock: Clock) -> tuple:
            self.count("acted")
            return tuple((m,) for m in modalities)

    REGISTRY["alternating"] = Alternating
    try:
        for head in ("concat_mlp", "concat_linear", "sum"):
            config = base.replace(
                run_id=head, methods=(MethodConfig(name="alternating"),), model={"head": head}
            )
            record = run(config, tmp_path, progress=False)
            assert len(record.steps) == 4 * record.values["batches_per_epoch"]
            assert record.steps[["update_norm/audio", "update_norm/visual"]].gt(0).all(axis=None)
            assert record.selections["last"]["refitted_probes"]["audio"] > 0.6
    finally:
        del REGISTRY["alternating"]


def test_a_finished_run_notices_that_its_data_changed(base: RunConfig, tmp_path: Path) -> None:
    mine = three_kinds(tmp_path)
    config = base.replace(data={"options": {"path": str(mine)}, "modalities": ("audio",)})
    config = config.replace(methods=(), model={"head": "concat_linear"})
    run(config, tmp_path, progress=False)
    with np.load(mine) as archive:
        changed = {name: archive[name] for name in archive.files}
    changed["audio"] += 1.0 * (np.arange(120) == 7)[:, None, None, None]
    np.savez(mine, **changed)
    with pytest.raises(RunError, match="made with other data"):
        run(config, tmp_path, progress=False)


def test_two_processes_do_not_share_a_run(base: RunConfig, tmp_path: Path) -> None:
    folder = tmp_path / "sweep" / base.folder
    folder.mkdir(parents=True)
    with claim(folder / STATE), pytest.raises(BusyError, match="another process is at work"):
        run(base, tmp_path, progress=False)
    assert run(base, tmp_path, progress=False).selections["last"]["epoch"] == 4


def test_the_callers_autocast_is_left_outside(base: RunConfig, tmp_path: Path) -> None:
    plain = run(base, tmp_path / "plain", progress=False)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert_same_results(plain, run(base, tmp_path / "inside", progress=False))


def test_heads_are_known_to_be_trained_without_momentum(base: RunConfig, tmp_path: Path) -> None:
    record = run(base.replace(train={"momentum": 0.0}), tmp_path, progress=False)
    assert None not in record.selections["last"]["accuracies"].values()


def test_a_config_that_cannot_be_saved_is_refused_at_once(base: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be saved as JSON"):
        base.replace(data={"options": {"path": tmp_path}})
    assert base.replace(seed=np.int64(4)) == base.replace(seed=4)
