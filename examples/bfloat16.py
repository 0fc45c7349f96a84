"""Mixed precision in bfloat16: autocast alone, without a scaler.

Weights and their gradients stay float32; features and logits are bfloat16. The methods compute what
they need in float32.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

import toy
from asgml_core import OGMGE, Boost, Chain, Clock, Modulator, Outputs

EPOCHS = 6


def train(modulator: Modulator) -> toy.Net:
    """Train a new network."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    net = toy.Net().to(device)
    groups = {m: list(e.parameters()) for m, e in net.encoders.items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loader = DataLoader(toy.Items(1000, seed=1), batch_size=50, shuffle=True)
    n = len(loader)
    for epoch in range(EPOCHS):
        for i, (batch, classes) in enumerate(loader):
            inputs = {m: x.to(device) for m, x in batch.items()}
            labels = classes.to(device)
            with torch.autocast(device, dtype=torch.bfloat16):
                outputs = Outputs(*net(inputs))
                loss = F.cross_entropy(outputs.logits, labels)
            optimizer.zero_grad()
            loss.backward()
            clock = Clock(epoch + 1, epoch * n + i, i, n, EPOCHS)
            modulator.modulate(outputs, labels, groups, clock)
            optimizer.step()
    return net.cpu()


def main() -> None:
    """Train, and show what came out."""
    modulator = Chain(OGMGE(alpha=0.8), Boost(alpha=0.75))
    net = train(modulator)
    print(toy.accuracies(net, toy.Items(1000, seed=2)))
    print("what the methods did:", modulator.counts())


if __name__ == "__main__":
    main()
