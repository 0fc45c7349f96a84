"""Words of the GRID corpus: a mouth and a voice say the same word.

The prepared file holds one row per word: ``frames`` uint8 ``(N, 5, 32, 56)`` (mouth, evenly spaced
inside the word), ``logmel`` uint8 ``(N, 64, 60)`` (decibels from -80 to 0 as 0 to 255), ``word``,
``slot`` (0 command, 1 colour, 4 digit) and ``clip``. Corpus: Cooke, Barker, Cunningham and Shao
(2006), CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from asgml_core.checks import check_count, check_number, check_one_of
from asgml_core.datasets.base import DataError, MultimodalDataset, Part
from asgml_core.datasets.files import read_npz
from asgml_core.datasets.standard import add_noise, standardise
from asgml_core.paths import data_folders
from asgml_core.seeding import generator

FILE = "grid_s1/grid_s1_words.npz"
SLOTS = {"commands_colours": (0, 1), "digits": (4,)}
FRAMES, PICTURE, SPECTROGRAM = 5, (32, 56), (64, 60)
#: Which of the five frames make a clip of 1 to 5: spread evenly around the middle.
CHOSEN = {1: [2], 2: [1, 3], 3: [0, 2, 4], 4: [0, 1, 3, 4], 5: [0, 1, 2, 3, 4]}


def grid(
    *,
    seed: int,
    path: str | None = None,
    task: Literal["commands_colours", "digits"] = "commands_colours",
    frames: int = 1,
    audio_noise: float = 0.0,
    visual_noise: float = 0.0,
    test_clips: int = 200,
) -> MultimodalDataset:
    """Return GRID words, split by clip; the split and the noise are drawn from ``seed``.

    Args:
        seed: the run's seed.
        path: the prepared file; by default ``grid_s1/grid_s1_words.npz`` in a data folder.
        task: ``"commands_colours"`` has 8 classes, ``"digits"`` 10.
        frames: 1 to 5, spread evenly over the word; 1 is the middle one.
        audio_noise: Gaussian noise on the standardised log-mel, in standard deviations, 0 or more.
        visual_noise: the same for the frames.
        test_clips: clips in the test part.

    Returns:
        Modalities ``audio`` ``(1, 64, 60)`` and ``visual`` ``(frames, 1, 32, 56)``, standardised by
        the training part; groups are clips.

    Raises:
        DataError: when the file is missing or not laid out as described.
        ValueError: for an option outside its range.
    """
    check_one_of("task", task, SLOTS)
    check_count("frames", frames, high=FRAMES)
    check_number("audio_noise", audio_noise, low=0.0)
    check_number("visual_noise", visual_noise, low=0.0)
    file = find_words() if path is None else Path(path)
    words = _read(file)
    rows = np.flatnonzero(np.isin(words["slot"], SLOTS[task]))
    if not len(rows):
        raise DataError(f"{file}: no word has a slot of task {task!r} ({SLOTS[task]}).")
    spoken, clips = words["word"][rows], words["clip"][rows]
    classes = tuple(str(w) for w in np.unique(spoken))
    training, test = _split(file, clips, check_count("test_clips", test_clips), seed)

    audio = standardise(torch.from_numpy(words["logmel"][rows]).unsqueeze(1), training)
    visual = torch.from_numpy(words["frames"][rows][:, CHOSEN[frames]]).unsqueeze(2)
    visual = standardise(visual, training)
    inputs = {
        "audio": add_noise(audio, audio_noise, generator(seed, "grid", "audio noise")),
        "visual": add_noise(visual, visual_noise, generator(seed, "grid", "visual noise")),
    }
    slots = words["slot"][rows]
    whole = Part(
        inputs=inputs,
        labels=torch.from_numpy(np.searchsorted(classes, spoken)),
        ids=tuple(f"{c}_{s}_{w}" for c, s, w in zip(clips, slots, spoken, strict=True)),
        groups=tuple(str(c) for c in clips),
    )
    return MultimodalDataset(
        name="grid",
        classes=classes,
        train=whole.take(training),
        test=whole.take(test),
        source=str(file),
    )


def find_words() -> Path:
    """Return the prepared file in the first data folder that has it.

    Raises:
        DataError: naming the folders looked into and what to do.
    """
    for folder in data_folders():
        if (folder / FILE).is_file():
            return folder / FILE
    looked = ", ".join(str(folder) for folder in data_folders())
    raise DataError(
        f"no {FILE} in {looked}; the data page of the book says how to get the GRID corpus. "
        "Set ASGML_DATA to another data folder, or give the file's path."
    )


def _read(file: Path) -> dict[str, np.ndarray]:
    words = read_npz(file, ("frames", "logmel", "word", "slot", "clip"))
    n = len(words["word"])
    expected = {
        "frames": ((n, FRAMES, *PICTURE), "uint8"),
        "logmel": ((n, *SPECTROGRAM), "uint8"),
        "word": ((n,), "str"),
        "slot": ((n,), "uint8"),
        "clip": ((n,), "str"),
    }
    for key, (shape, kind) in expected.items():
        array = words[key]
        if array.shape != shape or not array.dtype.name.startswith(kind):
            raise DataError(
                f"{file}: {key} is {array.dtype.name} {array.shape}, "
                f"but {kind} {shape} was expected."
            )
    return words


def _split(file: Path, clips: np.ndarray, test_clips: int, seed: int) -> tuple[Tensor, Tensor]:
    names = np.unique(clips)
    if test_clips >= len(names):
        raise DataError(
            f"{file} has {len(names)} clips, so test_clips must be below that; it is {test_clips}."
        )
    order = torch.randperm(len(names), generator=generator(seed, "grid", "split")).numpy()
    in_test = np.isin(clips, names[order[:test_clips]])
    return torch.from_numpy(np.flatnonzero(~in_test)), torch.from_numpy(np.flatnonzero(in_test))
