"""Words of GRID: alignments line by line, which pictures and which sound, and damaged clips."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from grid_files import CLIP, SECONDS, SENTENCE, align, clip, counting, grey_of
from hypothesis import given
from hypothesis import strategies as st
from media_files import cut, sound

from asgml_core.preparing import grid_words
from asgml_core.preparing.grid import grid
from asgml_core.preparing.grid_sound import log_mel, to_16k_mono
from asgml_core.preparing.grid_words import (
    WORDS,
    Word,
    cut_sound,
    frame_numbers,
    read_sentence,
    spell,
)
from asgml_core.preparing.media import read_audio
from asgml_core.preparing.plan import Decoded, ItemError

RAW = "data/grid_s1/raw_sample"
WORDS_FILE = "data/grid_s1/grid_s1_words.npz"


def changed(**lines: Sequence[object] | None) -> list[Sequence[object]]:
    """Return the sentence's lines with some replaced (``_3=...``) or taken out (``None``)."""
    new = [lines.get(f"_{number}", line) for number, line in enumerate(SENTENCE, 1)]
    return [line for line in new if line is not None]


def test_a_name_spells_a_sentence() -> None:
    assert spell("bbaf2n") == ("bin", "blue", "at", "f", "two", "now")
    assert spell("swwzzs") == ("set", "white", "with", "z", "zero", "soon")
    assert [len(words) for words in WORDS] == [4, 4, 4, 25, 10, 4]
    assert "w" not in WORDS[3]  # the one letter of more than one syllable


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_an_alignment_is_read(tmp_path: Path, end: str) -> None:
    words = read_sentence(align(tmp_path / "bbaf2n.align", end=end), CLIP)
    assert [word.text for word in words] == list(spell(CLIP))
    assert (words[4].start, words[4].end) == (41000, 47250)


def test_pauses_between_words_and_empty_lines_are_left_out(tmp_path: Path) -> None:
    lines = [*SENTENCE[:4], (35500, 36000, "sp"), (36000, 41000, "f"), *SENTENCE[5:], ()]
    words = read_sentence(align(tmp_path / "bbaf2n.align", lines), CLIP)
    assert words[3] == Word("f", 36000, 41000)
    assert len(words) == 6


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (changed(_3=(29500, 34000)), "line 3 is '29500 34000'; two whole numbers and a word"),
        (changed(_3=(29500, "x", "blue")), "line 3 is '29500 x blue'; two whole numbers"),
        (changed(_3=(29500, 34000.5, "blue")), "line 3 is .*; two whole numbers"),
        (changed(_1=(-5, 23750, "sil")), "line 1 is '-5 23750 sil'; two whole numbers"),
        (changed(_3=(29500, 34000, "light", "blue")), "line 3 is .*; two whole numbers"),
        (changed(_3=(29000, 34000, "blue")), r"line 3 begins at 29000, .* ends \(29500\)"),
        (changed(_3=(29500, 29500, "blue")), r"line 3 ends at 29500, not after its start \(29500"),
        (changed(_3=(29500, 29000, "blue")), "line 3 ends at 29000, not after"),
        (changed(_3=(29500, 34000, "purple")), "line 3 has 'purple', which is no word of GRID"),
        (changed(_3=(29500, 34000, "BLUE")), "line 3 has 'BLUE', which is no word"),
        (changed(_6=None), "has 5 words, but a sentence of GRID has 6"),
        (changed(_8=(53000, 74500, "soon")), "has 7 words, but"),
        ([], "has 0 words, but"),
        (changed(_3=(29500, 34000, "green")), "has the word 'green' where .* says 'blue'"),
    ],
)
def test_a_wrong_alignment_is_named(
    tmp_path: Path, lines: Sequence[Sequence[object]], message: str
) -> None:
    file = align(tmp_path / "bbaf2n.align", lines)
    with pytest.raises(ItemError, match=rf"^bbaf2n\.align.*{message}"):
        read_sentence(file, CLIP)


@pytest.mark.parametrize("content", [b"\xff\xfe0\x00", b"0 1 \xe9\n"])
def test_an_alignment_that_is_no_text_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bbaf2n.align"
    file.write_bytes(content)
    with pytest.raises(ItemError, match=r"bbaf2n\.align could not be read as text"):
        read_sentence(file, CLIP)
    with pytest.raises(ItemError, match=r"none\.align could not be read as text"):
        read_sentence(tmp_path / "none.align", CLIP)


TIMES = st.integers(0, 290).map(lambda steps: steps * 250)
LENGTHS = st.integers(8, 90).map(lambda steps: steps * 250)


@given(start=TIMES, length=LENGTHS)
def test_pictures_are_the_nearest_to_five_even_times(start: int, length: int) -> None:
    numbers = frame_numbers(Word("bin", start, start + length))
    assert len(numbers) == 5
    for k, number in enumerate(numbers):
        time = Fraction(start, 1000) + Fraction(length * k, 4000)
        assert abs(number - time) <= Fraction(1, 2)
    assert numbers == sorted(numbers)


def test_half_way_between_pictures_the_prepared_file_decides(
    shared: Callable[[str], Path],
) -> None:
    """Colour and command of a clip meet: the last picture of the one is the first of the other."""
    with np.load(shared(WORDS_FILE)) as words:
        times, frames = words["start_end_25k"], words["frames"]
    met = 0
    for row in range(0, len(times), 3):
        if times[row, 1] == times[row + 1, 0]:
            last = frame_numbers(Word("", *times[row].tolist()))[-1]
            first = frame_numbers(Word("", *times[row + 1].tolist()))[0]
            assert last == first
            assert (frames[row, -1] == frames[row + 1, 0]).all()
            met += 1
    assert met > 900
    # Seen to hold in the file by comparison with the films; halves of 1000 units would differ.
    assert frame_numbers(Word("blue", 25500, 31500))[2] == 29
    assert frame_numbers(Word("two", 35750, 40750))[3] == 39
    assert frame_numbers(Word("lay", 9500, 19500))[2] == 15


def naive_cut(spectrum: np.ndarray, start: int, end: int) -> np.ndarray:
    """Write the steps of a word one by one where the prepared file has them."""
    begin, count = start // 250 - 2, (end - start) // 250 + 4
    if count > 60:
        begin, count = begin + (count - 60) // 2, 60
    kept = np.zeros((64, 60), np.uint8)
    for j in range(count):
        if 0 <= begin + j < spectrum.shape[1]:
            kept[:, (60 - count) // 2 + j] = spectrum[:, begin + j]
    return kept


@given(start=TIMES, length=LENGTHS)
def test_sound_is_cut_as_the_naive_loop_does(start: int, length: int) -> None:
    spectrum = np.random.default_rng(0).integers(1, 256, (64, 298), np.uint8)
    word = Word("bin", start, start + length)
    if word.end // 250 >= 298:
        with pytest.raises(
            ItemError, match=r"a\.mpg: 'bin' ends at .* s, but the sound at 2\.97 s"
        ):
            cut_sound("a.mpg", spectrum, word)
        return
    kept, notes = cut_sound("a.mpg", spectrum, word)
    np.testing.assert_array_equal(kept, naive_cut(spectrum, word.start, word.end))
    assert any("middle 0.60 s" in note for note in notes) == (length > 56 * 250)
    at_edge = start < 500 or word.end > 295 * 250 + 250
    assert any("at the clip's edge" in note for note in notes) == at_edge


def decode(film: Path, **options: object) -> list[Decoded | ItemError]:
    plan = grid(film.parent, **options)
    return list(plan.decode(plan.items))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("good"))


def test_the_pictures_of_a_word_are_those_of_its_time(good: Path) -> None:
    words = decode(good)
    for word, (start, end) in zip(
        words, ((23750, 29500), (29500, 34000), (41000, 47250)), strict=True
    ):
        assert isinstance(word, Decoded)
        shown = word.arrays["frames"].reshape(5, -1).mean(axis=1)
        for number, brightness in zip(
            frame_numbers(Word("", start, end)), shown.tolist(), strict=True
        ):
            assert brightness == pytest.approx(grey_of(number), abs=3)


def test_the_sound_of_a_word_is_that_of_its_time(tmp_path: Path) -> None:
    samples = np.zeros((2, round(SECONDS * 44100)), np.float32)
    begin, end = (round(units / 25000 * 44100) for units in (41000, 47250))
    samples[:, begin:end] = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(end - begin) / 44100)
    _, colour, digit = decode(clip(tmp_path, samples=samples))
    loud = digit.arrays["logmel"].max(axis=0) > 250
    steps = (47250 - 41000) // 250
    first = (60 - steps) // 2
    assert loud[first + 2 : first + steps - 2].all()  # MP2 has a delay of its own, of 11 ms
    assert not loud[: first - 2].any()
    assert not loud[first + steps + 3 :].any()
    assert not (colour.arrays["logmel"] > 250).any()


def test_the_spectrum_is_that_of_the_whole_clip(good: Path) -> None:
    spectrum = log_mel(to_16k_mono("", read_audio(good)))
    for word in decode(good):
        expected = naive_cut(spectrum, word.facts["start_25k"], word.facts["end_25k"])
        np.testing.assert_array_equal(word.arrays["logmel"], expected)


def test_what_is_known_of_a_word(good: Path) -> None:
    command, colour, digit = decode(good)
    assert {"start_25k": 23750, "end_25k": 29500, "clip_frames": 75}.items() <= (
        command.facts.items()
    )
    assert (digit.facts["rate"], digit.facts["channels"]) == (44100, 2)
    assert digit.facts["seconds"] == pytest.approx(SECONDS, abs=0.06)
    assert (digit.facts["mouth_top"], digit.facts["mouth_left"]) == (178, 104)
    assert command.notes == digit.notes == ()
    assert colour.notes == ()


def test_a_clip_is_decoded_once_and_words_do_not_depend_on_each_other(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = grid_words.read_video

    def counted(file: Path, *more: object, **options: object) -> object:
        read.append(file)
        return real(file, *more, **options)

    monkeypatch.setattr(grid_words, "read_video", counted)
    plan = grid(good.parent)
    together = plan.decode(plan.items)
    assert read == [good]
    decoder = pickle.loads(pickle.dumps(plan.decode))  # noqa: S301 (its own bytes)
    alone = [decoder([item])[0] for item in reversed(plan.items)]
    for one, other in zip(together, reversed(alone), strict=True):
        assert one.facts == other.facts
        for name in one.arrays:
            np.testing.assert_array_equal(one.arrays[name], other.arrays[name])


def test_a_clip_cut_short_keeps_the_words_before_its_end(tmp_path: Path) -> None:
    command, colour, digit = decode(clip(tmp_path, frames=counting(40), samples=sound(1.6, 44100)))
    assert command.notes == ("bbaf2n.mpg has 40 pictures, not 75.",)
    assert isinstance(colour, Decoded)
    assert str(digit) == (
        "bbaf2n.mpg: 'two' ends at picture 47 (from 0), but the clip has 40 pictures, 39 of them "
        "certainly whole."
    )


def test_the_last_picture_of_a_short_clip_is_not_trusted(tmp_path: Path) -> None:
    *_, digit = decode(clip(tmp_path, frames=counting(48)))
    assert "ends at picture 47 (from 0), but the clip has 48 pictures, 47" in str(digit)


def test_a_word_after_the_sound_is_named(tmp_path: Path) -> None:
    command, _, digit = decode(clip(tmp_path, samples=sound(1.5, 44100, 2)))
    assert isinstance(command, Decoded)
    assert str(digit).startswith("bbaf2n.mpg: 'two' ends at 1.89 s, but the sound at 1.5")


def test_short_and_long_words_have_notes(tmp_path: Path) -> None:
    film = clip(tmp_path)
    align(film.with_suffix(".align"), changed(_1=(0, 9000, "sil"), _2=(9000, 29500, "bin"),
          _6=(41000, 43000, "two")))  # fmt: skip
    command, _, digit = decode(film)
    assert command.notes == ("'bin' lasts 0.82 s; of its sound only the middle 0.60 s are kept.",)
    assert digit.notes == ("'two' lasts 2.00 pictures; of its 5 only 3 are different.",)


def test_a_word_at_the_clips_edge_has_a_note(tmp_path: Path) -> None:
    film = clip(tmp_path)
    align(
        film.with_suffix(".align"), changed(_1=None, _2=(0, 5000, "bin"), _3=(5000, 9000, "blue"))
    )
    command, colour, _ = decode(film)
    assert command.notes == ("'bin' is at the clip's edge: a part of its 20 ms margin is 0.",)
    assert not command.arrays["logmel"][:, (60 - 24) // 2 : (60 - 24) // 2 + 2].any()
    assert colour.notes == ()


def test_a_silent_clip_has_a_note(tmp_path: Path) -> None:
    words = decode(clip(tmp_path, samples=np.zeros((2, 131328), np.float32)))
    for word in words:
        assert word.notes == ("bbaf2n.mpg: its sound is silent, every sample is 0.",)
        assert not word.arrays["logmel"].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 30}, "bbaf2n.mpg has 30.00 pictures a second, not 25"),
        ({"frames": counting(75, (240, 320))}, "bbaf2n.mpg: its pictures are 320x240, but"),
        ({"samples": None}, "bbaf2n.mpg has no sound"),
        ({"mouth": "auto"}, "bbaf2n.mpg: nothing moves where the mouth is looked for"),
    ],
)
def test_a_clip_of_another_kind_is_named(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    mouth = {"mouth": options.pop("mouth")} if "mouth" in options else {}
    if mouth:  # plain pictures that all look the same
        options["frames"] = np.full((75, 288, 360, 3), 99, np.uint8)
    words = decode(clip(tmp_path, **options), **mouth)
    assert len(words) == 3
    for word in words:
        assert str(word).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "bbaf2n.mpg is empty: 0 bytes"),
        (b"I am a film.\n" * 100, "bbaf2n.mpg is damaged, or no media file"),
        (bytes(20_000), "bbaf2n.mpg is damaged, or no media file"),
    ],
)
def test_what_is_no_film_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bbaf2n.mpg").write_bytes(content)
    align(tmp_path / "bbaf2n.align")
    for word in decode(tmp_path / "bbaf2n.mpg"):
        assert str(word).startswith(message)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_real_clip_cut_short_gives_its_words_or_says_why(
    shared: Callable[[str], Path], tmp_path: Path, share: float
) -> None:
    raw = shared(RAW)
    for suffix in (".mpg", ".align"):
        (tmp_path / f"bbaf2n{suffix}").write_bytes((raw / f"bbaf2n{suffix}").read_bytes())
    film = tmp_path / "bbaf2n.mpg"
    whole = decode(film)
    words = decode(cut(film, round(share * film.stat().st_size)))
    for word, complete in zip(words, whole, strict=True):
        if isinstance(word, ItemError):
            assert "bbaf2n.mpg" in str(word)
            continue
        assert "pictures, not 75" in word.notes[-1]
        np.testing.assert_array_equal(word.arrays["frames"], complete.arrays["frames"])
        np.testing.assert_array_equal(word.arrays["logmel"], complete.arrays["logmel"])
    assert isinstance(words[2], ItemError) == (share < 0.64)
