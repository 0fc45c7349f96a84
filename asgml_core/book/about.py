"""How the book was run: packages, machine, and for each page the runs and tables behind it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from asgml_core import __version__, results
from asgml_core.book import pages
from asgml_core.paths import project_root
from asgml_core.provenance import processor_name

#: Letters of a commit that are shown.
_COMMIT = 9


def packages(root: Path | None = None) -> pd.DataFrame:
    """Return every package that the lock names, with the locked version and the one installed here.

    Args:
        root: the project's folder; ``None`` finds it.
    """
    lock = (_root(root) / "requirements.lock").read_text(encoding="utf-8").splitlines()
    named = [line.split("==") for line in lock if line and not line.startswith("#")]
    rows = [{"package": name, "locked": version, "here": _here(name)} for name, version in named]
    return pd.DataFrame(rows).set_index("package")


def _here(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def machine() -> pd.DataFrame:
    """Return the machine that asks: system, processor, cores, memory, GPU, Python, this package."""
    said = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "asgml_core": __version__,
    }
    return pd.DataFrame({"value": said})


def _memory() -> str:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return "unknown"
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def sources(root: Path | None = None) -> pd.DataFrame:
    """Return for each page the measured tables that it rests on, and what made each.

    Tables of one command and one moment share a row. Times are in seconds of computing, summed over
    the runs.

    Args:
        root: the project's folder; ``None`` finds it.

    Returns:
        One row for each page and command: ``page``, ``tables``, ``command``, ``runs``, ``seconds``,
        ``made`` (date, commit and machine); all are texts.
    """
    book = _root(root) / "book"
    rows = []
    for page in pages.listed(book):
        together: dict[tuple[str, ...], list[str]] = {}
        for name in pages.tables_of(page):
            said = tuple(_made(results.provenance(name, book / "results")).items())
            together.setdefault(said, []).append(name)
        rows += [
            {"page": page.stem, "tables": ", ".join(names), **dict(said)}
            for said, names in together.items()
        ]
    return pd.DataFrame(rows)


def _made(said: dict[str, Any]) -> dict[str, str]:
    """Return what is shown of a provenance."""
    return {
        "command": said["command"],
        "runs": str(said.get("runs", "-")),
        "seconds": f"{said['wall_time']:.0f}",
        "made": _when_and_where(said) + f", threads: {said.get('threads', '?')}",
    }


def _when_and_where(said: dict[str, Any]) -> str:
    date = str(said["finished"]).partition("T")[0]
    return f"{date}, {_short(said['commit'])}, {said['device']}"


def _short(commits: str | None) -> str:
    """Return commits cut to their first letters; ``+`` marks one with changes."""
    if not commits:
        return "-"
    named = [commit.split("+") for commit in commits.split("; ")]
    return ", ".join(first[:_COMMIT] + "+" * bool(rest) for first, *rest in named)


def notebooks(root: Path | None = None) -> pd.DataFrame:
    """Return for each notebook the command that runs it, and how its stored outputs were made.

    Args:
        root: the project's folder; ``None`` finds it.

    Returns:
        By page: ``command``, ``trains`` (networks itself, or only reads tables), ``seconds`` and
        ``made`` (date, commit and machine) of its last execution by ``asgml notebooks``. All are
        texts.
    """
    listed = pages.listed(_root(root) / "book")
    rows = [{"page": p.stem, **_executed(p)} for p in listed if p.suffix == ".ipynb"]
    return pd.DataFrame(rows)


def _executed(page: Path) -> dict[str, str]:
    note = pages.metadata(page)
    return {
        "command": f"papermill book/{page.name} out.ipynb",
        "trains": "yes" if pages.runs_at_build(page) else "no",
        "seconds": f"{note['wall_time']:.0f}" if note else "-",
        "made": _when_and_where(note) if note else "-",
    }


def _root(root: Path | None) -> Path:
    return project_root() if root is None else root
