"""OGM-GE and boost in a plain PyTorch loop on three modalities, with a checkpoint in mid-run.

The loop gives `modulate` what the network returned, the parameters of each encoder as lists, and
the time, once between `backward` and `step`. The modulator's `state_dict` belongs into the
checkpoint: it holds the probes, the running scales and the states of the noise.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

import toy
from asgml_core import OGMGE, Boost, Chain, Clock, Modulator, Outputs

EPOCHS = 6


class Training:
    """A network, its optimizer and a modulator: all that a checkpoint holds."""

    def __init__(self, modulator: Modulator) -> None:
        torch.manual_seed(0)
        self.net = toy.Net()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1, momentum=0.5)
        self.modulator = modulator

    def train_epoch(self, epoch: int) -> None:
        """Train one epoch, counted from 0."""
        order = torch.Generator().manual_seed(epoch)
        loader = DataLoader(toy.Items(1000, seed=1), 50, shuffle=True, generator=order)
        n = len(loader)
        groups = {m: list(e.parameters()) for m, e in self.net.encoders.items()}
        for i, (inputs, labels) in enumerate(loader):
            logits, unimodal_logits, features = self.net(inputs)
            self.optimizer.zero_grad()
            F.cross_entropy(logits, labels).backward()
            outputs = Outputs(logits, unimodal_logits, features)
            clock = Clock(epoch + 1, epoch * n + i, i, n, EPOCHS)
            self.modulator.modulate(outputs, labels, groups, clock)
            self.optimizer.step()

    def save(self, path: Path) -> None:
        """Write the complete state."""
        parts = {"net": self.net, "optimizer": self.optimizer, "modulator": self.modulator}
        torch.save({name: part.state_dict() for name, part in parts.items()}, path)

    def load(self, path: Path) -> None:
        """Restore what `save` wrote."""
        state = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.modulator.load_state_dict(state["modulator"])


def main() -> None:
    """Train without and with the methods, then once more with a cut in the middle."""
    plain, whole = Training(Chain()), Training(Chain(OGMGE(alpha=0.8), Boost(alpha=0.75)))
    for epoch in range(EPOCHS):
        plain.train_epoch(epoch)
        whole.train_epoch(epoch)
    test = toy.Items(1000, seed=2)
    print("no method:    ", toy.accuracies(plain.net, test))
    print("OGM-GE, boost:", toy.accuracies(whole.net, test))
    print("what they did:", whole.modulator.counts())

    first = Training(Chain(OGMGE(alpha=0.8), Boost(alpha=0.75)))
    for epoch in range(EPOCHS // 2):
        first.train_epoch(epoch)
    second = Training(Chain(OGMGE(alpha=0.8), Boost(alpha=0.75)))
    with TemporaryDirectory() as folder:
        first.save(Path(folder) / "checkpoint.pt")
        second.load(Path(folder) / "checkpoint.pt")
    for epoch in range(EPOCHS // 2, EPOCHS):
        second.train_epoch(epoch)
    pairs = zip(whole.net.parameters(), second.net.parameters(), strict=True)
    print("resumed in the middle, same weights:", all(torch.equal(a, b) for a, b in pairs))


if __name__ == "__main__":
    main()
