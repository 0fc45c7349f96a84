"""What a training step costs: ours beside a plain PyTorch loop and the official OGM-GE code.

    python benchmarks/step.py [--peer DIR] [--repeats 15] [--size 64] [--batch 64] [--width 64]

Two ResNet18 encoders (pictures of 3 channels, sounds of 1), random tensors in memory, the same for
all; SGD with momentum .9 and weight decay 1e-4. One step of each is taken in turn with all others,
and each ratio is of two steps of the same turn. Modes: no modulation, OGM, OGM-GE.

- ``official``: the unmodified ``main.train_epoch`` and ``AVClassifier`` of a clone of
  GeWu-Lab/OGM-GE_CVPR2022 (``--peer``), over one batch. Its data sets are replaced by empty
  classes, since their imports need the data's own packages; the batch is given as tensors.
- ``plain loop``: what a user would write: DataLoader over a TensorDataset, our encoders with
  torch's own convolutions, the official head, SGD that is not fused, ``.item()`` of the losses. It
  never modulates.
- ``ours``: the package's Trainer on an epoch of one batch, so that each step also pays what an
  epoch costs once: its telemetry, its check of the losses, its table. ``same work`` has the
  official head and loss (and noise in both encoders), ``the study's`` the study's head and the
  unimodal losses too.

``--steps 20`` takes epochs of 20 batches instead, as it should be on a GPU. Writes
``book/results/step.csv``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import measuring
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from asgml_core.datasets import MultimodalDataset
from asgml_core.models import build_model
from asgml_core.modulators import OGM, OGMGE, Chain, Modulator, UnimodalLosses

ALPHA = 0.8
MODES: dict[str, tuple[Callable[..., Modulator], ...]] = {
    "Normal": (),
    "OGM": (partial(OGM, alpha=ALPHA, variant="official"),),
    "OGM_GE": (partial(OGMGE, alpha=ALPHA, variant="official"),),
}
Key = tuple[str, str]  # implementation and precision


# ---------------------------------------------------------------------- the official code


class Wrapped(nn.Module):
    """A model with an attribute ``module``, as DataParallel has."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        """Pass everything on."""
        return self.module(*inputs)


@contextlib.contextmanager
def official_code(clone: Path) -> Iterator[tuple[Any, Any]]:
    """Import ``main`` and ``models.basic_model`` of a clone."""
    stubs = {
        "dataset.CramedDataset": "CramedDataset",
        "dataset.VGGSoundDataset": "VGGSound",
        "dataset.dataset": "AVDataset",
    }
    for module, name in stubs.items():
        stub = types.ModuleType(module)
        setattr(stub, name, object)
        sys.modules[module] = stub
    sys.path.insert(0, str(clone))
    try:
        yield importlib.import_module("main"), importlib.import_module("models.basic_model")
    finally:
        sys.path.remove(str(clone))


def official_step(
    clone: Path, mode: str, batches: list[tuple[Tensor, ...]], device: str
) -> Callable[[], None]:
    """Return an epoch of the official code over the batches."""
    arguments = types.SimpleNamespace(
        fusion_method="concat", dataset="CREMAD", modulation=mode, alpha=ALPHA,
        modulation_starts=0, modulation_ends=50, use_tensorboard=False,
    )  # fmt: skip
    with official_code(clone) as (main, basic_model):
        net = Wrapped(basic_model.AVClassifier(arguments)).to(device)
        train_epoch = main.train_epoch
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, measuring.ENDLESS)
    data = [(audio[:, 0], visual[:, :, None], labels) for audio, visual, labels in batches]

    def step() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            train_epoch(arguments, 0, net, torch.device(device), data, optimizer, scheduler)

    return step


# ---------------------------------------------------------------------- a plain loop


class PlainLoop:
    """A loop without modulation, as the tutorials have it."""

    def __init__(self, tensors: tuple[Tensor, ...], batch: int, width: int, device: str) -> None:
        self.loader = DataLoader(TensorDataset(*tensors), batch, shuffle=True)
        shapes = {"audio": tuple(tensors[0].shape[1:]), "visual": tuple(tensors[1].shape[1:])}
        self.device = device
        self.net = build_model(shapes, measuring.CLASSES, head="concat_linear", width=width)
        for module in self.net.modules():
            if isinstance(module, nn.Conv2d):
                module.__class__ = nn.Conv2d  # ours may have a faster way of its own
        self.net.to(device)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4
        )

    def __call__(self) -> dict[str, float]:
        """Train an epoch and return its mean losses."""
        sums: dict[str, float] = {}
        self.net.train()
        for audio, visual, labels in self.loader:
            inputs = {"audio": audio.to(self.device), "visual": visual.to(self.device)}
            target = labels.to(self.device)
            self.optimizer.zero_grad()
            outputs = self.net(inputs)
            loss = F.cross_entropy(outputs.logits, target)
            loss.backward()
            self.optimizer.step()
            losses = {m: F.cross_entropy(o, target) for m, o in outputs.unimodal_logits.items()}
            for name, value in {"fused": loss, **losses}.items():
                sums[name] = sums.get(name, 0.0) + value.item()
        return {name: value / len(self.loader) for name, value in sums.items()}


# ---------------------------------------------------------------------- the measurement


def ours(
    data: MultimodalDataset, mode: str, given: argparse.Namespace
) -> dict[Key, Callable[[], None]]:
    """Return epochs of the Trainer by kind of work and precision."""
    calls: dict[Key, Callable[[], None]] = {}
    kinds = {"ours, same work": "concat_linear", "ours, the study's": "concat_mlp"}
    for name, head in kinds.items():
        for precision in given.precision:
            config = measuring.make_config(
                precision,
                model={"width": given.width, "head": head},
                train={"batch_size": given.batch},
                threads=given.threads,
                device=given.device,
                execution=given.execution,
                deterministic=not given.fast,
            )
            parts = [UnimodalLosses()] if head == "concat_mlp" else []
            parts += [make() for make in MODES[mode]]
            trainer = measuring.make_trainer(config, data, Chain(*parts))
            calls[name, precision] = partial(measuring.train_epoch, trainer)
    return calls


def measure(mode: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one mode."""
    shapes = {"audio": (1, given.size, given.size), "visual": (3, given.size, given.size)}
    data = measuring.random_data(shapes, given.batch * given.steps)
    tensors = (*data.train.inputs.values(), data.train.labels)
    calls: dict[Key, Callable[[], Any]] = {}
    if given.peer:
        batches = list(zip(*(t.split(given.batch) for t in tensors), strict=True))
        calls["official", "fp32"] = official_step(given.peer, mode, batches, given.device)
    calls["plain loop", "fp32"] = PlainLoop(tensors, given.batch, given.width, given.device)
    calls |= ours(data, mode, given)
    times = measuring.in_turn(calls, given.repeats, given.warmup, given.device)
    items = given.batch * given.steps
    return [
        {
            "mode": mode,
            "implementation": name,
            "precision": precision,
            "n": len(taken),
            **_ratio("times official", times, ("official", "fp32"), taken),
            **_ratio("times plain loop", times, ("plain loop", "fp32"), taken),
            **measuring.spread("samples a second", [items / t for t in taken]),
        }
        for (name, precision), taken in times.items()
    ]


def _ratio(
    column: str, times: dict[Key, list[float]], to: Key, taken: list[float]
) -> dict[str, float]:
    return measuring.spread(column, measuring.ratios(times[to], taken) if to in times else [])


def main() -> None:
    parser = measuring.parser(__doc__, device=True)
    measuring.add_precision(parser)
    measuring.add_execution(parser)
    parser.add_argument("--peer", type=Path, help="a clone of GeWu-Lab/OGM-GE_CVPR2022")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--repeats", type=int, default=15, help="of each (default: 15)")
    parser.add_argument("--warmup", type=int, default=2, help="before them (default: 2)")
    parser.add_argument("--steps", type=int, default=1, help="steps an epoch (default: 1)")
    parser.add_argument("--size", type=int, default=64, help="height and width (default: 64)")
    parser.add_argument("--batch", type=int, default=64, help="items (default: 64)")
    parser.add_argument("--width", type=int, default=64, help="of ResNet18 (default: 64)")
    given = parser.parse_args()
    if given.peer and given.width != 64:
        parser.error("the official network has width 64; leave --width or --peer out.")
    torch.set_num_threads(given.threads)
    writer = measuring.Writer("step", given)
    rows = [row for mode in given.modes for row in measure(mode, given)]
    writer.write("step", rows)


if __name__ == "__main__":
    main()
