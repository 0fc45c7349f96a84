"""CREMA-D, from the folders as downloaded.

``VideoFlash/<clip>.flv`` (or ``Image-<NN>-FPS/<clip>/*.jpg``, as OGM-GE's official code extracts
them) and ``AudioWAV/<clip>.wav`` (or ``AudioMP3/<clip>.mp3``); ``VideoDemographics.csv`` if it is
there. A clip is named ``1001_DFA_ANG_XX``: actor, sentence, emotion, intensity.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asgml_core.datasets.cremad import CLASSES
from asgml_core.preparing.clips import ClipDecoder, parse_size
from asgml_core.preparing.frames import FrameChoice
from asgml_core.preparing.plan import Item, Plan, PrepareError, Report, Split
from asgml_core.preparing.splits import SplitLine, join_parts, read_lines

NAME = re.compile(
    r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>[A-Z]+)"
)
FOLDS = 5
FIRST_ACTOR = 1001
RATES = {"AudioWAV": 16000, "AudioMP3": 44100}
#: By name: the hashes (see ``splits.text_hash``) of the files of published splits.
KNOWN_SPLITS = {
    "ogm_ge": {
        "train": "7b95d291b847eac9c1447bb9fb63b47176d182987ac74fe041e4dd493c6d0abd",
        "test": "959a667af66a01dc439b12d6ec9dc57b36a88e947f48ad63531a4b91f769394f",
    },
}
DEMOGRAPHICS = {"Age": "age", "Sex": "sex", "Race": "race", "Ethnicity": "ethnicity"}


def cremad(
    source: Path,
    *,
    frames: int = 1,
    choose: str = "first",
    fps: int | None = None,
    size: str = "360x480",
    video: str | None = None,
    audio: str | None = None,
    splits: Path | None = None,
) -> Plan:
    """Return the plan of a CREMA-D cache.

    Args:
        source: the folder that holds ``VideoFlash`` and ``AudioWAV``, or their like.
        frames: how many frames to keep of a clip.
        choose: ``"first"``, ``"even"`` or ``"random"``, see
            :class:`~asgml_core.preparing.frames.FrameChoice`.
        fps: consider only frames taken at this many a second.
        size: height and width to keep, in pixels; the films are 360x480.
        video: the folder of the films; by default ``VideoFlash``, else the one ``Image-..-FPS``.
        audio: the folder of the sounds; by default ``AudioWAV``, else ``AudioMP3``.
        splits: the folder of ``train.csv`` and ``test.csv`` (lines such as
            ``1088_IOM_NEU_XX,NEU``), and perhaps ``valid.csv``.

    Raises:
        PrepareError: when a folder is missing, or a split file is wrong.
        ValueError: for an option outside its range.
    """
    listing = _Listing(source, _video_folder(source, video), _audio_folder(source, audio))
    listing.look()
    found = [] if splits is None else [_read_split(Path(splits), listing)]
    items = tuple(listing.items(_demographics(source, listing)))
    rate = RATES.get(listing.audio.name)
    decoder = ClipDecoder(FrameChoice(frames, choose, fps), parse_size(size), rate=rate)
    return Plan(
        dataset="cremad",
        classes=CLASSES,
        source=source,
        items=items,
        arrays=decoder.arrays(),
        parameters=decoder.parameters()
        | {"video": listing.video.name, "audio": listing.audio.name},
        decode=decoder,
        report=tuple(listing.report),
        splits=dict(found) | _speaker_folds([item.id for item in items]),
        packages=("av", "soxr", "torch", "pillow"),
    )


@dataclass
class _Listing:
    """What the folders hold: clips with both files, and a word on every other file."""

    source: Path
    video: Path
    audio: Path
    films: dict[str, Path] = field(default_factory=dict)
    sounds: dict[str, Path] = field(default_factory=dict)
    named: dict[str, SplitLine] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)
    report: list[Report] = field(default_factory=list)

    def look(self) -> None:
        """List both folders."""
        film = "" if self.video.name.startswith("Image-") else ".flv"
        sound = {"AudioMP3": ".mp3"}.get(self.audio.name, ".wav")
        for folder, suffix, there in (
            (self.video, film, self.films), (self.audio, sound, self.sounds),
        ):  # fmt: skip
            for path in sorted(folder.iterdir()):
                if path.name.startswith("."):
                    continue
                self._add(path, suffix, there)

    def _add(self, path: Path, suffix: str, there: dict[str, Path]) -> None:
        file = path.relative_to(self.source).as_posix()
        clip = path.name.removesuffix(suffix) if suffix else path.name
        name = NAME.fullmatch(clip)
        if path.suffix.lower() != suffix:
            stem = path.name.split(".")[0]
            self.others.setdefault(stem, []).append(file)
            message = f"{file}: its name ends in {path.suffix!r}, but {suffix!r} was expected."
        elif name is None or name["emotion"] not in CLASSES:
            message = f"{file} is not named like a clip (1001_DFA_ANG_XX)."
        else:
            there[clip] = path
            return
        self.report.append(Report("", file, "ignored", message))

    def items(self, demographics: Mapping[str, Mapping[str, str]]) -> Iterator[Item]:
        """Yield every clip that a folder or a split names, in order of their names."""
        for clip in sorted({*self.films, *self.sounds, *self.named}):
            self._report_absent(clip)
            name = NAME.fullmatch(clip)
            assert name is not None
            files = {"video": self.films.get(clip), "audio": self.sounds.get(clip)}
            yield Item(
                id=clip,
                label=name["emotion"],
                group=name["actor"],
                files={role: path for role, path in files.items() if path is not None},
                facts=name.groupdict() | dict(demographics.get(name["actor"], {})),
            )

    def _report_absent(self, clip: str) -> None:
        absent = [
            folder.name
            for folder, there in ((self.video, self.films), (self.audio, self.sounds))
            if clip not in there
        ]
        if not absent:
            return
        said = f"{clip} is not in {' and not in '.join(absent)}"
        if clip in self.named:
            said += f", but {self.named[clip].where} names it"
        if clip in self.others:
            said += f"; there is {', '.join(self.others[clip])}"
        there = self.films.get(clip, self.sounds.get(clip))
        file = "" if there is None else there.relative_to(self.source).as_posix()
        self.report.append(Report(clip, file, "failed", f"{said}."))


def _video_folder(source: Path, name: str | None) -> Path:
    if name is None and not (source / "VideoFlash").is_dir() and source.is_dir():
        extracted = sorted(source.glob("Image-*-FPS"))
        if len(extracted) == 1:
            return extracted[0]
        if extracted:
            raise PrepareError(
                f"{source} has {', '.join(f.name for f in extracted)}; say which (--video)."
            )
    return _folder(source, name or "VideoFlash", "VideoFlash or Image-<NN>-FPS")


def _audio_folder(source: Path, name: str | None) -> Path:
    if name is None and not (source / "AudioWAV").is_dir() and (source / "AudioMP3").is_dir():
        name = "AudioMP3"
    return _folder(source, name or "AudioWAV", "AudioWAV or AudioMP3")


def _folder(source: Path, name: str, expected: str) -> Path:
    if not (source / name).is_dir():
        raise PrepareError(f"{source} has no folder {name}; CREMA-D's {expected} is needed there.")
    return source / name


def _demographics(source: Path, listing: _Listing) -> dict[str, dict[str, str]]:
    file = source / "VideoDemographics.csv"
    if not file.is_file():
        message = "VideoDemographics.csv is not there; age, sex, race and ethnicity stay empty."
        listing.report.append(Report("", file.name, "note", message))
        return {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError, csv.Error) as error:
        raise PrepareError(f"{file} is no readable table: {error}.") from error
    for field_name in ("ActorID", *DEMOGRAPHICS):
        if rows and field_name not in rows[0]:
            raise PrepareError(f"{file} has no column {field_name!r}.")
    return {row["ActorID"]: {new: row[old] for old, new in DEMOGRAPHICS.items()} for row in rows}


def _read_split(folder: Path, listing: _Listing) -> tuple[str, Split]:
    files = {part: folder / f"{part}.csv" for part in ("train", "valid", "test")}
    if not files["valid"].is_file():
        del files["valid"]
    for file in files.values():
        if not file.is_file():
            raise PrepareError(f"{file}: no such file; a split is train.csv and test.csv.")
    name, split, lines = join_parts(files, _split_lines, KNOWN_SPLITS)
    listing.named |= lines
    return name, split


def _split_lines(file: Path) -> Iterator[SplitLine]:
    for where, (clip, label) in read_lines(file, 2):
        name = NAME.fullmatch(clip)
        if label not in CLASSES:
            raise PrepareError(
                f"{where}: the label is {label!r}, but must be one of {', '.join(CLASSES)}."
            )
        if name is None or name["emotion"] != label:
            raise PrepareError(
                f"{where}: clip {clip!r} with label {label!r}; a clip is named like "
                "1001_DFA_ANG_XX, and its name must hold its label."
            )
        yield SplitLine(clip, label, where)


def _speaker_folds(clips: Sequence[str]) -> dict[str, Split]:
    """Return five splits without a speaker in two parts, from the actors' numbers alone.

    With ``i = actor - 1001``, actor ``i`` is in the test part of fold ``i % 5``; of the others,
    those with ``i % 5 == (fold + 1) % 5`` and ``i // 5`` odd are the validation part.
    """
    splits = {}
    for fold in range(FOLDS):
        parts = {clip: speaker_part(int(clip[:4]), fold) for clip in clips}
        facts = {"rule": "by actor number, no actor in two parts", "fold": fold}
        splits[f"speakers_{fold}"] = Split(parts, facts)
    return splits


def speaker_part(actor: int, fold: int) -> str:
    """Return the part of an actor in a fold, see :func:`_speaker_folds`.

    Args:
        actor: the number in a clip's name, 1001 to 1091.
        fold: 0 to 4.
    """
    i = actor - FIRST_ACTOR
    if i % FOLDS == fold:
        return "test"
    held_out = i % FOLDS == (fold + 1) % FOLDS and (i // FOLDS) % 2 == 1
    return "valid" if held_out else "train"
