"""A training step never waits for a GPU: every method, on a device that has no numbers.

Fake tensors know their shapes, types and device, and nothing else. Whoever asks one for its value,
mixes devices, or lets the size of a tensor depend on a value, is stopped; copies between the
devices are stopped here. So a machine without a GPU shows what would wait for one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from methods_table import ROWS
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from asgml_core import profile
from asgml_core.datasets.base import MultimodalDataset, Part
from asgml_core.datasets.transforms import Floats, Pictures
from asgml_core.models import HEADS, LateFusion
from asgml_core.modulators import Chain, Modulator, UnimodalLosses
from asgml_core.modulators.editing import Random
from asgml_core.modulators.periods import AdaptivePeriods
from asgml_core.trainer import Trainer

ITEMS, BATCH, SIZE = 24, 8, 8


class Copied(AssertionError):
    """A tensor crossed from one device to another."""


def tensors(*values: Any) -> list[torch.Tensor]:
    return [t for t in tree_leaves(values) if isinstance(t, torch.Tensor)]


class NoCopies(TorchDispatchMode):
    """Stops every operation that takes tensors of one device and returns some of another."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        result = function(*args, **(kwargs or {}))
        given, got = ({t.device for t in tensors(*of)} for of in ((args, kwargs), (result,)))
        crosses = "_to_copy" in str(function) and given != got
        # A number of the host may go along with a call: it is a part of it, and no copy.
        if crosses or len({t.device for t in tensors(args, kwargs) if t.dim()}) > 1:
            raise Copied(f"{function} from {given} to {got}")
        return result


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    """A GPU that is not there: modules are made on it, and generators do without."""
    monkeypatch.setattr(Random, "on", lambda self, device: None)
    monkeypatch.setattr(nn.Module, "to", lambda self, *given, **named: self)
    with FakeTensorMode() as mode:
        yield mode


class Encoder(nn.Module):
    """As small as an encoder can be: fake tensors take their time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = 4
        self.conv = nn.Conv2d(channels, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x)).mean((2, 3))


def part(count: int, offset: int) -> Part:
    names = tuple(f"item{i}" for i in range(offset, offset + count))
    inputs = {
        "audio": torch.empty(count, 1, SIZE, SIZE, dtype=torch.float16, device="cuda"),
        "visual": torch.empty(count, 2, 24, 32, 3, dtype=torch.uint8, device="cuda"),
    }
    labels = torch.zeros(count, dtype=torch.int64, device="cuda")
    return Part(inputs=inputs, labels=labels, ids=names, groups=names)


def trainer_on_gpu(monkeypatch: pytest.MonkeyPatch, method: Modulator, **changes: Any) -> Trainer:
    monkeypatch.setattr(MultimodalDataset, "__post_init__", lambda self: None)
    dataset = MultimodalDataset(
        name="fake",
        classes=("a", "b", "c"),
        train=part(ITEMS, 0),
        test=part(8, ITEMS),
        transforms={"audio": Floats(mean=1.0, std=2.0), "visual": Pictures(size=SIZE, frames=1)},
    )
    config = profile("synth", seed=1, epochs=4).replace(
        device="cuda", train={"batch_size": BATCH}, **changes
    )
    with torch.device("cuda"):
        encoders = {"audio": Encoder(1), "visual": Encoder(3)}
        model = LateFusion(encoders, HEADS["sum"](dict.fromkeys(encoders, 4), 3))
        trainer = Trainer(config, dataset, model, method, room=0)

    def backward(*_: Any, **__: Any) -> None:  # autograd asks the driver for the device
        for p in model.parameters():
            p.grad = torch.empty_like(p)

    monkeypatch.setattr(torch.Tensor, "backward", backward)
    monkeypatch.setattr(torch, "_fused_sgd_", lambda *_, **__: None)  # torch has no fake one
    return trainer


def on_gpu(method: Modulator) -> Modulator:
    for module in method.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device="cuda"))
    return method


def steps(trainer: Trainer) -> None:
    """Take two epochs' steps; in the second nothing may cross over.

    In the first, probes are made on the CPU and moved, once in a run.
    """
    order = torch.empty(ITEMS, dtype=torch.int64)
    trainer.model.train()
    for epoch, watched in ((1, False), (2, True)):
        trainer.epoch = epoch
        for method in trainer.modulator.parts():
            method._called.add("epoch_end")
        for batch, (inputs, labels) in enumerate(trainer._training_batches(order)):
            with NoCopies() if watched else contextlib.nullcontext():
                record = trainer._step(dict(inputs), labels, trainer.clock(epoch, batch))
            # They are read once an epoch, in one piece.
            assert {value.device.type for value in record.values()} == {"cuda"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.label}".strip())
def test_no_method_waits(fake, monkeypatch, row):
    method = row.make(2)
    if row.settings.get("scores") == "split":
        method._additive = True  # looked at in the first step, and never again
    # Who skips or lags is decided on the host, once an epoch; nothing else may ask.
    if isinstance(method, AdaptivePeriods):
        monkeypatch.setattr(type(method), "decide", lambda self, tau: np.ones(2, int))
    chain = Chain(UnimodalLosses(), method) if row.name != "unimodal_losses" else method
    steps(trainer_on_gpu(monkeypatch, on_gpu(chain)))


def test_feeding_does_not_wait(fake, monkeypatch):
    trainer = trainer_on_gpu(monkeypatch, on_gpu(Chain(UnimodalLosses())))
    trainer.epoch = 1
    batches = trainer._training_batches(torch.empty(ITEMS, dtype=torch.int64))
    next(batches)  # the order goes over in one piece
    with NoCopies():
        inputs, _ = next(batches)
    assert {x.device.type for x in inputs.values()} == {"cuda"}


class Asks(Modulator):
    """A method as they are often written."""

    def gradients(self, outputs, labels, groups, clock):
        self.count("acted", 1 if outputs.logits.max() > 0 else 0)
        return {}


class Moves(Modulator):
    """Another: it makes a tensor on the host and moves it, in every step."""

    def gradients(self, outputs, labels, groups, clock):
        return {"loss": outputs.logits.sum() * torch.ones(3, device="cpu").to("cuda").sum()}


@pytest.mark.parametrize(
    ("method", "error"), [(Asks, DataDependentOutputException), (Moves, Copied)]
)
def test_a_method_that_waits_is_found(fake, monkeypatch, method, error):
    with pytest.raises(error):
        steps(trainer_on_gpu(monkeypatch, on_gpu(Chain(UnimodalLosses(), method()))))
