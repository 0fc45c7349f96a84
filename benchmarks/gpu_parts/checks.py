"""Is it right? The GPU against the CPU, each way of execution against the plain one, and no waits.

A training step that differs in its last bits grows apart from another, so losses are compared with
a tolerance that doubles with every step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten_with_path

from asgml_core import checkpoint
from asgml_core.config import RunConfig
from asgml_core.datasets.base import MultimodalDataset
from asgml_core.datasets.transforms import Pictures
from asgml_core.modulators import OGMGE, Chain, UnimodalLosses
from asgml_core.probes import Probes, refit_accuracies
from asgml_core.seeding import generator
from asgml_core.trainer import Trainer, batch_rows
from gpu_parts.common import (
    CLASSES,
    METHODS,
    NEEDS_CUDA,
    Section,
    as_in_a_run,
    check_execution,
    make_config,
    make_data,
    make_trainer,
    moved,
    on_disk,
    take_step,
)

#: The largest difference of losses in the first step, and by what it may grow with each.
FIRST, GROWTH = 1e-4, 2.0
#: The same of bfloat16 against float32.
FIRST_BF16, GROWTH_BF16 = 0.05, 1.3
EPOCHS = 2
#: A method of each kind that acts on gradients in another way.
KINDS = ("baseline", "ogm", "ogm_ge", "boost", "staleness_fixed", "frequency_fixed")
COMPILED = (
    ("compile_graphs", "bf16"),
    ("compile", "bf16"),
    ("compile_graphs", "fp32"),
    ("compile", "fp32"),
)
CPU = torch.device("cpu")


def correctness(section: Section) -> None:
    """Compare, part by part, what must be equal."""
    data = make_data(section.checked, CPU)
    on_device = moved(data, section.device)
    for method in ("baseline", "ogm_ge without noise", "boost", "boost_ogm"):
        call = partial(cpu_against_device, section, data, on_device, method)
        section.part(f"CPU against device, {method}", call)
    section.part("augmentation", partial(augmentation, section))
    section.part("probes", partial(probes, section.device))
    _bit_by_bit(section, on_device)
    call = partial(close, section, on_device, ("fp32", "eager"), ("bf16", "eager"))
    section.part("bf16 against fp32", call)
    for execution, precision in COMPILED:
        call = partial(close, section, on_device, (precision, "eager"), (precision, execution))
        done = section.part(f"{execution} against eager, {precision}", call, needs=40, cuda=True)
        ways = (execution, execution)
        call = partial(same_bits, section, on_device, precision, ways, "boost_ogm_ge")
        needs = 10 if done else 50  # without the one before, it would have to compile
        section.part(f"twice the same bits, {execution}, {precision}", call, needs, cuda=True)


def _bit_by_bit(section: Section, data: MultimodalDataset) -> None:
    for precision in ("fp32", "bf16"):
        for method in KINDS:
            call = partial(same_bits, section, data, precision, ("eager", "graphs"), method)
            section.part(f"graphs against eager, {precision}, {method}", call, cuda=True)
    for execution in ("eager", "graphs"):
        cuda = execution == "graphs"
        for precision in ("fp32", "bf16"):
            name, ways = f"{execution}, {precision}", (execution, execution)
            call = partial(same_bits, section, data, precision, ways, "boost_ogm_ge")
            section.part(f"twice the same bits, {name}", call, cuda=cuda)
            for method in ("boost_ogm_ge", "staleness_fixed"):
                call = partial(resumed, section, data, precision, execution, method)
                section.part(f"resumed, {name}, {method}", call, cuda=cuda)
        call = partial(from_disk, section, data, execution)
        section.part(f"read from disk, {execution}", call, cuda=cuda)


def trained(
    data: MultimodalDataset,
    config: RunConfig,
    method: str,
    epochs: int = 2,
    room: int | None = None,
) -> Trainer:
    """Return a trainer after some epochs."""
    trainer = make_trainer(config, data, _method(method), room)
    with as_in_a_run(config):
        for _ in range(epochs):
            trainer.run_epoch()
    check_execution(trainer)
    return trainer


def _method(name: str) -> Chain:
    if name != "ogm_ge without noise":
        return METHODS[name]()
    method = OGMGE()  # its draws are the device's own
    method.random.normal_like = torch.zeros_like
    return Chain(UnimodalLosses(), method)


def cpu_against_device(
    section: Section, data: MultimodalDataset, on_device: MultimodalDataset, method: str
) -> dict[str, Any]:
    """Train the same run on both and compare the losses of every step."""
    sizes = section.checked
    there = trained(on_device, make_config(sizes, section.device, epochs=EPOCHS), method)
    here = trained(data, make_config(sizes, CPU, epochs=EPOCHS), method)
    return _compare(here.steps, there.steps, FIRST, GROWTH)


def close(
    section: Section, data: MultimodalDataset, one: tuple[str, str], other: tuple[str, str]
) -> dict[str, Any]:
    """Train the baseline in two ways, precision and execution, and compare the losses of steps."""
    tables = [trained(data, _config(section, *way), "baseline").steps for way in (one, other)]
    in_half = "bf16" in (one[0], other[0])
    return _compare(*tables, *((FIRST_BF16, GROWTH_BF16) if in_half else (FIRST, GROWTH)))


def _config(section: Section, precision: str, execution: str) -> RunConfig:
    how = {"precision": precision, "execution": execution}
    return make_config(section.checked, section.device, epochs=EPOCHS, **how)


def _compare(
    one: dict[str, Tensor], other: dict[str, Tensor], first: float, growth: float
) -> dict[str, Any]:
    losses = [name for name in one if name.startswith("loss/")]
    apart = torch.stack([(one[name] - other[name]).abs() for name in losses]).amax(0)
    allowed = first * growth ** torch.arange(len(apart))
    fused = one["loss/fused"]
    return {
        "ok": bool((apart <= allowed).all()) and set(one) == set(other),
        "largest difference": float(apart.max()),
        "in the first step": float(apart[0]),
        "allowed in the first step": first,
        "allowed grows by": growth,
        "by step": apart.tolist(),
        "fused loss by step": fused.tolist(),
    }


def augmentation(section: Section) -> dict[str, Any]:
    """Crop, resize and mirror the same pictures with the same draws on CPU and device."""
    shapes = (
        [((1, 40, 48, 3), 32)] if section.small else [((1, 72, 96, 3), 64), ((1, 360, 480, 3), 224)]
    )
    found: dict[str, Any] = {"allowed": 1e-4}
    with as_in_a_run(make_config(section.checked, section.device)):
        for shape, size in shapes:
            draw = torch.Generator().manual_seed(3)
            frames = torch.randint(256, (16, *shape), dtype=torch.uint8, generator=draw)
            pictures = Pictures(size=size)
            draws = pictures.draw(len(frames), shape, generator(0, "augment", 1))
            rows = torch.arange(len(frames)).flip(0)
            for name, drawn in (("training", draws), ("evaluation", None)):
                here = pictures(frames, drawn, rows)
                moved_draws = None if drawn is None else drawn.to(section.device)
                there = pictures(frames.to(section.device), moved_draws, rows.to(section.device))
                found[f"{name}, {size}"] = float((here - there.cpu()).abs().max())
    found["ok"] = all(v <= 1e-4 for k, v in found.items() if k != "allowed")
    return found


def probes(device: torch.device) -> dict[str, Any]:
    """Refit probes on the same features on CPU and device, and train those of a method."""
    draw = torch.Generator().manual_seed(4)
    labels = torch.randint(CLASSES, (600,), generator=draw)
    means = torch.randn(CLASSES, 64, generator=draw)
    features = {
        m: strength * means[labels] + torch.randn(600, 64, generator=draw)
        for m, strength in (("audio", 0.4), ("visual", 0.2))
    }
    read: dict[str, list[Any]] = {"refitted": [], "trained": []}
    for where in (CPU, device):
        z, y = {m: x.to(where) for m, x in features.items()}, labels.to(where)
        train, test = ({m: x[s] for m, x in z.items()} for s in (slice(400), slice(400, None)))
        read["refitted"].append(list(refit_accuracies(train, y[:400], test, y[400:]).values()))
        read["trained"].append(Probes(seed=1).measure(train, y[:400], CLASSES).tolist())
    apart = {
        kind: max(abs(a - b) for a, b in zip(*both, strict=True)) for kind, both in read.items()
    }
    return {"ok": all(v <= 1e-2 for v in apart.values()), "allowed": 1e-2, "apart": apart, **read}


# ---------------------------------------------------------------------- the same bits


def different(one: Trainer, other: Trainer) -> list[str]:
    """Return what differs between two trainers' whole states, by path; nothing may."""
    leaves = []
    for trainer in (one, other):
        state = trainer.state_dict()
        # A generator's state is one of bytes, and is compared as such.
        leaves.append({str(path): leaf for path, leaf in tree_flatten_with_path(state)[0]})
    if leaves[0].keys() != leaves[1].keys():
        return sorted(leaves[0].keys() ^ leaves[1].keys())
    return [path for path, a in leaves[0].items() if not _equal(a, leaves[1][path])]


def _equal(a: Any, b: Any) -> bool:
    if not isinstance(a, Tensor):
        return a == b
    a, b = a.detach().cpu(), b.detach().cpu()
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    # NaN stands for a step without a value.
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _said(one: Trainer, other: Trainer) -> dict[str, Any]:
    paths = different(one, other)
    losses = [trainer.steps["loss/fused"] for trainer in (one, other)]
    return {
        "ok": not paths,
        "steps": len(losses[0]),
        "different": len(paths),
        "such as": paths[:8],
        "largest difference of losses": float((losses[0] - losses[1]).abs().max()),
        "fused loss, first and last": [float(losses[0][0]), float(losses[0][-1])],
    }


def same_bits(
    section: Section, data: MultimodalDataset, precision: str, ways: tuple[str, str], method: str
) -> dict[str, Any]:
    """Train two runs and compare weights, buffers, momentum, methods and telemetry bit by bit."""
    configs = [_config(section, precision, execution) for execution in ways]
    return _said(*(trained(data, config, method) for config in configs))


def from_disk(section: Section, data: MultimodalDataset, execution: str) -> dict[str, Any]:
    """Train with data on the device and with the same data read from disk, bit by bit."""
    config = _config(section, "bf16", execution)
    return _said(
        trained(data, config, "boost_ogm"), trained(on_disk(data), config, "boost_ogm", room=0)
    )


def resumed(
    section: Section, data: MultimodalDataset, precision: str, execution: str, method: str
) -> dict[str, Any]:
    """Stop after an epoch, go on in a new trainer from a file, and compare with no stop."""
    config = _config(section, precision, execution)
    whole, half = trained(data, config, method), trained(data, config, method, epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint.pt")
        checkpoint.save(path, {"trainer": half.state_dict()})
        state = checkpoint.load(path)["trainer"]
    rest = make_trainer(config, data, _method(method))
    rest.load_state_dict(state)
    with as_in_a_run(config):
        rest.run_epoch()
    return _said(whole, rest)


# ---------------------------------------------------------------------- waits


def sync(section: Section) -> None:
    """Train an epoch in which anything that waits for the device is an error."""
    if not section.on_gpu:
        section.results["steps"] = NEEDS_CUDA
        section.write()
        return
    data = make_data(section.checked, section.device)
    for execution in ("eager", "graphs"):
        for precision in ("fp32", "bf16"):
            for method in ("baseline", "ogm_ge", "boost", "boost_ogm"):
                how = {"precision": precision, "execution": execution}
                config = make_config(section.checked, section.device, **how)
                call: Callable[[], Any] = partial(without_waits, data, config, method)
                section.part(f"{method}, {precision}, {execution}", call)
        how = {"precision": "bf16", "execution": execution}
        config = make_config(section.checked, section.device, **how)
        call = partial(without_waits, on_disk(data), config, "baseline", 0)
        section.part(f"baseline, bf16, {execution}, read from disk", call)


def without_waits(
    data: MultimodalDataset, config: RunConfig, method: str, room: int | None = None
) -> dict[str, Any]:
    """Take the steps of a second epoch under torch's debug mode for synchronisation.

    In the first epoch graphs are captured and probes are made. The order of the items and all that
    is drawn for them cross over before the first batch, in one piece.
    """
    trainer = make_trainer(config, data, method, room)
    with as_in_a_run(config):
        trainer.run_epoch()
        check_execution(trainer)
        trainer.epoch += 1
        trainer.model.train()
        order = torch.randperm(len(trainer.parts["train"]))
        assert len(list(batch_rows(order, config.train.batch_size))) == trainer.batches
        batches = trainer._training_batches(order)
        inputs, labels = next(batches)
        torch.cuda.synchronize()
        taken = 0
        torch.cuda.set_sync_debug_mode("error")
        try:
            while inputs is not None:
                take_step(trainer, inputs, labels, taken)
                taken += 1
                inputs, labels = next(batches, (None, None))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return {"ok": taken == trainer.batches, "steps": taken}
