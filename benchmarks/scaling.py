"""How the cost of a whole run grows with epochs, clips, modalities, batch size and width.

    python benchmarks/scaling.py [--repeats 3] [--axes epochs clips modalities batch width]

A run is built and trained, with the evaluation of a few items after each epoch, on random pictures
of 64 x 64 in memory: the unimodal losses, no modulation. From a base run one number is changed at a
time. All runs are taken in turn, and each is repeated. For each axis a line is fitted to the
logarithms (least squares over the medians); its slope is the exponent: 1 is a cost in proportion,
0 no cost. The standard error is that of the slope.

Beside the time stands the share of the roofline: the FLOP of convolutions and matrix products of
the run's steps, forward and backward, taps that meet padding included, over its time, over the
FLOP/s of large square matrix products on the same threads: in float32, and for bf16 in the faster
of the two, since a bf16 network may leave products in float32. Writes
``book/results/scaling.csv``, ``scaling_exponents.csv`` and ``matmul_peaks.csv``.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import measuring
import numpy as np
import torch

from asgml_core.models import build_model
from asgml_core.modulators import Chain, UnimodalLosses
from asgml_core.trainer import batch_rows

BASE = {"epochs": 2, "clips": 256, "modalities": 2, "batch": 64, "width": 16}
AXES: dict[str, tuple[int, ...]] = {
    "epochs": (1, 2, 4, 8),
    "clips": (64, 128, 256, 512, 1024),
    "modalities": (1, 2, 3, 4, 5, 6),
    "batch": (8, 16, 32, 64, 128, 256),
    "width": (8, 16, 32, 64),
}
#: Axes that are measured in every precision; the others in the first alone, to save time.
IN_EVERY_PRECISION = ("width",)
TEST_ITEMS = 8
Point = tuple[str, int, str]  # axis, value, precision


def shapes_of(modalities: int, size: int) -> dict[str, tuple[int, ...]]:
    """Return pictures of one channel, so that all modalities cost the same."""
    return {f"modality_{i}": (1, size, size) for i in range(modalities)}


def whole_run(point: Point, size: int, threads: int) -> Callable[[], None]:
    """Return a run that is built and trained anew on every call; the data are made once."""
    axis, value, precision = point
    at = BASE | {axis: value}
    data = measuring.random_data(shapes_of(at["modalities"], size), at["clips"], TEST_ITEMS)
    config = measuring.make_config(
        precision,
        model={"width": at["width"]},
        train={"batch_size": at["batch"], "epochs": at["epochs"]},
        threads=threads,
    )

    def run() -> None:
        trainer = measuring.make_trainer(config, data, Chain(UnimodalLosses()))
        while not trainer.finished:
            measuring.whole_epoch(trainer)

    return run


def work_of(axis: str, value: int, size: int) -> float:
    """Return the FLOP of a run's training steps."""
    at = BASE | {axis: value}
    shapes = shapes_of(at["modalities"], size)
    net = build_model(shapes, measuring.CLASSES, width=at["width"])
    return measuring.flops(net, shapes)[1] * at["clips"] * at["epochs"]


def steps_of(axis: str, value: int) -> int:
    at = BASE | {axis: value}
    batches = sum(1 for _ in batch_rows(torch.arange(at["clips"]), at["batch"]))
    return batches * at["epochs"]


def exponent(values: Sequence[float], times: Sequence[float]) -> tuple[float, float]:
    """Return the slope of the logarithms by least squares, and its standard error."""
    x, y = np.log(values), np.log(times)
    spread = ((x - x.mean()) ** 2).sum()
    slope = float(((x - x.mean()) * y).sum() / spread)
    left = y - y.mean() - slope * (x - x.mean())
    if len(x) < 3:
        return slope, math.nan
    return slope, float(math.sqrt((left**2).sum() / (len(x) - 2) / spread))


def rows_of(
    times: dict[Point, list[float]], peaks: measuring.Peaks, size: int
) -> list[dict[str, Any]]:
    rows = []
    for point, taken in times.items():
        axis, value, precision = point
        work = work_of(axis, value, size)
        base = times[axis, BASE[axis], precision]
        achieved = work / statistics.median(taken)
        rows.append(
            {
                "axis": axis,
                "value": value,
                "precision": precision,
                "n": len(taken),
                **measuring.spread("times the base", measuring.ratios(taken, base)),
                "% of roofline": 100 * achieved / peaks.roof(precision),
                **measuring.spread("seconds", taken),
                "steps": steps_of(axis, value),
                "GFLOP a step": work / steps_of(axis, value) / 1e9,
                "GFLOP/s": achieved / 1e9,
            }
        )
    return rows


def fits_of(times: dict[Point, list[float]]) -> list[dict[str, Any]]:
    rows = []
    for axis, precision in dict.fromkeys((axis, precision) for axis, _, precision in times):
        points = {v: taken for (a, v, p), taken in times.items() if (a, p) == (axis, precision)}
        medians = [statistics.median(taken) for taken in points.values()]
        slope, error = exponent(list(points), medians)
        rows.append(
            {
                "axis": axis,
                "precision": precision,
                "points": len(points),
                "n": min(map(len, points.values())),
                "exponent": slope,
                "standard error": error,
            }
        )
    return rows


def points_of(given: argparse.Namespace) -> list[Point]:
    return [
        (axis, value, precision)
        for axis in given.axes
        for i, precision in enumerate(given.precision)
        if i == 0 or axis in IN_EVERY_PRECISION
        for value in AXES[axis]
    ]


def main() -> None:
    parser = measuring.parser(__doc__)
    measuring.add_precision(parser)
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--repeats", type=int, default=3, help="of each run (default: 3)")
    parser.add_argument("--size", type=int, default=64, help="height and width (default: 64)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    base = " ".join(f"{name} {value}" for name, value in BASE.items())
    writer = measuring.Writer("scaling", given, base=base)
    peaks = measuring.Peaks(given.precision)
    calls = {p: whole_run(p, given.size, given.threads) for p in points_of(given)}
    next(iter(calls.values()))()  # what is made once in a process is made here
    times = measuring.in_turn(calls, given.repeats, warmup=0)
    peaks.look()
    writer.write("scaling", rows_of(times, peaks, given.size))
    writer.write("scaling_exponents", fits_of(times))
    rows = [{"precision": p, "matmul GFLOP/s": peak / 1e9} for p, peak in peaks.found.items()]
    writer.write("matmul_peaks", rows)


if __name__ == "__main__":
    main()
