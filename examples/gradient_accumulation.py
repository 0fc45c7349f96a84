"""Gradient accumulation: several micro-batches, one optimizer step, one call of `modulate`.

Keep the outputs and the labels of each micro-batch, and join them before the step: the method then
sees the batch whose gradient the step will use, and the clock counts optimizer steps.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

import toy
from asgml_core import OGMGE, Boost, Chain, Clock, Modulator, Outputs

EPOCHS = 6


def train(modulator: Modulator, micro_batches: int, epochs: int = EPOCHS) -> toy.Net:
    """Train a new network; each optimizer step sees 60 items in so many parts."""
    torch.manual_seed(0)
    net = toy.Net()
    groups = {m: list(e.parameters()) for m, e in net.encoders.items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loader = DataLoader(toy.Items(960, seed=1), 60 // micro_batches)
    steps = len(loader) // micro_batches
    for epoch in range(epochs):
        kept = []
        for i, (inputs, labels) in enumerate(loader):
            outputs = Outputs(*net(inputs))
            loss = F.cross_entropy(outputs.logits, labels)
            (loss / micro_batches).backward()
            kept.append((outputs, labels))
            if len(kept) == micro_batches:
                whole = Outputs.cat([outputs for outputs, _ in kept])
                whole_labels = torch.cat([labels for _, labels in kept])
                step = i // micro_batches
                clock = Clock(epoch + 1, epoch * steps + step, step, steps, epochs)
                modulator.modulate(whole, whole_labels, groups, clock)
                optimizer.step()
                optimizer.zero_grad()
                kept.clear()
    return net


def main() -> None:
    """Train with whole batches and with four parts of each."""
    test = toy.Items(1000, seed=2)
    for micro_batches in (1, 4):
        modulator = Chain(OGMGE(alpha=0.8), Boost(alpha=0.75))
        net = train(modulator, micro_batches)
        print(f"{micro_batches} parts a step: {toy.accuracies(net, test)}")
        print(f"  what the methods did: {modulator.counts()}")


if __name__ == "__main__":
    main()
