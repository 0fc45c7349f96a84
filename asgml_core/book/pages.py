"""The book's pages: which there are, and which measured tables each rests on."""

from __future__ import annotations

import ast
import fnmatch
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asgml_core.checks import AsgmlError
from asgml_core.reading import read_json, read_yaml

#: Endings of the tables that belong to one of many seeds, see :mod:`asgml_core.measured`.
_PARTS = ("_tested", "_right", "_curves", "_dynamics")
#: A table that a text page shows.
_SHOWN = re.compile(r"\bresults/(\w+)\.csv\b")


class PageError(AsgmlError, ValueError):
    """A page of the table of contents that is not there, or a file that is no table of contents."""


def listed(book: Path) -> list[Path]:
    """Return the files of the pages in the order of the table of contents, the first page first.

    Args:
        book: the folder with ``_toc.yml``.

    Raises:
        PageError: naming the entry or the page that was not found.
    """
    contents = book / "_toc.yml"
    said = read_yaml(contents)
    if not isinstance(said, dict) or "root" not in said:
        raise PageError(f"{contents} has no root, but the first page was expected there.")
    return [_file(book, name) for name in _names(said)]


def _names(said: Any) -> Iterator[str]:
    """Give every page's name in a table of contents, wherever it is."""
    if isinstance(said, dict):
        for key, value in said.items():
            if key in ("root", "file"):
                yield value
            else:
                yield from _names(value)
    elif isinstance(said, list):
        for part in said:
            yield from _names(part)


def _file(book: Path, name: str) -> Path:
    for ending in (".ipynb", ".md"):
        if (book / f"{name}{ending}").is_file():
            return book / f"{name}{ending}"
    raise PageError(f"{book / '_toc.yml'} lists {name!r}, but there is no {name}.ipynb or .md.")


def title(page: Path) -> str:
    """Return the first heading of a page; its name where it has none."""
    for text in prose(page):
        found = re.search(r"^# +(.+)$", text, re.MULTILINE)
        if found:
            return found[1].strip()
    return page.stem


def prose(page: Path) -> list[str]:
    """Return the text of a page, of a notebook cell by cell."""
    if page.suffix == ".ipynb":
        return [source for kind, source in cells(page) if kind == "markdown"]
    return [page.read_text(encoding="utf-8")]


def cells(notebook: Path) -> list[tuple[str, str]]:
    """Return the cells of a notebook as ``(type, source)``."""
    said = read_json(notebook)
    return [(cell["cell_type"], "".join(cell["source"])) for cell in said["cells"]]


def tables_of(page: Path) -> list[str]:
    """Return the measured tables that a page rests on, sorted.

    Of a notebook they are those that its code names, with those that belong to them; a name may
    hold a star, as in ``study_cost*.csv``. Of a text page they are the files that it shows.
    """
    there = sorted(path.stem for path in (page.parent / "results").glob("*.csv"))
    named = set(_SHOWN.findall("\n".join(prose(page))))
    if page.suffix == ".ipynb":
        code = [source for kind, source in cells(page) if kind == "code"]
        named |= {text.removesuffix(".csv") for source in code for text in _texts(source)}
    return [name for name in there if any(_fits(name, text) for text in named)]


def _fits(name: str, text: str) -> bool:
    if "*" in text[1:] and fnmatch.fnmatchcase(name, text):
        return True
    return name == text or name in (f"{text}{part}" for part in _PARTS)


def plain(source: str) -> str:
    """Return a cell's code without the lines that are only Jupyter's."""
    return "\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))


def _texts(source: str) -> Iterator[str]:
    """Give the texts in a cell's code."""
    for node in ast.walk(ast.parse(plain(source))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def runs_at_build(notebook: Path) -> bool:
    """Return whether a notebook trains networks itself, instead of only reading tables."""
    code = "\n".join(source for kind, source in cells(notebook) if kind == "code")
    return re.search(r"\b(run_all|run)\(", code) is not None


def metadata(notebook: Path) -> dict[str, Any]:
    """Return what ``asgml notebooks`` noted when it executed a notebook; empty for nothing."""
    said = json.loads(notebook.read_text(encoding="utf-8"))
    return dict(said["metadata"].get("asgml", {}))
