"""Encoders, fusion heads and the late-fusion network of the study.

``build_model`` makes a network from the shapes of the data; ``LateFusion`` runs it and returns
:class:`~asgml_core.modulators.Outputs`. Shapes: ``B`` batch, ``C`` classes, ``d`` features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from asgml_core.checks import check_count, check_one_of
from asgml_core.convolution import Conv2d
from asgml_core.modulators.outputs import Outputs
from asgml_core.seeding import derive_seed
from asgml_core.sequences import SequenceEncoder

Stem = Literal["imagenet", "small"]
Frames = Literal["each", "channels"]


class ResNet18(nn.Module):
    """torchvision's ResNet18 without its classifier, at any width and with a stem for small inputs.

    At ``width=64, stem="imagenet"`` the parameters have torchvision's names, shapes and
    initialisation (convolutions Kaiming normal, fan out; batch norms 1 and 0).

    Args:
        channels: channels of the input ``(B, channels, H, W)``.
        width: channels of the first stage; the features have ``d = 8 * width``.
        stem: ``"imagenet"`` is a 7 x 7 convolution of stride 2 and a max pool (the input shrinks
            32 times over the network), ``"small"`` a 3 x 3 convolution of stride 1 (8 times).
    """

    def __init__(self, channels: int = 3, width: int = 64, stem: Stem = "imagenet") -> None:
        super().__init__()
        check_one_of("stem", stem, ("imagenet", "small"))
        self.features = 8 * check_count("width", width)
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(channels, width, 3, stride=1, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, channels, H, W)`` to features ``(B, d)``, averaged over space."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        # A mean, not AdaptiveAvgPool2d: its backward is deterministic on CUDA too. In float32 also
        # where the maps are bfloat16.
        return x.mean((2, 3), dtype=torch.float32 if x.dtype == torch.bfloat16 else None)


class Block(nn.Module):
    """ResNet's basic block: two 3 x 3 convolutions beside a shortcut.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: of the first convolution.

    Source: He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), figure 2; names
    and order of initialisation are torchvision's.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        shortcut = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.conv1 = Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)).add_(shortcut))


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Block(inputs, outputs, stride), Block(outputs, outputs))


class ClipEncoder(nn.Module):
    """A ResNet18 over a clip ``(B, F, channels, H, W)``.

    Args:
        frames: number of frames ``F``.
        channels: channels of one frame.
        mode: ``"each"`` encodes every frame and averages the features over time; ``"channels"``
            stacks the frames as channels of one picture (for lips).
        width: as in :class:`ResNet18`.
        stem: as in :class:`ResNet18`.
    """

    def __init__(
        self,
        frames: int,
        channels: int,
        mode: Frames = "each",
        width: int = 64,
        stem: Stem = "imagenet",
    ) -> None:
        super().__init__()
        self.mode = check_one_of("frames", mode, ("each", "channels"))
        self.net = ResNet18(frames * channels if mode == "channels" else channels, width, stem)
        self.features = self.net.features

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, F, channels, H, W)`` to features ``(B, d)``."""
        if self.mode == "channels":
            return self.net(x.flatten(1, 2))
        return self.net(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)


class MLP(nn.Module):
    """Two layers with batch norm and ReLU, for feature vectors ``(B, inputs)``.

    Args:
        inputs: size of the input vector.
        width: as for :class:`ResNet18`, the features have ``d = 8 * width``.
    """

    def __init__(self, inputs: int, width: int = 64) -> None:
        super().__init__()
        self.features = 8 * check_count("width", width)
        self.net = nn.Sequential(
            nn.Linear(inputs, self.features),
            nn.BatchNorm1d(self.features),
            nn.ReLU(inplace=True),
            nn.Linear(self.features, self.features),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs)`` to features ``(B, d)``."""
        return self.net(x)


class ConcatMLP(nn.Module):
    """The study's head: Linear(sum of d -> d), then Linear(d -> C), no activation between.

    One Linear(d -> C) per modality beside it gives the unimodal logits.

    Args:
        sizes: feature size ``d`` by modality.
        classes: number of classes ``C``.
    """

    def __init__(self, sizes: Mapping[str, int], classes: int) -> None:
        super().__init__()
        hidden = max(sizes.values())
        self.joint = nn.Sequential(
            nn.Linear(sum(sizes.values()), hidden), nn.Linear(hidden, classes)
        )
        self.unimodal = nn.ModuleDict({m: nn.Linear(d, classes) for m, d in sizes.items()})

    def forward(self, features: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Map features ``{m: (B, d)}`` to fused logits ``(B, C)`` and unimodal ones."""
        logits = self.joint(torch.cat([features[m] for m in self.unimodal], 1))
        return logits, {m: layer(features[m]) for m, layer in self.unimodal.items()}

    def unimodal_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters that make each modality's unimodal logits."""
        return {m: list(layer.parameters()) for m, layer in self.unimodal.items()}


class ConcatLinear(nn.Module):
    """OGM-GE's official head: one Linear(sum of d -> C).

    The unimodal logits are its split, ``z_m @ W_m.T + b / M``; they sum to the fused logits.
    """

    def __init__(self, sizes: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.modalities = tuple(sizes)
        self.joint = nn.Linear(sum(sizes.values()), classes)

    def forward(self, features: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Map features ``{m: (B, d)}`` to fused logits ``(B, C)`` and unimodal ones."""
        ordered = [features[m] for m in self.modalities]
        weights = self.joint.weight.split([z.shape[1] for z in ordered], 1)
        bias = self.joint.bias / len(ordered)
        unimodal = {
            m: nn.functional.linear(z, w, bias)
            for m, z, w in zip(self.modalities, ordered, weights, strict=True)
        }
        return self.joint(torch.cat(ordered, 1)), unimodal

    def unimodal_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters that make each modality's unimodal logits."""
        return {m: list(self.joint.parameters()) for m in self.modalities}


class Sum(nn.Module):
    """One Linear(d -> C) per modality, logits added; unimodal logits keep their own full bias."""

    def __init__(self, sizes: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.unimodal = nn.ModuleDict({m: nn.Linear(d, classes) for m, d in sizes.items()})

    def forward(self, features: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Map features ``{m: (B, d)}`` to fused logits ``(B, C)`` and unimodal ones."""
        unimodal = {m: self.unimodal[m](z) for m, z in features.items()}
        return torch.stack(list(unimodal.values())).sum(0), unimodal

    def unimodal_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters that make each modality's unimodal logits."""
        return {m: list(layer.parameters()) for m, layer in self.unimodal.items()}


class Gated(nn.Module):
    """A gated sum, then Linear(d -> d) and Linear(d -> C), no activation between.

    The sum is ``sum_m sigmoid(gate_m(z_m)) * value_m(z_m)`` with linear gates and values; ``d`` is
    the largest feature size. One Linear(d_m -> C) per modality beside it gives the unimodal logits.
    """

    def __init__(self, sizes: Mapping[str, int], classes: int) -> None:
        super().__init__()
        hidden = max(sizes.values())
        self.gates = nn.ModuleDict({m: nn.Linear(d, hidden) for m, d in sizes.items()})
        self.values = nn.ModuleDict({m: nn.Linear(d, hidden) for m, d in sizes.items()})
        self.joint = nn.Sequential(nn.Linear(hidden, hidden), nn.Linear(hidden, classes))
        self.unimodal = nn.ModuleDict({m: nn.Linear(d, classes) for m, d in sizes.items()})

    def forward(self, features: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Map features ``{m: (B, d)}`` to fused logits ``(B, C)`` and unimodal ones."""
        gated = [
            self.gates[m](features[m]).sigmoid() * self.values[m](features[m])
            for m in self.unimodal
        ]
        logits = self.joint(torch.stack(gated).sum(0))
        return logits, {m: layer(features[m]) for m, layer in self.unimodal.items()}

    def unimodal_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters that make each modality's unimodal logits."""
        return {m: list(layer.parameters()) for m, layer in self.unimodal.items()}


#: The fusion heads by name.
HEADS = {"concat_mlp": ConcatMLP, "concat_linear": ConcatLinear, "sum": Sum, "gated": Gated}


class LateFusion(nn.Module):
    """One encoder per modality and a fusion head.

    Args:
        encoders: by modality, each mapping its input to features ``(B, d)`` and naming ``d`` as
            ``encoder.features``.
        head: maps features ``{m: (B, d)}`` to ``(logits, unimodal_logits)``.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.head = head

    def encode(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map inputs ``{m: (B, ...)}`` of some or all modalities to features ``{m: (B, d)}``."""
        return {m: encoder(inputs[m]) for m, encoder in self.encoders.items() if m in inputs}

    def fuse(self, features: Mapping[str, Tensor]) -> Outputs:
        """Map features ``{m: (B, d)}`` to :class:`~asgml_core.modulators.Outputs`.

        A modality without features enters as zeros.
        """
        some = next(iter(features.values()))
        features = {
            m: features[m] if m in features else some.new_zeros(len(some), encoder.features)
            for m, encoder in self.encoders.items()
        }
        logits, unimodal_logits = self.head(features)
        return Outputs(logits, unimodal_logits, features, lambda z: self.head(z)[0])

    def forward(self, inputs: Mapping[str, Tensor]) -> Outputs:
        """Map inputs ``{m: (B, ...)}`` to :class:`~asgml_core.modulators.Outputs`."""
        return self.fuse(self.encode(inputs))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Return every parameter once: by modality the encoder's, under ``"fusion"`` the heads'."""
        groups = {m: list(encoder.parameters()) for m, encoder in self.encoders.items()}
        return {**groups, "fusion": list(self.head.parameters())}


def build_model(
    shapes: Mapping[str, tuple[int, ...]],
    classes: int,
    *,
    head: str = "concat_mlp",
    width: int = 64,
    stem: Stem = "imagenet",
    frames: Frames = "each",
    init: Literal["study", "official"] = "study",
    seed: int = 0,
) -> LateFusion:
    """Build a late-fusion network for the given data, initialised from ``seed`` alone.

    Args:
        shapes: shape of one item by modality: ``(d,)`` gets an :class:`MLP`, ``(T, d)`` a
            :class:`~asgml_core.sequences.SequenceEncoder`, ``(channels, H, W)`` a
            :class:`ResNet18`, ``(F, channels, H, W)`` a :class:`ClipEncoder`.
        classes: number of classes ``C``, 2 or more.
        head: one of :data:`HEADS`.
        width: channels of the first stage, see :class:`ResNet18`.
        stem: see :class:`ResNet18`.
        frames: see :class:`ClipEncoder`.
        init: ``"study"`` keeps torch's default for the heads, ``"official"`` takes OGM-GE's
            (Xavier normal, bias 0).
        seed: the run's seed.

    Raises:
        ValueError: for an option outside its range, or an item shape of another rank.
    """
    check_one_of("head", head, HEADS)
    check_one_of("init", init, ("study", "official"))
    check_one_of("stem", stem, ("imagenet", "small"))
    check_one_of("frames", frames, ("each", "channels"))
    check_count("classes", classes, low=2)
    # torch's layers initialise from the global CPU state, so it is borrowed and given back.
    with torch.random.fork_rng(devices=[]):
        encoders = {}
        for m, shape in shapes.items():
            # One stream per modality: an encoder starts equal alone and beside others.
            torch.default_generator.manual_seed(derive_seed(seed, "encoder", m))
            encoders[m] = _encoder(m, shape, width, stem, frames)
        torch.default_generator.manual_seed(derive_seed(seed, "head"))
        fusion = HEADS[head]({m: e.features for m, e in encoders.items()}, classes)
        if init == "official":
            for layer in fusion.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_normal_(layer.weight)
                    nn.init.zeros_(layer.bias)
    return LateFusion(encoders, fusion)


def _encoder(
    modality: str, shape: tuple[int, ...], width: int, stem: Stem, frames: Frames
) -> nn.Module:
    match shape:
        case (size,):
            return MLP(size, width)
        case (steps, size):
            return SequenceEncoder(steps, size, width)
        case (channels, _, _):
            return ResNet18(channels, width, stem)
        case (count, channels, _, _):
            return ClipEncoder(count, channels, frames, width, stem)
    raise ValueError(
        f"{modality} has items of shape {tuple(shape)}; an encoder needs (d,), (steps, d), "
        "(channels, height, width) or (frames, channels, height, width)."
    )
