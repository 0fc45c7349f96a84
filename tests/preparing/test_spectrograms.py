"""Log spectrograms, against librosa's and against the definition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import sound, wav

from asgml_core.preparing.media import Audio, read_audio
from asgml_core.preparing.spectrograms import LogSpectrogram, resample, stft, to_mono

SPECTROGRAM = LogSpectrogram()


def librosas(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return waveform and log spectrogram as OGM-GE's code and the study compute them."""
    librosa = pytest.importorskip("librosa")
    samples, _ = librosa.load(path, sr=22050)
    samples = np.tile(samples, 3)[: 22050 * 3]
    samples[samples > 1.0] = 1.0
    samples[samples < -1.0] = -1.0
    magnitude = np.abs(librosa.stft(samples, n_fft=512, hop_length=353))
    return samples, np.log(magnitude + 1e-7)


def ours(path: Path) -> tuple[np.ndarray, np.ndarray]:
    waveform = SPECTROGRAM.waveform(read_audio(path))
    return waveform, SPECTROGRAM([waveform])[0, 0]


def assert_librosas(path: Path, atol: float = 1e-4) -> None:
    expected, found = librosas(path), ours(path)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)
    assert found[1].shape == expected[1].shape == (257, 188)
    assert found[1].dtype == np.float32
    np.testing.assert_allclose(found[1], expected[1], atol=atol)


def test_every_real_wav_is_librosas(shared: Callable[[str], Path]) -> None:
    files = sorted(shared("data/cremad_sample/AudioWAV").glob("*.wav"))
    assert len(files) == 12
    for path in files:
        assert_librosas(path)


def test_every_real_mp3_is_librosas(shared: Callable[[str], Path]) -> None:
    """Decoders differ in the last digits, which the logarithm shows where it is almost silent.

    So waveforms are compared, and spectra where the reference is above -11.5 (1e-5 of full scale).
    """
    files = sorted(shared("data/cremad_sample/AudioMP3").glob("*.mp3"))
    assert len(files) == 6
    for path in files:
        expected, found = librosas(path), ours(path)
        np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
        heard = expected[1] > -11.5
        assert heard.mean() > 0.5
        assert np.abs(found[1] - expected[1])[heard].max() < 0.5
        assert np.abs(np.exp(found[1]) - np.exp(expected[1])).max() < 1e-3


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_rate_and_number_of_channels_is_librosas(
    tmp_path: Path, rate: int, channels: int
) -> None:
    assert_librosas(wav(tmp_path / "x.wav", sound(1.1, rate, channels), rate))


@pytest.mark.parametrize("kind", ["u8", "s24", "s32", "f32", "f64"])
def test_every_kind_of_samples_is_librosas(tmp_path: Path, kind: str) -> None:
    assert_librosas(wav(tmp_path / "x.wav", sound(1.1), kind=kind))


def test_samples_above_full_scale_are_cut_after_resampling(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", 6 * sound(1.1), kind="f32")
    waveform, _ = ours(path)
    assert (waveform.min(), waveform.max()) == (-1, 1)
    assert_librosas(path)


def test_silence_is_the_logarithm_of_1e_7(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", np.zeros((1, 16000), np.float32))
    assert_librosas(path)
    assert np.allclose(ours(path)[1], np.log(1e-7))


@pytest.mark.parametrize("seconds", [1.0, 2.0, 2.9999, 3.0, 3.0001, 10.0])
def test_sounds_are_repeated_and_cut(seconds: float) -> None:
    samples = sound(seconds, 22050)
    waveform = SPECTROGRAM.waveform(Audio(samples, 22050))
    assert waveform.shape == (66150,)
    expected = np.concatenate([samples[0]] * 4)[:66150]
    np.testing.assert_array_equal(waveform, expected)


@pytest.mark.parametrize("samples", [1, 2, 255, 22049])
def test_a_short_sound_fills_the_time(samples: int) -> None:
    """OGM-GE's code repeats three times, which is too few below a second; here it is enough."""
    waveform = SPECTROGRAM.waveform(Audio(sound(1, 22050)[:, :samples], 22050))
    assert waveform.shape == (66150,)
    np.testing.assert_array_equal(waveform[samples:], waveform[:-samples])
    assert SPECTROGRAM([waveform]).shape == (1, 1, 257, 188)


def test_the_batch_does_not_matter() -> None:
    waveforms = [
        SPECTROGRAM.waveform(Audio(sound(1, 16000, seed=seed), 16000)) for seed in range(5)
    ]
    together = SPECTROGRAM(waveforms)
    assert together.shape == (5, *SPECTROGRAM.shape) == (5, 1, 257, 188)
    for one, waveform in zip(together, waveforms, strict=True):
        np.testing.assert_array_equal(SPECTROGRAM([waveform])[0], one)


def test_it_is_the_definition() -> None:
    waveform = SPECTROGRAM.waveform(Audio(sound(3, 22050), 22050)).astype(np.float64)
    padded = np.pad(waveform, 256)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    found = SPECTROGRAM([waveform.astype(np.float32)])[0, 0]
    for column in (0, 1, 77, 187):
        piece = padded[353 * column : 353 * column + 512] * window
        expected = np.log(np.abs(np.fft.rfft(piece)) + 1e-7)
        np.testing.assert_allclose(found[:, column], expected, atol=1e-5)


def test_other_settings() -> None:
    other = LogSpectrogram(rate=16000, seconds=1.5, n_fft=256, hop=128)
    assert other.length == 24000
    assert other.shape == (1, 129, 188)
    assert other([other.waveform(Audio(sound(1), 16000))]).shape == (1, *other.shape)
    assert other.parameters() == {"rate": 16000, "seconds": 1.5, "n_fft": 256, "hop": 128}
    assert SPECTROGRAM.parameters() == {"rate": 22050, "seconds": 3.0, "n_fft": 512, "hop": 353}


@pytest.mark.parametrize(
    "options",
    [{"rate": 999}, {"rate": 22050.5}, {"seconds": 0}, {"seconds": 601}, {"n_fft": 8}, {"hop": 0},
     {"hop": 513}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        LogSpectrogram(**options)


def test_the_parts_by_themselves() -> None:
    two = sound(0.1, 16000, 2)
    np.testing.assert_allclose(to_mono(two), (two[0] + two[1]) / 2, atol=1e-7)
    mono = two[0]
    assert resample(mono, 16000, 16000) is mono
    for n in (1, 2, 3, 100, 1599):
        assert resample(mono[:n], 16000, 22050).shape == (-(-n * 22050 // 16000),)
    assert stft(torch.zeros(2, 1000), 512, 353).shape == (2, 257, 3)
    assert stft(torch.zeros(2, 1000), 512, 353).dtype == torch.complex128
