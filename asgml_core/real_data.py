"""What the notebook on real data does: its parameters, a film's frames, and a probe of pictures."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from asgml_core.checks import check_count, check_flag, check_one_of
from asgml_core.config import RunConfig, check_device
from asgml_core.datasets.cache import Cache
from asgml_core.execution import arithmetic
from asgml_core.paths import outputs_folder
from asgml_core.preparing.clips import parse_size
from asgml_core.preparing.frames import CHOICES, FrameChoice
from asgml_core.probes import refit_accuracies
from asgml_core.profiles import profile

#: Height and width of the grey pictures that :func:`picture_probe` reads.
PROBED = (24, 32)

#: By profile: the size to keep and the pixels that the network sees. The first is the default.
SIZES = {"demo": ("180x240", 112), "smoke": ("90x120", 64)}


@dataclass(frozen=True, kw_only=True)
class RealData:
    """The parameters of the notebook ``real_data``.

    Args:
        seed: of the run, 0 or more.
        profile: ``"demo"`` or ``"smoke"``, which has small pictures; ``None`` means ``"demo"``.
        source: CREMA-D as downloaded; ``None`` draws a miniature of it.
        cache: where the cache goes; ``None`` means a folder among the outputs.
        splits: the folder of ``train.csv`` and ``test.csv``; ``None`` means the miniature's own, or
            none.
        split: which split of the cache to train on.
        frames: how many frames to keep of a clip.
        choose: which: ``"first"``, ``"even"`` or ``"random"``.
        size: height and width to keep, such as ``"360x480"``; ``None`` means the profile's.
        pixels: height and width that the network sees; ``None`` means the profile's.
        width: of the encoders.
        epochs: of the run.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        workers: processes that decode; 0 is this one, ``None`` one for each core.
        outputs: folder for the run, the miniature and the cache; ``None`` means
            ``outputs/real_data``.
        again: compute anew what is there already.

    Raises:
        ValueError: naming the parameter, the value and what is allowed.
    """

    seed: int = 42
    profile: str | None = None
    source: str | None = None
    cache: str | None = None
    splits: str | None = None
    split: str = "speakers_0"
    frames: int = 3
    choose: str = "even"
    size: str | None = None
    pixels: int | None = None
    width: int = 8
    epochs: int = 1
    device: str = "cpu"
    workers: int | None = 0
    outputs: str | None = None
    again: bool = False

    def __post_init__(self) -> None:
        check_count("seed", self.seed, low=0)
        self._take_sizes()
        for name in ("frames", "pixels", "width", "epochs"):
            check_count(name, getattr(self, name))
        if self.workers is not None:
            check_count("workers", self.workers, low=0)
        for name in ("source", "cache", "splits", "outputs"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{name} is {value!r}, but must be the path of a folder.")
        for name in ("source", "splits"):
            value = getattr(self, name)
            if value is not None and not Path(value).expanduser().is_dir():
                raise ValueError(f"{name} is {value!r}, but there is no such folder.")
        check_one_of("choose", self.choose, CHOICES)
        parse_size(self.size)
        check_flag("again", self.again)
        check_device(self.device)

    def _take_sizes(self) -> None:
        """Fill in what is left to the profile."""
        named = "demo" if self.profile is None else check_one_of("profile", self.profile, SIZES)
        for name, usual in zip(("size", "pixels"), SIZES[named], strict=True):
            if getattr(self, name) is None:
                object.__setattr__(self, name, usual)

    def folder(self) -> Path:
        """Return the folder of what the notebook makes."""
        if self.outputs is not None:
            return Path(self.outputs).expanduser()
        return outputs_folder() / "real_data"

    def download(self) -> Path:
        """Return the download; without one, draw the miniature, and drop its caches of before."""
        if self.source is not None:
            return Path(self.source).expanduser()
        from asgml_core.preparing.miniature import miniature_cremad

        made = self.folder() / "miniature"
        shutil.rmtree(made, ignore_errors=True)
        return miniature_cremad(made / "CREMA-D")

    def cache_folder(self) -> Path:
        """Return the cache's folder."""
        if self.cache is not None:
            return Path(self.cache).expanduser()
        return self.folder() / ("miniature" if self.source is None else "download") / "cache"

    def prepare(self, source: Path, **changes: Any) -> Cache:
        """Prepare the cache, or go on with it.

        Args:
            source: what :meth:`download` returned.
            changes: other options than the notebook's; their values name the cache's folder.
        """
        from asgml_core.preparing import prepare_dataset

        options = {"frames": self.frames, "choose": self.choose, "size": self.size} | changes
        splits = source / "split" if self.source is None else self.splits
        if splits is not None:
            options["splits"] = Path(splits).expanduser()
        named = self.cache_folder()
        out = named.with_name("_".join([named.name, *map(str, changes.values())]))
        return prepare_dataset("cremad", source, out, workers=self.workers, **options)

    def config(self, cache: Cache) -> RunConfig:
        """Return the baseline on a cache, with the notebook's network, epochs and split."""
        options = {"path": str(cache.folder), "split": self.split, "size": self.pixels}
        return profile(
            "cremad",
            seed=self.seed,
            epochs=self.epochs,
            options=options,
            model={"width": self.width},
            device=self.device,
        )


@dataclass(frozen=True)
class FilmStrip:
    """Some frames of a film, and the times of those that each rule keeps.

    Args:
        pictures: ``(K, height, width, 3)`` uint8.
        times: theirs, in seconds.
        kept: by rule, the times of the frames it keeps.
    """

    pictures: np.ndarray
    times: tuple[float, ...]
    kept: Mapping[str, tuple[float, ...]]


def film_strip(film: Path, shown: int = 8, frames: int = 3) -> FilmStrip:
    """Return evenly spaced frames of a film, the first and the last among them.

    Args:
        film: a ``.flv`` file, named like its clip.
        shown: how many.
        frames: how many each rule of :class:`~asgml_core.preparing.frames.FrameChoice` keeps.
    """
    from asgml_core.preparing.media import read_video

    def spread(count: int, rate: float) -> list[int]:
        return [round(i * (count - 1) / (shown - 1)) for i in range(shown)]

    video = read_video(film, spread)
    kept = {
        rule: FrameChoice(frames, rule).indices(film.stem, video.frames, video.rate)
        for rule in CHOICES
    }
    return FilmStrip(
        video.pictures,
        tuple(i / video.rate for i in spread(video.frames, video.rate)),
        {rule: tuple(i / video.rate for i in numbers) for rule, numbers in kept.items()},
    )


def picture_probe(cache: Cache, frame: int) -> tuple[int, int]:
    """Return how many clips a linear probe of one kept frame gets right, and of how many.

    The probe sees the frame as a small grey picture. Every clip is tested once, in the speaker fold
    whose test part it is in, by a probe trained on the clips of the other actors.

    Args:
        cache: of CREMA-D.
        frame: which of the kept frames, from 0.
    """
    ids = list(cache.rows)
    labels = torch.tensor([cache.classes.index(name) for name in cache.column("label", ids)])
    kept = cache.array("visual")
    pixels = torch.stack([_small(kept[row, frame]) for row in cache.rows.values()])
    right = total = 0
    for name in (name for name in cache.splits if name.startswith("speakers_")):
        parts = cache.split(name)
        held_out = torch.tensor([parts[item] == "test" for item in ids])
        if not held_out.any() or held_out.all():
            continue
        sides = ({"pixels": pixels[rows]} for rows in (~held_out, held_out))
        train, test = sides
        # Steps are tiny: a second thread costs more than it does, and gives other last bits.
        with arithmetic(torch.device("cpu"), 1, True):
            accuracy = refit_accuracies(train, labels[~held_out], test, labels[held_out])["pixels"]
        total += int(held_out.sum())
        right += round(accuracy * int(held_out.sum()))
    return right, total


def _small(picture: np.ndarray) -> torch.Tensor:
    """Return a picture ``(height, width, 3)`` as few grey numbers in a row."""
    grey = torch.from_numpy(picture.astype(np.float32)).mean(2)
    return F.interpolate(grey[None, None], size=PROBED, mode="area").flatten()
