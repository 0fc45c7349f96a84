"""The study's first sweep, 18 settings of frequency and six of staleness, over seeds.

    python benchmarks/first_sweep.py [--dataset grid] [--seeds 42 0] [--workers 2] [--data FILE]

For each seed: the baseline, the default of frequency, and the 24 settings (the default of
staleness is one of them), on the dataset's default profile. Writes the table
``book/results/first_sweep_<dataset>.csv`` (accuracies, the difference from the default of the same
seed with its error over test items, what was done to the encoders) and a summary over seeds, both
with their provenance. Runs are kept in ``outputs``, so that it can be stopped and started again.
"""

from __future__ import annotations

import over_seeds

from asgml_core import profile, results, run_all, study, tables
from asgml_core.paths import outputs_folder
from asgml_core.profiles import profile_name


def main() -> None:
    given = over_seeds.parser(__doc__).parse_args()
    options = {"path": given.data} if given.data else {}
    plan = []
    for seed in given.seeds:
        base = profile(given.dataset, seed=seed, options=options)
        plan += [study.config(name, base) for name in tables.sweep_names()]
    folder = outputs_folder() / f"{given.dataset}-{profile_name(given.dataset)}"
    records = run_all(plan, folder, workers=given.workers)
    command = over_seeds.command("first_sweep", given)
    came_from = results.came_from(command, records)
    measured = tables.first_sweep(records)
    print(results.write(f"first_sweep_{given.dataset}", measured, came_from))
    summary = tables.shown(tables.sensitivity(measured)).reset_index()
    print(results.write(f"first_sweep_{given.dataset}_summary", summary, came_from))


if __name__ == "__main__":
    main()
