"""Faces and voices drawn by code: six emotions in two modalities, with nothing to download.

A face is moved by action units, after Ekman and Friesen's facial action coding system; a voice by
its prosody: pitch, loudness, rate and so on. Both are drawn from the same recipe::

    moves = signal * strength * table[label] + jitter

so the label enters in one place only, and ``signal = 0`` leaves a picture that does not depend on
it. Person, pose, light, words and noise vary in every item. The voice gives its emotion away over
the whole spectrogram, the face in a few pixels whose place depends on the pose: that is why the
audio encoder learns sooner. Neither modality knows of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray

from asgml_core.checks import check_count, check_number
from asgml_core.datasets.base import MultimodalDataset, Part
from asgml_core.seeding import numpy_generator

Array = NDArray[np.float32]

#: CREMA-D's codes in OGM-GE's order: neutral, happy, sad, fearful, disgusted, angry.
CLASSES = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
#: Height and width of a picture, and frequency bands and frames of a spectrogram.
SIZE = 32

# Action units, 1 being clear and 2 extreme. Of each emotion the usual ones: happy 6 + 12, sad
# 1 + 4 + 15, fearful 1 + 2 + 5 + 20 + 26, disgusted 9 + 10 + 15, angry 4 + 5 + 23.
_UNITS = ("inner_brow", "outer_brow", "frown", "lids", "cheek", "wrinkle", "corner", "wide", "jaw",
          "upper_lip", "press")  # fmt: skip
_FACE_MOVES = {
    "NEU": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "HAP": (0.1, 0.1, 0.0, -0.4, 1.0, 0.0, 1.0, 0.6, 0.5, 0.2, -0.1),
    "SAD": (1.0, -0.4, 0.3, -0.4, 0.0, 0.0, -0.9, -0.3, 0.0, 0.0, 0.2),
    "FEA": (1.0, 0.8, 0.0, 1.0, 0.0, 0.0, -0.4, 0.5, 1.0, 0.0, -0.3),
    "DIS": (-0.2, 0.0, 0.7, -0.7, 0.5, 1.0, -0.5, -0.1, 0.3, 1.0, 0.0),
    "ANG": (-0.6, 0.4, 1.0, 0.3, 0.0, 0.3, -0.5, -0.4, 0.0, 0.0, 1.0),
}
_PROSODY = ("pitch", "range", "slope", "loud", "bright", "rate", "breath", "tremor")
_VOICE_MOVES = {
    "NEU": (0.0, -0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "HAP": (0.7, 1.0, 0.5, 0.4, 0.3, 0.4, -0.3, 0.0),
    "SAD": (-0.5, -0.6, -0.9, -1.0, -0.9, -0.9, 0.5, 0.2),
    "FEA": (1.2, 0.0, 0.4, -0.1, 0.1, 0.9, 0.6, 1.0),
    "DIS": (-0.6, 0.3, -0.6, 0.1, -0.2, -0.6, 0.9, -0.3),
    "ANG": (0.4, 0.7, -0.3, 1.2, 1.0, 0.5, -0.5, 0.0),
}
#: What belongs to a speaker (about -1 to 1), and what is new in every item (-1 to 1).
LOOKS = ("fair", "blond", "broad", "long", "apart", "bushy", "full", "snub", "beard", "fringe")
SCENE = ("x", "y", "tilt", "zoom", "turn", "nod", "light_x", "light_y", "light", "wall",
         "wall_x", "crooked")  # fmt: skip
THROAT = ("high", "small", "timbre", "haste", "force")
TAKE = ("onset", "swing", "melody", "shake", "vowel_1", "vowel_2", "start", "length", "gain",
        "hiss", "microphone")  # fmt: skip

_TRAITS = 10  # drawn for every speaker and modality; a voice uses the first few
_CHUNK = 64  # items drawn at a time: their arrays stay in the processor's cache
_PIXEL = np.float32(2 / SIZE)


def synth(
    *,
    seed: int,
    train: int = 1728,
    test: int = 720,
    audio_signal: float = 1.0,
    visual_signal: float = 1.0,
    speakers: int = 96,
) -> MultimodalDataset:
    """Draw a dataset of emotional voices and faces, standardised by its training part.

    Args:
        seed: the run's seed; everything is drawn from it.
        train: items of the training part, 6 or more.
        test: items of the test part, 6 or more.
        audio_signal: how far the emotion moves the voice, 0 (not at all) to 2; 1 is the default.
        visual_signal: the same for the face.
        speakers: speakers of both parts, 8 or more; a quarter of them are in the test part only.

    Raises:
        ValueError: for an option outside its range.
    """
    counts = {"train": check_count("train", train, low=6), "test": check_count("test", test, low=6)}
    check_number("audio_signal", audio_signal, low=0.0, high=2.0)
    check_number("visual_signal", visual_signal, low=0.0, high=2.0)
    first = check_count("speakers", speakers, low=8) - speakers // 4
    casts = {"train": np.arange(first), "test": np.arange(first, speakers)}
    items = {
        name: _schedule(counts[name], cast, numpy_generator(seed, "synth", name, "items"))
        for name, cast in casts.items()
    }
    inputs: dict[str, dict[str, torch.Tensor]] = {name: {} for name in items}
    for m, draw, signal in (("audio", _voices, audio_signal), ("visual", _faces, visual_signal)):
        traits = numpy_generator(seed, "synth", "speakers", m).standard_normal((speakers, _TRAITS))
        drawn = {
            name: draw(labels, signal, traits[who], numpy_generator(seed, "synth", name, m))
            for name, (who, labels) in items.items()
        }
        mean = drawn["train"].mean(dtype=np.float64)
        scale = drawn["train"].std(dtype=np.float64)
        for name, x in drawn.items():
            standard = (x - np.float32(mean)) / np.float32(scale)
            inputs[name][m] = torch.from_numpy(standard[:, None])
    return MultimodalDataset(
        name="synth",
        classes=CLASSES,
        train=_part(inputs["train"], *items["train"], first_id=0),
        test=_part(inputs["test"], *items["test"], first_id=train),
        source=f"synth (seed {seed})",
    )


def examples() -> dict[str, Array]:
    """Return one voice and one face per emotion, of an average speaker, without pose or noise.

    Returns:
        ``{"audio": (6, H, W), "visual": (6, H, W)}`` in the order of :data:`CLASSES`; log magnitude
        with the lowest band first, and grey from 0 (black) to about 1 with the top row first.
    """
    labels, strengths = np.arange(len(CLASSES)), np.full(len(CLASSES), 1.3)
    still = np.zeros((len(CLASSES), 12))
    return {
        "audio": draw_voices(labels, strengths, still[:, : len(THROAT)], still[:, : len(TAKE)]),
        "visual": draw_faces(labels, strengths, still[:, : len(LOOKS)], still[:, : len(SCENE)]),
    }


def draw_faces(labels: NDArray, strengths: NDArray, looks: NDArray, scene: NDArray) -> Array:
    """Return clean faces ``(N, H, W)``, grey from 0 (black) to about 1, the top row first.

    Args:
        labels: ``(N,)``, of :data:`CLASSES`.
        strengths: ``(N,)``, how strong the emotion is: 0 a neutral face, 1 clear, 2 extreme.
        looks: ``(N, len(LOOKS))`` of the person, about -1 to 1.
        scene: ``(N, len(SCENE))`` pose and light, -1 to 1.
    """
    return _face(strengths[:, None] * _table(_FACE_MOVES)[labels], looks, scene)


def draw_voices(labels: NDArray, strengths: NDArray, throat: NDArray, take: NDArray) -> Array:
    """Return clean voices ``(N, H, W)``, natural log of the magnitude, the lowest band first.

    Args:
        labels: ``(N,)``, of :data:`CLASSES`.
        strengths: ``(N,)``, how strong the emotion is: 0 an even voice, 1 clear, 2 extreme.
        throat: ``(N, len(THROAT))`` of the speaker, about -1 to 1.
        take: ``(N, len(TAKE))`` the words and the recording, -1 to 1.
    """
    return _voice(strengths[:, None] * _table(_VOICE_MOVES)[labels], throat, take)


def _schedule(
    count: int, cast: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the speaker and the label of every item: even over speakers, and within each."""
    rows = rng.permutation(count)
    turn, place = np.divmod(rows, len(cast))
    return cast[place], (turn + place) % len(CLASSES)


def _part(
    inputs: dict[str, torch.Tensor],
    who: NDArray[np.int64],
    labels: NDArray[np.int64],
    first_id: int,
) -> Part:
    groups = tuple(f"s{speaker:02d}" for speaker in who)
    ids = tuple(
        f"synth_{first_id + i:04d}_{group}_{CLASSES[label]}"
        for i, (group, label) in enumerate(zip(groups, labels, strict=True))
    )
    return Part(inputs=inputs, labels=torch.from_numpy(labels), ids=ids, groups=groups)


def _faces(labels: NDArray, signal: float, traits: NDArray, rng: np.random.Generator) -> Array:
    units = _moves(_table(_FACE_MOVES)[labels], signal, (0.9, 2.1), 0.15, rng)
    scene = rng.uniform(-1, 1, (len(labels), len(SCENE)))
    return _in_chunks(_face, units, 0.75 * np.tanh(traits), scene, noise=0.04, rng=rng)


def _voices(labels: NDArray, signal: float, traits: NDArray, rng: np.random.Generator) -> Array:
    prosody = _moves(_table(_VOICE_MOVES)[labels], signal, (0.85, 2.1), 0.3, rng)
    take = rng.uniform(-1, 1, (len(labels), len(TAKE)))
    return _in_chunks(_voice, prosody, np.tanh(traits[:, : len(THROAT)]), take, noise=0.35, rng=rng)


def _table(moves: dict[str, tuple[float, ...]]) -> NDArray[np.float64]:
    return np.array([moves[name] for name in CLASSES])


def _moves(
    full: NDArray,
    signal: float,
    strength: tuple[float, float],
    jitter: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    # Every number is drawn whatever the signal: turning the knob changes nothing else.
    strengths = rng.uniform(*strength, (len(full), 1))
    return signal * strengths * full + jitter * rng.standard_normal(full.shape)


def _in_chunks(
    draw: Callable[..., Array], *columns: NDArray, noise: float, rng: np.random.Generator
) -> Array:
    images = rng.standard_normal((len(columns[0]), SIZE, SIZE), dtype=np.float32)
    images *= np.float32(noise)
    for start in range(0, len(images), _CHUNK):
        rows = slice(start, start + _CHUNK)
        images[rows] += draw(*(column[rows] for column in columns))
    return images


def _named(names: tuple[str, ...], columns: NDArray) -> SimpleNamespace:
    """Return the columns of an ``(N, len(names))`` array by name, each ``(N, 1, 1)`` float32."""
    fields = columns.astype(np.float32).T[:, :, None, None]
    return SimpleNamespace(**dict(zip(names, fields, strict=True)))


# Faces. The picture spans -1 to 1 in x (right) and y (down); a shape is a signed distance, below 0
# inside, and a pixel on its edge is covered in part. ``f`` holds every number of the face by name.


def _inside(distance: Array) -> Array:
    return np.clip(0.5 - distance / _PIXEL, 0.0, 1.0)


def _ellipse(x: Array, y: Array, a: Array | float, b: Array | float) -> Array:
    return _inside((np.sqrt((x / a) ** 2 + (y / b) ** 2) - 1) * np.minimum(a, b))


def _stroke(across: Array, along: Array, thickness: Array | float, length: float) -> Array:
    return _inside(np.abs(across) - thickness) * _inside(np.abs(along) - length)


def _paint(image: Array, cover: Array, tone: Array | float) -> None:
    image += cover * (tone - image)


def _face(units: NDArray, looks: NDArray, scene: NDArray) -> Array:
    """Draw faces ``(N, H, W)``, grey from 0 to about 1."""
    f = _named(_UNITS + LOOKS + SCENE, np.hstack([units, looks, scene]))
    f.skin = 0.62 + 0.22 * f.fair
    f.hair = np.clip(f.skin * (0.45 + 0.35 * f.blond), 0.03, 0.9)
    grid = (np.arange(SIZE, dtype=np.float32) + 0.5) * _PIXEL - 1
    right, down = grid[None, None, :], grid[None, :, None]
    x, y = right - 0.17 * f.x, down - 0.15 * f.y - 0.02
    cos, sin, scale = np.cos(0.11 * f.tilt), np.sin(0.11 * f.tilt), np.exp(0.065 * f.zoom)
    x, y = (cos * x + sin * y) / scale, (cos * y - sin * x) / scale

    image = 0.42 + 0.19 * f.wall + 0.11 * f.wall_x * right + 0 * y
    _head(image, x, y, f)
    # A head that turns or nods moves its features across the oval.
    x, y = x - 0.065 * f.turn, y - 0.05 * f.nod
    _beard_and_nose(image, x, y, f)
    _creases(image, x, y, f)
    _eyes(image, x, y, f)
    _brows(image, x, y, f)
    _mouth(image, x, y, f)
    light = 1 + 0.21 * f.light_x * right + 0.165 * f.light_y * down
    return image * light * (1 + 0.15 * f.light)


def _head(image: Array, x: Array, y: Array, f: SimpleNamespace) -> None:
    a, b = 0.60 + 0.06 * f.broad, 0.80 + 0.06 * f.long
    _paint(image, _ellipse(x, y - 1.45, 0.95, 0.6), 0.35 + 0.2 * f.blond)  # shoulders
    mane = _ellipse(x, y + 0.10, a + 0.10, b + 0.09) * _inside(y - 0.25 - 0.3 * f.fringe)
    _paint(image, mane, f.hair)
    neck = _inside(np.abs(x) - 0.28) * _inside(np.abs(y - 0.8) - 0.2)
    _paint(image, neck, 0.8 * f.skin)
    radius = (x / a) ** 2 + (y / b) ** 2
    oval = _inside(0.6 * (np.sqrt(radius) - 1))
    _paint(image, oval, f.skin * (1.08 - 0.28 * radius * radius))
    _paint(image, oval * _inside(y + 0.58 + 0.1 * f.fringe - 0.25 * x * x), f.hair)


def _beard_and_nose(image: Array, x: Array, y: Array, f: SimpleNamespace) -> None:
    chin = _ellipse(x, y - 0.25, 0.52, 0.5) * _inside(0.28 + 0.1 * np.abs(x) - y)
    _paint(image, np.clip(0.9 * f.beard - 0.27, 0, 1) * chin, 0.5 * (f.hair + f.skin))
    nostrils = _ellipse(np.abs(x) - 0.07, y - 0.19 - 0.02 * f.snub + 0.02 * f.wrinkle, 0.055, 0.04)
    _paint(image, 0.45 * nostrils, 0.3 * f.skin)
    _paint(image, 0.22 * _stroke(x - 0.06, y - 0.02, 0.03, 0.15), 0.3 * f.skin)  # its shadow


def _creases(image: Array, x: Array, y: Array, f: SimpleNamespace) -> None:
    side, tone = np.abs(x), 0.3 * f.skin
    bridge = _stroke(y + 0.08 - 0.4 * side, x, 0.02, 0.10)
    _paint(image, np.clip(0.55 * f.wrinkle, 0, 0.7) * bridge, tone)
    between_brows = _stroke(side - 0.05, y + 0.26, 0.018, 0.08)
    _paint(image, np.clip(0.5 * f.frown, 0, 0.7) * between_brows, tone)
    fold = _stroke(side - 0.20 - 0.45 * (y - 0.18) - 0.05 * f.cheek, y - 0.30, 0.022, 0.12)
    _paint(image, np.clip(0.12 + 0.35 * f.cheek + 0.25 * f.wrinkle, 0, 0.7) * fold, tone)
    cheek = _ellipse(side - 0.33, y - 0.14, 0.14, 0.09)
    _paint(image, np.clip(0.35 * f.cheek, 0, 0.5) * cheek, 1.18 * f.skin)


def _eyes(image: Array, x: Array, y: Array, f: SimpleNamespace) -> None:
    gaze = 0.02 * f.turn * np.sign(x)
    x, y = np.abs(x) - 0.27 - 0.03 * f.apart, y + 0.12
    opening = np.clip(0.085 + 0.045 * f.lids - 0.015 * f.cheek, 0.022, 0.17)
    white = _ellipse(x, y, 0.14, opening)
    _paint(image, 0.6 * _ellipse(x, y, 0.16, opening + 0.03), 0.3 * f.skin)
    _paint(image, white, np.minimum(1, 0.55 + 0.6 * f.skin))
    _paint(image, white * _ellipse(x - gaze, y, 0.07, 0.085), 0.06)


def _brows(image: Array, x: Array, y: Array, f: SimpleNamespace) -> None:
    along = (np.abs(x) - 0.28 - 0.03 * f.apart + 0.035 * f.frown) / 0.19  # inner end -1, outer 1
    raised = 0.055 * (f.inner_brow * (1 - along) + f.outer_brow * (1 + along)) - 0.075 * f.frown
    arch = 0.315 + 0.03 * f.bushy - 0.04 * along * along + 0.015 * f.crooked * np.sign(x)
    stroke = _stroke(y + arch + raised, 0.19 * along, 0.03 + 0.012 * f.bushy, 0.19)
    _paint(image, 0.9 * stroke, 0.55 * f.hair)


def _mouth(image: Array, x: Array, y: Array, f: SimpleNamespace) -> None:
    width = np.clip(0.25 + 0.03 * f.full + 0.07 * f.wide - 0.03 * f.press, 0.12, 0.42)
    along = x / width
    bow = 1 - along * along
    # A sneer is one-sided: a lip that is raised is raised on one side more.
    slant = 0.02 * f.crooked * (1 + np.maximum(f.upper_lip, 0)) * along
    y = y - 0.46 - 0.02 * f.jaw + 0.10 * f.corner * (0.6 - bow) - slant
    gap = np.clip(0.012 + 0.085 * f.jaw, 0.008, 0.2)
    thick = np.clip(0.055 + 0.012 * f.full - 0.022 * f.press, 0.02, 0.09) * np.clip(bow, 0.3, 1)
    across = _inside(np.abs(x) - width)
    top = (0.5 * gap + np.clip(0.07 * f.upper_lip, -0.02, 0.12)) * bow + thick
    lips = across * _inside(-top - y) * _inside(y - 1.2 * gap * bow - thick)
    _paint(image, lips, 0.62 * f.skin)
    top = (0.5 * gap + np.clip(0.05 * f.upper_lip, 0, 0.1)) * bow
    inside = across * _inside(-top - y) * _inside(y - 1.1 * gap * bow)
    _paint(image, inside, 0.1)
    teeth = inside * _inside(y + 0.1 * gap) * np.clip(5 * gap - 0.15, 0, 1)
    _paint(image, 0.8 * teeth, 0.9)


# Voices. Time runs from 0 to 1 over the frames, frequency in octaves over the bands.


def _voice(prosody: NDArray, throat: NDArray, take: NDArray) -> Array:
    """Draw log spectrograms ``(N, bands, frames)``, natural log of the magnitude."""
    v = _named(_PROSODY + THROAT + TAKE, np.hstack([prosody, throat, take]))
    time = ((np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE)[None, None, :]
    octave = np.linspace(0, 5.6, SIZE, dtype=np.float32)[None, :, None]
    hertz = 85 * 2**octave
    # The same words, said slowly, take longer.
    length = np.clip(0.8 * np.exp(-0.22 * v.rate + 0.06 * v.length), 0.4, 1.0)
    begin = (1 - length) * (0.5 + 0.5 * v.start)
    done = (time - begin) / length
    syllables = 7.2 * np.exp(0.3 * v.rate + 0.06 * v.haste)
    beat = 2 * np.pi * (syllables * (time - begin) + 0.1 * v.onset)

    semitones = 7 * v.high + 3 * v.pitch + 6 * v.slope * (done - 0.5)
    semitones += (1.6 + 1.4 * np.clip(v.range, -1, 2)) * np.sin(0.5 * beat + np.pi * v.melody)
    shake = np.sin(22 * np.pi * time + np.pi * v.shake)
    semitones += 0.8 * np.clip(v.tremor, 0, 2) * shake
    pitch = 165 * 2 ** (semitones / 12)

    level = _formants(octave, beat, v)
    level = level + (0.25 * v.bright + 0.15 * v.timbre - 0.75) * (octave - 1.5)
    envelope = 0.5 + 0.5 * np.cos(beat + 0.6 * np.sin(0.37 * beat + np.pi * v.swing))
    level = level + 0.7 * v.loud + 0.2 * v.force - 2.2 * (1 - envelope)
    breath = level - 2.2 + 0.7 * v.breath + 0.25 * (octave - 3)
    speech = np.logaddexp(level + _harmonics(hertz, pitch), breath)
    speech -= np.logaddexp(0, -40 * np.minimum(done, 1 - done))  # silent before and after
    room = -4.2 + 0.5 * v.hiss - 0.25 * octave
    return np.logaddexp(speech, room) + 0.3 * v.gain + 0.08 * v.microphone * (octave - 2.8)


def _harmonics(hertz: Array, pitch: Array) -> Array:
    """Return the log of a comb with a tooth at every multiple of the pitch."""
    # A band is wider the higher it is, so the teeth of the upper harmonics melt into one another.
    sharpness = np.clip(pitch / (0.09 * hertz), 0, 6) ** 2 / 10
    comb = sharpness * (np.cos(2 * np.pi * hertz / pitch) - 1)
    return np.maximum(np.where(hertz < 0.6 * pitch, -9, comb), np.float32(-3.5))


def _formants(octave: Array, beat: Array, v: SimpleNamespace) -> Array:
    """Return the resonances of the vowels; the first two move from syllable to syllable."""
    tract = 0.12 * v.small
    first = 2.50 + tract + 0.45 * np.sin(0.50 * beat + np.pi * v.vowel_1)
    second = 4.14 + tract + 0.40 * np.sin(0.43 * beat + np.pi * v.vowel_2)
    third = 4.99 + tract
    return (
        1.6 * np.exp(-(((octave - first) / 0.4) ** 2))
        + 1.5 * np.exp(-(((octave - second) / 0.3) ** 2))
        + 0.9 * np.exp(-(((octave - third) / 0.3) ** 2))
    )
