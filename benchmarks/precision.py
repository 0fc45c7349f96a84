"""Whether bfloat16 learns what float32 learns: the same runs in both, over seeds.

    python benchmarks/precision.py [--dataset grid] [--seeds 42 0] [--workers 2] [--data FILE]

The study's baseline on the dataset's default profile, in both precisions with each seed, so that
both have the same data, first weights and order of batches. Writes
``book/results/precision_<dataset>.csv`` with one row a seed and its provenance: accuracies on the
test part in per cent, their difference, and the seconds of each run. Runs are kept in ``outputs``,
so that it can be stopped and started again.
"""

from __future__ import annotations

import over_seeds
import pandas as pd

from asgml_core import profile, results, run_all, study
from asgml_core.paths import outputs_folder
from asgml_core.profiles import profile_name
from asgml_core.records import RunRecord

PRECISIONS = ("fp32", "bf16")


def row(seed: int, records: dict[str, RunRecord]) -> dict[str, float]:
    """Return what came out with one seed, in both precisions."""
    said: dict[str, float] = {"seed": seed}
    for selection in ("validation", "last"):
        for precision, record in records.items():
            accuracy = 100 * record.selections[selection]["accuracy"]
            said[f"{selection}, {precision}"] = accuracy
        one, other = (said[f"{selection}, {precision}"] for precision in PRECISIONS)
        said[f"{selection}, difference"] = other - one
    for precision, record in records.items():
        said[f"seconds, {precision}"] = record.provenance["wall_time"]
    return said


def main() -> None:
    given = over_seeds.parser(__doc__).parse_args()
    options = {"path": given.data} if given.data else {}
    records = {}
    for precision in PRECISIONS:
        plan = [
            study.config(
                "baseline",
                profile(given.dataset, seed=seed, options=options, precision=precision),
            )
            for seed in given.seeds
        ]
        name = f"{given.dataset}-{profile_name(given.dataset)}-{precision}"
        records[precision] = run_all(plan, outputs_folder() / name, workers=given.workers)
    pairs = zip(*records.values(), strict=True)
    table = pd.DataFrame(
        [row(seed, dict(zip(PRECISIONS, both, strict=True)))
         for seed, both in zip(given.seeds, pairs, strict=True)]
    )  # fmt: skip
    command = over_seeds.command("precision", given)
    came_from = results.came_from(command, [r for runs in records.values() for r in runs])
    print(results.write(f"precision_{given.dataset}", table, came_from))
    for selection in ("validation", "last"):
        apart = table[f"{selection}, difference"]
        error = apart.std() / len(apart) ** 0.5
        print(f"{selection}: bf16 - fp32 = {apart.mean():.2f} ± {error:.2f} points")


if __name__ == "__main__":
    main()
