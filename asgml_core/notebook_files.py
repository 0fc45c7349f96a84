"""Reading notebooks, whoever made them: nothing in one is executed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from asgml_core.checks import check_one_of
from asgml_core.notebooks import NotebookError
from asgml_core.reading import ReadError, check_plain, one_line, read_json

#: Characters of a parameters cell: Python takes a hundred times as much memory to read one.
LONGEST_CELL = 100_000


@dataclass(frozen=True)
class Notebook:
    """A notebook that was read, and not executed.

    Args:
        path: of its file, absolute.
        cells: kind and text of each.
        parameters: what its parameters cell says for each: a plain value, or ``...`` for code.
        kernel: the name of its kernel.
    """

    path: Path
    cells: tuple[tuple[str, str], ...]
    parameters: Mapping[str, Any]
    kernel: str

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters as plain values, in the order of the parameters cell.

        Raises:
            ValueError: for a name that the notebook does not have.
            NotebookError: for a value that is not plain.
        """
        for name in given:
            if not self.parameters:
                raise ValueError(
                    f"{self.path.name} takes no parameters, since none of its cells has the tag "
                    f"'parameters', but {name!r} was given."
                )
            check_one_of(f"parameter of {self.path.name}", name, self.parameters)
        try:
            check_plain(given)
        except ReadError as error:
            raise NotebookError(f"{self.path.name}: parameter {error}") from error
        return {name: given[name] for name in self.parameters if name in given}


def read_notebook(path: Path) -> Notebook:
    """Read a notebook, whoever made it; nothing in it is executed.

    Args:
        path: of a notebook in format 4 and in Python.

    Raises:
        NotebookError: naming the file and what is wrong with it.
    """
    path = Path(path).absolute()
    try:
        said = read_json(path)
    except ReadError as error:
        raise NotebookError(str(error)) from error
    _check_notebook(path, said)
    cells = tuple((cell["cell_type"], "".join(cell["source"])) for cell in said["cells"])
    tagged = [
        source
        for cell, (kind, source) in zip(said["cells"], cells, strict=True)
        if kind == "code" and "parameters" in cell["metadata"].get("tags", [])
    ]
    kernel = said["metadata"].get("kernelspec", {}).get("name") or "python3"
    return Notebook(path, cells, _parameters(path, tagged[0]) if tagged else {}, kernel)


def _check_notebook(path: Path, said: Any) -> None:
    found = said.get("nbformat") if isinstance(said, dict) else None
    if found != 4:
        what = "no notebook" if found is None else f"a notebook of format {found!r:.20}"
        raise NotebookError(f"{path} is {what}, but a Jupyter notebook of format 4 was expected.")
    nbformat = _import_nbformat()
    for cell in said["cells"] if isinstance(said.get("cells"), list) else ():
        if isinstance(cell, dict):
            cell.pop("id", None)  # of no use here; notebooks without are common
    try:
        nbformat.validate(said | {"nbformat_minor": 4}, relax_add_props=True)
    except nbformat.ValidationError as error:
        raise NotebookError(
            f"{path} is no valid notebook: {one_line(str(error.message), 200)}."
        ) from error
    kernel = said["metadata"].get("kernelspec", {})
    language = said["metadata"].get("language_info", {}).get("name") or kernel.get("language")
    if language is not None and str(language).lower() not in ("python", "ipython", "python3"):
        raise NotebookError(f"{path} is in {str(language)[:40]!r}, but Python was expected.")
    for part in (said, *said["cells"]):
        if not isinstance(part["metadata"].get("papermill", {}), dict):
            raise NotebookError(f"{path}: what papermill noted in its metadata is no object.")


def _import_nbformat() -> ModuleType:
    try:
        import nbformat
    except ImportError as error:
        raise NotebookError(
            "reading notebooks needs nbformat; install the extra: pip install 'asgml-core[book]'."
        ) from error
    return nbformat


def _parameters(path: Path, source: str) -> dict[str, Any]:
    """Return the names that a cell assigns, each with its value, or ``...`` where that is code."""
    if len(source) > LONGEST_CELL:
        raise NotebookError(
            f"{path}: its parameters cell has {len(source):,} characters, but at most "
            f"{LONGEST_CELL:,} were expected."
        )
    lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()]
    try:
        tree = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotebookError(f"{path}: its parameters cell is not readable Python.") from error
    found: dict[str, Any] = {}
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            if isinstance(target, ast.Name):
                found[target.id] = _literal(statement.value)
    return found


def _literal(node: ast.expr | None) -> Any:
    try:
        return ... if node is None else ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return ...
