"""Writing files so that they are either whole or not there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asgml_core.checks import AsgmlError


class WriteError(AsgmlError, OSError):
    """A file that could not be written; what was there before is untouched."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to disk, rename it, and sync the folder.

    Args:
        path: the file; its folder is made if needed.
        content: all of it; what makes it must not meet a full disk half-way.

    Raises:
        WriteError: when the disk is full or the folder cannot be written; the temporary file is
            removed, and a file that stood at ``path`` stays as it was.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise WriteError(
            f"{path} could not be written ({error.strerror or error}); "
            "what was there before is untouched."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON atomically; a number that is not finite is an error."""
    write_atomically(path, json_bytes(values))


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """Return what :func:`write_json` writes."""
    return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()


def sync_folder(folder: Path) -> None:
    """Flush to disk which files a folder has."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
