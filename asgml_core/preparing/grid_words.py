"""Words of a clip of GRID: where its alignment says they are, and their pictures and sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from asgml_core.preparing.grid_mouth import Mouth, luma, shrink
from asgml_core.preparing.grid_sound import MELS, log_mel, to_16k_mono
from asgml_core.preparing.media import Audio, Video, read_audio, read_video
from asgml_core.preparing.plan import Decoded, Item, ItemError

#: What the six letters of a clip's name stand for.
WORDS: tuple[Mapping[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    {
        "z": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six",
        "7": "seven", "8": "eight", "9": "nine",
    },
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)  # fmt: skip
SILENCES = ("sil", "sp")

#: Pictures a second, and in a whole clip.
FPS, CLIP_FRAMES = 25, 75
#: An alignment counts 25000 a second: 1000 a picture, 250 a step of the spectrogram.
PER_SECOND, PER_FRAME, PER_STEP = 25_000, 1000, 250
#: Pictures of a word; steps of its spectrogram, and of the margin of 20 ms on either side.
FRAMES, STEPS, MARGIN = 5, 60, 2


def spell(clip: str) -> tuple[str, ...]:
    """Return the six words that a clip's name stands for."""
    return tuple(words[letter] for words, letter in zip(WORDS, clip, strict=True))


@dataclass(frozen=True)
class Word:
    """One word of a sentence, in the alignment's units of 1/25000 s."""

    text: str
    start: int
    end: int


def read_sentence(file: Path, clip: str) -> tuple[Word, ...]:
    """Return the six words of an alignment.

    Args:
        file: lines of start, end and word; silences (``sil``, ``sp``) are left out.
        clip: the clip's name, which spells the words.

    Raises:
        ItemError: naming the line that is wrong, or the word that is absent or another.
    """
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ItemError(f"{file.name} could not be read as text ({error}).") from error
    words, before = [], 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        word = _read_line(f"{file.name}, line {number}", line, before)
        before = word.end
        if word.text not in SILENCES:
            words.append(word)
    expected = spell(clip)
    if len(words) != len(expected):
        raise ItemError(f"{file.name} has {len(words)} words, but a sentence of GRID has 6.")
    for word, said in zip(words, expected, strict=True):
        if word.text != said:
            raise ItemError(
                f"{file.name} has the word {word.text!r} where the clip's name says {said!r}."
            )
    return tuple(words)


def _read_line(where: str, line: str, before: int) -> Word:
    fields = line.split()
    if len(fields) != 3 or not (fields[0].isdecimal() and fields[1].isdecimal()):
        raise ItemError(f"{where} is {line.strip()!r}; two whole numbers and a word were expected.")
    word = Word(fields[2], int(fields[0]), int(fields[1]))
    if word.start < before:
        raise ItemError(f"{where} begins at {word.start}, before the line above ends ({before}).")
    if word.end <= word.start:
        raise ItemError(f"{where} ends at {word.end}, not after its start ({word.start}).")
    if word.text not in SILENCES and not any(word.text in words.values() for words in WORDS):
        raise ItemError(f"{where} has {word.text!r}, which is no word of GRID.")
    return word


def frame_numbers(word: Word) -> list[int]:
    """Return the five pictures of a word, evenly from its start to its end, counted from 0."""
    # In seconds first: of times half-way between two pictures, the last digit decides.
    times = np.linspace(word.start / PER_SECOND, word.end / PER_SECOND, FRAMES)
    return np.rint(times * FPS).astype(int).tolist()


def cut_sound(clip: str, spectrum: np.ndarray, word: Word) -> tuple[np.ndarray, list[str]]:
    """Return the steps of a word, centred in ``(64, 60)`` with 0 around it, and notes.

    Args:
        clip: its name, for messages.
        spectrum: ``(64, T)`` uint8, of the whole clip.
        word: what to cut out; of one that is too long, the middle is kept.

    Raises:
        ItemError: when the word ends after the sound.
    """
    first, last = round(word.start / PER_STEP), round(word.end / PER_STEP)
    if last >= spectrum.shape[1]:
        raise ItemError(
            f"{clip}: {word.text!r} ends at {word.end / PER_SECOND:.2f} s, but the sound at "
            f"{(spectrum.shape[1] - 1) * PER_STEP / PER_SECOND:.2f} s."
        )
    begin, end, notes = first - MARGIN, last + MARGIN, []
    if begin < 0 or end > spectrum.shape[1]:
        notes.append(f"{word.text!r} is at the clip's edge: a part of its 20 ms margin is 0.")
    if end - begin > STEPS:
        notes.append(
            f"{word.text!r} lasts {(word.end - word.start) / PER_SECOND:.2f} s; of its sound only "
            f"the middle {STEPS * PER_STEP / PER_SECOND:.2f} s are kept."
        )
        begin += (end - begin - STEPS) // 2
        end = begin + STEPS
    kept = np.zeros((MELS, STEPS), np.uint8)
    at = (STEPS - (end - begin)) // 2 - begin
    begin, end = max(begin, 0), min(end, spectrum.shape[1])
    kept[:, at + begin : at + end] = spectrum[:, begin:end]
    return kept, notes


@dataclass(frozen=True)
class Clip:
    """A clip, decoded once for all its words.

    Args:
        name: its film's.
        words: the sentence.
        pictures: ``(K, 288, 360)`` uint8, from the first to the last that the sentence needs.
        spectrum: ``(64, T)`` uint8, of the whole sound.
        corner: first row and column of the mouth's region.
        facts: see :class:`~asgml_core.preparing.plan.Decoded`.
        notes: likewise.
    """

    name: str
    words: tuple[Word, ...]
    pictures: np.ndarray
    spectrum: np.ndarray
    corner: tuple[int, int]
    facts: Mapping[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class WordDecoder:
    """Decodes items with files ``"video"`` and ``"align"``; a clip's words stand together.

    Args:
        mouth: where the mouth is.
    """

    mouth: Mouth

    def __call__(self, items: Sequence[Item]) -> list[Decoded | ItemError]:
        """Return what became of each word."""
        made: list[Decoded | ItemError] = []
        group, clip = None, None
        for item in items:
            if clip is None or item.group != group:
                group, clip = item.group, self._clip(item)
            made.append(clip if isinstance(clip, ItemError) else self._word(item, clip))
        return made

    def _clip(self, item: Item) -> Clip | ItemError:
        film, alignment = item.files["video"], item.files["align"]
        try:
            words = read_sentence(alignment, item.facts["clip"])
            video, audio = _read_film(film, words), read_audio(film)
            first = round(words[0].start / PER_FRAME)
            corner = self.mouth.place(film.name, video.pictures[first:])
            spectrum = log_mel(to_16k_mono(film.name, audio))
        except ItemError as error:
            return error
        facts = {
            "clip_frames": video.frames,
            "seconds": round(audio.seconds, 4),
            "rate": audio.rate,
            "channels": len(audio.samples),
            "mouth_top": corner[0],
            "mouth_left": corner[1],
        }
        notes = (*video.notes, *_notes(film.name, video, audio))
        return Clip(film.name, words, video.pictures, spectrum, corner, facts, notes)

    def _word(self, item: Item, clip: Clip) -> Decoded | ItemError:
        word = clip.words[item.facts["slot"]]
        numbers = frame_numbers(word)
        try:
            frames = self._frames(clip, word.text, numbers)
            sound, notes = cut_sound(clip.name, clip.spectrum, word)
        except ItemError as error:
            return error
        if len(set(numbers)) < FRAMES:
            notes.append(
                f"{word.text!r} lasts {(word.end - word.start) / PER_FRAME:.2f} pictures; of its "
                f"{FRAMES} only {len(set(numbers))} are different."
            )
        facts = {"start_25k": word.start, "end_25k": word.end, **clip.facts}
        return Decoded({"frames": frames, "logmel": sound}, facts, (*clip.notes, *notes))

    def _frames(self, clip: Clip, word: str, numbers: list[int]) -> np.ndarray:
        there = clip.facts["clip_frames"]
        # The last picture of a clip that is cut short may be a half one.
        whole = there if there >= CLIP_FRAMES else there - 1
        if numbers[-1] >= whole:
            raise ItemError(
                f"{clip.name}: {word!r} ends at picture {numbers[-1]} (from 0), but the clip has "
                f"{there} pictures, {whole} of them certainly whole."
            )
        (top, left), (height, width) = clip.corner, (self.mouth.height, self.mouth.width)
        regions = clip.pictures[numbers, top : top + height, left : left + width]
        return np.stack([shrink(region) for region in regions])


def _read_film(film: Path, words: Sequence[Word]) -> Video:
    needed = round(words[-1].end / PER_FRAME) + 1

    def choose(count: int, rate: float) -> range:
        if abs(rate - FPS) > 0.01:
            raise ItemError(f"{film.name} has {rate:.2f} pictures a second, not {FPS}.")
        return range(min(count, needed))

    return read_video(film, choose, picture=partial(luma, film.name))


def _notes(film: str, video: Video, audio: Audio) -> list[str]:
    notes = []
    if video.frames != CLIP_FRAMES:
        notes.append(f"{film} has {video.frames} pictures, not {CLIP_FRAMES}.")
    if not audio.samples.any():
        notes.append(f"{film}: its sound is silent, every sample is 0.")
    return notes
