"""DistributedDataParallel: each process gives `modulate` its own share of the batch.

`modulate` gathers the outputs of all processes, so scores, probes and noise are those of the whole
batch, and the same in each. `groups` holds the parameters of the network inside the wrapper.

Starts two processes on the CPU by itself; `torchrun --nproc-per-node=2 distributed.py` works too.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

import toy
from asgml_core import OGMGE, Boost, Chain, Clock, Modulator, Outputs, UnimodalLosses
from asgml_core.modulators import Frequency

EPOCHS = 4


def train(modulator: Modulator) -> toy.Net:
    """Train a new network in all processes together; each step sees 60 items in all."""
    torch.manual_seed(0)
    net = toy.Net()
    ddp = DistributedDataParallel(net)
    groups = {m: list(e.parameters()) for m, e in net.encoders.items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    items = toy.Items(960, seed=1)
    sampler = DistributedSampler(items)
    loader = DataLoader(items, 60 // dist.get_world_size(), sampler=sampler)
    n = len(loader)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for i, (inputs, labels) in enumerate(loader):
            clock = Clock(epoch + 1, epoch * n + i, i, n, EPOCHS)
            outputs = Outputs(*ddp(inputs))
            terms = {"fused": F.cross_entropy(outputs.logits, labels)}
            terms = modulator.terms(terms, outputs, labels, clock)
            optimizer.zero_grad()
            sum(terms.values()).backward()
            modulator.modulate(outputs, labels, groups, clock)
            optimizer.step()
    return net


def agree(net: toy.Net) -> bool:
    """Return whether all processes hold the same weights, bit for bit."""
    mine = torch.cat([p.detach().flatten() for p in net.parameters()])
    theirs = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(theirs, mine)
    return all(torch.equal(mine, weights) for weights in theirs)


def work(rank: int, world_size: int, meeting_place: str) -> None:
    """Do what one process does."""
    dist.init_process_group("gloo", meeting_place, rank=rank, world_size=world_size)
    for method in (Boost(alpha=0.75), Frequency()):
        modulator = Chain(UnimodalLosses(gamma=0.5), OGMGE(alpha=0.8), method)
        net = train(modulator)
        same = agree(net)
        if rank == 0:
            print(toy.accuracies(net, toy.Items(1000, seed=2)))
            print(f"  what the methods did: {modulator.counts()}")
            print(f"  the {world_size} processes hold the same weights: {same}")
    dist.destroy_process_group()


def main() -> None:
    """Join the processes that torchrun started, or start two."""
    if "RANK" in os.environ:
        work(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), "env://")
    else:
        with TemporaryDirectory() as folder:
            meeting_place = (Path(folder) / "meeting").as_uri()
            torch.multiprocessing.spawn(work, (2, meeting_place), nprocs=2)


if __name__ == "__main__":
    main()
