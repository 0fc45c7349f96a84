"""What a loop and a method tell each other: the time, a batch's outputs, an epoch's metrics.

Shapes: ``M`` modalities, ``B`` batch, ``C`` classes, ``d`` features.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Groups = Mapping[str, Sequence[nn.Parameter]]


@dataclass(frozen=True)
class Clock:
    """Where a run stands.

    Args:
        epoch: from 1 to ``epochs``.
        step: optimizer steps taken before this one, from 0, over the whole run.
        batch: batches seen before this one in this epoch, from 0.
        batches: batches in an epoch.
        epochs: epochs in the run.

    In a loop that counts from 0, with ``n = len(loader)``: ``Clock(epoch + 1, epoch * n + i, i, n,
    epochs)``. With gradient accumulation a batch is what one optimizer step sees.

    Raises:
        ValueError: for what is no moment of a run.
    """

    epoch: int
    step: int
    batch: int
    batches: int
    epochs: int

    def __post_init__(self) -> None:
        inside = 1 <= self.epoch <= self.epochs and 0 <= self.batch < self.batches
        if not inside or self.step < 0:
            raise ValueError(
                f"{self} is no moment of a run: epoch counts from 1 to epochs, step from 0, and "
                "batch from 0 to batches - 1, anew in every epoch."
            )


@dataclass(frozen=True)
class Outputs:
    """What a network returned for one batch.

    Args:
        logits: fused logits ``(B, C)``.
        unimodal_logits: ``{modality: (B, C)}``; its order is the order of the modalities.
        features: encoder features ``{modality: (B, d)}``.
        fuse: maps features to fused logits, for methods that ask what the network says without a
            modality; ``None`` where the network cannot.
    """

    logits: Tensor
    unimodal_logits: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    fuse: Callable[[Mapping[str, Tensor]], Tensor] | None = None

    @classmethod
    def cat(cls, parts: Sequence[Outputs]) -> Outputs:
        """Return the outputs of several micro-batches as those of one batch, detached.

        For gradient accumulation: keep the outputs of every micro-batch of a step, and give
        ``modulate`` all of them at once.

        Args:
            parts: one or more, of the same modalities.

        Raises:
            ValueError: for no parts, or parts of different modalities.
        """
        if not parts:
            raise ValueError("there are no outputs to join; keep those of each micro-batch.")
        first = parts[0]
        for part in parts:
            for kind in ("unimodal_logits", "features"):
                if tuple(getattr(part, kind) or ()) != tuple(getattr(first, kind) or ()):
                    raise ValueError(
                        f"the {kind} of the micro-batches have the modalities "
                        f"{tuple(getattr(first, kind))} and {tuple(getattr(part, kind))}; "
                        "they must be the same."
                    )
        return cls(
            torch.cat([part.logits.detach() for part in parts]),
            {
                m: torch.cat([part.unimodal_logits[m].detach() for part in parts])
                for m in first.unimodal_logits
            },
            {
                m: torch.cat([part.features[m].detach() for part in parts])
                for m in first.features or ()
            },
            first.fuse,
        )


@dataclass(frozen=True)
class Evaluation:
    """The network on one whole part, in evaluation mode: outputs and labels ``(N,)``."""

    outputs: Outputs
    labels: Tensor

    @functools.cached_property
    def accuracy(self) -> float:
        """Share of items whose fused logits put the true class first."""
        return float((self.outputs.logits.argmax(1) == self.labels).double().mean())

    @functools.cached_property
    def accuracies(self) -> dict[str, float]:
        """The same for the unimodal logits, by modality."""
        return {
            m: float((logits.argmax(1) == self.labels).double().mean())
            for m, logits in self.outputs.unimodal_logits.items()
        }


@dataclass(frozen=True)
class Metrics:
    """What is known at the end of an epoch.

    Args:
        valid: evaluation on the validation part, ``None`` where there is none (protocol ``paper``).
        test: evaluation on the test part, ``None`` where it is left for the end; for records, and
            for methods that repeat on request what the study did with it.
    """

    valid: Evaluation | None = None
    test: Evaluation | None = None
