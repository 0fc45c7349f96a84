"""What the methods share: editing gradients in place, without waiting for the device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from asgml_core.checks import check_count, check_one_of
from asgml_core.seeding import derive_seed

Scope = Literal["conv", "weights", "all"]
SMALLEST_DIMENSION = {"conv": 4, "weights": 2, "all": 0}


def gradients_of(
    parameters: Iterable[nn.Parameter], scope: Scope = "all", modality: str = ""
) -> list[Tensor]:
    """Return the gradients of one encoder that a method may edit.

    Args:
        parameters: the encoder's parameters; those without a gradient are left out.
        scope: ``"conv"`` takes gradients of 4 or more dimensions, ``"weights"`` of 2 or more,
            ``"all"`` every one.
        modality: the encoder's name, for the message.

    Raises:
        ValueError: when there are gradients, but none in the scope. A linear encoder under
            ``"conv"`` would otherwise never be modulated, and nobody would know.
    """
    smallest = SMALLEST_DIMENSION[check_one_of("scope", scope, SMALLEST_DIMENSION)]
    gradients = [p.grad for p in parameters if p.grad is not None]
    chosen = [g for g in gradients if g.dim() >= smallest]
    if gradients and not chosen:
        raise ValueError(
            f"scope is {scope!r}, but the encoder {modality!r} has no gradient of {smallest} or "
            f"more dimensions (the largest has {max(g.dim() for g in gradients)}); "
            "choose scope='weights' or scope='all'."
        )
    return chosen


def scale_gradients(gradients: Sequence[Tensor], scale: Tensor | float) -> None:
    """Multiply gradients in place by one number or 0-dim tensor."""
    if gradients:
        if isinstance(scale, Tensor):
            scale = scale.to(gradients[0].device)
        torch._foreach_mul_(list(gradients), scale)


def norms_of(gradients: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean norm of each gradient, ``(K,)``; float64 if one is that, or float32."""
    # Not in half precision: the squares would overflow.
    double = any(g.dtype == torch.float64 for g in gradients)
    dtype = torch.float64 if double else torch.float32
    norms = torch._foreach_norm(list(gradients), dtype=dtype)
    if len({norm.device for norm in norms}) > 1:
        norms = [norm.to(norms[0].device) for norm in norms]
    return torch.stack(norms)


def gradient_norm(gradients: Sequence[Tensor], device: torch.device | None = None) -> Tensor:
    """Return the Euclidean norm of all gradients together, 0-dim.

    Args:
        gradients: of any shapes; where there are none the norm is 0.
        device: where that 0 is; by default on the CPU.
    """
    return norms_of(gradients).norm() if gradients else torch.zeros((), device=device)


def set_rate_factor(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    factor: float,
    modality: str = "",
) -> None:
    """Let the learning rate of some parameters be the scheduled one times a factor.

    The factor is kept as ``group["factor"]``; a new one replaces it, so factors never compound. A
    scheduler that multiplies (StepLR, ExponentialLR, ...) goes on with the rate it finds; one that
    sets the rate anew (LambdaLR, OneCycleLR) must be followed by a product with
    ``group["factor"]``, as our trainer does.

    Args:
        optimizer: whose parameter groups hold these parameters alone, or none of them.
        parameters: of one encoder.
        factor: above 0.
        modality: the encoder's name, for the message.

    Raises:
        ValueError: when the optimizer has no parameter group for them, or one shared with others.
    """
    wanted = {id(p) for p in parameters}
    theirs = [g for g in optimizer.param_groups if any(id(p) in wanted for p in g["params"])]
    if not theirs or not all(id(p) in wanted for g in theirs for p in g["params"]):
        found = "in a group with other parameters" if theirs else "in none of its groups"
        raise ValueError(
            f"the optimizer has the encoder {modality!r} {found}; a learning rate of its own needs "
            "a group of its own: SGD([{'params': groups[m]} for m in groups], lr=...)."
        )
    for group in theirs:
        # Not in place: a rate that is a tensor is shared by all groups.
        group["lr"] = group["lr"] * (factor / group.get("factor", 1.0))
        group["factor"] = factor


def spread(gradient: Tensor) -> Tensor:
    """Return the standard deviation of a gradient's values, 0 where there is one value alone."""
    return gradient.std() if gradient.numel() > 1 else gradient.new_zeros(())


def add_noise(gradient: Tensor, deviation: Tensor | float, random: Random) -> None:
    """Add normal noise to a gradient in place.

    It is drawn into contiguous memory, whatever the gradient's memory format, so that the same seed
    gives the same noise as the official code, which does the same.

    Args:
        gradient: of any shape.
        deviation: the noise's standard deviation, a number or a 0-dim tensor.
        random: where the noise comes from.
    """
    gradient.add_(random.normal_like(gradient).mul_(deviation))


class Random(nn.Module):
    """A generator of one's own: seeded, on the device of the data, saved in the state.

    Args:
        seed: the run's seed.
        purpose: what the numbers are for, so that two methods never share a stream.
    """

    def __init__(self, seed: int, purpose: str) -> None:
        super().__init__()
        self.seed = derive_seed(check_count("seed", seed, low=0), purpose)
        self._generator: torch.Generator | None = None
        self._saved: dict[str, Any] = {"device": None, "state": None}
        self._scratch: Tensor | None = None

    def normal_like(self, tensor: Tensor) -> Tensor:
        """Return standard normal numbers of a tensor's shape; the next call overwrites them."""
        # One piece of memory for all: the system would fill a fresh one with zeros first.
        count, scratch = tensor.numel(), self._scratch
        if scratch is None or scratch.numel() < count or not _alike(scratch, tensor):
            scratch = self._scratch = torch.empty(count, dtype=tensor.dtype, device=tensor.device)
        noise = scratch[:count].view(tensor.shape)
        return noise.normal_(generator=self.on(tensor.device))

    def on(self, device: torch.device) -> torch.Generator:
        """Return the generator, made on ``device`` at the first call.

        On another device of the same kind it goes on where it was, as a process of several must
        that restores the state of the first; on one of another kind it starts from the seed.
        """
        if self._generator is None or self._generator.device != device:
            before = self.get_extra_state()
            self._generator = torch.Generator(device=device).manual_seed(self.seed)
            if before["device"] == device.type:
                self._generator.set_state(before["state"].cpu())
        return self._generator

    def get_extra_state(self) -> dict[str, Any]:
        """Return the kind of device and the state, both ``None`` before the first use."""
        if self._generator is None:
            return dict(self._saved)
        return {"device": self._generator.device.type, "state": self._generator.get_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore :meth:`get_extra_state`."""
        self._generator, self._saved = None, dict(state)


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.device == other.device
