"""What the sections share: data, trainers, steps, time, and a section's own results."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from asgml_core.config import ModelConfig, RunConfig
from asgml_core.datasets.base import MultimodalDataset, Part
from asgml_core.datasets.stored import Stored
from asgml_core.datasets.transforms import Floats, Pictures
from asgml_core.execution import arithmetic
from asgml_core.models import build_model
from asgml_core.modulators import (
    MILES,
    OGM,
    OGMGE,
    Boost,
    Chain,
    Frequency,
    GradientNoise,
    Modulator,
    Staleness,
    StaticScale,
    Throttle,
    UnimodalLosses,
)
from asgml_core.seeding import generator
from asgml_core.telemetry import StepRecorder
from asgml_core.trainer import Trainer

CLASSES, EPOCHS, RUNS = 6, 100, 87
#: More epochs than any section takes, so that no learning rate drops.
ENDLESS = 100_000
#: Items that are drawn at once.
PIECE = 256
NO_TIME, NEEDS_CUDA = "left out: no time", "needs CUDA"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much data of which shape, and which network."""

    train: int
    test: int
    frame: tuple[int, ...]
    spectrogram: tuple[int, ...]
    pixels: int
    width: int
    batch: int


CREMAD = Sizes(6698, 744, (1, 360, 480, 3), (1, 257, 188), 224, 64, 64)
#: For comparisons: five batches, the last one smaller.
CHECKED = Sizes(75, 24, (1, 72, 96, 3), (1, 64, 64), 64, 8, 16)
SMALL_CHECKED = Sizes(40, 8, (1, 40, 48, 3), (1, 32, 32), 32, 8, 16)
SMALL = Sizes(20, 8, (1, 40, 48, 3), (1, 32, 32), 32, 4, 8)

METHODS: dict[str, Callable[[], Chain]] = {
    "baseline": lambda: Chain(UnimodalLosses()),
    "ogm": lambda: Chain(UnimodalLosses(), OGM()),
    "ogm_ge": lambda: Chain(UnimodalLosses(), OGMGE()),
    "boost": lambda: Chain(UnimodalLosses(), Boost()),
    "boost_ogm": lambda: Chain(UnimodalLosses(), Boost(), OGM()),
    "boost_ogm_ge": lambda: Chain(UnimodalLosses(), Boost(), OGMGE()),
    "throttle": lambda: Chain(UnimodalLosses(), Throttle()),
    "frequency": lambda: Chain(UnimodalLosses(), Frequency()),
    "frequency_fixed": lambda: Chain(UnimodalLosses(), Frequency(adaptation="fixed")),
    "staleness": lambda: Chain(UnimodalLosses(), Staleness(variant="study")),
    "staleness_fixed": lambda: Chain(UnimodalLosses(), Staleness(adaptation="fixed")),
    "miles": lambda: Chain(UnimodalLosses(), MILES()),
    "noise": lambda: Chain(UnimodalLosses(), GradientNoise()),
    "static_scale": lambda: Chain(UnimodalLosses(), StaticScale()),
}


# ---------------------------------------------------------------------- a section's results


class Section:
    """One section at work: where, until when, and what it found so far.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        small: tiny shapes and few repeats, for a trial.
        seconds: until the section should be done.
        path: of the JSON file that always holds what was found so far.
        earlier: the results of earlier sections by name.
    """

    def __init__(
        self, device: str, small: bool, seconds: float, path: Path, earlier: dict[str, Any]
    ) -> None:
        self.device = torch.device(device)
        self.small = small
        self.end = time.monotonic() + seconds
        self.path = path
        self.earlier = earlier
        self.results: dict[str, Any] = {}
        self.failures: list[str] = []

    @property
    def on_gpu(self) -> bool:
        """Whether there is a GPU to measure."""
        return self.device.type == "cuda"

    @property
    def sizes(self) -> Sizes:
        """The shapes to measure."""
        return SMALL if self.small else CREMAD

    @property
    def checked(self) -> Sizes:
        """The shapes to compare."""
        return SMALL_CHECKED if self.small else CHECKED

    @property
    def repeats(self) -> int:
        """How often each thing is timed."""
        return 2 if self.small else 5

    def steps(self, count: int) -> int:
        """Return how many steps one time is taken of."""
        return 2 if self.small else count

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.end - time.monotonic()

    def part(self, name: str, call: Callable[[], Any], needs: float = 5, cuda: bool = False) -> Any:
        """Do one part, keep what it returns, and go on with the next if it fails.

        A part that returns ``{"ok": False, ...}`` has failed, too.

        Args:
            name: of the part.
            call: the work.
            needs: seconds; with fewer left the part is left out.
            cuda: whether it needs a GPU.
        """
        found: Any = None
        if cuda and not self.on_gpu:
            said: Any = NEEDS_CUDA
        elif self.left() < needs:
            said = NO_TIME
        else:
            started = time.monotonic()
            try:
                found = call()
                said = found if isinstance(found, dict) else {"ok": True}
                if said.get("ok") is False:
                    self.failures.append(name)
            except Exception:
                said = {"ok": False, "error": last_lines(traceback.format_exc())}
                self.failures.append(name)
            if isinstance(said, dict):
                said = {**said, "seconds spent": round(time.monotonic() - started, 2)}
        self.results[name] = said
        self.write()
        free(self.device)
        return found

    def write(self) -> None:
        """Write what was found so far, whole or not at all."""
        said = {"results": self.results, "failures": self.failures}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(said), encoding="utf-8")
        os.replace(new, self.path)


def last_lines(text: str, count: int = 12) -> str:
    """Return the last lines of a text, none of them long."""
    return "\n".join(line[:500] for line in text.strip().splitlines()[-count:])


# ---------------------------------------------------------------------- data and trainers


def make_part(sizes: Sizes, count: int, name: str, device: torch.device, seed: int) -> Part:
    """Draw items on the device, in pieces. Louder and brighter ones are of a later class."""
    draw = torch.Generator(device).manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=draw, device=device)
    audio = torch.empty(count, *sizes.spectrogram, dtype=torch.float16, device=device)
    frames = torch.empty(count, *sizes.frame, dtype=torch.uint8, device=device)
    for start in range(0, count, PIECE):
        some = slice(start, min(start + PIECE, count))
        kind = labels[some].view(-1, 1, 1, 1)
        noise = torch.randn(audio[some].shape, generator=draw, device=device)
        audio[some] = noise + 0.5 * kind
        shape = frames[some].shape
        noise = torch.randint(128, shape, dtype=torch.uint8, generator=draw, device=device)
        frames[some] = noise + (20 * kind[..., None]).to(torch.uint8)
    names = tuple(f"{name}{i}" for i in range(count))
    return Part(inputs={"audio": audio, "visual": frames}, labels=labels, ids=names, groups=names)


def make_data(sizes: Sizes, device: torch.device) -> MultimodalDataset:
    """Return a dataset as a cache of CREMA-D has it, on the device."""
    return MultimodalDataset(
        name="drawn",
        classes=tuple(f"class {c}" for c in range(CLASSES)),
        train=make_part(sizes, sizes.train, "train", device, 1),
        test=make_part(sizes, sizes.test, "test", device, 2),
        transforms={
            "audio": Floats(mean=1.25, std=1.3),
            "visual": Pictures(size=sizes.pixels),
        },
    )


def moved(data: MultimodalDataset, device: torch.device) -> MultimodalDataset:
    """Return the same data on a device."""
    return dataclasses.replace(data, train=data.train.to(device), test=data.test.to(device))


def make_config(sizes: Sizes, device: torch.device, epochs: int = ENDLESS, **how: Any) -> RunConfig:
    """Return the study's config at a size; ``how`` is precision, execution, deterministic."""
    base = RunConfig(
        run_id="gpu",
        seed=0,
        protocol="paper",
        model=ModelConfig(width=sizes.width),
        device=str(device),
        **how,
    )
    return base.replace(train={"epochs": epochs, "batch_size": sizes.batch})


def on_disk(data: MultimodalDataset) -> MultimodalDataset:
    """Return the same data as rows that are read when they are asked for."""

    def stored(part: Part) -> Part:
        rows, hashes = torch.arange(len(part)), part.ids
        inputs = {m: Stored(x.cpu().numpy(), rows, hashes) for m, x in part.inputs.items()}
        return dataclasses.replace(part, inputs=inputs, labels=part.labels.cpu())

    return dataclasses.replace(data, train=stored(data.train), test=stored(data.test))


def make_trainer(
    config: RunConfig,
    data: MultimodalDataset,
    method: str | Modulator = "baseline",
    room: int | None = None,
) -> Trainer:
    """Return a trainer as a run has it, with weights drawn from the config's seed.

    Args:
        config: the run.
        data: its data.
        method: its name in ``METHODS``, or itself.
        room: bytes on the device for data on disk; with 0 they are read in every epoch.
    """
    model = build_model(data.shapes, CLASSES, width=config.model.width, seed=config.seed)
    modulator = METHODS[method]() if isinstance(method, str) else method
    return Trainer(config, data, model, modulator, room)


def as_in_a_run(config: RunConfig) -> Any:
    """Return the context in which a run computes."""
    return arithmetic(torch.device(config.device), config.threads, config.deterministic)


class Steps:
    """Takes whole batches' training steps of one trainer, any number at a time.

    All are of one epoch that begins again and again, so that none of them waits for what happens
    between epochs.
    """

    def __init__(self, trainer: Trainer, most: int = 5000) -> None:
        trainer.epoch = max(trainer.epoch, 1)
        trainer.model.train()
        trainer.updates.set_rate(trainer.config.train.learning_rate)
        self.trainer = trainer
        self.taken = 0
        part, size = trainer.parts["train"], trainer.config.train.batch_size
        order = torch.randperm(len(part), generator=generator(0, "shuffle", 1))
        if prepare := getattr(trainer, "_prepare", None):  # graphs, as before an epoch
            prepare(order)
        whole = [rows for rows in order.split(size) if len(rows) == size]
        draws = trainer.feed.draw(part, trainer.config.seed, 1)
        rows = itertools.islice(itertools.cycle(whole), most)
        self._batches = trainer.feed.batches(part, rows, draws)

    def take(self, count: int) -> None:
        """Take steps, as :meth:`Trainer._train_epoch` does; they may still be under way after."""
        recorder, trainer = StepRecorder(), self.trainer
        for _ in range(count):
            inputs, labels = next(self._batches)
            recorder.add(take_step(trainer, inputs, labels, self.taken % trainer.batches))
            self.taken += 1
        check_execution(trainer)
        trainer.optimizer.zero_grad(set_to_none=True)


def check_execution(trainer: Trainer) -> None:
    """Check that a trainer that has trained used its execution, and not the plain one instead."""
    execution = trainer.config.execution
    if execution != "eager" and set(trainer.encode._ready) != set(trainer.dataset.modalities):
        raise RuntimeError(f"execution is {execution!r}, but the encoders ran without it.")


def take_step(
    trainer: Trainer, inputs: dict[str, torch.Tensor], labels: torch.Tensor, batch: int
) -> dict[str, torch.Tensor]:
    """Take one training step with all the passes that the method wants."""
    clock = trainer.clock(trainer.epoch, batch)
    record: dict[str, torch.Tensor] = {}
    for modalities in trainer.modulator.passes(trainer.dataset.modalities, clock):
        record |= trainer._step({m: inputs[m] for m in modalities}, labels, clock)
    return record


# ---------------------------------------------------------------------- time and work


def wait(device: torch.device) -> None:
    """Wait until the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free(device: torch.device) -> None:
    """Give memory that nothing uses back to the device."""
    if device.type == "cuda":
        import gc

        gc.collect()
        torch.cuda.empty_cache()


def seconds(call: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    """Return how long a call takes by the wall, and on the device by its own events."""
    wait(device)
    if device.type != "cuda":
        started = time.perf_counter()
        call()
        taken = time.perf_counter() - started
        return taken, taken
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    started = time.perf_counter()
    first.record()
    call()
    last.record()
    torch.cuda.synchronize(device)
    return time.perf_counter() - started, first.elapsed_time(last) / 1000


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return a quantity as n, median and quartiles."""
    values = [float(value) for value in values]
    low = high = values[0]
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"n": len(values), "median": statistics.median(values), "low": low, "high": high}


def times(found: dict[str, float], factor: float, power: int = 1) -> dict[str, float]:
    """Return a spread times a factor, or with power -1 the factor over it."""
    made = {k: factor * found[k] ** power for k in ("median", "low", "high")}
    low, high = sorted((made["low"], made["high"]))
    return {"n": found["n"], "median": made["median"], "low": low, "high": high}


def work_of_a_pair(sizes: Sizes) -> float:
    """Return the FLOP of convolutions and products in a training step, for one item.

    Counted on the device ``meta``, where nothing is computed.
    """
    shapes = {"audio": sizes.spectrogram, "visual": (3, sizes.pixels, sizes.pixels)}
    net = build_model(shapes, CLASSES, width=sizes.width).to("meta").train()
    inputs = {m: torch.empty(2, *shape, device="meta") for m, shape in shapes.items()}
    with FlopCounterMode(display=False) as counter:
        outputs = net(inputs)
        losses = [outputs.logits, *outputs.unimodal_logits.values()]
        sum(logits.square().mean() for logits in losses).backward()
    return counter.get_total_flops() / 2


def peak_of(section: Section, precision: str) -> float | None:
    """Return the FLOP/s of large products that the first section measured."""
    found = section.earlier.get("device", {}).get(f"matmul FLOP/s, {precision}")
    return found["median"] if isinstance(found, dict) and "median" in found else None
