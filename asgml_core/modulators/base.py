"""The one interface of the library: what a balancing method may do, and when.

A method is a :class:`Modulator`: it defines the hooks it needs and leaves the others alone, so the
hooks it has say what it can do. One training step calls them in this order::

    passes -> features -> terms -> backward -> measure -> gradients -> optimizer.step()

and ``epoch_end`` follows the validation of each epoch.

To add a method, write one file beside this one: the formula as a pure function on tensors with a
modality axis, and a thin class that keeps the state. ``noise.py`` is the shortest complete example,
``throttle.py`` one that reads probes. Take gradients with ``editing.gradients_of(groups[m], ...)``
(empty for a frozen encoder), edit them with ``scale_gradients``, measure them with
``gradient_norm``. The modalities and their order are those of ``outputs.unimodal_logits``, never of
``groups``, which holds ``"fusion"`` too. Then add the class to the registry in ``__init__.py`` and
a row to the tables of ``tests/modulators``.

Shapes: ``M`` modalities, ``B`` batch, ``C`` classes, ``d`` features.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from asgml_core.modulators.door import check_groups, check_outputs, gradients_are_finite
from asgml_core.modulators.outputs import Clock, Groups, Metrics, Outputs
from asgml_core.modulators.whole_batch import whole_batch


class Modulator(nn.Module):
    """A balancing method: seven hooks that do nothing until a subclass defines them.

    State lives in buffers (``register_buffer(name, None)`` where the size is known only from the
    first batch), so ``state_dict`` and ``load_state_dict`` carry it whole. The arguments of
    ``__init__`` are kept as attributes of the same names; ``repr`` shows them.

    A method adds what it did to two counters: ``self.count("acted", condition)`` on each step on
    which it changed anything and, if it measures, ``self.count("measured")``. A run whose method
    never acted or never measured is an error, not a result.
    """

    #: The name in the registry and in records, like_this; by default the class's, in lower case.
    name: str = "modulator"
    #: First and last epoch of the default window, as shares of a run's epochs; ``None``: always. It
    #: counts in ``asgml_core.run`` alone; in a loop of one's own, wrap the method in ``During``.
    window: tuple[float, float] | None = None
    #: True for a method that must measure before it can act.
    measures: bool = False
    #: True for a method whose signal may call for nothing in a whole run: such a run is a result,
    #: and its record says that the method acted on 0 steps.
    may_rest: bool = False
    #: True for a method that cannot work unless the loop calls ``epoch_end`` after each epoch.
    needs_epoch_end: bool = False
    #: True for a method that weighs or drops terms of the loss: in a chain it comes after all that
    #: add terms.
    weighs_terms: bool = False

    acted: Tensor
    measured: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("acted", torch.zeros((), dtype=torch.long))
        self.register_buffer("measured", torch.zeros((), dtype=torch.long))
        self._modalities: tuple[str, ...] | None = None
        self._called: set[str] = set()
        self._epoch: int | None = None

    # ------------------------------------------------------------------ the hooks

    def passes(self, modalities: Sequence[str], clock: Clock) -> tuple[tuple[str, ...], ...]:
        """Return which modalities train in each pass of this step; by default one pass, all.

        A modality that is absent from a pass enters the fusion as zeros, and its encoder has no
        gradient there.
        """
        return (tuple(modalities),)

    def features(
        self, features: dict[str, Tensor], labels: Tensor, clock: Clock
    ) -> dict[str, Tensor]:
        """Return the features ``{m: (B, d)}`` to fuse; runs after the encoders."""
        return features

    def terms(
        self, terms: dict[str, Tensor], outputs: Outputs, labels: Tensor, clock: Clock
    ) -> dict[str, Tensor]:
        """Return the named scalars whose sum is the loss; it starts as ``{"fused": ...}``."""
        return terms

    def backward(self, terms: dict[str, Tensor], outputs: Outputs, groups: Groups) -> None:
        """Fill the gradients; by default those of the sum of the terms."""
        sum(terms.values()).backward()

    def measure(self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock) -> None:
        """Look at raw gradients, scores and features, before any method edits a gradient."""

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Edit ``.grad`` in place, just before the optimizer's step; return what to record.

        Records are 0-dim tensors named ``<what>/<modality>``, such as ``scale/audio``; a chain puts
        the method's name in front. A loop calls :meth:`modulate`, not this.
        """
        return {}

    def epoch_end(
        self,
        metrics: Metrics,
        optimizer: torch.optim.Optimizer,
        groups: Groups,
        clock: Clock,
    ) -> dict[str, Tensor]:
        """React to an epoch's metrics, such as by a factor on a learning rate; return a record.

        Records are as those of :meth:`gradients`. To change a learning rate use
        :func:`~asgml_core.modulators.editing.set_rate_factor`.
        """
        return {}

    def release(self, optimizer: torch.optim.Optimizer, groups: Groups) -> None:
        """Undo what would outlast the method, such as learning rates; its window has ended."""

    # ------------------------------------------------------------------ the door

    def modulate(
        self,
        outputs: Outputs,
        labels: Tensor,
        groups: Groups,
        clock: Clock,
        *,
        finite: bool | None = None,
        process_group: Any = None,
    ) -> dict[str, Tensor]:
        """Measure, then edit the gradients: called once, between ``backward`` and ``step``.

        With a ``GradScaler`` call it after ``scaler.unscale_(optimizer)``. Where a gradient in
        ``groups`` is not finite nothing happens and no state changes: the scaler will leave the
        step out, too. With gradient accumulation call it once, with :meth:`Outputs.cat`. Under
        ``DistributedDataParallel`` each process gives its own share.

        Args:
            outputs: what the network returned for this batch.
            labels: ``(B,)``, int64.
            groups: the parameters of each modality's encoder, as lists; others, such as the fusion
                head's, are only looked at for gradients that are not finite.
            clock: where the run stands.
            finite: whether all gradients are finite, where the loop knows. ``None`` looks, which
                on a GPU waits for it; ``True`` is faster.
            process_group: the processes that share the batch; ``None`` is torch.distributed's
                default group, if there is one.

        Returns:
            0-dim tensors to record, by name, still on the device; none for a step left out.

        Raises:
            TypeError: for a group that is no list of parameters (an iterator would be empty after
                one step), or a method that records something else than 0-dim tensors.
            ValueError: for a modality without parameters, a parameter in two groups, or labels of
                another type or shape.
            RuntimeError: when the loop never called a hook that this method needs, or there is no
                gradient yet.
        """
        self._check_step(outputs, labels, groups)
        self._check_called(clock)
        if not (gradients_are_finite(groups) if finite is None else finite):
            return {}
        for part in self.modules():
            if isinstance(part, Modulator):
                part._modalities = tuple(outputs.unimodal_logits)
        outputs, labels = whole_batch(outputs, labels, process_group)
        self.measure(outputs, labels, groups, clock)
        return self.gradients(outputs, labels, groups, clock)

    def default_window(self, epochs: int) -> tuple[int, int] | None:
        """Return the first and last epoch of the default window in a run of so many epochs."""
        if self.window is None:
            return None
        return int(self.window[0] * epochs), max(1, int(self.window[1] * epochs))

    def schedule(self, clock: Clock) -> dict[str, int]:
        """Return what the method takes from the length of a run, such as its probe period.

        Args:
            clock: any moment of the run; only ``batches`` and ``epochs`` count.

        Raises:
            ValueError: when the method could never act in such a run.
        """
        return {}

    def parts(self) -> Iterator[Modulator]:
        """Yield the methods this one is made of (itself, if it is not a wrapper)."""
        yield self

    def count(self, counter: Literal["acted", "measured"], happened: Tensor | int = 1) -> None:
        """Add to a counter, without waiting for the device."""
        counted = getattr(self, counter)
        if isinstance(happened, Tensor):
            counted = counted.to(happened.device)
        setattr(self, counter, counted + happened)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return on how many steps each part acted, and how often it measured."""
        return {
            part.name: {"measured": int(part.measured), "acted": int(part.acted)}
            for part in self.parts()
        }

    # ------------------------------------------------------------------ inside

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = cls.__dict__.get("name", cls.__name__.lower())
        for hook in (*_LOOP_HOOKS, "epoch_end"):
            if hook in cls.__dict__:
                setattr(cls, hook, _noting_the_call(hook, cls.__dict__[hook]))

    def _check_called(self, clock: Clock) -> None:
        missing = self._uncalled(clock)
        if missing and all(hook.endswith(".epoch_end") for hook in missing):
            raise RuntimeError(
                f"{', '.join(missing)} was not called since the last epoch, and the method needs "
                "it: modulator.epoch_end(Metrics(valid, test), optimizer, groups, clock) after "
                "each epoch."
            )
        if missing:
            raise RuntimeError(
                f"{', '.join(missing)} was not called in this step, and the method needs it: call "
                "passes, features, terms and backward on the modulator before modulate, such as "
                "terms = modulator.terms({'fused': ..., 'audio': ...}, outputs, labels, clock) "
                "with every term of the loss by name."
            )
        for part in self.modules():
            if isinstance(part, Modulator):
                part._called &= {"passes"}  # it is called once a step, the others once a pass
                part._epoch = clock.epoch

    def _uncalled(self, clock: Clock) -> list[str]:
        """Return the hooks that this method needs and the loop did not call."""
        in_new_epoch = self._epoch is not None and clock.epoch > self._epoch
        needed = [hook for hook in _LOOP_HOOKS if defines(self, hook)]
        if in_new_epoch and self.needs_epoch_end:
            needed.append("epoch_end")
        return [f"{type(self).__name__}.{hook}" for hook in needed if hook not in self._called]

    def _check_step(self, outputs: Outputs, labels: Tensor, groups: Groups) -> None:
        check_outputs(outputs, labels)
        modalities = tuple(outputs.unimodal_logits)
        if self._modalities is not None and modalities != self._modalities:
            raise ValueError(
                f"the modalities of this step are {modalities}, but they were {self._modalities}; "
                "their names and order must stay the same."
            )
        check_groups(modalities, groups)

    def extra_repr(self) -> str:
        """Show the arguments of ``__init__``."""
        arguments = inspect.signature(type(self).__init__).parameters
        shown = {a: getattr(self, a) for a in arguments if a != "self" and hasattr(self, a)}
        return ", ".join(
            f"{a}={value!r}" for a, value in shown.items() if not isinstance(value, nn.Module)
        )

    def get_extra_state(self) -> dict[str, Any]:
        """Return the names and order of the modalities, which the buffers rely on."""
        return {"modalities": self._modalities}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore :meth:`get_extra_state`."""
        self._modalities = None if state["modalities"] is None else tuple(state["modalities"])

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # Buffers sized by the first batch take their size from the saved state.
        for name in _own_buffers(self):
            saved = state_dict.get(prefix + name)
            current = self._buffers[name]
            if saved is None:
                self._buffers[name] = None
            elif current is None or current.shape != saved.shape:
                self._buffers[name] = torch.empty_like(saved, device=self.acted.device)
        super()._load_from_state_dict(state_dict, prefix, *args)


_LOOP_HOOKS = ("passes", "features", "terms", "backward")


def _own_buffers(module: nn.Module) -> tuple[str, ...]:
    return tuple(name for name in module._buffers if name not in ("acted", "measured"))


def _noting_the_call(hook: str, function: Callable) -> Callable:
    @functools.wraps(function)
    def noted(self: Modulator, *args: Any, **kwargs: Any) -> Any:
        self._called.add(hook)
        return function(self, *args, **kwargs)

    return noted


def defines(modulator: Modulator, hook: str) -> bool:
    """Return whether a method defines a hook, rather than inheriting the one that does nothing."""
    return getattr(type(modulator), hook) is not getattr(Modulator, hook)
