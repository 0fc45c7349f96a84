"""What the benchmarks that train over seeds have in common: their options."""

from __future__ import annotations

import argparse

from asgml_core import study


def parser(doc: str) -> argparse.ArgumentParser:
    """Return a parser of a dataset, seeds, workers and a data file.

    Args:
        doc: the script's own docstring; its first line is the description.
    """
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--dataset", default="synth", help="synth or grid (default: synth)")
    made.add_argument("--seeds", type=int, nargs="+", default=study.SEEDS, help="the study's five")
    made.add_argument("--workers", type=int, help="processes; one for each core by default")
    made.add_argument("--data", help="the data file; looked for in the data folders")
    return made


def command(script: str, given: argparse.Namespace) -> str:
    """Return what makes the same table again; where the data lie is not a part of it."""
    seeds = " ".join(map(str, given.seeds))
    return f"python benchmarks/{script}.py --dataset {given.dataset} --seeds {seeds}"
