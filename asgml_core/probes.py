"""Linear probes: how much of the labels a linear map can read from each modality's features.

All probes are trained at once, on detached float32 features stacked along a modality axis. The
gradient of softmax regression is written out, so probing needs no autograd, and no probe parameter
can end up in somebody's optimizer. Shapes: ``M`` modalities, ``B`` batch, ``C`` classes, ``d``
features (padded with zeros to the largest where the sizes differ; the padding changes nothing).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asgml_core.checks import check_count, check_flag, check_number
from asgml_core.seeding import generator

BETAS = (0.9, 0.999)
EPSILON = 1e-8


def stack_features(features: Mapping[str, Tensor]) -> Tensor:
    """Return detached float32 features ``(M, B, d)`` of ``{m: (B, d_m)}``, padded with zeros.

    A value that is not finite counts as 0: one bad batch must not spoil a probe for ever.
    """
    widest = max(z.shape[1] for z in features.values())
    finite = (z.detach().float().nan_to_num(0.0, 0.0, 0.0) for z in features.values())
    padded = [F.pad(z, (0, widest - z.shape[1])) for z in finite]
    return torch.stack([z.to(padded[0].device) for z in padded])


def probe_logits(weight: Tensor, bias: Tensor, features: Tensor) -> Tensor:
    """Return logits ``(M, B, C)``; weight ``(M, C, d)``, bias ``(M, C)``, data ``(M, B, d)``."""
    return torch.baddbmm(bias.unsqueeze(1), features, weight.transpose(1, 2))


def _full_precision(stacked: Tensor) -> torch.autocast:
    """Return a context without autocast: a probe measures in float32 inside any loop."""
    return torch.autocast(stacked.device.type, enabled=False)


def probe_gradients(
    weight: Tensor, bias: Tensor, features: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of each probe's mean cross-entropy: ``(softmax - onehot).T @ z / B``."""
    error = probe_logits(weight, bias, features).softmax(2)
    error = (error - F.one_hot(labels, error.shape[2])) / features.shape[1]
    return error.transpose(1, 2) @ features, error.sum(1)


def refit_accuracies(
    train: Mapping[str, Tensor],
    train_labels: Tensor,
    test: Mapping[str, Tensor],
    test_labels: Tensor,
    penalty: float = 1e-3,
) -> dict[str, float]:
    """Return the test accuracy of a linear probe refitted on frozen training features.

    Softmax regression on standardised features, solved by L-BFGS; the penalty (half the squared
    weights times ``penalty``) makes the solution unique where the classes are separable.

    Args:
        train: features ``{m: (N, d_m)}`` of the training part.
        train_labels: ``(N,)`` int64.
        test: features ``{m: (N', d_m)}`` of the test part.
        test_labels: ``(N',)`` int64.
        penalty: 0 or more.
    """
    x, x_test = stack_features(train), stack_features(test)
    mean, deviation = x.mean(1, keepdim=True), x.std(1, keepdim=True).clamp(min=1e-6)
    x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
    classes = int(train_labels.max()) + 1
    weight = torch.zeros(len(x), classes, x.shape[2], device=x.device, requires_grad=True)
    bias = torch.zeros(len(x), classes, device=x.device, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=200, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        logits = probe_logits(weight, bias, x).flatten(0, 1)
        entropy = F.cross_entropy(logits, train_labels.repeat(len(x)), reduction="sum")
        value = entropy / x.shape[1] + penalty / 2 * weight.square().sum()
        value.backward()
        return value

    with _full_precision(x), torch.enable_grad():
        solver.step(loss)
    with _full_precision(x), torch.no_grad():
        predicted = probe_logits(weight, bias, x_test).argmax(2)
    correct = (predicted == test_labels).double().mean(1)
    return dict(zip(train, correct.tolist(), strict=True))


class Probes(nn.Module):
    """One linear probe per modality, with an Adam of their own.

    Args:
        steps: Adam steps at each probe time, 1 or more.
        split: train on the first half of the batch and measure on the second (v2); ``False``
            trains and measures on the whole batch, which it soon knows by heart (v1).
        learning_rate: of Adam, above 0.
        seed: of the initialisation, torch's default for a linear layer.

    The sizes come from the first batch. Everything is a buffer: ``state_dict`` carries the probes
    and their optimizer, ``parameters()`` is empty.
    """

    _STATE = ("weight", "bias", "weight_m", "weight_v", "bias_m", "bias_v")

    def __init__(
        self, steps: int = 10, split: bool = True, learning_rate: float = 1e-3, seed: int = 0
    ) -> None:
        super().__init__()
        self.steps = check_count("steps", steps)
        self.split = check_flag("split", split)
        self.learning_rate = check_number("learning_rate", learning_rate, above=0.0)
        self.seed = seed
        for name in self._STATE:
            self.register_buffer(name, None)
        self.register_buffer("taken", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def measure(self, features: Mapping[str, Tensor], labels: Tensor, classes: int) -> Tensor:
        """Train for ``steps`` steps, then return the accuracies ``(M,)``.

        Args:
            features: ``{m: (B, d_m)}``.
            labels: ``(B,)`` int64.
            classes: number of classes ``C``.

        Raises:
            ValueError: when the batch is too small to split.
        """
        stacked = stack_features(features)
        half = len(labels) // 2 if self.split else len(labels)
        if half < 1:
            raise ValueError(
                f"a split probe needs 2 items or more, but the batch has {len(labels)}; "
                "leave out a last batch of one (drop_last), or measure unsplit."
            )
        if self.weight is None:
            self._initialise([z.shape[1] for z in features.values()], classes, stacked.device)
        with _full_precision(stacked):
            for _ in range(self.steps):
                self._step(stacked[:, :half], labels[:half])
            unseen = slice(half, None) if self.split else slice(None)
            return self._accuracies(stacked[:, unseen], labels[unseen])

    @torch.no_grad()
    def predict_then_train(
        self, features: Mapping[str, Tensor], labels: Tensor, classes: int
    ) -> Tensor:
        """Return logits ``(M, B, C)`` of the probes as they are, then train on the same batch.

        So every batch is read before it is learned from. Arguments as for :meth:`measure`, without
        a split.
        """
        stacked = stack_features(features)
        if self.weight is None:
            self._initialise([z.shape[1] for z in features.values()], classes, stacked.device)
        with _full_precision(stacked):
            logits = probe_logits(self.weight, self.bias, stacked)
            for _ in range(self.steps):
                self._step(stacked, labels)
        return logits

    @torch.no_grad()
    def score(self, features: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Return the accuracies ``(M,)`` of the probes as they are, without training.

        Raises:
            RuntimeError: before the first :meth:`measure`.
        """
        if self.weight is None:
            raise RuntimeError("the probes were never trained; measure comes before score.")
        stacked = stack_features(features)
        with _full_precision(stacked):
            return self._accuracies(stacked, labels)

    def _accuracies(self, stacked: Tensor, labels: Tensor) -> Tensor:
        predicted = probe_logits(self.weight, self.bias, stacked).argmax(2)
        return (predicted == labels).float().mean(1)

    def _step(self, stacked: Tensor, labels: Tensor) -> None:
        self.taken += 1
        by_weight, by_bias = probe_gradients(self.weight, self.bias, stacked, labels)
        self._adam(self.weight, by_weight, self.weight_m, self.weight_v)
        self._adam(self.bias, by_bias, self.bias_m, self.bias_v)

    def _adam(self, value: Tensor, gradient: Tensor, first: Tensor, second: Tensor) -> None:
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        unbiased = first / (1 - BETAS[0] ** self.taken).float()
        spread = (second / (1 - BETAS[1] ** self.taken).float()).sqrt_() + EPSILON
        value.sub_(self.learning_rate * unbiased / spread)

    def _initialise(self, sizes: list[int], classes: int, device: torch.device) -> None:
        draw = generator(self.seed, "probes")
        weight = torch.zeros(len(sizes), classes, max(sizes))
        bias = torch.zeros(len(sizes), classes)
        for m, size in enumerate(sizes):
            bound = size**-0.5
            weight[m, :, :size].uniform_(-bound, bound, generator=draw)
            bias[m].uniform_(-bound, bound, generator=draw)
        self.weight, self.bias = weight.to(device), bias.to(device)
        self.weight_m, self.weight_v = torch.zeros_like(self.weight), torch.zeros_like(self.weight)
        self.bias_m, self.bias_v = torch.zeros_like(self.bias), torch.zeros_like(self.bias)
        self.taken = self.taken.to(device)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        for name in self._STATE:
            saved = state_dict.get(prefix + name)
            place = self.taken.device
            self._buffers[name] = None if saved is None else torch.empty_like(saved, device=place)
        super()._load_from_state_dict(state_dict, prefix, *args)
