"""A method of your own: the formula, a thin class around it, and its use in a loop and in a run.

The toy method pulls the gradient norms of the encoders towards each other: it multiplies each
encoder's gradient by a power of the mean norm over its own. It is no published method.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

import toy
from asgml_core import Chain, Clock, During, Modulator, Outputs, RunRecord, profile, run
from asgml_core.checks import check_number
from asgml_core.config import MethodConfig
from asgml_core.modulators import REGISTRY
from asgml_core.modulators.editing import gradient_norm, gradients_of, scale_gradients


def even_scales(norms: Tensor, strength: float) -> Tensor:
    """Return ``(mean(n) / n_m) ** strength``; 1 where a norm is 0.

    Args:
        norms: ``(M,)`` gradient norms, 0 or more.
        strength: from 0, which changes nothing, to 1, after which all norms are equal.
    """
    scales = (norms.mean() / norms) ** strength
    return torch.where(norms == 0, torch.ones_like(norms), scales)


class Even(Modulator):
    """Pull the gradient norms of the encoders towards each other.

    Args:
        strength: from 0 to 1.

    It follows a running mean of the norms, ``n = .1 * new + .9 * old``, from the first norms on.
    Source: none; an example.
    """

    name = "even"
    window = (0.0, 0.5)  # in a run: the first half of the epochs, if the config names no other
    measures = True

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__()
        self.strength = check_number("strength", strength, low=0.0, high=1.0)
        self.register_buffer("norms", None)  # its size is known from the first step on

    def measure(self, outputs: Outputs, labels: Tensor, groups: dict, clock: Clock) -> None:
        """Follow the raw norms, before any method of a chain edits a gradient."""
        norms = torch.stack(
            [gradient_norm(gradients_of(groups[m])) for m in outputs.unimodal_logits]
        )
        self.norms = norms if self.norms is None else torch.lerp(self.norms, norms, 0.1)
        self.count("measured")

    def gradients(
        self, outputs: Outputs, labels: Tensor, groups: dict, clock: Clock
    ) -> dict[str, Tensor]:
        """Scale the gradients of each encoder."""
        scales = even_scales(self.norms, self.strength)
        for m, scale in zip(outputs.unimodal_logits, scales, strict=True):
            scale_gradients(gradients_of(groups[m]), scale)
        self.count("acted", (scales != 1).any())
        return {f"scale/{m}": s for m, s in zip(outputs.unimodal_logits, scales, strict=True)}


def check() -> None:
    """Compare the formula with the same thing written out by hand."""
    norms, strength = [3.0, 1.0, 2.0, 0.0], 0.5
    mean = sum(norms) / len(norms)
    expected = [(mean / n) ** strength if n else 1.0 for n in norms]
    torch.testing.assert_close(even_scales(torch.tensor(norms), strength), torch.tensor(expected))


def in_a_loop(modulator: Modulator, epochs: int = 6) -> toy.Net:
    """Train a new network with a method."""
    torch.manual_seed(0)
    net = toy.Net()
    groups = {m: list(e.parameters()) for m, e in net.encoders.items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loader = DataLoader(toy.Items(1000, seed=1), batch_size=50, shuffle=True)
    n = len(loader)
    for epoch in range(epochs):
        for i, (inputs, labels) in enumerate(loader):
            outputs = Outputs(*net(inputs))
            optimizer.zero_grad()
            F.cross_entropy(outputs.logits, labels).backward()
            clock = Clock(epoch + 1, epoch * n + i, i, n, epochs)
            modulator.modulate(outputs, labels, groups, clock)
            optimizer.step()
    return net


def in_a_run(folder: Path, epochs: int = 4) -> RunRecord:
    """Run the method on a small part of the embedded data, beside the unimodal losses."""
    REGISTRY["even"] = Even  # in the library this is a line of modulators/__init__.py
    base = profile("synth", epochs=epochs, options={"train": 240, "test": 120})
    method = MethodConfig(name="even", options={"strength": 0.3})
    config = base.replace(run_id="even", methods=(*base.methods, method))
    return run(config, folder, progress=False)


def main() -> None:
    """Check the formula, then use the method in a loop and in a run."""
    check()
    test = toy.Items(1000, seed=2)
    print("no method:", toy.accuracies(in_a_loop(Chain()), test))
    modulator = During(Even(), 1, 3)
    print("in a loop:", toy.accuracies(in_a_loop(modulator), test))
    print("  what it did:", modulator.counts())
    with TemporaryDirectory() as folder:
        record = in_a_run(Path(folder))
        print("in a run, the mean scales of each epoch:")
        print(record.epochs[["epoch", "even/scale/audio", "even/scale/visual"]].to_string())


if __name__ == "__main__":
    main()
