"""What Hugging Face Trainer does with the callback, next to a plain loop; prints JSON."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

from plain_training import METHODS, gap, plain
from transformers import TrainingArguments

import toy
from asgml_core import MILES, Chain
from hf_trainer import Balance, BalancedTrainer, Rows, fit

INF = float("inf")
QUIET = {"disable_tqdm": True, "report_to": "none", "logging_strategy": "no"}


def main(folder: Path) -> None:
    """Print how far the Trainer is from the plain loop, and a resumed run from a whole one."""
    found: dict[str, Any] = {}
    for name, make in METHODS.items():
        place = str(folder / name)
        mine, theirs = make(), make()
        net = plain(mine, 2, 0.5, INF)
        settings = {
            "num_train_epochs": 2, "max_grad_norm": 0.5, "train_sampling_strategy": "sequential",
        }  # fmt: skip
        model = fit(theirs, place, **settings)
        found[f"{name}: weights from plain"] = gap(model, net)
        found[f"{name}: modulator from plain"] = gap(theirs, mine)
        found[f"{name}: counts"] = theirs.counts()
        whole, resumed = make(), make()
        one = fit(whole, f"{place}/whole", save_steps=8)
        for cut in (16, 24):  # at the end of the first epoch, and inside the second
            two = fit(resumed, f"{place}/again", f"{place}/whole/checkpoint-{cut}")
            found[f"{name}: resumed weights {cut}"] = gap(two, one)
            found[f"{name}: resumed modulator {cut}"] = gap(resumed, whole)
    found["evaluation"] = evaluate(folder / "evaluation")
    try:
        fit(Chain(MILES()), str(folder / "miles"), num_train_epochs=2)
    except RuntimeError as error:
        found["miles"] = str(error)
    json.dump(found, sys.__stdout__)


def evaluate(folder: Path) -> dict[str, float]:
    """Train with evaluations in between, then predict."""
    net, valid = toy.Net(), Rows(toy.Items(300, seed=3))
    groups = {m: list(encoder.parameters()) for m, encoder in net.encoders.items()}
    balance = Balance(METHODS["boost"](), groups)
    arguments = TrainingArguments(
        str(folder), max_steps=3, eval_strategy="steps", eval_steps=2, save_strategy="no",
        label_names=["labels"], remove_unused_columns=False, dataloader_pin_memory=False, **QUIET,
    )  # fmt: skip
    rows = Rows(toy.Items(60, seed=1))
    trainer = BalancedTrainer(
        net, arguments, train_dataset=rows, eval_dataset=valid, balance=balance
    )
    trainer.train()
    answer = trainer.predict(valid)
    accuracy = (answer.predictions.argmax(1) == answer.label_ids).mean()
    expected = (net(valid.items.inputs)[0].argmax(1) == valid.items.labels).float().mean()
    return {
        "accuracy": float(accuracy),
        "expected": float(expected),
        "kept": len(balance.kept),
        "steps": balance.modulator.counts()["ogm_ge"]["acted"],
    }


if __name__ == "__main__":
    logging.disable()
    with contextlib.redirect_stdout(sys.stderr):  # the Trainer prints as it goes
        main(Path(sys.argv[1]))
