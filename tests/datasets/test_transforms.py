"""What the network sees of stored items: pixels, frames, settings, and what may change nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as tv
from PIL import Image
from torch import Tensor
from torchvision import transforms as v1

from asgml_core.datasets import DataError, transforms
from asgml_core.datasets.resampling import resample_dense
from asgml_core.datasets.transforms import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Floats,
    Pictures,
    Transform,
)
from asgml_core.seeding import generator


def clips(n: int = 5, frames: int = 3, height: int = 30, width: int = 40, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    shape = (n, frames, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)


def drawn(transform: Transform, stored: Tensor, *purpose: Any) -> Tensor:
    draws = transform.draw(len(stored), tuple(stored.shape[1:]), generator(1, *purpose))
    assert draws is not None
    return draws


def normalised(pictures: Tensor) -> Tensor:
    mean, std = (torch.tensor(x)[:, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    return (pictures / 255 - mean) / std


# Frames and pixels.


@pytest.mark.parametrize(
    ("pick", "training", "expected"),
    [
        ("first", False, [0, 1, 2]),
        ("first", True, [0, 1, 2]),
        ("even", False, [1, 3, 5]),
        ("even", True, [1, 3, 5]),
        ("random", False, [1, 3, 5]),
    ],
)
def test_which_frames_are_seen(pick: str, training: bool, expected: list[int]) -> None:
    stored = clips(4, frames=7, height=8, width=8)
    transform = Pictures(size=8, frames=3, pick=pick, crop=False, flip=1.0)
    seen = transform(stored, drawn(transform, stored) if training else None)
    frames = normalised(stored[:, expected].permute(0, 1, 4, 2, 3).float())
    torch.testing.assert_close(seen, frames.flip(-1) if training else frames, rtol=0, atol=1e-5)


def test_training_sees_what_torchvision_makes_of_the_same_boxes() -> None:
    stored = clips(6, frames=4, height=45, width=60)
    transform = Pictures(size=24, frames=3, pick="random")
    rows = drawn(transform, stored)
    seen = transform(stored, rows)
    assert seen.shape == (6, 3, 3, 24, 24)
    assert seen.dtype == torch.float32
    pictures = seen.flatten(0, -4)
    assert pictures.is_contiguous(memory_format=torch.channels_last)
    for item, views, results in zip(stored, rows.tolist(), seen, strict=True):
        for (frame, top, left, h, w, mirrored), result in zip(views, results, strict=True):
            x = item[frame].permute(2, 0, 1).float()
            x = tv.resized_crop(x, top, left, h, w, [24, 24], antialias=True)
            x = normalised(tv.horizontal_flip(x) if mirrored else x)
            torch.testing.assert_close(result, x, rtol=0, atol=2e-4)


def test_evaluation_sees_the_whole_frame() -> None:
    stored = clips(3, frames=2, height=45, width=60)
    transform = Pictures(size=24, frames=1)
    seen = transform(stored, None)
    assert seen.shape == (3, 3, 24, 24)
    assert torch.equal(transform(stored, None), seen)
    whole = tv.resize(stored[:, 0].permute(0, 3, 1, 2).float(), [24, 24], antialias=True)
    torch.testing.assert_close(seen, normalised(whole), rtol=0, atol=2e-4)
    theirs = v1.Compose(
        [v1.Resize((24, 24)), v1.ToTensor(), v1.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    )
    for frame, result in zip(stored[:, 0], seen, strict=True):
        difference = (theirs(Image.fromarray(frame.numpy())) - result).abs().max()
        assert difference < 1.01 / 255 / min(IMAGENET_STD)  # Pillow rounds to whole numbers


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_are_exact(value: int) -> None:
    stored = torch.full((2, 1, 30, 40, 3), value, dtype=torch.uint8)
    transform = Pictures(size=17)
    expected = normalised(torch.full((2, 3, 17, 17), float(value)))
    for draws in (None, drawn(transform, stored)):
        torch.testing.assert_close(transform(stored, draws), expected, rtol=0, atol=2e-6)


def test_mean_and_std_are_settings() -> None:
    stored = clips(2, 1)
    plain = Pictures(size=9, mean=(0, 0, 0), std=(1, 1, 1))(stored, None)
    other = Pictures(size=9, mean=(0.1, 0.2, 0.3), std=(1, 2, 4))(stored, None)
    mean, std = (torch.tensor(x)[:, None, None] for x in ([0.1, 0.2, 0.3], [1.0, 2, 4]))
    torch.testing.assert_close(other, (plain - mean) / std, rtol=0, atol=1e-6)
    assert plain.min() >= 0
    assert plain.max() <= 1


def test_an_item_does_not_depend_on_its_batch() -> None:
    stored = clips(12)
    transform = Pictures(size=20, frames=2, pick="random")
    rows = drawn(transform, stored)
    for draws in (rows, None):
        one = lambda i, draws=draws: None if draws is None else draws[i]  # noqa: E731
        together = transform(stored, draws)
        order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
        assert torch.equal(transform(stored[order], one(order)), together[order])
        for some in (slice(0, 1), slice(5, 9), slice(11, 12)):
            assert torch.equal(transform(stored[some], one(some)), together[some])


def test_without_crop_and_mirroring_nothing_is_random() -> None:
    shape = (3, 9, 9, 3)
    assert Pictures(crop=False, flip=0).draw(5, shape, generator(1)) is None
    assert Pictures(crop=False, flip=0, pick="random").draw(5, shape, generator(1)) is None
    picks = Pictures(crop=False, flip=0, frames=2, pick="random").draw(500, shape, generator(1))
    assert len(picks[..., 0].unique(dim=0)) == 3
    assert (picks[..., 1:] == torch.tensor([0, 0, 9, 9, 0])).all()
    mirrors = Pictures(crop=False).draw(500, shape, generator(1))
    assert (mirrors[..., 1:5] == torch.tensor([0, 0, 9, 9])).all()
    assert 0 < mirrors[..., 5].double().mean() < 1


def test_a_batch_needs_nothing_from_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "resample", resample_dense)
    # On this device tensors have no values, so nothing can wait for one.
    stored = torch.empty(4, 3, 30, 40, 3, dtype=torch.uint8, device="meta")
    transform = Pictures(size=20, frames=2, pick="random")
    rows = torch.empty(4, 2, 6, dtype=torch.int32, device="meta")
    assert transform(stored, rows).shape == (4, 2, 3, 20, 20)
    assert transform(stored, None).shape == (4, 2, 3, 20, 20)


# Randomness.


def test_an_epoch_can_be_drawn_again() -> None:
    stored = clips(50)
    for transform in (Pictures(), Pictures(frames=2, pick="random"), Pictures(crops="clip")):
        rows = drawn(transform, stored, "augment", 1)
        assert torch.equal(drawn(transform, stored, "augment", 1), rows)
        same = (drawn(transform, stored, "augment", 2) == rows).all(2).double().mean()
        assert same < 0.1
        fewer = transform.draw(20, tuple(stored.shape[1:]), generator(1, "augment", 1))
        assert torch.equal(fewer, rows[:20])


def test_nothing_touches_the_global_random_state() -> None:
    before = torch.get_rng_state()
    transform, stored = Pictures(size=8), clips()
    transform(stored, drawn(transform, stored))
    transform(stored, None)
    assert torch.equal(torch.get_rng_state(), before)


# Settings, shapes and errors.


@pytest.mark.parametrize(
    ("frames", "kept", "shape"),
    [(None, 1, (3, 9, 9)), (None, 3, (3, 3, 9, 9)), (1, 3, (3, 9, 9)), (2, 3, (2, 3, 9, 9))],
)
def test_the_shape_is_what_comes_out(frames: int | None, kept: int, shape: tuple[int, ...]) -> None:
    transform, stored = Pictures(size=9, frames=frames), clips(2, kept)
    assert transform.shape(tuple(stored.shape[1:])) == shape
    assert transform(stored, None).shape == (2, *shape)
    assert transform(stored, drawn(transform, stored)).shape == (2, *shape)
    assert transform(stored[:0], None).shape == (0, *shape)
    assert transform(stored[:0], drawn(transform, stored[:0])).shape == (0, *shape)


def test_settings_are_told_and_compared() -> None:
    assert repr(Pictures(frames=3, scale=(0.5, 1))) == (
        "Pictures(size=224, frames=3, pick='first', crop=True, flip=0.5, scale=(0.5, 1.0), "
        "ratio=(0.75, 1.3333333333333333), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), "
        "crops='frame')"
    )
    assert repr(Floats()) == "Floats(mean=0.0, std=1.0)"
    # As they may come from a file.
    assert repr(Pictures(scale=[0.5, 1], flip=1)) == repr(Pictures(scale=(0.5, 1.0), flip=1.0))
    assert Pictures(size=9) == Pictures(size=9) != Pictures(size=8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "size is 0, but must be a whole number of 1 or more"),
        ({"size": -3}, "size is -3"),
        ({"size": 2.5}, "size is 2.5"),
        ({"frames": 0}, "frames is 0"),
        ({"pick": "evn"}, "pick is 'evn'.*Did you mean 'even'"),
        ({"crop": 1}, "crop is 1, but must be True or False"),
        ({"flip": 1.5}, "flip is 1.5, but must be a number from 0 to 1"),
        ({"scale": (0, 1)}, "each of scale is 0, but must be a number above 0"),
        ({"scale": (0.5, 1.5)}, "each of scale is 1.5"),
        ({"scale": (0.5, 0.2)}, r"scale is \(0.5, 0.2\), but the least must come first"),
        ({"scale": 0.5}, "scale is 0.5, but must be 2 numbers"),
        ({"ratio": (0, 1)}, "each of ratio is 0"),
        ({"ratio": (2, 1)}, "the least must come first"),
        ({"mean": (0.5, 0.5)}, r"mean is \(0.5, 0.5\), but must be 3 numbers"),
        ({"std": (1, 0, 1)}, "each of std is 0"),
        ({"mean": (0, math.nan, 0)}, "each of mean is nan"),
        ({"crops": "video"}, "crops is 'video'"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pictures(**settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, 0], r"Pictures takes items \(frames, height, width, 3\).*\(30, 40, 3\)"),
        (lambda x: x.permute(0, 1, 4, 2, 3), r"but the stored are \(3, 3, 30, 40\)"),
        (lambda x: x[:, :, :0], r"but the stored are \(3, 0, 40, 3\)"),
        (lambda x: x[:, :1], "frames is 2, but the stored items have 1"),
    ],
)
def test_items_of_another_shape_are_refused(
    change: Callable[[Tensor], Tensor], message: str
) -> None:
    transform, stored = Pictures(size=9, frames=2), change(clips())
    shape = tuple(stored.shape[1:])
    for use in (
        lambda: transform(stored, None),
        lambda: transform.shape(shape),
        lambda: transform.draw(2, shape, generator(1)),
    ):
        with pytest.raises(DataError, match=message):
            use()


def test_other_numbers_and_draws_are_refused() -> None:
    stored = clips()
    with pytest.raises(DataError, match=r"Pictures takes uint8, but the stored are torch.float32"):
        Pictures(size=9)(stored.float(), None)
    rows = drawn(Pictures(frames=2), stored)
    with pytest.raises(DataError, match=r"draws are \(5, 2, 6\), but \(5, 3, 6\) belong"):
        Pictures(size=9)(stored, rows)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_floats(dtype: torch.dtype, normal: Callable[..., Tensor]) -> None:
    stored = normal(4, 1, 5, 6).to(dtype)
    plain = Floats()
    assert plain.shape((1, 5, 6)) == (1, 5, 6)
    assert plain.draw(4, (1, 5, 6), generator(1)) is None
    assert plain(stored, None).dtype == torch.float32
    assert torch.equal(plain(stored, None), stored.float())
    standard = Floats(mean=-2, std=0.5)(stored, None)
    torch.testing.assert_close(standard, (stored.float() + 2) * 2, rtol=0, atol=1e-6)
    assert stored.dtype == dtype


def test_floats_refuses_other_numbers() -> None:
    with pytest.raises(
        DataError, match=r"takes float16 or float32, but the stored are torch.uint8"
    ):
        Floats()(torch.zeros(2, 3, dtype=torch.uint8), None)
    with pytest.raises(ValueError, match="std is 0, but must be a number above 0"):
        Floats(std=0)
