"""The study's v2 settings over seeds, with the arms it lacks.

    python benchmarks/v2_seeds.py [--dataset grid] [--seeds 42 0] [--workers 2] [--data FILE]

For each seed: the baseline, the nine v2 settings, OGM-GE alone, joint training without unimodal
losses, each modality alone, and the unimodal losses alone, on the dataset's default profile. Writes
``book/results/v2_<dataset>.csv``, and a summary of it, with their provenance. Runs are kept in
``outputs``, so that it can be stopped and started again.
"""

from __future__ import annotations

import over_seeds

from asgml_core import profile, results, run_all, study, tables
from asgml_core.paths import outputs_folder
from asgml_core.profiles import profile_name


def main() -> None:
    given = over_seeds.parser(__doc__).parse_args()
    options = {"path": given.data} if given.data else {}
    names = ["baseline", *study.group("v2_boost"), "ogmge", *study.ARMS]
    plan = []
    for seed in given.seeds:
        base = profile(given.dataset, seed=seed, options=options)
        plan += [study.config(name, base) for name in names]
    folder = outputs_folder() / f"{given.dataset}-{profile_name(given.dataset)}"
    records = run_all(plan, folder, workers=given.workers)
    command = over_seeds.command("v2_seeds", given)
    came_from, measured = results.came_from(command, records), tables.accuracies(records)
    print(results.write(f"v2_{given.dataset}", measured, came_from))
    print(results.write(f"v2_{given.dataset}_summary", tables.summary(measured), came_from))


if __name__ == "__main__":
    main()
