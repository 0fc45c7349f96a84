"""The notebook on real data: its parameters, its tables and its figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asgml_core import figures, notebooks, tables
from asgml_core.datasets import Cache
from asgml_core.datasets.transforms import Pictures
from asgml_core.preparing import prepare_dataset
from asgml_core.preparing.miniature import miniature_cremad
from asgml_core.real_data import FilmStrip, RealData


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two actors, of whom one film is cut."""
    folder = miniature_cremad(tmp_path_factory.mktemp("download") / "CREMA-D", actors=2)
    film = folder / "VideoFlash" / "1002_DFA_DIS_XX.flv"
    film.write_bytes(film.read_bytes()[:20_000])
    return folder


@pytest.fixture(scope="module")
def cache(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    out = tmp_path_factory.mktemp("cache")
    options = {"size": "48x64", "splits": source / "split", "workers": 0, "progress": False}
    return prepare_dataset("cremad", source, out, **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sorce": "x"}, "parameter is 'sorce'.*Did you mean 'source'"),
        ({"source": "nowhere"}, "source is 'nowhere', but there is no such folder"),
        ({"splits": 3}, "splits is 3, but must be the path of a folder"),
        ({"choose": "middle"}, "choose is 'middle', but must be one of: 'first', 'even'"),
        ({"size": "big"}, "size is 'big', but must be height x width"),
        ({"frames": 0}, "frames is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"again": 1}, "again is 1"),
        ({"device": "tpu"}, "device is 'tpu'"),
    ],
)
def test_impossible_parameters_are_refused(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        notebooks.settings(given, RealData)


def test_a_given_download_is_taken_as_it_is(source: Path, tmp_path: Path) -> None:
    chosen = RealData(source=str(source), cache=str(tmp_path / "cache"), size="48x64", frames=2)
    assert chosen.download() == source
    made = chosen.prepare(source, frames=1, choose="first")
    assert made.folder == tmp_path / "cache_1_first"
    assert "own" not in made.splits  # only the miniature has a split of its own
    assert made.manifest["arrays"]["visual"]["shape"] == [1, 48, 64, 3]
    config = chosen.config(made)
    assert config.data.options["split"] == "speakers_0"
    assert config.model.width == 8


def test_without_a_download_a_miniature_is_drawn(tmp_path: Path) -> None:
    chosen = RealData(outputs=str(tmp_path))
    assert chosen.cache_folder() == tmp_path / "miniature" / "cache"
    assert RealData(outputs=str(tmp_path), source=str(tmp_path)).cache_folder() == (
        tmp_path / "download" / "cache"
    )


def test_a_download_is_counted_by_folder(source: Path) -> None:
    table = tables.folders(source)
    assert table.loc["VideoFlash/", "files"] == 12
    assert table.loc["split/", "the first"] == "test.csv"
    size = sum(file.stat().st_size for file in (source / "AudioWAV").iterdir())
    assert table.loc["AudioWAV/", "MB"] == pytest.approx(size / 1e6, abs=0.005)


def test_tables_are_those_of_the_cache(cache: Cache) -> None:
    report = tables.report(cache)
    assert report[["id", "kind"]].to_numpy().tolist() == [["1002_DFA_DIS_XX", "failed"]]
    arrays = tables.arrays(cache)
    assert arrays.loc["visual", "an item"] == "1 x 48 x 64 x 3"
    assert arrays.loc["audio", "MB in all"] == pytest.approx(12 * 257 * 188 * 4 / 1e6, abs=0.05)
    splits = tables.splits(cache)
    assert splits.loc["own", ["train", "valid", "test", "groups"]].tolist() == [10, 0, 2, 2]
    assert splits["in two parts"].to_dict() == {"own": 2} | {
        f"speakers_{fold}": 0 for fold in range(5)
    }


def test_repeats_by_hand() -> None:
    said = tables.repeats(np.array([1.5, 2.5, 3.0, 4.0]), 3.0)
    assert said == {
        "clips": 4, "shortest": 1.5, "median": 2.75, "longest": 4.0, "shorter": 50.0,
        "longer": 25.0, "repeated": pytest.approx(100 * (0.5 + 0.5 / 3) / 4),
        "cut off": pytest.approx(100 / 11),
    }  # fmt: skip


def test_shares_have_their_binomial_error() -> None:
    table = tables.shares_right({"a": (30, 60), "b": (60, 60)})
    assert table.loc["a"].tolist() == [60, 50.0, pytest.approx(100 * (0.25 / 60) ** 0.5)]
    assert table.loc["b", "error"] == 0


def test_notes_name_what_is_missing(cache: Cache) -> None:
    from asgml_core.datasets import cremad

    data = cremad(seed=0, path=str(cache.folder), split="own", allow_missing=True)
    said = tables.notes(data.notes).set_index("what")["value"]
    assert said["items in the cache"] == "11 of 12"
    assert said["of the split, missing"] == "1: 1002_DFA_DIS_XX"
    assert said["split"] == "own (from files)"


def test_the_sounds_figure_marks_where_a_clip_begins_again(cache: Cache) -> None:
    figure = figures.repeated_sound(cache)
    seconds = np.array(cache.column("seconds", cache.rows), dtype=float)
    assert f"{seconds.min():.2f} s" in figure.axes[0].get_title()
    seam = figure.axes[0].get_lines()[0].get_xdata()[0]
    assert seam == pytest.approx(seconds.min(), abs=1e-9)
    drawn = sum(patch.get_height() for patch in figure.axes[3].patches)
    assert drawn == len(seconds)


def test_the_other_figures_show_what_they_are_given(cache: Cache) -> None:
    pair = figures.two_frames(cache, cache, 0, ("one", "other"))
    shown = pair.axes[0].get_images()[0].get_array()
    assert np.array_equal(shown, cache.array("visual")[cache.rows["1001_DFA_NEU_XX"], 0])
    strip = FilmStrip(np.zeros((3, 4, 5, 3), np.uint8), (0.0, 1.0, 2.0), {"first": (0.0, 0.5)})
    dots = figures.film_strip(strip).axes[-1].get_lines()[-1]
    assert dots.get_xdata().tolist() == [0.0, 0.5]
    bars = figures.groups_of_splits(cache).axes[0].patches
    heights = [bar.get_height() for bar in bars]
    assert heights == pytest.approx([5 / 6, 5 / 6, 0, 0, 1 / 6, 1 / 6])


def test_crops_are_those_of_the_transform(cache: Cache) -> None:
    frame = cache.array("visual")[0, 0]
    figure = figures.crops(frame, Pictures(size=16, frames=1), seed=3, drawn_boxes=50)
    whole, *eight, sizes = figure.axes
    assert len(whole.patches) == len(eight) == 8
    assert eight[0].get_images()[0].get_array().shape == (16, 16, 3)
    assert len(sizes.collections[0].get_offsets()) == 50
    box = whole.patches[0]
    share = box.get_width() * box.get_height() / (48 * 64)
    assert sizes.collections[0].get_offsets()[0, 0] == pytest.approx(share)
