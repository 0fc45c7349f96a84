"""A made-up CREMA-D of a few clips, laid out as the download, to try everything without it.

Faces and voices are those of ``synth``: a face is neutral in the first frame, shows the emotion in
full in the middle of the clip, and is neutral again at its end. Nobody is filmed, nothing is said.
What differs from the download: VP6, its video codec, cannot be written, so the films are the older
Sorenson H.263 (``flv1``) in the same container; there is no ``AudioMP3``.
"""

from __future__ import annotations

import csv
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asgml_core.checks import check_count
from asgml_core.datasets.synth import (
    CLASSES,
    LOOKS,
    SCENE,
    SIZE,
    TAKE,
    THROAT,
    draw_faces,
    draw_voices,
)
from asgml_core.preparing.plan import PrepareError
from asgml_core.seeding import numpy_generator

SENTENCES = (
    "DFA", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI", "IEO",
)  # fmt: skip
FIRST_ACTOR = 1001
FRAMES_PER_SECOND = Fraction(30000, 1001)
#: Width and height of the films, and bits a second, about those of the download.
WIDTH, HEIGHT, BIT_RATE = 480, 360, 800_000
#: Samples a second of ``AudioWAV``, and of the sound in the films.
WAV_RATE, FILM_RATE = 16000, 44100
#: The file that says what this is; a folder without it is not written into.
MARK = "MINIATURE.txt"
SAID = "Drawn by asgml_core.preparing.miniature. Nobody was filmed; this is not CREMA-D.\n"
#: Seconds of the shortest and the longest clip.
SHORTEST, LONGEST = 1.6, 3.6


@dataclass(frozen=True)
class _Clip:
    name: str
    label: int
    actor: int
    frames: int
    strength: float

    @property
    def seconds(self) -> float:
        return float(self.frames / FRAMES_PER_SECOND)


def miniature_cremad(
    folder: str | Path, *, actors: int = 10, sentences: int = 1, seed: int = 0
) -> Path:
    """Write a made-up CREMA-D, every actor with each sentence in all six emotions.

    The folder gets ``VideoFlash``, ``AudioWAV``, ``VideoDemographics.csv``,
    ``SentenceFilenames.csv`` and, in ``split``, ``train.csv`` and ``test.csv`` with every actor on
    both sides, as in the published split. An earlier miniature in the folder is replaced; a folder
    with anything else in it is refused. The same arguments and versions give the same bytes.

    Args:
        folder: where to; made if needed.
        actors: how many, 1 to 91; they are numbered from 1001.
        sentences: how many, 1 to 12.
        seed: decides what everybody looks and sounds like.

    Returns:
        The folder.

    Raises:
        ValueError: for a number out of range.
        PrepareError: when the folder holds something else.
    """
    check_count("actors", actors, high=91)
    check_count("sentences", sentences, high=len(SENTENCES))
    folder = Path(folder)
    if folder.exists() and not (folder / MARK).is_file() and any(folder.iterdir()):
        raise PrepareError(f"{folder} holds something else than a miniature; choose a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(SAID, encoding="utf-8")
    for name in ("VideoFlash", "AudioWAV", "split"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    clips = [
        _clip(actor, sentence, label, seed)
        for actor in range(FIRST_ACTOR, FIRST_ACTOR + actors)
        for sentence in SENTENCES[:sentences]
        for label in range(len(CLASSES))
    ]
    for clip in clips:
        sound = _sound(clip, seed)
        _write_wav(folder / "AudioWAV" / f"{clip.name}.wav", sound)
        _write_film(folder / "VideoFlash" / f"{clip.name}.flv", _faces(clip, seed), sound)
    _write_tables(folder, clips)
    _write_split(folder / "split", clips, sentences)
    return folder


def _clip(actor: int, sentence: str, label: int, seed: int) -> _Clip:
    name = f"{actor}_{sentence}_{CLASSES[label]}_XX"
    draw = numpy_generator(seed, "miniature", name)
    seconds = np.clip(2.4 * np.exp(0.22 * draw.standard_normal()), SHORTEST, LONGEST)
    frames = round(float(seconds * FRAMES_PER_SECOND))
    return _Clip(name, label, actor, frames, strength=float(draw.uniform(1.1, 1.8)))


def _faces(clip: _Clip, seed: int) -> NDArray[np.uint8]:
    """Return the small pictures of a clip, ``(frames, 32, 43, 3)``, four wide to three high."""
    person = numpy_generator(seed, "miniature", "looks", clip.actor)
    looks = np.tile(0.75 * np.tanh(person.standard_normal(len(LOOKS))), (clip.frames, 1))
    studio = person.uniform(-0.8, 0.8, len(SCENE))
    warm = person.uniform()
    tint = np.array((1.2, 1.1 - 0.14 * warm, 1.0 - 0.26 * warm))
    time = np.linspace(0, 1, clip.frames)
    take = numpy_generator(seed, "miniature", "pose", clip.name)
    scene = np.tile(studio, (clip.frames, 1))
    for i, name in enumerate(SCENE):
        if name in ("x", "y", "tilt", "turn", "nod"):  # the head moves while it speaks
            pace, phase = take.uniform(0.5, 1.5), take.uniform(0, 1)
            scene[:, i] = 0.5 * take.uniform(-1, 1) + 0.3 * np.sin(
                2 * np.pi * (pace * time + phase)
            )
    strengths = clip.strength * np.sin(np.pi * time)
    grey = draw_faces(np.full(clip.frames, clip.label), strengths, looks, scene)
    sides = round(SIZE * WIDTH / HEIGHT) - SIZE
    wide = np.pad(grey, ((0, 0), (0, 0), (sides // 2, sides - sides // 2)), mode="edge")
    return (255 * (wide[..., None] * tint).clip(0, 1)).round().astype(np.uint8)


def _sound(clip: _Clip, seed: int) -> NDArray[np.float32]:
    """Return the sound of a clip, ``(n,)`` at :data:`WAV_RATE`: noise shaped by a drawn voice."""
    person = numpy_generator(seed, "miniature", "throat", clip.actor)
    draw = numpy_generator(seed, "miniature", "take", clip.name)
    voice = draw_voices(
        np.array([clip.label]),
        np.array([clip.strength]),
        np.tanh(person.standard_normal((1, len(THROAT)))),
        draw.uniform(-1, 1, (1, len(TAKE))),
    )[0]
    noise = draw.standard_normal(round(clip.seconds * WAV_RATE))
    return (0.08 * _shaped(noise, voice)).clip(-0.99, 0.99).astype(np.float32)


def _shaped(noise: NDArray[np.float64], voice: NDArray) -> NDArray[np.float64]:
    """Return noise with the spectrogram of a drawn voice: windows of it, filtered and added up."""
    size, step = 512, 128
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    pieces = np.lib.stride_tricks.sliding_window_view(np.pad(noise, size), size)[::step]
    spectrum = np.fft.rfft(pieces * window)
    spectrum *= np.exp(_enlarged(voice, spectrum.shape[1], spectrum.shape[0])).T
    pieces = np.fft.irfft(spectrum) * window
    sound = np.zeros(len(noise) + 2 * size)
    for number, piece in enumerate(pieces):
        sound[number * step : number * step + size] += piece
    return sound[size:-size] / 1.5  # what the squared windows add up to


def _enlarged(voice: NDArray, bins: int, times: int) -> NDArray[np.float64]:
    """Return a drawn voice at the frequencies and times of a transform, ``(bins, times)``."""
    hertz = np.arange(bins) * WAV_RATE / 2 / (bins - 1)
    octave = np.log2(np.maximum(hertz, 20) / 85)
    bands, frames = (
        np.linspace(0, end, n) for end, n in zip((5.6, times - 1), voice.shape, strict=True)
    )
    by_time = np.stack([np.interp(np.arange(times), frames, band) for band in voice])
    level = np.stack([np.interp(octave, bands, column) for column in by_time.T], axis=1)
    outside = np.maximum(octave - 5.6, 0) + np.maximum(-octave, 0)
    return level - 2 * outside[:, None]


def _write_wav(path: Path, sound: NDArray) -> None:
    samples = np.round(32767 * sound).astype("<i2").tobytes()
    head = struct.pack("<HHIIHH", 1, 1, WAV_RATE, 2 * WAV_RATE, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head
    body += b"data" + struct.pack("<I", len(samples)) + samples
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def _write_film(path: Path, pictures: NDArray[np.uint8], sound: NDArray) -> None:
    import av

    with av.open(str(path), "w", format="flv", options={"fflags": "bitexact"}) as out:
        video = out.add_stream("flv", rate=FRAMES_PER_SECOND)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate, video.codec_context.thread_count = BIT_RATE, 1
        audio = out.add_stream("libmp3lame", rate=FILM_RATE, layout="mono")
        for packet in (*_encoded_pictures(video, pictures), *_encoded_sound(audio, sound)):
            out.mux(packet)


def _encoded_pictures(stream: Any, pictures: NDArray[np.uint8]) -> Iterator[Any]:
    import av
    from av.video.reformatter import VideoReformatter

    enlarge = VideoReformatter().reformat  # kept: a new one for each frame takes longer
    for number, picture in enumerate(pictures):
        small = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = enlarge(small, WIDTH, HEIGHT, "yuv420p", interpolation="BICUBIC", threads=1)
        frame.pts, frame.time_base = number, 1 / FRAMES_PER_SECOND
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _encoded_sound(stream: Any, sound: NDArray) -> Iterator[Any]:
    import av

    coder = stream.codec_context
    to_coder = av.AudioResampler(coder.format, coder.layout, FILM_RATE, coder.frame_size or None)
    frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = WAV_RATE, 0
    for given in (frame, None):
        for piece in to_coder.resample(given):
            yield from stream.encode(piece)
    yield from stream.encode(None)


def _write_tables(folder: Path, clips: list[_Clip]) -> None:
    actors = sorted({clip.actor for clip in clips})
    people = [
        (actor, 20 + 7 * i % 55, ("Male", "Female")[i % 2], "Unknown", "Unknown")
        for i, actor in enumerate(actors)
    ]
    header = ("ActorID", "Age", "Sex", "Race", "Ethnicity")
    _write_csv(folder / "VideoDemographics.csv", [header, *people])
    named = [(number, clip.name) for number, clip in enumerate(clips, 1)]
    _write_csv(folder / "SentenceFilenames.csv", [("Stimulus_Number", "Filename"), *named])


def _write_split(folder: Path, clips: list[_Clip], sentences: int) -> None:
    """Give the test part one emotion of every actor and sentence, each emotion in its turn."""
    parts: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for number, clip in enumerate(clips):
        turn = number // len(CLASSES)
        in_test = clip.label == (turn // sentences + turn % sentences) % len(CLASSES)
        parts["test" if in_test else "train"].append((clip.name, CLASSES[clip.label]))
    for part, lines in parts.items():
        text = "".join(f"{name},{label}\n" for name, label in lines)
        (folder / f"{part}.csv").write_text(text, encoding="utf-8")


def _write_csv(file: Path, rows: list[tuple]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(rows)
