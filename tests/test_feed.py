"""Batches: on the device or read ahead from disk, the same bits; and no thread left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from asgml_core.config import RunConfig
from asgml_core.datasets import Part
from asgml_core.datasets.base import MultimodalDataset
from asgml_core.datasets.stored import Stored
from asgml_core.datasets.transforms import Floats, Pictures
from asgml_core.feed import Feed
from asgml_core.models import build_model
from asgml_core.modulators import Chain
from asgml_core.trainer import Trainer


@pytest.fixture
def data(tmp_path: Path) -> MultimodalDataset:
    """Give 40 items on disk, those of the two parts mixed up."""
    draw = np.random.default_rng(0)
    arrays = {
        "audio": draw.normal(size=(40, 1, 17, 12)).astype(np.float32),
        "visual": draw.integers(0, 255, (40, 2, 24, 32, 3), dtype=np.uint8),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)

    def part(rows: np.ndarray) -> Part:
        inputs = {
            name: Stored(
                np.load(tmp_path / f"{name}.npy", mmap_mode="r"),
                torch.from_numpy(rows),
                tuple(f"{name}{row}" for row in rows),
            )
            for name in arrays
        }
        ids = tuple(f"i{row}" for row in rows)
        return Part(inputs=inputs, labels=torch.from_numpy(rows % 3), ids=ids, groups=ids)

    rows = draw.permutation(40)
    return MultimodalDataset(
        name="toy",
        classes=("a", "b", "c"),
        train=part(rows[:30]),
        test=part(rows[30:]),
        transforms={"audio": Floats(), "visual": Pictures(size=16, pick="random", frames=1)},
    )


def feed(data: MultimodalDataset, room: int | None) -> Feed:
    return Feed(data, torch.device("cpu"), torch.channels_last, room)


def reading_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if "ThreadPoolExecutor" in t.name]


def test_it_streams_where_it_does_not_fit(data: MultimodalDataset) -> None:
    size = sum(x.nbytes for part in data.parts.values() for x in part.inputs.values())
    assert size == 40 * (17 * 12 * 4 + 2 * 24 * 32 * 3)
    assert feed(data, size - 1).streams
    assert not feed(data, size).streams
    assert not feed(data, None).streams


@pytest.mark.parametrize("training", [True, False])
def test_from_disk_or_memory_the_same_bits(data: MultimodalDataset, training: bool) -> None:
    batches = []
    for room in (0, 1 << 30):
        source = feed(data, room)
        part = source.parts["train"]
        draws = source.draw(part, seed=3, epoch=2) if training else None
        order = torch.randperm(30, generator=torch.Generator().manual_seed(1)).split(7)
        batches.append(list(source.batches(part, order, draws)))
    for (a, labels_a), (b, labels_b) in zip(*batches, strict=True):
        assert torch.equal(labels_a, labels_b)
        for m in data.modalities:
            assert torch.equal(a[m], b[m])
            assert a[m].is_contiguous(memory_format=torch.channels_last)
    assert len(batches[0]) == 5


def test_an_item_is_itself_in_any_batch(data: MultimodalDataset) -> None:
    source = feed(data, None)
    part = source.parts["train"]
    draws = source.draw(part, seed=3, epoch=2)
    alone = next(source.batches(part, [torch.tensor([11])], draws))[0]
    among = next(source.batches(part, [torch.tensor([4, 11, 2])], draws))[0]
    raw = np.asarray(data.train.inputs["audio"].array)[int(data.train.ids[11][1:])]
    assert np.array_equal(alone["audio"][0].numpy(), raw)
    for m in data.modalities:
        assert torch.equal(alone[m][0], among[m][1])


def test_an_epoch_draws_anew_and_again_the_same(data: MultimodalDataset) -> None:
    source = feed(data, None)
    part = source.parts["train"]
    first, again, other = (source.draw(part, 3, epoch)["visual"] for epoch in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, source.draw(part, 4, 1)["visual"])


def test_a_whole_run_does_not_depend_on_where_the_data_lie(data: MultimodalDataset) -> None:
    config = RunConfig(run_id="x", seed=1, protocol="paper")
    config = config.replace(train={"epochs": 2, "batch_size": 8})
    weights = []
    for room in (0, 1 << 30):
        model = build_model(data.shapes, 3, width=4, stem="small", seed=1)
        trainer = Trainer(config, data, model, Chain(), room)
        rows = [trainer.run_epoch() for _ in range(2)]
        weights.append((model.state_dict(), rows))
    (one, rows_one), (two, rows_two) = weights
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert repr(rows_one) == repr(rows_two)


@pytest.mark.parametrize("how", ["closed", "failed"])
def test_no_reader_is_left(data: MultimodalDataset, how: str) -> None:
    source = feed(data, 0)
    batches = source.batches(source.parts["test"], torch.arange(10).split(2))
    next(batches)
    assert reading_threads()
    if how == "closed":
        batches.close()
    else:
        with pytest.raises(ZeroDivisionError):
            batches.throw(ZeroDivisionError)
    assert reading_threads() == []


def test_stored_rows_are_numpy_s(data: MultimodalDataset) -> None:
    kept = data.train.inputs["audio"]
    whole = np.asarray(kept.array)[kept.rows.numpy()]
    for rows in (3, slice(2, 9, 2), [5, 5, 0], torch.tensor([1, 29])):
        found = kept[rows]
        index = rows.numpy() if isinstance(rows, torch.Tensor) else rows
        assert np.array_equal(found.numpy(), whole[index])
    some = kept.take([7, 3])
    assert np.array_equal(some.load().numpy(), whole[[7, 3]])
    assert some.hashes == (kept.hashes[7], kept.hashes[3])
    assert (some.shape, some.dtype, len(some)) == ((2, 1, 17, 12), torch.float32, 2)
    found = kept[3]
    found += 1  # a copy: the file is as it was
    assert np.array_equal(kept[3].numpy(), whole[3])


def test_rows_on_disk_through_the_dataset_s_doors(data: MultimodalDataset) -> None:
    held = data.hold_out(0.2, seed=1)
    assert {*held.train.ids, *held.valid.ids} == set(data.train.ids)
    row = data.train.ids.index(held.valid.ids[0])
    assert torch.equal(held.valid.inputs["audio"][0], data.train.inputs["audio"][row])
    joined = held.join_valid()
    assert len(joined.train) == 30
    assert isinstance(joined.train.inputs["visual"], Stored)
    assert data.select(["audio"]).transforms == {"audio": Floats()}
    assert data.shapes == {"audio": (1, 17, 12), "visual": (3, 16, 16)}
    swapped = data.train.take([1, 0, *range(2, 30)])
    other = MultimodalDataset(
        name="toy", classes=data.classes, train=swapped, test=data.test,
        transforms=data.transforms,
    )  # fmt: skip
    assert other.fingerprint != data.fingerprint
