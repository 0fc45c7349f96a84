"""Arithmetic that every source of data shares."""

from __future__ import annotations

import torch
from torch import Tensor


def standardise(x: Tensor, training: Tensor) -> Tensor:
    """Return ``x`` as float32 with the mean and standard deviation of its training rows removed.

    Args:
        x: ``(N, ...)``.
        training: row numbers of the training part.
    """
    x = x.float()
    seen = x[training].double()
    return (x - seen.mean().float()) / seen.std().clamp(min=1e-8).float()


def add_noise(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Return ``x`` with Gaussian noise of ``level`` standard deviations of a standardised ``x``.

    The noise belongs to the item: it is drawn once, not anew in every epoch.
    """
    if level == 0:
        return x
    return x + level * torch.randn(x.shape, generator=generator)
