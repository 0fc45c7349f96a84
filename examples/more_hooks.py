"""A loop with every hook a method here needs: `terms` for frequency, `epoch_end` for MILES.

`terms` goes between the forward pass and `backward`: it may add terms to the loss, weigh them or
drop them. `epoch_end` follows the validation of each epoch. MILES moves learning rates, so the
optimizer has a parameter group for each encoder, and its validation part is held out of training.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

import toy
from asgml_core import Chain, Clock, Modulator, Outputs, UnimodalLosses
from asgml_core.modulators import MILES, Evaluation, Frequency, Metrics

EPOCHS = 6


def train(modulator: Modulator) -> tuple[toy.Net, torch.optim.Optimizer]:
    """Train a new network with a method, whichever hooks it needs."""
    torch.manual_seed(0)
    net, valid = toy.Net(), toy.Items(300, seed=3)
    groups = {m: list(e.parameters()) for m, e in net.encoders.items()}
    groups["fusion"] = list(net.heads.parameters())
    optimizer = torch.optim.SGD([{"params": parameters} for parameters in groups.values()], lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.1)
    loader = DataLoader(toy.Items(1000, seed=1), batch_size=50, shuffle=True)
    n = len(loader)
    for epoch in range(EPOCHS):
        for i, (inputs, labels) in enumerate(loader):
            clock = Clock(epoch + 1, epoch * n + i, i, n, EPOCHS)
            outputs = Outputs(*net(inputs))
            terms = {"fused": F.cross_entropy(outputs.logits, labels)}
            terms = modulator.terms(terms, outputs, labels, clock)
            optimizer.zero_grad()
            modulator.backward(terms, outputs, groups)  # of the sum of the terms
            modulator.modulate(outputs, labels, groups, clock)
            optimizer.step()
        with torch.no_grad():
            evaluation = Evaluation(Outputs(*net(valid.inputs)), valid.labels)
        modulator.epoch_end(Metrics(valid=evaluation), optimizer, groups, clock)
        scheduler.step()
    return net, optimizer


def main() -> None:
    """Train with each of the two, and without."""
    methods = {
        "unimodal losses": UnimodalLosses(gamma=0.5),
        "and frequency": Chain(UnimodalLosses(gamma=0.5), Frequency()),
        "and MILES": Chain(UnimodalLosses(gamma=0.5), MILES(threshold=0.1)),
    }
    test = toy.Items(1000, seed=2)
    for name, modulator in methods.items():
        net, optimizer = train(modulator)
        print(f"{name}: {toy.accuracies(net, test)}")
        print(f"  what it did: {modulator.counts()}")
    rates = [f"{group['lr']:.3g}" for group in optimizer.param_groups]
    print(f"  its last learning rates: {', '.join(rates)}")


if __name__ == "__main__":
    main()
