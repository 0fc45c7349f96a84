"""Crops resized with the triangle filter: against torchvision and Pillow, and by its properties."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.v2.functional as tv
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from asgml_core.datasets import resampling
from asgml_core.datasets.resampling import (
    resample,
    resample_dense,
    resample_tiled,
    triangle_weights,
)

METHODS = (resample_tiled, resample_dense)
ONE, ZERO = torch.ones(3, 1, 1), torch.zeros(3, 1, 1)
#: Of 255; both methods and the reference in float64 agree to 1e-7 of the range, 2.6e-5.
CLOSE = 1e-4


def noise(n: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def random_crops(n: int, pictures: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows, mirror = (torch.randint(high, (n,), generator=generator) for high in (pictures, 2))
    heights = torch.randint(1, height + 1, (n,), generator=generator)
    widths = torch.randint(1, width + 1, (n,), generator=generator)
    top = (torch.rand(n, generator=generator) * (height - heights + 1)).long()
    left = (torch.rand(n, generator=generator) * (width - widths + 1)).long()
    return torch.stack([rows, top, left, heights, widths, mirror], 1)


def reference(pictures: Tensor, crops: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    made = []
    for row, top, left, height, width, mirror in crops.tolist():
        x = pictures[row].permute(2, 0, 1).to(dtype)
        x = tv.resized_crop(x, top, left, height, width, [size, size], antialias=True)
        made.append(tv.horizontal_flip(x) if mirror else x)
    return torch.stack(made).float()


def assert_close(found: Tensor, expected: Tensor, tolerance: float = CLOSE) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


method = pytest.mark.parametrize("method", METHODS)


@method
@pytest.mark.parametrize("size", [1, 2, 7, 15, 16, 17, 33, 64, 96])
@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 50), (50, 1), (2, 3), (24, 31), (90, 120), (300, 40)]
)
def test_random_boxes_are_torchvisions(
    method: Callable, height: int, width: int, size: int
) -> None:
    pictures = noise(3, height, width)
    crops = random_crops(8, 3, height, width, seed=size)
    found = method(pictures, crops, size, ONE, ZERO)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert_close(found, reference(pictures, crops, size, torch.float64))


@method
def test_the_boxes_of_a_real_frame_are_torchvisions(method: Callable) -> None:
    pictures = noise(2, 360, 480)
    boxes = [
        (0, 0, 360, 480),  # all of it
        (0, 0, 1, 1),
        (359, 479, 1, 1),
        (0, 479, 360, 1),
        (359, 0, 1, 480),
        (68, 128, 224, 224),  # as large as the result
        (100, 200, 60, 70),  # enlarged
        (1, 1, 358, 478),
        (200, 3, 100, 400),  # enlarged one way, shrunk the other
    ]
    crops = torch.tensor([(i % 2, *box, i % 3 == 0) for i, box in enumerate(boxes)])
    found = method(pictures, crops, 224, ONE, ZERO)
    assert_close(found, reference(pictures, crops, 224, torch.float64))
    # torchvision's own float32 is the less exact one.
    assert_close(found, reference(pictures, crops, 224, torch.float32), 255 * 5e-5)


@method
def test_a_frame_shrunk_fortyfold_is_torchvisions(method: Callable) -> None:
    pictures, crops = noise(1, 1300, 900), torch.tensor([[0, 3, 5, 1290, 890, 0]])
    found = method(pictures, crops, 32, ONE, ZERO)
    assert_close(found, reference(pictures, crops, 32, torch.float64))


@method
def test_pillow_differs_by_its_rounding_only(method: Callable) -> None:
    pictures = noise(4, 90, 120)
    crops = random_crops(12, 4, 90, 120)
    found = method(pictures, crops, 48, ONE, ZERO)
    for result, (row, top, left, height, width, mirror) in zip(found, crops.tolist(), strict=True):
        image = Image.fromarray(pictures[row].numpy())
        image = image.crop((left, top, left + width, top + height))
        image = tv.pil_to_tensor(image.resize((48, 48), Image.Resampling.BILINEAR))
        image = image.flip(-1) if mirror else image
        # It rounds after each of its two passes.
        assert_close(result, image.float(), 1.01)
        assert (result - image).abs().mean() < 0.4
        assert (result - image).mean().abs() < 0.15  # it rounds a half up


@method
def test_mirroring_and_no_change_of_size_are_exact(method: Callable) -> None:
    pictures = noise(1, 20, 20)
    crops = torch.tensor([[0, 0, 0, 20, 20, 0], [0, 0, 0, 20, 20, 1]])
    found = method(pictures, crops, 20, ONE, ZERO)
    assert torch.equal(found[0], pictures[0].permute(2, 0, 1).float())
    assert torch.equal(found[1], found[0].flip(-1))


@method
def test_channels_are_scaled_and_shifted(method: Callable) -> None:
    pictures, crops = noise(2, 30, 40), random_crops(6, 2, 30, 40)
    scale, shift = torch.tensor([[2.0, -1, 0.5], [1.0, 3, -4]])[:, :, None, None]
    found = method(pictures, crops, 20, scale, shift)
    expected = reference(pictures, crops, 20, torch.float64) * scale + shift
    assert_close(found, expected, 3 * CLOSE)


def test_a_result_does_not_depend_on_the_others() -> None:
    pictures = noise(7, 60, 90)
    crops = random_crops(40, 7, 60, 90)
    together = resample(pictures, crops, 40, ONE, ZERO)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    assert torch.equal(resample(pictures, crops[order], 40, ONE, ZERO), together[order])
    for i in range(40):
        alone = resample(pictures, crops[i : i + 1], 40, ONE, ZERO)
        assert torch.equal(alone[0], together[i])
        pictures_alone = pictures[crops[i, 0]][None]
        at_first = torch.cat([torch.zeros(1, dtype=torch.long), crops[i, 1:]])[None]
        assert torch.equal(resample(pictures_alone, at_first, 40, ONE, ZERO)[0], together[i])


def test_a_gpu_takes_shares_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, crops = noise(5, 30, 40), random_crops(23, 5, 30, 40)
    together = resample_dense(pictures, crops, 20, ONE, ZERO)
    taken = []
    bmm = torch.bmm
    monkeypatch.setattr(torch, "bmm", lambda a, b: (taken.append(len(a)), bmm(a, b))[1])
    monkeypatch.setattr(resampling, "SHARE", 4 * 3 * 30 * 40)
    assert_close(resample_dense(pictures, crops, 20, ONE, ZERO), together, 1e-4)
    assert taken[::2] == [4, 4, 4, 4, 4, 3]
    monkeypatch.setattr(resampling, "SHARE", 1)
    assert_close(resample_dense(pictures, crops, 20, ONE, ZERO), together, 1e-4)


def test_a_gpu_need_not_wait() -> None:
    # On this device tensors have no values: what asks for one, or for a shape from one, fails.
    pictures = torch.empty(4, 30, 40, 3, dtype=torch.uint8, device="meta")
    crops = torch.empty(9, 6, dtype=torch.int32, device="meta")
    found = resample_dense(pictures, crops, 20, ONE.to("meta"), ZERO.to("meta"))
    assert found.shape == (9, 3, 20, 20)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_a_cpu_gives_also_in_a_graph() -> None:
    pictures, crops = noise(5, 90, 120), random_crops(23, 5, 90, 120)
    expected = resample(pictures, crops, 64, ONE, ZERO)
    there = [x.cuda() for x in (pictures, crops)]
    settings = [64, ONE.cuda(), ZERO.cuda()]
    assert_close(resample(*there, *settings).cpu(), expected)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = resample(*there, *settings)
    there[1].copy_(crops.flip(0))
    graph.replay()
    assert_close(result.cpu(), expected.flip(0))


@method
def test_autocast_does_not_act(method: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "resample_tiled", method)
    pictures, crops = noise(2, 30, 40), random_crops(6, 2, 30, 40)
    expected = resample(pictures, crops, 20, ONE, ZERO)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(resample(pictures, crops, 20, ONE, ZERO), expected)


def test_pictures_need_not_be_contiguous() -> None:
    pictures, crops = noise(4, 30, 40), random_crops(6, 2, 30, 40)
    for method in METHODS:
        expected = method(pictures[::2].contiguous(), crops, 20, ONE, ZERO)
        assert torch.equal(method(pictures[::2], crops, 20, ONE, ZERO), expected)


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, Tensor, int]:
    """Give a height, a width, one crop and a size."""
    height, width = (draw(st.integers(1, 70)) for _ in range(2))
    rows, columns = draw(st.integers(1, height)), draw(st.integers(1, width))
    top, left = draw(st.integers(0, height - rows)), draw(st.integers(0, width - columns))
    crop = torch.tensor([[0, top, left, rows, columns, draw(st.booleans())]])
    return height, width, crop, draw(st.integers(1, 50))


@method
@given(case=cases(), value=st.integers(0, 255))
def test_a_constant_box_stays_constant(
    method: Callable, case: tuple[int, int, Tensor, int], value: int
) -> None:
    height, width, crop, size = case
    _, top, left, rows, columns, _ = crop[0].tolist()
    pictures = torch.full((1, height, width, 3), 255 - value, dtype=torch.uint8)
    pictures[0, top : top + rows, left : left + columns] = value
    found = method(pictures, crop, size, ONE, ZERO)
    assert_close(found, torch.full((1, 3, size, size), float(value)))


@method
@given(case=cases(), seed=st.integers(0, 99))
def test_results_are_torchvisions_and_within_the_range_of_the_box(
    method: Callable, case: tuple[int, int, Tensor, int], seed: int
) -> None:
    height, width, crop, size = case
    _, top, left, rows, columns, _ = crop[0].tolist()
    pictures = noise(1, height, width, seed)
    found = method(pictures, crop, size, ONE, ZERO)
    assert_close(found, reference(pictures, crop, size, torch.float64))
    box = pictures[0, top : top + rows, left : left + columns].float()
    assert found.min() >= box.min() - CLOSE
    assert found.max() <= box.max() + CLOSE


@method
@given(case=cases(), seed=st.integers(0, 99))
def test_resampling_is_linear(
    method: Callable, case: tuple[int, int, Tensor, int], seed: int
) -> None:
    height, width, crop, size = case
    a, b = noise(2, height, width, seed)[:, None] // 2
    parts = [method(x, crop, size, ONE, ZERO) for x in (a, b)]
    assert_close(method(a + b, crop, size, ONE, ZERO), parts[0] + parts[1], 3 * CLOSE)


@given(length=st.integers(1, 3000), size=st.integers(1, 1000))
def test_weights_sum_to_one_and_stay_inside(length: int, size: int) -> None:
    source = torch.arange(-3, length + 3)[:, None]
    target = torch.tensor([0, size // 2, size - 1])
    weights = triangle_weights(source, target, torch.tensor(length), size)
    assert weights.shape == (length + 6, 3)
    assert (weights >= 0).all()
    assert_close(weights.sum(0), torch.ones(3), 1e-6)
    assert not weights[:3].any()
    assert not weights[-3:].any()
    assert_close(weights[3:-3].flip(0)[:, 0], weights[3:-3, 2], 0)  # both ends are alike
