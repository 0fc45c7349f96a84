"""Draw the figures of the book's text pages from committed tables, pages and formulas.

    python benchmarks/page_figures.py

No training. Writes ``figures/pages/<name>.png`` and ``.svg``, with ``--folder DIR`` elsewhere.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from asgml_core import figures, results
from asgml_core.figures import pages

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("negative", "neutral", "positive")


def class_counts(table: str) -> pd.DataFrame:
    """Return the items of each class and part, from a committed table."""
    return results.read(table).set_index("class").drop(columns="share (%)").drop(index="all")


def sentiments(page: str) -> pd.DataFrame:
    """Return the table of sentiments that the page on MOSEI has.

    Args:
        page: its text.
    """
    rows = re.findall(r"^\| (MOSE?I, \w+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", page, re.M)
    counts = [[int(number.replace(",", "")) for number in numbers] for _, *numbers in rows]
    return pd.DataFrame(counts, index=[name for name, *_ in rows], columns=CLASSES)


def _mosei() -> Figure:
    return pages.stacked_shares(sentiments((ROOT / "book" / "mosei.md").read_text("utf-8")))


def _engines() -> Figure:
    table = results.read("engines")
    workers = table["workers"].map({1: "1 worker", 2: "2 workers"})
    table.index = pd.Index(table["engine"] + ", " + workers)
    return figures.speed_ratios(table, "speed-up", "times as fast as one local worker")


def _even() -> Figure:
    sys.path.insert(0, str(ROOT / "examples"))
    from add_a_method import even_scales

    return pages.scaled_norms((1.0, 2.0, 4.0), even_scales)


def _grid_seeds() -> Figure:
    table = results.read("multi_seed_grid")
    wide = 100 * table.pivot(index="seed", columns="run", values="validation")
    return figures.seeds(wide[list(dict.fromkeys(table["run"]))], reference="baseline")


#: By the name of the file: what draws it.
DRAWN: dict[str, Callable[[], Figure]] = {
    "ave": lambda: pages.class_shares(class_counts("ave_classes")),
    "kinetics_sounds": lambda: pages.class_shares(class_counts("kinetics_sounds_classes")),
    "mosei": _mosei,
    "methods": pages.scale_formulas,
    "sweeps": _engines,
    "add_a_method": _even,
    "grid": _grid_seeds,
}


def main() -> None:
    """Draw all of them, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(DRAWN)}")
    parser.add_argument("--folder", type=Path, default=ROOT / "figures", help="default: figures")
    chosen = parser.parse_args()
    for name in set(chosen.names) - set(DRAWN):
        parser.error(f"no figure is called {name!r}; there are {', '.join(DRAWN)}")
    os.environ["ASGML_FIGURES"] = str(chosen.folder.resolve())
    for name in chosen.names or DRAWN:
        figures.save(DRAWN[name](), f"pages/{name}")
        print(f"pages/{name}")


if __name__ == "__main__":
    main()
