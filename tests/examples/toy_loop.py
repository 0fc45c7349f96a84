"""A loop around the toy network of the examples, in which every method can be tried in many ways.

It is what the examples show, in one place: micro-batches, a scaler, autocast, several processes.
``Loop(modulator)`` without more is the plain loop that the others are compared with.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import toy
from asgml_core.modulators import (
    REGISTRY,
    Chain,
    Clock,
    Evaluation,
    Metrics,
    Modulator,
    Outputs,
    UnimodalLosses,
)
from asgml_core.modulators.base import defines

EXAMPLES = Path(toy.__file__).parent
BATCH, BATCHES, EPOCHS = 20, 4, 3
STEPS = BATCHES * EPOCHS
CLOCKS = [
    Clock(epoch + 1, epoch * BATCHES + batch, batch, BATCHES, EPOCHS)
    for epoch in range(EPOCHS)
    for batch in range(BATCHES)
]

# Settings with which a method acts within three short epochs, where its own do not suffice.
SETTINGS = {"miles": {"threshold": 0.0}}
# Further settings of a method that take another way through its code.
VARIANTS = (
    ("ogm", {"scores": "probe"}),
    ("ogm", {"scores": "zero_out", "scope": "all"}),
    ("ogm_ge", {"variant": "official", "scope": "all"}),
    ("frequency", {"adaptation": "fixed", "skip": "freeze"}),
    ("staleness", {"adaptation": "fixed", "variant": "study"}),
    ("boost", {"probe_ema": "study"}),
)


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return every method of the registry and some variants, by a label."""
    found = {}
    for name, method in REGISTRY.items():
        settings = dict(SETTINGS.get(name, {}))
        if "eval_every" in inspect.signature(method).parameters:
            settings["eval_every"] = 2
        found[name] = (name, settings)
    for name, settings in VARIANTS:
        found[f"{name} {' '.join(map(str, settings.values()))}"] = (name, found[name][1] | settings)
    return found


CASES = cases()


def make(label: str) -> Modulator:
    """Return a method behind the unimodal losses, so that the hook ``terms`` has work to do."""
    name, settings = CASES[label]
    method = REGISTRY[name](**settings)
    hooks = [hook for hook in ("passes", "features", "backward") if defines(method, hook)]
    if hooks:
        raise NotImplementedError(f"{name} needs {hooks}; teach this loop to call them.")
    return Chain(method) if name == "unimodal_losses" else Chain(UnimodalLosses(gamma=0.5), method)


def batch(number: int) -> tuple[dict[str, Tensor], Tensor]:
    """Return the inputs and labels of one step."""
    items = toy.Items(BATCH, seed=100 + number)
    return items.inputs, items.labels


class Loop:
    """A network in training.

    Args:
        modulator: the method.
        parts: sizes of the micro-batches of a step; together 20 items.
        dtype: of autocast; ``None`` is none.
        whole_dtype: of the network itself.
        scale: where given, a ``GradScaler`` starts there.
        share: this process's rows among all processes' shares, ``(begin, end)``.
        ddp: settings of DistributedDataParallel; ``None`` is none.
        backend: of torch.compile; ``None`` is none.
    """

    def __init__(
        self,
        modulator: Modulator,
        parts: Sequence[int] = (BATCH,),
        dtype: torch.dtype | None = None,
        whole_dtype: torch.dtype = torch.float32,
        scale: float | None = None,
        share: tuple[int, int] = (0, BATCH),
        ddp: dict[str, Any] | None = None,
        backend: str | None = None,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = toy.Net().to(whole_dtype)
        self.modulator, self.parts, self.whole_dtype = modulator, parts, whole_dtype
        self.autocast = torch.autocast("cpu", dtype=dtype, enabled=dtype is not None)
        self.scaler = torch.amp.GradScaler("cpu", scale or 1.0, enabled=scale is not None)
        self.share, self.processes = share, 1
        self.network: nn.Module = self.net
        if ddp is not None:
            self.network = DistributedDataParallel(self.net, **ddp)
            self.processes = torch.distributed.get_world_size()
        if backend is not None:
            self.network = torch.compile(self.net, backend=backend)
        self.groups = {m: list(encoder.parameters()) for m, encoder in self.net.encoders.items()}
        self.groups["fusion"] = list(self.net.heads.parameters())
        each = [{"params": parameters} for parameters in self.groups.values()]
        self.optimizer = torch.optim.SGD(each, lr=0.05, momentum=0.9)

    def outputs(self, network: nn.Module, inputs: dict[str, Tensor]) -> Outputs:
        """Return what the network says."""
        inputs = {m: x.to(self.whole_dtype) for m, x in inputs.items()}
        return Outputs(*network(inputs), lambda z: sum(self.net.heads[m](z[m]) for m in z))

    def advance(self, numbers: Sequence[int] = range(STEPS)) -> Loop:
        """Take some steps."""
        for number in numbers:
            self.step(number)
            if CLOCKS[number].batch + 1 == BATCHES:
                with torch.no_grad():
                    inputs, labels = batch(10_000)
                    evaluation = Evaluation(self.outputs(self.net, inputs), labels)
                metrics = Metrics(evaluation, evaluation)
                self.modulator.epoch_end(metrics, self.optimizer, self.groups, CLOCKS[number])
        return self

    def step(self, number: int, spoil: str | None = None) -> None:
        """Take one step; ``spoil`` makes a gradient of one group infinite."""
        clock, (inputs, labels) = CLOCKS[number], batch(number)
        self.optimizer.zero_grad()
        kept = []
        begin, end = self.share
        for i, rows in enumerate(torch.arange(begin, end).split(list(self.parts))):
            last = i + 1 == len(self.parts)
            waiting = self.processes > 1 and not last
            with self.network.no_sync() if waiting else contextlib.nullcontext():
                truth = labels[rows]
                with self.autocast:
                    outputs = self.outputs(self.network, {m: x[rows] for m, x in inputs.items()})
                    terms = {"fused": F.cross_entropy(outputs.logits, truth)}
                    terms = self.modulator.terms(terms, outputs, truth, clock)
                # The mean over all items of all processes, of which DDP takes the mean again.
                weight = self.processes * len(rows) / len(labels)
                self.scaler.scale(sum(terms.values()) * weight).backward()
            kept.append((outputs, truth))
        if spoil is not None:
            self.groups[spoil][0].grad.view(-1)[0] = torch.inf
        self.scaler.unscale_(self.optimizer)
        whole = Outputs.cat([outputs for outputs, _ in kept])
        self.modulator.modulate(whole, torch.cat([y for _, y in kept]), self.groups, clock)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def state(self) -> dict[str, Any]:
        """Return the complete state but for the scaler's."""
        parts = {"net": self.net, "optimizer": self.optimizer, "modulator": self.modulator}
        return {name: part.state_dict() for name, part in parts.items()}

    def load(self, state: dict[str, Any]) -> Loop:
        """Restore :meth:`state`."""
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)
        return self


def check_acted(modulator: Modulator) -> None:
    """Check that every part did something, so that the comparison says something."""
    for name, counts in modulator.counts().items():
        assert counts["acted"] > 0, name


def differences(a: Any, b: Any, path: str = "") -> dict[str, float]:
    """Return the largest difference of every tensor and number in two nested states.

    For real numbers it is relative to the tensor's largest value, where that is above 1.
    """
    if isinstance(a, Tensor):
        assert a.shape == b.shape, path
        if a.dtype == torch.uint8:  # the state of a random generator
            return {path: 0.0 if torch.equal(a, b) else torch.inf}
        if a.numel() == 0:
            return {path: 0.0}
        a, b = a.detach(), b.detach()
        gap = (a.double() - b.double()).abs().nan_to_num(torch.inf).max()
        large = b.double().abs().max().clamp(min=1.0) if b.is_floating_point() else 1.0
        return {path: float(gap / large)}
    if isinstance(a, dict):
        assert list(a) == list(b), path
        return {k: d for key in a for k, d in differences(a[key], b[key], f"{path}/{key}").items()}
    if isinstance(a, list | tuple):
        assert len(a) == len(b), path
        return {
            k: d
            for i, (x, y) in enumerate(zip(a, b, strict=True))
            for k, d in differences(x, y, f"{path}/{i}").items()
        }
    if isinstance(a, float | int) and not isinstance(a, bool):
        return {path: abs(a - b)}
    return {path: 0.0 if a == b else torch.inf}


def check_close(a: dict[str, Any], b: dict[str, Any], tolerance: float) -> None:
    """Check that two states differ by no more than so much in any number; 0 is bit for bit."""
    apart = {path: gap for path, gap in differences(a, b).items() if not gap <= tolerance}
    assert not apart, apart


def check_same_run(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Check that two runs are the same but for the rounding of sums in another order."""
    for name in a:
        # The signals of some methods are quotients of small differences, where rounding shows more.
        check_close(a[name], b[name], 1e-5 if name == "modulator" else 1e-6)


# ------------------------------------------------------------------------- several processes

#: By name: the shares of the two processes, the micro-batches of each, and settings of DDP.
SPLITS: dict[str, tuple[list[tuple[int, int]], list[tuple[int, ...]], dict[str, Any]]] = {
    "equal shares": ([(0, 10), (10, 20)], [(10,), (10,)], {}),
    "unequal shares": ([(0, 13), (13, 20)], [(13,), (7,)], {}),
    "two parts each": ([(0, 8), (8, 20)], [(4, 4), (5, 7)], {"gradient_as_bucket_view": True}),
}


def work(rank: int, folder: str) -> None:
    """Try every case and every split in one of two processes, and write what came out."""
    torch.set_num_threads(1)
    meeting_place = (Path(folder) / "meeting").as_uri()
    torch.distributed.init_process_group("gloo", meeting_place, rank=rank, world_size=2)
    found = {}
    for split, (shares, parts, ddp) in SPLITS.items():
        for label in CASES:
            loop = Loop(make(label), parts[rank], share=shares[rank], ddp=ddp)
            found[f"{split}: {label}"] = loop.advance().state()
    torch.save(found, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()
