"""GRID from listing to cache: the prepared file anew, every layout, what is absent or twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from grid_files import align, clip

from asgml_core.datasets import Cache
from asgml_core.preparing.grid import CLASSES, grid
from asgml_core.preparing.plan import PrepareError
from asgml_core.preparing.runner import prepare

RAW = "data/grid_s1/raw_sample"
WORDS_FILE = "data/grid_s1/grid_s1_words.npz"


@pytest.fixture(scope="module")
def real(shared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """The twelve real clips, as a cache."""
    folder = tmp_path_factory.mktemp("grid")
    shutil.copytree(shared(RAW), folder / "s1")
    return prepare(grid(folder), folder / "cache", workers=0, progress=False)


def test_the_prepared_file_is_made_anew(real: Cache, shared: Callable[[str], Path]) -> None:
    with np.load(shared(WORDS_FILE)) as words:
        rows = {
            (str(c), str(s)): row
            for row, (c, s) in enumerate(zip(words["clip"], words["slot"], strict=True))
        }
        wanted = [rows[key] for key in zip(real.items["clip"], real.items["slot"], strict=True)]
        prepared = {name: words[name][wanted] for name in words.files}
    assert len(wanted) == 36
    assert real.failed == ()
    for name, share in (("frames", 0.06), ("logmel", 1e-4)):  # 0 with the FFmpeg it was made with
        apart = np.abs(real.array(name).astype(int) - prepared[name])
        assert apart.max() <= 1, name
        assert (apart > 0).mean() <= share, name
    assert list(real.items["label"]) == prepared["word"].tolist()
    times = [(int(s), int(e)) for s, e in zip(
        real.items["start_25k"], real.items["end_25k"], strict=True)]  # fmt: skip
    assert times == [tuple(pair) for pair in prepared["start_end_25k"].tolist()]


def test_items_are_named_by_speaker_clip_slot_and_word(real: Cache) -> None:
    assert real.items["id"][:4] == (
        "s1_bbaf2n_0_bin", "s1_bbaf2n_1_blue", "s1_bbaf2n_4_two", "s1_bgbo1a_0_bin",
    )  # fmt: skip
    assert set(real.items["group"][:3]) == {"s1_bbaf2n"}
    assert set(real.items["speaker"]) == {"s1"}
    assert real.classes == CLASSES == tuple(sorted(CLASSES))
    assert len(CLASSES) == 18
    assert real.manifest["versions"]["av"]
    assert real.manifest["parameters"]["mouth"] == {
        "height": 64, "width": 112, "top": 178, "left": 104, "found": "given",
    }  # fmt: skip


def touch(folder: Path, *files: str) -> Path:
    """Make empty files: listing reads none of them."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


LAYOUTS = {
    "side by side": ("s2/bbaf2n.mpg", "s2/bbaf2n.align"),
    "Sheffield": ("s2/bbaf2n.mpg", "s2/align/bbaf2n.align"),
    "Zenodo": ("s2/bbaf2n.mpg", "alignments/s2/bbaf2n.align"),
    "by kind": ("video/s2/bbaf2n.mpg", "align/s2/bbaf2n.align"),
    "capital letters": ("s2/BBAF2N.MPG", "s2/bbaf2n.ALIGN"),
    "speaker in the name": ("s2/id2_vcd_bbaf2n.mpg", "s2/align/bbaf2n.align"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read(tmp_path: Path, layout: str) -> None:
    plan = grid(touch(tmp_path, *LAYOUTS[layout]))
    assert [item.id for item in plan.items] == [
        "s2_bbaf2n_0_bin", "s2_bbaf2n_1_blue", "s2_bbaf2n_4_two",
    ]  # fmt: skip
    assert plan.report == ()
    for item in plan.items:
        assert {role: path.suffix.lower() for role, path in item.files.items()} == {
            "video": ".mpg", "align": ".align",
        }  # fmt: skip


@pytest.mark.parametrize("name", ["s34", "s7", "my_clips", "s35", "s01"])
def test_in_no_speakers_folder_the_source_is_the_speaker(tmp_path: Path, name: str) -> None:
    source = touch(tmp_path / name, "bbaf2n.mpg", "align/bbaf2n.align")
    assert {item.facts["speaker"] for item in grid(source).items} == {name}


def test_the_nearest_speakers_folder_counts(tmp_path: Path) -> None:
    source = touch(tmp_path / "s1", "s2/bbaf2n.mpg", "s2/s3/bbaf2n.mpg", "bbaf2n.mpg")
    assert [item.facts["speaker"] for item in grid(source).items[::3]] == ["s1", "s2", "s3"]


def test_speakers_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    files = [f"{s}/{c}.{kind}" for s in ("s10", "s2", "s1") for c in ("swiu2n", "bbaf2n")
             for kind in ("mpg", "align")]  # fmt: skip
    items = grid(touch(tmp_path, *files)).items
    groups = list(dict.fromkeys(item.group for item in items))
    assert groups == [
        "s1_bbaf2n", "s1_swiu2n", "s2_bbaf2n", "s2_swiu2n", "s10_bbaf2n", "s10_swiu2n",
    ]  # fmt: skip
    assert len(items) == 18


def test_a_clip_without_its_partner_fails_by_name(tmp_path: Path) -> None:
    source = touch(tmp_path, "s1/bbaf2n.mpg", "s1/lgwm6n.mpg", "s1/lgwm6n.align", "s1/swwzza.align")
    plan = grid(source)
    said = [(line.id, line.file, line.kind, line.message) for line in plan.report]
    assert len(plan.items) == 9
    assert said[0] == (
        "s1_bbaf2n_0_bin", "s1/bbaf2n.mpg", "failed",
        "s1/bbaf2n.mpg is there, but no bbaf2n.align of its speaker.",
    )  # fmt: skip
    assert said[3] == (
        "s1_swwzza_0_set", "s1/swwzza.align", "failed",
        "s1/swwzza.align is there, but no swwzza.mpg of its speaker.",
    )  # fmt: skip
    assert len(said) == 6


def test_alignments_of_a_speaker_without_films_are_one_line(tmp_path: Path) -> None:
    files = [f"alignments/{s}/{c}.align" for s in ("s1", "s2", "s21") for c in ("bbaf2n", "bbaf3s")]
    plan = grid(touch(tmp_path, "s2/bbaf2n.mpg", "s2/bbaf3s.mpg", *files))
    assert {item.facts["speaker"] for item in plan.items} == {"s2"}
    assert [(line.id, line.kind, line.message) for line in plan.report] == [
        ("", "ignored", "speaker s1 has 2 .align files and no .mpg; it is left out."),
        ("", "ignored", "speaker s21 has 2 .align files and no .mpg; it is left out."),
    ]


@pytest.mark.parametrize("name", ["bbaf2", "bbaw2n", "xbaf2n", "bbaf0n", "bbaf2n (1)", "holiday"])
def test_what_is_not_named_like_a_clip_is_reported(tmp_path: Path, name: str) -> None:
    plan = grid(touch(tmp_path, "s1/bbaf2n.mpg", "s1/bbaf2n.align", f"s1/{name}.mpg"))
    assert len(plan.items) == 3
    (line,) = plan.report
    assert (line.kind, line.file) == ("ignored", f"s1/{name}.mpg")
    assert line.message == f"s1/{name}.mpg is not named like a clip of GRID (bbaf2n)."


def test_other_files_and_hidden_ones_are_no_clips(tmp_path: Path) -> None:
    plan = grid(
        touch(tmp_path, "s1/bbaf2n.mpg", "s1/bbaf2n.align", "jasagrid.pdf", "s1/._bbaf2n.mpg",
              "audio_25k/s1/bbaf2n.wav", "s1.zip")
    )  # fmt: skip
    assert len(plan.items) == 3
    assert plan.report == ()


def test_a_clip_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    source = touch(tmp_path, "s1/bbaf2n.mpg", "s1/mpg_6000/bbaf2n.mpg", "s1/bbaf2n.align")
    with pytest.raises(PrepareError, match=r"clip bbaf2n of speaker s1 twice: .* and .*Remove one"):
        grid(source)


def test_a_folder_that_is_absent_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"nowhere: no such folder; GRID's \.mpg and \.align"):
        grid(tmp_path / "nowhere")
    with pytest.raises(PrepareError, match="nothing of 'grid' was found"):
        prepare(grid(tmp_path), tmp_path / "cache", workers=0, progress=False)


def test_the_mouths_region_is_an_option(tmp_path: Path) -> None:
    source = clip(tmp_path / "s1").parents[1]
    text, numbers = (grid(source, mouth=m) for m in ("150,90,96,168", (150, 90, 96, 168)))
    assert text.parameters == numbers.parameters != grid(source).parameters
    assert grid(source, mouth="auto").parameters["mouth"]["found"] == "per clip"
    word = text.decode(text.items)[0]
    assert word.arrays["frames"].shape == (5, 32, 56)
    assert (word.facts["mouth_top"], word.facts["mouth_left"]) == (150, 90)
    with pytest.raises(ValueError, match="mouth is 'lips'"):
        grid(source, mouth="lips")


def test_one_bad_clip_fails_by_name_and_is_prepared_when_mended(tmp_path: Path) -> None:
    good = clip(tmp_path / "s1", "bbaf2n")
    bad = good.with_name("bbaf3s.mpg")
    bad.write_bytes(good.read_bytes()[:1000])
    align(bad.with_suffix(".align"))  # of bbaf2n
    out = tmp_path / "cache"
    cache = prepare(grid(tmp_path), out, workers=0, progress=False)
    assert cache.failed == ("s1_bbaf3s_0_bin", "s1_bbaf3s_1_blue", "s1_bbaf3s_4_three")
    report = (out / "report.csv").read_text()
    assert "has the word 'two' where the clip's name says 'three'" in report
    before = cache.array("logmel")[:3].copy()

    bad.unlink()
    align(clip(tmp_path / "new", "bbaf3s").with_suffix(".align"))
    shutil.move(tmp_path / "new" / "bbaf3s.mpg", bad)
    text = bad.with_suffix(".align").read_text().replace("two", "three").replace("now", "soon")
    bad.with_suffix(".align").write_text(text)
    shutil.rmtree(tmp_path / "new")
    mended = prepare(grid(tmp_path), out, workers=0, progress=False)
    assert mended.failed == ()
    np.testing.assert_array_equal(mended.array("logmel")[:3], before)
    np.testing.assert_array_equal(mended.array("logmel")[3:], before)  # the same film
