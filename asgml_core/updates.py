"""How far each encoder moved in a step, and how far it would have moved without modulation.

A gradient that is scaled by .1 every other step does not scale the weights' movement by .1: the
optimizer remembers. So a second optimizer of the same kind follows the training with the raw
gradients, along the same weights; the ratio of the two movements is what a method did to them.

A raw gradient is the one that ``backward`` left. What a method took out of the loss before, as
frequency does with the unimodal loss of a skipped modality, is missing from it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from asgml_core.modulators.editing import gradient_norm

MakeOptimizer = Callable[[Mapping[str, Sequence[Tensor]]], torch.optim.Optimizer]
State = Mapping[str, Any]


class Updates:
    """Measures the movement of each encoder's weights, and its unmodulated counterpart.

    The second optimizer has the same weights as the first and a learning rate of 0: it moves
    nothing, and remembers what it was given. How far a step goes is then read from the memory of
    each.

    Args:
        groups: parameters by modality; they must stay the same tensors.
        optimizer: the run's, with one parameter group of each name in ``groups``.
        make_optimizer: maps named groups of tensors to an optimizer such as the run's.
        modulated: whether any method edits gradients or learning rates; where none does, the two
            movements are the same and the second optimizer is spared.

    Raises:
        TypeError: for an optimizer whose movement is not known.
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[nn.Parameter]],
        optimizer: torch.optim.Optimizer,
        make_optimizer: MakeOptimizer,
        modulated: bool,
    ) -> None:
        if type(optimizer) not in _MOVEMENTS:
            known = ", ".join(kind.__name__ for kind in _MOVEMENTS)
            raise TypeError(
                f"the optimizer is {type(optimizer).__name__}, but updates are known of {known}."
            )
        self.groups = groups
        self.modulated = modulated
        self.rate = 0.0
        self.optimizer = optimizer
        self._movement = _MOVEMENTS[type(optimizer)]
        # As they lie in memory: an optimizer on a CPU would first copy what lies otherwise.
        self._weights = {m: [_memory(p.detach()) for p in groups[m]] for m in groups}
        self.follower = make_optimizer(self._weights)
        for group in self.follower.param_groups:
            group["lr"] = 0.0

    def set_rate(self, rate: float) -> None:
        """Set the scheduled learning rate of the epoch, without any method's factor."""
        self.rate = rate

    @torch.no_grad()
    def before(self, modalities: Sequence[str]) -> dict[str, Tensor]:
        """Look at the raw gradients; return ``unmodulated_norm/<m>``, where that is another.

        Called after ``backward``, before a method edits a gradient. A parameter without a gradient
        counts as one whose gradient is 0.
        """
        if not self.modulated:
            return {}
        for m in modalities:
            for weight, p in zip(self._weights[m], self.groups[m], strict=True):
                weight.grad = _gradient(p)
        self.follower.step()
        norms = {
            f"unmodulated_norm/{m}": self.rate * self._norm(self.follower, m, self._weights[m])
            for m in modalities
        }
        self.follower.zero_grad(set_to_none=True)
        return norms

    @torch.no_grad()
    def after(self, modalities: Sequence[str]) -> dict[str, Tensor]:
        """Return ``update_norm/<m>``, how far the optimizer's step moved each encoder."""
        moved = {}
        for m in modalities:
            # The optimizer leaves a parameter without a gradient where it is.
            parameters = [p for p in self.groups[m] if p.grad is not None]
            moved[m] = _group(self.optimizer, m)["lr"] * self._norm(self.optimizer, m, parameters)
        kinds = ("update_norm",) if self.modulated else ("update_norm", "unmodulated_norm")
        return {f"{kind}/{m}": norm for kind in kinds for m, norm in moved.items()}

    def _norm(
        self, optimizer: torch.optim.Optimizer, m: str, parameters: Iterable[Tensor]
    ) -> Tensor:
        group = _group(optimizer, m)
        moved = [self._movement(p, optimizer.state[p], group) for p in parameters]
        return gradient_norm(moved, self._weights[m][0].device)

    def state_dict(self) -> dict[str, Any]:
        """Return the memory of the second optimizer."""
        return self.follower.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.follower.load_state_dict(state)


def _group(optimizer: torch.optim.Optimizer, name: str) -> dict[str, Any]:
    return next(group for group in optimizer.param_groups if group["name"] == name)


def sgd_movement(parameter: Tensor, state: State, group: Mapping[str, Any]) -> Tensor:
    """Return by what a step of SGD moved a parameter, over the learning rate.

    Without momentum the decay is that of the weights at hand: after the step it is off by a share
    of ``lr * weight_decay`` of itself.

    Args:
        parameter: with its gradient.
        state: of the parameter, after the step.
        group: the parameter's group.
    """
    if group["momentum"]:
        return state["momentum_buffer"]
    return parameter.grad + group["weight_decay"] * parameter


def adam_movement(parameter: Tensor, state: State, group: Mapping[str, Any]) -> Tensor:
    """Return by what a step of Adam moved a parameter, over the learning rate.

    Args:
        parameter: the parameter.
        state: of the parameter, after the step.
        group: the parameter's group.

    Source: Adam (Kingma and Ba, ICLR 2015), algorithm 1.
    """
    first, second = group["betas"]
    step = state["step"]
    spread = (state["exp_avg_sq"] / (1 - second**step)).sqrt_().add_(group["eps"])
    return (state["exp_avg"] / (1 - first**step)).div_(spread)


_MOVEMENTS = {torch.optim.SGD: sgd_movement, torch.optim.Adam: adam_movement}


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
