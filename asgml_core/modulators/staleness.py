"""Staleness (the study's second method): the faster a modality learns, the older its gradient."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from asgml_core.checks import check_count, check_number, check_one_of
from asgml_core.modulators.outputs import Clock, Groups, Outputs
from asgml_core.modulators.periods import (
    Adaptation,
    AdaptivePeriods,
    SignalSource,
    whole_periods,
)
from asgml_core.modulators.probing import ProbeEMA

Moment = list[Tensor | None]  # the gradients of one encoder on one step


def staleness_lags(tau: Tensor, kappa: float) -> Tensor:
    """Return ``s_m = min(round(tau_m) - 1, floor(kappa * min_j max(round(tau_j) - 1, 1)))``.

    Args:
        tau: ``(M,)`` periods wished for, 1 or more; halves are rounded to even, and what is not a
            number counts as 1.
        kappa: how many times the shortest lag (at least 1) the longest may be, 1 or more.

    Returns:
        ``(M,)`` int64: the age in steps of the gradient to use, 0 or more.

    Source: the study, staleness mode.
    """
    lags = (whole_periods(tau) - 1).clamp(min=0)
    return torch.minimum(lags, (kappa * lags.clamp(min=1).min()).floor()).long()


class Staleness(AdaptivePeriods):
    """Move encoder ``m`` by its gradient of ``s_m`` steps ago, times ``1 / (1 + lambda * s_m)``.

    Until there is history enough, by the fresh gradient as it is.

    Args:
        adaptation: ``"adaptive"`` takes the lags from the signal, by :func:`staleness_lags`;
            ``"fixed"`` gives ``dominant`` the lag ``staleness`` and the others 0, and reads no
            probe.
        staleness: the lag of the dominant modality in steps, 0 or more, where fixed.
        dominant: its name, where fixed.
        lambda_comp: compensation for age, 0 or more.
        variant: ``"definition"`` is what is said above. ``"study"`` is what its code did: it looked
            into its history after adding the fresh gradient, and so found the one of ``s_m - 1``
            steps ago. At the usual lag of 1 that is the fresh gradient times ``1 / (1 + lambda)``.
        signal_source: as are the following in :class:`~asgml_core.modulators.frequency.Frequency`.
        tau_base: see there.
        tau_min: see there.
        tau_max: see there; with 1 no gradient is ever stale.
        beta: see there.
        threshold_delta: see there.
        kappa: see there; of lags here.
        eval_every: see there.
        probe_steps: see there.
        probe_split: see there.
        probe_ema: see there.
        seed: see there.

    Source: the study, staleness mode; it runs ``variant="study"``. It keeps as many gradients of an
    encoder as the largest lag it can reach, and costs one copy of them a step beside what
    frequency costs.
    """

    name = "staleness"
    at_rest = 0

    def __init__(  # noqa: PLR0913 - the study's own settings
        self,
        adaptation: Adaptation = "adaptive",
        staleness: int = 2,
        dominant: str = "audio",
        lambda_comp: float = 0.1,
        variant: Literal["definition", "study"] = "definition",
        signal_source: SignalSource = "dual",
        tau_base: float = 2.0,
        tau_min: float = 1.0,
        tau_max: float = 8.0,
        beta: float = 0.5,
        threshold_delta: float = 0.1,
        kappa: float = 3.0,
        eval_every: int | None = None,
        probe_steps: int = 50,
        probe_split: bool = False,
        probe_ema: ProbeEMA = "train",
        seed: int = 0,
    ) -> None:
        super().__init__(
            adaptation=adaptation, dominant=dominant, signal_source=signal_source,
            tau_base=tau_base, tau_min=tau_min, tau_max=tau_max, beta=beta,
            threshold_delta=threshold_delta, kappa=kappa, eval_every=eval_every,
            probe_steps=probe_steps, probe_split=probe_split, probe_ema=probe_ema, seed=seed,
        )  # fmt: skip
        self.staleness = check_count("staleness", staleness, low=0)
        self.lambda_comp = check_number("lambda_comp", lambda_comp, low=0.0)
        self.variant = check_one_of("variant", variant, ("definition", "study"))
        self._history: dict[str, list[Moment]] = {}

    @property
    def given(self) -> int:
        """The lag of the dominant modality, where fixed."""
        return self.staleness

    def decide(self, tau: Tensor) -> Tensor:
        """Return the lags ``(M,)`` that ``tau`` calls for."""
        return staleness_lags(tau, self.kappa)

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Put old gradients in the place of the fresh ones; at a probe time, then set the lags."""
        record, acted = {}, False
        lags = self.steps(outputs)
        for m, lag in lags.items():
            acted |= self._replace(m, groups[m], lag, self._kept(lag, len(lags)))
            record[f"lag/{m}"] = torch.full((), float(lag), device=outputs.logits.device)
        self.count("acted", int(acted))
        return record | self.next_steps(outputs, clock)

    def _kept(self, lag: int, modalities: int) -> int:
        """Return how many past gradients of an encoder may still be asked for."""
        longest = lag
        if self.adaptation == "adaptive":
            longest = round(self.tau_ceiling(modalities)) - 1
        return longest if self.variant == "definition" else max(longest - 1, 0)

    def _replace(self, m: str, parameters: list[nn.Parameter], lag: int, kept: int) -> bool:
        history = self._history.setdefault(m, [])
        age = lag if self.variant == "definition" else max(lag - 1, 0)
        scale = 1 / (1 + self.lambda_comp * lag)
        old: Moment = [None] * len(parameters)
        if lag and len(history) >= age and (age or scale != 1):
            old = history[-age] if age else [p.grad for p in parameters]
        if kept:
            history.append([None if p.grad is None else p.grad.clone() for p in parameters])
            del history[: max(len(history) - kept, 0)]
        pairs = zip(parameters, old, strict=True)
        replaced = [(p, g) for p, g in pairs if p.grad is not None and g is not None]
        for p, g in replaced:
            p.grad = g.to(p.grad.device) * scale
        return bool(replaced)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the modalities, the lags and the gradients kept."""
        history = {m: [list(moment) for moment in moments] for m, moments in self._history.items()}
        return {**super().get_extra_state(), "history": history}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore :meth:`get_extra_state`."""
        super().set_extra_state(state)
        self._history = {m: list(moments) for m, moments in state["history"].items()}
