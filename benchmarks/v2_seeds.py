"""The study's v2 settings over seeds, with the arms it lacks.

    python benchmarks/v2_seeds.py [--dataset grid] [--seeds 42 0] [--workers 2] [--data FILE]

For each seed: the baseline, the nine v2 settings, OGM-GE alone, joint training without unimodal
losses, each modality alone, and the unimodal losses alone, on the dataset's default profile. Writes
``book/results/v2_<dataset>.csv``, and a summary of it, with their provenance. Runs are kept in
``outputs``, so that it can be stopped and started again.
"""

from __future__ import annotations

import argparse

from asgml_core import profile, results, run_all, study, tables
from asgml_core.paths import outputs_folder
from asgml_core.profiles import profile_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="synth", help="synth or grid (default: synth)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=study.SEEDS, help="the study's five"
    )
    parser.add_argument("--workers", type=int, help="processes; one for each core by default")
    parser.add_argument("--data", help="the data file; looked for in the data folders")
    given = parser.parse_args()
    options = {"path": given.data} if given.data else {}
    names = ["baseline", *study.group("v2_boost"), "ogmge", *study.ARMS]
    plan = []
    for seed in given.seeds:
        base = profile(given.dataset, seed=seed, options=options)
        plan += [study.config(name, base) for name in names]
    folder = outputs_folder() / f"{given.dataset}-{profile_name(given.dataset)}"
    records = run_all(plan, folder, workers=given.workers)
    seeds = " ".join(map(str, given.seeds))
    command = f"python benchmarks/v2_seeds.py --dataset {given.dataset} --seeds {seeds}"
    came_from, measured = results.came_from(command, records), tables.accuracies(records)
    print(results.write(f"v2_{given.dataset}", measured, came_from))
    print(results.write(f"v2_{given.dataset}_summary", tables.summary(measured), came_from))


if __name__ == "__main__":
    main()
