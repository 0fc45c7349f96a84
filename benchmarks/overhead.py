"""What each method costs in a training step, in somebody's own loop, and the trainer's telemetry.

    python benchmarks/overhead.py [--size 64] [--repeats 12] [--batch 64] [--width 64] [--threads 1]
    python benchmarks/overhead.py --size cremad [--repeats 5] [--batch 16] [--only noise ...]

Two ResNet18 encoders (pictures of 3 channels, sounds of 1), the study's head and its unimodal
losses, SGD with momentum, float32, channels_last. Every method takes whole training steps in turn
with the others and with none; the time inside its hooks is compared with the rest of the same step.
Costs of steps with and without probes are taken apart, and weighed as in an epoch of the study, 105
batches.

The rows of telemetry are of a step of the package's own Trainer: the time in which it takes the
norms of gradients and the movement of weights, beside the rest of the same step. Where a method
edits gradients, a second optimizer follows what would have been without it.

``--size cremad`` has the study's inputs, 3 x 224 x 224 and 1 x 257 x 188, and by default 16 items.
Most of what a method costs goes with the weights, not with the items, so a smaller batch makes its
share larger: the shares are higher than those at the study's batch of 64. ``--batch 64`` takes a
minute for each turn of five methods, so ``--only`` names the methods to try.

Writes ``book/results/overhead.csv``, ``overhead_cremad.csv``, or ``overhead_cremad_64.csv``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import measuring
import pandas as pd
import torch
from torch.nn import functional as F

from asgml_core.models import build_model
from asgml_core.modulators import (
    MILES,
    OGM,
    OGMGE,
    Boost,
    BoostRandom,
    BoostWrong,
    Chain,
    Clock,
    Frequency,
    GradientNoise,
    Modulator,
    Staleness,
    StaticScale,
    Throttle,
    UnimodalLosses,
)
from asgml_core.modulators.probing import Probing
from asgml_core.trainer import Trainer

BATCHES, CLASSES = 105, 6
#: Items at CREMA-D's size, where nothing else is said: a step is slow.
CREMAD_BATCH = 16
VARIANTS: dict[str, Callable[[], Modulator]] = {
    "none": Chain,
    "ogm": OGM,
    "ogm scores=split": lambda: OGM(scores="split"),
    "ogm scores=zero_out": lambda: OGM(scores="zero_out"),
    "ogm scores=probe": lambda: OGM(scores="probe"),
    "throttle": Throttle,
    "boost": Boost,
    "boost_wrong": BoostWrong,
    "boost_random": BoostRandom,
    "frequency dual": Frequency,
    "frequency fixed": lambda: Frequency(adaptation="fixed"),
    "staleness definition": Staleness,
    "staleness study": lambda: Staleness(variant="study"),
    "staleness fixed": lambda: Staleness(adaptation="fixed"),
    "miles": MILES,
    "static_scale": StaticScale,
    "ogm + boost": lambda: Chain(OGM(), Boost()),
    "ogm_ge (noise)": OGMGE,
    "ogm_ge official (noise)": lambda: OGMGE(variant="official"),
    "noise": GradientNoise,
}


class Step:
    """One network, and steps of training with any method."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], batch: int, width: int) -> None:
        self.net = build_model(shapes, CLASSES, width=width).to(memory_format=torch.channels_last)
        self.groups = self.net.groups()
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, fused=True
        )
        draw = torch.Generator().manual_seed(0)
        self.labels = torch.randint(CLASSES, (batch,), generator=draw)
        self.inputs = {
            m: torch.randn(batch, *shape, generator=draw).to(memory_format=torch.channels_last)
            for m, shape in shapes.items()
        }

    def take(self, method: Modulator, clock: Clock) -> tuple[float, float]:
        """Take a step; return the seconds inside the method's hooks, and those outside."""
        start = time.perf_counter()
        outputs = self.net(self.inputs)
        terms = {"fused": F.cross_entropy(outputs.logits, self.labels)}
        terms |= {m: F.cross_entropy(o, self.labels) for m, o in outputs.unimodal_logits.items()}
        before = time.perf_counter()
        terms = method.terms(terms, outputs, self.labels, clock)
        inside = time.perf_counter() - before
        self.optimizer.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        before = time.perf_counter()
        method.modulate(outputs, self.labels, self.groups, clock)
        inside += time.perf_counter() - before
        self.optimizer.step()
        return inside, time.perf_counter() - start - inside


def probe_times(method: Modulator) -> list[int]:
    """Return the batches of an epoch on which a method reads its probes."""
    moments = [Clock(1, b, b, BATCHES, 1) for b in range(BATCHES)]
    parts = [p for p in method.parts() if isinstance(p, Probing) and p.measures]
    return [c.batch for c in moments if any(p.is_probe_time(c) for p in parts)]


def measure(step: Step, only: list[str], repeats: int, warmup: int) -> list[dict[str, Any]]:
    """Return, by method, the share of the step's time that its hooks take, in per cent."""
    methods = {name: make() for name, make in VARIANTS.items() if name in only}
    probed = {name: probe_times(method) for name, method in methods.items()}
    shares: dict[tuple[str, bool], list[float]] = {}
    rest: list[float] = []
    for repeat in range(-warmup, repeats):  # histories and probes, too, must be there first
        for name, method in methods.items():
            for at_probes in (False, True) if probed[name] else (False,):
                free = next(b for b in range(BATCHES) if b not in probed[name])
                batch = probed[name][0] if at_probes else free + repeat % 2
                clock = Clock(1, 10 * (repeat + warmup) + batch, batch, BATCHES, 1)
                inside, outside = step.take(method, clock)
                if repeat >= 0:
                    shares.setdefault((name, at_probes), []).append(100 * inside / outside)
                    rest.append(outside)
    print(f"a step takes {statistics.median(rest):.3f} s without the hooks")
    return [_row(name, shares, len(probed[name])) for name in methods]


class Telemetry:
    """Adds up the seconds that a trainer spends on norms and movements."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.inside = 0.0
        trainer._norms = self._timed(trainer._norms)
        trainer.updates.before = self._timed(trainer.updates.before)
        trainer.updates.after = self._timed(trainer.updates.after)

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*values: Any) -> Any:
            start = time.perf_counter()
            made = function(*values)
            self.inside += time.perf_counter() - start
            return made

        return timed

    def share(self) -> float:
        """Take a step; return the telemetry's time in per cent of the rest."""
        self.inside = 0.0
        whole = measuring.seconds(lambda: measuring.train_epoch(self.trainer))
        return 100 * self.inside / (whole - self.inside)


def measure_telemetry(
    shapes: dict[str, tuple[int, ...]], given: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return the rows of the telemetry, without a method that edits gradients and with one."""
    data = measuring.random_data(shapes, given.batch)
    config = measuring.make_config(
        model={"width": given.width}, train={"batch_size": given.batch}, threads=given.threads
    )
    kinds = {
        "telemetry": Chain(UnimodalLosses()),
        "telemetry (gradients are edited)": Chain(UnimodalLosses(), OGM()),
    }
    timed = {
        name: Telemetry(measuring.make_trainer(config, data, method))
        for name, method in kinds.items()
    }
    shares: dict[tuple[str, bool], list[float]] = {(name, False): [] for name in kinds}
    for repeat in range(-given.warmup, given.repeats):
        for name, telemetry in timed.items():
            share = telemetry.share()
            if repeat >= 0:
                shares[name, False].append(share)
    return [_row(name, shares, 0) for name in kinds]


def _row(name: str, shares: dict[tuple[str, bool], list[float]], times: int) -> dict[str, Any]:
    plain, weight = shares[name, False], times / BATCHES
    cost = statistics.median(plain)
    at_probes = statistics.median(shares[name, True]) if times else float("nan")
    _, low, high = measuring.spread("", plain).values()
    return {
        "method": name,
        "n": len(plain),
        "step without probes": cost,
        "its quartiles": f"{low:.2f} to {high:.2f}",
        "step with probes": at_probes,
        "mean of an epoch": (1 - weight) * cost + weight * at_probes if times else cost,
    }


def shapes_of(size: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the inputs.

    Raises:
        ValueError: for a size that is neither a number nor ``cremad``.
    """
    if size == "cremad":
        return {"audio": (1, 257, 188), "visual": (3, 224, 224)}
    return {"audio": (1, int(size), int(size)), "visual": (3, int(size), int(size))}


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("--size", default="64", help="height and width, or cremad (default: 64)")
    parser.add_argument("--repeats", type=int, help="steps of each kind (default: 12; cremad: 5)")
    parser.add_argument("--warmup", type=int, default=2, help="before them (default: 2)")
    parser.add_argument("--batch", type=int, help="items (default: 64; cremad: 16)")
    parser.add_argument(
        "--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="methods, not all"
    )
    parser.add_argument("--width", type=int, default=64, help="of the ResNet18s (default: 64)")
    given = parser.parse_args()
    is_cremad = given.size == "cremad"
    given.batch = given.batch or (CREMAD_BATCH if is_cremad else 64)
    given.repeats = given.repeats or (5 if is_cremad else 12)
    torch.set_num_threads(given.threads)
    writer = measuring.Writer("overhead", given)
    shapes = shapes_of(given.size)
    step = Step(shapes, given.batch, given.width)
    rows = measure(step, given.only, given.repeats, given.warmup)
    rows += measure_telemetry(shapes, given)
    name = "overhead_cremad" if is_cremad else "overhead"
    if is_cremad and given.batch != CREMAD_BATCH:
        name += f"_{given.batch}"
    writer.write(name, pd.DataFrame(rows).round(2))


if __name__ == "__main__":
    main()
