"""What each method costs in a training step, in somebody's own loop.

    python benchmarks/overhead.py [--repeats 12] [--size 64] [--batch 64] [--width 64] [--threads 1]

Two ResNet18 encoders (pictures of 3 channels, sounds of 1), the study's head and its unimodal
losses, SGD with momentum, float32, channels_last. Every method takes whole training steps in turn
with the others and with none; the time inside its hooks is compared with the rest of the same step.
Costs of steps with and without probes are taken apart, and weighed as in an epoch of the study, 105
batches. Writes ``book/results/overhead.csv`` with its provenance.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from torch.nn import functional as F

from asgml_core import results
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
)
from asgml_core.modulators.probing import Probing
from asgml_core.provenance import provenance

BATCHES, CLASSES = 105, 6
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

    def __init__(self, size: int, batch: int, width: int) -> None:
        shapes = {"audio": (1, size, size), "visual": (3, size, size)}
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


def measure(step: Step, repeats: int) -> pd.DataFrame:
    """Return, by method, the share of the step's time that its hooks take, in per cent."""
    methods = {name: make() for name, make in VARIANTS.items()}
    probed = {name: probe_times(method) for name, method in methods.items()}
    shares: dict[tuple[str, bool], list[float]] = {}
    rest: list[float] = []
    for repeat in range(-2, repeats):  # two rounds to warm up, with histories and probes
        for name, method in methods.items():
            for at_probes in (False, True) if probed[name] else (False,):
                free = next(b for b in range(BATCHES) if b not in probed[name])
                batch = probed[name][0] if at_probes else free + repeat % 2
                clock = Clock(1, 10 * (repeat + 2) + batch, batch, BATCHES, 1)
                inside, outside = step.take(method, clock)
                if repeat >= 0:
                    shares.setdefault((name, at_probes), []).append(100 * inside / outside)
                    rest.append(outside)
    print(f"a step takes {statistics.median(rest):.3f} s without the hooks")
    return pd.DataFrame([_row(name, shares, len(probed[name])) for name in methods]).round(2)


def _row(name: str, shares: dict[tuple[str, bool], list[float]], times: int) -> dict[str, Any]:
    plain, weight = shares[name, False], times / BATCHES
    cost = statistics.median(plain)
    at_probes = statistics.median(shares[name, True]) if times else float("nan")
    low, _, high = statistics.quantiles(plain, n=4)
    return {
        "method": name,
        "step without probes": cost,
        "its quartiles": f"{low:.2f} to {high:.2f}",
        "step with probes": at_probes,
        "mean of an epoch": (1 - weight) * cost + weight * at_probes if times else cost,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=12, help="steps of each kind (default: 12)")
    parser.add_argument("--size", type=int, default=64, help="height and width (default: 64)")
    parser.add_argument("--batch", type=int, default=64, help="items (default: 64)")
    parser.add_argument("--width", type=int, default=64, help="of the ResNet18s (default: 64)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    started = time.perf_counter()
    table = measure(Step(given.size, given.batch, given.width), given.repeats)
    print(table.to_string(index=False))
    settings = " ".join(f"--{name} {value}" for name, value in vars(given).items())
    came_from = {
        "command": f"python benchmarks/overhead.py {settings}",
        **provenance("cpu", given.threads),
        "wall_time": round(time.perf_counter() - started, 1),
    }
    print(results.write("overhead", table, came_from))


if __name__ == "__main__":
    main()
