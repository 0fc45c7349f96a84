"""What Lightning does with the callback, next to a plain loop; prints the findings as JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch.distributed as dist
from plain_training import METHODS, gap, plain
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, Sampler

import lightning_callback
import toy
from asgml_core import MILES, Chain, Modulator
from lightning_callback import fit

INF = float("inf")


def main(folder: Path) -> None:
    """Print how far Lightning is from the plain loop, and a resumed run from a whole one."""
    found: dict[str, Any] = {}
    makers = METHODS | {
        "miles": lambda: Chain(*METHODS["boost"]().parts(), MILES(threshold=0.0, reduction=0.9))
    }
    for name, make in makers.items():
        mine, theirs = make(), make()
        net = plain(mine, 2, INF, 0.5)
        module = fit(theirs, max_epochs=2, gradient_clip_val=0.5, enable_checkpointing=False)
        found[f"{name}: weights from plain"] = gap(module.net, net)
        found[f"{name}: modulator from plain"] = gap(theirs, mine)
        found[f"{name}: counts"] = theirs.counts()
        saver = ModelCheckpoint(
            folder / name, "{epoch}", save_top_k=-1, save_on_train_epoch_end=True
        )
        whole = fit(make(), callbacks=[saver], max_epochs=3)
        first = str(folder / name / "epoch=0.ckpt")
        resumed = fit(make(), first, max_epochs=3, enable_checkpointing=False)
        found[f"{name}: resumed weights"] = gap(resumed, whole)
        found[f"{name}: resumed modulator"] = gap(
            resumed.balance.modulator, whole.balance.modulator
        )
    if sys.platform == "linux":
        found["two processes"] = gap(in_two_processes(makers["miles"]()).net, net)
    half = fit(METHODS["boost"](), max_epochs=1, precision="bf16-mixed", enable_checkpointing=False)
    found["bf16: finite"] = all(bool(p.isfinite().all()) for p in half.parameters())
    found["bf16: counts"] = half.balance.modulator.counts()
    found["bf16: kept at the end"] = len(half.balance.kept)
    json.dump(found, sys.stdout)


class Share(Sampler):
    """The first half of every so many items for the first process, the second for the second."""

    def __init__(self, items: int, together: int) -> None:
        self.items, self.half = items, together // 2

    def __len__(self) -> int:
        return self.items // 2

    def __iter__(self) -> Iterator[int]:
        second = dist.is_initialized() and dist.get_rank() == 1
        for begin in range(self.half * second, self.items, 2 * self.half):
            yield from range(begin, begin + self.half)


def in_two_processes(modulator: Modulator) -> lightning_callback.Module:
    """Train as above in two processes; validation is shared, too."""

    def loader(items: toy.Items, size: int) -> DataLoader:
        together = 60 if len(items) == 960 else len(items)
        return DataLoader(items, size, sampler=Share(len(items), together))

    lightning_callback.DataLoader, usual = loader, lightning_callback.DataLoader
    try:
        return fit(
            modulator, max_epochs=2, gradient_clip_val=0.5, enable_checkpointing=False,
            accelerator="cpu", devices=2, strategy="ddp_fork", accumulate_grad_batches=2,
            use_distributed_sampler=False,
        )  # fmt: skip
    finally:
        lightning_callback.DataLoader = usual


if __name__ == "__main__":
    logging.disable()
    main(Path(sys.argv[1]))
