"""Where the mouth is, and its pictures, against naive arithmetic and real clips seen by eye."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from grid_files import moving
from hypothesis import given, settings
from hypothesis import strategies as st

from asgml_core.preparing.grid import grid
from asgml_core.preparing.grid_mouth import (
    LIPS,
    PICTURE,
    SEARCH,
    Mouth,
    find_lips,
    luma,
    parse_mouth,
    shrink,
)
from asgml_core.preparing.plan import ItemError

RAW = "data/grid_s1/raw_sample"
#: Row and column of the middle of the lips in picture 40, read off by eye to about 3 pixels.
SEEN = {
    "bbaf2n": (212, 158), "bgbo1a": (204, 159), "brwg6n": (214, 166), "lbax8n": (220, 159),
    "lgil4n": (215, 164), "lrws1a": (214, 156), "pbbc4n": (220, 158), "pgij8n": (203, 154),
    "prwq2n": (214, 156), "sbat6n": (204, 156), "sgib8n": (213, 152), "srwi2n": (211, 148),
}  # fmt: skip


@pytest.mark.parametrize(
    "given_as", ["178,104,64,112", "178, 104, 64, 112", (178, 104, 64, 112), [178, 104, 64, 112]]
)
def test_a_region_is_read(given_as: str | tuple[int, ...]) -> None:
    mouth = parse_mouth(given_as)
    assert mouth == Mouth(64, 112, 178, 104)
    assert mouth.place("a.mpg", np.zeros((0, 288, 360), np.uint8)) == (178, 104)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("nose", "must be 'auto' or 'top,left,height,width'"),
        ("1,2,3", "must be 'auto'"),
        ((1, 2, 64.5, 112), "must be 'auto'"),
        ("230,104,64,112", "inside 288 rows and 360 columns"),
        ("178,260,64,112", "inside 288 rows"),
        ("-2,104,64,112", "inside 288 rows"),
        ("178,104,65,112", "an even height of 32 or more"),
        ("178,104,30,112", "an even height of 32 or more"),
        ("178,104,64,54", "an even width of 56 or more"),
    ],
)
def test_another_region_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_mouth(wrong)


def naive_lips(pictures: np.ndarray) -> tuple[int, int]:
    """Sum the differences window by window, and take the first of the largest."""
    moved = sum(np.abs(b.astype(int) - a) for a, b in itertools.pairwise(pictures))
    (height, width), (rows, columns) = LIPS, SEARCH
    sums = {
        (row, column): moved[
            row - height // 2 : row + height // 2, column - width // 2 : column + width // 2
        ].sum()
        for row in range(*rows)
        for column in range(*columns)
    }
    return max(sums, key=sums.__getitem__)  # the first, by row and then by column


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 5))
def test_lips_are_where_the_naive_sum_is_largest(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    pictures = draw.integers(0, 256, (count, 288, 360), np.uint8)
    assert find_lips("a.mpg", pictures) == naive_lips(pictures)


@pytest.mark.parametrize("place", [(200, 150), (233, 187), (190, 120), (220, 230)])
def test_a_moving_patch_is_found(place: tuple[int, int]) -> None:
    row, column = find_lips("a.mpg", moving(place)[..., 0])
    assert abs(row - place[0]) <= 4
    assert abs(column - place[1]) <= 4
    top, left = Mouth().place("a.mpg", moving(place)[..., 0])
    assert (top + 34, left + 56) == (row, column)


@pytest.mark.parametrize("corner", [(row, column) for row in SEARCH[0] for column in SEARCH[1]])
def test_the_region_is_inside_the_film_wherever_lips_are_found(corner: tuple[int, int]) -> None:
    pictures = np.zeros((2, 288, 360), np.uint8)
    row = min(corner[0], SEARCH[0][1] - 1)
    column = min(corner[1], SEARCH[1][1] - 1)
    pictures[1, row - 8 : row + 8, column - 20 : column + 20] = 9
    assert find_lips("a.mpg", pictures) == (row, column)
    top, left = Mouth().place("a.mpg", pictures)
    assert 0 <= top <= 288 - 64
    assert 0 <= left <= 360 - 112


@pytest.mark.parametrize("count", [1, 10])
def test_a_still_film_has_no_lips(count: int) -> None:
    with pytest.raises(ItemError, match=r"a\.mpg: nothing moves where the mouth is looked for"):
        Mouth().place("a.mpg", np.full((count, 288, 360), 7, np.uint8))


def test_real_mouths_are_found(shared: Callable[[str], Path]) -> None:
    plan = grid(shared(RAW), mouth="auto")
    clips = [item for item in plan.items if item.facts["slot"] == 0]
    assert len(clips) == len(SEEN)
    for item, word in zip(clips, plan.decode(clips), strict=True):
        row, column = SEEN[item.facts["clip"]]
        assert abs(word.facts["mouth_top"] + 32 - row) <= 7
        assert abs(word.facts["mouth_left"] + 56 - column) <= 4


@pytest.mark.parametrize("factor", [(1, 1), (2, 2), (3, 3), (4, 2)])
def test_a_picture_is_the_means_of_areas_with_brightness_stretched(
    factor: tuple[int, int],
) -> None:
    down, across = factor
    draw = np.random.default_rng(down)
    picture = draw.integers(16, 236, (32 * down, 56 * across), np.uint8)
    means = picture.reshape(32, down, 56, across).mean(axis=(1, 3))
    apart = np.abs(shrink(picture) - (means - 16) * 255 / 219)
    assert shrink(picture).shape == PICTURE
    assert apart.max() <= 1.5
    assert apart.mean() < 0.35  # rounding alone is 0.25


def test_black_is_0_and_white_is_255() -> None:
    for coded, shown in ((0, 0), (16, 0), (235, 255), (255, 255)):
        assert (shrink(np.full((64, 112), coded, np.uint8)) == shown).all()


def frame(height: int, width: int, kind: str = "rgb24") -> av.VideoFrame:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2] = 255
    return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=kind)


@pytest.mark.parametrize("kind", ["yuv420p", "rgb24", "yuv444p"])
def test_luma_is_as_coded(kind: str) -> None:
    found = luma("a.mpg", frame(288, 360, kind))
    assert found.shape == (288, 360)
    assert np.abs(found[:, :170].astype(int) - 235).max() <= 1
    assert np.abs(found[:, 190:].astype(int) - 16).max() <= 1


def test_a_film_of_another_size_is_refused() -> None:
    with pytest.raises(ItemError, match=r"a\.mpg: its pictures are 720x576, but .* are 360x288"):
        luma("a.mpg", frame(576, 720))
