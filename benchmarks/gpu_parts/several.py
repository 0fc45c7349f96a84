"""Several runs on one GPU: in processes, on streams, and as one stack of networks; and the study.

What counts is the number of pairs a second of all runs together, over that of one run alone.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from asgml_core.models import ResNet18
from gpu_parts.common import (
    EPOCHS,
    NEEDS_CUDA,
    RUNS,
    Section,
    Sizes,
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
from gpu_parts.speed import best_ways, config_of, name_of

#: Numbers of runs at once. In small trials, fewer.
PROCESSES, TOGETHER = (1, 2, 4), (2, 4)
TURN, STACKED_TURN = 30, 4


def several(section: Section) -> None:
    """Measure each kind of packing; each against one run, or one after the other, beside it."""
    way = best_ways(section)["best, deterministic"]
    section.results["way"] = name_of(way)
    counts = (1, 2) if section.small else PROCESSES
    needs = 2 if section.small else 30
    section.part("processes", partial(processes, section, way, counts), needs=needs)
    lane = best_ways(section, without="compile_graphs")["best, deterministic"]
    for count in TOGETHER:
        call = partial(streams, section, lane, count)
        section.part(
            f"streams, {count}, {name_of(lane)}", call, needs=1 if section.small else 6, cuda=True
        )
    for count in TOGETHER[:1] if section.small else TOGETHER:
        call = partial(stacked, section, count)
        section.part(f"stacked, {count}", call, needs=1 if section.small else 6)


# ---------------------------------------------------------------------- processes


def processes(
    section: Section, way: tuple[str, str, bool], counts: Sequence[int]
) -> dict[str, Any]:
    """Let 1, 2, 4 processes of a run each take the same number of steps at once."""
    spawn = multiprocessing.get_context("spawn")
    pairs, workers = [], []
    config, count = config_of(section, way), section.steps(TURN)
    try:
        for _ in range(max(counts)):
            mine, theirs = spawn.Pipe()
            worker = spawn.Process(
                target=_work, args=(theirs, config.to_dict(), section.sizes, count)
            )
            worker.start()
            theirs.close()
            pairs.append(mine)
            workers.append(worker)
        ready = [_answer(mine, section.left() - 2) for mine in pairs]
        rates: dict[int, list[float]] = {n: [] for n in counts}
        for _ in range(section.repeats):
            for n in counts:
                started = time.perf_counter()
                for mine in pairs[:n]:
                    mine.send("go")
                for mine in pairs[:n]:
                    _answer(mine, section.left())
                rates[n].append(n * count * section.sizes.batch / (time.perf_counter() - started))
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    alone = rates[counts[0]]
    return {
        "seconds to start": ready,
        **{f"pairs/s, {n}": spread(rates[n]) for n in counts},
        **{f"over one, {n}": spread([a / b for a, b in zip(rates[n], alone, strict=True)])
           for n in counts[1:]},
    }  # fmt: skip


def _answer(mine: Connection, patience: float) -> float:
    if not mine.poll(max(patience, 0.1)):
        raise TimeoutError("a process did not answer in time")
    return mine.recv()  # EOFError when it has died


def _work(theirs: Connection, values: dict[str, Any], sizes: Sizes, count: int) -> None:
    from asgml_core.config import RunConfig

    started = time.perf_counter()
    config = RunConfig.from_dict(values)
    device = torch.device(config.device)
    with as_in_a_run(config):
        taking = Steps(make_trainer(config, make_data(sizes, device)))
        taking.take(count)
        wait(device)
        free(device)
        theirs.send(time.perf_counter() - started)
        while theirs.recv() == "go":
            taking.take(count)
            wait(device)
            theirs.send(0.0)


# ---------------------------------------------------------------------- streams


def streams(section: Section, way: tuple[str, str, bool], count: int) -> dict[str, Any]:
    """Take steps of several trainers in turn, each on a stream of its own; against one alone."""
    config, device = config_of(section, way), section.device
    data = make_data(section.sizes, device)
    turns = section.steps(TURN)
    with as_in_a_run(config):
        lanes = []
        for _ in range(count):
            lane = torch.cuda.Stream(device)
            taking = Steps(make_trainer(config, data))
            wait(device)
            with torch.cuda.stream(lane):
                taking.take(4)
            wait(device)
            lanes.append((lane, taking))

        def together(some: Sequence[tuple[Any, Steps]]) -> None:
            for _ in range(turns):
                for lane, taking in some:
                    with torch.cuda.stream(lane):
                        taking.take(1)

        # By the wall: events on the default stream would not see the others.
        taken = [
            [seconds(partial(together, some), device)[0] for some in (lanes[:1], lanes)]
            for _ in range(section.repeats)
        ]
    pairs = turns * section.sizes.batch
    return {
        "pairs/s, 1": spread([pairs / one for one, _ in taken]),
        f"pairs/s, {count}": spread([count * pairs / every for _, every in taken]),
        "over one": spread([count * one / every for one, every in taken]),
    }


# ---------------------------------------------------------------------- one stack of networks


def stacked(section: Section, count: int) -> dict[str, Any]:
    """Pass batches forward and backward through stacked pairs of encoders, and one by one.

    Weights are float32, products bfloat16 by autocast; each network has a batch of its own. No
    optimizer takes part.
    """
    sizes, device = section.sizes, section.device
    # On a CPU our convolutions of small maps cannot be stacked; these maps are larger.
    pixels = 80 if section.small else sizes.pixels
    shapes = {"audio": sizes.spectrogram, "visual": (3, pixels, pixels)}
    if section.small:
        shapes["audio"] = (1, pixels, pixels)
    config = make_config(sizes, device, deterministic=False)
    with as_in_a_run(config):
        pairs = {m: [_encoder(shape, sizes.width, device) for _ in range(count)]
                 for m, shape in shapes.items()}  # fmt: skip
        inputs = {m: _batch(count, sizes.batch, shape, device) for m, shape in shapes.items()}
        ways = {"one by one": partial(_in_a_loop, pairs, inputs, device),
                "stacked": partial(_in_a_stack, _stack(pairs), inputs, device)}  # fmt: skip
        turn = section.steps(STACKED_TURN)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(-1, section.repeats):
            for name, call in ways.items():
                many = partial(_times, call, turn if repeat >= 0 else 2)
                found = seconds(many, device)[1]
                if repeat >= 0:
                    taken[name].append(found / turn)
    over = [a / b for a, b in zip(taken["one by one"], taken["stacked"], strict=True)]
    faster = "stacked" if spread(over)["median"] > 1 else "one by one"
    return {
        "faster": faster,
        "stacked over one by one": spread(over),
        **{f"pairs/s, {name}": spread([count * sizes.batch / t for t in taken[name]])
           for name in ways},
    }  # fmt: skip


def _times(call: Any, count: int) -> None:
    for _ in range(count):
        call()


def _encoder(shape: tuple[int, ...], width: int, device: torch.device) -> nn.Module:
    return ResNet18(shape[0], width).to(device, memory_format=torch.channels_last).train()


def _batch(count: int, batch: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.randn(count, batch, *shape, device=device)


def _in_a_loop(
    pairs: dict[str, list[nn.Module]], inputs: dict[str, Tensor], device: torch.device
) -> None:
    for m, encoders in pairs.items():
        for encoder, x in zip(encoders, inputs[m], strict=True):
            encoder.zero_grad(set_to_none=True)
            arranged = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
                z = encoder(arranged)
            z.float().square().mean().backward()


def _stack(pairs: dict[str, list[nn.Module]]) -> dict[str, Any]:
    stacks = {}
    for m, encoders in pairs.items():
        weights, buffers = stack_module_state(encoders)

        def call(w: Any, b: Any, x: Tensor, encoder: nn.Module = encoders[0]) -> Tensor:
            return functional_call(encoder, (w, b), (x,))

        stacks[m] = (vmap(call), weights, buffers)
    return stacks


def _in_a_stack(stacks: dict[str, Any], inputs: dict[str, Tensor], device: torch.device) -> None:
    for m, (call, weights, buffers) in stacks.items():
        for weight in weights.values():
            weight.grad = None
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            z = call(weights, buffers, inputs[m])
        z.float().square().mean((1, 2)).sum().backward()


# ---------------------------------------------------------------------- the study


def study(section: Section) -> None:
    """Say how long the study's 87 runs of 100 epochs would take, from what was measured."""
    peak = peak_of(section, "bf16")
    if peak is not None:
        work = section.sizes.train * EPOCHS * RUNS * work_of_a_pair(section.sizes)
        section.results["GFLOP a pair"] = work_of_a_pair(section.sizes) / 1e9
        section.results["hours, roofline in bf16"] = work / peak / 3600
    packed = section.earlier.get("several", {}).get("processes", NEEDS_CUDA)
    for name, said in section.earlier.get("run", {}).items():
        if not isinstance(said, dict) or "seconds an epoch" not in said:
            continue
        start = said["seconds to the first step, second run"]
        epoch = said["seconds an epoch"]
        hours = {**epoch, **{k: RUNS * (EPOCHS * epoch[k] + start) / 3600
                             for k in ("median", "low", "high")}}  # fmt: skip
        section.results[f"hours, {name}"] = hours
        if name != section.earlier.get("several", {}).get("way") or not isinstance(packed, dict):
            continue
        for key, over in packed.items():
            if key.startswith("over one"):
                at_once = key.removeprefix("over one, ")
                packing = times(hours, 1 / over["median"])
                section.results[f"hours, {name}, {at_once} processes"] = packing
    section.write()
