"""Hugging Face Trainer: a subclass and a callback that call a modulator once per optimizer step.

`compute_loss` keeps the outputs of each micro-batch of `gradient_accumulation_steps`. The callback
joins them in `on_pre_optimizer_step`, after the Trainer has unscaled and clipped the gradients. The
modulator's state is written into each checkpoint's folder, and read from there by
`train(resume_from_checkpoint=FOLDER)`. Methods that need `epoch_end`, as MILES, are not covered.
"""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Trainer, TrainerCallback, TrainingArguments

import toy
from asgml_core import OGMGE, Boost, Chain, Clock, Modulator, Outputs, UnimodalLosses


class Balance(TrainerCallback):
    """Edits the gradients, and saves the modulator's state."""

    def __init__(self, modulator: Modulator, groups: dict[str, list[nn.Parameter]]) -> None:
        self.modulator, self.groups = modulator, groups
        self.kept: list[tuple[Outputs, Tensor]] = []

    def clock(self, state: Any) -> Clock:
        """Return where the run stands; a batch is what one optimizer step sees."""
        epoch, batch = divmod(state.global_step, self.batches)
        epochs = math.ceil(state.max_steps / self.batches)
        return Clock(epoch + 1, state.global_step, batch, self.batches, epochs)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.batches = math.ceil(len(kwargs["train_dataloader"]) / args.gradient_accumulation_steps)
        self.modulator.to(args.device)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        outputs, labels = zip(*self.kept, strict=True)
        self.kept.clear()
        whole, whole_labels = Outputs.cat(outputs), torch.cat(labels)
        self.modulator.modulate(whole, whole_labels, self.groups, self.clock(state))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            torch.save(self.modulator.state_dict(), folder / "modulator.pt")


class BalancedTrainer(Trainer):
    """A Trainer with a modulator; the model returns ``(logits, unimodal_logits, features)``."""

    def __init__(self, *args: Any, balance: Balance, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.balance = balance
        self.add_callback(balance)
        self.model_accepts_loss_kwargs = False  # the loss is the mean of a micro-batch

    def train(self, resume_from_checkpoint: str | None = None, **kwargs: Any) -> Any:
        if resume_from_checkpoint is not None:
            path = Path(resume_from_checkpoint) / "modulator.pt"
            self.balance.modulator.load_state_dict(torch.load(path, weights_only=True))
        return super().train(resume_from_checkpoint, **kwargs)

    def compute_loss(
        self, model: nn.Module, inputs: dict, return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        outputs, labels = Outputs(*model(inputs)), inputs["labels"]
        terms = {"fused": F.cross_entropy(outputs.logits, labels)}
        if model.training:
            self.balance.kept.append((outputs, labels))
            clock = self.balance.clock(self.state)
            terms = self.balance.modulator.terms(terms, outputs, labels, clock)
        loss = sum(terms.values())
        return (loss, {"logits": outputs.logits}) if return_outputs else loss


class Rows(torch.utils.data.Dataset):
    """The toy items as the Trainer wants them: dictionaries with ``labels``."""

    def __init__(self, items: toy.Items) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        inputs, label = self.items[row]
        return {**inputs, "labels": label}


def fit(modulator: Modulator, folder: str, resume: str | None = None, **settings: Any) -> toy.Net:
    """Train a new network, from the start or from a checkpoint; 15 items in a micro-batch."""
    torch.manual_seed(0)
    net = toy.Net()
    groups = {m: list(e.parameters()) for m, e in net.encoders.items()}
    groups["fusion"] = list(net.heads.parameters())
    settings = {
        "num_train_epochs": 4, "per_device_train_batch_size": 15, "gradient_accumulation_steps": 4,
        "optim": "sgd", "learning_rate": 0.1, "lr_scheduler_type": "constant", "save_steps": 24,
        "label_names": ["labels"], "remove_unused_columns": False, "report_to": "none",
        "dataloader_pin_memory": torch.cuda.is_available(), "logging_strategy": "no",
        "disable_tqdm": True, **settings,
    }  # fmt: skip
    arguments = TrainingArguments(folder, **settings)
    rows = Rows(toy.Items(960, seed=1))
    trainer = BalancedTrainer(
        net, arguments, train_dataset=rows, balance=Balance(modulator, groups)
    )
    trainer.train(resume)
    return net.cpu()


def main() -> None:
    """Train, then go on from a checkpoint in the middle of the second epoch."""

    def modulator() -> Modulator:
        return Chain(UnimodalLosses(gamma=0.5), OGMGE(alpha=0.8), Boost(alpha=0.75))

    with TemporaryDirectory() as folder:
        first = modulator()
        whole = fit(first, folder)
        resumed = fit(modulator(), folder, resume=f"{folder}/checkpoint-24")
    print(toy.accuracies(whole, toy.Items(1000, seed=2)))
    print("what the methods did:", first.counts())
    pairs = zip(whole.parameters(), resumed.parameters(), strict=True)
    print("resumed in the middle, same weights:", all(torch.equal(a, b) for a, b in pairs))


if __name__ == "__main__":
    main()
