"""Folders of pictures: read in the order of their names, and every bad one is a sentence."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_checks import attempt, every, fails
from media_files import cut, pictures
from PIL import Image

from asgml_core.preparing import media
from asgml_core.preparing.media import (
    Video,
    read_pictures,
)


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
