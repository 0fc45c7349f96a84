"""Whether a stored notebook still shows what its code would show: a hash of all that decides it.

``asgml notebooks`` notes the hash in the notebook's metadata. A build takes a notebook whose hash
fits as it is stored, and executes the others.
"""

from __future__ import annotations

import ast
import hashlib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from asgml_core.book import pages
from asgml_core.imports import PACKAGE, needed_files, used_modules
from asgml_core.provenance import code_fingerprint, code_hash

#: Notebooks that show what is said on other pages, so that these decide their outputs, too.
ABOUT_PAGES = ("how_it_was_run",)


def key_of(notebook: Path) -> str:
    """Return a hash of what decides a notebook's outputs.

    That is its code, the part of this package that it uses, without comments and docstrings, the
    measured tables that it reads, and the locked versions of the packages the library needs. Prose
    decides nothing.
    """
    code = [source for kind, source in pages.cells(notebook) if kind == "code"]
    digest = hashlib.sha256(code_fingerprint().encode())
    for text in (*code, *_versions(notebook.parent.parent)):
        digest.update(f"{text}\n".encode())
    for file in sorted(_used_files(code)):
        digest.update(f"{file.relative_to(PACKAGE).as_posix()}\n{code_hash(file)}\n".encode())
    for file in _read_files(notebook):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def fits(notebook: Path) -> bool:
    """Return whether a stored notebook was executed with the code and the tables as they are."""
    return pages.metadata(notebook).get("key") == key_of(notebook)


def _used_files(code: Iterable[str]) -> set[Path]:
    """Return the package's files behind the names that cells use, and behind those of these."""
    modules: set[str] = set()
    named: dict[str, str] = {}
    for source in code:
        modules |= used_modules(ast.parse(pages.plain(source)), named)
    found: set[Path] = set()
    while new := needed_files(modules) - found:
        found |= new
        for file in new:
            modules |= used_modules(ast.parse(file.read_text(encoding="utf-8")), {})
    return found


def _read_files(notebook: Path) -> list[Path]:
    """Return the tables that a notebook reads, with their provenance; or what it is about."""
    book = notebook.parent
    if notebook.stem not in ABOUT_PAGES:
        names = pages.tables_of(notebook)
        return [book / "results" / f"{n}{end}" for n in names for end in (".csv", ".json")]
    others = [page for page in pages.listed(book) if page.stem != notebook.stem]
    tables = sorted((book / "results").glob("*.json"))
    return [book / "_toc.yml", book.parent / "requirements.lock", *others, *tables]


def _versions(root: Path) -> list[str]:
    """Return the locked versions of the library's own requirements."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=\[ ]", text)[0].lower() for text in project["dependencies"]}
    lock = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return sorted(line for line in lock if line.partition("==")[0] in names)
