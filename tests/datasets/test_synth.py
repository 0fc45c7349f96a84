"""The drawn dataset: same bits from the same seed, and the label only where the knobs let it."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

from asgml_core.datasets.base import MultimodalDataset
from asgml_core.datasets.synth import CLASSES, SIZE, examples, synth

# The package exports the function under the module's name.
module = importlib.import_module("asgml_core.datasets.synth")


def small(**options: object) -> MultimodalDataset:
    return synth(**{"seed": 5, "train": 600, "test": 300, "speakers": 32, **options})


def linear_accuracy(dataset: MultimodalDataset, modality: str) -> float:
    """Test accuracy of a ridge regression on the pixels."""
    train, test = (part.inputs[modality].flatten(1) for part in (dataset.train, dataset.test))
    onto = torch.eye(len(CLASSES))[dataset.train.labels] - 1 / len(CLASSES)
    ridge = train.T @ train + 1000 * torch.eye(train.shape[1])
    guess = (test @ torch.linalg.solve(ridge, train.T @ onto)).argmax(1)
    return float((guess == dataset.test.labels).float().mean())


def test_the_seed_decides_every_bit() -> None:
    assert small().fingerprint == small().fingerprint
    assert small().fingerprint != small(seed=6).fingerprint


def test_drawing_leaves_the_global_random_states_alone() -> None:
    numpy_state, torch_state = np.random.get_state(), torch.get_rng_state()
    small()
    assert str(numpy_state) == str(np.random.get_state())
    assert torch.equal(torch_state, torch.get_rng_state())


def test_items_are_what_the_networks_expect() -> None:
    dataset = small()
    assert dataset.classes == ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
    assert dataset.modalities == ("audio", "visual")
    assert dataset.shapes == {"audio": (1, SIZE, SIZE), "visual": (1, SIZE, SIZE)}
    assert (len(dataset.train), len(dataset.test)) == (600, 300)
    for x in dataset.train.inputs.values():
        assert x.dtype == torch.float32


def test_the_training_part_sets_the_scale_of_both_parts() -> None:
    dataset = small()
    for modality, x in dataset.train.inputs.items():
        assert float(x.double().mean()) == pytest.approx(0, abs=1e-4)
        assert float(x.double().std()) == pytest.approx(1, abs=1e-4)
        other = dataset.test.inputs[modality].double()
        assert 1e-4 < abs(float(other.mean())) < 0.3
        assert 0.7 < float(other.std()) < 1.3


def test_no_speaker_is_in_both_parts_and_names_say_who_and_what() -> None:
    dataset = small()
    train, test = set(dataset.train.groups), set(dataset.test.groups)
    assert (len(train), len(test)) == (24, 8)
    assert not train & test
    held = dataset.hold_out(0.1, 5)
    assert not set(held.train.groups) & set(held.valid.groups)
    ids = dataset.train.ids + dataset.test.ids
    assert len(set(ids)) == 900
    for part in dataset.parts.values():
        for name, group, label in zip(part.ids, part.groups, part.labels, strict=True):
            assert name.endswith(f"_{group}_{CLASSES[label]}")


@pytest.mark.parametrize("speakers", [8, 15, 31, 32])
def test_classes_are_even_overall_and_for_every_speaker(speakers: int) -> None:
    dataset = small(train=30 * (speakers - speakers // 4), speakers=speakers)
    part = dataset.train
    assert part.labels.bincount().tolist() == [len(part) // 6] * 6
    for group in set(part.groups):
        mine = torch.tensor([name == group for name in part.groups])
        assert part.labels[mine].bincount(minlength=6).tolist() == [5] * 6


def test_default_counts_leave_whole_batches_after_holding_out() -> None:
    # A last batch of one item would stop a network with batch norm.
    for seed in range(3):
        dataset = synth(seed=seed).hold_out(0.1, seed)
        assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == (1536, 192, 720)
        assert len(dataset.train) % 64 == 0


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_without_signal_a_modality_does_not_depend_on_the_label(
    modality: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(signal: float) -> MultimodalDataset:
        return small(train=120, test=60, **{f"{modality}_signal": signal})

    silent, clear, schedule = drawn(0), drawn(1), module._schedule

    def relabelled(*args: object) -> tuple[np.ndarray, np.ndarray]:
        who, labels = schedule(*args)
        return who, (labels + 1) % len(CLASSES)

    monkeypatch.setattr(module, "_schedule", relabelled)
    assert not torch.equal(silent.train.labels, drawn(0).train.labels)
    for part in ("train", "test"):
        same = silent.parts[part].inputs[modality], drawn(0).parts[part].inputs[modality]
        assert torch.equal(*same)
        other = clear.parts[part].inputs[modality], drawn(1).parts[part].inputs[modality]
        assert not torch.equal(*other)


def test_the_knob_of_one_modality_leaves_the_other_alone() -> None:
    default, deaf, blind = small(), small(audio_signal=0.5), small(visual_signal=0.5)
    assert torch.equal(default.train.inputs["visual"], deaf.train.inputs["visual"])
    assert torch.equal(default.train.inputs["audio"], blind.train.inputs["audio"])
    assert not torch.equal(default.train.inputs["audio"], deaf.train.inputs["audio"])
    assert not torch.equal(default.train.inputs["visual"], blind.train.inputs["visual"])


def test_a_linear_classifier_finds_the_signal_and_only_where_there_is_some() -> None:
    by_knob = [small(audio_signal=knob, visual_signal=knob) for knob in (0, 0.5, 1)]
    for modality in ("audio", "visual"):
        none, half, full = (linear_accuracy(dataset, modality) for dataset in by_knob)
        # 300 items: chance is 1/6 with a standard error of 0.022.
        assert abs(none - 1 / 6) < 0.08
        assert half > none + 0.1
        assert full > half + 0.05
        assert full > 0.5


def test_examples_differ_by_emotion_and_are_plain() -> None:
    shown = examples()
    assert {m: x.shape for m, x in shown.items()} == dict.fromkeys(shown, (6, SIZE, SIZE))
    for x in shown.values():
        assert np.isfinite(x).all()
        assert len({image.tobytes() for image in x}) == len(CLASSES)
    faces = shown["visual"]
    assert faces.min() >= 0
    assert faces.max() <= 1
    # The open mouth of fear is dark where the closed one of anger is not.
    mouth = faces[:, 21:26, 13:19].mean((1, 2))
    assert mouth[CLASSES.index("FEA")] < mouth[CLASSES.index("ANG")] - 0.1
    # An angry voice is louder than a sad one.
    loudness = shown["audio"].mean((1, 2))
    assert loudness[CLASSES.index("ANG")] > loudness[CLASSES.index("SAD")] + 0.5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("train", 5),
        ("train", 12.5),
        ("test", 0),
        ("speakers", 7),
        ("audio_signal", -0.1),
        ("audio_signal", float("nan")),
        ("visual_signal", 2.5),
        ("visual_signal", "1"),
    ],
)
def test_a_bad_option_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        small(**{field: value})
