"""Log-mel spectrograms of GRID against librosa's, against tones, and at their borders."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from asgml_core.preparing.grid_sound import FLOOR, RATE, log_mel, mel_filters, to_16k_mono
from asgml_core.preparing.media import Audio
from asgml_core.preparing.plan import ItemError


def noise(n: int, seed: int = 0, level: float = 3000.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(n) * level).round().astype(np.int16)


def tone(hertz: float, level: float, seconds: float = 0.5, rate: int = RATE) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_the_filters_are_librosas() -> None:
    theirs = librosa.filters.mel(
        sr=16000, n_fft=512, n_mels=64, fmin=50, fmax=8000, htk=True, norm=None
    )
    assert mel_filters().shape == (64, 257)
    np.testing.assert_allclose(mel_filters(), theirs, atol=1e-6)


@pytest.mark.parametrize("n", [47648, 16000, 801, 640])
def test_a_spectrogram_is_librosas(n: int) -> None:
    samples = noise(n, seed=n) * np.hanning(n + 2)[1:-1]  # from loud to near silence
    samples = samples.astype(np.int16)
    spectrum = librosa.stft(
        samples / 32768, n_fft=512, hop_length=160, win_length=400, window=np.hanning(400),
        center=True, pad_mode="constant",
    )  # fmt: skip
    filters = librosa.filters.mel(
        sr=16000, n_fft=512, n_mels=64, fmin=50, fmax=8000, htk=True, norm=None, dtype=np.float64
    )
    decibels = librosa.power_to_db(
        filters @ np.abs(spectrum) ** 2, ref=1.0, amin=1e-12, top_db=None
    )
    theirs = np.floor(np.clip((decibels + 80) / 80, 0, 1) * 255)
    ours = log_mel(samples)
    assert ours.dtype == np.uint8
    assert ours.shape == (64, n // 160 + 1) == theirs.shape
    apart = np.abs(ours - theirs)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


@pytest.mark.parametrize("n", [1, 159, 160, 400, 512])
def test_a_short_sound_has_a_step_every_10_ms_too(n: int) -> None:
    assert log_mel(noise(n)).shape == (64, n // 160 + 1)


@pytest.mark.parametrize("hertz", [100.0, 440.0, 1000.0, 3150.0, 7000.0])
def test_a_tone_is_in_its_band(hertz: float) -> None:
    spectrum = log_mel((tone(hertz, 3000)).round().astype(np.int16))[:, 10:-10]
    bins = np.arange(257) * RATE / 512
    centres = bins[mel_filters().argmax(axis=1)]
    loudest = spectrum.mean(axis=1).argmax()
    assert abs(centres[loudest] - hertz) <= max(40, 0.06 * hertz)


def test_a_tenth_of_a_sound_is_20_decibels_less() -> None:
    loud, quiet = (log_mel(noise(16000, level=level)).astype(int) for level in (600.0, 60.0))
    inside = (loud < 255) & (quiet > 0)
    assert inside.mean() > 0.99
    assert np.mean(loud[inside] - quiet[inside]) == pytest.approx(20 / 80 * 255, abs=0.5)


def test_silence_is_0_and_a_loud_tone_is_255() -> None:
    assert not log_mel(np.zeros(1600, np.int16)).any()
    assert log_mel(tone(1000, 32000).astype(np.int16)).max() == 255
    assert FLOOR == -80


def test_a_click_is_at_its_time() -> None:
    for at in (0, 160 * 7, 160 * 30 + 40, 15999):
        samples = np.zeros(16000, np.int16)
        samples[at] = 30000
        columns = np.flatnonzero(log_mel(samples).any(axis=0))
        assert set(columns) <= set(range(at // 160 - 1, at // 160 + 3))
        assert abs(columns.mean() - at / 160) <= 1


def test_a_sound_at_16_khz_and_one_channel_stays_what_it_is() -> None:
    samples = noise(5000)
    audio = Audio((samples / 32768).astype(np.float32)[None], RATE)
    np.testing.assert_array_equal(to_16k_mono("clip", audio), samples)


def test_two_channels_become_their_mean() -> None:
    left, right = noise(8000, 1), noise(8000, 2)
    audio = Audio((np.stack([left, right]) / 32768).astype(np.float32), RATE)
    mixed = to_16k_mono("clip", audio)
    assert np.abs(mixed - (left.astype(int) + right) / 2).max() <= 1


@pytest.mark.parametrize("rate", [8000, 22050, 25000, 44100, 48000])
def test_another_rate_is_resampled(rate: int) -> None:
    wave = tone(440, 0.3, 1.0, rate).astype(np.float32)
    samples = to_16k_mono("clip", Audio(np.stack([wave, wave]), rate))
    assert abs(len(samples) - RATE) <= 1  # nothing stays behind in the resampler
    middle = slice(2000, 14000)
    expected = tone(440, 0.3 * 32768, 1.0)[: len(samples)]
    assert np.corrcoef(samples[: len(expected)][middle], expected[middle])[0, 1] > 0.999
    assert samples[middle].std() == pytest.approx(expected[middle].std(), rel=0.01)


def test_too_loud_samples_are_cut_off_and_do_not_wrap() -> None:
    audio = Audio(np.array([[1.5, -1.5, 0.0]], np.float32), RATE)
    np.testing.assert_array_equal(to_16k_mono("clip", audio), [32767, -32768, 0])


def test_six_channels_are_refused() -> None:
    with pytest.raises(ItemError, match=r"a\.mpg: its sound has 6 channels; 1 or 2 were expected"):
        to_16k_mono("a.mpg", Audio(np.zeros((6, 100), np.float32), RATE))
