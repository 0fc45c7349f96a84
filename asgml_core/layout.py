"""Where the numbers of pictures and kernels lie in memory, which decides the kernels that run."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def arrange(tensor: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Return ``(N, C, H, W)`` in a memory format, its strides too where ``C`` is 1.

    With one channel the numbers lie alike in both formats, and torch leaves the strides as they
    are; but it chooses its kernels by them.
    """
    tensor = tensor.contiguous(memory_format=memory_format)
    if memory_format is not torch.channels_last or tensor.shape[1] != 1:
        return tensor
    _, _, height, width = tensor.shape
    return tensor.as_strided(tensor.shape, (height * width, 1, width, 1))


def arrange_module(module: nn.Module, memory_format: torch.memory_format) -> None:
    """Bring every parameter of four dimensions into a memory format, in place."""
    module.to(memory_format=memory_format)
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = arrange(parameter.data, memory_format)
