"""How fast a sweep gets through its runs: one worker, two, and two on Ray and on Slurm.

    python benchmarks/engines.py [--seconds 30] [--runs 4] [--repeats 3] [--engines local ray slurm]

The runs are the baseline on the default data, seed by seed, with as many epochs as make one of them
take about ``--seconds``. ``seconds`` is from the first claim of a run to the last record, the start
of Python included where a worker starts late; ``seconds, whole call`` has the start of the engine
and of the workers too. ``speed-up`` is over one local worker in the same turn: two on two free
cores reach 2 at most. Slurm is a server of one node on this machine, started for it (root, and
``apt install slurm-wlm munge``); Ray is one of its own. What is not there is left out and named.
Writes ``book/results/engines.csv``.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measuring
import torch

from asgml_core import RunConfig, profile, run, run_all, study
from asgml_core.engines import ENGINES, EngineError, make_engine
from asgml_core.sweep import available_cores

#: Epochs of the two runs that tell how long an epoch takes.
FEW, MORE = 1, 4


def baseline(epochs: int, seed: int = 0) -> RunConfig:
    return study.config("baseline", profile("synth", seed=seed, epochs=epochs))


def epochs_for(seconds: float) -> int:
    """Return how many epochs make a run take about so many seconds in this process."""
    taken = []
    for epochs in (FEW, FEW, MORE):  # the first one loads what all of them need
        with tempfile.TemporaryDirectory() as folder:
            config = baseline(epochs)
            taken.append(measuring.seconds(lambda c=config, f=folder: run(c, f, progress=False)))
    epoch = (taken[2] - taken[1]) / (MORE - FEW)
    return max(1, round((seconds - taken[1]) / epoch) + FEW)


def sweep(engine: str, workers: int, configs: Sequence[RunConfig]) -> dict[str, Any]:
    """Do a sweep from nothing; return its times and a hash of all weights."""
    with tempfile.TemporaryDirectory() as name:
        folder, first, over = Path(name), [], threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                if any((folder / "sweep").glob("*/state.json")):
                    first.append(time.time())
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            began = time.time()
            records = run_all(configs, folder, workers=workers, engine=engine, progress=False)
            whole = time.time() - began
        finally:
            over.set()
            watcher.join()
        last = max((record.folder / "record.json").stat().st_mtime for record in records)
        return {"work": last - first[0], "whole": whole, "weights": _hash(records)}


def _hash(records: Sequence[Any]) -> str:
    said = hashlib.sha256()
    for record in records:
        weights = torch.load(record.folder / "last.pt", weights_only=True)["model"]
        for name in sorted(weights):
            said.update(weights[name].numpy().tobytes())
    return said.hexdigest()


def open_engines(wanted: Sequence[str], stack: contextlib.ExitStack) -> dict[str, str]:
    """Start the server that an engine needs; return why each that is not there is left out."""
    left_out = {}
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engines"))
    server = importlib.import_module("slurm_server")
    for name in wanted:
        try:
            if name == "slurm":
                stack.enter_context(server.slurm_server())
            make_engine(name)
        except (EngineError, server.NoServer) as error:
            left_out[name] = str(error)
            print(f"{name} is left out: {error}")
    return left_out


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="of one run (default: 30)")
    parser.add_argument("--runs", type=int, default=4, help="of a sweep (default: 4)")
    parser.add_argument("--repeats", type=int, default=3, help="of each sweep (default: 3)")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with contextlib.ExitStack() as stack:
        left_out = open_engines([name for name in given.engines if name != "local"], stack)
        epochs = epochs_for(given.seconds)
        configs = [baseline(epochs, seed) for seed in range(given.runs)]
        writer = measuring.Writer(
            "engines", given, cores=available_cores(), epochs=epochs, left_out=left_out
        )
        others = [n for n in given.engines if n not in ("local", *left_out)]
        ways = [("local", 1), ("local", 2), *((name, 2) for name in others)]
        found: dict[tuple[str, int], list[dict[str, Any]]] = {way: [] for way in ways}
        for _ in range(given.repeats):
            for way, taken in found.items():  # in turn: a busy moment hits all alike
                taken.append(sweep(*way, configs))
                print(way, {k: v for k, v in taken[-1].items() if k != "weights"}, flush=True)
    writer.write("engines", [_row(way, found, given.runs) for way in ways])


def _row(
    way: tuple[str, int], found: dict[tuple[str, int], list[dict[str, Any]]], runs: int
) -> dict[str, Any]:
    def column(way: tuple[str, int], name: str) -> list[Any]:
        return [taken[name] for taken in found[way]]

    first = ("local", 1)
    work, whole = column(way, "work"), column(way, "whole")
    return {
        "engine": way[0],
        "workers": way[1],
        "runs": runs,
        "n": len(work),
        **measuring.spread("seconds", work),
        **measuring.spread("seconds, whole call", whole),
        **measuring.spread("speed-up", measuring.ratios(column(first, "work"), work)),
        **measuring.spread("speed-up, whole call", measuring.ratios(column(first, "whole"), whole)),
        "same weights": len({*column(first, "weights"), *column(way, "weights")}) == 1,
    }


if __name__ == "__main__":
    main()
