"""What decides a result, as hashes: by these a finished run is recognised, and never repeated."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asgml_core.config import RunConfig
from asgml_core.datasets import SOURCES
from asgml_core.datasets.origin import PLACE, origin
from asgml_core.modulators import REGISTRY
from asgml_core.provenance import code_fingerprint, code_hash


@dataclass(frozen=True)
class Identity:
    """Hashes of 16 hexadecimal digits.

    Args:
        config: of the run's config, without the place of the data.
        code: of the code that the run depends on.
        data: of the files that the data come from; ``"drawn"`` where there are none.
    """

    config: str
    code: str
    data: str

    @property
    def key(self) -> str:
        """One hash of the three."""
        return _digest(f"{self.config} {self.code} {self.data}")

    def to_dict(self) -> dict[str, str]:
        """Return the hashes by name, and ``key``."""
        return {**asdict(self), "key": self.key}


def identify(config: RunConfig, values: Mapping[str, Any] | None = None) -> Identity:
    """Return what decides the result of a run; nothing is loaded.

    Args:
        config: the run.
        values: the same as a dictionary, where it is at hand.

    Raises:
        DataError: when the data are missing.
    """
    values = config.to_dict() if values is None else values
    text = json.dumps(decisive(values), sort_keys=True)
    return Identity(_digest(text), code_of(config), origin(config.data.name, config.data.options))


def decisive(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config as a dictionary without the place of its data, which decides nothing."""
    data = values["data"]
    options = {name: value for name, value in data["options"].items() if name != PLACE}
    return {**values, "data": {**data, "options": options}}


def code_of(config: RunConfig) -> str:
    """Return the fingerprint of the code that a run depends on, methods from elsewhere included."""
    classes = tuple(REGISTRY[method.name] for method in config.methods)
    return _code_of(classes, SOURCES[config.data.name])


@functools.cache
def _code_of(classes: tuple[type, ...], source: Any) -> str:
    modules = ("asgml_core.runs", source.__module__, *(cls.__module__ for cls in classes))
    text = [code_fingerprint(tuple(dict.fromkeys(modules))), source.__qualname__]
    for cls in classes:
        text.append(cls.__qualname__)
        if not cls.__module__.startswith("asgml_core."):
            text.append(code_hash(Path(inspect.getfile(cls))))
    return _digest(" ".join(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
