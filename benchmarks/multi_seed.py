"""The study's table: nine methods over five seeds, and how long it takes.

    python benchmarks/multi_seed.py [--dataset grid] [--seeds 42 0] [--workers 2] [--data FILE]
                                    [--precision bf16]

On the dataset's default profile. Writes ``book/results/multi_seed_<dataset>.csv``, a summary of it,
and the differences from the baseline of the same seed, with their provenance, where ``elapsed`` is
the time from the start of the first run to the end of the last. Runs are kept in ``outputs``, so
that it can be stopped and started again; then ``elapsed`` is of what was left.
"""

from __future__ import annotations

import time

import over_seeds

from asgml_core import profile, results, run_all, study, tables
from asgml_core.paths import outputs_folder
from asgml_core.profiles import profile_name


def main() -> None:
    parser = over_seeds.parser(__doc__)
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16 (default: fp32)")
    given = parser.parse_args()
    options = {"path": given.data} if given.data else {}
    plan = []
    for seed in given.seeds:
        base = profile(given.dataset, seed=seed, options=options, precision=given.precision)
        plan += [study.config(name, base) for name in study.group("multi_seed")]
    folder = outputs_folder() / f"{given.dataset}-{profile_name(given.dataset)}-{given.precision}"
    started = time.perf_counter()
    records = run_all(plan, folder, workers=given.workers)
    elapsed = round(time.perf_counter() - started, 1)
    command = (
        over_seeds.command("multi_seed", given)
        + f" --workers {given.workers} --precision {given.precision}"
    )
    came_from = results.came_from(command, records) | {"elapsed": elapsed}
    name = f"multi_seed_{given.dataset}"
    if given.precision != "fp32":
        name += f"_{given.precision}"
    measured = tables.accuracies(records)
    print(results.write(name, measured, came_from))
    print(results.write(f"{name}_summary", tables.summary(measured), came_from))
    print(results.write(f"{name}_differences", tables.from_baseline(measured), came_from))
    print(f"{len(records)} runs in {elapsed / 60:.1f} minutes")


if __name__ == "__main__":
    main()
