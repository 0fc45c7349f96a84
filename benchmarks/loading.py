"""What preparing CREMA-D costs, and what loading it costs afterwards, beside per-item loading.

    python benchmarks/loading.py --source DIR [--peer DIR] [--clips 384] [--repeats 3]

``DIR`` holds ``VideoFlash`` and ``AudioWAV``; its clips are linked under further names until there
are ``--clips``. On one core, with one thread: a cache is prepared, and the time of each step of
decoding is taken on the same files. Then one epoch is loaded from the cache, in memory and streamed
from disk, in turn with the usual way, which for every item of every epoch reads the sound with
librosa, computes the spectrogram, opens the JPEG and augments it with torchvision. ``--peer`` takes
the unmodified dataset class of a clone of GeWu-Lab/OGM-GE_CVPR2022 for that. Writes
``book/results/preparing.csv`` and ``loading.csv``.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import itertools
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from asgml_core import results
from asgml_core.datasets.cremad import CLASSES, cremad
from asgml_core.feed import Feed
from asgml_core.preparing import preparer
from asgml_core.preparing.cremad import NAME
from asgml_core.preparing.media import read_audio, read_video
from asgml_core.preparing.runner import prepare
from asgml_core.provenance import provenance

BATCH = 64


def copy_clips(source: Path, to: Path, count: int) -> list[str]:
    """Link the clips of a source under further actors' numbers, and return their names."""
    real = sorted(
        film.stem
        for film in (source / "VideoFlash").glob("*.flv")
        if (source / "AudioWAV" / f"{film.stem}.wav").is_file() and NAME.fullmatch(film.stem)
    )
    if not real:
        sys.exit(f"{source} has no clip with a film in VideoFlash and a sound in AudioWAV.")
    names = []
    for actor in itertools.count(1001):
        for clip in real[: count - len(names)]:
            name = f"{actor}{clip[4:]}"
            for folder, suffix in (("VideoFlash", ".flv"), ("AudioWAV", ".wav")):
                (to / folder).mkdir(parents=True, exist_ok=True)
                (to / folder / (name + suffix)).symlink_to(
                    (source / folder / (clip + suffix)).resolve()
                )
            names.append(name)
        if len(names) >= count:
            return names
    raise AssertionError


def write_split(to: Path, names: Sequence[str]) -> None:
    """Write a split by rule: every eighth clip is a test clip."""
    for part, chosen in (
        ("test", names[::8]),
        ("train", [n for n in names if n not in names[::8]]),
    ):
        lines = "".join(f"{name},{name.split('_')[2]}\n" for name in chosen)
        (to / f"{part}.csv").write_text(lines, encoding="utf-8")


def extract_frames(source: Path, to: Path, names: Sequence[str]) -> None:
    """Write each clip's first frame as a JPEG, laid out as the official extraction does."""
    for name in names:
        folder = to / "Image-01-FPS" / name
        folder.mkdir(parents=True)
        first = read_video(source / "VideoFlash" / f"{name}.flv", lambda count, rate: [0])
        Image.fromarray(first.pictures[0]).save(folder / "00000.jpg", quality=95)


class Stopwatch:
    """Calls something, and adds up the seconds it takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.seconds = 0.0

    def __call__(self, *values: Any) -> Any:
        """Call it, and add the time."""
        start = time.perf_counter()
        result = self.function(*values)
        self.seconds += time.perf_counter() - start
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)


class PerItem(Dataset):
    """The usual way: everything anew for every item of every epoch."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        from torchvision import transforms

        self.folder, self.names = folder, names
        steps = [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
        self.transform = Stopwatch(transforms.Compose(steps))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any, int]:
        import librosa

        name = self.names[index]
        samples, _ = librosa.load(self.folder / "AudioWAV" / f"{name}.wav", sr=22050)
        tiled = np.clip(np.tile(samples, 3)[: 22050 * 3], -1.0, 1.0)
        spectrogram = np.log(np.abs(librosa.stft(tiled, n_fft=512, hop_length=353)) + 1e-7)
        picture = next((self.folder / "Image-01-FPS" / name).iterdir())
        with Image.open(picture) as opened:
            return spectrogram, self.transform(opened.convert("RGB")), CLASSES.index(name[9:12])


def peer_dataset(clone: Path, folder: Path) -> Dataset:
    """Return the training part as the official code loads it."""
    file = clone / "dataset" / "CramedDataset.py"
    spec = importlib.util.spec_from_file_location("peer", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (folder / "data" / "CREMAD").mkdir(parents=True)
    for part in ("train", "test"):
        (folder / "data" / "CREMAD" / f"{part}.csv").symlink_to(folder / f"{part}.csv")
    before = Path.cwd()
    os.chdir(folder)
    try:
        return module.CramedDataset(
            SimpleNamespace(
                dataset="CREMAD",
                visual_path=str(folder),
                audio_path=str(folder / "AudioWAV"),
                fps=1,
            ),
            mode="train",
        )
    finally:
        os.chdir(before)


def time_preparing(folder: Path, names: Sequence[str], cache: Path) -> pd.DataFrame:
    """Prepare a cache in this process; return milliseconds a clip, in all and by step."""
    plan = preparer("cremad")(folder, splits=folder)
    decoder = plan.decode
    steps: dict[str, Callable[[str], Any]] = {
        "film: open, list, first frame": lambda n: read_video(
            folder / "VideoFlash" / f"{n}.flv", lambda count, rate: [0]
        ),
        "sound: decode": lambda n: read_audio(folder / "AudioWAV" / f"{n}.wav"),
    }
    read = [read_audio(folder / "AudioWAV" / f"{n}.wav") for n in names]
    waves = [decoder.spectrogram.waveform(audio) for audio in read]
    by_index = {n: i for i, n in enumerate(names)}
    steps["sound: resample"] = lambda n: decoder.spectrogram.waveform(read[by_index[n]])
    chunk = 16
    steps["spectrogram (of 16 at once)"] = lambda n: (
        decoder.spectrogram(waves[by_index[n] : by_index[n] + chunk])
        if by_index[n] % chunk == 0
        else None
    )
    rows = []
    for name, step in steps.items():
        start = time.perf_counter()
        for clip in names:
            step(clip)
        rows.append({"step": name, "ms a clip": 1e3 * (time.perf_counter() - start) / len(names)})
    start = time.perf_counter()
    prepare(plan, cache, workers=0, progress=False)
    whole = 1e3 * (time.perf_counter() - start) / len(names)
    done = sum(row["ms a clip"] for row in rows)
    rows.append({"step": "all else (hashes, rows, Python)", "ms a clip": whole - done})
    rows.append({"step": "whole", "ms a clip": whole})
    return pd.DataFrame(rows)


@dataclass
class Way:
    """One way of loading an epoch.

    Args:
        load: loads one and returns how many items it had.
        augmentation: what took the time of cropping, flipping and normalising, if it is known.
    """

    load: Callable[[], int]
    augmentation: Stopwatch | None = None


def ways(folder: Path, cache: Path, peer: Path | None) -> dict[str, Way]:
    """Return the ways of loading the training part, by name."""
    data = cremad(seed=1, path=str(cache), split="own")
    names = data.train.ids
    made = {}
    for name, room in (("ours, in memory", 1 << 60), ("ours, streamed from disk", 0)):
        watch = Stopwatch(data.transforms["visual"])
        watched = dataclasses.replace(data, transforms={**data.transforms, "visual": watch})
        feed = Feed(watched, torch.device("cpu"), torch.channels_last, room=room)
        made[name] = Way(partial(_epoch, feed, itertools.count(1)), watch)
    usual = PerItem(folder, names)
    made["per item"] = Way(partial(_per_item, usual), usual.transform)
    if peer is not None:
        made["per item, official class"] = Way(partial(_per_item, peer_dataset(peer, folder)))
    return made


def _epoch(feed: Feed, numbers: Iterator[int]) -> int:
    part = feed.parts["train"]
    draws = feed.draw(part, 1, next(numbers))
    order = torch.randperm(len(part)).split(BATCH)
    return sum(len(labels) for _, labels in feed.batches(part, order, draws))


def _per_item(dataset: Dataset) -> int:
    return sum(len(labels) for _, _, labels in DataLoader(dataset, BATCH, shuffle=True))


def time_loading(made: dict[str, Way], repeats: int) -> pd.DataFrame:
    """Load epochs in turn; return milliseconds an item, and how many times less than per item."""
    whole: dict[str, list[float]] = {name: [] for name in made}
    loading: dict[str, list[float]] = {name: [] for name in made}
    for repeat in range(-1, repeats):  # one round to warm up: librosa compiles, files get cached
        for name, way in made.items():
            before = way.augmentation.seconds if way.augmentation else 0.0
            start = time.perf_counter()
            items = way.load()
            seconds = time.perf_counter() - start
            rest = seconds - (way.augmentation.seconds - before if way.augmentation else math.nan)
            if repeat >= 0:
                whole[name].append(1e3 * seconds / items)
                loading[name].append(1e3 * rest / items)
    usual = statistics.median(whole["per item"]), statistics.median(loading["per item"])
    rows = []
    for name in made:
        all_of_it, rest = statistics.median(whole[name]), statistics.median(loading[name])
        rows.append(
            {
                "way": name,
                "ms an item": all_of_it,
                "lowest to highest": f"{min(whole[name]):.2f} to {max(whole[name]):.2f}",
                "without augmentation": rest,
                "times less": usual[0] / all_of_it,
                "times less, without augmentation": usual[1] / rest,
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="VideoFlash and AudioWAV")
    parser.add_argument("--peer", type=Path, help="a clone of GeWu-Lab/OGM-GE_CVPR2022")
    parser.add_argument("--clips", type=int, default=384, help="how many (default: 384)")
    parser.add_argument("--repeats", type=int, default=3, help="epochs of each (default: 3)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "cremad"
        names = copy_clips(given.source, folder, given.clips)
        write_split(folder, names)
        extract_frames(folder, folder, names)
        # The frames of the cache come from the films, as those of the folder of JPEGs do.
        preparing = time_preparing(folder, names, Path(scratch) / "cache")
        loading = time_loading(ways(folder, Path(scratch) / "cache", given.peer), given.repeats)
    command = f"python benchmarks/loading.py --source DIR --clips {given.clips}" + (
        f" --repeats {given.repeats}" + (" --peer DIR" if given.peer else "")
    )
    said = {"command": command, "cores": 1, **provenance("cpu", 1)}
    for name, table in (("preparing", preparing), ("loading", loading)):
        print(table.round(3).to_string(index=False))
        said["wall_time"] = round(time.perf_counter() - started, 1)
        print(results.write(name, table.round(4), said))


if __name__ == "__main__":
    main()
