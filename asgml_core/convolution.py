"""Convolutions on a CPU whose maps are so small that many of their taps meet nothing but padding.

A 3 x 3 kernel on a map of 2 x 2 has nine taps at each place, and four of them lie on the map.
Libraries for convolution compute all nine, or arrange the map in blocks larger than itself. Here
each place of the output is a matrix product of the places it sees, read where they lie.

Shapes: ``B`` batch, ``C`` and ``O`` channels in and out, ``H``, ``W`` and ``H'``, ``W'`` maps.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

#: Output maps of so many places or fewer are small.
SMALL = 4
#: ... and of so many, where the input has at least so many channels.
SMALL_IF_WIDE, WIDE = 16, 128


class Conv2d(nn.Conv2d):
    """``torch.nn.Conv2d``, in another way where the output is small and on a CPU.

    Both ways give the same numbers up to rounding. Small maps are computed in float32, under
    autocast too: the products are too small to gain from less. Groups, dilation, padding other than
    zeros, and what differs between height and width are always torch's.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, O, H', W')``."""
        # Compilers and torch.func look inside an operator, and know torch's own.
        looked_into = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
        if x.device.type != "cpu" or looked_into or not self._is_small(x):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            x = x.to(self.weight.dtype)
            y = convolve_small(x, self.weight, self.stride[0], self.padding[0])
            return y if self.bias is None else y + self.bias[:, None, None]

    def _is_small(self, x: Tensor) -> bool:
        if x.dim() != 4 or isinstance(self.padding, str):  # "same" or "valid"
            return False
        one, other = zip(self.kernel_size, self.stride, self.padding, strict=True)
        plain = (self.groups, self.padding_mode, *self.dilation) == (1, "zeros", 1, 1)
        if one != other or not plain:
            return False
        places = _places(x.shape[2], *one) * _places(x.shape[3], *one)
        return places <= (SMALL_IF_WIDE if self.in_channels >= WIDE else SMALL)


def convolve_small(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return ``conv2d(x, weight, None, stride, padding)``, place by place.

    Args:
        x: ``(B, C, H, W)`` on a CPU.
        weight: ``(O, C, k, k)`` of the same type.
        stride: in both directions.
        padding: zeros on each side.

    Returns:
        ``(B, O, H', W')``, channels last in memory. It can be differentiated once.
    """
    return _Small.apply(x, weight, stride, padding)


class _Small(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        x, weight = _by_place(x), _by_place(weight)
        count, height, width, _ = x.shape
        outputs, size, _, _ = weight.shape
        y = x.new_zeros(
            count,
            _places(height, size, stride, padding),
            _places(width, size, stride, padding),
            outputs,
        )
        for seen, taps, place in _products(x, weight, y, stride, padding):
            place.addmm_(seen, taps.t())
        ctx.save_for_backward(x, weight)
        ctx.settings = stride, padding
        return y.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_y: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        by_y = _by_place(by_y)
        by_x = by_weight = None
        if ctx.needs_input_grad[0]:
            by_x = torch.zeros_like(x)
            for seen, taps, place in _products(by_x, weight, by_y, *ctx.settings):
                seen.addmm_(place, taps)
            by_x = by_x.permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            by_weight = torch.zeros_like(weight)
            for seen, taps, place in _products(x, by_weight, by_y, *ctx.settings):
                taps.addmm_(place.t(), seen)
            by_weight = by_weight.permute(0, 3, 1, 2)
        return by_x, by_weight, None, None


def _by_place(tensor: Tensor) -> Tensor:
    """Return ``(N, H, W, C)``, contiguous from the start of its memory."""
    by_place = tensor.permute(0, 2, 3, 1).contiguous()  # free where it is channels last already
    return by_place if by_place.storage_offset() == 0 else by_place.clone()


def _places(length: int, size: int, stride: int, padding: int) -> int:
    return (length + 2 * padding - size) // stride + 1


def _products(
    x: Tensor, weight: Tensor, y: Tensor, stride: int, padding: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield views whose products make the convolution: ``(B, nC)``, ``(O, nC)`` and ``(B, O)``.

    ``n`` neighbours in a row of the map lie side by side in memory, as do the taps that see them.

    Args:
        x: ``(B, H, W, C)``.
        weight: ``(O, k, k, C)``.
        y: ``(B, H', W', O)``.
        stride: in both directions.
        padding: zeros on each side.
    """
    # One call a view: at these sizes a call costs as much as the numbers it is for.
    for of_x, of_weight, of_y in _views(x.shape, weight.shape, y.shape, stride, padding):
        yield x.as_strided(*of_x), weight.as_strided(*of_weight), y.as_strided(*of_y)


@functools.lru_cache(1024)
def _views(
    x: torch.Size, weight: torch.Size, y: torch.Size, stride: int, padding: int
) -> list[tuple[tuple[Any, Any, int], ...]]:
    """Return shape, strides and offset of each product's three views."""
    count, height, width, channels = x
    outputs, size, _, _ = weight
    _, y_height, y_width, _ = y
    of_x, of_weight = (height * width * channels, 1), (size * size * channels, 1)
    of_y = (count, outputs), (y_height * y_width * outputs, 1)
    views = []
    for to_row, row, tap_row, rows in _seen(height, y_height, size, stride, padding):
        for i in range(rows):
            for to_column, column, tap, n in _seen(width, y_width, size, stride, padding):
                near = n * channels
                views.append(
                    (
                        ((count, near), of_x, ((row + i) * width + column) * channels),
                        ((outputs, near), of_weight, ((tap_row + i) * size + tap) * channels),
                        (*of_y, (to_row * y_width + to_column) * outputs),
                    )
                )
    return views


def _seen(
    length: int, places: int, size: int, stride: int, padding: int
) -> tuple[tuple[int, int, int, int], ...]:
    """Return, for each place along an axis: itself, what it sees first, by which tap, how many."""
    seen = []
    for place in range(places):
        start = place * stride - padding
        first, last = max(start, 0), min(start + size, length)
        if last > first:
            seen.append((place, first, first - start, last - first))
    return tuple(seen)
