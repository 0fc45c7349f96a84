"""One run, from its config to its record: never repeated, and resumable at any moment."""

from __future__ import annotations

import contextlib
import inspect
import io
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asgml_core import checkpoint
from asgml_core.checkpoint import CheckpointError
from asgml_core.checks import AsgmlError
from asgml_core.claims import STATE, Claim, claim
from asgml_core.config import RunConfig, check_device, differences
from asgml_core.datasets import MultimodalDataset, load
from asgml_core.events import Events
from asgml_core.execution import arithmetic
from asgml_core.files import write_atomically, write_json
from asgml_core.identity import Identity, decisive, identify
from asgml_core.models import build_model
from asgml_core.modulators import REGISTRY, Chain, During, Modulator
from asgml_core.paths import outputs_folder
from asgml_core.probes import refit_accuracies
from asgml_core.progress import Progress, show
from asgml_core.provenance import code_fingerprint, provenance
from asgml_core.records import EPOCHS, FORMAT, PREDICTIONS, RECORD, STEPS, RunRecord
from asgml_core.tasks import CHECKPOINT
from asgml_core.trainer import DivergedError, Trainer

CHOSEN, LAST, EVENTS = "chosen.pt", "last.pt", "events"


class RunError(AsgmlError, RuntimeError):
    """A run that cannot start or count; the message says why and what to do."""


class OutOfMemoryError(RunError):
    """A run that needs more memory than there is."""

    spoils_process = True  # what it took may not all have been given back


def run(
    config: RunConfig,
    outputs: str | Path | None = None,
    *,
    again: bool = False,
    progress: Progress | bool = True,
    checkpoint_seconds: float = 5.0,
    room: int | None = None,
    data: Callable[[RunConfig], MultimodalDataset] | None = None,
    sweep: str = "",
) -> RunRecord:
    """Train, evaluate and record one run in ``<outputs>/sweep/<run_id>_seed<seed>/``.

    A finished run is read, not repeated. A run that was killed goes on from its last checkpoint and
    ends with the same bits as one that was not. How an attempt ended stands in ``state.json``.

    Args:
        config: the run.
        outputs: by default ``$ASGML_OUTPUTS``, or ``outputs`` in the project.
        again: compute anew, and replace what another config or other code left in the folder.
        progress: show a bar; or a function that is told (epoch, epochs, the epoch's row).
        checkpoint_seconds: write a checkpoint after an epoch when the last one is older than this,
            so that a killed run loses no more; 0 writes one after every epoch. No result changes.
        room: bytes of a prepared cache to keep on the device; ``None`` is half of its memory. What
            does not fit is read from disk in every epoch. No result changes.
        data: what gives the data of a config instead of :func:`asgml_core.datasets.load`, to spare
            loading them again.
        sweep: the sweep that this run is part of, for its state.

    Returns:
        The record.

    Raises:
        RunError: when the folder holds a run of another config, or one made by other code or data;
            when a method never measured or never acted; when memory is short.
        BusyError: when another process is at work on this run.
        DataError: when the data cannot be used.
        DivergedError: when a loss was not finite; also at once when that is known from before.
        CheckpointError: when the checkpoint is damaged.
        WriteError: when a file could not be written.
    """
    folder = Path(outputs or outputs_folder()) / "sweep" / config.folder
    check_device(config.device)
    identity = identify(config)
    if not again and (record := finished(folder, config, identity)) is not None:
        return record
    with claim(folder / STATE, sweep) as held:
        if not again:
            _check_diverged(folder, held, identity)
            if (record := finished(folder, config, identity)) is not None:  # in the meantime
                return record
        held.begin(config.train.epochs, identity.key)
        device = torch.device(config.device)
        with held.ending(), _short_of_memory(folder):
            if again:
                _clear(folder)
            with arithmetic(device, config.threads, config.deterministic):
                dataset = load(config) if data is None else data(config)
                making = _Run(config, identity, folder, dataset, room, held)
                return making.finish(progress, checkpoint_seconds)


def finished(folder: Path, config: RunConfig, identity: Identity) -> RunRecord | None:
    """Return the record of a run that is finished; ``None`` where there is none.

    Args:
        folder: of the run.
        config: of the run.
        identity: of the run, as :func:`~asgml_core.identity.identify` gave it.

    Raises:
        RunError: when the record is of another config, other code or other data.
    """
    if not (folder / RECORD).exists():
        return None
    record = RunRecord.load(folder)
    made = record.values.get("identity", {})
    if made != identity.to_dict():
        raise RunError(
            f"{folder} holds a finished run {_what_differs(record.values, config, identity)}; "
            f"{_ADVICE}"
        )
    return record


def _what_differs(values: Mapping[str, Any], config: RunConfig, identity: Identity) -> str:
    if changed := differences(decisive(values["config"]), decisive(config.to_dict())):
        return f"of another config ({'; '.join(changed)})"
    made = values.get("identity", {})
    if made.get("code") != identity.code:
        return f"made by other code (fingerprint {made.get('code')}, now {identity.code})"
    return f"made with other data (fingerprint {made.get('data')}, now {identity.data})"


def _check_diverged(folder: Path, held: Claim, identity: Identity) -> None:
    before = held.before
    if before.get("state") == "diverged" and before.get("key") == identity.key:
        raise DivergedError(
            f"{folder} diverged before, and would again: {before.get('reason', '')} To compute it "
            "anew all the same: again=True, --again, -p again True.",
            before.get("epoch", 0),
            before.get("step", 0),
        )


@contextlib.contextmanager
def _short_of_memory(folder: Path) -> Iterator[None]:
    """Give running out of memory one name, of a GPU and of a CPU."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        of_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
        if not (of_cpu or isinstance(error, (MemoryError, torch.OutOfMemoryError))):
            raise
        raise OutOfMemoryError(
            f"{folder.name} ran out of memory; with fewer workers at once, or on a larger machine, "
            f"it goes on from its last checkpoint ({error})."
        ) from error


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
        self,
        config: RunConfig,
        identity: Identity,
        folder: Path,
        dataset: MultimodalDataset,
        room: int | None,
        held: Claim,
    ) -> None:
        self.config = config
        self.identity = identity
        self.folder = folder
        self.held = held
        self.started = time.perf_counter()
        self.spent = 0.0
        self.dataset = dataset
        self.trainer = make_trainer(config, self.dataset, room)
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
        with Events(self.folder / EVENTS) as events, show(self.config, progress) as tell:
            tell(trainer.epoch, self.config.train.epochs, {})
            while not trainer.finished:
                row = trainer.run_epoch()
                events.add(trainer, row)
                if trainer.finished or time.perf_counter() - saved >= checkpoint_seconds:
                    self._save()
                    saved = time.perf_counter()
                self.held.say(epoch=trainer.epoch, durable=False)
                tell(trainer.epoch, self.config.train.epochs, row)
        self._check_acted()
        self._write()
        return RunRecord.load(self.folder)

    def _wall_time(self) -> float:
        return self.spent + time.perf_counter() - self.started

    def _save(self) -> None:
        state = {
            "config": self.config.to_dict(),
            "code": self.identity.code,
            "data": self.dataset.fingerprint,
            "wall_time": self._wall_time(),
            "trainer": self.trainer.state_dict(),
        }
        self.held.check()
        checkpoint.save(self.folder / CHECKPOINT, state)

    def _resume(self) -> None:
        file = self.folder / CHECKPOINT
        state = checkpoint.load_run(file)
        self._check_same(state)
        try:
            self.trainer.load_state_dict(state["trainer"])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(
                f"{file} does not fit this run ({type(error).__name__}: {error}); remove it to "
                "start the run from its beginning."
            ) from error
        self.spent = state["wall_time"]
        self.held.resumed(self.trainer.epoch)

    def _check_same(self, state: Mapping[str, Any]) -> None:
        if changed := differences(decisive(state["config"]), decisive(self.config.to_dict())):
            what = f"of another config ({'; '.join(changed)})"
        elif state["code"] != self.identity.code:
            what = f"made by other code (fingerprint {state['code']}, now {self.identity.code})"
        elif state["data"] != self.dataset.fingerprint:
            now = self.dataset.fingerprint
            what = f"made with other data (fingerprint {state['data']}, now {now})"
        else:
            return
        raise RunError(f"{self.folder} holds an unfinished run {what}; {_ADVICE}")

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
        self.held.check()
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
            "identity": self.identity.to_dict(),
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
                "code": code_fingerprint(),
                "data": self.dataset.fingerprint,
                "wall_time": round(self._wall_time(), 3),
            },
        }


_ADVICE = "choose another outputs folder, or compute it anew (again=True, --again, -p again True)."


def make_trainer(config: RunConfig, dataset: MultimodalDataset, room: int | None) -> Trainer:
    """Return the trainer of a run, before its first epoch.

    Args:
        config: the run.
        dataset: its data.
        room: see :func:`run`.
    """
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
