"""Where a project's folders are, from its root and from inside ``book/`` alike."""

from __future__ import annotations

import os
from pathlib import Path


def project_root(start: Path | None = None) -> Path:
    """Return the first folder, from ``start`` upwards, that holds the book; else ``start``."""
    start = Path.cwd() if start is None else Path(start)
    for folder in (start, *start.parents):
        if (folder / "_config.yml").is_file() and (folder / "book").is_dir():
            return folder
    return start


def data_folders() -> list[Path]:
    """Return where data is looked for, in order.

    ``$ASGML_DATA`` alone if it is set; else ``data`` in the project and ``shared/data`` beside it.
    """
    root = project_root()
    named = os.environ.get("ASGML_DATA")
    return [Path(named)] if named else [root / "data", root.parent / "shared" / "data"]


def outputs_folder() -> Path:
    """Return ``$ASGML_OUTPUTS``, or ``outputs`` in the project."""
    named = os.environ.get("ASGML_OUTPUTS")
    return Path(named) if named else project_root() / "outputs"
