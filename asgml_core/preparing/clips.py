"""Decoding clips: a film and its sound become kept frames and a log spectrogram."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from asgml_core.preparing.frames import FrameChoice
from asgml_core.preparing.media import (
    Audio,
    Choice,
    Video,
    fit_pictures,
    read_audio,
    read_pictures,
    read_video,
)
from asgml_core.preparing.plan import Decoded, Item, ItemError
from asgml_core.preparing.spectrograms import LogSpectrogram

#: A film and its sound that differ in length by more than this, in seconds, and a frame, are worth
#: a note.
MISMATCH = 0.5


def parse_size(size: str) -> tuple[int, int]:
    """Return height and width of a text such as ``"360x480"``.

    Raises:
        ValueError: when it is not of this form, or below 8 or above 4096 pixels.
    """
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", str(size))
    if match is None or not all(8 <= int(n) <= 4096 for n in match.groups()):
        raise ValueError(f"size is {size!r}, but must be height x width in pixels, as '360x480'.")
    return int(match[1]), int(match[2])


@dataclass(frozen=True)
class ClipDecoder:
    """Decodes items with a file ``"video"`` and a file ``"audio"`` (which may be the same).

    Args:
        choice: which frames are kept.
        size: their height and width in pixels.
        spectrogram: how sound becomes a spectrogram.
        rate: the rate the sounds should have in Hz, in one channel; others are used all the same,
            with a note. ``None`` notes neither.
        seconds: the length that clips should have; one that is shorter by more than ``MISMATCH`` is
            used all the same, with a note. ``None`` notes nothing.
    """

    choice: FrameChoice
    size: tuple[int, int]
    spectrogram: LogSpectrogram = field(default_factory=LogSpectrogram)
    rate: int | None = None
    seconds: float | None = None

    def arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return type and item shape of what comes out, by name."""
        return {
            "visual": ("uint8", (self.choice.frames, *self.size, 3)),
            "audio": ("float32", self.spectrogram.shape),
        }

    def parameters(self) -> dict[str, Any]:
        """Return what a manifest should say of the settings."""
        return {
            "frames": self.choice.parameters(),
            "size": list(self.size),
            "spectrogram": self.spectrogram.parameters(),
        }

    def __call__(self, items: Sequence[Item]) -> list[Decoded | ItemError]:
        """Return what became of each item; the spectrograms of all are computed together."""
        read = [self._read(item) for item in items]
        good = [one for one in read if not isinstance(one, ItemError)]
        spectra = iter(self.spectrogram([waveform for _, _, waveform in good]) if good else ())
        return [
            one if isinstance(one, ItemError) else self._decoded(*one[:2], next(spectra))
            for one in read
        ]

    def _read(self, item: Item) -> tuple[Video, Audio, np.ndarray] | ItemError:
        try:
            video, audio = self._video(item), read_audio(item.files["audio"])
            return video, audio, self.spectrogram.waveform(self._heard(item, audio))
        except ItemError as error:
            return error

    def _video(self, item: Item) -> Video:
        path, choose = item.files["video"], self._seen(item)
        if path.is_dir():
            extracted = re.fullmatch(r"Image-0*([1-9]\d*)-FPS", path.parent.name)
            rate = int(extracted[1]) if extracted else self.choice.fps or 1
            return read_pictures(path, choose, rate)
        return read_video(path, choose)

    def _seen(self, item: Item) -> Choice:
        """Return which frames of an item are kept; a dataset may consider a part of its clips."""
        return partial(self.choice.indices, item.id)

    def _heard(self, item: Item, audio: Audio) -> Audio:
        """Return the sound of an item that becomes its spectrogram."""
        return audio

    def _decoded(self, video: Video, audio: Audio, spectrum: np.ndarray) -> Decoded:
        height, width = video.pictures.shape[1:3]
        facts: dict[str, Any] = {
            "frames": video.frames,
            "fps": round(video.rate, 3),
            "height": height,
            "width": width,
            "seconds": round(audio.seconds, 4),
            "rate": audio.rate,
            "channels": len(audio.samples),
        }
        return Decoded(
            {"visual": fit_pictures(video.pictures, self.size), "audio": spectrum},
            facts,
            # one file may have given both, and then both say the same of it
            tuple(dict.fromkeys((*video.notes, *audio.notes, *self._notes(video, audio)))),
        )

    def _notes(self, video: Video, audio: Audio) -> list[str]:
        notes = []
        if self.rate is not None and audio.rate != self.rate:
            notes.append(f"its sound has {audio.rate} samples a second, not {self.rate}.")
        if self.rate is not None and len(audio.samples) > 1:
            notes.append(f"its sound has {len(audio.samples)} channels; their mean is used.")
        filmed = video.frames / video.rate
        apart = abs(filmed - audio.seconds)
        if self.choice.fps is None and apart > MISMATCH + 1 / video.rate:
            notes.append(f"its film lasts {filmed:.2f} s, its sound {audio.seconds:.2f} s.")
        shorter = min(filmed, audio.seconds)
        if self.seconds is not None and shorter < self.seconds - MISMATCH:
            notes.append(f"it lasts {shorter:.2f} s, not {self.seconds:g}.")
        if not audio.samples.any():
            notes.append("its sound is silent: every sample is 0.")
        return notes
