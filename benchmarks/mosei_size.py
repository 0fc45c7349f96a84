"""What MOSEI costs in disk and time, on a made-up file of its size.

    python benchmarks/mosei_size.py --folder /tmp/made_up_mosei

The file has the keys, types and sizes of MMSA's ``aligned_50.pkl`` (22,856 items) and random
numbers in it, so nothing is learnt: only what it takes is measured. It needs 9 GB of disk and 8 GB
of memory, which are given back at the end. Writes ``book/results/mosei_size.csv``.
"""

from __future__ import annotations

import argparse
import pickle
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asgml_core import profile, results, run
from asgml_core.config import RunConfig
from asgml_core.datasets import load
from asgml_core.preparing.mmsa import mosei
from asgml_core.preparing.runner import prepare
from asgml_core.provenance import provenance

PARTS = {"train": 16326, "valid": 1871, "test": 4659}
STEPS, FEATURES = 50, {"audio": 74, "vision": 35, "text": 768}
WORDS = np.array(["Negative", "Neutral", "Positive"])


def made_up(name: str, count: int, random: np.random.Generator) -> dict[str, Any]:
    """Return a part with the types of the real one and random numbers."""
    words = random.integers(5, STEPS + 1, count)
    mask = (np.arange(STEPS) < words[:, None]).astype(np.int64)
    part: dict[str, Any] = {"id": np.array([f"{name}{i // 7:06d}$_${i % 7}" for i in range(count)])}
    for m, features in FEATURES.items():
        values = random.standard_normal((count, STEPS, features), dtype=np.float32)
        values *= mask[:, :, None]
        part[m] = values if m == "text" else values.astype(np.float64)
    sentiments = random.integers(-9, 10, count) / 3
    part["text_bert"] = np.stack([mask, mask, mask * 0], 1)
    part["raw_text"] = np.array(["WORDS " * 250] * count)
    part["annotations"] = WORDS[np.sign(sentiments).astype(int) + 1]
    part["classification_labels"] = np.sign(sentiments) + 1
    part["regression_labels"] = sentiments
    return part


def write(file: Path) -> None:
    """Write the made-up file."""
    random = np.random.default_rng(0)
    content = {name: made_up(name, count, random) for name, count in PARTS.items()}
    with file.open("wb") as handle:
        pickle.dump(content, handle, 4)


def own_memory() -> float:
    """Return this process's memory in GB, without what it only maps from files."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e9
    return float("nan")


def measured(step: str, call: Callable[[], Any], rows: list[dict[str, Any]]) -> Any:
    """Call, and add what it took to the rows."""
    ended, peak = threading.Event(), [own_memory()]

    def watch() -> None:
        while not ended.wait(0.05):
            peak.append(own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    try:
        return call()
    finally:
        seconds = round(time.perf_counter() - started, 1)
        ended.set()
        watcher.join()
        rows.append({"step": step, "s": seconds, "GB of memory": round(max(peak), 1)})
        print(rows[-1], flush=True)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="a new folder for the files")
    parser.add_argument("--threads", type=int, default=2, help="of training (default: 2)")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    started = time.perf_counter()
    try:
        table = measure(given.folder, given.threads)
    finally:
        shutil.rmtree(given.folder)
    said = {"command": f"python benchmarks/mosei_size.py --threads {given.threads}"}
    said |= provenance("cpu", given.threads)
    said["wall_time"] = round(time.perf_counter() - started, 1)
    print(table.to_string(index=False))
    print(results.write("mosei_size", table, said))


def measure(folder: Path, threads: int) -> pd.DataFrame:
    """Return what each step took."""
    rows: list[dict[str, Any]] = []
    write(folder / "aligned_50.pkl")
    size = (folder / "aligned_50.pkl").stat().st_size / 1e9
    plan = measured(f"list the file of {size:.2f} GB", lambda: mosei(folder), rows)
    cache = measured("prepare, 1 process", lambda: prepare(plan, folder / "cache", workers=0), rows)
    disk = sum(file.stat().st_size for file in cache.folder.glob("*")) / 1e9
    rows[-1]["step"] += f" (a cache of {disk:.2f} GB)"
    configs: dict[str, RunConfig] = {
        name: profile("mosei", name, epochs=1, options={"path": str(cache.folder)}, threads=threads)
        for name in ("mosei", "mosei_mean")
    }
    measured("load", lambda: load(configs["mosei"]), rows)
    for name, config in configs.items():
        call = lambda config=config: run(config, folder / config.data.name, again=True)  # noqa: E731
        measured(f"load and one epoch, profile {name}, {threads} threads", call, rows)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
