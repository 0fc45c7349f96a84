"""Reading pictures and sound from media files with PyAV, one clear sentence for every bad file.

Files are opened by handle and with a fixed list of containers: FFmpeg would follow a playlist that
is named like a film to other files and to the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asgml_core.preparing.plan import ItemError

CONTAINERS = (
    "flv", "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpeg", "mpegts",
    "mpegvideo", "asf", "wav", "w64", "mp3", "aac", "flac", "ogg", "aiff", "au", "caf",
)  # fmt: skip
#: Name endings that say a container by another word.
_ALIASES = {
    "mpg": "mpeg",
    "mkv": "matroska",
    "wmv": "asf",
    "m4v": "mp4",
    "qt": "mov",
    "ts": "mpegts",
}
#: Seconds by which a stream may end before the time its header gives.
TOLERANCE = 0.15
#: Bytes that a WAV or AVI file may lack: some programs count its first 8, or the one that pads it.
RIFF_TOLERANCE = 9
UNKNOWN_LENGTH = 0x7FFF_F000
WAV_HEAD = "16384"
MOST_PIXELS = 8192 * 8192
#: An MP3 decoder's own delay in samples. FFmpeg leaves it out where the file names its encoder's
#: delay too, and keeps it elsewhere; mpg123, which librosa reads with, always leaves it out.
MP3_DELAY = 529

#: From the number of frames and their rate (1/s) to the frames wanted, in rising order.
Choice = Callable[[int, float], Sequence[int]]


@dataclass(frozen=True)
class Video:
    """What was read of a film.

    Args:
        pictures: the frames wanted, ``(K, height, width, 3)`` uint8 RGB unless asked otherwise.
        frames: how many frames the film has.
        rate: frames per second.
        notes: what to know of the file, a sentence each.
    """

    pictures: np.ndarray
    frames: int
    rate: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audio:
    """What was read of a sound.

    Args:
        samples: ``(channels, n)`` float32, from -1 to 1.
        rate: samples per second.
        notes: what to know of the file, a sentence each.
    """

    samples: np.ndarray
    rate: int
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The length."""
        return self.samples.shape[1] / self.rate


def to_rgb(frame: Any) -> np.ndarray:
    """Return a frame as ``(height, width, 3)`` uint8."""
    # One thread: starting more for every frame takes longer than the work.
    return frame.reformat(format="rgb24", threads=1).to_ndarray()


def read_video(file: Path, choose: Choice, picture: Callable[[Any], np.ndarray] = to_rgb) -> Video:
    """Decode the chosen frames of a film, and no frame after the last of them.

    Args:
        file: any container of :data:`CONTAINERS`.
        choose: which frames; it may raise :class:`ItemError`.
        picture: makes an array of a decoded ``av.VideoFrame``.

    Raises:
        ItemError: when the file is missing, empty, cut short, damaged or without pictures.
    """
    with _opened(file, "video") as (container, stream):
        stream.codec_context.thread_count = 1
        if stream.codec_context.width * stream.codec_context.height > MOST_PIXELS:
            raise ItemError(f"{file.name}: pictures above {MOST_PIXELS} pixels are not read.")
        everything = _packets(container)
        packets = [packet for packet in everything if packet.stream_index == stream.index]
        shown = [packet for packet in packets if not packet.is_discard]  # not cut by an edit list
        if not shown:
            raise ItemError(f"{file.name} has no pictures.")
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        if rate <= 0:
            raise ItemError(f"{file.name} does not say how many pictures a second it has.")
        end = _last_end(shown, 1 / rate)
        _check_whole(
            file, (packets[-1], everything[-1]), *_ends(container, stream, everything, end)
        )
        wanted = list(choose(len(shown), rate))
        found, damaged = _wanted(_decoded(stream, packets), wanted, picture)
        if len(found) < len(set(wanted)):
            raise ItemError(
                f"{file.name}: {len(shown)} frames are listed, but frame {max(wanted)} (from 0) "
                "could not be decoded."
            )
        if len({picture.shape for picture in found.values()}) > 1:
            raise ItemError(f"{file.name}: its pictures change their size on the way.")
        frames = np.stack([found[number] for number in wanted])
        notes = _notes(file, container) + _damage_notes(file, damaged, max(wanted) + 1)
        return Video(frames, len(shown), rate, notes)


def _wanted(
    decoded: Iterator[Any], wanted: list[int], picture: Callable[[Any], np.ndarray]
) -> tuple[dict[int, np.ndarray], list[int]]:
    """Return the pictures wanted, by number, and the numbers of the frames with errors."""
    found: dict[int, np.ndarray] = {}
    damaged: list[int] = []
    for number, frame in enumerate(decoded):
        if frame.is_corrupt:
            damaged.append(number)
        if number in wanted:
            found[number] = picture(frame)
        if number >= max(wanted):
            break
    return found, damaged


def _packets(container: Any) -> list[Any]:
    packets: list[Any] = []
    # PyAV, after the last packet, of a stream that was not there yet when the file was opened.
    with suppress(IndexError):
        packets.extend(packet for packet in container.demux() if packet.size)
    return packets


def _decoded(stream: Any, packets: list[Any]) -> Iterator[Any]:
    for packet in packets:
        yield from packet.decode()
    yield from stream.decode(None)  # what the decoder still holds


def read_audio(file: Path) -> Audio:
    """Decode the whole sound of a file, at its own rate and with its own channels.

    Args:
        file: a sound, or a film with sound, in any container of :data:`CONTAINERS`.

    Raises:
        ItemError: when the file is missing, empty, cut short, damaged or without sound.
    """
    import av

    with _opened(file, "audio") as (container, stream):
        to_float = av.AudioResampler(format="fltp")
        everything = _packets(container)
        packets = [packet for packet in everything if packet.stream_index == stream.index]
        heard = list(_decoded(stream, packets))
        if len({(frame.format.name, frame.layout.name, frame.sample_rate) for frame in heard}) > 1:
            raise ItemError(f"{file.name}: its sound changes its rate or channels on the way.")
        pieces = [piece.to_ndarray() for frame in heard for piece in to_float.resample(frame)]
        if not pieces or not sum(piece.shape[1] for piece in pieces):
            raise ItemError(f"{file.name} has no sound: 0 samples.")
        samples, rate = np.concatenate(pieces, axis=1), stream.codec_context.sample_rate
        begin = float((stream.start_time or 0) * stream.time_base)
        end = samples.shape[1] / rate + begin
        if container.format.name == "mp3" and not begin:
            samples = samples[:, MP3_DELAY:]
        _check_whole(
            file, (packets[-1], everything[-1]), *_ends(container, stream, everything, end)
        )
        return Audio(samples, rate, _notes(file, container))


@contextmanager
def _opened(file: Path, kind: str) -> Iterator[tuple[Any, Any]]:
    """Open a file and its first stream of a kind; what FFmpeg says becomes an ItemError."""
    import av

    try:
        with file.open("rb") as handle:
            head = handle.read(12)
            _check_head(file, head[:8])
            handle.seek(0)
            allowed = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "pipe"}
            if head[:4] == b"RIFF" and head[8:] == b"WAVE":
                allowed["probesize"] = WAV_HEAD  # FFmpeg would read all of it to learn no more
            # Texts in it, such as a title, may be in any encoding; they are of no interest here.
            with av.open(handle, container_options=allowed, metadata_errors="replace") as container:
                yield container, _first_stream(file, container, kind)
    except av.error.FFmpegError as error:
        said = (error.strerror or str(error)).rstrip(".")
        raise ItemError(
            f"{file.name} is damaged, or no media file of a known kind ({said})."
        ) from error
    except OSError as error:
        raise ItemError(f"{file.name} could not be read ({error.strerror}).") from error


def _check_head(file: Path, head: bytes) -> None:
    """Check that a file is not empty and, for WAV and AVI, as long as it says.

    FFmpeg takes what there is of them, if the cut is between two packets. A program that could not
    know the length wrote 2 GiB or more.
    """
    if not head:
        raise ItemError(f"{file.name} is empty: 0 bytes.")
    if head == b"version ":
        raise ItemError(f"{file.name} is a pointer of git-lfs: 'git lfs pull' fetches the file.")
    said, found = int.from_bytes(head[4:], "little") + 8, file.stat().st_size
    if head[:4] == b"RIFF" and found + RIFF_TOLERANCE < said < UNKNOWN_LENGTH:
        raise ItemError(f"{file.name} is cut short: it has {found} of {said} bytes.")


def _first_stream(file: Path, container: Any, kind: str) -> Any:
    """Return a file's first stream of a kind; a cover picture is no film."""
    import av

    what = {"video": "pictures", "audio": "sound"}[kind]
    cover = av.stream.Disposition.attached_pic
    streams = [s for s in getattr(container.streams, kind) if not s.disposition & cover]
    if not streams:
        raise ItemError(f"{file.name} has no {what}.")
    if streams[0].codec_context is None:
        raise ItemError(f"{file.name}: the coding of its {what} is not known; it is damaged.")
    return streams[0]


def _last_end(packets: list[Any], least: float = 0.0) -> float:
    """Return when the last of some packets ends, in seconds, each lasting ``least`` or longer."""
    units = {packet.stream_index: float(packet.time_base) for packet in packets}
    return max(
        (packet.pts or 0) * units[packet.stream_index]
        + max(least, (packet.duration or 0) * units[packet.stream_index])
        for packet in packets
    )


def _ends(container: Any, stream: Any, packets: list[Any], end: float) -> tuple[float, float]:
    """Return when a stream ends and when it should, in seconds; 0 where nothing says so.

    Matroska, WebM and FLV give one length, that of the longest stream: there the last packet of any
    stream has to reach it, since a whole film may have a longer sound and the other way round.

    Args:
        container: the open file.
        stream: one of its streams.
        packets: those of all its streams.
        end: when the stream ends, by what was read of it.
    """
    import av

    begin = float((stream.start_time or 0) * stream.time_base)
    if stream.duration is not None:
        return end, begin + float(stream.duration * stream.time_base)
    said = 0.0 if container.duration is None else container.duration / av.time_base
    return max(end, _last_end(packets)), said + min(begin, 0)


def _check_whole(file: Path, last: tuple[Any, ...], end: float, said: float) -> None:
    if any(packet.is_corrupt for packet in last) or end < said - TOLERANCE:
        of = f" of {said:.2f} s" if said > end else ""
        raise ItemError(f"{file.name} is cut short: it ends after {end:.2f} s{of}.")


def _notes(file: Path, container: Any) -> tuple[str, ...]:
    suffix = file.suffix.lower().removeprefix(".")
    kinds = container.format.name.split(",")
    if suffix in kinds or _ALIASES.get(suffix) in kinds:
        return ()
    return (f"{file.name} is a {kinds[0]} file by its content, in spite of its name.",)


def _damage_notes(file: Path, damaged: list[int], decoded: int) -> tuple[str, ...]:
    """Return a note on frames that FFmpeg patched up; those after them are built on them."""
    if not damaged:
        return ()
    return (
        f"{file.name}: {len(damaged)} of the first {decoded} frames came with errors, "
        f"frame {damaged[0]} (from 0) first.",
    )


def read_pictures(folder: Path, choose: Choice, per_second: float) -> Video:
    """Read the chosen pictures of a folder of extracted frames, in the order of their names.

    Args:
        folder: holds ``.jpg``, ``.jpeg`` or ``.png`` files, one frame each.
        choose: which frames.
        per_second: how many a second they were extracted at.

    Raises:
        ItemError: when the folder is missing or empty, or a picture is damaged or of another size.
    """
    from PIL import Image

    try:
        files = sorted(f for f in folder.iterdir() if f.suffix.lower() in (".jpg", ".jpeg", ".png"))
    except OSError as error:
        raise ItemError(f"{folder.name} could not be read ({error.strerror}).") from error
    if not files:
        raise ItemError(f"{folder.name} has no .jpg or .png pictures.")
    pictures = []
    for number in choose(len(files), per_second):
        try:
            with Image.open(files[number], formats=("JPEG", "PNG")) as picture:
                pictures.append(np.asarray(picture.convert("RGB")))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ItemError(
                f"{folder.name}/{files[number].name} is no readable picture ({error})."
            ) from error
        if pictures[-1].shape != pictures[0].shape:
            raise ItemError(
                f"{folder.name}/{files[number].name} is {pictures[-1].shape[:2]} pixels, but the "
                f"first picture is {pictures[0].shape[:2]}."
            )
    return Video(np.stack(pictures), len(files), per_second)


def fit_pictures(pictures: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return pictures at a size, resampled bilinearly with antialiasing where they are not.

    Args:
        pictures: ``(K, height, width, 3)`` uint8.
        size: height and width, in pixels; proportions are not kept.
    """
    if pictures.shape[1:3] == tuple(size):
        return pictures
    from PIL import Image

    to = (size[1], size[0])
    return np.stack(
        [np.asarray(Image.fromarray(p).resize(to, Image.Resampling.BILINEAR)) for p in pictures]
    )
