"""How far each encoder moved in a step, and how far it would have moved without modulation.

A gradient that is scaled by .1 every other step does not scale the weights' movement by .1: the
optimizer remembers. So a second optimizer of the same kind follows the training with the raw
gradients, along the same weights; the ratio of the two movements is what a method did to them.

A raw gradient is the one that ``backward`` left. What a method took out of the loss before, as
frequency does with the unimodal loss of a skipped modality, is missing from it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

MakeOptimizer = Callable[[Mapping[str, Sequence[Tensor]]], torch.optim.Optimizer]


class Updates:
    """Measures the movement of each encoder's weights, and its unmodulated counterpart.

    The weights of an encoder are followed as one vector: one tensor instead of sixty.

    Args:
        groups: parameters by modality; they must stay the same tensors.
        make_optimizer: maps named groups of tensors to an optimizer such as the run's, which treats
            each number by itself, as SGD and Adam do.
        modulated: whether any method edits gradients or learning rates; where none does, the two
            movements are the same and the second optimizer is spared.
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[nn.Parameter]],
        make_optimizer: MakeOptimizer,
        modulated: bool,
    ) -> None:
        self.groups = groups
        self.modulated = modulated
        self._start: dict[str, Tensor] = {}
        self._weights = {m: [_memory(p.detach()) for p in groups[m]] for m in groups}
        self._followers = {m: torch.cat(self._weights[m]) for m in groups}
        self.optimizer = make_optimizer({m: [v] for m, v in self._followers.items()})

    def set_rate(self, rate: float) -> None:
        """Set the scheduled learning rate of the epoch, without any method's factor."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def before(self, modalities: Sequence[str]) -> dict[str, Tensor]:
        """Look at the raw gradients; return ``unmodulated_norm/<m>``, where that is another.

        Called after ``backward``, before a method edits a gradient. A parameter without a gradient
        counts as one whose gradient is 0.
        """
        self._start = {m: torch.cat(self._weights[m]) for m in modalities}
        if not self.modulated:
            return {}
        for m, start in self._start.items():
            self._followers[m].copy_(start)
            self._followers[m].grad = torch.cat([_gradient(p) for p in self.groups[m]])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {
            f"unmodulated_norm/{m}": _distance(self._followers[m], start)
            for m, start in self._start.items()
        }

    @torch.no_grad()
    def after(self, modalities: Sequence[str]) -> dict[str, Tensor]:
        """Return ``update_norm/<m>``, how far the optimizer's step moved each encoder."""
        moved = {m: _distance(torch.cat(self._weights[m]), self._start[m]) for m in modalities}
        kinds = ("update_norm",) if self.modulated else ("update_norm", "unmodulated_norm")
        return {f"{kind}/{m}": norm for kind in kinds for m, norm in moved.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the memory of the second optimizer."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.optimizer.load_state_dict(state)


def _memory(tensor: Tensor) -> Tensor:
    """Return a tensor's numbers in the order they lie in memory, without copying them."""
    return tensor.as_strided((tensor.numel(),), (1,))


def _gradient(parameter: nn.Parameter) -> Tensor:
    gradient = parameter.grad
    if gradient is None:
        return parameter.new_zeros(parameter.numel())
    if gradient.stride() != parameter.stride():
        gradient = torch.empty_like(parameter).copy_(gradient)
    return _memory(gradient)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vector_norm(a - b, dtype=torch.float32)
