"""Kill a sweep again and again, and compare what it ends with to a sweep that was left alone.

    python benchmarks/soak.py [--runs 24] [--kills 50] [--seed 0] [--workers 2] [--out FILE]

The runs are short and write a checkpoint after every epoch. Kills are SIGKILL: of the whole process
group, of one worker, which the sweep has to replace, or of the sweep alone, whose workers have to
end by themselves. Two of three are aimed at the moment at which a file is being written. When all
runs of a folder are done before all kills have hit, the next folder begins. Every record, weight,
table and event has to be the undisturbed sweep's, bit for bit; else the exit status is 1.
"""

from __future__ import annotations

import argparse
import collections
import functools
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asgml_core import RunConfig, profile, study
from asgml_core.claims import STATE, is_held, read_state
from asgml_core.plans import SWEEPS, plan_of
from asgml_core.provenance import provenance
from asgml_core.sweep import Options, carry_out

METHODS = (
    "boost_ogm", "p1_combo1", "p1_stale_combo", "early_miles_paper", "cont_noise", "baseline",
    "boost_noise", "early_ogmge_a080",
)  # fmt: skip
#: How often each kind of kill is drawn, and the share that waits for a file being written.
KINDS, AIMED = {"group": 4, "worker": 4, "parent": 2}, 2 / 3
#: Bounds against hanging, in seconds: for something to begin, for a write, and for an end.
BEGIN, WRITE, END = 120.0, 20.0, 60.0
#: Starts, at most, to finish a folder that nobody disturbs any more, and of one that fails at once.
TRIES = 5


def configs(runs: int, epochs: int) -> list[RunConfig]:
    """Return short runs: every method in turn, on tiny data."""
    found = []
    for number in range(runs):
        seed, method = divmod(number, len(METHODS))
        base = profile("synth", seed=seed, epochs=epochs, options={"train": 96, "test": 48})
        base = base.replace(model={"width": 2, "stem": "small"}, train={"batch_size": 16})
        found.append(study.config(METHODS[method], base))
    return found


def sweep(given: argparse.Namespace, outputs: Path) -> None:
    """Do all runs as the leader of a process group: what is killed."""
    os.setsid()
    log = os.open(outputs / "sweep.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    options = Options(workers=given.workers, progress=False, checkpoint_seconds=0)
    carry_out(plan_of("soak", configs(given.runs, given.epochs)), outputs, options)


# ---------------------------------------------------------------------- processes


class Group:
    """A sweep as a process group of its own."""

    def __init__(self, given: argparse.Namespace, outputs: Path) -> None:
        outputs.mkdir(parents=True, exist_ok=True)
        # Forked, with everything imported; its workers are started as everybody's are.
        context = multiprocessing.get_context("fork")
        self.parent = context.Process(target=sweep, args=(given, outputs))
        self.parent.start()

    def wait(self) -> int | None:
        """Wait for the sweep's end, and return its exit status."""
        self.parent.join(END * 60)
        return self.parent.exitcode

    def members(self) -> list[int]:
        """Return the processes of the group that are there, and not only waited for."""
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and (said := _stat(int(entry.name))):
                state, _, group = said[:3]
                if group == str(self.parent.pid) and state not in "ZX":
                    found.append(int(entry.name))
        return found

    def kill(self) -> None:
        """Kill all of it."""
        os.killpg(self.parent.pid, signal.SIGKILL)
        self.parent.join()
        self.wait_for_end()

    def wait_for_end(self) -> float:
        """Wait until nobody is left, and return how long it took."""
        started = time.monotonic()
        _until(lambda: not self.members(), END, "the end of a process group")
        return time.monotonic() - started


def _stat(process: int) -> list[str]:
    """Return the state, the parent, the group and so on of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _until(true: Any, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come in {seconds:.0f} s")
        time.sleep(0.01)


def temporary(outputs: Path) -> Iterator[Path]:
    """Give the files that are being written, or were when their process was killed."""
    for folder in (outputs / SWEEPS, *_folders(outputs)):
        try:
            entries = os.scandir(folder)
        except FileNotFoundError:
            continue
        for entry in entries:
            if entry.name.endswith(".tmp"):
                yield Path(entry.path)


def _folders(outputs: Path) -> list[Path]:
    return sorted((outputs / "sweep").glob("*/"))


# ---------------------------------------------------------------------- kills


class Soak:
    """Kills, until there were as many as wanted."""

    def __init__(self, given: argparse.Namespace, outputs: Path) -> None:
        self.given = given
        self.outputs = outputs
        self.draw = random.Random(given.seed)
        self.kills: collections.Counter[str] = collections.Counter()
        self.said: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.resumed: set[tuple[str, str, int]] = set()
        self.left: set[Path] = set()
        self.folders: list[Path] = []

    def go(self) -> None:
        """Kill sweeps, folder after folder, and let the last one of each folder end."""
        while not self.folders or self.kills.total() < self.given.kills:
            folder = self.outputs / f"killed{len(self.folders)}"
            self.folders.append(folder)
            group = Group(self.given, folder)
            failed = 0
            while self.kills.total() < self.given.kills and self._hit(group, folder):
                if group.parent.exitcode is not None:
                    failed = failed + 1 if group.parent.exitcode > 0 else 0
                    if failed == TRIES:
                        break
                    group = self._again(folder)
            for _ in range(TRIES):
                if group.wait() == 0:
                    break
                self.said["sweeps that failed"] += 1
                group = self._again(folder)
            else:
                raise SystemExit(f"the sweep goes on failing: {_log(folder)}")
            self._note(folder)

    def _again(self, folder: Path) -> Group:
        self.said["restarts"] += 1
        return Group(self.given, folder)

    def _hit(self, group: Group, folder: Path) -> bool:
        """Kill once; return whether there was somebody to kill."""
        kind = self.draw.choices([*KINDS], KINDS.values())[0]
        aimed = self.draw.random() < AIMED
        skip, pause = self.draw.randrange(6), self.draw.uniform(0.0, 1.2)
        at_work = functools.partial(self._workers, group, folder)
        _until(lambda: at_work() or group.parent.exitcode is not None, BEGIN, "a worker")
        victim = self._wait_for_write(group, folder, skip) if aimed else None
        if victim is None:
            time.sleep(pause)
            workers = at_work()
            if not workers:
                return group.parent.exitcode != 0  # None: between two runs; others: starts again
            victim = self.draw.choice(workers)
        else:
            self.said["aimed at writing"] += 1
        self._kill(kind, victim, group)
        self.kills[kind] += 1
        # One that is left was cut short: nobody is there who could rename or remove it.
        cut = set(_left(folder)) - self.left
        self.said["that cut a write short"] += bool(cut)
        self.left |= cut
        self._note(folder)
        return True

    def _kill(self, kind: str, victim: int, group: Group) -> None:
        if kind == "group":
            group.kill()
        elif kind == "worker":
            os.kill(victim, signal.SIGKILL)
            _until(lambda: not _is_there(victim), END, "the end of a worker")
        else:
            group.parent.kill()
            group.parent.join()
            self.slowest = max(self.slowest, group.wait_for_end())

    def _wait_for_write(self, group: Group, folder: Path, skip: int) -> int | None:
        """Wait for a file being written, not the first; return who writes it."""
        seen: set[Path] = set(temporary(folder))  # left by kills before
        end = time.monotonic() + WRITE
        while time.monotonic() < end and group.parent.exitcode is None:
            for path in temporary(folder):
                if path in seen:
                    continue
                seen.add(path)
                if len(seen) > skip and path.parent.name != SWEEPS:
                    return read_state(path.parent / STATE).get("pid")
            time.sleep(0.0005)  # a write takes some milliseconds
        return None

    def _workers(self, group: Group, folder: Path) -> list[int]:
        """Return the processes of a group that are at work on a run."""
        found = []
        for place in _folders(folder):
            said = read_state(place / STATE)
            if said.get("state") == "running" and is_held(place / STATE):
                process = _stat(said["pid"])
                if process and process[2] == str(group.parent.pid):
                    found.append(said["pid"])
        return found

    def _note(self, outputs: Path) -> None:
        for folder in _folders(outputs):
            if said := read_state(folder / STATE).get("resumed"):
                self.resumed.add((outputs.name, folder.name, said))


def _is_there(process: int) -> bool:
    said = _stat(process)
    return bool(said) and said[0] not in "ZX"


def _left(outputs: Path) -> list[Path]:
    """Return the temporary files of runs at which nobody is at work."""
    return [path for path in temporary(outputs) if not is_held(path.parent / STATE)]


# ---------------------------------------------------------------------- comparing


def differences(whole: Path, killed: Path) -> tuple[int, list[str]]:
    """Return how many things were compared, and those that are not equal."""
    names = [folder.name for folder in _folders(whole)]
    found = []
    if names != [folder.name for folder in _folders(killed)]:
        found.append(f"{killed.name}: not the same runs")
    found += [f"{path.parent.name}/{path.name} is left" for path in temporary(killed)]
    compared = 0
    for name in names:
        one, other = (contents(outputs / "sweep" / name) for outputs in (whole, killed))
        compared += len(one)
        unequal = [k for k in one.keys() | other.keys() if one.get(k) != other.get(k)]
        found += [f"{killed.name}/{name}: {what}" for what in sorted(unequal)]
    return compared, found


def contents(folder: Path) -> dict[str, Any]:
    """Return all that a run left, by file and name, in a form that ``==`` compares by bits."""
    record = json.loads((folder / "record.json").read_text())
    for name in ("wall_time", "commit", "finished"):
        del record["provenance"][name]
    found: dict[str, Any] = {f"record {name}": value for name, value in record.items()}
    for file in ("last.pt", "chosen.pt"):
        for name, value in torch.load(folder / file, weights_only=True)["model"].items():
            found[f"{file} {name}"] = (value.dtype, value.shape, value.numpy().tobytes())
    for file in ("steps.npz", "predictions.npz"):
        with np.load(folder / file, allow_pickle=False) as arrays:
            for name, value in arrays.items():
                found[f"{file} {name}"] = (value.dtype, value.shape, value.tobytes())
    found["epochs.csv"] = (folder / "epochs.csv").read_bytes()
    return found | {f"events {tag}": values for tag, values in events(folder / "events").items()}


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard shows of a run: the steps and values of every tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    shown.Reload()
    return {tag: [(e.step, e.value) for e in shown.Scalars(tag)] for tag in shown.Tags()["scalars"]}


# ---------------------------------------------------------------------- all of it


def _log(outputs: Path) -> str:
    """Return the end of what a sweep printed, which is gone with its folder."""
    return (outputs / "sweep.log").read_text(errors="replace")[-2000:]


def soak(given: argparse.Namespace, outputs: Path) -> dict[str, Any]:
    """Do both sweeps and return what there is to say."""
    started = time.perf_counter()
    alone = Group(given, outputs / "whole")
    if alone.wait() != 0:
        raise SystemExit(f"the undisturbed sweep failed: {_log(outputs / 'whole')}")
    undisturbed = time.perf_counter() - started
    it = Soak(given, outputs)
    it.go()
    results = [differences(outputs / "whole", folder) for folder in it.folders]
    unequal = [each for _, found in results for each in found]
    return {
        "runs": given.runs,
        "epochs": given.epochs,
        "workers": given.workers,
        "seed": given.seed,
        "kills": {"all": it.kills.total(), **it.kills},
        **it.said,
        "times that a run went on from a checkpoint": len(it.resumed),
        "slowest end of workers without their sweep, in seconds": round(it.slowest, 2),
        "folders": len(it.folders),
        "things compared": sum(compared for compared, _ in results),
        "different": len(unequal),
        "differences": unequal[:20],
        "seconds": {
            "undisturbed": round(undisturbed, 1),
            "all": round(time.perf_counter() - started, 1),
        },
        **provenance("cpu", 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=24, help="of the sweep (default: 24)")
    parser.add_argument("--epochs", type=int, default=10, help="of a run (default: 10)")
    parser.add_argument("--kills", type=int, default=50, help="in all (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    parser.add_argument("--workers", type=int, default=2, help="at once (default: 2)")
    parser.add_argument("--out", type=Path, help="a file for the summary")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        summary = soak(given, Path(folder))
    text = json.dumps(summary, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    return 1 if summary["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
