"""What the examples share: a small network and data of three modalities, of unequal strength.

It stands for your own code and knows nothing of asgml_core. The network has an encoder and a head
for each modality, and its logits are the sum of what the heads say.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

CHANNELS = {"audio": 1, "visual": 3, "touch": 1}
STRENGTH = {"audio": 0.6, "visual": 0.35, "touch": 0.25}
CLASSES, SIDE = 5, 8

torch.set_num_threads(1)  # the tensors are tiny: more threads would only wait for each other


class Items(Dataset):
    """Items ``({modality: (channels, 8, 8)}, label)``: a pattern for each class, under noise."""

    def __init__(self, count: int, seed: int) -> None:
        patterns, draw = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
        self.labels = torch.arange(count) % CLASSES
        self.inputs = {}
        for m, channels in CHANNELS.items():
            pattern = torch.randn(CLASSES, channels, SIDE, SIDE, generator=patterns)
            noise = torch.randn(count, channels, SIDE, SIDE, generator=draw)
            self.inputs[m] = STRENGTH[m] * channels**-0.5 * pattern[self.labels] + noise

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[dict[str, Tensor], Tensor]:
        return {m: x[row] for m, x in self.inputs.items()}, self.labels[row]


class Net(nn.Module):
    """Late fusion: returns logits ``(B, C)``, unimodal logits and features, by modality."""

    def __init__(self, width: int = 8, features: int = 16) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {
                m: nn.Sequential(
                    nn.Conv2d(channels, width, 3, stride=2, padding=1),
                    nn.GELU(),
                    nn.Flatten(),
                    nn.Linear(width * (SIDE // 2) ** 2, features),
                    nn.GELU(),
                )
                for m, channels in CHANNELS.items()
            }
        )
        self.heads = nn.ModuleDict({m: nn.Linear(features, CLASSES) for m in CHANNELS})

    def forward(
        self, inputs: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        features = {m: encoder(inputs[m]) for m, encoder in self.encoders.items()}
        unimodal_logits = {m: self.heads[m](z) for m, z in features.items()}
        return sum(unimodal_logits.values()), unimodal_logits, features


@torch.no_grad()
def accuracies(net: nn.Module, items: Items) -> str:
    """Return the accuracy of the network and of each of its heads, as text."""
    logits, unimodal_logits, _ = net(items.inputs)
    answers = {"together": logits, **unimodal_logits}
    shares = {name: (said.argmax(1) == items.labels).float() for name, said in answers.items()}
    return ", ".join(f"{name} {100 * share.mean():.1f} %" for name, share in shares.items())
