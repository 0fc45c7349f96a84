"""Is the GRID profile long enough? Double its epochs and see how far the baseline moves.

    python benchmarks/grid_epochs.py [--workers 2] [--data FILE]

The baseline of profile ``grid`` with its own number of epochs and with twice as many, over the
study's five seeds. Writes ``book/results/grid_epochs.csv`` and a summary, with their provenance.
"""

from __future__ import annotations

import argparse

import pandas as pd

from asgml_core import profile, results, run_all, study, tables
from asgml_core.paths import outputs_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, help="processes; one for each core by default")
    parser.add_argument("--data", help="the prepared words; looked for in the data folders")
    given = parser.parse_args()
    options = {"path": given.data} if given.data else {}
    plan = []
    for seed in study.SEEDS:
        base = profile("grid", "grid", seed=seed, options=options)
        for factor in (1, 2):
            epochs = factor * base.train.epochs
            plan.append(base.replace(run_id=f"baseline_{epochs}", train={"epochs": epochs}))
    records = run_all(plan, outputs_folder() / "grid-epochs", workers=given.workers)
    rows = [
        {
            "seed": record.seed,
            "epochs": record.config.train.epochs,
            **{name: entry["accuracy"] for name, entry in record.selections.items()},
            "wall_time": record.provenance["wall_time"],
        }
        for record in records
    ]
    command = "python benchmarks/grid_epochs.py"
    came_from, measured = results.came_from(command, records), pd.DataFrame(rows)
    print(results.write("grid_epochs", measured, came_from))
    by_epochs = tables.summary(measured.rename(columns={"epochs": "run"}))
    print(
        results.write("grid_epochs_summary", by_epochs.rename(columns={"run": "epochs"}), came_from)
    )


if __name__ == "__main__":
    main()
