"""``asgml reproduce``: run what a committed table rests on, and compare."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgml_core.cli_sweep import add_engine_options, engine_options

if TYPE_CHECKING:
    from asgml_core.config import RunConfig


def add_results_parser(commands: Any) -> None:
    """Add ``asgml reproduce`` to the command line."""
    reproduce = commands.add_parser(
        "reproduce",
        help="run what a committed table rests on, and compare",
        description="Run the runs of a table in book/results, all or a random share of them, and "
        "compare. What has finished in the outputs is not run again, so it can be stopped and "
        "started at will; in a fresh clone everything is run.",
    )
    reproduce.add_argument(
        "table",
        nargs="?",
        default="many_seeds_grid",
        help="many_seeds_grid (the default), many_seeds_grid_rich, many_seeds_synth, tuning_grid "
        "or tuned_grid",
    )
    reproduce.add_argument(
        "--share", type=float, default=1.0, help="of the runs, drawn at random; such as 0.25"
    )
    reproduce.add_argument("--draw", type=int, default=0, help="seed of that draw (default: 0)")
    reproduce.add_argument("--data", help="path of the data file or folder")
    reproduce.add_argument("--outputs", help="folder of the runs (default: outputs/<data>)")
    add_engine_options(reproduce)
    reproduce.add_argument("--again", action="store_true", help="run all anew")
    reproduce.add_argument("--list", action="store_true", help="only name the runs")
    reproduce.add_argument(
        "--write", action="store_true", help="write the table anew instead of comparing"
    )
    reproduce.set_defaults(call=_reproduce)


def _reproduce(parsed: argparse.Namespace) -> None:
    from asgml_core import reproduction, results, run_all, tables

    if parsed.write and parsed.share != 1.0:
        raise ValueError("--write needs all runs: leave --share out.")
    plan = reproduction.plan_of(parsed.table)
    configs = reproduction.share_of(plan.configs(_base(parsed, plan)), parsed.share, parsed.draw)
    if parsed.list:
        print("\n".join(config.folder for config in configs))
        return
    committed = None if parsed.write else results.read(parsed.table)
    records = run_all(
        configs,
        _folder(parsed, plan),
        workers=parsed.workers,
        again=parsed.again,
        engine=parsed.engine,
        engine_options=engine_options(parsed),
        name=parsed.table,
    )
    if committed is None:
        print("\n".join(map(str, reproduction.write(parsed.table, records))))
        return
    compared = reproduction.compare(records, committed)
    print(tables.shown(compared, 4).to_string(index=False))
    print(f"{parsed.table}: {reproduction.check(compared, committed)}.")


def _base(parsed: argparse.Namespace, plan: Any) -> Callable[[int], RunConfig]:
    """Return what gives the baseline of a seed, on the data file that was named."""

    def base(seed: int) -> RunConfig:
        config = plan.base(seed)
        place = {"path": parsed.data} if parsed.data else {}
        return config.replace(data={"options": {**config.data.options, **place}})

    return base


def _folder(parsed: argparse.Namespace, plan: Any) -> Path:
    from asgml_core.paths import outputs_folder

    default = outputs_folder() / f"{plan.dataset}-{plan.profile}"
    return Path(parsed.outputs) if parsed.outputs else default
