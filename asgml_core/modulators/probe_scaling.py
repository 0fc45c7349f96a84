"""What throttle and boost share: a probe guides one smoothed scale per encoder."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from asgml_core.checks import check_count, check_one_of
from asgml_core.modulators.base import Clock, Groups, Metrics, Modulator, Outputs
from asgml_core.modulators.editing import gradients_of, scale_gradients
from asgml_core.probes import Probes

ACCURACY_SHARE = 0.1
SCALE_SHARE = 0.3
PROBE_TIMES = 5
SMALLEST_GAP = 1e-8


def relative_dominance(accuracies: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(acc_m - min) / gap`` of accuracies ``(M,)``, from 0 to 1, and ``gap = max - min``.

    Where the gap is below 1e-8 the first is a division by almost nothing, and must not be used.
    """
    lowest, highest = accuracies.aminmax()
    gap = highest - lowest
    return (accuracies - lowest) / gap.clamp(min=SMALLEST_GAP), gap


def round_half_up(count: int, size: int) -> int:
    """Return ``count / size`` as the nearest whole number, halves upwards."""
    return (2 * count + size) // (2 * size)


class ProbeScaling(Modulator):
    """Every step each encoder's gradients times its scale; at probe times the scales move.

    A subclass gives :meth:`target`. At a probe time the probes are trained and measured on the
    features of that step, ``acc = .1 * new + .9 * old`` from 0, and ``scale = .3 * target(acc) + .7
    * old`` from 1; the new scale acts from the next step on.

    Args:
        eval_every: batches between probe times in an epoch; ``None`` means five an epoch.
        probe_ema: ``"train"`` measures on training batches alone. ``"study"`` repeats what the
            study did: its evaluation on the test set, once an epoch, feeds the same average.
        probes: the probes.
    """

    measures = True

    def __init__(
        self, eval_every: int | None, probe_ema: Literal["train", "study"], probes: Probes
    ) -> None:
        super().__init__()
        self.eval_every = (
            eval_every if eval_every is None else check_count("eval_every", eval_every)
        )
        self.probe_ema = check_one_of("probe_ema", probe_ema, ("train", "study"))
        self.probes = probes
        self.register_buffer("accuracies", None)
        self.register_buffer("scales", None)

    def target(self, accuracies: Tensor) -> Tensor:
        """Return the scales ``(M,)`` that accuracies ``(M,)`` call for, before smoothing."""
        raise NotImplementedError

    def schedule(self, clock: Clock) -> dict[str, int]:
        """Return how often the probes are read in an epoch.

        Raises:
            ValueError: when ``eval_every`` is longer than an epoch: no probe would ever be read.
        """
        if self.eval_every is None:
            return {"probe_times_per_epoch": min(PROBE_TIMES, clock.batches)}
        if self.eval_every > clock.batches:
            raise ValueError(
                f"{self.name}: eval_every is {self.eval_every} batches, but an epoch has "
                f"{clock.batches}; the method would never measure, and never act."
            )
        return {"probe_times_per_epoch": clock.batches // self.eval_every}

    def is_probe_time(self, clock: Clock) -> bool:
        """Return whether the probes are read in this step."""
        done = clock.batch + 1
        if self.eval_every is not None:
            return done % self.eval_every == 0
        # In the middle of each fifth of the epoch, so that a last batch of odd size is left alone.
        fifths = (round_half_up(k * PROBE_TIMES, clock.batches) for k in (clock.batch, done))
        return next(fifths) < next(fifths)

    def measure(self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock) -> None:
        """At probe times, train the probes and move the running accuracies."""
        features = self._features(outputs, labels)
        if self.accuracies is None:
            self.schedule(clock)
            modalities = len(outputs.unimodal_logits)
            self.accuracies = torch.zeros(modalities, device=outputs.logits.device)
            self.scales = torch.ones(modalities, device=outputs.logits.device)
        if self.is_probe_time(clock):
            classes = outputs.logits.shape[1]
            self._average(self.probes.measure(features, labels, classes))
            self.count("measured")

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Scale the gradients of each encoder; at probe times, then move the scales."""
        record = {}
        acted = torch.zeros((), dtype=torch.bool, device=self.scales.device)
        for i, m in enumerate(outputs.unimodal_logits):
            gradients = gradients_of(groups[m])
            scale_gradients(gradients, self.scales[i])
            if gradients:  # a frozen encoder cannot be acted on
                acted |= self.scales[i] != 1
            record[f"scale/{m}"] = self.scales[i]
        self.count("acted", acted)
        if self.is_probe_time(clock):
            self.scales = torch.lerp(self.scales, self.target(self.accuracies), SCALE_SHARE)
            record["gap"] = relative_dominance(self.accuracies)[1]
            for i, m in enumerate(outputs.unimodal_logits):
                record[f"probe_accuracy/{m}"] = self.accuracies[i]
        return record

    def epoch_end(
        self,
        metrics: Metrics,
        optimizer: torch.optim.Optimizer,
        groups: Groups,
        clock: Clock,
    ) -> None:
        """With ``probe_ema="study"``, feed the test set's probe accuracy to the average."""
        if self.probe_ema == "study" and self.accuracies is not None:
            test = metrics.test
            features = self._features(test.outputs, test.labels)
            self._average(self.probes.score(features, test.labels))

    def _features(self, outputs: Outputs, labels: Tensor) -> dict[str, Tensor]:
        """Return the features, checked, in the order of the modalities."""
        modalities, features = tuple(outputs.unimodal_logits), outputs.features or {}
        if set(features) != set(modalities):
            raise ValueError(
                f"{self.name} reads outputs.features; they have the modalities {tuple(features)}, "
                f"but the unimodal logits {modalities}."
            )
        for m, z in features.items():
            if z.dim() != 2 or len(z) != len(labels):
                raise ValueError(
                    f"{self.name}: features of {m!r} have shape {tuple(z.shape)}, but there are "
                    f"{len(labels)} labels; (B, d) is needed."
                )
        return {m: features[m] for m in modalities}

    def _average(self, measured: Tensor) -> None:
        self.accuracies = torch.lerp(self.accuracies, measured, ACCURACY_SHARE)
