"""Words of the GRID corpus, from its films and word alignments.

Read are ``<clip>.mpg`` and ``<clip>.align`` anywhere below one folder. All of these will do:
both side by side; ``s1/*.mpg`` and ``s1/align/*.align`` (Sheffield's ``s1.mpg_vcd.zip``, and its
``s1.tar`` unpacked within ``s1``); ``s1/*.mpg`` and ``alignments/s1/*.align`` (Zenodo's ``s1.zip``
and ``alignments.zip``). A file belongs to the speaker whose folder (``s1`` to ``s34``) it is in; in
no such folder, the source's own name is the speaker's. A clip's name spells its sentence:
``bbaf2n`` is *bin blue at f two now*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from asgml_core.preparing import grid_sound as sound
from asgml_core.preparing.grid_mouth import PICTURE, Mouth, parse_mouth
from asgml_core.preparing.grid_words import FRAMES, MARGIN, STEPS, WORDS, WordDecoder, spell
from asgml_core.preparing.plan import Item, Plan, PrepareError, Report

SPEAKER = re.compile(r"s([1-9]|[12]\d|3[0-4])")
#: Films of GRID's own web page have their speaker in front of the clip's name: ``id2_vcd_swwp2s``.
CLIP = re.compile(r"(?:id\d+_vcd_)?([blps][bgrw][abiw][a-vx-z][z1-9][anps])")
#: Command, colour and digit, and their words.
SLOTS = (0, 1, 4)
CLASSES = tuple(sorted(word for slot in SLOTS for word in WORDS[slot].values()))


def grid(source: Path, *, mouth: str | Sequence[int] = "178,104,64,112") -> Plan:
    """Return the plan of a cache of GRID words: commands, colours and digits.

    Args:
        source: the folder with the films and alignments; see above for its layouts.
        mouth: the region that becomes the mouth's picture, ``"top,left,height,width"`` in pixels of
            the 360x288 films, the same for all clips; or ``"auto"``, found in each clip by its
            motion. The default is the prepared file's, made for speaker s1.

    Raises:
        PrepareError: when the folder is missing, or has a clip of a speaker twice.
        ValueError: when ``mouth`` is neither.
    """
    source = Path(source)
    region = parse_mouth(mouth)
    listing = _Listing(source)
    listing.look()
    items = tuple(listing.items())
    return Plan(
        dataset="grid",
        classes=CLASSES,
        source=source,
        items=items,
        arrays={
            "frames": ("uint8", (FRAMES, *PICTURE)),
            "logmel": ("uint8", (sound.MELS, STEPS)),
        },
        parameters=_recipe(region),
        decode=WordDecoder(region),
        report=tuple(listing.report),
        packages=("av",),
        chunk=24,  # whole clips, so that each is decoded once
    )


def _recipe(mouth: Mouth) -> dict[str, Any]:
    return {
        "mouth": {**asdict(mouth), "found": "per clip" if mouth.top is None else "given"},
        "frames": {"count": FRAMES, "choose": "even, from a word's start to its end"},
        "logmel": {
            "rate": sound.RATE, "window": sound.WINDOW, "hop": sound.HOP, "n_fft": sound.N_FFT,
            "mels": sound.MELS, "low": sound.LOW, "high": sound.HIGH, "scale": "htk",
            "floor_db": sound.FLOOR, "steps": STEPS, "margin": MARGIN,
        },
    }  # fmt: skip


@dataclass
class _Listing:
    """What the folder holds: by speaker and clip its film and its alignment."""

    source: Path
    films: dict[tuple[str, str], Path] = field(default_factory=dict)
    alignments: dict[tuple[str, str], Path] = field(default_factory=dict)
    report: list[Report] = field(default_factory=list)

    def look(self) -> None:
        """Find every film and every alignment."""
        if not self.source.is_dir():
            raise PrepareError(f"{self.source}: no such folder; GRID's .mpg and .align are there.")
        there = {".mpg": self.films, ".align": self.alignments}
        for path in sorted(self.source.rglob("*")):
            if path.suffix.lower() in there and path.is_file() and not path.name.startswith("."):
                self._add(path, there[path.suffix.lower()])

    def _add(self, path: Path, there: dict[tuple[str, str], Path]) -> None:
        file = path.relative_to(self.source)
        name = CLIP.fullmatch(path.stem.lower())
        if name is None:
            message = f"{file.as_posix()} is not named like a clip of GRID (bbaf2n)."
            self.report.append(Report("", file.as_posix(), "ignored", message))
            return
        key = (self._speaker(file), name[1])
        if key in there:
            raise PrepareError(
                f"{self.source} has clip {key[1]} of speaker {key[0]} twice: "
                f"{there[key].relative_to(self.source)} and {file}. Remove one."
            )
        there[key] = path

    def _speaker(self, file: Path) -> str:
        folders = [self.source.resolve().name, *file.parts[:-1]]
        named = [folder for folder in folders if SPEAKER.fullmatch(folder)]
        return named[-1] if named else folders[0]

    def items(self) -> Iterator[Item]:
        """Yield the words of every clip, speakers by number, clips by name, words by slot."""
        filmed = {speaker for speaker, _ in self.films}
        self._report_unfilmed(filmed)
        for speaker, clip in sorted({*self.films, *self.alignments}, key=_order):
            if speaker not in filmed:
                continue
            pair = {
                "video": self.films.get((speaker, clip)),
                "align": self.alignments.get((speaker, clip)),
            }
            files = {role: path for role, path in pair.items() if path is not None}
            sentence = spell(clip)
            for slot in SLOTS:
                word = sentence[slot]
                item = Item(
                    id=f"{speaker}_{clip}_{slot}_{word}",
                    label=word,
                    group=f"{speaker}_{clip}",
                    files=files,
                    facts={"speaker": speaker, "clip": clip, "slot": slot, "word": word},
                )
                self._report_absent(item)
                yield item

    def _report_absent(self, item: Item) -> None:
        for role, suffix in (("video", ".mpg"), ("align", ".align")):
            if role not in item.files:
                there = next(iter(item.files.values())).relative_to(self.source).as_posix()
                message = f"{there} is there, but no {item.facts['clip']}{suffix} of its speaker."
                self.report.append(Report(item.id, there, "failed", message))

    def _report_unfilmed(self, filmed: set[str]) -> None:
        """Say once that a speaker has no film at all: Zenodo's alignments are of all speakers."""
        for speaker in sorted({speaker for speaker, _ in self.alignments} - filmed, key=_number):
            count = sum(one == speaker for one, _ in self.alignments)
            message = f"speaker {speaker} has {count} .align files and no .mpg; it is left out."
            self.report.append(Report("", "", "ignored", message))


def _order(key: tuple[str, str]) -> tuple[tuple[int, str], str]:
    return _number(key[0]), key[1]


def _number(speaker: str) -> tuple[int, str]:
    name = SPEAKER.fullmatch(speaker)
    return (int(name[1]) if name else 0), speaker
