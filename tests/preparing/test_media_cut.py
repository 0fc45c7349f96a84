"""Media files that are cut short or damaged: the beginning of what was there, or a sentence."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_checks import FILMS, attempt, fails, read_frames

from asgml_core.preparing import media
from asgml_core.preparing.media import (
    TOLERANCE,
    Audio,
    Video,
    read_audio,
)

#: Seconds that may be lost unseen: what the container's own length may be off by, and a packet.
LOST = TOLERANCE + 0.1


def cuts(size: int) -> list[int]:
    """Return where a file is cut: evenly, in its first bytes, and between packets of a WAV."""
    evenly = [size * i // 60 for i in range(60)]
    return sorted({*evenly, *range(1, 64, 3), *range(44, size, 4096), *range(size - 12, size)})


SOUNDS = ("sound.mp3", "sound.flac", "sound.wav", "stereo.wav")


@pytest.mark.parametrize(
    ("kind", "reader"),
    [
        *((f"film{kind}", reader) for kind in FILMS for reader in (read_audio, read_frames)),
        *((f"mute{kind}", read_frames) for kind in FILMS),
        *((kind, read_audio) for kind in SOUNDS),
    ],
)
def test_a_file_cut_short_is_never_other_data(
    files: dict[str, Path], tmp_path: Path, kind: str, reader: Callable[[Path], Audio | Video]
) -> None:
    """Wherever a file is cut: an error, or all of it, or all but the last moment.

    MPEG program streams say nowhere how long they are; of those some first frames are given, and
    the number of frames is for the dataset to check (GRID's clips all have 75).
    """
    content, whole = files[kind].read_bytes(), reader(files[kind])
    path = tmp_path / f"cut{files[kind].suffix}"
    refused = 0
    for size in cuts(len(content)):
        path.write_bytes(content[:size])
        found = attempt(reader, path)
        if isinstance(found, str):
            assert found.startswith(path.name)
            refused += 1
        else:
            assert_a_beginning(found, whole, anywhere=kind.endswith(".mpg"))
    assert refused >= 20


def assert_a_beginning(found: Audio | Video, whole: Audio | Video, anywhere: bool) -> None:
    """Check that nothing but the end is lost; what was last decoded may be made up in part."""
    if isinstance(whole, Video):
        lost = (whole.frames - found.frames) / whole.rate
        kept = found.frames - anywhere
        assert np.array_equal(found.pictures[:kept], whole.pictures[:kept])
    else:
        lost = whole.seconds - found.seconds
        kept = found.samples.shape[1] - 1152  # of an MP3 or MP2 packet
        assert np.array_equal(found.samples[:, :kept], whole.samples[:, :kept])
    assert anywhere or found.rate == whole.rate
    assert lost >= 0
    assert anywhere or lost <= LOST


@pytest.mark.parametrize("name", ["sound.wav", "stereo.wav", "sound.flac"])
def test_of_a_wav_or_flac_nothing_is_lost_unseen(
    files: dict[str, Path], tmp_path: Path, name: str
) -> None:
    content = files[name].read_bytes()
    path = tmp_path / name
    for size in range(len(content) - 200, len(content)):
        path.write_bytes(content[:size])
        found = attempt(read_audio, path)
        if not isinstance(found, str):  # the bytes that a header may count too many
            assert len(content) - size <= media.RIFF_TOLERANCE
            assert read_audio(files[name]).samples.shape[1] - found.samples.shape[1] <= 4
    path.write_bytes(content[: len(content) // 2])
    fails(path)


@pytest.mark.parametrize("lacking", [1, 8, 9])
def test_a_few_bytes_at_the_end_of_a_wav_are_no_cut(
    files: dict[str, Path], tmp_path: Path, lacking: int
) -> None:
    """Some programs count the first 8 bytes of a WAV file too, or the one that pads it."""
    content = bytearray(files["sound.wav"].read_bytes())
    content[4:8] = struct.pack("<I", len(content) - 8 + lacking)
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    assert np.array_equal(read_audio(path).samples, read_audio(files["sound.wav"]).samples)
    content[4:8] = struct.pack("<I", len(content) + 2)
    path.write_bytes(content)
    assert fails(path) == "x.wav is cut short: it has 32044 of 32054 bytes."


@pytest.mark.parametrize("length", [0, 0x7FFFF024, 0xFFFFFFFF])
def test_a_wav_of_unknown_length_is_read(
    files: dict[str, Path], tmp_path: Path, length: int
) -> None:
    content = bytearray(files["sound.wav"].read_bytes())
    content[4:8] = struct.pack("<I", length)
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    assert np.array_equal(read_audio(path).samples, read_audio(files["sound.wav"]).samples)


@settings(max_examples=250)
@given(data=st.data())
def test_a_damaged_file_is_an_item_s_error_and_no_other(
    files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = files[data.draw(st.sampled_from(sorted(files)))]
    content = bytearray(path.read_bytes())
    near = data.draw(st.sampled_from([100, 400, len(content)]))
    place = st.integers(0, min(near, len(content)) - 1)
    for where, what in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=20)):
        content[where] = what
    gap = data.draw(place)
    del content[gap : gap + data.draw(st.sampled_from([0, 0, 1, 7, 300]))]
    bad = tmp_path_factory.getbasetemp() / f"damaged{path.suffix}"
    bad.write_bytes(content)
    for reader in (read_audio, read_frames):
        found = attempt(reader, bad)
        assert found.startswith(bad.name) if isinstance(found, str) else found.rate > 0
