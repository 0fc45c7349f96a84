"""The plain loop that Lightning and Hugging Face Trainer are compared with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from toy_loop import differences

import toy
from asgml_core import OGMGE, Boost, Chain, Clock, Frequency, Modulator, Outputs, UnimodalLosses
from asgml_core.modulators import Evaluation, Metrics

METHODS: dict[str, Callable[[], Modulator]] = {
    "boost": lambda: Chain(UnimodalLosses(0.5), OGMGE(0.8), Boost(0.75)),
    "frequency": lambda: Chain(UnimodalLosses(0.5), Frequency(eval_every=4)),
}


def plain(modulator: Modulator, epochs: int, before: float, after: float) -> toy.Net:
    """Train in batches of 60; gradients are clipped to ``before`` and ``after`` modulating."""
    torch.manual_seed(0)
    net, valid = toy.Net(), toy.Items(300, seed=3)
    groups = {m: list(encoder.parameters()) for m, encoder in net.encoders.items()}
    groups["fusion"] = list(net.heads.parameters())
    optimizer = torch.optim.SGD([{"params": group} for group in groups.values()], lr=0.1)
    loader = DataLoader(toy.Items(960, seed=1), 60)
    for epoch in range(epochs):
        for i, (inputs, labels) in enumerate(loader):
            clock = Clock(epoch + 1, epoch * len(loader) + i, i, len(loader), epochs)
            outputs = Outputs(*net(inputs))
            terms = {"fused": F.cross_entropy(outputs.logits, labels)}
            terms = modulator.terms(terms, outputs, labels, clock)
            optimizer.zero_grad()
            sum(terms.values()).backward()
            nn.utils.clip_grad_norm_(net.parameters(), before)
            modulator.modulate(outputs, labels, groups, clock)
            nn.utils.clip_grad_norm_(net.parameters(), after)
            optimizer.step()
        with torch.no_grad():
            evaluation = Evaluation(Outputs(*net(valid.inputs)), valid.labels)
        modulator.epoch_end(Metrics(valid=evaluation), optimizer, groups, clock)
    return net


def gap(a: nn.Module, b: nn.Module) -> float:
    """Return the largest difference between two states."""
    return max(differences(dict(a.state_dict()), dict(b.state_dict())).values())
