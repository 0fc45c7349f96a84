"""Rows on disk: what is taken and joined is what was asked for, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asgml_core.datasets.base import MultimodalDataset, Part
from asgml_core.datasets.stored import Stored, join, row_numbers

VALUES = np.arange(40, dtype=np.float32).reshape(10, 4)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", VALUES)
    return tmp_path / "x.npy"


def stored(file: Path, rows: list[int]) -> Stored:
    hashes = tuple(f"h{row}" for row in rows)
    return Stored(np.load(file, mmap_mode="r"), torch.tensor(rows), hashes)


def part(inputs: torch.Tensor | Stored) -> Part:
    names = tuple(f"i{row}" for row in range(len(inputs)))
    return Part(inputs={"x": inputs}, labels=torch.arange(len(inputs)), ids=names, groups=names)


ROWS = [7, 2, 9, 0]
MASK = [True, False, True, True]
MASKS = [MASK, np.array(MASK), torch.tensor(MASK), tuple(MASK)]
KINDS = ["list", "numpy", "torch", "tuple"]


@pytest.mark.parametrize("mask", MASKS, ids=KINDS)
def test_a_mask_takes_the_rows_where_it_is_true(file: Path, mask: object) -> None:
    taken = stored(file, ROWS).take(mask)
    assert taken.rows.tolist() == [7, 9, 0]
    assert taken.hashes == ("h7", "h9", "h0")
    assert np.array_equal(taken.load().numpy(), VALUES[[7, 9, 0]])


@pytest.mark.parametrize("mask", MASKS, ids=KINDS)
@pytest.mark.parametrize("on_disk", [True, False])
def test_a_part_takes_the_rows_where_a_mask_is_true(
    file: Path, mask: object, on_disk: bool
) -> None:
    inputs = stored(file, ROWS)
    taken = part(inputs if on_disk else inputs.load()).take(mask)
    assert taken.labels.tolist() == [0, 2, 3]
    assert taken.ids == taken.groups == ("i0", "i2", "i3")
    assert np.array_equal(taken.inputs["x"][:].numpy(), VALUES[[7, 9, 0]])


@pytest.mark.parametrize("mask", [[True, False], [True] * 5, np.zeros(0, bool)], ids=len)
def test_a_mask_of_another_length_is_refused(file: Path, mask: object) -> None:
    rows = torch.as_tensor(mask)
    for whole in (stored(file, ROWS), part(stored(file, ROWS)), part(torch.zeros(4, 2))):
        with pytest.raises(ValueError, match=r"the mask of rows has .* values, but there are 4"):
            whole.take(rows)


@pytest.mark.parametrize("rows", [[0.0, 1.0], np.array([1.5]), torch.ones(2, 2).long(), 3])
def test_what_are_no_row_numbers_is_refused(file: Path, rows: object) -> None:
    for whole in (stored(file, ROWS), part(stored(file, ROWS))):
        with pytest.raises(ValueError, match="whole numbers, or one True or False for each of the"):
            whole.take(rows)


def test_a_row_that_is_not_there_is_refused(file: Path) -> None:
    for row in (4, -5):
        with pytest.raises(IndexError):
            stored(file, ROWS).take([row])


@given(rows=st.lists(st.integers(-6, 5), max_size=12), kind=st.sampled_from([list, np.array]))
def test_row_numbers_are_those_of_numpy(rows: list[int], kind: type) -> None:
    there = np.arange(6)
    wanted = there[np.array(rows, dtype=int)]
    assert torch.arange(6)[row_numbers(kind(rows), 6)].tolist() == wanted.tolist()


@given(mask=st.lists(st.booleans(), min_size=1, max_size=9))
def test_masks_are_those_of_numpy(mask: list[bool]) -> None:
    assert row_numbers(mask, len(mask)).tolist() == np.flatnonzero(mask).tolist()


def test_taking_of_what_was_taken(file: Path) -> None:
    twice = stored(file, [9, 8, 7, 6, 5]).take([4, 2, 0]).take([True, False, True])
    assert np.array_equal(twice[:].numpy(), VALUES[[5, 9]])
    assert twice.hashes == ("h5", "h9")
    assert len(stored(file, ROWS).take([])) == 0
    assert stored(file, ROWS).take([]).load().shape == (0, 4)


def test_one_item_is_without_the_first_axis_and_is_one_s_own(file: Path) -> None:
    item = stored(file, ROWS)[1]
    assert item.tolist() == VALUES[2].tolist()
    item += 1
    assert np.array_equal(np.load(file), VALUES)


def test_items_that_are_single_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", VALUES[:, 0])
    numbers = stored(tmp_path / "x.npy", [3, 1])
    assert numbers[:].tolist() == [12.0, 4.0]
    assert (numbers[0].shape, float(numbers[0])) == ((), 12.0)


def test_pieces_that_map_one_file_are_joined(file: Path) -> None:
    joined = join([stored(file, [1, 5]), stored(file, [0]), stored(file, [9]).take([0])])
    assert np.array_equal(joined[:].numpy(), VALUES[[1, 5, 0, 9]])
    assert joined.hashes == ("h1", "h5", "h0", "h9")


def test_pieces_in_memory_are_joined() -> None:
    whole = Stored(VALUES, torch.tensor([1]), ("a",))
    view = Stored(VALUES[:], torch.tensor([4]), ("b",))
    assert np.array_equal(join([whole, view])[:].numpy(), VALUES[[1, 4]])
    assert join([torch.zeros(2, 3), torch.ones(1, 3)]).sum() == 3


def test_pieces_of_different_arrays_are_refused(file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", VALUES + 100)
    other = stored(tmp_path / "y.npy", [0, 1])
    with pytest.raises(ValueError, match=r"x\.npy and of .*y\.npy cannot be joined"):
        join([stored(file, [0]), other])
    with pytest.raises(ValueError, match=r"an array float32 \(10, 4\) and of .*y\.npy cannot"):
        join([Stored(VALUES.copy(), torch.tensor([0]), ("a",)), other])
    mapped = np.load(file, mmap_mode="r")
    halves = [Stored(half, torch.tensor([0]), ("a",)) for half in (mapped[:5], mapped[5:])]
    with pytest.raises(ValueError, match="cannot be joined"):
        join(halves)
    for pieces in ([other, torch.zeros(1, 4)], [torch.zeros(1, 4), other]):
        with pytest.raises(ValueError, match="rows in memory and rows on disk cannot be joined"):
            join(pieces)


def test_a_validation_part_on_disk_is_joined_to_the_training_part(file: Path) -> None:
    def named(rows: list[int]) -> Part:
        names = tuple(map(str, rows))
        return Part(
            inputs={"x": stored(file, rows)},
            labels=torch.tensor(rows) % 2,
            ids=names,
            groups=names,
        )

    data = MultimodalDataset(
        name="toy", classes=("a", "b"), train=named([1, 2]), valid=named([8]), test=named([0])
    )
    joined = data.join_valid()
    assert joined.valid is None
    assert joined.train.ids == ("1", "2", "8")
    assert np.array_equal(joined.train.inputs["x"][:].numpy(), VALUES[[1, 2, 8]])
