"""AVE, from the folder as downloaded.

``AVE_Dataset.zip`` unpacks to ``AVE/<YouTube id>.mp4``, ``Annotations.txt``, ``trainSet.txt``,
``valSet.txt``, ``testSet.txt`` and a ``ReadMe.txt``. A line such as
``Church bell&RUhOCu3LNXM&good&0&10`` gives class, video, quality, and the seconds in which the
event is both seen and heard.

Every line is an item. 45 videos have two or three lines, always of different classes: they stand
more than once, as ``<video>_<class>``, and the splits differ in which of their lines they take.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from asgml_core.checks import check_one_of
from asgml_core.datasets.ave import CLASSES
from asgml_core.preparing.clips import ClipDecoder, parse_size
from asgml_core.preparing.frames import FrameChoice
from asgml_core.preparing.media import Audio, Choice
from asgml_core.preparing.plan import Item, ItemError, Plan, PrepareError, Report, Split
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

FILES = {"train": "trainSet.txt", "valid": "valSet.txt", "test": "testSet.txt"}
ANNOTATIONS = "Annotations.txt"
HINT = "AVE_Dataset.zip has it; --splits names another folder."
#: The first line of the download's ``Annotations.txt``; the copy on GitHub is without it.
HEADER = ["category", "videoid", "quality", "starttime", "endtime"]
#: By name: the hashes (see :func:`_hash`) of the files of published splits.
KNOWN_SPLITS = {
    "official": {
        "train": "4f6c37aff56d4a3407f8beff47ca59dcefb8e94b3e02bbc34b0c89b5cdad6945",
        "valid": "76c3c51b67aacbbacd5708e17aab491638a5e9032f786adad1a13be55d9cb3ca",
        "test": "e73c25a509bb38a691c1e08064af66d0512554f2fbc883cddd6d2a51ede8449d",
    },
}


def ave(
    source: Path,
    *,
    frames: int = 3,
    choose: str = "even",
    fps: int | None = None,
    size: str = "256x256",
    cut: Literal["clip", "event"] = "clip",
    splits: Path | None = None,
) -> Plan:
    """Return the plan of an AVE cache.

    Args:
        source: the folder that holds ``AVE``, or the clips themselves.
        frames: how many frames to keep of a clip.
        choose: ``"first"``, ``"even"`` or ``"random"``, see
            :class:`~asgml_core.preparing.frames.FrameChoice`.
        fps: consider only frames taken at this many a second.
        size: height and width to keep, in pixels; proportions are not kept.
        cut: ``"clip"`` uses the ten seconds, as OGM-GE's code; ``"event"`` those in which the event
            is marked, as PMR's code.
        splits: the folder of ``trainSet.txt``, ``testSet.txt`` and perhaps ``valSet.txt``; by
            default the source.

    Raises:
        PrepareError: when a folder or a split file is missing, or a split file is wrong.
        ValueError: for an option outside its range.
    """
    source, folder = Path(source), Path(splits or source)
    choice = FrameChoice(frames, choose, fps)
    check_one_of("cut", cut, ("clip", "event"))
    decoder = (EventDecoder if cut == "event" else ClipDecoder)(
        choice, parse_size(size), SPECTROGRAM, seconds=SECONDS
    )
    files = split_files(folder, FILES, "valid", HINT)
    name, split, lines = join_parts(files, _lines, KNOWN_SPLITS, _hash)
    clips = Clips(source, lambda stem: stem if VIDEO.fullmatch(stem) else None)
    clips.look(source)
    if (source / "AVE").is_dir():
        clips.look(source / "AVE")
    return plan_clips(
        "ave",
        CLASSES,
        clips,
        lines,
        {name: split, **_one_label_splits(name, split, lines)},
        decoder,
        {"cut": cut},
        [*_notes(lines, split), *_compared((folder, source), lines)],
    )


def _lines(file: Path) -> Iterator[ClipLine]:
    for number, (where, values) in enumerate(read_lines(file, 5, "&")):
        if number == 0 and [value.lower() for value in values] == HEADER:
            continue
        label, video, quality, start, end = values
        if label not in CLASSES:
            raise PrepareError(
                f"{where}: the class is {label!r}, but must be one of AVE's {len(CLASSES)}: "
                f"{'; '.join(CLASSES)}."
            )
        if not VIDEO.fullmatch(video):
            raise PrepareError(f"{where}: {video!r} is no YouTube id of 11 characters.")
        times = [int(text) for text in (start, end) if text.isdecimal()]
        if len(times) != 2 or not times[0] <= times[1] <= SECONDS:
            raise PrepareError(
                f"{where}: the event is from {start!r} to {end!r}, but whole seconds from 0 to "
                f"{SECONDS:g}, rising, were expected."
            )
        facts = {"start": times[0], "end": times[1], "quality": quality}
        slug = re.sub(r"[^a-z]+", "_", label.lower()).strip("_")
        yield ClipLine(f"{video}_{slug}", label, where, video, video, facts)


def _hash(file: Path) -> str:
    """Return the SHA-256 of a file's lines without a header; equal to that of PMR's files."""
    rows = [values for _, values in read_lines(file, 5, "&")]
    if rows and [value.lower() for value in rows[0]] == HEADER:
        rows = rows[1:]
    return hashlib.sha256("".join("&".join(row) + "\n" for row in rows).encode()).hexdigest()


def _one_label_splits(name: str, split: Split, lines: Mapping[str, ClipLine]) -> dict[str, Split]:
    """Return what is left of a split when a video has one label."""
    in_part: dict[tuple[str, str], list[str]] = defaultdict(list)
    everywhere = defaultdict(list)
    for item, part in split.parts.items():
        in_part[part, lines[item].video].append(item)
        everywhere[lines[item].video].append(item)
    rules = {
        "first_label": (
            "the first line of a video in a part, as PMR's code",
            {ids[0] for ids in in_part.values()},
        ),
        "last_label": (
            "the last line of a video in a part, as OGM-GE's code",
            {ids[-1] for ids in in_part.values()},
        ),
        "single_label": (
            "the videos that have one line in all parts together",
            {ids[0] for ids in everywhere.values() if len(ids) == 1},
        ),
    }
    return {
        new: Split(
            {item: part for item, part in split.parts.items() if item in kept},
            {"rule": f"of {name!r}: {rule}", "left_out": len(split.parts) - len(kept)},
        )
        for new, (rule, kept) in rules.items()
    }


def _notes(lines: Mapping[str, ClipLine], split: Split) -> list[Report]:
    """Return what is to be known of lines: a video under other labels, an event of no length."""
    of_video: dict[str, list[ClipLine]] = defaultdict(list)
    for line in lines.values():
        of_video[line.video].append(line)
    report = []
    for line in lines.values():
        others = [
            f"{other.label!r} in {split.parts[other.id]}"
            for other in of_video[line.video]
            if other.id != line.id
        ]
        if others:
            message = f"its video is also {' and '.join(others)}."
            report.append(Report(line.id, "", "note", message))
        if line.facts["start"] == line.facts["end"]:
            at = line.facts["start"]
            message = f"{line.where} marks its event from {at} to {at} s; the clip is used whole."
            report.append(Report(line.id, "", "note", message))
    return report


def _compared(folders: Sequence[Path], lines: Mapping[str, ClipLine]) -> list[Report]:
    """Return how the list of all events, where there is one, and the split files differ."""
    there = [folder / ANNOTATIONS for folder in folders if (folder / ANNOTATIONS).is_file()]
    if not there:
        return []
    file = there[0]
    listed = {(line.id, *line.facts.values()) for line in _lines(file)}
    split = {(line.id, *line.facts.values()) for line in lines.values()}
    return [
        Report("", file.name, "note", f"{len(only)} events {where}, {min(only)[0]} first.")
        for only, where in (
            (listed - split, f"of {file.name} are, as they stand there, in no split file"),
            (split - listed, f"of the split files are not, as they stand there, in {file.name}"),
        )
        if only
    ]


@dataclass(frozen=True)
class EventDecoder(ClipDecoder):
    """Decodes of each clip the seconds in which its event is marked; all where that is no time."""

    def _seen(self, item: Item) -> Choice:
        return partial(self._frames, item)

    def _frames(self, item: Item, count: int, rate: float) -> Sequence[int]:
        start, end = _event(item)
        first, last = (min(count, round(time * rate)) for time in (start, min(end, count / rate)))
        if last - first < self.choice.frames:
            raise ItemError(
                f"{item.id} has {last - first} frames in its event (from {start} to "
                f"{item.facts['end']} s), but {self.choice.frames} are wanted."
            )
        return [first + i for i in self.choice.indices(item.id, last - first, rate)]

    def _heard(self, item: Item, audio: Audio) -> Audio:
        start, end = _event(item)
        last = len(audio.samples[0]) if end == math.inf else round(end * audio.rate)
        samples = audio.samples[:, round(start * audio.rate) : last]
        if not samples.size:
            raise ItemError(
                f"{item.id}: its sound ends after {audio.seconds:.2f} s, before its event (from "
                f"{start} to {item.facts['end']} s)."
            )
        return replace(audio, samples=samples)


def _event(item: Item) -> tuple[float, float]:
    """Return when an event begins and ends, in seconds; a clip may last a little over ten."""
    start, end = item.facts["start"], item.facts["end"]
    if start == end:
        return 0, math.inf
    return start, math.inf if end == SECONDS else end
