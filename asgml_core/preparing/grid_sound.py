"""The log-mel spectrogram of a clip of GRID.

The recipe is that of the prepared file of speaker s1, found by trying candidates against its rows:
with PyAV 18.1 (FFmpeg 8) all its 3000 spectrograms come out equal to the byte.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from asgml_core.preparing.media import Audio
from asgml_core.preparing.plan import ItemError

#: Samples per second, and in samples the window, the step and the transform.
RATE, WINDOW, HOP, N_FFT = 16_000, 400, 160, 512
#: Bands, and the frequencies in Hz where the first begins and the last ends.
MELS, LOW, HIGH = 64, 50.0, 8000.0
#: Decibels that become 0; 0 dB becomes 255.
FLOOR = -80.0


def to_16k_mono(clip: str, audio: Audio) -> np.ndarray:
    """Return a sound as FFmpeg gives it at 16 kHz, one channel and 16 bits: ``(n,)`` int16.

    Args:
        clip: its name, for messages.
        audio: what was read.

    Raises:
        ItemError: when it has more than two channels.
    """
    import av

    whole = np.rint(audio.samples * 32768).clip(-32768, 32767).astype(np.int16)
    layout = {1: "mono", 2: "stereo"}.get(len(whole))
    if layout is None:
        raise ItemError(f"{clip}: its sound has {len(whole)} channels; 1 or 2 were expected.")
    frame = av.AudioFrame.from_ndarray(whole, format="s16p", layout=layout)
    frame.sample_rate = audio.rate
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrogram of a sound, ``(64, n // 160 + 1)`` uint8.

    Step ``t`` is centred on ``t * 10`` ms. The power of a band in decibels, of samples from -1 to
    1, becomes 0 to 255 for -80 to 0, rounded down; what is outside is cut off.

    Args:
        samples: ``(n,)`` int16 at 16 kHz.
    """
    padded = np.pad(samples / 32768, WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(WINDOW), N_FFT)) ** 2
    decibels = 10 * np.log10(np.maximum(mel_filters() @ power.T, 1e-12))
    return (np.clip((decibels - FLOOR) / -FLOOR, 0, 1) * 255).astype(np.uint8)


@cache
def mel_filters() -> np.ndarray:
    """Return triangles of height 1, evenly spaced in mels (HTK's formula), ``(64, 257)``."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (LOW, HIGH))
    edges = 700 * (10 ** (np.linspace(low, high, MELS + 2) / 2595) - 1)
    below, centre, above = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hertz = np.arange(N_FFT // 2 + 1) * RATE / N_FFT
    rising, falling = (hertz - below) / (centre - below), (above - hertz) / (above - centre)
    return np.maximum(0, np.minimum(rising, falling))
