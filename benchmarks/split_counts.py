"""How many items of each class the parts of the published splits have. Counts only, no names.

    python benchmarks/split_counts.py --splits DIR

``DIR`` holds a folder for each dataset whose files are there: ``cremad*`` with ``train.csv`` and
``test.csv``, ``ave*`` with ``trainSet.txt``, ``valSet.txt`` and ``testSet.txt``, and
``kinetics_sounds*`` with ``my_train.txt`` and ``my_test.txt``. No clip is needed. Writes
``book/results/<dataset>_classes.csv`` and, for CREMA-D, ``cremad_splits.csv``: all its splits, the
speaker folds too, with the actors, and the test clips whose actor and sentence are in training.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from asgml_core import results
from asgml_core.preparing import preparer
from asgml_core.preparing.plan import Plan
from asgml_core.provenance import provenance

PARTS = ("train", "valid", "test")
DATASETS = ("cremad", "ave", "kinetics_sounds")


def plan_without_clips(dataset: str, splits: Path) -> Plan:
    """Return the plan of a download that has the split files and not one clip."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("VideoFlash", "AudioWAV", "AVE"):
            (Path(scratch) / name).mkdir()
        return preparer(dataset)(Path(scratch), splits=splits)


def count_classes(plan: Plan) -> pd.DataFrame:
    """Return the items of each class in each part of the plan's first split."""
    split = next(iter(plan.splits.values())).parts
    labels = {item.id: item.label for item in plan.items}
    parts = [part for part in PARTS if part in split.values()]
    counts = pd.DataFrame(0, index=list(plan.classes), columns=parts)
    for item, part in split.items():
        counts.loc[labels[item], part] += 1
    counts.loc["all"] = counts.sum()
    counts["share (%)"] = (100 * counts.sum(axis=1) / len(split)).map("{:.1f}".format)
    return counts.rename_axis("class").reset_index()


def count_actors(plan: Plan) -> pd.DataFrame:
    """Return clips and actors of each part of every split of CREMA-D, and who is in two parts."""
    rows = []
    for name, split in plan.splits.items():
        members = {part: [c for c, p in split.parts.items() if p == part] for part in PARTS}
        actors = {part: {clip[:4] for clip in clips} for part, clips in members.items()}
        spoken = {clip[:8] for clip in members["train"]}
        seen = sum(clip[:8] in spoken for clip in members["test"])
        rows.append(
            {"split": name}
            | {part: len(members[part]) for part in PARTS}
            | {f"{part} actors": len(actors[part]) for part in PARTS}
            | {"actors in train and test": len(actors["train"] & actors["test"])}
            | {"test clips whose actor and sentence are in train": seen}
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Count what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=Path, required=True, help="a folder of folders")
    given = parser.parse_args()
    started = time.perf_counter()
    found = {
        dataset: folder
        for dataset in DATASETS
        for folder in sorted(given.splits.glob(f"{dataset}*"))
        if folder.is_dir()
    }
    if not found:
        sys.exit(f"{given.splits} has no folder named after {', '.join(DATASETS)}.")
    said = {"command": "python benchmarks/split_counts.py --splits DIR", **provenance("cpu", 1)}
    for dataset, folder in found.items():
        plan = plan_without_clips(dataset, folder)
        said["wall_time"] = round(time.perf_counter() - started, 1)
        print(results.write(f"{dataset}_classes", count_classes(plan), said))
        if dataset == "cremad":
            print(results.write("cremad_splits", count_actors(plan), said))


if __name__ == "__main__":
    main()
