"""The encoder of sequences: a small transformer that knows which steps are padding."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from asgml_core.checks import check_count


class SequenceEncoder(nn.Module):
    """A small transformer over a sequence of feature vectors ``(B, T, inputs)``.

    A linear map to ``d`` features, sinusoidal positions, blocks of attention and of two linear
    layers (each after a layer norm, each added to what it is given), a last layer norm, and the
    mean over the steps that are there. A step is padding where all its inputs are 0: nothing looks
    at it, and it is not in the mean. Of an item without any step the features are 0. No dropout,
    no batch statistics; the attention is written out, since the kernels that fuse it are not
    deterministic in their backward pass on CUDA.

    Args:
        steps: the number of steps ``T``, padding included.
        inputs: features of one step.
        width: as for :class:`~asgml_core.models.ResNet18`, the features have ``d = 8 * width``.
        layers: blocks.
        heads: of the attention, a divisor of 8.

    Source: the encoder of Vaswani et al. (2017, arXiv:1706.03762), with the layer norm before each
    part (Xiong et al. 2020, arXiv:2002.04745). Differs in the masked mean at the end.
    """

    def __init__(
        self, steps: int, inputs: int, width: int = 64, layers: int = 2, heads: int = 4
    ) -> None:
        super().__init__()
        self.features = 8 * check_count("width", width)
        self.embed = nn.Linear(inputs, self.features)
        self.register_buffer("positions", _positions(steps, self.features), persistent=False)
        self.blocks = nn.ModuleList(_Block(self.features, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(self.features)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, inputs)`` to features ``(B, d)``."""
        real = (x != 0).any(2)
        z = self.embed(x) + self.positions
        for block in self.blocks:
            z = block(z, real)
        z = self.norm(z) * real.unsqueeze(2)
        return z.sum(1) / real.sum(1, keepdim=True).clamp(min=1)


class _Block(nn.Module):
    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(features)
        self.query_key_value = nn.Linear(features, 3 * features)
        self.joined = nn.Linear(features, features)
        self.norm_layers = nn.LayerNorm(features)
        self.layers = nn.Sequential(
            nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, features)
        )

    def forward(self, z: Tensor, real: Tensor) -> Tensor:
        z = z + self.attend(self.norm_attention(z), real)
        return z + self.layers(self.norm_layers(z))

    def attend(self, z: Tensor, real: Tensor) -> Tensor:
        # (B, T, 3 d) -> three of (B, heads, T, d / heads)
        parts = self.query_key_value(z).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        # The lowest number and not -inf: of an item that is all padding, softmax would be NaN.
        scores = scores.masked_fill(~real[:, None, None], torch.finfo(scores.dtype).min)
        return self.joined((scores.softmax(3) @ value).transpose(1, 2).flatten(2))


def _positions(steps: int, features: int) -> Tensor:
    """Return sines and cosines of the step's number, ``(steps, features)``."""
    rates = 10_000.0 ** (-torch.arange(0, features, 2, dtype=torch.float64) / features)
    angles = torch.arange(steps, dtype=torch.float64)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1).float()
