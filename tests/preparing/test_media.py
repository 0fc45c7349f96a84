"""Reading media files: what is in them comes out, and every bad one is a sentence and no data."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import KINDS, cut, encoded, film, naive_frames, no_media, pictures, sound, wav
from PIL import Image

from asgml_core.preparing import media
from asgml_core.preparing.media import (
    TOLERANCE,
    Audio,
    Video,
    read_audio,
    read_pictures,
    read_video,
)
from asgml_core.preparing.plan import ItemError

FILMS = (".flv", ".mpg", ".mp4", ".avi", ".mkv")


def every(count: int, rate: float) -> range:
    return range(count)


def first(count: int, rate: float) -> list[int]:
    return [0]


def read_frames(path: Path) -> Video:
    return read_video(path, every)


def attempt(reader: Callable[[Path], Audio | Video], path: Path) -> Audio | Video | str:
    """Return what is read, or the message of the error."""
    try:
        return reader(path)
    except ItemError as error:
        return str(error)


def fails(path: Path, message: str = ".", *, reader: Callable[[Path], object] = read_audio) -> str:
    """Check that reading a file is one sentence that begins with its name."""
    with pytest.raises(ItemError, match=message) as caught:
        reader(path)
    said = str(caught.value)
    assert said.startswith(path.name), said
    assert said.endswith("."), said
    assert "\n" not in said
    assert len(said) < 200
    return said


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give one second of every kind of file, by name."""
    folder = tmp_path_factory.mktemp("files")
    made = {}
    for kind in FILMS:
        made[f"film{kind}"] = film(folder / f"film{kind}", samples=sound(1, 44100))
        made[f"mute{kind}"] = film(folder / f"mute{kind}")
    for kind in (".mp3", ".flac"):
        made[f"sound{kind}"] = encoded(folder / f"sound{kind}", sound(1, 44100), 44100)
    made["sound.wav"] = wav(folder / "sound.wav", sound(1))
    made["stereo.wav"] = wav(folder / "stereo.wav", sound(1, 48000, 2), 48000, "f32")
    return made


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


# ------------------------------------------------------------------------- folders of pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of five PNG pictures, written in another order than that of their names."""
    made = tmp_path / "1001_DFA_ANG_XX"
    made.mkdir()
    for number in (3, 0, 4, 1, 2):
        Image.fromarray(pictures(5)[number]).save(made / f"{number:05}.png")
    (made / "notes.txt").write_text("no picture")
    return made


def read_folder(folder: Path) -> Video:
    return read_pictures(folder, every, 2)


def test_pictures_are_in_the_order_of_their_names(folder: Path) -> None:
    found = read_folder(folder)
    assert (found.frames, found.rate, found.notes) == (5, 2, ())
    assert np.array_equal(found.pictures, pictures(5))
    chosen = read_pictures(folder, lambda count, rate: [1, count - 1], 2)
    assert np.array_equal(chosen.pictures, pictures(5)[[1, 4]])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    name = folder / ("0.jpg" if mode == "CMYK" else "0.png")
    Image.fromarray(pictures(1)[0]).convert(mode).save(name)
    assert read_folder(folder).pictures.shape == (1, 48, 64, 3)


def test_a_jpeg_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    name = folder / "0.jpg"
    Image.fromarray(pictures(1)[0]).save(name, quality=90)
    whole, content = read_folder(folder).pictures, name.read_bytes()
    refused = 0
    for size in range(0, len(content), 7):
        name.write_bytes(content[:size])
        found = attempt(read_folder, folder)
        if isinstance(found, str):
            assert found.startswith("clip/0.jpg is no readable picture")
            refused += 1
        else:
            assert np.array_equal(found.pictures, whole)
    assert refused > len(content) // 7 - 5


@settings(max_examples=120)
@given(
    where=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=9),
    kind=st.sampled_from(["png", "jpg"]),
)
def test_a_damaged_picture_is_an_item_s_error_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, where: list[tuple[float, int]], kind: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    name = folder / f"0.{kind}"
    Image.fromarray(pictures(1)[0]).save(name)
    content = bytearray(name.read_bytes())
    for share, value in where:
        content[int(share * len(content))] = value
    name.write_bytes(content)
    found = attempt(read_folder, folder)
    if isinstance(found, str):
        assert found.startswith(f"damaged/0.{kind} is no readable picture")
    else:
        assert found.pictures.shape[0] == 1


def huge_png(side: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(
            ">I", zlib.crc32(kind + content))  # fmt: skip

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99)))


def test_bad_folders_and_pictures(folder: Path, tmp_path: Path) -> None:
    assert fails(tmp_path / "gone", reader=read_folder) == (
        "gone could not be read (No such file or directory)."
    )
    (tmp_path / "empty").mkdir()
    assert fails(tmp_path / "empty", reader=read_folder) == "empty has no .jpg or .png pictures."
    (folder / "00002.png").write_bytes(b"no picture")
    fails(folder, "00002.png is no readable picture", reader=read_folder)
    Image.fromarray(pictures(1)[0]).save(folder / "00002.png", "GIF")
    fails(folder, "00002.png is no readable picture", reader=read_folder)
    (folder / "00002.png").write_bytes(huge_png(60_000))
    fails(folder, "00002.png is no readable picture", reader=read_folder)
    Image.fromarray(pictures(1, (24, 32))[0]).save(folder / "00002.png")
    fails(
        folder, r"00002.png is \(24, 32\) pixels.*first picture is \(48, 64\)", reader=read_folder
    )
    (folder / "00002.png").unlink()
    (folder / "00002.png").mkdir()
    fails(folder, "00002.png is no readable picture", reader=read_folder)


def test_pictures_are_fitted_as_pillow_does_it() -> None:
    made = pictures(3)
    assert media.fit_pictures(made, (48, 64)) is made
    found = media.fit_pictures(made, (24, 40))
    assert found.shape == (3, 24, 40, 3)
    expected = Image.fromarray(made[2]).resize((40, 24), Image.Resampling.BILINEAR)
    assert np.array_equal(found[2], np.asarray(expected))


def test_a_cut_helper_cuts(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abcdef")
    assert cut(tmp_path / "x", 2).read_bytes() == b"ab"
