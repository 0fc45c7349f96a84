"""Decoding chunks of items, in this process or in worker processes of one thread each."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from asgml_core.datasets.cache import row_hash
from asgml_core.preparing.journal import Entry, stamp
from asgml_core.preparing.plan import Decoded, Item, ItemError, PrepareError
from asgml_core.preparing.rows import RowWriter

Chunk = Sequence[tuple[int, Item]]


@dataclass(frozen=True)
class Task:
    """What a worker does with a chunk: decode it, write its rows, and say what became of each item.

    Args:
        decode: as in :class:`~asgml_core.preparing.plan.Plan`.
        writer: where rows go.
        source: what files are named relative to.
    """

    decode: Callable[[Sequence[Item]], Sequence[Decoded | ItemError]]
    writer: RowWriter
    source: Path

    def __call__(self, chunk: Chunk) -> list[Entry]:
        """Return one entry per item of the chunk."""
        decoded = self._decoded([item for _, item in chunk])
        return [
            self._entry(row, item, result)
            for (row, item), result in zip(chunk, decoded, strict=True)
        ]

    def _decoded(self, items: Sequence[Item]) -> Sequence[Decoded | ItemError]:
        """Decode items; a file that is gone or unreadable is its item's error and no other's."""
        try:
            return self.decode(items)
        except OSError as error:
            if len(items) > 1:
                return [one for item in items for one in self._decoded([item])]
            name = error.filename or ", ".join(path.name for path in items[0].files.values())
            return [ItemError(f"{name} could not be read ({error.strerror or error}).")]

    def _entry(self, row: int, item: Item, result: Decoded | ItemError) -> Entry:
        if isinstance(result, ItemError):
            return Entry(item.id, message=str(result))
        try:
            files = {role: stamp(path, self.source) for role, path in item.files.items()}
        except OSError as error:
            message = f"{error.filename} could not be read again ({error.strerror})."
            return Entry(item.id, message=message)
        try:
            for name in self.writer.arrays:
                self.writer.write(row, name, result.arrays[name])
        except ItemError as error:
            return Entry(item.id, message=str(error))
        return Entry(
            item.id,
            files=files,
            facts=dict(result.facts),
            hashes={name: row_hash(result.arrays[name]) for name in self.writer.arrays},
            notes=tuple(result.notes),
        )


def run_chunks(task: Task, chunks: Sequence[Chunk], workers: int) -> Iterator[list[Entry]]:
    """Yield the entries of each chunk as it is done, in no order.

    A worker that dies takes its chunk with it: the items that were at work are then decoded one by
    one, and the one item that ends a worker by itself is reported as failed.

    Args:
        task: what to do.
        chunks: with what.
        workers: processes; 0 works in this one.

    Raises:
        PrepareError: when no worker can be started.
    """
    if workers == 0:
        yield from map(task, chunks)
        return
    waiting = deque(chunks)
    while waiting:
        suspects: list[Chunk] = []
        yield from _run_pool(task, waiting, workers, suspects)
        yield from _run_one_by_one(task, deque(one for chunk in suspects for one in chunk))


def _run_pool(
    task: Task, waiting: deque[Chunk], workers: int, suspects: list[Chunk]
) -> Iterator[list[Entry]]:
    """Work until nothing is waiting or a worker dies; the chunks then at work become suspects."""
    working: dict[Future, Chunk] = {}
    with _pool(workers) as pool:
        try:
            while waiting or working:
                while waiting and len(working) < 2 * workers:
                    working[pool.submit(task, waiting[0])] = waiting[0]
                    waiting.popleft()  # only now: submitting to a pool that broke is an error
                done = next(iter(_first_done(working)))
                entries = done.result()
                del working[done]
                yield entries
        except BrokenProcessPool:
            suspects += working.values()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _first_done(working: dict[Future, Chunk]) -> list[Future]:
    from concurrent.futures import FIRST_COMPLETED, wait

    return list(wait(working, return_when=FIRST_COMPLETED).done)


def _run_one_by_one(task: Task, suspects: deque[tuple[int, Item]]) -> Iterator[list[Entry]]:
    while suspects:
        with _pool(1) as pool:
            _check_alive(pool)
            try:
                while suspects:
                    entries = pool.submit(task, [suspects[0]]).result()
                    suspects.popleft()
                    yield entries
            except BrokenProcessPool:
                _, item = suspects.popleft()
                files = ", ".join(path.name for path in item.files.values())
                message = f"{files}: the process that decoded it died; it is damaged."
                yield [Entry(item.id, message=message)]


def _check_alive(pool: ProcessPoolExecutor) -> None:
    """Check that a worker starts at all, before an item is blamed for its end."""
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        raise PrepareError(
            "no worker process could be started; what was prepared so far is kept. Fewer workers "
            "need less memory, and workers=0 decodes in this process."
        ) from error


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned and not forked: torch and FFmpeg have threads, which a fork would break.
    return ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_begin_worker
    )


def _begin_worker() -> None:
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)  # the parent was killed; nobody would read what this worker does
