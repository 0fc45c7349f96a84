"""The sources of data. Each turns raw files, or nothing at all, into one ``MultimodalDataset``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from asgml_core.datasets.arrays import arrays
from asgml_core.datasets.ave import ave
from asgml_core.datasets.base import DataError, MultimodalDataset, Part
from asgml_core.datasets.cache import Cache
from asgml_core.datasets.cremad import cremad
from asgml_core.datasets.grid import grid
from asgml_core.datasets.kinetics_sounds import kinetics_sounds
from asgml_core.datasets.mosei import mosei, mosi
from asgml_core.datasets.synth import synth

if TYPE_CHECKING:
    from asgml_core.config import RunConfig

#: Every source by its name in configs; each takes the run's seed and options of its own.
SOURCES: dict[str, Callable[..., MultimodalDataset]] = {
    "synth": synth,
    "grid": grid,
    "cremad": cremad,
    "ave": ave,
    "kinetics_sounds": kinetics_sounds,
    "mosei": mosei,
    "mosi": mosi,
    "arrays": arrays,
}


def load(config: RunConfig) -> MultimodalDataset:
    """Return the data of a run, with the modalities and the parts that its protocol calls for.

    Protocol ``honest`` holds out a validation part by group. Protocol ``paper`` has none: it trains
    on the whole training part, and on a validation part that came with the data too.

    Raises:
        DataError: when the data are missing or cannot be used.
        ValueError: for an option outside its range.
    """
    dataset = SOURCES[config.data.name](seed=config.seed, **config.data.options)
    if config.data.modalities is not None:
        dataset = dataset.select(config.data.modalities)
    if config.protocol == "honest":
        return dataset.hold_out(config.data.hold_out, config.seed)
    return dataset.join_valid()


__all__ = [
    "SOURCES",
    "Cache",
    "DataError",
    "MultimodalDataset",
    "Part",
    "arrays",
    "ave",
    "cremad",
    "grid",
    "kinetics_sounds",
    "load",
    "mosei",
    "mosi",
    "synth",
]
