"""How fast is it? A training step in every way, whole epochs, and every method."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from asgml_core.config import RunConfig
from asgml_core.datasets.base import MultimodalDataset
from gpu_parts.common import (
    EPOCHS,
    METHODS,
    Section,
    Steps,
    as_in_a_run,
    free,
    make_config,
    make_data,
    make_trainer,
    peak_of,
    seconds,
    spread,
    times,
    wait,
    work_of_a_pair,
)

#: Steps of which one time is taken, and steps before: a fifth of an epoch has one probe time.
STEPS, WARMUP, FIFTH = 30, 6, 21
#: Precision, execution and whether the same bits are asked for, the most telling first.
WAYS = (
    ("bf16", "graphs", True),
    ("bf16", "eager", True),
    ("bf16", "graphs", False),
    ("bf16", "eager", False),
    ("fp32", "eager", True),
    ("bf16", "compile_graphs", True),
    ("bf16", "compile_graphs", False),
    ("fp32", "graphs", True),
    ("bf16", "compile", True),
    ("bf16", "compile", False),
    ("fp32", "eager", False),
    ("fp32", "graphs", False),
)
#: Ways that work everywhere, by whether there is a GPU.
PLAIN = {
    True: (("bf16", "graphs", True), ("bf16", "eager", True)),
    False: (("bf16", "eager", True),),
}


# ---------------------------------------------------------------------- a step


def name_of(way: tuple[str, str, bool]) -> str:
    """Return a way's name in the results."""
    precision, execution, deterministic = way
    return f"{precision}, {execution}, {'deterministic' if deterministic else 'fast'}"


def way_of(name: str) -> tuple[str, str, bool]:
    """Return the way of a name."""
    precision, execution, kind = name.split(", ")
    return precision, execution, kind == "deterministic"


def config_of(section: Section, way: tuple[str, str, bool], **changes: Any) -> RunConfig:
    """Return the config of a run in a way."""
    precision, execution, deterministic = way
    return make_config(
        section.sizes,
        section.device,
        precision=precision,
        execution=execution,
        deterministic=deterministic,
        **changes,
    )


def steps(section: Section) -> None:
    """Measure the baseline's training step in every way, then what the same bits cost."""
    data = make_data(section.sizes, section.device)
    for way in WAYS:
        on_gpu_only = way[1] != "eager"
        needs = 1 if section.small else 12
        if way[1].startswith("compile"):  # faster where another process did it before
            known = section.earlier.get("compiled", {}).get(name_of(way))
            needs = 25 if isinstance(known, dict) and "error" not in known else 60
        call = partial(one_way, section, data, way)
        section.part(name_of(way), call, needs=needs, cuda=on_gpu_only)
    section.part("cost of deterministic", partial(cost_of_the_same_bits, section))


def one_way(
    section: Section, data: MultimodalDataset, way: tuple[str, str, bool]
) -> dict[str, Any]:
    """Return the seconds of a step by the device's events and by the wall, and what follows."""
    config = config_of(section, way)
    if section.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    with as_in_a_run(config):
        wait(section.device)
        started = time.perf_counter()
        taking = Steps(make_trainer(config, data))
        wait(section.device)
        prepared = time.perf_counter() - started
        first = seconds(partial(taking.take, 1), section.device)[0]
        warming = seconds(partial(taking.take, section.steps(WARMUP)), section.device)[0]
        count = section.steps(STEPS)
        taken = [seconds(partial(taking.take, count), section.device)
                 for _ in range(section.repeats)]  # fmt: skip
    step = spread([events / count for _, events in taken])
    batch = section.sizes.batch
    said = {
        "seconds a step": step,
        "seconds a step by the wall": spread([wall / count for wall, _ in taken]),
        "steps of a time": count,
        "pairs/s": times(step, batch, -1),
        "seconds to prepare": prepared,
        "seconds of the first step": first,
        "seconds of the next steps": warming,
    }
    if peak := peak_of(section, "bf16"):
        work = batch * work_of_a_pair(section.sizes)
        said["share of bf16 roofline"] = times(step, work / peak, -1)
    if section.on_gpu:
        said["peak memory bytes"] = torch.cuda.max_memory_allocated()
    if way[1] == "compile_graphs":  # 0, or some of it ran without graphs
        said["cudagraph skips so far"] = _counted("inductor", "cudagraph_skips")
    return said


def compiled(section: Section) -> None:
    """Compile every step that is measured later, for the first time on this machine.

    It goes on while other sections compare, not while they measure; what it made is kept on disk.
    """
    data = make_data(
        dataclasses.replace(section.sizes, train=2 * section.sizes.batch, test=2), section.device
    )
    for way in (way for way in WAYS if way[1].startswith("compile")):
        call = partial(first_steps, section, data, way)
        section.part(name_of(way), call, needs=20, cuda=True)


def first_steps(
    section: Section, data: MultimodalDataset, way: tuple[str, str, bool]
) -> dict[str, Any]:
    """Return the seconds until the third step is done."""
    config = config_of(section, way)
    with as_in_a_run(config):
        return {"seconds to the third step": _first_step(config, data, section.device)}


def cost_of_the_same_bits(section: Section) -> dict[str, float]:
    """Return the median step with the same bits over the one without, by way."""
    found = {}
    for precision, execution, deterministic in WAYS:
        if not deterministic:
            continue
        both = [
            section.results.get(name_of((precision, execution, kind))) for kind in (True, False)
        ]
        if all(isinstance(one, dict) and "seconds a step" in one for one in both):
            same, fast = (one["seconds a step"]["median"] for one in both)
            found[f"{precision}, {execution}"] = same / fast
    return found


def best_ways(section: Section, without: str = "") -> dict[str, tuple[str, str, bool]]:
    """Return the fastest ways of those measured: of all, and of those that give the same bits.

    Args:
        section: that asks.
        without: an execution that is not wanted.
    """
    found = {
        name: said["seconds a step"]["median"]
        for name, said in section.earlier.get("steps", {}).items()
        if isinstance(said, dict) and "seconds a step" in said and way_of(name)[1] != without
    }
    plain = PLAIN[section.on_gpu][0]
    same = {name: t for name, t in found.items() if way_of(name)[2]}
    ranked = {"best": found, "best, deterministic": same}
    return {
        title: way_of(min(times, key=times.__getitem__)) if times else plain
        for title, times in ranked.items()
    }


# ---------------------------------------------------------------------- a run


def run(section: Section) -> None:
    """Measure epochs with their evaluations, what comes before them, and one whole run."""
    data = make_data(section.sizes, section.device)
    ways = best_ways(section)
    for way in dict.fromkeys([*ways.values(), ("bf16", "eager", True)]):
        call = partial(epochs, section, data, way)
        section.part(name_of(way), call, needs=1 if section.small else 10)
    way = ways["best, deterministic"]
    section.part(f"whole run, {name_of(way)}", partial(whole_run, section, data, way))


def epochs(section: Section, data: MultimodalDataset, way: tuple[str, str, bool]) -> dict[str, Any]:
    """Return the seconds of an epoch and of its evaluation, and of a run's first step, twice."""
    config, device = config_of(section, way), section.device
    with as_in_a_run(config):
        first = _first_step(config, data, device)
        before = _counted("stats", "unique_graphs")
        again = _first_step(config, data, device)
        anew = _counted("stats", "unique_graphs") - before
        trainer = make_trainer(config, data)
        trainer.run_epoch()
        taken = [seconds(trainer.run_epoch, device)[0] for _ in range(3)]
        test = partial(trainer.evaluate, trainer.parts["test"])
        tests = [seconds(test, device)[0] for _ in range(3)]
    return {
        "ok": anew == 0,  # the second run of a process must not compile again
        "seconds an epoch": spread(taken),
        "seconds of its evaluation": spread(tests),
        f"seconds of {EPOCHS} epochs": times(spread(taken), EPOCHS),
        "pairs/s": times(spread(taken), section.sizes.train, -1),
        "seconds to the first step, first run": first,
        "seconds to the first step, second run": again,
        "compiled anew": anew,
        "losses": trainer.epochs["loss/fused"].tolist(),
        "test accuracy": trainer.epochs["test_accuracy"].tolist(),
    }


def _first_step(config: RunConfig, data: MultimodalDataset, device: torch.device) -> float:
    free(device)
    wait(device)
    started = time.perf_counter()
    Steps(make_trainer(config, data), most=4).take(3)  # graphs of compiled code come third
    wait(device)
    return time.perf_counter() - started


def _counted(kind: str, name: str) -> int:
    from torch._dynamo.utils import counters

    return int(counters[kind][name])


def whole_run(
    section: Section, data: MultimodalDataset, way: tuple[str, str, bool]
) -> dict[str, Any]:
    """Train one real run of as many epochs as fit, with its drop of the learning rate."""
    known = section.results.get(name_of(way))
    epoch = known["seconds an epoch"]["median"] if isinstance(known, dict) else 5.0
    count = max(1, min(EPOCHS, int((section.left() - 6) / (1.15 * epoch))))
    config = config_of(section, way, epochs=2 if section.small else count)
    with as_in_a_run(config):
        wait(section.device)
        started = time.perf_counter()
        trainer = make_trainer(config, data)
        while not trainer.finished and (section.left() > 2 or trainer.epoch == 0):
            trainer.run_epoch()
        taken = time.perf_counter() - started
    losses = trainer.epochs["loss/fused"]
    return {
        "ok": bool(losses[-1] < losses[0]) or len(losses) < 3,
        "epochs": len(losses),
        "of": config.train.epochs,
        "seconds": taken,
        "losses": losses.tolist(),
        "test accuracy": trainer.epochs["test_accuracy"].tolist(),
        "fits on the items": trainer.epochs["train_accuracy"].tolist(),
    }


# ---------------------------------------------------------------------- methods


def methods(section: Section) -> None:
    """Measure every method's step in turn with the baseline's, a fifth of an epoch at a time."""
    data = make_data(section.sizes, section.device)
    for way in dict.fromkeys([best_ways(section)["best, deterministic"], *PLAIN[section.on_gpu]]):
        config = config_of(section, way)
        with as_in_a_run(config):
            plain = section.part(f"way: {name_of(way)}", partial(warmed, section, config, data))
            if plain is None:  # this way does not work
                continue
            needs = 0.5 if section.small else 4
            for method in METHODS:
                call: Callable[[], Any] = partial(against, section, plain, config, data, method)
                section.part(method, call, needs=needs)
            return


def warmed(
    section: Section, config: RunConfig, data: MultimodalDataset, method: str = "baseline"
) -> Steps:
    """Return the steps of a method after two times of them, with which it has all it needs."""
    taking = Steps(make_trainer(config, data, method))
    for part in taking.trainer.modulator.parts():
        part._called.add("epoch_end")
    taking.take(2 * section.steps(FIFTH))
    wait(section.device)
    return taking


def against(
    section: Section, plain: Steps, config: RunConfig, data: MultimodalDataset, method: str
) -> dict[str, Any]:
    """Return a method's step over the baseline's in the same turn, and both in seconds."""
    count = section.steps(FIFTH)
    other = warmed(section, config, data, method)
    taken = [
        tuple(
            seconds(partial(one.take, count), section.device)[0] / count for one in (plain, other)
        )
        for _ in range(section.repeats)
    ]
    return {
        "over the baseline": spread([b / a for a, b in taken]),
        "seconds a step": spread([b for _, b in taken]),
        "seconds a step of the baseline": spread([a for a, _ in taken]),
    }
