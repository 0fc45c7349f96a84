"""Kinetics-Sounds, from a folder of clips of Kinetics-400 and OGM-GE's split files.

The clips may lie in the folder itself, in ``train`` and ``test``, in folders of classes, or in
these within those. ``my_train.txt`` names them as Kinetics does, ``<YouTube id>_000058_000068``;
``my_test.txt`` by id and first second, ``<YouTube id>_58``. A file is found under either name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from asgml_core.datasets.kinetics_sounds import CLASSES
from asgml_core.preparing.clips import ClipDecoder, parse_size
from asgml_core.preparing.frames import FrameChoice
from asgml_core.preparing.plan import Plan, PrepareError
from asgml_core.preparing.splits import join_parts, read_lines
from asgml_core.preparing.youtube import (
    SECONDS,
    SPECTROGRAM,
    VIDEO,
    ClipLine,
    Clips,
    plan_clips,
    split_files,
)

FILES = {"train": "my_train.txt", "valid": "my_valid.txt", "test": "my_test.txt"}
NAME = re.compile(rf"(?P<video>{VIDEO.pattern})_(?P<start>\d{{1,6}})(?:_(?P<end>\d{{6}}))?")
#: Folders within folders: part, class, clip.
DEPTH = 3
#: By name: the hashes (see ``splits.text_hash``) of the files of published splits.
KNOWN_SPLITS = {
    "ogm_ge": {
        "train": "6c0d11f5977ecceb2005c5bdb356ced52cae7c39f9f9eb4137479a4c2e874780",
        "test": "6dec6750836d9b9db1b2ded6fca3348de7766c78513ac55e2ba4a668f7b451bd",
    },
}


def kinetics_sounds(
    source: Path,
    *,
    frames: int = 3,
    choose: str = "even",
    fps: int | None = None,
    size: str = "256x256",
    splits: Path | None = None,
    classes: Path | None = None,
) -> Plan:
    """Return the plan of a Kinetics-Sounds cache.

    Args:
        source: the folder of the clips, up to two folders deep.
        frames: how many frames to keep of a clip.
        choose: ``"first"``, ``"even"`` or ``"random"``, see
            :class:`~asgml_core.preparing.frames.FrameChoice`.
        fps: consider only frames taken at this many a second.
        size: height and width to keep, in pixels; proportions are not kept.
        splits: the folder of ``my_train.txt``, ``my_test.txt`` and perhaps ``my_valid.txt``; by
            default the source.
        classes: a text file of 31 class names, one a line, in the order of the class numbers; by
            default those of the published split, and ``class_00`` to ``class_30`` for any other.

    Raises:
        PrepareError: when a folder or a split file is missing, or a file is wrong.
        ValueError: for an option outside its range.
    """
    source, folder = Path(source), Path(splits or source)
    choice = FrameChoice(frames, choose, fps)
    decoder = ClipDecoder(choice, parse_size(size), SPECTROGRAM, seconds=SECONDS)
    files = split_files(
        folder,
        FILES,
        "valid",
        "data/KineticSound of GeWu-Lab/OGM-GE_CVPR2022 has it; --splits names its folder.",
    )
    name, split, lines = join_parts(files, _lines, KNOWN_SPLITS)
    _check_clips(lines)
    names = _classes(name, classes)
    lines = {item: replace(line, label=names[int(line.label)]) for item, line in lines.items()}
    clips = Clips(source, _clip)
    clips.look(source, DEPTH)
    return plan_clips("kinetics_sounds", names, clips, lines, {name: split}, decoder, {})


def _clip(stem: str) -> str | None:
    name = NAME.fullmatch(stem)
    return None if name is None else f"{name['video']}_{int(name['start'])}"


def _lines(file: Path) -> Iterator[ClipLine]:
    for where, (clip, seconds, number) in read_lines(file, 3):
        name = NAME.fullmatch(clip)
        if name is None:
            raise PrepareError(
                f"{where}: {clip!r} is not named like a clip, --4-0ihtnBU_000058_000068 or "
                "-3Mwkq-7TV4_2."
            )
        if not seconds.isdecimal() or not number.isdecimal():
            raise PrepareError(
                f"{where}: {seconds!r} and {number!r}, but the clip's seconds and its class "
                "number, whole numbers, were expected."
            )
        if int(number) >= len(CLASSES):
            raise PrepareError(
                f"{where}: the class number is {number}, but must be from 0 to {len(CLASSES) - 1}."
            )
        start = int(name["start"])
        facts = {"start": start, "length": int(seconds), "class_number": int(number)}
        yield ClipLine(clip, number, where, name["video"], f"{name['video']}_{start}", facts)


def _check_clips(lines: Mapping[str, ClipLine]) -> None:
    """Refuse a clip that is listed under both forms of its name."""
    seen: dict[str, ClipLine] = {}
    for line in lines.values():
        other = seen.setdefault(line.clip, line)
        if other is not line:
            raise PrepareError(
                f"{line.where}: {line.id!r} is the clip {other.id!r} of {other.where}; every clip "
                "belongs to one part, once."
            )


def _classes(split: str, file: Path | None) -> tuple[str, ...]:
    if file is None:
        if split in KNOWN_SPLITS:
            return CLASSES
        return tuple(f"class_{number:02d}" for number in range(len(CLASSES)))
    names = tuple(" ".join(values) for _, values in read_lines(Path(file), 1, "\t"))
    if len(set(names)) != len(names) or len(names) != len(CLASSES):
        raise PrepareError(
            f"{file} has {len(names)} lines, {len(set(names))} of them different, but "
            f"{len(CLASSES)} different class names, one a line, were expected."
        )
    return names
