"""Words of the GRID corpus: a mouth and a voice say the same word.

Read is a cache (``asgml data prepare grid`` makes one), or a prepared file with one row per word:
``frames`` uint8 ``(N, 5, 32, 56)`` (mouth, evenly spaced inside the word), ``logmel`` uint8
``(N, 64, 60)`` (decibels from -80 to 0 as 0 to 255), ``word``, ``slot`` (0 command, 1 colour,
4 digit) and ``clip``. Corpus: Cooke, Barker, Cunningham and Shao (2006), CC BY 4.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from asgml_core.checks import check_count, check_flag, check_number, check_one_of
from asgml_core.datasets.base import DataError, MultimodalDataset, Part
from asgml_core.datasets.cache import REPORT, Cache, is_cache
from asgml_core.datasets.files import read_npz
from asgml_core.datasets.standard import add_noise, standardise
from asgml_core.paths import data_folders
from asgml_core.seeding import generator

FILE, CACHE = "grid_s1/grid_s1_words.npz", "grid"
SLOTS = {"commands_colours": (0, 1), "digits": (4,)}
FRAMES, PICTURE, SPECTROGRAM = 5, (32, 56), (64, 60)
#: Which of the five frames make a clip of 1 to 5: spread evenly around the middle.
CHOSEN = {1: [2], 2: [1, 3], 3: [0, 2, 4], 4: [0, 1, 3, 4], 5: [0, 1, 2, 3, 4]}
#: How many missing words a record names.
NAMED = 20


def grid(
    *,
    seed: int,
    path: str | None = None,
    task: Literal["commands_colours", "digits"] = "commands_colours",
    frames: int = 1,
    audio_noise: float = 0.0,
    visual_noise: float = 0.0,
    test_clips: int = 200,
    allow_missing: bool = False,
) -> MultimodalDataset:
    """Return GRID words, split by clip; split and noise are drawn from ``seed``.

    Args:
        seed: the run's seed.
        path: a cache's folder or the prepared file; by default ``grid_s1/grid_s1_words.npz`` in a
            data folder, else ``grid`` in one.
        task: ``"commands_colours"`` has 8 classes, ``"digits"`` 10.
        frames: 1 to 5, spread evenly over the word; 1 is the middle one.
        audio_noise: Gaussian noise on the standardised log-mel, in standard deviations, 0 or more.
        visual_noise: the same for the frames.
        test_clips: clips in the test part.
        allow_missing: go on without the words of a cache that could not be prepared.

    Returns:
        Modalities ``audio`` ``(1, 64, 60)`` and ``visual`` ``(frames, 1, 32, 56)``, standardised by
        the training part; groups are clips, of a cache with the speaker in front.

    Raises:
        DataError: when the data are missing or not laid out as described.
        ValueError: for an option outside its range.
    """
    noises = {"audio": audio_noise, "visual": visual_noise}
    _check_options(task, frames, noises, test_clips, allow_missing)
    source = find_words() if path is None else Path(path)
    words = (
        _read_cache(source, task, allow_missing) if source.is_dir() else _read_file(source, task)
    )
    in_test = _draw_test(source, words, test_clips, seed)
    whole = _items(words, _inputs(words, ~in_test, frames), noises, seed)
    return MultimodalDataset(
        name="grid",
        classes=words.classes,
        train=whole.take(np.flatnonzero(~in_test)),
        test=whole.take(np.flatnonzero(in_test)),
        source=str(source),
        notes=words.notes,
    )


def _check_options(
    task: str, frames: int, noises: Mapping[str, float], test_clips: int, allow_missing: bool
) -> None:
    check_one_of("task", task, SLOTS)
    check_count("frames", frames, high=FRAMES)
    for m, noise in noises.items():
        check_number(f"{m}_noise", noise, low=0.0)
    check_count("test_clips", test_clips)
    check_flag("allow_missing", allow_missing)


def find_words() -> Path:
    """Return the prepared file in the first data folder that has it, else a cache in one.

    Raises:
        DataError: naming the folders looked into and what to do.
    """
    for folder in data_folders():
        if (folder / FILE).is_file():
            return folder / FILE
    for folder in data_folders():
        if is_cache(folder / CACHE):
            return folder / CACHE
    looked = ", ".join(str(folder) for folder in data_folders())
    raise DataError(
        f"no {FILE} and no cache {CACHE!r} in {looked}; 'asgml data prepare grid --source DIR "
        f"--out data/{CACHE}' makes one from the GRID corpus. Set ASGML_DATA to another data "
        "folder, or give the path."
    )


@dataclass(frozen=True)
class _Words:
    """The words of a task.

    Args:
        frames: ``(N, 5, 32, 56)`` uint8.
        logmel: ``(N, 64, 60)`` uint8.
        spoken: the words, ``(N,)`` text.
        clips: what they belong to, ``(N,)`` text.
        ids: their names.
        all_clips: every clip to draw the test part from, sorted, each once.
        classes: every word of the task, sorted, each once.
        notes: see :class:`~asgml_core.datasets.MultimodalDataset`.
    """

    frames: np.ndarray
    logmel: np.ndarray
    spoken: np.ndarray
    clips: np.ndarray
    ids: tuple[str, ...]
    all_clips: np.ndarray
    classes: tuple[str, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)


def _read_file(file: Path, task: str) -> _Words:
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
    rows = np.flatnonzero(np.isin(words["slot"], SLOTS[task]))
    if not len(rows):
        raise DataError(f"{file}: no word has a slot of task {task!r} ({SLOTS[task]}).")
    clips, slots, spoken = (words[key][rows] for key in ("clip", "slot", "word"))
    return _Words(
        frames=words["frames"][rows],
        logmel=words["logmel"][rows],
        spoken=spoken,
        clips=clips,
        ids=tuple(f"{c}_{s}_{w}" for c, s, w in zip(clips, slots, spoken, strict=True)),
        all_clips=np.unique(clips),
        classes=tuple(str(w) for w in np.unique(spoken)),
    )


def _read_cache(folder: Path, task: str, allow_missing: bool) -> _Words:
    cache = Cache.open(folder, "grid")
    _check_arrays(cache)
    slots = {str(slot) for slot in SLOTS[task]}
    ids = cache.items["id"]
    listed = [i for i, slot in zip(ids, cache.column("slot", ids), strict=True) if slot in slots]
    if not listed:
        raise DataError(f"{folder}: no word has a slot of task {task!r} ({SLOTS[task]}).")
    missing = [item for item in listed if item not in cache.rows]
    there = [item for item in listed if item in cache.rows]
    if missing and (not allow_missing or not there):
        raise DataError(
            f"{folder}: {len(missing)} of the {len(listed)} words of task {task!r} are missing, "
            f"{missing[0]!r} first; {REPORT} says why. Mend them and prepare again, or go on "
            "without them (allow_missing=True, --allow-missing): the record will say so."
        )
    rows = [cache.rows[item] for item in there]
    said = {key: cache.manifest[key] for key in ("fingerprint", "parameters", "versions", "counts")}
    return _Words(
        frames=cache.array("frames")[rows],
        logmel=cache.array("logmel")[rows],
        spoken=np.array(cache.column("label", there)),
        clips=np.array(cache.column("group", there)),
        ids=tuple(there),
        # Those with missing words too: mending one must not draw all others anew.
        all_clips=np.unique(cache.column("group", listed)),
        classes=tuple(sorted(set(cache.column("label", listed)))),
        notes={"cache": said, "missing": {"items": len(missing), "first": missing[:NAMED]}},
    )


def _check_arrays(cache: Cache) -> None:
    expected = {"frames": (FRAMES, *PICTURE), "logmel": SPECTROGRAM}
    for name, shape in expected.items():
        said = cache.manifest["arrays"].get(name, {})
        found = said.get("dtype"), tuple(said.get("shape", ()))
        if found != ("uint8", shape):
            raise DataError(
                f"{cache.folder}: array {name!r} is {found[0]} {found[1]}, but uint8 {shape} was "
                "expected; prepare it again."
            )


def _draw_test(source: Path, words: _Words, test_clips: int, seed: int) -> np.ndarray:
    """Return which words are of the test part, ``(N,)`` bool."""
    names = words.all_clips
    if test_clips >= len(names):
        raise DataError(
            f"{source} has {len(names)} clips, so test_clips must be below that; it is "
            f"{test_clips}."
        )
    order = torch.randperm(len(names), generator=generator(seed, "grid", "split")).numpy()
    return np.isin(words.clips, names[order[:test_clips]])


def _inputs(words: _Words, in_training: np.ndarray, frames: int) -> dict[str, Tensor]:
    training = torch.from_numpy(np.flatnonzero(in_training))
    visual = torch.from_numpy(words.frames[:, CHOSEN[frames]]).unsqueeze(2)
    return {
        "audio": standardise(torch.from_numpy(words.logmel).unsqueeze(1), training),
        "visual": standardise(visual, training),
    }


def _items(
    words: _Words, inputs: Mapping[str, Tensor], noises: Mapping[str, float], seed: int
) -> Part:
    return Part(
        inputs={
            m: add_noise(x, noises[m], generator(seed, "grid", f"{m} noise"))
            for m, x in inputs.items()
        },
        labels=torch.from_numpy(np.searchsorted(words.classes, words.spoken)),
        ids=words.ids,
        groups=tuple(str(clip) for clip in words.clips),
    )
