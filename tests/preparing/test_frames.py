"""Which frames are kept: every rule against a plain way to say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgml_core.preparing.frames import CHOICES, FrameChoice, per_second
from asgml_core.preparing.plan import ItemError

COUNTS = st.integers(1, 400)
WANTED = st.integers(1, 40)
RATES = st.sampled_from([1.0, 10.0, 15.0, 24.0, 25.0, 29.97, 30.0, 59.94])


@given(count=COUNTS, wanted=WANTED, choose=st.sampled_from(CHOICES), rate=RATES)
def test_frames_are_there_different_and_in_order_of_time(
    count: int, wanted: int, choose: str, rate: float
) -> None:
    choice = FrameChoice(wanted, choose)
    if wanted > count:
        with pytest.raises(ItemError, match=f"clip has {count} frames, but {wanted} are wanted"):
            choice.indices("clip", count, rate)
        return
    found = choice.indices("clip", count, rate)
    assert len(found) == len(set(found)) == wanted
    assert found == sorted(found)
    assert 0 <= found[0] <= found[-1] < count
    assert all(type(number) is int for number in found)


def test_the_first_ones() -> None:
    assert FrameChoice().indices("clip", 67, 29.97) == [0]
    assert FrameChoice(3).indices("clip", 67, 29.97) == [0, 1, 2]


def test_even_ones_are_the_middles_of_equal_shares() -> None:
    assert FrameChoice(1, "even").indices("clip", 5, 25) == [2]
    assert FrameChoice(3, "even").indices("clip", 9, 25) == [1, 4, 7]
    assert FrameChoice(4, "even").indices("clip", 100, 25) == [12, 37, 62, 87]
    assert FrameChoice(5, "even").indices("clip", 5, 25) == [0, 1, 2, 3, 4]


@given(count=COUNTS, wanted=WANTED)
def test_even_ones_are_the_same_backwards(count: int, wanted: int) -> None:
    """No end of a clip is preferred, but for the rounding of half a frame."""
    if wanted > count:
        return
    found = FrameChoice(wanted, "even").indices("clip", count, 25)
    backwards = [count - 1 - number for number in reversed(found)]
    assert all(abs(one - other) <= 1 for one, other in zip(found, backwards, strict=True))


def test_random_ones_are_the_clip_s_own_at_every_preparation() -> None:
    choice = FrameChoice(4, "random")
    of_clip = {clip: tuple(choice.indices(clip, 60, 25)) for clip in map(str, range(40))}
    assert of_clip == {clip: tuple(choice.indices(clip, 60, 25)) for clip in map(str, range(40))}
    assert len(set(of_clip.values())) == 40
    drawn = [number for numbers in of_clip.values() for number in numbers]
    assert min(drawn) < 6
    assert max(drawn) > 53
    # Whatever numpy or this package does later: caches must go on as they began.
    assert choice.indices("1001_DFA_ANG_XX", 67, 29.97) == [20, 25, 32, 43]


def official(count: int, rate: float, kept: int) -> list[int]:
    """Return the frames that OGM-GE's ``video2frame_update`` writes, as its loop goes."""
    second = int(rate)
    step = int(second / kept)
    written, number, frame = [], 0, 0
    while number < count:
        if number % second == 0:
            frame = 0
        if frame < step * kept and frame % step == 0:
            written.append(number)
        frame += 1
        number += 1
    return written


@given(count=COUNTS, rate=RATES, kept=st.integers(1, 60))
def test_frames_a_second_are_ogm_ge_s(count: int, rate: float, kept: int) -> None:
    if kept <= int(rate):
        assert per_second(count, rate, kept) == official(count, rate, kept)
    else:
        assert per_second(count, rate, kept) == list(range(count))


def test_a_rule_chooses_among_the_frames_a_second() -> None:
    assert per_second(67, 29.97, 1) == [0, 29, 58]
    assert FrameChoice(3, "first", 1).indices("clip", 67, 29.97) == [0, 29, 58]
    assert FrameChoice(1, "even", 1).indices("clip", 67, 29.97) == [29]
    with pytest.raises(ItemError, match="clip has 3 frames at 1 a second, but 4 are wanted"):
        FrameChoice(4, "first", 1).indices("clip", 67, 29.97)


def test_a_film_slower_than_a_frame_a_second() -> None:
    assert per_second(3, 0.5, 1) == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "frames is 0, but must be a whole number from 1 to 1000"),
        ({"frames": 1.5}, "frames is 1.5"),
        ({"frames": True}, "frames is True"),
        ({"choose": "last"}, "choose is 'last', but must be one of"),
        ({"fps": 0}, "fps is 0"),
        ({"fps": "1"}, "fps is '1'"),
    ],
)
def test_a_rule_out_of_range_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrameChoice(**options)
    assert FrameChoice(2, "even", 3).parameters() == {"frames": 2, "choose": "even", "fps": 3}
