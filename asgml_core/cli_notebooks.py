"""``asgml notebook`` and ``asgml notebooks``: execute notebooks, one or a grid of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asgml_core.cli_sweep import add_engine_options, engine_options


def add_notebook_parsers(commands: Any) -> None:
    """Add ``asgml notebook`` and ``asgml notebooks`` to the command line."""
    notebook = commands.add_parser("notebook", help="execute one notebook with parameters")
    notebook.add_argument("name", help="its path, or its name in book/, such as 04_v2_boost")
    _add_parameters(notebook)
    notebook.add_argument("-o", "--output", help="where to write it; by default under outputs/")
    notebook.set_defaults(call=_notebook)

    notebooks = commands.add_parser(
        "notebooks",
        help="execute one notebook over a grid of parameters, or renew the book's",
        description="Execute one notebook for every combination of some parameters, several at "
        "once; what is executed already is not executed again. Without a name: execute those of "
        "the book's notebooks whose outputs are not of the code and tables as they are, in place; "
        "with --again all of them.",
    )
    notebooks.add_argument("name", nargs="?", help="as of 'asgml notebook'")
    _add_parameters(notebooks)
    notebooks.add_argument("--seeds", help="values of the parameter seed, such as 0-4,7")
    notebooks.add_argument("--grid", help="a YAML file: a list of values for each of some "
                           "parameters; all combinations are executed")  # fmt: skip
    add_engine_options(notebooks)
    notebooks.add_argument("--outputs", help="folder of all results (default: outputs)")
    notebooks.add_argument("--again", action="store_true", help="execute all anew")
    notebooks.add_argument("--renew", action="store_true",
                           help="execute anew what was executed from other cells or other "
                           "code")  # fmt: skip
    notebooks.add_argument("--plan", action="store_true", help="only show what is done and left")
    notebooks.set_defaults(call=_notebooks)


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
                        dest="parameters", help="a parameter; may be repeated")  # fmt: skip
    parser.add_argument("-f", "--file", help="a YAML file of parameters")


def _notebook(parsed: argparse.Namespace) -> None:
    from asgml_core import notebooks

    print(notebooks.execute(parsed.name, parsed.output, _parameters(parsed)))


def _parameters(parsed: argparse.Namespace) -> dict[str, Any]:
    from asgml_core.reading import ReadError, short, yaml_value

    given = _fields(parsed.file) if parsed.file else {}
    for name, value in parsed.parameters:
        try:
            given[name] = yaml_value(value)
        except ReadError as error:
            raise ReadError(f"-p {name} {short(value)}: {error.said}") from error
    return given


def _fields(file: str) -> dict[str, Any]:
    from asgml_core.reading import ReadError, read_yaml, short

    found = read_yaml(Path(file))
    if found is not None and not isinstance(found, dict):
        raise ReadError(f"{file} holds {short(found)}, but fields were expected")
    return found or {}


def _notebooks(parsed: argparse.Namespace) -> None:
    if parsed.name is None:
        _refresh(parsed)
        return
    from asgml_core import notebooks

    given = {
        "workers": parsed.workers,
        "engine": parsed.engine,
        "engine_options": engine_options(parsed),
        "again": parsed.again,
        "renew": parsed.renew,
    }
    parameters, grid = _parameters(parsed), _grid(parsed)
    if parsed.plan:
        _show(parsed, grid, parameters, given)
        return
    for path in notebooks.execute_all(parsed.name, grid, parameters, parsed.outputs, **given):
        print(path)


def _refresh(parsed: argparse.Namespace) -> None:
    from asgml_core.book import building

    usual = {"engine": "local", "call": _notebooks, "again": parsed.again}
    others = [name for name, value in vars(parsed).items() if value and value != usual.get(name)]
    if others:
        raise ValueError(
            f"{', '.join(others)}: options need the name of a notebook; without one, the book's "
            "notebooks are renewed, in place."
        )
    for path in building.refresh(again=parsed.again):
        print(path)


def _grid(parsed: argparse.Namespace) -> dict[str, Any]:
    from asgml_core.grids import parse_numbers

    grid = _fields(parsed.grid) if parsed.grid else {}
    if parsed.seeds is None:
        return grid
    if "seed" in grid:
        raise ValueError(f"seed is given twice: by --seeds and in {parsed.grid}.")
    return {"seed": parse_numbers(parsed.seeds), **grid}


def _show(
    parsed: argparse.Namespace,
    grid: dict[str, Any],
    parameters: dict[str, Any],
    given: dict[str, Any],
) -> None:
    """Print how every notebook of a plan stands."""
    from asgml_core.notebook_tasks import plan_notebooks
    from asgml_core.notebooks import find
    from asgml_core.paths import outputs_folder
    from asgml_core.sweep import Options

    outputs = Path(parsed.outputs or outputs_folder()).absolute()
    plan = plan_notebooks(find(parsed.name), grid, parameters, Options(**given))
    for task in plan.tasks:
        status = task.look(outputs)
        why = f"  ({status.reason})" if status.reason else ""
        print(f"{status.kind:8} {status.epoch:3} of {task.size} cells  {task.result(outputs)}{why}")
