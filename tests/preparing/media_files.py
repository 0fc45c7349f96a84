"""Makers of miniature real media files; the tests of every dataset's preparation share them.

``film`` and ``encoded`` encode with PyAV what ``pictures`` and ``sound`` give; ``wav`` writes its
bytes itself. Everything is the same at every call.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

#: By name ending: container, codec of pictures, codec of sound.
CODECS = {
    ".flv": ("flv", "flv", "libmp3lame"),
    ".mpg": ("mpeg", "mpeg1video", "mp2"),
    ".mp4": ("mp4", "mpeg4", "aac"),
    ".avi": ("avi", "mpeg4", "mp2"),
    ".mkv": ("matroska", "mpeg4", "mp2"),
    ".webm": ("webm", "libvpx-vp9", "libopus"),  # opus has 48000 samples a second
    "youtube.mp4": ("mp4", "libx264", "aac"),
    "youtube.mkv": ("matroska", "libx264", "aac"),
    ".mp3": ("mp3", "", "libmp3lame"),
    ".flac": ("flac", "", "flac"),
}


def pictures(count: int, size: tuple[int, int] = (48, 64), seed: int = 0) -> np.ndarray:
    """Return ``(count, height, width, 3)`` uint8: a smooth picture that is lighter every frame."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    waves = 40 * np.sin(2 * np.pi * (x / width + seed / 7)) + 30 * np.cos(2 * np.pi * y / height)
    steps = 100 * np.arange(count)[:, None, None] / max(count - 1, 1)
    grey = np.clip(60 + waves[None] + steps, 0, 255)
    return np.stack([grey, 255 - grey, grey * 0.5 + 20 * (seed % 5)], axis=-1).astype(np.uint8)


def sound(seconds: float, rate: int = 16000, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Return ``(channels, n)`` float32 below 0.5: two tones and some noise."""
    n = round(seconds * rate)
    draw = np.random.default_rng((seed, channels))
    t = np.arange(n) / rate
    tones = 0.2 * np.sin(2 * np.pi * 220 * t) + 0.1 * np.sin(2 * np.pi * 1330 * t + seed)
    noise = draw.uniform(-0.1, 0.1, (channels, n))
    return (tones + noise).astype(np.float32)


def film(
    path: Path,
    frames: np.ndarray | int | None = 25,
    *,
    fps: int = 25,
    samples: np.ndarray | None = None,
    rate: int = 44100,
    like: str = "",
) -> Path:
    """Write a film, a sound or both, and return its path.

    Args:
        path: its name ending decides container and codecs.
        frames: pictures, or how many of :func:`pictures`; ``None`` writes none.
        fps: frames per second; MPEG-1 allows few others than 25.
        samples: ``(channels, n)`` sound; ``None`` writes none.
        rate: samples per second.
        like: another name ending to take container and codecs by.
    """
    container, video_codec, audio_codec = CODECS[like or path.suffix]
    frames = pictures(frames) if isinstance(frames, int) else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container, options={"fflags": "bitexact"}) as out:
        video = audio = None
        if frames is not None:
            video = out.add_stream(video_codec, rate=fps)
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt, video.bit_rate = "yuv420p", 400_000
        if samples is not None:
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
            audio = out.add_stream(audio_codec, rate=rate, layout=layout)
        if video is not None:
            _mux_video(out, video, frames)
        if audio is not None:
            _mux_audio(out, audio, samples, rate)
    return path


def _mux_video(
    out: av.container.OutputContainer, stream: av.VideoStream, frames: np.ndarray
) -> None:
    for number, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, int(stream.codec_context.rate))
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _mux_audio(
    out: av.container.OutputContainer, stream: av.AudioStream, samples: np.ndarray, rate: int
) -> None:
    coder = stream.codec_context
    to_coder = av.AudioResampler(coder.format, coder.layout, rate, coder.frame_size or None)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=coder.layout.name)
    frame.sample_rate, frame.pts = rate, 0
    for given in (frame, None):
        for piece in to_coder.resample(given):
            out.mux(stream.encode(piece))
    out.mux(stream.encode(None))


def encoded(path: Path, samples: np.ndarray, rate: int, like: str = "") -> Path:
    """Write a compressed sound (``.mp3``, ``.flac``, ...) and return its path."""
    return film(path, None, samples=samples, rate=rate, like=like)


#: By name: format tag, bits, and how samples from -1 to 1 become bytes.
_PCM = {
    "u8": (1, 8, lambda x: np.round(x * 127 + 128).astype(np.uint8).tobytes()),
    "s16": (1, 16, lambda x: np.round(x * 32767).astype("<i2").tobytes()),
    "s24": (
        1,
        24,
        lambda x: np.round(x * 8388607).astype("<i4").reshape(-1).view(np.uint8)
        .reshape(-1, 4)[:, :3].tobytes(),
    ),
    "s32": (1, 32, lambda x: np.round(x.astype(np.float64) * 2147483647).astype("<i4").tobytes()),
    "f32": (3, 32, lambda x: x.astype("<f4").tobytes()),
    "f64": (3, 64, lambda x: x.astype("<f8").tobytes()),
}  # fmt: skip
KINDS = tuple(_PCM)


def wav(path: Path, samples: np.ndarray, rate: int = 16000, kind: str = "s16") -> Path:
    """Write ``(channels, n)`` samples as a WAV file, and return its path."""
    tag, bits, to_bytes = _PCM[kind]
    channels = len(samples)
    content = to_bytes(np.ascontiguousarray(samples.T))
    align = channels * bits // 8
    head = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head
    body += b"data" + struct.pack("<I", len(content)) + content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def recut(path: Path, to: Path, start: float = 0.0, **options: str) -> Path:
    """Copy the streams of a film from ``start`` seconds on, as ``ffmpeg -ss START -c copy``.

    In MP4 what comes before ``start`` stays in the file, and an edit list hides it.

    Args:
        path: the film.
        to: the copy.
        start: in seconds.
        options: of the container's writer, such as ``movflags="faststart"``.
    """
    settings = {"fflags": "bitexact", "avoid_negative_ts": "disabled", **options}
    with av.open(str(path)) as source, av.open(str(to), "w", options=settings) as out:
        copies = {s.index: out.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None or packet.pts is None:
                continue
            if packet.stream.type == "audio" and packet.pts * packet.time_base < start:
                continue
            packet.pts -= round(start / packet.time_base)
            packet.dts -= round(start / packet.time_base)
            packet.stream = copies[packet.stream.index]
            out.mux(packet)
    return to


def cut(path: Path, size: int) -> Path:
    """Keep the first ``size`` bytes of a file."""
    path.write_bytes(path.read_bytes()[:size])
    return path


def naive_frames(path: Path) -> np.ndarray:
    """Return all frames of a film, ``(K, height, width, 3)``, decoded in the plainest way."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def no_media(folder: Path, url: str = "http://127.0.0.1:9/x.flv") -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of what is no media file.

    Args:
        folder: where the real film is put that some of them point to.
        url: what others point to.
    """
    real = film(folder / "aim" / "real.flv", samples=sound(2, 44100))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(real, "real.flv")
    yield "text", b"I am a film.\n" * 100
    yield "one byte", b"F"
    yield "random bytes", np.random.default_rng(0).bytes(20_000)
    yield "zeros", bytes(20_000)
    yield "zip", zipped.getvalue()
    yield "web page", b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n" * 20
    yield "LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for where in (str(real), real.as_uri(), url):
        kind = where.split(":", maxsplit=1)[0] if ":" in where else "path"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{where}\n#EXT-X-ENDLIST\n"
        yield f"playlist of a {kind}", playlist.encode()
        yield f"list to join of a {kind}", f"ffconcat version 1.0\nfile '{where}'\n".encode()
    session = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"
    yield "session", session.encode()
