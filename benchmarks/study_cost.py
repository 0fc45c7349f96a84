"""What the study would cost on the device at hand: seconds a step, a run, and all 87 runs.

    python benchmarks/study_cost.py [--device cuda] [--steps 105] [--precision bf16] [--batch 64]

Random data in the shapes of CREMA-D as it is prepared: one frame of 360 x 480 x 3 bytes, which the
device crops and resizes to 224 x 224, and spectrograms of 257 x 188. Only as many items are made as
``--steps`` training batches and ``--test`` test items need. An epoch of those steps and an
evaluation of those items are timed, and scaled up to the study's: 6698 training clips, 105 steps
at a batch of 64, 744 test clips, 100 epochs. The run is by default the study's baseline; ``--run``
takes another of ``asgml runs``. Loading, checkpoints and the probes at the end are not in it.

The roofline is the time of the training's convolutions and matrix products alone, counted forward
and backward, at the FLOP/s of large square matrix products on this device in float32, or for bf16
in the faster of the two. Writes ``book/results/study_cost.csv``, or another name, such as
``--name study_cost_h100``; the notebook shows all tables whose names begin so.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
from functools import partial
from typing import Any

import measuring
import torch

from asgml_core import study
from asgml_core.config import RunConfig
from asgml_core.datasets import MultimodalDataset, Part
from asgml_core.datasets.transforms import Floats, Pictures
from asgml_core.models import build_model
from asgml_core.runs import build_modulator
from asgml_core.trainer import Trainer

TRAIN_ITEMS, TEST_ITEMS, EPOCHS, RUNS = 6698, 744, 100, 87
FRAME, SPECTROGRAM, PIXELS = (1, 360, 480, 3), (1, 257, 188), 224


def stored_part(items: int, name: str) -> Part:
    """Return items as a cache of CREMA-D keeps them, with random contents."""
    draw = torch.Generator().manual_seed(0)
    part = measuring.random_part({"audio": SPECTROGRAM}, items, name)
    frames = torch.randint(256, (items, *FRAME), dtype=torch.uint8, generator=draw)
    return dataclasses.replace(
        part, inputs={"audio": part.inputs["audio"].half(), "visual": frames}
    )


def stored_data(train: int, test: int) -> MultimodalDataset:
    return MultimodalDataset(
        name="random",
        classes=tuple(f"class {c}" for c in range(measuring.CLASSES)),
        train=stored_part(train, "train"),
        test=stored_part(test, "test"),
        transforms={"audio": Floats(), "visual": Pictures(size=PIXELS)},
    )


def make_config(run: str, precision: str, given: argparse.Namespace) -> RunConfig:
    base = measuring.make_config(
        precision,
        train={"batch_size": given.batch},
        threads=given.threads,
        device=given.device,
        execution=given.execution,
        deterministic=not given.fast,
    )
    return study.config(run, base)


def work_of_a_pair(data: MultimodalDataset) -> float:
    """Return the GFLOP of a training step for one item."""
    net = build_model(data.shapes, measuring.CLASSES)
    return measuring.flops(net, data.shapes)[1] / 1e9


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    peaks = measuring.Peaks(given.precision, given.device)
    data = stored_data(given.steps * given.batch, given.test)
    calls = {}
    for precision in given.precision:
        config = make_config(given.run, precision, given)
        net = build_model(data.shapes, measuring.CLASSES)
        trainer = Trainer(config, data, net, build_modulator(config))
        calls[precision, "train"] = partial(measuring.train_epoch, trainer)
        calls[precision, "test"] = partial(measuring.evaluate, trainer)
    times = measuring.in_turn(calls, given.repeats, given.warmup, given.device)
    work = work_of_a_pair(data)
    steps = {p: [t / given.steps for t in times[p, "train"]] for p in given.precision}
    tests = {p: [t * TEST_ITEMS / given.test for t in times[p, "test"]] for p in given.precision}
    peaks.look()
    return [row_of(p, steps, tests, work, peaks.roof(p), given) for p in given.precision]


def row_of(
    precision: str,
    steps: dict[str, list[float]],
    tests: dict[str, list[float]],
    work: float,
    peak: float,
    given: argparse.Namespace,
) -> dict[str, Any]:
    """Return the costs in one precision; the first precision is what ratios are to."""
    epoch = math.ceil(TRAIN_ITEMS / given.batch)
    runs = [
        EPOCHS * (epoch * step + test)
        for step, test in zip(steps[precision], tests[precision], strict=True)
    ]
    roofline = TRAIN_ITEMS * EPOCHS * work * 1e9 / peak
    training = EPOCHS * epoch * statistics.median(steps[precision])
    first = given.precision[0]
    return {
        "run": given.run,
        "precision": precision,
        "execution": given.execution + (", fast" if given.fast else ""),
        "batch": given.batch,
        "n": len(runs),
        "steps measured": len(runs) * given.steps,
        **measuring.spread(f"times {first}", measuring.ratios(steps[first], steps[precision])),
        "% of roofline": 100 * roofline / training,
        **measuring.spread("seconds a step", steps[precision]),
        **measuring.spread("seconds of tests an epoch", tests[precision]),
        **measuring.spread("seconds a run", runs),
        f"hours for {RUNS} runs": RUNS * statistics.median(runs) / 3600,
        "GFLOP a pair": work,
        "matmul TFLOP/s": peak / 1e12,
        "roofline, seconds a run": roofline,
    }


def main() -> None:
    parser = measuring.parser(__doc__, device=True)
    measuring.add_precision(parser)
    measuring.add_execution(parser)
    parser.add_argument("--run", default="baseline", help="a run of 'asgml runs' (baseline)")
    parser.add_argument("--steps", type=int, default=2, help="an epoch, measured (default: 2)")
    parser.add_argument("--test", type=int, default=64, help="test items (default: 64)")
    parser.add_argument("--batch", type=int, default=64, help="items (default: 64)")
    parser.add_argument("--repeats", type=int, default=5, help="epochs of each (default: 5)")
    parser.add_argument("--warmup", type=int, default=1, help="before them (default: 1)")
    parser.add_argument("--name", default="study_cost", help="of the table (study_cost)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    writer = measuring.Writer("study_cost", given, scaled_to=f"{TRAIN_ITEMS} x {EPOCHS} clips")
    writer.write(given.name, measure(given))


if __name__ == "__main__":
    main()
