"""Several processes with shares of one batch: each sees the whole, in the order of the ranks."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.multiprocessing
from torch import nn

from asgml_core.modulators import OGM, Clock, Outputs
from asgml_core.modulators.whole_batch import whole_batch

SHARES = (2, 5)  # unequal: a last batch is rarely cut evenly
WIDTHS = {"audio": 3, "visual": 1, "text": 4}


def batch() -> tuple[Outputs, torch.Tensor]:
    """Return the outputs of one batch of 7, every number another, in another type each."""

    def numbers(width: int, start: float) -> torch.Tensor:
        return start + torch.arange(7.0 * width).view(7, width) / 8

    unimodal = {m: numbers(2, 100.0 * i).bfloat16() for i, m in enumerate(WIDTHS)}
    features = {m: numbers(d, 1000.0 * i) for i, (m, d) in enumerate(WIDTHS.items())}
    return Outputs(numbers(2, -50.0).half(), unimodal, features), torch.tensor([0, 1] * 3 + [1])


def share(rank: int) -> tuple[Outputs, torch.Tensor]:
    outputs, labels = batch()
    start = sum(SHARES[:rank])
    rows = slice(start, start + SHARES[rank])
    unimodal = {m: o[rows].requires_grad_() for m, o in outputs.unimodal_logits.items()}
    features = {m: z[rows].clone() for m, z in outputs.features.items()}
    return Outputs(outputs.logits[rows], unimodal, features, rank.__add__), labels[rows]


def same_outputs(a: Outputs, b: Outputs) -> bool:
    pairs = [(a.logits, b.logits)]
    for kind in ("unimodal_logits", "features"):
        x, y = getattr(a, kind), getattr(b, kind)
        assert list(x) == list(y)
        pairs += [(x[m], y[m]) for m in x]
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)


def work(rank: int, folder: str) -> None:
    """Run in each process; what is wrong ends it with an error, and so the test."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=len(SHARES)
    )
    outputs, labels = share(rank)
    found, found_labels = whole_batch(outputs, labels)
    expected, expected_labels = batch()
    assert same_outputs(found, expected)
    assert torch.equal(found_labels, expected_labels)
    assert not any(o.requires_grad for o in found.unimodal_logits.values())
    assert found.fuse == outputs.fuse  # a process asks its own head
    groups = [torch.distributed.new_group([r]) for r in range(len(SHARES))]
    for group in groups:  # of one process, or one that this process is not in
        kept, kept_labels = whole_batch(outputs, labels, group)
        assert kept is outputs
        assert kept_labels is labels
    scores = {}
    for name, group in (("whole", None), ("own", groups[rank])):
        encoders = {m: [nn.Parameter(torch.zeros(1))] for m in WIDTHS}
        for parameters in encoders.values():
            parameters[0].grad = torch.ones(1)
        method = OGM(scope="all", reference="mean")
        scores[name] = method.modulate(
            outputs, labels, encoders, Clock(1, 0, 0, 1, 1), process_group=group
        )
    torch.save(scores, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def alone(outputs: Outputs, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the coefficients that one process finds, from a score of its own for each batch."""
    coefficients = OGM(reference="mean").coefficients(outputs, labels)
    return {f"coefficient/{m}": k for m, k in zip(WIDTHS, coefficients, strict=True)}


def test_two_processes_see_one_batch(tmp_path):
    torch.multiprocessing.spawn(work, (str(tmp_path),), nprocs=len(SHARES))
    for rank in range(len(SHARES)):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found["whole"] == alone(*batch())
        assert found["own"] == alone(*share(rank))
    assert alone(*share(0)) != alone(*share(1))


def test_one_process_keeps_what_it_has():
    outputs, labels = share(0)
    found, found_labels = whole_batch(outputs, labels)
    assert found is outputs
    assert found_labels is labels
