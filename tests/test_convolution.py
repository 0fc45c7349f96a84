"""Convolutions of small maps: against torch's own, in float64 and float32, forwards and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from asgml_core import convolution
from asgml_core.convolution import Conv2d, convolve_small
from asgml_core.models import ResNet18

FORMATS = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def results(function, x: Tensor, weight: Tensor) -> list[Tensor]:
    """The output and both gradients, for one gradient of the output."""
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    y = function(x, weight)
    return [y.detach(), *torch.autograd.grad(y, (x, weight), drawn(*y.shape, seed=9).to(y.dtype))]


@settings(deadline=None, max_examples=150)
@given(
    count=st.integers(1, 3),
    channels=st.integers(1, 4),
    outputs=st.integers(1, 4),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    size=st.sampled_from([1, 2, 3, 5]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    memory_format=st.sampled_from(list(FORMATS.values())),
)
def test_it_is_torch_s_convolution(
    count, channels, outputs, height, width, size, stride, padding, memory_format
):
    if min(height, width) + 2 * padding < size:
        return
    x = drawn(count, channels, height, width).contiguous(memory_format=memory_format)
    weight = drawn(outputs, channels, size, size, seed=1)
    expected = results(lambda x, w: nn.functional.conv2d(x, w, None, stride, padding), x, weight)
    found = results(lambda x, w: convolve_small(x, w, stride, padding), x, weight)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_its_gradients_are_those_of_finite_differences():
    x, weight = drawn(2, 3, 2, 3).requires_grad_(), drawn(2, 3, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: convolve_small(x, w, 2, 1), (x, weight))


def test_a_second_derivative_is_refused():
    x, weight = drawn(1, 2, 2, 2).requires_grad_(), drawn(2, 2, 3, 3).requires_grad_()
    (by_x,) = torch.autograd.grad(
        convolve_small(x, weight, 1, 1).square().sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        by_x.sum().backward()


def test_a_tensor_inside_another_is_read_where_it_is():
    """A view that does not begin where its memory begins."""
    x = drawn(5, 4, 2, 2).contiguous(memory_format=torch.channels_last)[2:4]
    weight = drawn(6, 4, 3, 3, seed=1)[1:4]
    expected = results(lambda x, w: nn.functional.conv2d(x, w, None, 1, 1), x, weight)
    for a, b in zip(expected, results(lambda x, w: convolve_small(x, w, 1, 1), x, weight),
                    strict=True):  # fmt: skip
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("memory_format", FORMATS.values(), ids=list(FORMATS))
def test_gradients_lie_in_memory_as_torch_s_do(memory_format):
    x = drawn(2, 4, 2, 2).contiguous(memory_format=torch.channels_last)
    weight = drawn(8, 4, 3, 3, seed=1).contiguous(memory_format=memory_format)
    found = results(lambda x, w: convolve_small(x, w, 1, 1), x, weight)
    assert all(t.is_contiguous(memory_format=torch.channels_last) for t in found)


@pytest.mark.parametrize("precision", ["float32", "autocast"])
def test_a_network_says_the_same_with_and_without(monkeypatch, precision):
    """The whole ResNet, whose last stages have maps of 4 x 4 and 2 x 2."""
    net = ResNet18(3, width=32).to(memory_format=torch.channels_last).eval()
    x = drawn(4, 3, 64, 64, dtype=torch.float32)

    def said() -> list[Tensor]:
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
            features = net(x)
        features.square().sum().backward()
        return [features.detach(), *(p.grad.clone() for p in net.parameters())]

    calls = []
    small = convolution.convolve_small
    monkeypatch.setattr(
        convolution, "convolve_small", lambda *a: calls.append(a[0].shape[2:]) or small(*a)
    )
    with_small = said()
    assert {tuple(shape) for shape in calls} == {(8, 8), (4, 4), (2, 2)} - {(8, 8)}
    monkeypatch.setattr(convolution, "SMALL", 0)
    monkeypatch.setattr(convolution, "SMALL_IF_WIDE", 0)
    without = said()
    bound = 1e-4 if precision == "float32" else 0.06
    for a, b in zip(with_small, without, strict=True):
        assert float((a - b).norm() / b.norm()) < bound


SETTINGS = {
    "bias": {"bias": True, "padding": 1},
    "groups": {"groups": 2, "padding": 1},
    "dilation": {"dilation": 2, "padding": 2},
    "reflected": {"padding": 1, "padding_mode": "reflect"},
    "same": {"padding": "same"},
    "valid": {"padding": "valid"},
    "oblong stride": {"stride": (1, 2), "padding": 1},
    "oblong padding": {"padding": (0, 1)},
    "oblong kernel": {"kernel_size": (1, 3), "padding": (0, 1)},
}


@pytest.mark.parametrize("given", SETTINGS.values(), ids=list(SETTINGS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_layer_is_torch_s_layer_in_every_setting(given, dtype):
    layers = []
    for kind in (nn.Conv2d, Conv2d):
        torch.manual_seed(0)
        layers.append(kind(4, 6, **{"kernel_size": 3, **given}, dtype=dtype))
    for shape in ((2, 4, 3, 3), (2, 4, 4, 4), (4, 3, 3)):
        x = drawn(*shape, dtype=dtype)
        expected, found = (layer(x) for layer in layers)
        torch.testing.assert_close(found, expected)
        for layer, y in zip(layers, (expected, found), strict=True):
            layer.zero_grad()
            y.square().sum().backward()
        for a, b in zip(*(layer.parameters() for layer in layers), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_torch_func_may_look_inside():
    layer, x = Conv2d(4, 6, 3, padding=1, bias=False), drawn(5, 2, 4, 2, 2, dtype=torch.float32)
    expected = torch.stack([layer(part) for part in x])
    torch.testing.assert_close(torch.func.vmap(layer)(x), expected)


def test_only_small_maps_are_computed_so(monkeypatch):
    called = []
    monkeypatch.setattr(convolution, "convolve_small", lambda x, *rest: called.append(x.shape) or x)
    narrow, wide = Conv2d(8, 8, 3, padding=1, bias=False), Conv2d(128, 8, 3, padding=1, bias=False)
    narrow(torch.zeros(1, 8, 2, 2))
    narrow(torch.zeros(1, 8, 1, 4))
    wide(torch.zeros(1, 128, 4, 4))
    assert len(called) == 3
    assert narrow(torch.zeros(1, 8, 2, 3)).shape == (1, 8, 2, 3)
    assert wide(torch.zeros(1, 128, 4, 5)).shape == (1, 8, 4, 5)
    assert len(called) == 3
