"""One run, from its config to its record: never repeated, and resumable at any moment."""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asgml_core import checkpoint
from asgml_core.checks import AsgmlError
from asgml_core.config import RunConfig, check_device, differences
from asgml_core.datasets import MultimodalDataset, load
from asgml_core.execution import arithmetic
from asgml_core.files import WriteError, write_atomically, write_json
from asgml_core.models import build_model
from asgml_core.modulators import REGISTRY, Chain, During, Modulator
from asgml_core.paths import outputs_folder
from asgml_core.probes import refit_accuracies
from asgml_core.provenance import code_fingerprint, provenance
from asgml_core.records import EPOCHS, FORMAT, PREDICTIONS, RECORD, STEPS, RunRecord
from asgml_core.trainer import Trainer

CHECKPOINT, CHOSEN, LAST, EVENTS = "checkpoint.pt", "chosen.pt", "last.pt", "events"
LOCK = ".lock"
Progress = Callable[[int, int, dict[str, float]], None]


class RunError(AsgmlError, RuntimeError):
    """A run that cannot start or count; the message says why and what to do."""


def run(
    config: RunConfig,
    outputs: str | Path | None = None,
    *,
    again: bool = False,
    progress: Progress | bool = True,
    checkpoint_seconds: float = 5.0,
    room: int | None = None,
    dataset: MultimodalDataset | None = None,
) -> RunRecord:
    """Train, evaluate and record one run in ``<outputs>/sweep/<run_id>_seed<seed>/``.

    A finished run is read, not repeated. A run that was killed goes on from its last checkpoint and
    ends with the same bits as one that was not.

    Args:
        config: the run.
        outputs: by default ``$ASGML_OUTPUTS``, or ``outputs`` in the project.
        again: compute anew, and replace what another config or other code left in the folder.
        progress: show a bar; or a function that is told (epoch, epochs, the epoch's row).
        checkpoint_seconds: write a checkpoint after an epoch when the last one is older than this,
            so that a killed run loses no more; 0 writes one after every epoch. No result changes.
        room: bytes of a prepared cache to keep on the device; ``None`` is half of its memory. What
            does not fit is read from disk in every epoch. No result changes.
        dataset: what ``asgml_core.datasets.load`` gave for the same data, seed and protocol, to
            spare loading it again.

    Returns:
        The record.

    Raises:
        RunError: when the folder holds a run of another config, or one made by other code; when a
            method never measured or never acted.
        DataError: when the data cannot be used.
        DivergedError: when a loss was not finite.
        CheckpointError: when the checkpoint is damaged.
        WriteError: when a file could not be written.
    """
    folder = Path(outputs or outputs_folder()) / "sweep" / config.folder
    check_device(config.device)
    dataset = load(config) if dataset is None else dataset
    with _alone(folder):
        if again:
            _clear(folder)
        elif (folder / RECORD).exists():
            record = RunRecord.load(folder)
            made = record.provenance
            _check_same(
                folder, config, dataset, record.values["config"], made["code"], made["data"]
            )
            return record
        device = torch.device(config.device)
        with arithmetic(device, config.threads, config.deterministic):
            return _Run(config, folder, dataset, room).finish(progress, checkpoint_seconds)


def build_modulator(config: RunConfig) -> Chain:
    """Return the chain of a run's methods, each in its window."""
    parts: list[Modulator] = []
    for method in config.methods:
        cls, options = REGISTRY[method.name], dict(method.options)
        if "seed" in inspect.signature(cls.__init__).parameters:
            options["seed"] = config.seed
        part = cls(**options)
        epochs, start, end = config.train.epochs, method.start, method.end
        if start is None and end is None and (window := part.default_window(epochs)):
            start, end = window
        if start is not None or end is not None:
            part = During(part, start or 0, epochs if end is None else end)
        parts.append(part)
    return Chain(*parts)


class _Run:
    """A run on its way to its record."""

    def __init__(
        self, config: RunConfig, folder: Path, dataset: MultimodalDataset, room: int | None
    ) -> None:
        self.config = config
        self.folder = folder
        self.started = time.perf_counter()
        self.spent = 0.0
        self.dataset = dataset
        self.trainer = _trainer(config, self.dataset, room)
        self.schedule = self.trainer.modulator.schedule(self.trainer.clock(1, 0))
        for left in folder.glob(".*.tmp"):  # of a kill in the middle of a write
            left.unlink()
        if (folder / CHECKPOINT).exists():
            self._resume()
        else:
            _clear(folder)  # events of a run that was killed before its first checkpoint

    def finish(self, progress: Progress | bool, checkpoint_seconds: float) -> RunRecord:
        """Train to the end and write the record."""
        trainer = self.trainer
        saved = self.started
        with _Events(self.folder / EVENTS) as events, _bar(self.config, progress) as tell:
            tell(trainer.epoch, self.config.train.epochs, {})
            while not trainer.finished:
                row = trainer.run_epoch()
                events.add(trainer, row)
                if trainer.finished or time.perf_counter() - saved >= checkpoint_seconds:
                    self._save()
                    saved = time.perf_counter()
                tell(trainer.epoch, self.config.train.epochs, row)
        self._check_acted()
        self._write()
        return RunRecord.load(self.folder)

    def _wall_time(self) -> float:
        return self.spent + time.perf_counter() - self.started

    def _save(self) -> None:
        state = {
            "config": self.config.to_dict(),
            "code": code_of(self.config),
            "data": self.dataset.fingerprint,
            "wall_time": self._wall_time(),
            "trainer": self.trainer.state_dict(),
        }
        checkpoint.save(self.folder / CHECKPOINT, state)

    def _resume(self) -> None:
        state = checkpoint.load(self.folder / CHECKPOINT)
        _check_same(
            self.folder, self.config, self.dataset, state["config"], state["code"], state["data"]
        )
        self.trainer.load_state_dict(state["trainer"])
        self.spent = state["wall_time"]

    def _check_acted(self) -> None:
        for part in self.trainer.modulator.parts():
            needed = (("measured", part.measures), ("acted", not part.may_rest))
            for counter in (counter for counter, needs in needed if needs):
                if int(getattr(part, counter)) == 0:
                    raise RunError(
                        f"{self.config.folder}: the method {part.name!r} never {counter} in "
                        f"{self.trainer.epoch * self.trainer.batches} steps; that is no result. "
                        f"Its schedule was {self.schedule}."
                    )

    def _write(self) -> None:
        trainer, folder = self.trainer, self.folder
        last = {k: v.detach().cpu().clone() for k, v in trainer.model.state_dict().items()}
        chosen = trainer.selections.weights or last
        probes = {"last": self._probe(last)}
        if "validation" in trainer.selections.chosen:
            is_last = trainer.selections.chosen["validation"]["epoch"] == trainer.epoch
            probes["validation"] = probes["last"] if is_last else self._probe(chosen)
        checkpoint.save_weights(folder / LAST, last)
        checkpoint.save_weights(folder / CHOSEN, chosen)
        steps = {name: values.numpy() for name, values in trainer.steps.items()}
        write_atomically(folder / STEPS, _npz(steps))
        write_atomically(folder / EPOCHS, _csv(trainer).encode())
        write_atomically(folder / PREDICTIONS, _npz(self._predictions()))
        write_json(folder / RECORD, self._record(probes))

    def _probe(self, weights: dict[str, torch.Tensor]) -> dict[str, float]:
        trainer = self.trainer
        trainer.model.load_state_dict(weights)
        train, test = (trainer.evaluate(trainer.parts[name]) for name in ("train", "test"))
        return refit_accuracies(
            train.outputs.features, train.labels, test.outputs.features, test.labels
        )

    def _predictions(self) -> dict[str, np.ndarray]:
        test = self.dataset.test
        arrays = {"id": np.array(test.ids), "label": test.labels.numpy()}
        for selection, entry in self.trainer.selections.chosen.items():
            for name, logits in entry["logits"].items():
                arrays[f"{selection}/{name}"] = logits.numpy()
        return arrays

    def _record(self, probes: dict[str, dict[str, float]]) -> dict[str, Any]:
        trainer = self.trainer
        trained = trainer.trained_heads()
        selections = {}
        for name, entry in trainer.selections.chosen.items():
            selections[name] = {
                "epoch": entry["epoch"],
                "accuracy": entry["accuracy"],
                "valid_accuracy": entry["valid_accuracy"],
                "accuracies": {
                    m: a if trained[m] else None for m, a in entry["accuracies"].items()
                },
                "refitted_probes": probes.get(name),
            }
        return {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "classes": list(self.dataset.classes),
            "items": {name: len(part) for name, part in self.dataset.parts.items()},
            "data": dict(self.dataset.notes),
            "batches_per_epoch": trainer.batches,
            "schedule": self.schedule,
            "settings": {part.name: repr(part) for part in trainer.modulator.parts()},
            "methods": trainer.modulator.counts(),
            "selections": selections,
            "provenance": {
                **provenance(self.config.device, self.config.threads),
                "code": code_of(self.config),
                "data": self.dataset.fingerprint,
                "wall_time": round(self._wall_time(), 3),
            },
        }


_ADVICE = "choose another outputs folder, or compute it anew (again=True, --again, -p again True)."


def _trainer(config: RunConfig, dataset: MultimodalDataset, room: int | None) -> Trainer:
    model = build_model(
        dataset.shapes,
        len(dataset.classes),
        head=config.model.head,
        width=config.model.width,
        stem=config.model.stem,
        frames=config.model.frames,
        init=config.model.init,
        seed=config.seed,
    )
    return Trainer(config, dataset, model, build_modulator(config), room)


def _check_same(
    folder: Path,
    config: RunConfig,
    dataset: MultimodalDataset,
    saved: dict[str, Any],
    code: str,
    data: str,
) -> None:
    if changed := differences(saved, config.to_dict()):
        raise RunError(f"{folder} holds a run of another config ({'; '.join(changed)}); {_ADVICE}")
    if code != code_of(config):
        raise RunError(
            f"{folder} was made by other code (fingerprint {code}, now {code_of(config)}); "
            f"{_ADVICE}"
        )
    if data != dataset.fingerprint:
        raise RunError(
            f"{folder} was made with other data (fingerprint {data}, now {dataset.fingerprint}); "
            f"{_ADVICE}"
        )


def code_of(config: RunConfig) -> str:
    """Return the fingerprint of the code that a run depends on, methods from elsewhere included."""
    return code_fingerprint(tuple(REGISTRY[method.name] for method in config.methods))


def _clear(folder: Path) -> None:
    # The record goes first: without it, nothing that is left counts as a finished run.
    for name in (RECORD, CHECKPOINT, CHOSEN, LAST, STEPS, EPOCHS, PREDICTIONS):
        (folder / name).unlink(missing_ok=True)
    for event in (folder / EVENTS).glob("events.out.tfevents.*"):
        event.unlink()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _csv(trainer: Trainer) -> str:
    columns = {name: values.tolist() for name, values in trainer.epochs.items()}
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(f"{value:.9g}" for value in row) for row in rows]
    return "\n".join([",".join(columns), *lines]) + "\n"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the run's folder for this process; two would undo each other's files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise WriteError(f"{folder} could not be made ({error.strerror}).") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{folder}: another process is at work on this run.") from error
        try:
            yield
        finally:
            if os.listdir(folder) == [LOCK]:  # nothing came of it: leave nothing behind
                (folder / LOCK).unlink()
                folder.rmdir()


@contextlib.contextmanager
def _bar(config: RunConfig, progress: Progress | bool) -> Iterator[Progress]:
    if callable(progress):
        yield progress
        return
    from tqdm import tqdm

    total = config.train.epochs
    with tqdm(total=total, desc=config.folder, unit="epoch", disable=not progress) as bar:

        def tell(epoch: int, epochs: int, row: dict[str, float]) -> None:
            bar.update(epoch - bar.n)
            if row:
                bar.set_postfix(test=f"{row['test_accuracy']:.3f}")

        yield tell


class _Events:
    """TensorBoard events; what a killed run wrote after its last checkpoint is purged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: Any = None

    def __enter__(self) -> _Events:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def add(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Write the steps and the row of the epoch just done."""
        first = (trainer.epoch - 1) * trainer.batches
        try:
            self._write(trainer, row, first)
        except OSError as error:
            raise WriteError(f"{self.folder} could not be written ({error.strerror}).") from error

    def _write(self, trainer: Trainer, row: dict[str, float], first: int) -> None:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(self.folder, purge_step=first)
        newest = {name: v[-trainer.batches :].tolist() for name, v in trainer.steps.items()}
        for i in range(trainer.batches):
            self._add({f"step/{name}": values[i] for name, values in newest.items()}, first + i)
        last = first + trainer.batches - 1
        self._add({f"epoch/{name}": value for name, value in row.items()}, last)
        self.writer.flush()

    def _add(self, values: dict[str, float], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        # All of a step in one event: a run has tens of thousands of values.
        scalars = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
            if value == value  # not NaN: no such value at this step
        ]
        self.writer.file_writer.add_summary(Summary(value=scalars), step)
