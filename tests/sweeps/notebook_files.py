"""Small notebooks, and plans of them."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import v4

from asgml_core.notebook_tasks import plan_notebooks
from asgml_core.plans import Plan
from asgml_core.sweep import Options

PARAMETERS = "seed: int = 0\nname: str = 'x'\nworkers: int = None"


def write(path: Path, *cells: str, parameters: str = PARAMETERS, **metadata: object) -> Path:
    """Write a notebook of some cells of code."""
    first = v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    content = v4.new_notebook(
        cells=[v4.new_markdown_cell("# Title"), first, *map(v4.new_code_cell, cells)],
        metadata={"kernelspec": kernel, **metadata},
    )
    nbformat.write(content, path)
    return path


def plan(
    path: Path, grid: dict | None = None, given: dict | None = None, **options: object
) -> Plan:
    return plan_notebooks(path, grid or {}, given or {}, Options(**options))


def names(path: Path, grid: dict, given: dict | None = None) -> list[str]:
    return [task.name for task in plan(path, grid, given).tasks]
