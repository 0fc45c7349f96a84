"""From official downloads to a cache: what ``asgml data prepare`` calls.

The modules here are imported when they are used: decoding needs the extra ``video``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgml_core.checks import check_one_of

if TYPE_CHECKING:
    from asgml_core.datasets.cache import Cache
    from asgml_core.preparing.plan import Plan

#: The module here that lists each dataset; its function of the dataset's name makes the plan.
PREPARERS = {
    "cremad": "cremad",
    "grid": "grid",
    "ave": "ave",
    "kinetics_sounds": "kinetics_sounds",
    "mosei": "mmsa",
    "mosi": "mmsa",
}


def preparer(dataset: str) -> Callable[..., Plan]:
    """Return the function that makes the plan of a dataset from its source and options.

    Raises:
        ValueError: for a dataset that cannot be prepared, naming those that can.
    """
    check_one_of("dataset", dataset, PREPARERS)
    module = importlib.import_module(f"asgml_core.preparing.{PREPARERS[dataset]}")
    return getattr(module, dataset)


def prepare_dataset(
    dataset: str,
    source: str | Path,
    out: str | Path,
    *,
    workers: int | None = None,
    progress: bool = True,
    **options: Any,
) -> Cache:
    """Prepare a dataset from its official download; what ``asgml data prepare`` does.

    Args:
        dataset: one of :data:`PREPARERS`.
        source: the download, unpacked.
        out: the cache's folder.
        workers: processes; ``None`` takes one per core, 0 decodes in this process.
        progress: show a bar.
        options: of the dataset, such as ``frames``; see its function.

    Raises:
        PrepareError: when the source is not laid out as expected, or preparing cannot go on.
        ValueError: for an unknown dataset or an option outside its range.
    """
    from asgml_core.preparing.runner import check_workers, prepare

    check_workers(workers)  # before the source is listed, which may take minutes
    plan = preparer(dataset)(Path(source), **options)
    return prepare(plan, out, workers=workers, progress=progress)
