"""torch.compile: compile the network, and leave the modulator outside.

`modulate` edits gradients between `backward` and `step`, after the compiled part has run. Without a
C++ compiler on the machine the example falls back to a backend that needs none.
"""

from __future__ import annotations

import shutil

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

import toy
from asgml_core import OGMGE, Boost, Chain, Clock, Modulator, Outputs

EPOCHS = 3


def backend() -> str:
    """Return the name of a backend that works on this machine."""
    found = any(shutil.which(name) for name in ("c++", "g++", "clang++"))
    return "inductor" if found else "aot_eager"


def train(modulator: Modulator, backend: str | None, epochs: int = EPOCHS) -> toy.Net:
    """Train a new network, compiled by a backend or, with ``None``, as it is."""
    torch.manual_seed(0)
    net = toy.Net()
    network = net if backend is None else torch.compile(net, backend=backend)
    groups = {m: list(e.parameters()) for m, e in net.encoders.items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loader = DataLoader(toy.Items(1000, seed=1), batch_size=50, shuffle=True)
    n = len(loader)
    for epoch in range(epochs):
        for i, (inputs, labels) in enumerate(loader):
            outputs = Outputs(*network(inputs))
            optimizer.zero_grad()
            F.cross_entropy(outputs.logits, labels).backward()
            clock = Clock(epoch + 1, epoch * n + i, i, n, epochs)
            modulator.modulate(outputs, labels, groups, clock)
            optimizer.step()
    return net


def main() -> None:
    """Train compiled and as it is."""
    print("backend:", backend())
    nets = []
    for name in (backend(), None):
        modulator = Chain(OGMGE(alpha=0.8), Boost(alpha=0.75))
        nets.append(train(modulator, name))
        print(f"{name or 'eager'}: {toy.accuracies(nets[-1], toy.Items(1000, seed=2))}")
        print(f"  what the methods did: {modulator.counts()}")
    pairs = zip(*(net.parameters() for net in nets), strict=True)
    difference = max((a - b).abs().max() for a, b in pairs)
    print(f"largest difference of a weight: {difference:.1e}")


if __name__ == "__main__":
    main()
