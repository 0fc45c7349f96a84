"""What each modality says of the true classes: the scores of OGM, and where they may come from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from asgml_core.modulators.outputs import Outputs


def true_class_scores(unimodal_logits: Mapping[str, Tensor] | Tensor, labels: Tensor) -> Tensor:
    """Return ``s_m = sum_i softmax(o_m)[i, y_i]``, how much a modality puts on the true classes.

    Args:
        unimodal_logits: ``{m: (B, C)}``, or one tensor ``(M, B, C)``.
        labels: ``(B,)`` int64.

    Returns:
        ``(M,)`` float32, from 0 to B; an item whose logits are not finite counts 0.

    Source: OGM-GE (Peng et al., CVPR 2022), "On-the-fly gradient modulation"; the batch sum of the
    official code.
    """
    if isinstance(unimodal_logits, Mapping):
        unimodal_logits = torch.stack(list(unimodal_logits.values()))
    probabilities = unimodal_logits.detach().float().softmax(2)
    index = labels.expand(len(probabilities), -1).unsqueeze(2)
    # An item whose logits are not finite says nothing of its class.
    return probabilities.gather(2, index).nan_to_num(0.0).sum((1, 2))


def zero_out_logits(outputs: Outputs) -> dict[str, Tensor]:
    """Return the fused logits ``{m: (B, C)}`` of each modality's features beside zeros.

    Args:
        outputs: with a ``fuse``.

    Raises:
        ValueError: when ``outputs.fuse`` or the features of a modality are absent.
    """
    features = outputs.features or {}
    if set(features) != set(outputs.unimodal_logits):
        raise ValueError(
            f"these scores read outputs.features; they have the modalities {tuple(features)}, but "
            f"the unimodal logits {tuple(outputs.unimodal_logits)}."
        )
    if outputs.fuse is None:
        raise ValueError(
            "these scores need the logits without a modality, but outputs.fuse is None; give "
            "Outputs(..., fuse=head), a function of the features."
        )
    zeros = {m: torch.zeros_like(z) for m, z in features.items()}
    return {m: _fused(outputs, {**zeros, m: features[m].detach()}) for m in outputs.unimodal_logits}


def split_logits(outputs: Outputs) -> dict[str, Tensor]:
    """Return each modality's share ``{m: (B, C)}`` of the logits of an additive head.

    For one linear layer that is ``z_m @ W_m.T + b / M``, as in OGM-GE's official code. Any head
    that is a sum of functions of one modality each has such shares, which sum to the fused logits;
    ``is_additive`` tells.

    Args:
        outputs: with a ``fuse``.

    Raises:
        ValueError: when ``outputs.fuse`` or the features of a modality are absent.
    """
    alone = zero_out_logits(outputs)
    silent = _fused(outputs, {m: torch.zeros_like(z) for m, z in outputs.features.items()})
    shared = (len(alone) - 1) / len(alone)
    return {m: logits - shared * silent for m, logits in alone.items()}


def is_additive(outputs: Outputs, split: Mapping[str, Tensor]) -> bool:
    """Return whether the shares sum to the fused logits; on a GPU this waits for it."""
    fused = _fused(outputs, {m: z.detach() for m, z in outputs.features.items()}).float()
    total = torch.stack(list(split.values())).sum(0).float()
    tolerance = 1e-3 if outputs.logits.dtype == torch.float32 else 3e-2
    return torch.allclose(total, fused, rtol=tolerance, atol=tolerance * float(fused.abs().max()))


@torch.no_grad()
def _fused(outputs: Outputs, features: Mapping[str, Tensor]) -> Tensor:
    some = next(iter(features.values()))
    # Half-precision features come from autocast or from a half-precision network; either works
    # under autocast, and wider ones without.
    half = some.dtype in (torch.float16, torch.bfloat16)
    with torch.autocast(some.device.type, dtype=some.dtype if half else None, enabled=half):
        return outputs.fuse(features).detach()
