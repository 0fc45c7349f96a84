"""The training loop. It knows the hooks of a modulator, and no method by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from asgml_core.checks import AsgmlError
from asgml_core.config import RunConfig, TrainConfig
from asgml_core.datasets.base import MultimodalDataset, Part
from asgml_core.execution import Encode
from asgml_core.feed import Batch, Feed
from asgml_core.layout import arrange_module
from asgml_core.models import LateFusion
from asgml_core.modulators.base import Modulator, defines
from asgml_core.modulators.editing import gradient_norm
from asgml_core.modulators.outputs import Clock, Evaluation, Metrics, Outputs
from asgml_core.seeding import generator
from asgml_core.selection import Selections
from asgml_core.telemetry import StepRecorder, join_tables
from asgml_core.updates import Updates

EVALUATION_BATCH = 256


class DivergedError(AsgmlError, RuntimeError):
    """A loss that is no longer finite; the message names the epoch and the step.

    Args:
        message: the sentence.
        epoch: counted from 1.
        step: counted from 0.
    """

    def __init__(self, message: str, epoch: int, step: int) -> None:
        super().__init__(message)
        self.state = {"state": "diverged", "epoch": epoch, "step": step}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.state["epoch"], self.state["step"])


def batch_rows(order: Tensor, size: int) -> Iterator[Tensor]:
    """Yield the rows of each batch; the last one is kept, whatever its size.

    A last batch of one item joins the batch before it: batch norm has no variance of one value.
    """
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    yield from batches


class Trainer:
    """One run in memory: model, optimizer, modulator, selections and telemetry.

    Args:
        config: the run.
        dataset: its data, already split as the protocol asks.
        model: the network, on any device.
        modulator: what balances the modalities; an empty ``Chain()`` does nothing.
        room: bytes of data to keep on the device, see :class:`~asgml_core.feed.Feed`.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: MultimodalDataset,
        model: LateFusion,
        modulator: Modulator,
        room: int | None = None,
    ) -> None:
        self.config = config
        self.dataset = dataset
        self.device = torch.device(config.device)
        memory_format = getattr(torch, _FORMATS[config.memory_format])
        self.feed = Feed(dataset, self.device, memory_format, room)
        self.parts = self.feed.parts
        self.model = model.to(self.device)
        arrange_module(self.model, memory_format)
        self.modulator = modulator.to(self.device)
        self.groups = model.groups()
        self._parameters = list(model.parameters())
        train = config.train
        self.optimizer = make_optimizer(train, self.groups)
        self.encode = Encode(
            model.encoders, self.device, config.precision, config.execution, train.batch_size
        )
        self.edits = any(
            defines(part, hook) for part in modulator.parts() for hook in ("gradients", "epoch_end")
        )
        encoders = {m: self.groups[m] for m in dataset.modalities}
        self.updates = Updates(
            encoders, self.optimizer, partial(make_optimizer, train), modulated=self.edits
        )
        order = torch.arange(len(self.parts["train"]))
        self.batches = sum(1 for _ in batch_rows(order, train.batch_size))
        self.epoch = 0
        self._prepared = config.execution == "eager"
        self._trained: set[str] = set()
        self.selections = Selections()
        self.steps: dict[str, Tensor] = {}
        self.epochs: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        """Whether every epoch is done."""
        return self.epoch >= self.config.train.epochs

    def clock(self, epoch: int, batch: int) -> Clock:
        """Return the clock of a batch, counted from 0, of an epoch, counted from 1."""
        step = (epoch - 1) * self.batches + batch
        return Clock(epoch, step, batch, self.batches, self.config.train.epochs)

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch, evaluate, let the methods react, and return the epoch's row.

        Raises:
            DivergedError: when a loss was not finite.
        """
        self.epoch += 1
        steps = self._train_epoch()
        valid = self.parts.get("valid")
        metrics = Metrics(
            valid=None if valid is None else self.evaluate(valid),
            test=self.evaluate(self.parts["test"]),
        )
        self._check_outputs(metrics)
        rates = {group["name"]: group["lr"] for group in self.optimizer.param_groups}
        clock = self.clock(self.epoch, self.batches - 1)
        said = self.modulator.epoch_end(metrics, self.optimizer, self.groups, clock)
        self.selections.update(self.epoch, metrics, self.model)
        scheduled = self.config.train.scheduled_rate(self.epoch)
        row = _epoch_row(self.epoch, rates, scheduled, steps, metrics)
        row |= {name: float(value) for name, value in said.items()}
        columns = {name: torch.tensor([value]) for name, value in row.items()}
        self.steps = join_tables([self.steps, steps])
        self.epochs = join_tables([self.epochs, columns])
        return row

    def _train_epoch(self) -> dict[str, Tensor]:
        self.model.train()
        train = self.config.train
        rate = train.scheduled_rate(self.epoch)
        self.updates.set_rate(rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        order = torch.randperm(
            len(self.parts["train"]), generator=generator(self.config.seed, "shuffle", self.epoch)
        )
        self._prepare(order)
        recorder = StepRecorder()
        for batch, (inputs, labels) in enumerate(self._training_batches(order)):
            clock = self.clock(self.epoch, batch)
            record: dict[str, Tensor] = {}
            for modalities in self.modulator.passes(self.dataset.modalities, clock):
                record |= self._step({m: inputs[m] for m in modalities}, labels, clock)
            recorder.add(record)
        steps = recorder.table()
        self._check_finite(steps)
        return steps

    def _prepare(self, order: Tensor) -> None:
        usual = order[: self.config.train.batch_size]
        if not self._prepared and len(usual) == self.config.train.batch_size:
            for inputs, _ in self.feed.batches(self.parts["train"], [usual]):
                self.encode.prepare(inputs)
        self._prepared = True

    def _step(self, inputs: dict[str, Tensor], labels: Tensor, clock: Clock) -> dict[str, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        features = self.modulator.features(self.encode(inputs), labels, clock)
        outputs = self.model.fuse(features)
        terms = {"fused": F.cross_entropy(outputs.logits, labels)}
        terms = self.modulator.terms(terms, outputs, labels, clock)
        self.modulator.backward(terms, outputs, self.groups)
        self._note_trained_heads()
        record = {f"loss/{name}": value for name, value in terms.items()}
        norms = self._norms(inputs)
        record |= {f"gradient_norm/{m}": norm for m, norm in norms.items()}
        record |= self.updates.before(list(inputs))
        # A loss that is not finite ends the run, so the gradients are not looked at again.
        record |= self.modulator.modulate(outputs, labels, self.groups, clock, finite=True)
        self._match_layouts()
        norms = self._norms(inputs) if self.edits else norms
        record |= {f"modulated_norm/{m}": norm for m, norm in norms.items()}
        self.optimizer.step()
        record |= self.updates.after(list(inputs))
        record["train_accuracy"] = (outputs.logits.argmax(1) == labels).float().mean()
        return record

    def _match_layouts(self) -> None:
        # Torch's fused optimizers on a CPU read a gradient as if it had its parameter's strides;
        # a method that puts in a tensor of its own may not know.
        for p in self._parameters:
            if p.grad is not None and p.grad.stride() != p.stride():
                p.grad = torch.empty_like(p).copy_(p.grad)

    def _norms(self, modalities: Iterable[str]) -> dict[str, Tensor]:
        norms = {}
        for m in modalities:
            gradients = [p.grad for p in self.groups[m] if p.grad is not None]
            norms[m] = gradient_norm(gradients, self.device)
        return norms

    def _training_batches(self, order: Tensor) -> Iterator[Batch]:
        part = self.parts["train"]
        draws = self.feed.draw(part, self.config.seed, self.epoch)
        return self.feed.batches(part, batch_rows(order, self.config.train.batch_size), draws)

    def _check_finite(self, steps: dict[str, Tensor]) -> None:
        for name, values in steps.items():
            if name.startswith("loss/") and not bool(values.isfinite().all()):
                batch = int((~values.isfinite()).nonzero()[0])
                step = self.clock(self.epoch, batch).step
                raise DivergedError(
                    f"{self.config.folder}: {name} is {float(values[batch])} in epoch "
                    f"{self.epoch}, step {step}; the run diverged. A lower learning rate than "
                    f"{self.config.train.learning_rate} may help.",
                    self.epoch,
                    step,
                )

    def _check_outputs(self, metrics: Metrics) -> None:
        for name, evaluation in (("valid", metrics.valid), ("test", metrics.test)):
            if evaluation is not None and not bool(evaluation.outputs.logits.isfinite().all()):
                raise DivergedError(
                    f"{self.config.folder}: the logits on the {name} part are not finite after "
                    f"epoch {self.epoch}; the run diverged. A lower learning rate than "
                    f"{self.config.train.learning_rate} may help.",
                    self.epoch,
                    self.clock(self.epoch, self.batches - 1).step,
                )

    @torch.no_grad()
    def evaluate(self, part: Part) -> Evaluation:
        """Return the network's outputs on a whole part, in evaluation mode."""
        self.model.eval()
        logits, unimodal, features = [], {}, {}
        rows = torch.arange(len(part)).split(EVALUATION_BATCH)
        for inputs, _ in self.feed.batches(part, rows):
            outputs = self.model.fuse(self.encode(inputs))
            logits.append(outputs.logits)
            for m in outputs.unimodal_logits:
                unimodal.setdefault(m, []).append(outputs.unimodal_logits[m])
                features.setdefault(m, []).append(outputs.features[m])
        whole = Outputs(
            torch.cat(logits),
            {m: torch.cat(pieces) for m, pieces in unimodal.items()},
            {m: torch.cat(pieces) for m, pieces in features.items()},
        )
        return Evaluation(whole, part.labels)

    def trained_heads(self) -> dict[str, bool]:
        """Return, by modality, whether its unimodal logits come from weights that were trained.

        Under the joint loss alone, separate unimodal heads stay as they were drawn, and what they
        say means nothing.
        """
        return {m: m in self._trained for m in self.model.head.unimodal_parameters()}

    def _note_trained_heads(self) -> None:
        for m, parameters in self.model.head.unimodal_parameters().items():
            if m not in self._trained and all(p.grad is not None for p in parameters):
                self._trained.add(m)

    def state_dict(self) -> dict[str, Any]:
        """Return the complete state, for a checkpoint."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates.state_dict(),
            "modulator": self.modulator.state_dict(),
            "trained_heads": sorted(self._trained),
            "selections": self.selections.state_dict(),
            "steps": self.steps,
            "epochs": self.epochs,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`; training goes on as if it had never stopped."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates.load_state_dict(state["updates"])
        self.modulator.load_state_dict(state["modulator"])
        self.modulator.to(self.device)
        self._trained = set(state["trained_heads"])
        self.selections.load_state_dict(state["selections"])
        self.epoch, self.steps, self.epochs = state["epoch"], state["steps"], state["epochs"]


_FORMATS = {"channels_last": "channels_last", "contiguous": "contiguous_format"}


def make_optimizer(
    train: TrainConfig, groups: Mapping[str, Sequence[Tensor]]
) -> torch.optim.Optimizer:
    """Return the optimizer of a run, one parameter group per name.

    Args:
        train: which one, and its settings.
        groups: parameters by name.
    """
    named = [{"params": list(parameters), "name": name} for name, parameters in groups.items()]
    rates = {"lr": train.learning_rate, "weight_decay": train.weight_decay, "fused": True}
    if train.optimizer == "adam":
        return torch.optim.Adam(named, **rates)
    return torch.optim.SGD(named, momentum=train.momentum, **rates)


def _epoch_row(
    epoch: int,
    rates: dict[str, float],
    scheduled: float,
    steps: dict[str, Tensor],
    metrics: Metrics,
) -> dict[str, float]:
    row = {"epoch": float(epoch)} | {f"learning_rate/{name}": r for name, r in rates.items()}
    row |= {name: float(values.double().nanmean()) for name, values in steps.items()}
    for name in [name for name in steps if name.startswith("gradient_norm/")]:
        row |= _done_to(name.removeprefix("gradient_norm/"), scheduled, steps)
    for part, evaluation in (("valid", metrics.valid), ("test", metrics.test)):
        if evaluation is not None:
            row[f"{part}_accuracy"] = evaluation.accuracy
            for m, accuracy in evaluation.accuracies.items():
                row[f"{part}_accuracy/{m}"] = accuracy
    return row


def _done_to(m: str, scheduled: float, steps: dict[str, Tensor]) -> dict[str, float]:
    """Return what was done to an encoder in an epoch, in three numbers."""
    raw, modulated = steps[f"gradient_norm/{m}"], steps[f"modulated_norm/{m}"]
    moved, unmodulated = (steps[f"{kind}_norm/{m}"] for kind in ("update", "unmodulated"))
    relative = float(moved.double().nansum() / unmodulated.double().nansum())
    return {
        f"activation/{m}": float(((modulated != raw) & ~raw.isnan()).double().mean()),
        f"relative_update/{m}": relative,
        f"effective_learning_rate/{m}": scheduled * relative,
    }
