"""What frequency and staleness share: how fast a modality learns decides how seldom it updates."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from asgml_core.checks import check_count, check_number, check_one_of
from asgml_core.modulators.editing import gradient_norm, gradients_of
from asgml_core.modulators.outputs import Clock, Groups, Metrics, Outputs
from asgml_core.modulators.probing import ProbeEMA, Probing, relative_dominance
from asgml_core.probes import Probes

Adaptation = Literal["adaptive", "fixed"]
SignalSource = Literal["dual", "probe", "both"]
NORM_SHARE = 0.1
LOSSES_KEPT = 10


def relative_to_mean(values: Tensor) -> Tensor:
    """Return ``(M,)`` values, 0 or more, over their mean; all 1 where all are 0."""
    mean = values.mean()
    return torch.where(mean == 0, torch.ones_like(values), values / mean)


def learning_speeds(grad_norms: Tensor, loss_descents: Tensor, beta: float) -> Tensor:
    """Return ``speed_m = beta * G_m + (1 - beta) * D_m``, how fast each modality learns.

    Args:
        grad_norms: ``(M,)`` running gradient norms of the encoders; ``G`` is them over their mean.
        loss_descents: ``(M,)`` what each unimodal loss lost of late, 0 or more; ``D`` is them over
            their mean.
        beta: weight of the gradients, from 0 to 1.

    Returns:
        ``(M,)``, from 0 to M, with mean 1: with two modalities around 1 each. Where all norms or
        all descents are 0, the modalities count as equally fast in that respect.

    Source: the study's ``dual`` signal.
    """
    return beta * relative_to_mean(grad_norms) + (1 - beta) * relative_to_mean(loss_descents)


def update_periods(tau: Tensor, kappa: float) -> Tensor:
    """Return ``n_m = min(round(tau_m), floor(kappa * min_j max(round(tau_j), 1)))``, 1 or more.

    Args:
        tau: ``(M,)`` periods wished for, 0 or more; halves are rounded to even, and what is not a
            number counts as 1.
        kappa: how many times the shortest period the longest may be, 1 or more.

    Returns:
        ``(M,)`` int64: a modality updates on every ``n_m``-th step.

    Source: the study, frequency mode.
    """
    whole = whole_periods(tau)
    longest = (kappa * whole.clamp(min=1).min()).floor()
    return torch.minimum(whole, longest).clamp(min=1).long()


def whole_periods(tau: Tensor) -> Tensor:
    """Return ``tau`` rounded, what is not a number as 1, and far below what an integer holds."""
    return tau.nan_to_num(1.0).clamp(max=1e6).round()


class AdaptivePeriods(Probing):
    """A method that gives each modality a period ``tau_m``, from its learning speed or its probe.

    ``tau_m`` is 1 until the first probe time. There it becomes, by ``signal_source``, ``clip(x *
    tau_base, tau_min, tau_max)`` with

    - ``"dual"``: ``x`` the learning speed, of the running norm (.1 * new + .9 * old, from 0) of the
      raw gradient and of ``|oldest - newest|`` of the last ten unimodal losses;
    - ``"probe"``: ``x = acc_m / mean(acc)``; all ``tau_min`` for a gap below ``threshold_delta``;
    - ``"both"``: ``x = .5 * speed_m + .5 * acc_m / max(acc)``.

    A subclass says with ``decide`` which whole number of steps that makes, with ``given`` that
    of the dominant modality where fixed, and with ``at_rest`` that of a modality left alone.
    Arguments as in :class:`~asgml_core.modulators.frequency.Frequency`.
    """

    probe_times = 1
    may_rest = True
    given: int
    at_rest: int

    def __init__(  # noqa: PLR0913 - the study's own settings
        self,
        *,
        adaptation: Adaptation,
        dominant: str,
        signal_source: SignalSource,
        tau_base: float,
        tau_min: float,
        tau_max: float,
        beta: float,
        threshold_delta: float,
        kappa: float,
        eval_every: int | None,
        probe_steps: int,
        probe_split: bool,
        probe_ema: ProbeEMA,
        seed: int,
    ) -> None:
        super().__init__(eval_every, probe_ema, Probes(probe_steps, probe_split, seed=seed))
        self.adaptation = check_one_of("adaptation", adaptation, ("adaptive", "fixed"))
        self.dominant = dominant
        self.signal_source = check_one_of("signal_source", signal_source, ("dual", "probe", "both"))
        self.tau_base = check_number("tau_base", tau_base, above=0.0)
        self.tau_min = check_number("tau_min", tau_min, low=1.0)
        self.tau_max = check_number("tau_max", tau_max, low=self.tau_min)
        self.beta = check_number("beta", beta, low=0.0, high=1.0)
        self.threshold_delta = check_number("threshold_delta", threshold_delta, low=0.0, high=1.0)
        self.kappa = check_number("kappa", kappa, low=1.0)
        self.probe_steps, self.probe_split = probe_steps, probe_split
        self.seed = check_count("seed", seed, low=0)
        self.measures = adaptation == "adaptive"
        self.needs_epoch_end = self.measures and self.needs_epoch_end
        self.may_rest = self.measures
        self.register_buffer("norms", None)
        self.register_buffer("losses", None)
        self.register_buffer("tau", None)
        self._steps: list[int] | None = None

    def decide(self, tau: Tensor) -> Tensor:
        """Return the whole numbers of steps ``(M,)`` that ``tau`` calls for."""
        raise NotImplementedError

    def steps(self, outputs: Outputs) -> dict[str, int]:
        """Return what each modality has on this step: a period, or a lag.

        Raises:
            ValueError: where fixed, when no modality is named ``dominant``.
        """
        modalities = tuple(outputs.unimodal_logits)
        if self.adaptation == "fixed":
            check_one_of(f"{self.name}: dominant", self.dominant, modalities)
            return {m: self.given if m == self.dominant else self.at_rest for m in modalities}
        steps = self._steps or [self.at_rest] * len(modalities)
        return dict(zip(modalities, steps, strict=True))

    def tau_ceiling(self, modalities: int) -> float:
        """Return what no ``tau`` of an adaptive method can exceed, with that many modalities."""
        return max(min(self.tau_max, self.tau_base * modalities), self.tau_min)

    def schedule(self, clock: Clock) -> dict[str, int]:
        """Return how often the probes are read in an epoch, unless the periods are fixed."""
        return super().schedule(clock) if self.measures else {}

    def measure(self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock) -> None:
        """Follow raw gradient norms and unimodal losses; at probe times, read the probes."""
        if not self.measures:
            return
        super().measure(outputs, labels, groups, clock)
        device = outputs.logits.device
        norms = [gradient_norm(gradients_of(groups[m])) for m in outputs.unimodal_logits]
        norms = torch.stack([norm.to(device) for norm in norms])
        losses = [
            F.cross_entropy(logits.detach().float(), labels)
            for logits in outputs.unimodal_logits.values()
        ]
        losses = torch.stack(losses).unsqueeze(0)
        if self.tau is None:
            self.norms, self.losses = torch.zeros_like(norms), torch.zeros_like(losses)[:0]
            self.tau = torch.ones_like(norms)
        # What is not finite is left out: what was before stands in for it.
        norms = torch.where(norms.isfinite(), norms, self.norms)
        self.norms = torch.lerp(self.norms, norms, NORM_SHARE)
        before = self.losses[-1:] if len(self.losses) else torch.zeros_like(losses)
        losses = torch.where(losses.isfinite(), losses, before)
        self.losses = torch.cat([self.losses, losses])[-LOSSES_KEPT:]

    def epoch_end(
        self,
        metrics: Metrics,
        optimizer: torch.optim.Optimizer,
        groups: Groups,
        clock: Clock,
    ) -> dict[str, Tensor]:
        """As for any method guided by probes; nothing where the periods are fixed."""
        return super().epoch_end(metrics, optimizer, groups, clock) if self.measures else {}

    def speeds(self) -> Tensor:
        """Return the learning speeds ``(M,)`` of what was followed so far."""
        descents = (self.losses[0] - self.losses[-1]).abs()
        return learning_speeds(self.norms, descents, self.beta)

    def next_steps(self, outputs: Outputs, clock: Clock) -> dict[str, Tensor]:
        """At a probe time, set what holds from the next step on, and return what to record."""
        if not (self.measures and self.is_probe_time(clock)):
            return {}
        speeds = self.speeds()
        self.tau = self._tau(speeds)
        # The host must know who skips or lags; it waits for the device here, once an epoch.
        self._steps = self.decide(self.tau).tolist()
        record = self.probe_record(outputs)
        for i, m in enumerate(outputs.unimodal_logits):
            record |= {f"speed/{m}": speeds[i], f"tau/{m}": self.tau[i]}
        return record

    def _tau(self, speeds: Tensor) -> Tensor:
        accuracies = self.accuracies
        if self.signal_source == "dual":
            signal = speeds
        elif self.signal_source == "probe":
            signal = relative_to_mean(accuracies)
        else:
            signal = 0.5 * speeds + 0.5 * accuracies / accuracies.max().clamp(min=1e-12)
        tau = (self.tau_base * signal).clamp(self.tau_min, self.tau_max)
        if self.signal_source == "probe":
            balanced = relative_dominance(accuracies)[1] < self.threshold_delta
            tau = torch.where(balanced, torch.full_like(tau, self.tau_min), tau)
        return tau

    def get_extra_state(self) -> dict[str, Any]:
        """Return the modalities and their whole numbers of steps."""
        return {**super().get_extra_state(), "steps": self._steps}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore :meth:`get_extra_state`."""
        super().set_extra_state(state)
        self._steps = state["steps"]
