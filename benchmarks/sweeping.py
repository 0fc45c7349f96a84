"""What a sweep costs beside its runs: two workers against one, and ten thousand runs planned.

    python benchmarks/sweeping.py throughput [--runs 8] [--seconds 20] [--repeats 3]
    python benchmarks/sweeping.py scale [--runs 10000]

``throughput`` does the same runs with one worker and with two, in turn. ``scale`` plans runs of the
study, and looks at all of them with none begun and with all done, by Python and by the commands;
the records are copies of one. Both print JSON, and write it to ``--out``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from asgml_core import RunConfig, RunRecord, profile, run, study
from asgml_core.claims import SIZE, STATE
from asgml_core.plans import SWEEPS, Plan, plan_of
from asgml_core.provenance import provenance
from asgml_core.sweep import Options, carry_out
from asgml_core.tasks import RECORD

# ---------------------------------------------------------------------- throughput


def throughput(given: argparse.Namespace) -> dict[str, Any]:
    """Time the same runs with one worker and with two, in turn."""
    epochs = _epochs(given.seconds)
    # Equal runs: with others, one of two workers would be idle at the end, by chance more or less.
    configs = [profile("synth", epochs=epochs, seed=seed) for seed in range(given.runs)]
    times: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(given.repeats):
        for workers, found in times.items():
            found.append(_time_sweep(configs, workers))
            print(f"{workers} workers: {found[-1]}", file=sys.stderr, flush=True)
    said: dict[str, Any] = {"runs": given.runs, "epochs of a run": epochs, "turns": given.repeats}
    for what in ("with start-up", "from the first claim to the last record"):
        one, two = ([found[what] for found in times[workers]] for workers in (1, 2))
        ratios = [a / b for a, b in zip(one, two, strict=True)]
        said[what] = {
            "seconds, one worker": [round(value, 2) for value in one],
            "seconds, two workers": [round(value, 2) for value in two],
            "times as fast": [round(value, 3) for value in ratios],
            "median": round(statistics.median(ratios), 3),
        }
    return said


def _epochs(seconds: float) -> int:
    """Return how many epochs a run of so many seconds has."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        for epochs in (1, 1, 3):  # the first one imports and warms up
            started = time.perf_counter()
            run(profile("synth", epochs=epochs), folder, again=True, progress=False)
            taken.append(time.perf_counter() - started)
    each = (taken[2] - taken[1]) / 2
    return max(2, round((seconds - (taken[1] - each)) / each))


def _time_sweep(configs: list[RunConfig], workers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder)
        began: list[float] = []
        watch = threading.Thread(target=_first_claim, args=(outputs, began), daemon=True)
        watch.start()
        started = time.time()
        carry_out(plan_of("speed", configs), outputs, Options(workers=workers, progress=False))
        ended = time.time()
        watch.join()
        records = [outputs / "sweep" / config.folder / RECORD for config in configs]
        last = max(record.stat().st_mtime for record in records)
    return {
        "with start-up": ended - started,
        "from the first claim to the last record": last - began[0],
    }


def _first_claim(outputs: Path, began: list[float]) -> None:
    while not list((outputs / "sweep").glob(f"*/{STATE}")):
        time.sleep(0.01)
    began.append(time.time())


# ---------------------------------------------------------------------- scale

PLAN = """
import sys
from pathlib import Path
from asgml_core import profile, study
from asgml_core.plans import plan_of
base = profile("synth")
names, seeds = sys.argv[2].split(","), range(int(sys.argv[3]))
configs = [study.config(name, base.replace(seed=seed)) for seed in seeds for name in names]
plan_of("scale", configs).save(Path(sys.argv[1]))
"""
LOOK = """
import collections, sys
from pathlib import Path
from asgml_core.plans import saved_plans
outputs = Path(sys.argv[1])
(plan,) = saved_plans(outputs, "scale")
print(collections.Counter(task.look(outputs).kind for task in plan.tasks))
assert "torch" not in sys.modules
"""


def scale(given: argparse.Namespace) -> dict[str, Any]:
    """Time planning and looking at many runs, with the most memory each takes."""
    names = list(dict.fromkeys(named.run_id for named in study.runs()))
    seeds = -(-given.runs // len(names))
    runs, numbers = ",".join(names), f"0-{seeds - 1}"
    with tempfile.TemporaryDirectory() as folder:
        place = [f"--outputs={folder}"]
        asked = ["sweep", "scale", "--runs", runs, "--seeds", numbers, "--plan", *place]
        said: dict[str, Any] = {"runs": seeds * len(names), "steps": {}}
        steps = said["steps"]
        steps["import of torch alone"] = _measure("-c", "import torch")
        steps["make and save a plan"] = _measure("-c", PLAN, folder, runs, str(seeds))
        (path,) = (Path(folder) / SWEEPS).glob("*.json")
        said["megabytes of the plan"] = round(path.stat().st_size / 1e6, 1)
        for state in ("none begun", "all done"):
            if state == "all done":
                fill(Path(folder), path)
            steps[f"look, {state}"] = _measure("-c", LOOK, folder)
            steps[f"asgml sweep --plan, {state}"] = _measure("-m", "asgml_core.cli", *asked)
            steps[f"asgml status, {state}"] = _measure("-m", "asgml_core.cli", "status", *place)
        steps["asgml report, all done"] = _measure("-m", "asgml_core.cli", "report", *place)
    return said


#: Starts a command and says what it took: memory that a process has before it turns into another
#: counts as the other's, so that a large process cannot ask for itself.
WATCH = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE,
                      stderr=subprocess.STDOUT, text=True)
seconds = time.perf_counter() - started
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([seconds, most, done.returncode, done.stdout.strip().splitlines()[-1:]]))
"""


def _measure(*arguments: str) -> dict[str, Any]:
    """Run Python, and return its seconds and its largest memory; or what went wrong."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *arguments], capture_output=True, text=True, check=True
    )
    seconds, kilobytes, status, last = json.loads(done.stdout)
    found = {"seconds": round(seconds, 2), "megabytes": round(kilobytes * 1024 / 1e6)}
    if status:
        found |= {"status": status, "said": last}
    print(f"{arguments[1][:40]!r}: {found}", file=sys.stderr, flush=True)
    return found


def fill(outputs: Path, path: Path) -> None:
    """Write a record and a state for every run of a plan, as if all were done."""
    tiny = profile("synth", epochs=1, options={"train": 64, "test": 32})
    tiny = tiny.replace(model={"width": 2, "stem": "small"})
    with tempfile.TemporaryDirectory() as folder:
        values = run(tiny, folder, progress=False).values
    for task in Plan.load(path).tasks:
        values = {**values, "config": task.values}
        values["identity"] = {**values["identity"], "key": task.key}
        state = {"state": "done", "key": task.key, "epoch": task.size, "epochs": task.size}
        place = task.place(outputs)
        place.parent.mkdir(parents=True)
        place.write_bytes(json.dumps(state).encode().ljust(SIZE - 1) + b"\n")
        (place.parent / RECORD).write_text(json.dumps(values))
    RunRecord.load(place.parent)  # the copies are records


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("throughput", "scale"))
    parser.add_argument("--runs", type=int, help="how many (default: 8, or 10000)")
    parser.add_argument("--seconds", type=float, default=20, help="of a run (default: 20)")
    parser.add_argument("--repeats", type=int, default=3, help="turns (default: 3)")
    parser.add_argument("--out", type=Path, help="a file for the result")
    given = parser.parse_args()
    given.runs = given.runs or {"throughput": 8, "scale": 10_000}[given.what]
    found = throughput(given) if given.what == "throughput" else scale(given)
    text = json.dumps({**found, **provenance("cpu", 1)}, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
