"""From rows as they are kept to what the network sees, a batch at a time on the device.

All random numbers of an epoch are drawn at once, on the CPU, for every item of a part. So neither
the batch that an item is in, nor the device, nor the order of reading can change what it gets.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from asgml_core.checks import check_count, check_flag, check_number, check_one_of
from asgml_core.datasets.base import DataError
from asgml_core.datasets.resampling import resample

Pick = Literal["first", "even", "random"]
Crops = Literal["frame", "clip"]

#: The mean and the standard deviation of ImageNet's channels, values from 0 to 1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

#: Boxes that are tried before the centre is taken.
TRIES = 10
#: Numbers from which one box is made: an area and a ratio for each try, and two positions.
PER_BOX = 2 * TRIES + 2


class Transform(ABC):
    """What turns stored items into what an encoder sees; its repr, the settings, is recorded."""

    def shape(self, stored_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one item that the encoder sees.

        Args:
            stored_shape: that of one stored item.

        Raises:
            DataError: for stored items that this transform does not take.
        """
        return tuple(stored_shape)

    def draw(
        self, count: int, stored_shape: tuple[int, ...], generator: torch.Generator
    ) -> Tensor | None:
        """Return what is random in one epoch, ``(count, ...)`` on the CPU; ``None`` for nothing.

        Args:
            count: number of items; what an item gets does not depend on how many come after it.
            stored_shape: that of one stored item.
            generator: on the CPU.
        """
        return None

    @abstractmethod
    def __call__(self, stored: Tensor, draws: Tensor | None, rows: Tensor | None = None) -> Tensor:
        """Return what the encoder sees, ``(B, *shape)`` float32.

        Args:
            stored: ``(N, *stored_shape)``.
            draws: the rows that :meth:`draw` gave the ``B`` items, on the same device; ``None`` is
                evaluation.
            rows: ``(B,)`` which of the stored items, on the same device; ``None`` is all of them.
                So a batch need not be gathered first.
        """


@dataclass(frozen=True)
class Floats(Transform):
    """Stored float16 or float32 numbers as float32, such as spectrograms.

    Args:
        mean: subtracted from every number.
        std: every number is divided by it after that; above 0.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", float(check_number("mean", self.mean)))
        object.__setattr__(self, "std", float(check_number("std", self.std, above=0)))

    def __call__(self, stored: Tensor, draws: Tensor | None, rows: Tensor | None = None) -> Tensor:
        """Return the numbers as float32.

        Raises:
            DataError: for numbers that are not float16 or float32.
        """
        if stored.dtype not in (torch.float16, torch.float32):
            raise DataError(f"Floats takes float16 or float32, but the stored are {stored.dtype}.")
        numbers = (stored if rows is None else stored.index_select(0, rows)).float()
        if (self.mean, self.std) == (0, 1):
            return numbers
        return (numbers - self.mean) / self.std


@dataclass(frozen=True)
class Pictures(Transform):
    """Stored frames as normalised pictures; in training a random crop of each, perhaps mirrored.

    Stored are ``(B, K, H, W, 3)`` uint8. The network sees ``(B, 3, size, size)`` where one frame is
    used, else ``(B, frames, 3, size, size)``, channels last in memory. In evaluation the whole
    frame is resized.

    Args:
        size: height and width that the network sees.
        frames: how many of the K kept frames are used; ``None`` is all.
        pick: which: the first ones, evenly spaced ones, or ones drawn anew for every epoch and item
            (in order of time, none twice; in evaluation evenly spaced ones).
        crop: whether training sees a random box of a frame, resized, or all of it.
        flip: the probability that training sees a frame mirrored.
        scale: the least and the greatest share of the frame's area that a box has.
        ratio: the least and the greatest width of a box over its height.
        mean: of each channel, values from 0 to 1; subtracted.
        std: of each channel; divided by after that.
        crops: whether box and mirroring are drawn for each frame or once for the whole clip.

    Raises:
        ValueError: for a setting outside its range.

    Source: ``torchvision.transforms``: ``RandomResizedCrop``, ``RandomHorizontalFlip``,
    ``ToTensor`` and ``Normalize`` in training, ``Resize((size, size))`` in evaluation, as in
    OGM-GE's ``CramedDataset.py``, which draws for each frame and takes the first ones. Differs from
    it in not rounding to whole numbers after resizing.
    """

    size: int = 224
    frames: int | None = None
    pick: Pick = "first"
    crop: bool = True
    flip: float = 0.5
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    crops: Crops = "frame"

    def __post_init__(self) -> None:
        check_count("size", self.size)
        if self.frames is not None:
            check_count("frames", self.frames)
        check_one_of("pick", self.pick, ("first", "even", "random"))
        check_flag("crop", self.crop)
        object.__setattr__(self, "flip", float(check_number("flip", self.flip, low=0, high=1)))
        self._set_numbers("scale", 2, high=1, above=0)
        self._set_numbers("ratio", 2, above=0)
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            if low > high:
                raise ValueError(f"{name} is {(low, high)}, but the least must come first.")
        self._set_numbers("mean", 3)
        self._set_numbers("std", 3, above=0)
        check_one_of("crops", self.crops, ("frame", "clip"))

    def _set_numbers(self, name: str, count: int, **limits: float) -> None:
        """Check a setting of several numbers and keep it as floats: equal ones have equal repr."""
        values = getattr(self, name)
        if not isinstance(values, (tuple, list)) or len(values) != count:
            raise ValueError(f"{name} is {values!r}, but must be {count} numbers.")
        checked = tuple(float(check_number(f"each of {name}", v, **limits)) for v in values)
        object.__setattr__(self, name, checked)

    def shape(self, stored_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return ``(3, size, size)``, with the number of frames in front where it is not 1.

        Raises:
            DataError: for other than ``(K, H, W, 3)``, or fewer frames than are to be used.
        """
        used = self._used(stored_shape)
        picture = (3, self.size, self.size)
        return picture if used == 1 else (used, *picture)

    def _used(self, stored_shape: tuple[int, ...]) -> int:
        """Return how many frames of an item are used."""
        shape = tuple(stored_shape)
        if len(shape) != 4 or shape[3] != 3 or min(shape) < 1:
            raise DataError(
                f"Pictures takes items (frames, height, width, 3), but the stored are {shape}."
            )
        used = shape[0] if self.frames is None else self.frames
        if used > shape[0]:
            raise DataError(f"frames is {used}, but the stored items have {shape[0]}.")
        return used

    def draw(
        self, count: int, stored_shape: tuple[int, ...], generator: torch.Generator
    ) -> Tensor | None:
        """Return frame, top, left, height, width and mirrored of each picture of each item.

        Args:
            count: number of items; what an item gets does not depend on how many come after it.
            stored_shape: ``(K, H, W, 3)``.
            generator: on the CPU.

        Returns:
            ``(count, frames used, 6)`` int32, or ``None`` where nothing is random.

        Raises:
            DataError: as in :meth:`shape`.
        """
        used = self._used(stored_shape)
        kept, height, width, _ = stored_shape
        picks = self.pick == "random" and used < kept
        if not (self.crop or self.flip or picks):
            return None
        views = used if self.crops == "frame" else 1
        # One row an item, so that an item's numbers do not depend on how many items there are.
        drawn = torch.rand(
            count, views * (PER_BOX + 1) + kept, dtype=torch.float64, generator=generator
        )
        for_views, for_picks = drawn.split([views * (PER_BOX + 1), kept], 1)
        for_views = for_views.reshape(count, views, PER_BOX + 1)
        rows = self._whole(count, used, stored_shape, drawn.device)
        if picks:
            rows[..., 0] = for_picks.argsort(1)[:, :used].sort(1).values
        if self.crop:
            numbers = for_views[..., 1:].flatten(0, 1)
            boxes = boxes_from(numbers, height, width, self.scale, self.ratio)
            rows[..., 1:5] = boxes.view(count, views, 4)
        rows[..., 5] = for_views[..., 0] < self.flip
        return rows

    def _whole(
        self, count: int, used: int, stored_shape: tuple[int, ...], device: torch.device
    ) -> Tensor:
        """Return the rows of whole frames, ``(count, used, 6)``; made on the device, not moved."""
        kept, height, width, _ = stored_shape
        rows = torch.zeros(count, used, 6, dtype=torch.int32, device=device)
        frames = torch.arange(used, dtype=torch.int32, device=device)
        rows[..., 0] = frames if self.pick == "first" else even_frames(frames, used, kept)
        rows[..., 3] = height
        rows[..., 4] = width
        return rows

    def __call__(self, stored: Tensor, draws: Tensor | None, rows: Tensor | None = None) -> Tensor:
        """Return the normalised pictures.

        Args:
            stored: ``(N, K, H, W, 3)`` uint8.
            draws: ``(B, frames used, 6)`` of the items, on the same device; ``None`` is
                evaluation.
            rows: ``(B,)`` which of the stored items, on the same device; ``None`` is all of them.

        Raises:
            DataError: for other than uint8, or as in :meth:`shape`.
        """
        if stored.dtype != torch.uint8:
            raise DataError(f"Pictures takes uint8, but the stored are {stored.dtype}.")
        stored_shape = stored.shape[1:]
        if rows is None:
            rows = torch.arange(len(stored), device=stored.device)
        count = len(rows)
        shape = self.shape(tuple(stored_shape))
        used = self._used(tuple(stored_shape))
        if draws is None:
            draws = self._whole(count, used, tuple(stored_shape), stored.device)
        elif draws.shape != (count, used, 6):
            raise DataError(
                f"draws are {tuple(draws.shape)}, but {(count, used, 6)} belong to these items."
            )
        first = rows[:, None] * stored_shape[0]
        crops = torch.cat([(first + draws[..., 0])[..., None], draws[..., 1:]], 2)
        scale = _channels([1 / (255 * std) for std in self.std], stored.device)
        shift = _channels(
            [-mean / std for mean, std in zip(self.mean, self.std, strict=True)], stored.device
        )
        pictures = resample(stored.flatten(0, 1), crops.flatten(0, 1), self.size, scale, shift)
        return pictures.view(count, *shape)


def boxes_from(
    numbers: Tensor,
    height: int,
    width: int,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """Return the random boxes that numbers stand for: top, left, height and width.

    A try has an area uniform in ``scale`` and a ratio of width to height log-uniform in ``ratio``.
    The first of ten tries whose box fits is put anywhere. Where none fits, the box is the largest
    one in the centre with a ratio in range.

    Args:
        numbers: ``(n, 22)`` float64, uniform in [0, 1): ten areas, ten ratios, two positions.
        height: of the picture, in pixels.
        width: of the picture.
        scale: the least and the greatest area, as a share of the picture's.
        ratio: the least and the greatest ratio.

    Returns:
        ``(n, 4)`` int64.

    Source: ``torchvision.transforms.v2.RandomResizedCrop.make_params``.
    """
    areas, ratios, places = numbers.split([TRIES, TRIES, 2], 1)
    areas = height * width * (scale[0] + (scale[1] - scale[0]) * areas)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = torch.exp(low + (high - low) * ratios)
    widths = (areas * ratios).sqrt_().round_().long()
    heights = (areas / ratios).sqrt_().round_().long()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = fits.int().argmax(1, keepdim=True)  # the first of equal ones
    sizes = torch.stack([heights.gather(1, first), widths.gather(1, first)], 2)[:, 0]
    room = torch.tensor([height, width]) - sizes
    starts = (places * (room + 1)).long()
    central = torch.tensor(central_box(height, width, ratio))
    return torch.where(fits.any(1, keepdim=True), torch.cat([starts, sizes], 1), central)


def central_box(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int, int, int]:
    """Return the largest central box with a ratio in range: top, left, height and width.

    Args:
        height: of the picture, in pixels.
        width: of the picture.
        ratio: the least and the greatest width of the box over its height.
    """
    box_height, box_width = height, width
    if width / height < ratio[0]:
        box_height = max(1, round(width / ratio[0]))
    elif width / height > ratio[1]:
        box_width = max(1, round(height * ratio[1]))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def even_frames(index: Tensor, used: int, kept: int) -> Tensor:
    """Return which kept frames are evenly spaced: the middle ones of equal stretches of time.

    Args:
        index: whole numbers from 0 to ``used - 1``.
        used: number of frames to use.
        kept: number of frames there are.
    """
    return (2 * index + 1) * kept // (2 * used)


def _channels(values: list[float], device: torch.device) -> Tensor:
    """Return ``(3, 1, 1)`` float32, filled on the device: a copy could not be in a CUDA graph."""
    return torch.stack(
        [torch.full((1, 1), value, dtype=torch.float32, device=device) for value in values]
    )
