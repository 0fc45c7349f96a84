"""Where a result came from: code, versions, machine, data."""

from __future__ import annotations

import ast
import datetime
import functools
import hashlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from asgml_core import __version__
from asgml_core.imports import PACKAGE, needed_files

#: The code that can change a result; pages, tables and the command line cannot.
DECISIVE = (
    "datasets", "modulators", "array_files.py", "config.py", "convolution.py", "execution.py",
    "feed.py", "layout.py", "models.py", "probes.py", "runs.py", "seeding.py", "selection.py",
    "sequences.py", "telemetry.py", "trainer.py", "updates.py",
)  # fmt: skip
VERSIONS = ("torch", "torchvision", "numpy")


@functools.cache
def code_fingerprint(modules: tuple[str, ...] | None = None) -> str:
    """Return a hash of the code that can change a result, without its comments and docstrings.

    Args:
        modules: full names of modules of this package; only what these need counts. ``None`` is
            all of it.
    """
    needed = None if modules is None else needed_files(modules)
    digest = hashlib.sha256()
    for file in _decisive_files():
        if needed is None or file in needed:
            name = file.relative_to(PACKAGE).as_posix()
            digest.update(f"{name}\n{code_hash(file, registry=needed is None)}\n".encode())
    return digest.hexdigest()[:16]


def _decisive_files() -> list[Path]:
    files: list[Path] = []
    for name in DECISIVE:
        path = PACKAGE / name
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return files


@functools.cache
def code_hash(file: Path, registry: bool = True) -> str:
    """Return a hash of a file's code, without its comments and docstrings.

    Args:
        file: a Python file.
        registry: of a package's ``__init__``, let all count; ``False`` leaves out what it lists,
            and only its functions count.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if file.name == "__init__.py" and not registry:
        tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    for node in ast.walk(tree):
        _drop_docstring(node)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _drop_docstring(node: ast.AST) -> None:
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
        value = body[0].value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            body[0] = ast.Pass()


@functools.cache
def git_commit() -> str | None:
    """Return the commit of the package's checkout, ``+changes`` if edited; ``None`` outside one."""
    try:
        commit = _git("rev-parse", "HEAD")
        tracked = _git("ls-files", str(PACKAGE / "__init__.py"))
    except (OSError, subprocess.CalledProcessError):
        return None
    if not tracked:
        return None
    return commit + ("+changes" if _git("status", "--porcelain", str(PACKAGE)) else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def processor_name() -> str:
    """Return the CPU's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux: the standard library's answer is all there is
    return platform.processor() or platform.machine()


def provenance(device: str, threads: int) -> dict[str, Any]:
    """Return what to keep beside a result.

    Args:
        device: the run's device.
        threads: its CPU threads.
    """
    on = torch.device(device)
    return {
        "commit": git_commit(),
        "versions": {
            "python": platform.python_version(),
            "asgml_core": __version__,
            **{name: importlib.metadata.version(name) for name in VERSIONS},
        },
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(on) if on.type == "cuda" else processor_name(),
        "threads": threads,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
