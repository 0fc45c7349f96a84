"""What a loop hands in is checked here, before a method sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from asgml_core.modulators.editing import norms_of
from asgml_core.modulators.outputs import Groups, Outputs


def gradients_are_finite(groups: Groups) -> bool:
    """Return whether every gradient is finite; on a GPU this waits for it."""
    found = [p.grad for parameters in groups.values() for p in parameters if p.grad is not None]
    if bool(norms_of(found).isfinite().all()):
        return True
    return all(bool(g.isfinite().all()) for g in found)  # the square of a large number overflows


def check_outputs(outputs: Outputs, labels: Tensor) -> None:
    """Check that there are logits ``(B, C)`` for labels ``(B,)``.

    Raises:
        TypeError: for something else than outputs, a mapping of logits, or a tensor of labels.
        ValueError: for no modality, or logits or labels of another shape or type.
    """
    if not isinstance(outputs, Outputs):
        raise TypeError(f"outputs is a {type(outputs).__name__}, but must be an Outputs.")
    unimodal = outputs.unimodal_logits
    if not isinstance(unimodal, Mapping):
        raise TypeError(
            f"outputs.unimodal_logits is a {type(unimodal).__name__}, but must be "
            "{modality: logits (B, C)}; it names the modalities."
        )
    if not unimodal:
        raise ValueError("outputs.unimodal_logits is empty; it names the modalities.")
    for name, logits in {"fused": outputs.logits, **unimodal}.items():
        if logits.dim() != 2:
            raise ValueError(
                f"the logits {name!r} have shape {tuple(logits.shape)}, but must be (B, C), a "
                "column for each class."
            )
    _check_labels(labels, outputs.logits)


def _check_labels(labels: Tensor, logits: Tensor) -> None:
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels is a {type(labels).__name__}, but must be a tensor.")
    if labels.shape != logits.shape[:1]:
        raise ValueError(
            f"labels have shape {tuple(labels.shape)}, but the logits "
            f"{tuple(logits.shape)}; expected labels of shape (B,) and logits (B, C)."
        )
    if labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype}, but must be torch.int64: labels.long().")


def check_groups(modalities: tuple[str, ...], groups: Groups) -> None:
    """Check that each modality has a list of parameters of its own, and some gradient is there.

    Raises:
        TypeError: for a group that is no list of parameters.
        ValueError: for a modality without a group, an empty one, or a shared parameter.
        RuntimeError: when no encoder has a gradient.
    """
    if not isinstance(groups, Mapping):
        raise TypeError(
            f"groups is a {type(groups).__name__}, but must be {{modality: list of parameters}}."
        )
    for name, parameters in groups.items():
        _check_list(name, parameters)
    for m in modalities:
        if m not in groups:
            raise ValueError(f"groups has no {m!r}; it has {', '.join(map(str, groups))}.")
        if len(groups[m]) == 0:
            raise ValueError(f"groups[{m!r}] is empty; it needs the encoder's parameters.")
    _check_parameters(modalities, groups)
    if all(p.grad is None for m in modalities for p in groups[m]):
        raise RuntimeError("no encoder has a gradient; call backward before modulate.")


def _check_list(name: str, parameters: Sequence[nn.Parameter]) -> None:
    if isinstance(parameters, Iterator):
        raise TypeError(
            f"groups[{name!r}] is an iterator, which would be empty after one step; "
            f"pass list(...) of it."
        )
    if isinstance(parameters, (nn.Module, Tensor)) or not isinstance(parameters, Sequence):
        raise TypeError(
            f"groups[{name!r}] is a {type(parameters).__name__}, but must be a list of "
            "parameters: list(encoder.parameters())."
        )


def _check_parameters(modalities: tuple[str, ...], groups: Groups) -> None:
    owner: dict[int, str] = {}
    for m in modalities:
        for p in groups[m]:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"groups[{m!r}] holds a {type(p).__name__}, but must be a list of parameters: "
                    "list(encoder.parameters())."
                )
            if owner.get(id(p)) == m:
                raise ValueError(
                    f"groups[{m!r}] holds a parameter twice, which would be edited twice."
                )
            if owner.setdefault(id(p), m) != m:
                raise ValueError(
                    f"groups[{owner[id(p)]!r}] and groups[{m!r}] share a parameter, which would be "
                    "edited twice; a shared parameter belongs under a name of its own."
                )
