"""Checking a cache against its manifest, value by value."""

from __future__ import annotations

from pathlib import Path

from asgml_core.datasets.base import DataError
from asgml_core.datasets.cache import HASH, Cache, row_hash
from asgml_core.preparing.finish import fingerprint_of
from asgml_core.preparing.journal import is_same, read_entries


def verify(
    folder: str | Path, source: str | Path | None = None, *, progress: bool = True
) -> list[str]:
    """Return what is wrong with a cache, a sentence each; an empty list if nothing is.

    Every row is read and its hash compared, the table's fingerprint with the manifest's, every
    split with its hash, and, if asked, every source file with what it was when it was decoded.

    Args:
        folder: the cache's.
        source: where the source files are now; ``None`` leaves them alone.
        progress: show a bar.

    Raises:
        DataError: when the cache cannot be opened.
    """
    cache = Cache.open(folder, edited=True)
    found = _check_table(cache) + _check_rows(cache, progress)
    for name in cache.splits:
        try:
            cache.split(name)
        except DataError as error:
            found.append(str(error))
    return found + ([] if source is None else _check_source(cache, Path(source)))


def _check_table(cache: Cache) -> list[str]:
    names = ("label", "group", *(HASH + name for name in cache.manifest["arrays"]))
    ids = list(cache.rows)
    columns = [cache.column(name, ids) for name in names]
    rows = [(item, *values) for item, *values in zip(ids, *columns, strict=True)]
    items = [(item, label, group, tuple(hashes)) for item, label, group, *hashes in rows]
    found = []
    fingerprint = fingerprint_of(cache.classes, tuple(cache.manifest["arrays"]), items)
    if fingerprint != cache.manifest["fingerprint"] or not cache.has_own_table():
        found.append("items.csv is not the table that manifest.json names.")
    decoded = cache.manifest["counts"].get("decoded")
    if len(ids) != decoded:
        found.append(f"items.csv has {len(ids)} decoded items, but manifest.json counts {decoded}.")
    return found


def _check_rows(cache: Cache, progress: bool) -> list[str]:
    from tqdm import tqdm

    found = []
    arrays = {name: cache.array(name) for name in cache.manifest["arrays"]}
    hashes = {name: cache.column(HASH + name, cache.rows) for name in arrays}
    bar = tqdm(cache.rows.items(), desc="verify", unit="item", disable=not progress)
    for number, (item, row) in enumerate(bar):
        for name, array in arrays.items():
            if row_hash(array[row]) != hashes[name][number]:
                found.append(f"{item}: its row {row} of {name}.npy is not what was written.")
    return found


def _check_source(cache: Cache, source: Path) -> list[str]:
    found = []
    for item, entry in read_entries(cache.folder).items():
        for said in entry.files.values():
            path = source / said["file"]
            if not path.exists():
                found.append(f"{item}: {said['file']} is no longer in {source}.")
            elif not is_same(said, path, source):
                found.append(f"{item}: {said['file']} has changed since it was decoded.")
    return found
