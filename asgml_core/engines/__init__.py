"""Where the workers of a sweep run; one file an engine, each imported on use."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from asgml_core.checks import check_one_of
from asgml_core.engines.base import Call, End, Engine, EngineError, Outcome, Worker

#: Every engine by its name; a module of this package with a class.
ENGINES = {"local": "LocalEngine", "ray": "RayEngine", "slurm": "SlurmEngine"}


def make_engine(name: str, **options: Any) -> Engine:
    """Return an engine by name.

    Args:
        name: ``"local"``, ``"ray"`` or ``"slurm"``.
        options: of the engine's class.

    Raises:
        ValueError: for an unknown name or option.
        EngineError: when it cannot be used here.
    """
    engine = engine_class(name)
    try:
        inspect.signature(engine).bind(**options)
    except TypeError as error:
        known = ", ".join(inspect.signature(engine).parameters)
        raise ValueError(f"engine {name!r}: {error}; its options are: {known}.") from error
    return engine(**options)


def engine_class(name: str) -> type[Engine]:
    """Return the class of an engine.

    Raises:
        ValueError: for an unknown name.
    """
    check_one_of("engine", name, ENGINES)
    module = importlib.import_module(f"asgml_core.engines.{name}")
    return getattr(module, ENGINES[name])


__all__ = [
    "ENGINES",
    "Call",
    "End",
    "Engine",
    "EngineError",
    "Outcome",
    "Worker",
    "engine_class",
    "make_engine",
]
