"""What AVE and Kinetics-Sounds share: split files that name ten-second clips of YouTube videos.

Videos leave YouTube, so that nobody has all clips: what a split names and the folder lacks is
listed, counted by part and class, and never replaced.
"""

from __future__ import annotations

import filecmp
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asgml_core.preparing.clips import ClipDecoder
from asgml_core.preparing.plan import Item, Plan, PrepareError, Report, Split
from asgml_core.preparing.spectrograms import LogSpectrogram
from asgml_core.preparing.splits import SplitLine

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi")
#: Lists and texts beside the clips, which are not looked at.
TEXTS = (".txt", ".csv", ".json", ".md")
#: The name of a YouTube video.
VIDEO = re.compile(r"[A-Za-z0-9_-]{11}")
SECONDS = 10.0
SPECTROGRAM = LogSpectrogram(rate=16000, seconds=SECONDS, n_fft=512, hop=160)
#: How many files a line of the report names.
NAMED = 5


@dataclass(frozen=True)
class ClipLine(SplitLine):
    """One line of a split file that names a clip.

    Args:
        video: its YouTube video.
        clip: what its file is found by, see :class:`Clips`.
        facts: further columns of ``items.csv``.
    """

    video: str
    clip: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Clips:
    """The files of clips in some folders.

    Args:
        source: what files are named relative to.
        clip_of: from a file's name without its ending to what a line finds it by, or ``None``.
    """

    source: Path
    clip_of: Callable[[str], str | None]
    files: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    strangers: list[Path] = field(default_factory=list)
    of_video: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def look(self, folder: Path, depth: int = 1) -> None:
        """Take in the clips of a folder, and of the folders in it down to ``depth`` levels.

        Raises:
            PrepareError: when a folder cannot be read.
        """
        try:
            paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except OSError as error:
            raise PrepareError(f"{folder} could not be read ({error.strerror}).") from error
        for path in paths:
            if path.is_dir():
                if depth > 1:
                    self.look(path, depth - 1)
                continue
            if path.suffix.lower() in TEXTS:
                continue
            clip = self.clip_of(path.stem) if path.suffix.lower() in SUFFIXES else None
            (self.strangers if clip is None else self.files[clip]).append(path)
            self.of_video[path.name[:11]].append(path)

    def items(self, lines: Sequence[ClipLine]) -> tuple[list[Item], list[Report]]:
        """Return an item for every line, in order of their ids, and what is to be said of them."""
        items: list[Item] = []
        report: list[Report] = []
        for line in sorted(lines, key=lambda line: line.id):
            file = self._file(line, report)
            items.append(
                Item(
                    id=line.id,
                    label=line.label,
                    group=line.video,
                    files={} if file is None else {"video": file, "audio": file},
                    facts=line.facts,
                )
            )
        return items, report + self._unused({line.clip for line in lines})

    def _file(self, line: ClipLine, report: list[Report]) -> Path | None:
        files = self.files.get(line.clip, [])
        if not files:
            near = ", ".join(map(self._name, self.of_video.get(line.video, [])))
            also = f"; there is {near}" if near else ""
            message = f"no file of {line.id} (clip {line.clip}), which {line.where} names{also}."
            report.append(Report(line.id, "", "failed", message))
            return None
        first, *others = files
        if not others:
            return first
        names = ", ".join(map(self._name, files))
        if all(filecmp.cmp(first, other, shallow=False) for other in others):
            message = f"clip {line.clip} is there more than once, always the same: {names}."
            report.append(Report(line.id, self._name(first), "note", message))
            return first
        message = f"clip {line.clip} is there as {names}, which differ; keep one of them."
        report.append(Report(line.id, self._name(first), "failed", message))
        return None

    def _unused(self, named: set[str]) -> list[Report]:
        """Return a line for every folder with files that no split line names."""
        unlisted = [path for clip, files in self.files.items() if clip not in named
                    for path in files]  # fmt: skip
        said = "clips that no line of the split files names"
        other = f"files that are not named like a clip ({', '.join(SUFFIXES)})"
        return [
            Report("", self._name(folder), "ignored", f"{len(paths)} {what}: {_some(paths)}.")
            for what, all_paths in ((said, unlisted), (other, self.strangers))
            for folder, paths in _by_folder(all_paths).items()
        ]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.source).as_posix()


def _by_folder(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(paths):
        folders[path.parent].append(path)
    return folders


def _some(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:NAMED])
    return names if len(paths) <= NAMED else f"{names} and {len(paths) - NAMED} more"


def counted(
    split: Split, lines: Mapping[str, ClipLine], classes: Sequence[str], absent: set[str]
) -> Split:
    """Return a split whose facts count its lines, and those without a file, by part and class.

    Args:
        split: of the lines.
        lines: by id.
        classes: in label order; the counts are in this order.
        absent: the ids of lines without a file.
    """

    def by_class(ids: Iterable[str]) -> dict[str, list[int]]:
        counts = Counter((split.parts[item], lines[item].label) for item in ids)
        parts = dict.fromkeys(split.parts.values())
        return {part: [counts[part, label] for label in classes] for part in parts}

    parts_of: dict[str, set[str]] = defaultdict(set)
    for item, part in split.parts.items():
        parts_of[lines[item].video].add(part)
    facts = {
        "by_class": by_class(split.parts),
        "absent": by_class(item for item in split.parts if item in absent),
        "videos_in_two_parts": sum(len(parts) > 1 for parts in parts_of.values()),
    }
    return Split(split.parts, {**split.facts, **facts})


def plan_clips(
    dataset: str,
    classes: tuple[str, ...],
    clips: Clips,
    lines: Mapping[str, ClipLine],
    splits: Mapping[str, Split],
    decoder: ClipDecoder,
    parameters: Mapping[str, Any],
    report: Sequence[Report] = (),
) -> Plan:
    """Return the plan of a dataset of clips.

    Args:
        dataset: its name.
        classes: in label order.
        clips: the files that are there.
        lines: those of all split files, by id.
        splits: by name.
        decoder: of the clips.
        parameters: further ones than the decoder's.
        report: what is to be said beside what ``clips`` has to say.
    """
    items, said = clips.items(list(lines.values()))
    absent = {line.id for line in said if line.kind == "failed"}
    return Plan(
        dataset=dataset,
        classes=classes,
        source=clips.source,
        items=tuple(items),
        arrays=decoder.arrays(),
        parameters={**decoder.parameters(), **parameters},
        decode=decoder,
        report=(*report, *said),
        splits={name: counted(split, lines, classes, absent) for name, split in splits.items()},
        packages=("av", "soxr", "torch", "pillow"),
    )


def split_files(
    folder: Path, names: Mapping[str, str], optional: str, hint: str
) -> dict[str, Path]:
    """Return the files of a split that are in a folder, by part.

    Args:
        folder: where they should be.
        names: of the files, by part.
        optional: the part that may be absent.
        hint: what to say where another one is absent.

    Raises:
        PrepareError: naming the file that is absent.
    """
    files = {part: folder / name for part, name in names.items()}
    if not files[optional].is_file():
        del files[optional]
    for file in files.values():
        if not file.is_file():
            raise PrepareError(f"{file}: no such file; {hint}")
    return files
