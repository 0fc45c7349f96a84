"""Memory formats: the numbers stay, and strides say what torch's kernels go by."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from asgml_core.layout import arrange, arrange_module

FORMATS = [torch.channels_last, torch.contiguous_format]


@pytest.mark.parametrize(
    "shape", [(2, 3, 4, 5), (2, 1, 4, 5), (1, 1, 1, 1), (3, 1, 1, 7), (0, 1, 2, 2)]
)
@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("before", FORMATS)
def test_the_numbers_stay_and_the_strides_are_those_of_the_format(shape, memory_format, before):
    x = torch.randn(shape).contiguous(memory_format=before)
    arranged = arrange(x, memory_format)
    assert torch.equal(arranged, x)
    assert arranged.is_contiguous(memory_format=memory_format)
    if memory_format is torch.channels_last:
        _, c, h, w = shape
        assert arranged.stride() == (h * w * c, 1, w * c, c)


def test_one_channel_is_not_copied():
    x = torch.randn(2, 1, 4, 5)
    assert arrange(x, torch.channels_last).data_ptr() == x.data_ptr()


def test_a_module_keeps_its_weights_and_its_parameters():
    """The optimizer may hold them already."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1), nn.Linear(3, 2))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    parameters = list(net.parameters())
    arrange_module(net, torch.channels_last)
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())
    assert net[0].weight.stride() == (9, 1, 3, 1)
    net[:3](arrange(torch.randn(2, 1, 8, 8), torch.channels_last)).sum().backward()
    assert net[0].weight.grad.shape == net[0].weight.shape
