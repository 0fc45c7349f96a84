"""Methods out of methods: several in order, and one in a window of epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from asgml_core.checks import check_count
from asgml_core.modulators.base import Modulator, defines
from asgml_core.modulators.outputs import Clock, Groups, Metrics, Outputs


class Chain(Modulator):
    """Several methods, applied in order; their records carry the method's name in front.

    Args:
        parts: the methods. At most one may define ``passes``, and at most one ``backward``.

    Raises:
        TypeError: for a part that is no method.
        ValueError: when two parts define ``passes`` or ``backward``, two have one name, or a part
            that weighs terms of the loss comes before one that adds some.
    """

    name = "chain"

    def __init__(self, *parts: Modulator) -> None:
        super().__init__()
        for part in parts:
            if not isinstance(part, Modulator):
                raise TypeError(
                    f"a chain is made of methods, Chain(OGM(), Boost()), not of a "
                    f"{type(part).__name__}."
                )
        self.chained = nn.ModuleList(parts)
        leaves = list(self.parts())
        for hook in ("passes", "backward"):
            owners = [type(leaf).__name__ for leaf in leaves if defines(leaf, hook)]
            if len(owners) > 1:
                raise ValueError(
                    f"{' and '.join(owners)} both define {hook!r}; a chain can hold one such part."
                )
        _check_order(leaves)
        names = [leaf.name for leaf in leaves]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is in the chain twice; their records would collide.")

    def schedule(self, clock: Clock) -> dict[str, int]:
        """Return every part's schedule, the part's name in front."""
        return {
            f"{part.name}/{key}": value
            for part in self.chained
            for key, value in part.schedule(clock).items()
        }

    def parts(self) -> Iterator[Modulator]:
        """Yield the methods of the chain, in order."""
        for part in self.chained:
            yield from part.parts()

    def passes(self, modalities: Sequence[str], clock: Clock) -> tuple[tuple[str, ...], ...]:
        """Return the passes of the part that defines them."""
        for part in self.chained:
            if any(defines(leaf, "passes") for leaf in part.parts()):
                return part.passes(modalities, clock)
        return super().passes(modalities, clock)

    def features(
        self, features: dict[str, Tensor], labels: Tensor, clock: Clock
    ) -> dict[str, Tensor]:
        """Pass the features through every part."""
        for part in self.chained:
            features = part.features(features, labels, clock)
        return features

    def terms(
        self, terms: dict[str, Tensor], outputs: Outputs, labels: Tensor, clock: Clock
    ) -> dict[str, Tensor]:
        """Pass the terms through every part."""
        for part in self.chained:
            terms = part.terms(terms, outputs, labels, clock)
        return terms

    def backward(self, terms: dict[str, Tensor], outputs: Outputs, groups: Groups) -> None:
        """Call the ``backward`` of the part that defines it."""
        for part in self.chained:
            if any(defines(leaf, "backward") for leaf in part.parts()):
                return part.backward(terms, outputs, groups)
        return super().backward(terms, outputs, groups)

    def measure(self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock) -> None:
        """Let every part measure, before any part edits a gradient."""
        for part in self.chained:
            part.measure(outputs, labels, groups, clock)

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Let every part edit the gradients, in order."""
        record = {}
        for part in self.chained:
            made = part.gradients(outputs, labels, groups, clock)
            _check_record(part, "gradients", made)
            record.update({f"{part.name}/{key}": value for key, value in made.items()})
        return record

    def epoch_end(
        self,
        metrics: Metrics,
        optimizer: torch.optim.Optimizer,
        groups: Groups,
        clock: Clock,
    ) -> dict[str, Tensor]:
        """Tell every part."""
        record = {}
        for part in self.chained:
            made = part.epoch_end(metrics, optimizer, groups, clock)
            _check_record(part, "epoch_end", made)
            record.update({f"{part.name}/{key}": value for key, value in made.items()})
        return record

    def release(self, optimizer: torch.optim.Optimizer, groups: Groups) -> None:
        """Tell every part."""
        for part in self.chained:
            part.release(optimizer, groups)

    def _uncalled(self, clock: Clock) -> list[str]:
        return [missing for part in self.chained for missing in part._uncalled(clock)]

    def extra_repr(self) -> str:
        """Show nothing beside the parts."""
        return ""


def _check_order(leaves: list[Modulator]) -> None:
    for i, leaf in enumerate(leaves):
        later = [x for x in leaves[i + 1 :] if defines(x, "terms") and not x.weighs_terms]
        if leaf.weighs_terms and later:
            raise ValueError(
                f"{leaf.name!r} weighs terms of the loss, so it comes after {later[0].name!r}, "
                "which adds some."
            )


def _check_record(part: Modulator, hook: str, made: object) -> None:
    if isinstance(made, dict) and all(
        isinstance(v, Tensor) and v.dim() == 0 for v in made.values()
    ):
        return
    raise TypeError(f"{part.name}: {hook} must return a dict of 0-dim tensors, not {made!r}.")


class During(Modulator):
    """A method at work from epoch ``start`` to epoch ``end``, both included, and absent outside.

    Args:
        part: the method.
        start: first epoch, from 0; epochs count from 1, so 0 and 1 are the same.
        end: last epoch.

    Raises:
        ValueError: when ``end`` comes before ``start``.

    The study's window reads ``start <= epoch <= end``. OGM-GE's official one counts epochs from 0:
    its ``start..end`` is ``During(part, start + 1, end + 1)`` here.
    """

    def __init__(self, part: Modulator, start: int, end: int) -> None:
        super().__init__()
        self.part = part
        self.start = check_count("start", start, low=0)
        self.end = check_count("end", end, low=start)
        self.name = part.name
        self._at_work = False

    def active(self, clock: Clock) -> bool:
        """Return whether the method is at work in this epoch."""
        return self.start <= clock.epoch <= self.end

    def schedule(self, clock: Clock) -> dict[str, int]:
        """Return the window beside the method's own schedule.

        Raises:
            ValueError: when the window lies outside the run.
        """
        if self.end < 1 or self.start > clock.epochs:
            raise ValueError(
                f"{self.name} is at work from epoch {self.start} to {self.end}, but the run has "
                f"epochs 1 to {clock.epochs}; it would never act."
            )
        return {"start": self.start, "end": self.end, **self.part.schedule(clock)}

    def parts(self) -> Iterator[Modulator]:
        """Yield the methods inside."""
        yield from self.part.parts()

    def passes(self, modalities: Sequence[str], clock: Clock) -> tuple[tuple[str, ...], ...]:
        """Return the method's passes while it is at work."""
        at_work = self.part if self.active(clock) else super()
        return at_work.passes(modalities, clock)

    def features(
        self, features: dict[str, Tensor], labels: Tensor, clock: Clock
    ) -> dict[str, Tensor]:
        """Return the method's features while it is at work."""
        return self.part.features(features, labels, clock) if self.active(clock) else features

    def terms(
        self, terms: dict[str, Tensor], outputs: Outputs, labels: Tensor, clock: Clock
    ) -> dict[str, Tensor]:
        """Return the method's terms while it is at work."""
        self._at_work = self.active(clock)  # `backward` comes next, and is not told the time
        return self.part.terms(terms, outputs, labels, clock) if self._at_work else terms

    def backward(self, terms: dict[str, Tensor], outputs: Outputs, groups: Groups) -> None:
        """Call the method's ``backward`` while it is at work."""
        at_work = self.part if self._at_work else super()
        at_work.backward(terms, outputs, groups)

    def measure(self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock) -> None:
        """Let the method measure while it is at work."""
        if self.active(clock):
            self.part.measure(outputs, labels, groups, clock)

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: Groups, clock: Clock
    ) -> dict[str, Tensor]:
        """Let the method edit the gradients while it is at work."""
        if not self.active(clock):
            return {}
        return self.part.gradients(outputs, labels, groups, clock)

    def epoch_end(
        self,
        metrics: Metrics,
        optimizer: torch.optim.Optimizer,
        groups: Groups,
        clock: Clock,
    ) -> dict[str, Tensor]:
        """Tell the method while it is at work; after its last epoch, let it release its hold."""
        if self.active(clock):
            record = self.part.epoch_end(metrics, optimizer, groups, clock)
            if clock.epoch == self.end:
                self.part.release(optimizer, groups)
            return record
        for part in self.parts():  # the loop did call it
            part._called.add("epoch_end")
        return {}

    def _uncalled(self, clock: Clock) -> list[str]:
        return self.part._uncalled(clock) if self.active(clock) else []
