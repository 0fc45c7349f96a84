"""What the benchmarks share: random data, trainers, medians with quartiles, peaks, and results."""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from asgml_core import results
from asgml_core.config import Execution, RunConfig
from asgml_core.datasets import MultimodalDataset, Part
from asgml_core.execution import arithmetic
from asgml_core.models import build_model
from asgml_core.modulators import Modulator
from asgml_core.provenance import provenance
from asgml_core.trainer import Trainer

CLASSES = 6
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
#: Side of the square matrices that are multiplied to find a device's peak.
PEAK_SIZES = {"cpu": 2048, "cuda": 8192}
#: More epochs than any benchmark takes, so that no learning rate drops and no window ends.
ENDLESS = 100_000


def parser(text: str | None, threads: int = 1, device: bool = False) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark takes."""
    made = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    made.add_argument("--threads", type=int, default=threads, help=f"of torch (default: {threads})")
    made.add_argument("--results", type=Path, help="a folder for a trial (default: book/results)")
    if device:
        made.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    return made


def add_precision(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--precision",
        nargs="+",
        choices=DTYPES,
        default=list(DTYPES),
        help="of the network's passes (default: fp32 bf16)",
    )


def add_execution(to: argparse.ArgumentParser) -> None:
    ways = get_args(Execution)
    to.add_argument("--execution", choices=ways, default="eager", help="of ours (default: eager)")
    to.add_argument("--fast", action="store_true", help="let cuDNN choose; other last bits")


class Writer:
    """Writes the tables of one benchmark, each with its provenance and the wall time so far."""

    def __init__(self, script: str, given: argparse.Namespace, **said: Any) -> None:
        self.started = time.perf_counter()
        self.folder = given.results
        device = str(getattr(given, "device", "cpu"))
        self.said = {
            "command": f"python benchmarks/{script}.py{_options(given)}",
            **provenance(device, given.threads),
            **said,
        }

    def write(self, name: str, rows: Sequence[Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
        """Print a table, write it, and return it."""
        table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        print(table.to_string(index=False, float_format="%.4g"))
        self.said["wall_time"] = round(time.perf_counter() - self.started, 1)
        self.said["finished"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        print(results.write(name, table, self.said, self.folder), flush=True)
        return table


def _options(given: argparse.Namespace) -> str:
    said = ""
    for name, value in vars(given).items():
        if name == "results" or value is None or value is False:
            continue
        words = value if isinstance(value, (list, tuple)) else [value]
        # A path is the user's own, and says nothing to others.
        shown = " ".join("DIR" if isinstance(word, Path) else str(word) for word in words)
        said += f" --{name.replace('_', '-')} {shown}".removesuffix(" True")
    return said


# ---------------------------------------------------------------------- data and trainers


def random_part(
    shapes: Mapping[str, tuple[int, ...]], items: int, name: str, seed: int = 0
) -> Part:
    """Return a part of normal numbers and random labels."""
    draw = torch.Generator().manual_seed(seed)
    return Part(
        inputs={m: torch.randn(items, *shape, generator=draw) for m, shape in shapes.items()},
        labels=torch.randint(CLASSES, (items,), generator=draw),
        ids=tuple(f"{name}{i}" for i in range(items)),
        groups=tuple(f"{name}{i}" for i in range(items)),
    )


def random_data(
    shapes: Mapping[str, tuple[int, ...]], train: int, test: int = 2
) -> MultimodalDataset:
    """Return a dataset in memory; its numbers mean nothing."""
    return MultimodalDataset(
        name="random",
        classes=tuple(f"class {c}" for c in range(CLASSES)),
        train=random_part(shapes, train, "train"),
        test=random_part(shapes, test, "test", seed=1),
    )


def make_config(precision: str = "fp32", **changes: Any) -> RunConfig:
    """Return a run's config with the study's learning rate, momentum and weight decay."""
    train = {"epochs": ENDLESS, "learning_rate": 1e-3} | changes.pop("train", {})
    base = RunConfig(run_id="benchmark", seed=0, protocol="paper", precision=precision)
    return base.replace(train=train, **changes)


def make_trainer(config: RunConfig, data: MultimodalDataset, modulator: Modulator) -> Trainer:
    """Return a trainer as a run has it, on a network of the config's kind."""
    model = config.model
    net = build_model(
        data.shapes,
        len(data.classes),
        head=model.head,
        width=model.width,
        stem=model.stem,
        frames=model.frames,
    )
    return Trainer(config, data, net, modulator)


def _as_in_a_run(config: RunConfig) -> AbstractContextManager[None]:
    return arithmetic(torch.device(config.device), config.threads, config.deterministic)


def train_epoch(trainer: Trainer) -> None:
    """Train an epoch as a run does, with telemetry and checks of the losses; no evaluation."""
    with _as_in_a_run(trainer.config):
        trainer.epoch += 1
        trainer._train_epoch()


def whole_epoch(trainer: Trainer) -> None:
    """Train an epoch, evaluate, and make its row."""
    with _as_in_a_run(trainer.config):
        trainer.run_epoch()


def evaluate(trainer: Trainer, part: str = "test") -> None:
    with _as_in_a_run(trainer.config):
        trainer.evaluate(trainer.parts[part])


# ---------------------------------------------------------------------- time


def seconds(call: Callable[[], Any], device: str = "cpu") -> float:
    """Return how long a call takes, until the device is done with it."""
    wait(device)
    start = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - start


def wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def in_turn(
    calls: Mapping[Any, Callable[[], Any]], repeats: int, warmup: int = 1, device: str = "cpu"
) -> dict[Any, list[float]]:
    """Time calls in turn, so that a busy moment of the machine hits all of them alike."""
    times: dict[Any, list[float]] = {name: [] for name in calls}
    for repeat in range(-warmup, repeats):
        for name, call in calls.items():
            taken = seconds(call, device)
            if repeat >= 0:
                times[name].append(taken)
    return times


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return the columns of a quantity: its median, and its quartiles as ``low`` and ``high``."""
    if len(values) == 0:
        return dict.fromkeys((name, f"{name}, low", f"{name}, high"), float("nan"))
    low, high = values[0], values[0]
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {name: statistics.median(values), f"{name}, low": low, f"{name}, high": high}


def ratios(slower: Sequence[float], faster: Sequence[float]) -> list[float]:
    """Return the ratios of times that were taken in the same turn."""
    return [a / b for a, b in zip(slower, faster, strict=True)]


# ---------------------------------------------------------------------- work


class Peaks:
    """The FLOP/s of the fastest product of large square matrices so far, by precision.

    Args:
        precisions: which.
        device: where.
    """

    def __init__(self, precisions: Sequence[str], device: str = "cpu") -> None:
        self.device = device
        self.found = dict.fromkeys(["fp32", *precisions], 0.0)
        self.look()

    def roof(self, precision: str) -> float:
        """Return what a network of a precision could reach: bf16 may leave products in float32."""
        return self.found["fp32"] if precision == "fp32" else max(self.found.values())

    def look(self, repeats: int = 7) -> None:
        """Look again, as before and after what is measured: a busy moment hides a peak."""
        size = PEAK_SIZES[torch.device(self.device).type]
        for precision, before in self.found.items():
            a, b = (
                torch.randn(size, size, device=self.device, dtype=DTYPES[precision])
                for _ in range(2)
            )
            times = [seconds(lambda a=a, b=b: a @ b, self.device) for _ in range(repeats + 2)]
            self.found[precision] = max(before, 2 * size**3 / min(times[2:]))


def flops(net: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> tuple[float, float]:
    """Return the FLOP for one item, of convolutions and matrix products: forward, and in a step.

    The network moves to the device ``meta``, where nothing is computed and every convolution is
    counted in the usual way, with the taps that meet padding.
    """
    items = 2  # batch norm has no variance of one
    net.to("meta").train()
    inputs = {m: torch.empty(items, *shape, device="meta") for m, shape in shapes.items()}
    with FlopCounterMode(display=False) as counter:
        outputs = net(inputs)
        forward = counter.get_total_flops()
        losses = [outputs.logits, *outputs.unimodal_logits.values()]
        sum(logits.square().mean() for logits in losses).backward()
    return forward / items, counter.get_total_flops() / items
