"""The one dataset: what it accepts, what it refuses, and how a validation part is held out."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from asgml_core.datasets import DataError, MultimodalDataset, Part


def part(n: int = 12, start: int = 0, groups: int = 4) -> Part:
    draw = torch.Generator().manual_seed(start)
    return Part(
        inputs={"audio": torch.randn(n, 5, generator=draw), "visual": torch.randn(n, 1, 4, 4)},
        labels=torch.arange(n) % 3,
        ids=tuple(f"i{start + i}" for i in range(n)),
        groups=tuple(f"g{(start + i) % groups}" for i in range(n)),
    )


def dataset(
    train: Part | None = None, test: Part | None = None, **more: object
) -> MultimodalDataset:
    train = part() if train is None else train
    test = part(6, 100) if test is None else test
    return MultimodalDataset(name="toy", classes=("a", "b", "c"), train=train, test=test, **more)


def change(old: Part, **changes: object) -> Part:
    return dataclasses.replace(old, **changes)


def with_input(name: str, x: torch.Tensor) -> Part:
    return change(part(), inputs={**part().inputs, name: x})


def test_what_a_dataset_tells_of_itself() -> None:
    toy = dataset()
    assert toy.modalities == ("audio", "visual")
    assert toy.shapes == {"audio": (5,), "visual": (1, 4, 4)}
    assert set(toy.parts) == {"train", "test"}


def nan_row() -> torch.Tensor:
    x = torch.zeros(12, 5)
    x[7, 2] = float("nan")
    return x


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (change(part(), labels=torch.full((12,), 3)), r"label of row 0 \(item 'i0'\) is 3.*0 to 2"),
        (change(part(), labels=torch.full((12,), -1)), "is -1"),
        (change(part(), labels=torch.zeros(12)), "labels are torch.float32"),
        (change(part(), ids=("x",) * 12), "item 'x' more than once"),
        (change(part(), ids=("x",)), "12 labels, 1 ids and 12 groups"),
        (
            with_input("audio", nan_row()),
            r"train, audio: row 7 \(item 'i7'\) holds NaN or infinity \(1 such",
        ),
        (with_input("audio", torch.full((12, 5), float("inf"))), "12 such rows"),
        (with_input("audio", torch.zeros(11, 5)), "has 11 rows, but there are 12 labels"),
        (with_input("audio", torch.zeros(12, 5, dtype=torch.uint8)), "is torch.uint8"),
        (with_input("fusion", torch.zeros(12, 5)), "named 'fusion'"),
        (with_input("my audio", torch.zeros(12, 5)), "named 'my audio'"),
        (change(part(), inputs={}), "has no modalities"),
        (part(0), "has no items"),
    ],
)
def test_bad_data_is_refused_by_name(train: Part, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset(train=train)


def test_parts_must_agree() -> None:
    other = change(part(6, 100), inputs={"audio": torch.zeros(6, 5)})
    with pytest.raises(DataError, match=r"test has the modalities \('audio',\)"):
        dataset(test=other)
    wide = change(part(6, 100), inputs={**part(6, 100).inputs, "audio": torch.zeros(6, 9)})
    with pytest.raises(DataError, match=r"items of shape \(9,\), but train has \(5,\)"):
        dataset(test=wide)


def test_an_item_in_two_parts_is_a_leak() -> None:
    with pytest.raises(DataError, match="'i3' is in both train and test"):
        dataset(test=part(6, 3))


def test_a_validation_part_is_made_of_whole_groups() -> None:
    toy = dataset(train=part(40, groups=10))
    held = toy.hold_out(0.25, seed=1)
    assert set(held.train.groups).isdisjoint(held.valid.groups)
    assert len(held.valid) == 12  # the fewest whole groups of 4 that make 10 items or more
    assert sorted(held.train.ids + held.valid.ids) == sorted(toy.train.ids)
    assert held.hold_out(0.25, seed=1) is held
    assert held.valid.ids == toy.hold_out(0.25, seed=1).valid.ids
    assert held.valid.ids != toy.hold_out(0.25, seed=2).valid.ids
    row = toy.train.ids.index(held.valid.ids[0])
    assert torch.equal(held.valid.inputs["audio"][0], toy.train.inputs["audio"][row])


def test_a_group_far_larger_than_the_part_stays_in_training() -> None:
    groups = ("big",) * 30 + ("a", "b", "c") + ("d",) * 7
    toy = dataset(train=change(part(40), groups=groups))
    for seed in range(8):
        assert "big" not in toy.hold_out(0.1, seed).valid.groups
    two = dataset(train=change(part(40), groups=("big",) * 36 + ("small",) * 4))
    for seed in range(8):  # also where the small one is drawn last
        assert set(two.hold_out(0.1, seed).valid.groups) == {"small"}
    huge = dataset(train=change(part(40), groups=("x",) * 20 + ("y",) * 20))
    assert len(huge.hold_out(0.1, 0).valid) == 20  # nothing smaller is there


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(DataError, match="has 1 group; it needs two"):
        dataset(train=part(groups=1)).hold_out(0.1, seed=0)


def test_joining_validation_gives_the_items_back() -> None:
    toy = dataset(train=part(40, groups=10))
    joined = toy.hold_out(0.25, seed=1).join_valid()
    assert joined.valid is None
    assert sorted(joined.train.ids) == sorted(toy.train.ids)
    assert toy.join_valid() is toy


def test_selecting_modalities() -> None:
    assert dataset().select(("visual",)).modalities == ("visual",)
    assert dataset().select(("visual", "audio")).modalities == ("visual", "audio")
    with pytest.raises(DataError, match="no modality 'text'; it has audio, visual"):
        dataset().select(("text",))


def test_the_fingerprint_notices_every_change() -> None:
    torch.manual_seed(0)
    train, test = part(), part(6, 100)
    whole = dataset(train, test).fingerprint
    assert dataset(train, test).fingerprint == whole
    moved = {**train.inputs, "audio": train.inputs["audio"] + 1e-6}
    for other in (
        change(train, inputs=moved),
        change(train, labels=(train.labels + 1) % 3),
        change(train, groups=train.groups[::-1]),
        train.take(range(11)),
    ):
        assert dataset(other, test).fingerprint != whole
