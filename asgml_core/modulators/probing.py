"""What methods guided by probes share: when the probes are read, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from asgml_core.checks import check_count, check_one_of
from asgml_core.modulators.base import Modulator
from asgml_core.modulators.outputs import Clock, Groups, Metrics, Outputs
from asgml_core.probes import Probes

ProbeEMA = Literal["train", "study"]
ACCURACY_SHARE = 0.1
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


class Probing(Modulator):
    """A method that reads probes several times an epoch, and keeps a running accuracy of each.

    At a probe time the probes are trained and measured on the features of that step, and ``acc =
    .1 * new + .9 * old``, from 0.

    Args:
        eval_every: batches between probe times in an epoch; ``None`` means ``probe_times`` an
            epoch, spread evenly.
        probe_ema: ``"train"`` measures on training batches alone. ``"study"`` repeats what the
            study did: its evaluation on the test set, once an epoch, feeds the same average.
        probes: the probes.
    """

    measures = True
    #: Probe times in an epoch where ``eval_every`` does not say.
    probe_times: int = 5

    def __init__(self, eval_every: int | None, probe_ema: ProbeEMA, probes: Probes) -> None:
        super().__init__()
        self.eval_every = (
            eval_every if eval_every is None else check_count("eval_every", eval_every)
        )
        self.probe_ema = check_one_of("probe_ema", probe_ema, ("train", "study"))
        self.needs_epoch_end = probe_ema == "study"
        self.probes = probes
        self.register_buffer("accuracies", None)

    def schedule(self, clock: Clock) -> dict[str, int]:
        """Return how often the probes are read in an epoch.

        Raises:
            ValueError: when ``eval_every`` is longer than an epoch: no probe would ever be read.
        """
        if self.eval_every is None:
            return {"probe_times_per_epoch": min(self.probe_times, clock.batches)}
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
        # In the middle of each share of the epoch: a last batch of odd size is left alone.
        shares = (round_half_up(k * self.probe_times, clock.batches) for k in (clock.batch, done))
        return next(shares) < next(shares)

    def measure(self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock) -> None:
        """At probe times, train the probes and move the running accuracies."""
        features = features_to_probe(self.name, outputs, labels)
        if self.accuracies is None:
            self.schedule(clock)
            modalities = len(outputs.unimodal_logits)
            self.accuracies = torch.zeros(modalities, device=outputs.logits.device)
        if self.is_probe_time(clock):
            classes = outputs.logits.shape[1]
            self._reading = self.probes.measure(features, labels, classes)
            self._average(self._reading)
            self.count("measured")

    def probe_record(self, outputs: Outputs) -> dict[str, Tensor]:
        """Return what to record at a probe time.

        ``probe_reading/<m>`` is the accuracy just measured, ``probe_accuracy/<m>`` the running one,
        ``gap`` the utilization gap of the latter.
        """
        modalities = tuple(outputs.unimodal_logits)
        return {
            "gap": relative_dominance(self.accuracies)[1],
            **_by_modality("probe_accuracy", modalities, self.accuracies),
            **_by_modality("probe_reading", modalities, self._reading),
        }

    def epoch_end(
        self,
        metrics: Metrics,
        optimizer: torch.optim.Optimizer,
        groups: Groups,
        clock: Clock,
    ) -> dict[str, Tensor]:
        """Record what the probes read on items that no encoder was trained on.

        With ``probe_ema="study"`` the accuracy on the test part also moves the running accuracies.

        Raises:
            ValueError: when it should, and the metrics have no test part.
        """
        record: dict[str, Tensor] = {}
        if self.probes.weight is None:
            return record
        for name, part in (("valid", metrics.valid), ("test", metrics.test)):
            if part is not None:
                features = features_to_probe(self.name, part.outputs, part.labels)
                # The probes stand in the order of training, whatever the order here.
                features = {m: features[m] for m in self._modalities or features}
                read = self.probes.score(features, part.labels)
                record |= _by_modality(f"probe_on_{name}", features, read)
                if name == "test" and self.probe_ema == "study":
                    self._average(read)
        if self.probe_ema == "study" and metrics.test is None:
            raise ValueError(f"{self.name}: probe_ema is 'study', but metrics.test is None.")
        return record

    def _average(self, measured: Tensor) -> None:
        self.accuracies = torch.lerp(self.accuracies, measured, ACCURACY_SHARE)


def _by_modality(what: str, modalities: Iterable[str], values: Tensor) -> dict[str, Tensor]:
    return {f"{what}/{m}": value for m, value in zip(modalities, values, strict=True)}


def features_to_probe(name: str, outputs: Outputs, labels: Tensor) -> dict[str, Tensor]:
    """Return the features, checked, in the order of the modalities.

    Args:
        name: of the method that reads them, for the message.
        outputs: whose features are read.
        labels: ``(B,)``.

    Raises:
        ValueError: for features of other modalities than the unimodal logits, or of another shape
            than ``(B, d)``.
    """
    modalities, features = tuple(outputs.unimodal_logits), outputs.features or {}
    if set(features) != set(modalities):
        raise ValueError(
            f"{name} reads outputs.features; they have the modalities {tuple(features)}, "
            f"but the unimodal logits {modalities}."
        )
    for m, z in features.items():
        if z.dim() != 2 or len(z) != len(labels):
            raise ValueError(
                f"{name}: features of {m!r} have shape {tuple(z.shape)}, but there are "
                f"{len(labels)} labels; (B, d) is needed."
            )
    return {m: features[m] for m in modalities}
