"""What is drawn for items: as torchvision draws it, and for each item and frame on its own."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as v2
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision import transforms as v1

from asgml_core.datasets.transforms import (
    PER_BOX,
    Pictures,
    boxes_from,
    central_box,
    even_frames,
)
from asgml_core.seeding import generator

MANY = 20_000
#: Seeds are fixed; a right code would fail a comparison with another seed once in 100,000 times.
LEVEL = 1e-5


# Two-sample tests.


def assert_same_distribution(a: np.ndarray, b: np.ndarray) -> None:
    """Compare two samples of numbers by the distance of Kolmogorov and Smirnov."""
    points = np.union1d(a, b)
    shares = [np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (a, b)]
    limit = math.sqrt(-math.log(LEVEL / 2) / 2 * (1 / len(a) + 1 / len(b)))
    assert np.abs(shares[0] - shares[1]).max() < limit


def assert_same_counts(a: list[Any], b: list[Any]) -> None:
    """Compare two samples of things by a chi-square test; rare things count as one."""
    counts = [Counter(a), Counter(b)]
    common = [x for x in counts[0].keys() | counts[1].keys() if counts[0][x] + counts[1][x] >= 20]
    table = np.array([[count[x] for x in common] for count in counts], dtype=float)
    rest = np.array([[len(a)], [len(b)]]) - table.sum(1, keepdims=True)
    table = np.hstack([table, rest]) if rest.sum() >= 20 else table
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    assert ((table - expected) ** 2 / expected).sum() < chi_square_limit(table.shape[1] - 1)


def chi_square_limit(freedom: int) -> float:
    """Return what chi-square exceeds once in 100,000 times (Wilson and Hilferty)."""
    if freedom == 0:
        return 1e-9
    part = 2 / (9 * freedom)
    return freedom * (1 - part + 4.265 * math.sqrt(part)) ** 3


def assert_independent(a: Tensor, b: Tensor) -> None:
    """Check that two samples of pairs are not correlated."""
    correlation = torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1]
    assert correlation.abs() < 4.417 / math.sqrt(len(a))


# Boxes.


def torchvisions_boxes(height: int, width: int, **settings: Any) -> np.ndarray:
    crop = v2.RandomResizedCrop(1, **settings)
    picture = [torch.empty(3, height, width, device="meta")]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        boxes = [crop.make_params(picture) for _ in range(MANY)]
    return np.array([[box[name] for name in ("top", "left", "height", "width")] for box in boxes])


def our_boxes(height: int, width: int, **settings: Any) -> np.ndarray:
    transform = Pictures(**settings)
    draws = transform.draw(MANY, (1, height, width, 3), generator(1, "boxes"))
    assert draws is not None
    return draws[:, 0, 1:5].numpy()


@pytest.mark.parametrize(
    ("height", "width", "settings"),
    [
        (360, 480, {}),
        (480, 90, {}),  # few tries fit
        (20, 400, {}),  # hardly any try fits
        (400, 20, {}),
        (9, 4, {}),
        (1, 30, {}),
        (120, 100, {"scale": (0.3, 0.9), "ratio": (0.5, 3.0)}),
        (64, 64, {"scale": (0.9, 1.0), "ratio": (2.0, 3.0)}),
    ],
)
def test_boxes_are_distributed_as_torchvisions(
    height: int, width: int, settings: dict[str, Any]
) -> None:
    ours = our_boxes(height, width, **settings)
    theirs = torchvisions_boxes(height, width, **settings)
    for statistic in (
        lambda top, left, h, w: top,
        lambda top, left, h, w: left,
        lambda top, left, h, w: h,
        lambda top, left, h, w: w,
        lambda top, left, h, w: height - h - top,
        lambda top, left, h, w: width - w - left,
        lambda top, left, h, w: h * w,
        lambda top, left, h, w: np.log(w / h),
        lambda top, left, h, w: (top + 0.5) / (height - h + 1),
        lambda top, left, h, w: (left + 0.5) / (width - w + 1),
        lambda top, left, h, w: top * w - left * h,
    ):
        assert_same_distribution(*(statistic(*boxes.T.astype(float)) for boxes in (ours, theirs)))
    # Jointly too; of large pictures coarsely.
    cells = np.maximum(np.array([height, width, height, width]) // 6, 1)
    assert_same_counts(*([tuple(box) for box in (boxes // cells)] for boxes in (ours, theirs)))


def test_the_distribution_tests_have_power() -> None:
    # The mistakes that they should find are smaller than these limits let pass only by chance.
    numbers = np.random.default_rng(0)
    low, high = 3 / 4, 4 / 3
    log_uniform = np.exp(numbers.uniform(np.log(low), np.log(high), MANY))
    with pytest.raises(AssertionError):
        assert_same_distribution(log_uniform, numbers.uniform(low, high, MANY))
    right, wrong = (numbers.integers(0, top, MANY).tolist() for top in (4, 3))
    with pytest.raises(AssertionError):
        assert_same_counts(right, wrong)
    assert_same_counts(right, numbers.integers(0, 4, MANY).tolist())
    x = torch.from_numpy(numbers.normal(size=(2, MANY)))
    assert_independent(*x)
    with pytest.raises(AssertionError):
        assert_independent(x[0], x[0] + 10 * x[1])


def numbers_for(*, area: float, ratio: float, top: float, left: float) -> Tensor:
    row = torch.zeros(1, PER_BOX, dtype=torch.float64)
    row[:, :10], row[:, 10:20], row[:, 20], row[:, 21] = area, ratio, top, left
    return row


def test_boxes_reach_every_edge_and_no_further() -> None:
    below = math.nextafter(1, 0)
    for height, width in [(100, 100), (37, 51), (4096, 4095)]:
        first = boxes_from(numbers_for(area=0.3, ratio=0.5, top=0, left=0), height, width)[0]
        last = boxes_from(numbers_for(area=0.3, ratio=0.5, top=below, left=below), height, width)[0]
        assert first[:2].tolist() == [0, 0]
        assert (last[:2] + last[2:]).tolist() == [height, width]
        assert torch.equal(first[2:], last[2:])


def test_area_and_ratio_have_their_ends() -> None:
    def box(area: float, ratio: float) -> list[int]:
        numbers = numbers_for(area=area, ratio=ratio, top=0, left=0)
        return boxes_from(numbers, 1000, 1000)[0, 2:].tolist()

    side = math.sqrt(0.08) * 1000
    assert box(0, 0) == [round(side / math.sqrt(3 / 4)), round(side * math.sqrt(3 / 4))]
    assert box(0, 1) == [round(side / math.sqrt(4 / 3)), round(side * math.sqrt(4 / 3))]
    assert box(0, 0.5) == [round(side), round(side)]  # the middle of the logarithms
    assert box(0.5, 0.5) == [round(1000 * math.sqrt(0.54))] * 2
    assert box(1, 0.5) == [1000, 1000]


def test_the_first_try_that_fits_is_taken() -> None:
    row = numbers_for(area=1, ratio=0, top=0.5, left=0.5)  # too high
    assert boxes_from(row, 1000, 1000)[0].tolist() == [0, 0, 1000, 1000]
    row[0, 9], row[0, 19] = 0, 0.5
    assert boxes_from(row, 1000, 1000)[0].tolist() == [359, 359, 283, 283]
    row[0, 6], row[0, 16] = 0.5, 0.5
    assert boxes_from(row, 1000, 1000)[0].tolist() == [133, 133, 735, 735]


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (400, 20, (186, 0, 27, 20)),
        (20, 400, (0, 186, 20, 27)),
        (300, 400, (0, 0, 300, 400)),
        (400, 300, (0, 0, 400, 300)),
        (100, 101, (0, 0, 100, 101)),
    ],
)
def test_where_no_try_fits_the_centre_is_taken(
    height: int, width: int, box: tuple[int, ...]
) -> None:
    assert central_box(height, width, (3 / 4, 4 / 3)) == box
    with torch.random.fork_rng(devices=[]):
        found = v1.RandomResizedCrop.get_params(  # an area that never fits
            torch.empty(3, height, width), [9.0, 9.0], [3 / 4, 4 / 3]
        )
    assert found == box


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    size=st.integers(1, 9),
    seed=st.integers(),
)
def test_boxes_lie_inside(height: int, width: int, size: int, seed: int) -> None:
    stored = (2, height, width, 3)
    rows = Pictures(size=size).draw(50, stored, generator(seed)).flatten(0, 1)
    top, left, h, w = rows[:, 1:5].unbind(1)
    assert (torch.stack([top, left]) >= 0).all()
    assert (torch.stack([h, w]) >= 1).all()
    assert (top + h <= height).all()
    assert (left + w <= width).all()


# What is drawn for whom.


def test_items_and_frames_draw_for_themselves() -> None:
    rows = Pictures().draw(MANY, (3, 200, 300, 3), generator(1)).double()
    frame, top, left, height, width, mirrored = rows.unbind(2)
    assert (frame == torch.arange(3)).all()
    area, x, y = height * width, (left + 0.5) / (301 - width), (top + 0.5) / (201 - height)
    assert abs(mirrored.mean() - 0.5) < 4.417 * 0.5 / math.sqrt(3 * MANY)
    assert len(rows.flatten(0, 1).unique(dim=0)) > 0.99 * 3 * MANY
    for values in (area, x, y, mirrored):
        assert_independent(values[:-1, 0], values[1:, 0])  # the next item
        assert_independent(values[:, 0], values[:, 1])
        assert_independent(values[:, 1], values[:, 2])
    for one, other in [(mirrored, area), (mirrored, x), (mirrored, y), (mirrored, width), (x, y)]:
        assert_independent(one[:, 0], other[:, 0])
    assert_independent(area[:, 0], (width / height)[:, 0].log() * (area[:, 0] < 0.3 * 200 * 300))


def test_a_clip_can_share_its_box() -> None:
    rows = Pictures(crops="clip").draw(MANY, (3, 200, 300, 3), generator(1))
    assert (rows[..., 0] == torch.arange(3)).all()
    assert (rows[..., 1:] == rows[:, :1, 1:]).all()
    assert len(rows[:, 0].unique(dim=0)) > 0.99 * MANY
    assert_same_distribution(rows[:, 0, 3].numpy(), our_boxes(200, 300)[:, 2])
    assert abs(rows[:, 0, 5].double().mean() - 0.5) < 4.417 * 0.5 / math.sqrt(MANY)


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_mirroring_has_its_probability(probability: float) -> None:
    mirrored = Pictures(flip=probability).draw(MANY, (1, 9, 9, 3), generator(1))[..., 5]
    deviation = math.sqrt(probability * (1 - probability) / MANY)
    assert abs(mirrored.double().mean() - probability) <= 4.417 * deviation


def test_frames_are_picked_at_random_in_order_and_anew() -> None:
    rows = Pictures(frames=2, pick="random").draw(MANY, (5, 9, 9, 3), generator(1))
    picks = rows[..., 0]
    assert (picks[:, 0] < picks[:, 1]).all()
    counts = Counter(map(tuple, picks.tolist()))
    assert len(counts) == 10
    expected = MANY / 10
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < chi_square_limit(9)
    assert_independent(picks[:-1, 0], picks[1:, 0])
    assert_independent(picks[:, 0], rows[:, 0, 3])
    everything = Pictures(frames=5, pick="random").draw(9, (5, 9, 9, 3), generator(1))
    assert (everything[..., 0] == torch.arange(5)).all()


@pytest.mark.parametrize(
    ("used", "kept", "expected"),
    [(1, 1, [0]), (1, 3, [1]), (1, 4, [2]), (3, 3, [0, 1, 2]), (3, 10, [1, 5, 8]), (2, 4, [1, 3])],
)
def test_even_frames(used: int, kept: int, expected: list[int]) -> None:
    assert even_frames(torch.arange(used), used, kept).tolist() == expected
