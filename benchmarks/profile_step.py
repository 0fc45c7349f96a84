"""Where the time of a training step goes, by share.

    python benchmarks/profile_step.py [--steps 10] [--shapes square grid] [--precision fp32]

Steps of the package's own Trainer under torch.profiler, for the baseline and for OGM-GE: at
64 x 64 with width 64 (``square``), and at the shapes of the ``grid`` profile, sounds of 64 x 60 and
pictures of 32 x 56 with width 16. Every operator counts with its own time, without that of the
operators that it calls, in the class of the first of these that holds it:

- a range: data, modulation, telemetry, optimizer, as the Trainer calls them, with their Python;
- its name, or that of what called it: convolution, normalisation, activation and pooling, also
  backward;
- else: other operators. What is left of the step is other Python and PyTorch's own bookkeeping.

The profiler itself takes time, most where operators are small; so the column ``slower`` says how
many times longer a profiled step took than one without. Shares are medians over steps. On a CPU
only: on a GPU operators are only launched here. Writes ``book/results/profile_step.csv``.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import measuring
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from asgml_core.modulators import OGMGE, Chain, UnimodalLosses
from asgml_core.trainer import Trainer

RANGE = "asgml/"
STEP = RANGE + "step"
#: Classes by what is in the name of an operator or of one that called it; the first one counts.
BY_NAME = {
    "convolution": re.compile(r"conv|mkldnn|_small", re.IGNORECASE),
    "normalisation": re.compile(r"batch_?norm", re.IGNORECASE),
    "activation and pooling": re.compile(r"relu|threshold|pool|mean|adaptive", re.IGNORECASE),
}
REST = "other Python"
CLASSES = (
    *BY_NAME, "optimizer", "modulation", "telemetry", "data", "other operators", REST,
)  # fmt: skip
#: By name: the shapes of the items, the network, and the batch.
SHAPES: dict[str, tuple[dict[str, tuple[int, ...]], dict[str, Any]]] = {
    "square": ({"audio": (1, 64, 64), "visual": (3, 64, 64)}, {"width": 64}),
    "grid": (
        {"audio": (1, 64, 60), "visual": (1, 1, 32, 56)},
        {"width": 16, "frames": "channels"},
    ),
}
METHODS = {
    "baseline": (UnimodalLosses,),
    "OGM-GE": (UnimodalLosses, OGMGE),
}


def in_range(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that a profile shows as a range of that name."""

    def ranged(*values: Any, **named: Any) -> Any:
        with record_function(RANGE + name):
            return function(*values, **named)

    return ranged


def mark(trainer: Trainer) -> None:
    """Let a profile show which part of the step the Trainer is in."""
    marked = (
        (trainer.modulator, "modulation", ("passes", "features", "terms", "modulate")),
        (trainer.updates, "telemetry", ("before", "after")),
        (trainer, "telemetry", ("_norms",)),
        (trainer.optimizer, "optimizer", ("step", "zero_grad")),
    )
    for owner, name, methods in marked:
        for method in methods:
            # Not setattr's own rule for modules: a function is no submodule.
            object.__setattr__(owner, method, in_range(name, getattr(owner, method)))
    trainer.feed.batches = _ranged_batches(trainer.feed.batches)


def _ranged_batches(batches: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def ranged(*values: Any) -> Iterator[Any]:
        left = batches(*values)
        while True:
            with record_function(RANGE + "data"):
                batch = next(left, None)
            if batch is None:
                return
            yield batch

    return ranged


def class_of(event: Any) -> str:
    """Return the class of an event: of the range it is in, or of the operator it belongs to."""
    names = []
    while event is not None and event.name != STEP:
        names.append(event.name)
        event = event.cpu_parent
    ranges = [name.removeprefix(RANGE) for name in names if name.startswith(RANGE)]
    if ranges:
        return ranges[-1]  # the outermost: an optimizer that follows is telemetry
    for found, pattern in BY_NAME.items():
        if any(pattern.search(name) for name in names):
            return found
    return "other operators" if names else REST


def shares_of_step(trainer: Trainer) -> tuple[float, dict[str, float]]:
    """Profile one step; return its seconds, and the share of each class in per cent."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled, record_function(STEP):
        measuring.train_epoch(trainer)
    events = list(profiled.events())
    whole = next(event.cpu_time_total for event in events if event.name == STEP)
    spent = dict.fromkeys(CLASSES, 0.0)
    for event in events:
        if event.name != STEP:
            spent[class_of(event)] += event.self_cpu_time_total
    spent[REST] = whole - sum(spent.values())
    return whole / 1e6, {name: 100 * part / whole for name, part in spent.items()}


def measure(shapes: str, method: str, precision: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return the row of one method at one kind of input."""
    items, model = SHAPES[shapes]
    data = measuring.random_data(items, given.batch)
    config = measuring.make_config(
        precision, model=model, train={"batch_size": given.batch}, threads=given.threads
    )
    parts = [make() for make in METHODS[method]]
    trainer = measuring.make_trainer(config, data, Chain(*parts))
    for _ in range(given.warmup):
        measuring.train_epoch(trainer)
    plain = [measuring.seconds(lambda: measuring.train_epoch(trainer)) for _ in range(given.steps)]
    mark(trainer)
    shares_of_step(trainer)  # the profiler's own first time
    profiled = [shares_of_step(trainer) for _ in range(given.steps)]
    return {
        "shapes": shapes,
        "method": method,
        "precision": precision,
        "n": given.steps,
        **{name: statistics.median(shares[name] for _, shares in profiled) for name in CLASSES},
        **measuring.spread("seconds", plain),
        "slower": statistics.median(t for t, _ in profiled) / statistics.median(plain),
    }


def main() -> None:
    parser = measuring.parser(__doc__)
    measuring.add_precision(parser)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--steps", type=int, default=10, help="profiled of each (default: 10)")
    parser.add_argument("--warmup", type=int, default=2, help="before them (default: 2)")
    parser.add_argument("--batch", type=int, default=64, help="items (default: 64)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    writer = measuring.Writer("profile_step", given)
    rows = [
        measure(shapes, method, precision, given)
        for shapes in given.shapes
        for method in METHODS
        for precision in given.precision
    ]
    writer.write("profile_step", rows)


if __name__ == "__main__":
    main()
