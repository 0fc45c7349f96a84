"""Frequency (the study's first method): the faster a modality learns, the seldomer it updates."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from asgml_core.checks import check_count, check_number, check_one_of
from asgml_core.modulators.editing import gradients_of, scale_gradients
from asgml_core.modulators.outputs import Clock, Groups, Outputs
from asgml_core.modulators.periods import Adaptation, AdaptivePeriods, SignalSource, update_periods
from asgml_core.modulators.probing import ProbeEMA


class Frequency(AdaptivePeriods):
    """Encoder ``m`` updates on every ``n_m``-th step; on the others it is masked.

    ``m`` updates where ``step % n_m == 0``. On a skipped step its unimodal loss counts 0 and its
    gradient is multiplied by ``soft_mask_scale``. Modalities with equal periods skip together.

    Args:
        adaptation: ``"adaptive"`` takes the periods from the signal, by :func:`update_periods`;
            ``"fixed"`` gives ``dominant`` the period ``ratio``, the others 1, and reads no probe.
        ratio: the period of the dominant modality, 1 or more, where fixed.
        dominant: its name, where fixed.
        signal_source: ``"dual"``, ``"probe"`` or ``"both"``; see
            :class:`~asgml_core.modulators.periods.AdaptivePeriods`.
        tau_base: the period of a modality of average speed, above 0.
        tau_min: the shortest period, 1 or more.
        tau_max: the longest one, ``tau_min`` or more; with 1 nothing is ever skipped.
        beta: weight of gradient norms in the learning speed, from 0 to 1; the rest is the descent
            of the unimodal losses.
        threshold_delta: for ``"probe"``: a smaller gap gives all the shortest period; from 0 to 1.
        kappa: the longest period is at most ``kappa`` times the shortest; 1 or more.
        soft_mask_scale: of the gradient on a skipped step, from 0 (a hard skip) to 1.
        skip: ``"zero"`` masks the gradient alone, so that momentum and weight decay still move the
            encoder, as in the study; ``"freeze"`` takes its gradient away, and nothing does.
        eval_every: batches between probe times; ``None``: one an epoch (the study: 100 of 105).
        probe_steps: Adam steps of the probes at a probe time.
        probe_split: measure on other items than trained on; the study did not.
        probe_ema: see :class:`~asgml_core.modulators.probing.Probing`.
        seed: of the probes.

    It weighs the unimodal losses, so in a loop of one's own its ``terms`` is called with them, as
    ``modulator.terms({"fused": ..., "audio": ..., "visual": ...}, outputs, labels, clock)``.
    Source: the study, frequency mode. One norm per encoder and one loss per modality and step; at a
    probe time fifty steps of softmax regression, and the periods are read back from the device.
    """

    name = "frequency"
    weighs_terms = True
    at_rest = 1

    def __init__(  # noqa: PLR0913 - the study's own settings
        self,
        adaptation: Adaptation = "adaptive",
        ratio: int = 2,
        dominant: str = "audio",
        signal_source: SignalSource = "dual",
        tau_base: float = 2.0,
        tau_min: float = 1.0,
        tau_max: float = 8.0,
        beta: float = 0.5,
        threshold_delta: float = 0.1,
        kappa: float = 3.0,
        soft_mask_scale: float = 0.1,
        skip: Literal["zero", "freeze"] = "zero",
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
        self.ratio = check_count("ratio", ratio)
        self.soft_mask_scale = check_number("soft_mask_scale", soft_mask_scale, low=0.0, high=1.0)
        self.skip = check_one_of("skip", skip, ("zero", "freeze"))

    @property
    def given(self) -> int:
        """The period of the dominant modality, where fixed."""
        return self.ratio

    def decide(self, tau: Tensor) -> Tensor:
        """Return the periods ``(M,)`` that ``tau`` calls for."""
        return update_periods(tau, self.kappa)

    def terms(
        self, terms: dict[str, Tensor], outputs: Outputs, labels: Tensor, clock: Clock
    ) -> dict[str, Tensor]:
        """Put 0 in the place of a skipped modality's unimodal loss.

        It is a 0 that still hangs on the logits, so that every parameter has a gradient on every
        step, as ``DistributedDataParallel`` wants it.

        Raises:
            ValueError: when there are several terms, and none has the name of a modality.
        """
        skipped = {m for m, n in self.steps(outputs).items() if clock.step % n}
        if len(terms) > 1 and not any(m in terms for m in outputs.unimodal_logits):
            raise ValueError(
                f"frequency weighs the unimodal losses, but the terms are {', '.join(terms)}; name "
                f"each by its modality: {', '.join(outputs.unimodal_logits)}."
            )
        nothing = {m: outputs.unimodal_logits[m].nan_to_num(0.0, 0.0, 0.0) for m in skipped}
        return {
            name: 0.0 * nothing[name].sum() if name in nothing else term
            for name, term in terms.items()
        }

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Mask the skipped encoders; at a probe time, then set the periods."""
        record, device = {}, outputs.logits.device
        acted = False
        for m, n in self.steps(outputs).items():
            updates = clock.step % n == 0
            if not updates and (gradients := gradients_of(groups[m])):
                acted = True
                if self.skip == "freeze":
                    for p in groups[m]:
                        p.grad = None
                else:
                    scale_gradients(gradients, self.soft_mask_scale)
            record[f"period/{m}"] = torch.full((), float(n), device=device)
            record[f"updates/{m}"] = torch.full((), float(updates), device=device)
        self.count("acted", int(acted))
        return record | self.next_steps(outputs, clock)
