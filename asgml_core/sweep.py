"""Many runs at once: one process a run, one thread a process."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from asgml_core.checks import AsgmlError, check_count
from asgml_core.config import RunConfig
from asgml_core.records import RunRecord


class SweepError(AsgmlError, RuntimeError):
    """Runs that failed; the message names each with its reason. The others are finished."""


def available_cores() -> int:
    """Return the number of CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_all(
    configs: Sequence[RunConfig],
    outputs: str | Path | None = None,
    *,
    workers: int | None = None,
    again: bool = False,
    progress: bool = True,
) -> list[RunRecord]:
    """Run every config and return the records, in order.

    Args:
        configs: the runs; each names a folder of its own.
        outputs: see :func:`asgml_core.runs.run`.
        workers: processes; ``None`` means one for each core this process may use.
        again: see :func:`asgml_core.runs.run`.
        progress: show one bar over the epochs of all runs.

    Raises:
        ValueError: when two configs name the same folder.
        SweepError: when runs failed; the others are finished, and are not repeated next time.
    """
    if not configs:
        return []
    folders = [config.folder for config in configs]
    for folder in folders:
        if folders.count(folder) > 1:
            raise ValueError(
                f"two of the runs are called {folder!r}; every run needs its own name."
            )
    workers = available_cores() if workers is None else check_count("workers", workers)
    # Started anew, not forked: a forked child inherits locks of threads that it does not have.
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    failures: list[str] = []
    records: list[RunRecord | None] = []
    with (
        _Bar(queue, sum(config.train.epochs for config in configs), progress),
        ProcessPoolExecutor(min(workers, len(configs)), context, _start, (queue,)) as pool,
    ):
        futures = [pool.submit(_work, config, outputs, again) for config in configs]
        try:
            for config, future in zip(configs, futures, strict=True):
                records.append(_result(config, future, failures))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)  # what has not begun does not begin
            raise
    if failures:
        raise SweepError("\n".join([f"{len(failures)} of {len(configs)} runs failed:", *failures]))
    return [record for record in records if record is not None]


def _result(config: RunConfig, future: Future, failures: list[str]) -> RunRecord | None:
    error = future.exception()
    if error is None:
        return future.result()
    failures.append(f"  {config.folder}: {type(error).__name__}: {error}")
    return None


_queue: Any = None
#: What decides the data of this process's last run, and these data.
_last_data: tuple[Any, Any] = (None, None)


def _start(queue: Any) -> None:
    global _queue
    _queue = queue


def _work(config: RunConfig, outputs: str | Path | None, again: bool) -> RunRecord:
    from asgml_core.runs import run

    told = 0

    def tell(epoch: int, epochs: int, row: dict[str, float]) -> None:
        nonlocal told
        _queue.put(epoch - told)
        told = epoch

    record = run(config, outputs, again=again, progress=tell, dataset=_data(config))
    _queue.put(config.train.epochs - told)
    return record


def _data(config: RunConfig) -> Any:
    """Return the data of a run; those of the run before it, where they are the same."""
    from asgml_core.datasets import load

    global _last_data
    decisive = (config.data, config.seed, config.protocol)
    if _last_data[0] != decisive:
        _last_data = (None, None)  # two would need twice the memory
        _last_data = (decisive, load(config))
    return _last_data[1]


class _Bar:
    """One progress bar, fed by the workers through a queue."""

    def __init__(self, queue: Any, total: int, show: bool) -> None:
        from tqdm import tqdm

        self._queue = queue
        self._bar = tqdm(total=total, desc="runs", unit="epoch", disable=not show, mininterval=1)
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        self._bar.close()

    def _follow(self) -> None:
        while (done := self._queue.get()) is not None:
            self._bar.update(done)
