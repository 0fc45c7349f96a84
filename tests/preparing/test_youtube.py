"""Clips as YouTube and FFmpeg leave them: whole though they look cut, and cut though they open."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from media_files import film, naive_frames, sound

from asgml_core.preparing.frames import FrameChoice
from asgml_core.preparing.media import read_audio, read_video
from asgml_core.preparing.plan import ItemError


def ends(count: int, rate: float) -> list[int]:
    return [0, count // 2, count - 1]


@pytest.mark.parametrize(
    ("name", "frames", "seconds"),
    [
        ("mp4", 100, 10.0),
        ("mkv", 100, 10.0),
        ("webm", 100, 10.0),
        ("index in front", 100, 10.0),
        ("short", 70, 7.0),
        ("longer sound", 90, 10.0),
        ("longer sound, mkv", 90, 10.0),
    ],
)
def test_whole_clips_are_read_whole(
    clips: dict[str, Path], name: str, frames: int, seconds: float
) -> None:
    video, audio = read_video(clips[name], ends), read_audio(clips[name])
    assert (video.frames, video.rate, video.notes) == (frames, 10, ())
    assert audio.seconds == pytest.approx(seconds, abs=0.1)
    assert audio.samples.shape[0] == 2
    assert np.array_equal(video.pictures, naive_frames(clips[name])[ends(frames, 10)])


def test_a_film_may_be_longer_than_its_sound_in_every_container(tmp_path: Path) -> None:
    for like, rate in (("youtube.mp4", 44100), ("youtube.mkv", 44100), (".webm", 48000)):
        path = tmp_path / f"film{Path(like).suffix}"
        film(path, 30, fps=10, samples=sound(2, rate, 2), rate=rate, like=like)
        assert read_video(path, ends).frames == 30
        assert read_audio(path).seconds == pytest.approx(2, abs=0.1)


def test_what_an_edit_list_hides_is_not_counted(clips: dict[str, Path]) -> None:
    """As ``ffmpeg -ss 2.3 -c copy`` leaves it: the key frame before it is there, but not shown."""
    video = read_video(clips["edited"], ends)
    with av.open(str(clips["edited"])) as container:
        stored = sum(bool(packet.size) for packet in container.demux(video=0))
    assert stored == 100
    assert video.frames == 77
    assert np.array_equal(video.pictures, naive_frames(clips["edited"])[ends(77, 10)])
    assert np.abs(video.pictures[0] - naive_frames(clips["mp4"])[23].astype(int)).max() < 3
    assert read_audio(clips["edited"]).seconds == pytest.approx(7.7, abs=0.1)


def test_a_last_frame_that_stands_for_long_does_not_look_cut(tmp_path: Path) -> None:
    path = tmp_path / "slides.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        times = [*range(0, 50, 5), 95]
        for number, picture in zip(times, film_pictures(len(times)), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        for packet in stream.encode(None):
            packet.duration = 40 if packet.pts == 95 else packet.duration
            out.mux(packet)
    assert read_video(path, ends).frames == len(times)


def film_pictures(count: int) -> np.ndarray:
    return np.stack([np.full((48, 64, 3), 20 * i, np.uint8) for i in range(count)])


@pytest.mark.parametrize(
    ("name", "video", "audio"),
    [
        ("cut, index lost", r"whole_cut\.mp4 is damaged", r"whole_cut\.mp4 is damaged"),
        ("cut, index in front", r"front_cut\.mp4 is cut short: it ends after", "is damaged"),
        ("cut, mkv", r"whole_cut\.mkv is cut short: it ends after .* of 10\.", "cut short"),
        ("no sound", None, r"deaf\.mp4 has no sound"),
        ("no pictures", r"blind\.mp4 has no pictures", None),
        ("empty", r"empty\.mp4 is empty: 0 bytes", "is empty"),
    ],
)
def test_bad_clips_are_named(
    clips: dict[str, Path], name: str, video: str | None, audio: str | None
) -> None:
    for message, read in (
        (video, lambda: read_video(clips[name], ends)),
        (audio, lambda: read_audio(clips[name])),
    ):
        if message is None:
            assert read()
        else:
            with pytest.raises(ItemError, match=message):
                read()


def test_even_frames_are_the_middles_of_equal_shares(clips: dict[str, Path]) -> None:
    choice = FrameChoice(3, "even")
    video = read_video(clips["mp4"], lambda count, rate: choice.indices("clip", count, rate))
    assert np.array_equal(video.pictures, naive_frames(clips["mp4"])[[16, 50, 83]])
