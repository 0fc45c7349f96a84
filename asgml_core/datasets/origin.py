"""Which files data come from, and a hash of them that needs no data to be loaded."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asgml_core.datasets.base import DataError
from asgml_core.datasets.cache import find_cache
from asgml_core.datasets.grid import find_words
from asgml_core.datasets.manifest import MANIFEST

#: The option of a source that says where its data are, and not which they are.
PLACE = "path"
#: Sources that are drawn by code and read nothing.
_DRAWN = ("synth",)


def origin(name: str, options: Mapping[str, Any]) -> str:
    """Return a hash of the files that a source reads; ``"drawn"`` where it reads none.

    Of a prepared cache, its manifest is hashed, which has a hash of every row.

    Args:
        name: of the source.
        options: of the source.

    Raises:
        DataError: when the files are missing.
    """
    if name in _DRAWN:
        return "drawn"
    place = options.get(PLACE)
    if place is None:
        place = find_words() if name == "grid" else find_cache(name)
    digest = hashlib.sha256()
    for file in _files(Path(place)):
        try:
            seen = file.stat()
        except FileNotFoundError as error:
            raise DataError(f"{file}: no such file.") from error
        digest.update(_hash(file, seen.st_size, seen.st_mtime_ns, seen.st_ino).encode())
    return digest.hexdigest()[:16]


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        beside = place.with_suffix(".yaml")
        return [place, beside] if beside.is_file() else [place]
    if (place / MANIFEST).is_file():
        return [place / MANIFEST]
    return [*sorted(place.glob("*.npy")), place / "manifest.yaml"]


@functools.lru_cache(64)
def _hash(file: Path, size: int, changed: int, inode: int) -> str:
    """Return a file's hash; of a file that is as it was, without reading it again."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
