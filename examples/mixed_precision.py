"""Mixed precision in float16: autocast and a GradScaler.

The order is `scaler.scale(loss).backward()`, `scaler.unscale_`, `modulate`, `scaler.step`. Where a
gradient in `groups` overflows, `modulate` does nothing and changes no state: the scaler leaves that
step out, too. So `groups` holds all parameters here. The scale starts too high, so that it happens.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

import toy
from asgml_core import OGMGE, Boost, Chain, Clock, Modulator, Outputs

EPOCHS = 6


def train(modulator: Modulator, scale: float) -> tuple[toy.Net, int]:
    """Train a new network; return it, and how many steps the scaler left out."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    net = toy.Net().to(device)
    groups = {m: list(e.parameters()) for m, e in net.encoders.items()}
    groups["fusion"] = list(net.heads.parameters())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler(device, init_scale=scale)
    loader = DataLoader(toy.Items(1000, seed=1), batch_size=50, shuffle=True)
    n = len(loader)
    left_out = 0
    for epoch in range(EPOCHS):
        for i, (batch, classes) in enumerate(loader):
            inputs = {m: x.to(device) for m, x in batch.items()}
            labels = classes.to(device)
            with torch.autocast(device, dtype=torch.float16):
                outputs = Outputs(*net(inputs))
                loss = F.cross_entropy(outputs.logits, labels)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            clock = Clock(epoch + 1, epoch * n + i, i, n, EPOCHS)
            record = modulator.modulate(outputs, labels, groups, clock)
            scaler.step(optimizer)
            scaler.update()
            left_out += not record
    return net.cpu(), left_out


def main() -> None:
    """Train with a scale that overflows in the first steps."""
    modulator = Chain(OGMGE(alpha=0.8), Boost(alpha=0.75))
    net, left_out = train(modulator, scale=2.0**24)
    print(toy.accuracies(net, toy.Items(1000, seed=2)))
    print(f"steps left out: {left_out} of {20 * EPOCHS}")
    print("what the methods did:", modulator.counts())


if __name__ == "__main__":
    main()
