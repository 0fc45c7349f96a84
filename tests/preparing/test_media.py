"""Reading media files: what is in them comes out, and every bad one is a sentence and no data."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from media_checks import FILMS, attempt, every, fails, first, read_frames
from media_files import KINDS, film, naive_frames, no_media, pictures, sound, wav

from asgml_core.preparing import media
from asgml_core.preparing.media import (
    read_audio,
    read_video,
)

# ----------------------------------------------------------------------------------- good files


@pytest.mark.parametrize("kind", FILMS)
def test_frames_are_those_of_plain_decoding(files: dict[str, Path], kind: str) -> None:
    path = files[f"film{kind}"]
    naive = naive_frames(path)
    whole = read_video(path, every)
    assert (whole.frames, whole.rate, whole.notes) == (25, 25.0, ())
    assert whole.pictures.dtype == np.uint8
    assert np.array_equal(whole.pictures, naive)
    for wanted in ([0], [24], [3, 11, 12, 20]):
        assert np.array_equal(read_video(path, lambda *_, w=wanted: w).pictures, naive[wanted])
    # the frames are told from each other, and are what was filmed
    assert np.abs(whole.pictures.astype(int) - pictures(25)).mean() < 4
    assert (np.diff(whole.pictures[..., 0].mean(axis=(1, 2))) > 0.5).all()


def test_the_chooser_is_told_the_frames_and_their_rate(files: dict[str, Path]) -> None:
    told = []
    read_video(files["mute.flv"], lambda *said: told.append(said) or [0])
    assert told == [(25, 25.0)]


def test_no_frame_after_the_last_wanted_one_is_decoded(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, plain = [], media._decoded

    def counted(*arguments: object) -> Iterator[object]:
        for frame in plain(*arguments):
            decoded.append(frame)
            yield frame

    monkeypatch.setattr(media, "_decoded", counted)
    read_video(files["mute.flv"], lambda *_: [2, 4])
    assert len(decoded) == 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_wav_comes_out_as_it_went_in(tmp_path: Path, kind: str, channels: int) -> None:
    samples = sound(0.3, 16000, channels)
    found = read_audio(wav(tmp_path / "x.wav", samples, 16000, kind))
    assert (found.rate, found.samples.dtype, found.notes) == (16000, np.float32, ())
    assert found.seconds == pytest.approx(0.3)
    steps = {"u8": 127, "s16": 32767, "s24": 8388607}.get(kind, 1 << 26)
    np.testing.assert_allclose(found.samples, samples, atol=1.01 / steps)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_every_rate_is_kept(tmp_path: Path, rate: int) -> None:
    found = read_audio(wav(tmp_path / "x.wav", sound(0.2, rate), rate))
    assert found.rate == rate
    assert found.samples.shape == (1, round(0.2 * rate))


def test_loud_float_samples_are_not_cut_here(tmp_path: Path) -> None:
    found = read_audio(wav(tmp_path / "x.wav", 4 * sound(0.1), kind="f32"))
    np.testing.assert_array_equal(found.samples, 4 * sound(0.1))


@pytest.mark.parametrize("kind", FILMS)
def test_the_sound_of_a_film_is_read(files: dict[str, Path], kind: str) -> None:
    found = read_audio(files[f"film{kind}"])
    assert (found.rate, found.notes, len(found.samples)) == (44100, (), 1)
    assert found.seconds == pytest.approx(1.0, abs=0.05)
    heard = np.abs(np.fft.rfft(found.samples[0]))
    loudest = np.fft.rfftfreq(found.samples.shape[1], 1 / 44100)[heard.argmax()]
    assert loudest == pytest.approx(220, abs=2)


@pytest.mark.parametrize("content", [".flv", ".mp4", ".wav", ".mp3"])
@pytest.mark.parametrize("name", ["x.wav", "x.flv", "x.txt", "x", "x.MP4"])
def test_a_wrong_ending_is_used_with_a_note(
    files: dict[str, Path], tmp_path: Path, content: str, name: str
) -> None:
    real = files.get(f"film{content}", files.get(f"sound{content}"))
    path = Path(shutil.copy(real, tmp_path / name))
    found = read_audio(path)
    assert np.array_equal(found.samples, read_audio(real).samples)
    if path.suffix.lower() == content:
        assert found.notes == ()
    else:
        (note,) = found.notes
        word = {".mp4": "mov"}.get(content, content[1:])
        assert note == f"{name} is a {word} file by its content, in spite of its name."


def test_texts_in_a_file_may_be_in_any_encoding(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", sound(0.1))
    body = path.read_bytes()[12:]
    title = b"LIST" + struct.pack("<I", 16) + b"INFOINAM" + struct.pack("<I", 4) + b"caf\xe9"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(title + body)) + b"WAVE" + title + body)
    assert read_audio(path).samples.shape == (1, 1600)


def test_a_stream_that_begins_late_does_not_disturb(tmp_path: Path) -> None:
    """MPEG program streams announce nothing: a sound may begin after the file was opened."""
    early = film(tmp_path / "early.mpg", 150, samples=None)
    late = film(tmp_path / "late.mpg", 25, samples=sound(1, 44100))
    both = tmp_path / "both.mpg"
    for _ in range(5):  # what PyAV does there depends on what lies in memory
        both.write_bytes(early.read_bytes() * 40 + late.read_bytes())
        assert np.array_equal(read_video(both, first).pictures, naive_frames(early)[:1])


# ------------------------------------------------------------------------------------ bad files


@pytest.mark.parametrize("name", ["bad.flv", "bad.m3u8", "bad.wav", "bad.mp4"])
def test_what_is_no_media_file_is_refused_and_nothing_is_followed(
    tmp_path: Path, name: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        for _, content in no_media(tmp_path, f"http://127.0.0.1:{port}/real.flv"):
            path = tmp_path / name
            path.write_bytes(content)
            known = "is damaged, or no media file of a known kind|is a pointer of git-lfs"
            fails(path, known)
            fails(path, known, reader=lambda p: read_video(p, first))
        with pytest.raises(BlockingIOError):  # nobody called
            server.accept()


def test_missing_empty_and_unreadable_files_and_folders(tmp_path: Path) -> None:
    assert fails(tmp_path / "gone.wav") == (
        "gone.wav could not be read (No such file or directory)."
    )
    (tmp_path / "empty.wav").touch()
    assert fails(tmp_path / "empty.wav") == "empty.wav is empty: 0 bytes."
    (tmp_path / "folder.wav").mkdir()
    assert fails(tmp_path / "folder.wav") == "folder.wav could not be read (Is a directory)."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", sound(0.1))
    path.chmod(0)
    fails(path, "Permission denied")


@pytest.mark.parametrize("kind", FILMS)
def test_a_film_without_sound_and_a_sound_without_pictures(
    files: dict[str, Path], kind: str
) -> None:
    fails(files[f"mute{kind}"], "has no sound")
    for name in ("sound.wav", "sound.mp3", "sound.flac"):
        fails(files[name], "has no pictures", reader=lambda p: read_video(p, first))


def test_a_header_without_samples(tmp_path: Path) -> None:
    fails(wav(tmp_path / "x.wav", np.zeros((1, 0), np.float32)), "has no sound: 0 samples")


def test_a_picture_of_the_cover_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "x.mp3"
    with av.open(str(path), "w", format="mp3") as out:
        voice = out.add_stream("libmp3lame", rate=44100, layout="mono")
        cover = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(pictures(1, (16, 16))[0], format="rgb24")
        out.mux(cover.encode(picture))
        out.mux(cover.encode(None))
        heard = av.AudioFrame.from_ndarray(sound(1, 44100), format="fltp", layout="mono")
        heard.sample_rate, heard.pts = 44100, 0
        to_coder = av.AudioResampler(voice.format, voice.layout, 44100, voice.frame_size)
        for piece in (*to_coder.resample(heard), *to_coder.resample(None)):
            out.mux(voice.encode(piece))
        out.mux(voice.encode(None))
    fails(path, "has no pictures", reader=lambda p: read_video(p, first))
    assert read_audio(path).seconds == pytest.approx(1, abs=0.05)


def joined(path: Path, *parts: Path) -> Path:
    """Put MPEG program streams one after the other, which is one again."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize(("channels", "rate"), [(2, 44100), (1, 48000)])
def test_a_sound_that_changes_on_the_way(tmp_path: Path, channels: int, rate: int) -> None:
    one = film(tmp_path / "1.mpg", samples=sound(1, 44100))
    other = film(tmp_path / "2.mpg", samples=sound(1, rate, channels), rate=rate)
    fails(joined(tmp_path / "x.mpg", one, other), "its sound changes its rate or channels on the")


def test_pictures_that_change_their_size_on_the_way(tmp_path: Path) -> None:
    small, large = (
        film(tmp_path / f"{size[0]}.mpg", pictures(25, size)) for size in ((48, 64), (96, 128))
    )
    path = joined(tmp_path / "x.mpg", small, large)
    fails(path, "change their size on the", reader=lambda p: read_video(p, lambda *_: [3, 40]))
    assert np.array_equal(read_video(path, first).pictures, naive_frames(small)[:1])


def test_huge_pictures_are_not_begun(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "MOST_PIXELS", 48 * 64 - 1)
    fails(files["mute.flv"], "above 3071 pixels are not", reader=lambda p: read_video(p, first))


@pytest.mark.parametrize("side", [20_000, 65_535, 0])
def test_a_header_with_a_size_that_is_not_the_pictures(
    files: dict[str, Path], tmp_path: Path, side: int
) -> None:
    for name in ("mute.avi", "mute.mp4"):
        content = files[name].read_bytes()
        for old in (struct.pack("<II", 64, 48), struct.pack(">HH", 64, 48)):
            new = (
                struct.pack("<II", side, side) if len(old) == 8 else struct.pack(">HH", side, side)
            )
            content = content.replace(old, new)
        assert content != files[name].read_bytes()
        path = tmp_path / name
        path.write_bytes(content)
        found = attempt(read_frames, path)
        if not isinstance(found, str):
            assert np.array_equal(found.pictures, naive_frames(files[name]))


def test_a_frame_that_is_not_there(files: dict[str, Path]) -> None:
    fails(
        files["mute.flv"],
        r"25 frames are listed, but frame 25 \(from 0\) could not be decoded",
        reader=lambda p: read_video(p, lambda *_: [25]),
    )
