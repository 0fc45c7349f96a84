"""How far a run is, for people who wait for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from asgml_core.config import RunConfig

#: Told (epoch, epochs, the epoch's row).
Progress = Callable[[int, int, dict[str, float]], None]


@contextlib.contextmanager
def show(config: RunConfig, progress: Progress | bool) -> Iterator[Progress]:
    """Yield what to tell: the given function, or one that shows a bar.

    Args:
        config: the run.
        progress: a function, or whether to show a bar.
    """
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
