"""Several processes, one batch: every method sees what all of them saw."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from asgml_core.modulators.outputs import Outputs


def whole_batch(outputs: Outputs, labels: Tensor, group: Any = None) -> tuple[Outputs, Tensor]:
    """Return the outputs and labels of all processes, in the order of their ranks, detached.

    Under DistributedDataParallel each process holds a share of the batch, and the gradients are
    those of the whole one. With the outputs of the whole batch, scores, probes and noise are the
    same in every process, and the same as in one process alone with the items in that order.
    Nothing happens in one process.

    Args:
        outputs: of this process's share.
        labels: ``(B,)`` of this process's share; shares may differ in size.
        group: a process group of ``torch.distributed``; ``None`` is the default group.

    Costs three small collectives a step: sizes, labels, and logits with features.
    """
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return outputs, labels
    processes = distributed.get_world_size(group)
    if processes <= 1:  # -1: this process is not in the group
        return outputs, labels

    def gathered(share: Tensor) -> list[Tensor]:
        pieces = [torch.empty_like(share) for _ in range(processes)]
        distributed.all_gather(pieces, share.contiguous(), group=group)
        return pieces

    sizes = torch.cat(gathered(torch.tensor([len(labels)], device=labels.device))).tolist()

    def joined(share: Tensor) -> Tensor:
        padded = share.new_zeros(max(sizes), *share.shape[1:])
        padded[: len(share)] = share
        return torch.cat([piece[:n] for piece, n in zip(gathered(padded), sizes, strict=True)])

    features = outputs.features or {}
    tensors = [outputs.logits, *outputs.unimodal_logits.values(), *features.values()]
    columns = [t.detach().flatten(1).float() for t in tensors]
    together = joined(torch.cat(columns, 1)).split([c.shape[1] for c in columns], 1)
    whole = [
        columns.to(t.dtype).reshape(-1, *t.shape[1:])
        for columns, t in zip(together, tensors, strict=True)
    ]
    count = 1 + len(outputs.unimodal_logits)
    return (
        Outputs(
            whole[0],
            dict(zip(outputs.unimodal_logits, whole[1:count], strict=True)),
            dict(zip(features, whole[count:], strict=True)),
            outputs.fuse,
        ),
        joined(labels),
    )
