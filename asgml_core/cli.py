"""The ``asgml`` command: every subcommand is one call of the library.

Nothing heavy is imported before it is needed, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from asgml_core.checks import AsgmlError
from asgml_core.cli_book import add_book_parser
from asgml_core.cli_data import add_data_parser
from asgml_core.cli_notebooks import add_notebook_parsers
from asgml_core.cli_results import add_results_parser
from asgml_core.cli_sweep import add_base_options, add_sweep_parsers, base_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    It is 0, 1 for an error, 130 for Ctrl-C and 143 for SIGTERM.
    """
    parsed = _parser().parse_args(arguments)
    from asgml_core.claims import Terminated
    from asgml_core.worker import stoppable

    try:
        with stoppable():
            parsed.call(parsed)
    except KeyboardInterrupt as error:
        print("asgml: stopped; the same command goes on from the last checkpoint.", file=sys.stderr)
        return 143 if isinstance(error, Terminated) else 130
    except (AsgmlError, ValueError, OSError) as error:
        print(f"asgml: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asgml",
        description="Balancing modalities in multimodal learning: runs, notebooks, book.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    runs = commands.add_parser(
        "runs", help="list the study's named runs and their published numbers"
    )
    runs.add_argument("--group", help="one sweep of the study only, such as v2_boost")
    runs.set_defaults(call=_runs)

    run = commands.add_parser("run", help="train, evaluate and record one named run or arm")
    run.add_argument(
        "name", help="a run of 'asgml runs', or joint_only, audio_only, visual_only, ..."
    )
    run.add_argument("--seed", type=int, default=42, help="default: 42")
    add_base_options(run)
    run.add_argument("--again", action="store_true", help="compute anew what is there already")
    run.set_defaults(call=_run)

    add_sweep_parsers(commands)

    show = commands.add_parser("show", help="show the record of a finished run")
    show.add_argument("folder", help="the run's folder, such as outputs/sweep/baseline_seed42")
    show.set_defaults(call=_show)

    add_data_parser(commands)

    add_notebook_parsers(commands)

    add_results_parser(commands)

    add_book_parser(commands)
    return parser


def _runs(parsed: argparse.Namespace) -> None:
    from asgml_core import study

    wanted = study.group(parsed.group) if parsed.group else None
    for run in study.runs():
        if wanted is None or (run.run_id in wanted and run.group == parsed.group):
            accuracy = (
                "    -" if run.published_best_acc is None else f"{run.published_best_acc:5.2f}"
            )
            settings = " ".join(f"{key}={value}" for key, value in run.params.items())
            print(f"{run.run_id:18} seed {run.seed:<3} {accuracy}  {run.method} {settings}")


def _run(parsed: argparse.Namespace) -> None:
    from asgml_core import run, study

    config = study.config(parsed.name, base_of(parsed, parsed.seed))
    record = run(config, parsed.outputs, again=parsed.again)
    _print_record(record)


def _show(parsed: argparse.Namespace) -> None:
    from asgml_core import RunRecord

    _print_record(RunRecord.load(parsed.folder))


def _print_record(record: Any) -> None:
    print(f"{record.folder}")
    for selection, entry in record.selections.items():
        by_modality = ", ".join(
            f"{m} {'untrained' if a is None else f'{100 * a:.2f}'}"
            for m, a in entry["accuracies"].items()
        )
        accuracy = f"{100 * entry['accuracy']:.2f} %"
        print(f"  {selection:13} epoch {entry['epoch']:3}  test {accuracy}  ({by_modality})")
    _print_what_was_done(record)
    config = record.values["config"]
    if (config["precision"], config["execution"]) != ("fp32", "eager"):
        print(f"  encoders computed in {config['precision']}, executed as {config['execution']}")
    missing = record.values["data"].get("missing", {})
    if missing.get("items"):
        parts = ", ".join(f"{count} of {part}" for part, count in missing["by_part"].items())
        print(f"  made without {missing['items']} items that were not prepared ({parts})")


def _print_what_was_done(record: Any) -> None:
    epochs, steps = record.epochs, len(record.steps)
    for name, counts in record.values["methods"].items():
        measured = f", measured {counts['measured']} times" if counts["measured"] else ""
        print(f"  {name} acted on {counts['acted']} of {steps} steps{measured}")
    for column in (c for c in epochs if c.startswith("activation/")):
        m = column.removeprefix("activation/")
        print(
            f"  {m}: gradients changed on {100 * epochs[column].mean():.0f} % of the steps, "
            f"weights moved {epochs[f'relative_update/{m}'].mean():.2f} times as far as without"
        )


if __name__ == "__main__":
    sys.exit(main())
