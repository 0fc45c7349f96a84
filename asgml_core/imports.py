"""Which files of the package a run depends on: those its modules import, and those import in turn.

A registry imports every method and every dataset, but a run depends on those it names. So imports
in a package's ``__init__`` are followed for the names that somebody takes from it, and not
otherwise.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).parent
_NAME = PACKAGE.name


def needed_files(modules: Iterable[str]) -> set[Path]:
    """Return the files of this package that modules of it need, themselves included.

    Args:
        modules: their full names, such as ``"asgml_core.runs"``.
    """
    found: set[Path] = set()
    waiting = [_file(module) for module in modules]
    while waiting:
        file = waiting.pop()
        if file is None or file in found:
            continue
        found.add(file)
        if file.name != "__init__.py":
            waiting += (_file(module) for module in _imports(file))
    return found


def used_modules(tree: ast.Module, named: dict[str, str]) -> set[str]:
    """Return the modules of this package behind the names that a piece of code uses.

    Args:
        tree: the code.
        named: what its names stand for, from the pieces before it; this piece's are added.
    """
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _NAME:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                named[alias.asname or alias.name] = inner
                found |= {inner} if _file(inner) else set(_homes(str(node.module), alias.name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = named.get(node.value.id)
            if module is not None and _file(module) is not None:
                found |= set(_homes(module, node.attr))
    return found


@functools.cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@functools.cache
def _imports(file: Path) -> tuple[str, ...]:
    """Return the modules of this package that a file imports, inside its functions too."""
    found = []
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                found += _homes(node.module, alias.name)
    return tuple(module for module in found if module.split(".")[0] == _NAME)


def _homes(module: str, name: str) -> list[str]:
    """Return the modules behind ``from module import name``."""
    file = _file(module)
    if file is None or file.name != "__init__.py":
        return [module]
    if _file(f"{module}.{name}") is not None:
        return [f"{module}.{name}"]
    for node in _parsed(file).body:
        if isinstance(node, ast.ImportFrom) and any(name == alias.name for alias in node.names):
            return [module, *_homes(node.module or "", name)]
    return [module]


@functools.cache
def _file(module: str) -> Path | None:
    """Return the file of a module of this package; ``None`` for no such module."""
    first, *rest = module.split(".")
    place = PACKAGE.joinpath(*rest)
    for file in (place / "__init__.py", place.with_suffix(".py")):
        if first == _NAME and rest and file.is_file():
            return file
    return None
