"""Log spectrograms as the study computes them, in batches with torch.

A sound is mixed to mono, resampled with soxr (as librosa does), repeated until it is long enough,
cut, clipped to [-1, 1], and becomes ``log(|STFT| + 1e-7)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asgml_core.checks import check_count, check_number
from asgml_core.preparing.media import Audio

EPSILON = 1e-7


@dataclass(frozen=True)
class LogSpectrogram:
    """The settings of a log spectrogram; the defaults are the study's, and OGM-GE's for CREMA-D.

    Equal to ``np.log(np.abs(librosa.stft(y, n_fft=512, hop_length=353)) + 1e-7)`` of librosa 0.11
    to 1e-4: the window is a periodic Hann, frames are centred, the borders are padded with zeros
    (librosa before 0.9 mirrored the sound there).

    Args:
        rate: samples per second, in Hz.
        seconds: length after repeating and cutting.
        n_fft: window and transform length, in samples.
        hop: step between windows, in samples.

    Raises:
        ValueError: for a value outside its range.
    """

    rate: int = 22050
    seconds: float = 3.0
    n_fft: int = 512
    hop: int = 353

    def __post_init__(self) -> None:
        check_count("rate", self.rate, low=1000, high=192_000)
        check_number("seconds", self.seconds, above=0.0, high=600.0)
        check_count("n_fft", self.n_fft, low=16, high=1 << 16)
        check_count("hop", self.hop, high=self.n_fft)

    @property
    def length(self) -> int:
        """Samples after repeating and cutting."""
        return round(self.rate * self.seconds)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one spectrogram: 1 channel, frequencies, times."""
        return 1, self.n_fft // 2 + 1, self.length // self.hop + 1

    def parameters(self) -> dict[str, Any]:
        """Return what a manifest should say of the settings."""
        return asdict(self)

    def waveform(self, audio: Audio) -> np.ndarray:
        """Return a sound as ``(length,)`` float32: mono, resampled, repeated, cut, clipped."""
        mono = resample(to_mono(audio.samples), audio.rate, self.rate)
        repeats = -(-self.length // len(mono))
        return np.tile(mono, repeats)[: self.length].clip(-1.0, 1.0)

    def __call__(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Return the spectrograms of waveforms, ``(B, *shape)`` float32."""
        spectrum = stft(torch.from_numpy(np.stack(waveforms)), self.n_fft, self.hop)
        return torch.log(spectrum.abs().float() + EPSILON).unsqueeze(1).numpy()


def to_mono(samples: np.ndarray) -> np.ndarray:
    """Return the mean of the channels, ``(n,)``, of ``(channels, n)``."""
    return samples[0] if len(samples) == 1 else samples.mean(axis=0)


def resample(samples: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Return ``(n,)`` samples at another rate, ``ceil(n * to / rate)`` of them.

    Source: ``librosa.resample`` with its default, soxr at high quality.
    """
    if rate == to:
        return samples
    import soxr

    wanted = math.ceil(len(samples) * to / rate)
    out = soxr.resample(samples, rate, to, quality="HQ")[:wanted]
    return np.pad(out, (0, wanted - len(out)))


def stft(waveforms: Tensor, n_fft: int, hop: int) -> Tensor:
    """Return the short-time Fourier transform, ``(B, n_fft // 2 + 1, T)`` complex.

    In double precision, as librosa's: near silence the logarithm shows the last digits.

    Args:
        waveforms: ``(B, n)``.
        n_fft: window and transform length.
        hop: step between windows.
    """
    return torch.stft(
        waveforms.double(),
        n_fft,
        hop,
        window=torch.hann_window(n_fft, dtype=torch.float64),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
