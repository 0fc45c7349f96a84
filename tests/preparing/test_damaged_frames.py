"""Frames that FFmpeg patches up are used, and the report says so."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import CODECS, film, naive_frames, pictures

from asgml_core.preparing.media import read_video
from asgml_core.preparing.plan import ItemError

#: MPEG-4 and H.264 tell of errors; VP9 takes what there is.
KINDS = [kind for kind, (_, coder, _) in CODECS.items() if coder and coder != "libvpx-vp9"]
FRAMES = 25


def every(count: int, rate: float) -> range:
    return range(count)


def packets(path: Path) -> list[tuple[int, int]]:
    """Return where each frame lies in a file, and its size."""
    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give films with some noise, so that every frame has something in it to be damaged."""
    folder = tmp_path_factory.mktemp("films")
    noise = np.random.default_rng(0).integers(0, 30, (FRAMES, 48, 64, 3), dtype=np.uint8)
    shown = pictures(FRAMES) // 2 + noise
    return {
        kind: film(folder / f"{number}{Path(f'film{kind}').suffix}", shown, like=kind)
        for number, kind in enumerate(KINDS)
    }


def harm(path: Path, to: Path, frame: int) -> Path:
    """Copy a film with the second half of one frame's packet overwritten."""
    content = bytearray(path.read_bytes())
    begin, size = packets(path)[frame]
    middle = begin + size // 2
    content[middle : begin + size] = b"\xff" * (size - size // 2)
    to.write_bytes(content)
    return to


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_film_has_no_note(films: dict[str, Path], kind: str) -> None:
    assert read_video(films[kind], every).notes == ()


@pytest.mark.parametrize("kind", [".flv", ".mp4"])
def test_a_frame_with_errors_is_noted_by_its_number(
    films: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    path = harm(films[kind], tmp_path / f"harmed{kind}", 9)
    video = read_video(path, every)
    said = "came with errors, frame 9 (from 0) first."
    assert video.notes == (f"{path.name}: 1 of the first {FRAMES} frames {said}",)
    assert np.array_equal(video.pictures, naive_frames(path))  # used as they come
    assert not np.array_equal(video.pictures, naive_frames(films[kind]))


def test_errors_before_the_last_frame_wanted_count_and_later_ones_do_not(
    films: dict[str, Path], tmp_path: Path
) -> None:
    path = harm(films[".flv"], tmp_path / "harmed.flv", 9)
    for frame, notes in ((8, 0), (9, 1), (20, 1)):
        assert len(read_video(path, lambda count, rate, n=frame: [n]).notes) == notes


@settings(max_examples=60)
@given(kind=st.sampled_from(KINDS), place=st.floats(0.1, 0.9), seed=st.integers(0, 99))
def test_what_is_noted_is_what_the_decoder_flags(
    films: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    place: float,
    seed: int,
) -> None:
    whole = films[kind]
    content = bytearray(whole.read_bytes())
    begin = round(place * len(content))
    content[begin : begin + 8] = np.random.default_rng(seed).bytes(8)
    path = tmp_path_factory.getbasetemp() / f"flagged{whole.suffix}"
    path.write_bytes(content)
    try:
        video = read_video(path, every)
    except ItemError:
        return
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        flagged = [n for n, frame in enumerate(container.decode(stream)) if frame.is_corrupt]
    noted = [note for note in video.notes if "came with errors" in note]
    assert len(noted) == bool([n for n in flagged if n < video.frames])
    if noted:
        assert f": {len(flagged)} of the first" in noted[0]
        assert f"frame {flagged[0]} (from 0) first" in noted[0]
