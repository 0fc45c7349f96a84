"""The last step of a preparation: tables, splits and the manifest."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import io
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asgml_core import __version__
from asgml_core.datasets.base import DataError
from asgml_core.datasets.cache import (
    COLUMNS,
    HASH,
    ITEMS,
    REPORT,
    SPLITS,
    Cache,
    split_hash,
)  # fmt: skip
from asgml_core.datasets.manifest import FORMAT, MANIFEST, read_manifest
from asgml_core.files import json_bytes, write_atomically
from asgml_core.preparing.journal import Entry, relative, stamp
from asgml_core.preparing.plan import Item, Plan, Report


def finish(plan: Plan, out: Path, entries: Mapping[str, Entry]) -> Cache:
    """Write what makes a folder of rows a cache, the manifest last; what is there already stays.

    Args:
        plan: what was to be prepared.
        out: the cache's folder.
        entries: what became of each item that was decoded, by id.
    """
    report = [*plan.report, *_decoding_report(plan, entries)]
    given_up = {line.id for line in plan.report if line.kind == "failed"}
    decoded = {
        item.id: entries[item.id]
        for item in plan.items
        if item.id not in given_up and entries[item.id].message is None
    }
    tables = _tables(plan, out, decoded, report)
    manifest = _manifest(plan, decoded, report)
    manifest["items_sha256"] = hashlib.sha256(tables[out / ITEMS]).hexdigest()
    manifest["versions"] = _versions_before(out, manifest) or manifest["versions"]
    wanted = tables | {out / MANIFEST: json_bytes(manifest)}
    if not all(_holds(file, content) for file, content in wanted.items()):
        (out / MANIFEST).unlink(missing_ok=True)
        for file, content in wanted.items():
            write_atomically(file, content)
    return Cache.open(out)


def _tables(
    plan: Plan, out: Path, decoded: Mapping[str, Entry], report: Sequence[Report]
) -> dict[Path, bytes]:
    """Return the content of every CSV file of a cache."""
    items = _items(plan, decoded)
    lines = ((line.id, line.file, line.kind, line.message) for line in report)
    return {
        out / ITEMS: _csv(list(items[0]), (row.values() for row in items)),
        out / REPORT: _csv(["id", "file", "kind", "message"], lines),
        **{
            out / SPLITS / f"{name}.csv": _csv(["id", "part"], sorted(split.parts.items()))
            for name, split in plan.splits.items()
        },
    }


def _holds(file: Path, content: bytes) -> bool:
    return file.is_file() and file.read_bytes() == content


def _versions_before(out: Path, manifest: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the versions that decoded a cache, if this call has decoded none of it.

    The runner removes the manifest before it decodes anything.
    """
    try:
        before = read_manifest(out)
    except DataError:
        return None
    return before["versions"] if before["fingerprint"] == manifest["fingerprint"] else None


def _decoding_report(plan: Plan, entries: Mapping[str, Entry]) -> list[Report]:
    lines = []
    given_up = {line.id for line in plan.report if line.kind == "failed"}
    for item in plan.items:
        entry = entries.get(item.id)
        if item.id in given_up or entry is None:
            continue
        file = _first_file(item, plan.source)
        if entry.message is not None:
            lines.append(Report(item.id, file, "failed", entry.message))
        lines += [Report(item.id, file, "note", note) for note in entry.notes]
    return lines


def _first_file(item: Item, source: Path) -> str:
    return next((relative(path, source) for path in item.files.values()), "")


def _items(plan: Plan, decoded: Mapping[str, Entry]) -> list[dict[str, Any]]:
    facts = list(dict.fromkeys(name for item in plan.items for name in item.facts))
    found = list(dict.fromkeys(name for entry in decoded.values() for name in entry.facts))
    rows = []
    for number, item in enumerate(plan.items):
        entry = decoded.get(item.id)
        status = "failed" if entry is None else "ok"
        row = dict(zip(COLUMNS, (item.id, item.label, item.group, number, status), strict=True))
        row |= {name: item.facts.get(name, "") for name in facts}
        row |= {name: entry.facts.get(name, "") if entry else "" for name in found}
        row |= {HASH + name: entry.hashes[name] if entry else "" for name in plan.arrays}
        rows.append(row)
    return rows


def _manifest(plan: Plan, decoded: Mapping[str, Entry], report: Sequence[Report]) -> dict[str, Any]:
    kinds = Counter(line.kind for line in report)
    return {
        "format": FORMAT,
        "dataset": plan.dataset,
        "classes": list(plan.classes),
        "arrays": {
            name: {"dtype": dtype, "shape": list(shape)}
            for name, (dtype, shape) in plan.arrays.items()
        },
        "parameters": dict(plan.parameters),
        "counts": {
            "listed": len(plan.items),
            "decoded": len(decoded),
            "failed": len(plan.items) - len(decoded),
            "notes": kinds["note"],
            "ignored": kinds["ignored"],
        },
        "source": _source(plan, decoded),
        "splits": {
            name: {
                "sha256": split_hash(split.parts),
                "items": dict(sorted(Counter(split.parts.values()).items())),
                **split.facts,
            }
            for name, split in plan.splits.items()
        },
        "versions": _versions(plan.packages),
        "fingerprint": _fingerprint(plan, decoded),
    }


def _source(plan: Plan, decoded: Mapping[str, Entry]) -> dict[str, Any]:
    stamps = {said["file"]: said for entry in decoded.values() for said in entry.files.values()}
    stamps |= {relative(file, plan.source): stamp(file, plan.source) for file in plan.files}
    digest = hashlib.sha256()
    for file, said in sorted(stamps.items()):
        digest.update(f"{file} {said['sha256']}\n".encode())
    return {
        "folder": str(plan.source.resolve()),
        "files": len(stamps),
        "bytes": sum(said["bytes"] for said in stamps.values()),
        "sha256": digest.hexdigest(),
    }


def _fingerprint(plan: Plan, decoded: Mapping[str, Entry]) -> str:
    items = [
        (item.id, item.label, item.group, tuple(decoded[item.id].hashes[n] for n in plan.arrays))
        for item in plan.items
        if item.id in decoded
    ]
    return fingerprint_of(tuple(plan.classes), tuple(plan.arrays), items)


def fingerprint_of(
    classes: tuple[str, ...],
    arrays: tuple[str, ...],
    items: Iterable[tuple[str, str, str, tuple[str, ...]]],
) -> str:
    """Return the fingerprint of a cache's content, wherever it lies.

    Args:
        classes: the class names.
        arrays: the arrays' names.
        items: id, label, group and the hash of each array's row, of every decoded item in order.
    """
    digest = hashlib.sha256(repr((classes, arrays)).encode())
    for item in items:
        digest.update(repr(item).encode())
    return digest.hexdigest()[:16]


def _versions(packages: Iterable[str]) -> dict[str, str]:
    versions = {"asgml_core": __version__, "python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in ("numpy", *packages)}
    if "av" in packages:
        import av

        versions |= {
            name: ".".join(map(str, version)) for name, version in av.library_versions.items()
        }
    return versions


def _csv(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    # A file's name may be no text in any encoding.
    return text.getvalue().encode(errors="backslashreplace")
