"""PyTorch Lightning: a callback that calls a modulator once per optimizer step.

The module hands the callback its terms and outputs in `training_step`, and its outputs in
`validation_step`. The callback joins the micro-batches of `accumulate_grad_batches`, edits the
gradients after Lightning has unscaled and before it clips them, and keeps the modulator's state in
Lightning's checkpoints. For automatic optimization, one optimizer and one validation an epoch.
"""

from __future__ import annotations

import logging
import math
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

import toy
from asgml_core import OGMGE, Boost, Chain, Clock, Modulator, Outputs, UnimodalLosses
from asgml_core.modulators import MILES, Evaluation, Metrics
from asgml_core.modulators.whole_batch import whole_batch


class Balance(pl.Callback):
    """Calls the hooks of a modulator. The module has a method ``groups``."""

    def __init__(self, modulator: Modulator) -> None:
        self.modulator = modulator
        self.kept: list[tuple[Outputs, Tensor]] = []

    def loss(self, trainer: pl.Trainer, terms: dict, outputs: Outputs, labels: Tensor) -> Tensor:
        """Return the loss of a micro-batch, and keep its outputs for the optimizer's step."""
        self.keep(outputs, labels)
        clock = self.clock(trainer, trainer.global_step)
        return sum(self.modulator.terms(terms, outputs, labels, clock).values())

    def keep(self, outputs: Outputs, labels: Tensor) -> None:
        """Keep the outputs of a batch until they are asked for."""
        self.kept.append((outputs, labels))

    def take(self) -> tuple[Outputs, Tensor]:
        """Return what was kept as one batch, and forget it."""
        outputs, labels = zip(*self.kept, strict=True)
        self.kept.clear()
        return Outputs.cat(outputs), torch.cat(labels)

    def clock(self, trainer: pl.Trainer, step: int) -> Clock:
        """Return where the run stands; a batch is what one optimizer step sees."""
        batches = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        epochs = math.ceil(trainer.estimated_stepping_batches / batches)
        return Clock(step // batches + 1, step, step % batches, batches, epochs)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.kept.clear()
        self.modulator.to(pl_module.device)  # a checkpoint may have been read on another device

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        clock = self.clock(trainer, trainer.global_step)
        self.modulator.modulate(*self.take(), pl_module.groups(), clock)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        evaluation = Evaluation(*whole_batch(*self.take()))  # the same in all processes
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            clock = self.clock(trainer, trainer.global_step - 1)
            metrics, optimizer = Metrics(valid=evaluation), trainer.optimizers[0]
            self.modulator.epoch_end(metrics, optimizer, pl_module.groups(), clock)

    def state_dict(self) -> dict[str, Any]:
        return {"modulator": self.modulator.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.modulator.load_state_dict(state_dict["modulator"])


class Module(pl.LightningModule):
    """The network in a module as you may have it; what is new says ``balance``."""

    def __init__(self, modulator: Modulator) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = toy.Net()
        self.balance = Balance(modulator)

    def configure_callbacks(self) -> list[pl.Callback]:
        return [self.balance]

    def groups(self) -> dict[str, list]:
        groups = {m: list(e.parameters()) for m, e in self.net.encoders.items()}
        return {**groups, "fusion": list(self.net.heads.parameters())}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([{"params": group} for group in self.groups().values()], lr=0.1)

    def training_step(self, batch: tuple, index: int) -> Tensor:
        inputs, labels = batch
        outputs = Outputs(*self.net(inputs))
        terms = {"fused": F.cross_entropy(outputs.logits, labels)}
        return self.balance.loss(self.trainer, terms, outputs, labels)

    def validation_step(self, batch: tuple, index: int) -> None:
        inputs, labels = batch
        self.balance.keep(Outputs(*self.net(inputs)), labels)


def fit(modulator: Modulator, resume: str | None = None, **settings: Any) -> Module:
    """Train a new module, from the start or from a checkpoint; 15 items in a micro-batch."""
    module = Module(modulator)
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(**{"max_epochs": 4, "accumulate_grad_batches": 4, **quiet, **settings})
    valid = DataLoader(toy.Items(300, seed=3), 100)
    loader = DataLoader(toy.Items(960, seed=1), 15)
    trainer.fit(module, loader, valid, ckpt_path=resume, weights_only=True)
    return module.cpu()


def main() -> None:
    """Train, then go on from the checkpoint of the second epoch."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)

    def modulator() -> Modulator:
        return Chain(
            UnimodalLosses(gamma=0.5), OGMGE(alpha=0.8), Boost(alpha=0.75), MILES(threshold=0.1)
        )

    with TemporaryDirectory() as folder:
        saver = ModelCheckpoint(folder, "{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        whole = fit(modulator(), callbacks=[saver])
        resumed = fit(modulator(), resume=f"{folder}/epoch=1.ckpt", enable_checkpointing=False)
    print(toy.accuracies(whole.net, toy.Items(1000, seed=2)))
    print("what the methods did:", whole.balance.modulator.counts())
    pairs = zip(whole.parameters(), resumed.parameters(), strict=True)
    print("resumed in the middle, same weights:", all(torch.equal(a, b) for a, b in pairs))


if __name__ == "__main__":
    main()
