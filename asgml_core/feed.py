"""From a dataset to batches on the device: moved there once, or read ahead from disk.

Which of the two decides no result: an item's values, and all that is drawn for it in an epoch, do
not depend on where it lies or on the batch it is in.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from asgml_core.datasets.base import MultimodalDataset, Part
from asgml_core.datasets.stored import Stored
from asgml_core.layout import arrange
from asgml_core.seeding import generator

#: Batches that are read from disk while one is at work.
AHEAD = 2
Batch = tuple[dict[str, Tensor], Tensor]


def room_on(device: torch.device) -> int:
    """Return how many bytes of data a device may take: half of its memory (CUDA: of the free)."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


class Feed:
    """The parts of a dataset, on the device where they fit, and batches of them.

    Args:
        dataset: the data, split as the protocol asks.
        device: where batches go.
        memory_format: of pictures and spectrograms ``(B, channels, H, W)``.
        room: bytes on the device for what the dataset keeps on disk; ``None`` is :func:`room_on`.
            What does not fit is read from disk in every epoch.
    """

    def __init__(
        self,
        dataset: MultimodalDataset,
        device: torch.device,
        memory_format: torch.memory_format,
        room: int | None = None,
    ) -> None:
        self.device = device
        self.memory_format = memory_format
        self.transforms = dataset.transforms
        stored = [
            x.nbytes
            for part in dataset.parts.values()
            for x in part.inputs.values()
            if isinstance(x, Stored)
        ]
        self.streams = sum(stored) > (room_on(device) if room is None else room)
        self.parts = {name: self._placed(part) for name, part in dataset.parts.items()}

    def _placed(self, part: Part) -> Part:
        if not self.streams:
            return part.to(self.device)
        inputs = {
            m: x if isinstance(x, Stored) else x.to(self.device) for m, x in part.inputs.items()
        }
        return dataclasses.replace(part, inputs=inputs, labels=part.labels.to(self.device))

    def draw(self, part: Part, seed: int, epoch: int) -> dict[str, Tensor]:
        """Return all that transforms draw for the items of a part in one epoch, by modality.

        Args:
            part: one of :attr:`parts`.
            seed: the run's seed.
            epoch: counted from 1.
        """
        draws = {}
        for m, transform in self.transforms.items():
            shape = tuple(part.inputs[m].shape[1:])
            drawn = transform.draw(len(part), shape, generator(seed, "augment", m, epoch))
            if drawn is not None:
                draws[m] = drawn.to(self.device)
        return draws

    def batches(
        self, part: Part, rows: Iterable[Tensor], draws: Mapping[str, Tensor] | None = None
    ) -> Iterator[Batch]:
        """Yield inputs ``{m: (B, ...)}`` and labels ``(B,)`` on the device.

        Args:
            part: one of :attr:`parts`.
            rows: the rows of each batch, on the CPU.
            draws: as :meth:`draw` gave them, in training; ``None`` is evaluation.
        """
        stored = {m: x for m, x in part.inputs.items() if isinstance(x, Stored)}
        for chosen, read in self._read_ahead(stored, rows) if stored else self._rows(rows):
            inputs = {}
            for m, kept in part.inputs.items():
                x, at = kept, chosen
                if m in read:
                    x, at = read[m].to(self.device, non_blocking=True), None
                if m in self.transforms:
                    drawn = None if draws is None or m not in draws else draws[m][chosen]
                    taken = self.transforms[m](x, drawn, at)
                else:
                    taken = x if at is None else x.index_select(0, at)
                if taken.dim() == 4:  # pictures and spectrograms
                    taken = arrange(taken, self.memory_format)
                inputs[m] = taken
            yield inputs, part.labels[chosen]

    def _rows(self, rows: Iterable[Tensor]) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        # All at once: a copy to the device in every step would wait for the step before.
        batches = list(rows)
        if batches:
            together = torch.cat(batches).to(self.device)
            yield from ((chosen, {}) for chosen in together.split([len(b) for b in batches]))

    def _read_ahead(
        self, stored: Mapping[str, Stored], rows: Iterable[Tensor]
    ) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        pinned = self.device.type == "cuda"

        def read(chosen: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            taken = {m: x[chosen] for m, x in stored.items()}
            if not pinned:
                return chosen, taken
            return chosen.pin_memory(), {m: x.pin_memory() for m, x in taken.items()}

        def placed(future: Future) -> tuple[Tensor, dict[str, Tensor]]:
            chosen, taken = future.result()
            return chosen.to(self.device, non_blocking=True), taken

        waiting: deque[Future] = deque()
        with ThreadPoolExecutor(1) as reader:
            try:
                for chosen in rows:
                    waiting.append(reader.submit(read, chosen))
                    if len(waiting) > AHEAD:
                        yield placed(waiting.popleft())
                while waiting:
                    yield placed(waiting.popleft())
            finally:  # a training step may have failed
                reader.shutdown(cancel_futures=True)
