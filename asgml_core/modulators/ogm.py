"""OGM and OGM-GE: damp the encoder whose modality is ahead, on every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from asgml_core.checks import check_count, check_number, check_one_of
from asgml_core.modulators.base import Modulator
from asgml_core.modulators.editing import (
    SMALLEST_DIMENSION,
    Random,
    Scope,
    add_noise,
    gradients_of,
    scale_gradients,
    spread,
)
from asgml_core.modulators.outputs import Clock, Groups, Outputs
from asgml_core.modulators.probing import features_to_probe
from asgml_core.modulators.scores import (
    is_additive,
    split_logits,
    true_class_scores,
    zero_out_logits,
)
from asgml_core.probes import Probes

Reference = Literal["pair", "mean", "min"]
Scores = Literal["heads", "split", "zero_out", "probe"]
Variant = Literal["study", "official"]


def ogm_coefficients(scores: Tensor, alpha: float, reference: Reference = "pair") -> Tensor:
    """Return the coefficient ``k_m`` of each encoder's gradient.

    With two modalities (``"pair"``) and ``r = s_1 / s_2``: where ``r > 1``, ``k_1`` is ``1 -
    tanh(alpha * r)`` and ``k_2 = 1``; else ``k_2 = 1 - tanh(alpha / r)`` and ``k_1 = 1``, so a tie
    damps the second. ``"mean"`` and ``"min"`` take ``r_m = s_m / mean(s)`` and ``s_m / min(s)`` for
    any number of modalities and damp every one with ``r_m > 1``. An acting coefficient is at most
    ``1 - tanh(alpha)``, .336 at alpha .8: it jumps there from 1.

    Args:
        scores: ``(M,)``, from :func:`true_class_scores`.
        alpha: strength, 0 or more.
        reference: what a score is compared with.

    Returns:
        ``(M,)``, from 0 to 1.

    Raises:
        ValueError: for ``"pair"`` with other than two modalities.

    Source: OGM-GE (Peng et al., CVPR 2022), equation 10 as the official code names it; ``"mean"``
    the study's later work, ``"min"`` BalanceBenchmark. Differs from the official code in one case:
    where both scores are 0 it gives NaN, and here that is a tie.
    """
    check_one_of("reference", reference, ("pair", "mean", "min"))
    if reference != "pair":
        against = scores.mean() if reference == "mean" else scores.min()
        ratios = torch.where(scores == 0, torch.zeros_like(scores), scores / against)
        # Equal scores are a tie, also where their mean is rounded to just below them.
        ahead = (ratios > 1) & (scores > scores.min())
        return torch.where(ahead, _damped(alpha, ratios), torch.ones_like(scores))
    if len(scores) != 2:
        raise ValueError(
            f"reference is 'pair', but there are {len(scores)} modalities; "
            "choose reference='mean' or reference='min'."
        )
    first, second = scores
    ratio = torch.where((first == 0) & (second == 0), torch.ones_like(first), first / second)
    one = torch.ones_like(ratio)
    ahead = ratio > 1
    return torch.stack(
        [
            torch.where(ahead, _damped(alpha, ratio), one),
            torch.where(ahead, one, _damped(alpha, 1 / ratio)),
        ]
    )


def _damped(alpha: float, ratio: Tensor) -> Tensor:
    if alpha == 0:  # 1, also where the ratio is infinite
        return torch.ones_like(ratio)
    return 1 - torch.tanh(alpha * ratio)


class OGM(Modulator):
    """On-the-fly gradient modulation: each encoder's gradient times its coefficient.

    Args:
        alpha: strength, 0 or more; .8 for CREMA-D.
        reference: see :func:`ogm_coefficients`; ``None`` means ``"pair"`` for two modalities and
            ``"mean"`` for more.
        scope: gradients of 4 dimensions (``"conv"``, both codes), ``"weights"`` or ``"all"``.
        variant: ``"study"`` lets a tie damp the second modality, ``"official"`` the first.
        scores: which logits are scored. ``"heads"``: ``outputs.unimodal_logits`` as they are (the
            study has a head per modality; for the official code they are the split of its one
            linear layer, as ``models.ConcatLinear`` gives them). ``"split"``: the share of an
            additive head, through ``outputs.fuse``. ``"zero_out"``: the fused logits with all other
            features 0, likewise; both pass the head in the mode it is in. ``"probe"``: a linear
            probe on the features, which scores each batch before it takes one step of training on
            it.
        seed: of the probe.

    One softmax per step; ``"split"`` and ``"zero_out"`` also pass the head M + 1 and M times, and
    ``"probe"`` takes one step of softmax regression.
    Source: OGM-GE (Peng et al., CVPR 2022), equation 10 as the official code names it; official
    code ``main.py``. Differs from it in nothing but what ``variant`` and ``scores`` say.

    Raises:
        ValueError: in the first step, for ``"split"`` where the head is not additive.
    """

    name = "ogm"
    window = (0.0, 0.5)

    def __init__(
        self,
        alpha: float = 0.8,
        reference: Reference | None = None,
        scope: Scope = "conv",
        variant: Variant = "study",
        scores: Scores = "heads",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.alpha = check_number("alpha", alpha, low=0.0)
        self.reference = check_one_of("reference", reference, (None, "pair", "mean", "min"))
        self.scope = check_one_of("scope", scope, SMALLEST_DIMENSION)
        self.variant = check_one_of("variant", variant, ("study", "official"))
        self.scores = check_one_of("scores", scores, ("heads", "split", "zero_out", "probe"))
        self.seed = check_count("seed", seed, low=0)
        if scores == "probe":
            self.probes = Probes(steps=1, split=False, seed=seed)
        self._additive = False

    def default_window(self, epochs: int) -> tuple[int, int]:
        """Return the first half of the epochs; officially one more, since they count from 0."""
        start, end = super().default_window(epochs)
        return (start + 1, end + 1) if self.variant == "official" else (start, end)

    def scored_logits(self, outputs: Outputs, labels: Tensor) -> Mapping[str, Tensor] | Tensor:
        """Return the logits to score, ``{m: (B, C)}`` or ``(M, B, C)``."""
        if self.scores == "heads":
            return outputs.unimodal_logits
        if self.scores == "probe":
            features = features_to_probe(self.name, outputs, labels)
            return self.probes.predict_then_train(features, labels, outputs.logits.shape[1])
        if self.scores == "zero_out":
            return zero_out_logits(outputs)
        split = split_logits(outputs)
        if not self._additive and not is_additive(outputs, split):
            raise ValueError(
                f"{self.name}: scores is 'split', but the head is not additive: the shares of the "
                "modalities do not sum to its logits; choose scores='zero_out' or 'heads'."
            )
        self._additive = True
        return split

    def coefficients(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Return ``k`` of this batch, ``(M,)`` in the order of the modalities."""
        scores = true_class_scores(self.scored_logits(outputs, labels), labels)
        reference = self.reference or ("pair" if len(scores) == 2 else "mean")
        if self.variant == "official":  # its order is (visual, audio): the reverse decides ties
            return ogm_coefficients(scores.flip(0), self.alpha, reference).flip(0)
        return ogm_coefficients(scores, self.alpha, reference)

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Multiply the gradients of each encoder by its coefficient."""
        coefficients = self.coefficients(outputs, labels)
        record = {}
        acted = torch.zeros((), dtype=torch.bool, device=coefficients.device)
        for m, k in zip(outputs.unimodal_logits, coefficients, strict=True):
            gradients = gradients_of(groups[m], self.scope, m)
            self.edit(gradients, k)
            if gradients:  # a frozen encoder cannot be acted on
                acted |= k != 1
            record[f"coefficient/{m}"] = k
        self.count("acted", acted)
        return record

    def edit(self, gradients: list[Tensor], coefficient: Tensor) -> None:
        """Edit the gradients of one encoder in place."""
        scale_gradients(gradients, coefficient)


class OGMGE(OGM):
    """OGM with generalisation enhancement: noise as large as the gradient before damping.

    ``g <- k * g + N(0, std(g) + 1e-8)``, the standard deviation over the whole tensor.

    Args:
        alpha: strength, 0 or more; .8 for CREMA-D.
        reference: as in :class:`OGM`.
        scope: as in :class:`OGM`.
        variant: ``"study"`` adds noise to a damped encoder only, ``"official"`` to both.
        scores: as in :class:`OGM`.
        seed: of the noise and the probe.

    Source: OGM-GE (Peng et al., CVPR 2022), "Generalization enhancement"; official code
    ``main.py``, which draws the same numbers from the same seed on a CPU.
    """

    name = "ogm_ge"

    def __init__(
        self,
        alpha: float = 0.8,
        reference: Reference | None = None,
        scope: Scope = "conv",
        variant: Variant = "study",
        scores: Scores = "heads",
        seed: int = 0,
    ) -> None:
        super().__init__(alpha, reference, scope, variant, scores, seed)
        self.random = Random(seed, self.name)

    def edit(self, gradients: list[Tensor], coefficient: Tensor) -> None:
        """Damp the gradients of one encoder in place and add noise."""
        # A mask, not a branch: asking for the coefficient's value would wait for the device.
        noisy = 1.0 if self.variant == "official" else (coefficient != 1).float()
        if coefficient.device.type == "cpu" and not noisy:
            for g in gradients:  # there is nothing to add, but what is drawn later stays the same
                self.random.normal_like(g)
            return
        deviations = [spread(g) + 1e-8 for g in gradients]
        scale_gradients(gradients, coefficient)
        for g, deviation in zip(gradients, deviations, strict=True):
            add_noise(g, deviation * noisy, self.random)
