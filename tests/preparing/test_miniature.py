"""The made-up CREMA-D: laid out as the download, decodable, the same at every call, learnable."""

from __future__ import annotations

import csv
import hashlib
import wave
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from asgml_core.datasets import Cache
from asgml_core.datasets.cremad import CLASSES
from asgml_core.preparing import prepare_dataset
from asgml_core.preparing.miniature import MARK, miniature_cremad
from asgml_core.preparing.plan import PrepareError
from asgml_core.real_data import film_strip, picture_probe


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature_cremad(tmp_path_factory.mktemp("miniature") / "CREMA-D")


@pytest.fixture(scope="module")
def cache(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Three frames of each clip, with the miniature's own split."""
    return prepare_dataset(
        "cremad", source, tmp_path_factory.mktemp("cache"), workers=0, progress=False,
        frames=3, choose="even", size="96x128", splits=source / "split",
    )  # fmt: skip


def rows(file: Path) -> list[list[str]]:
    with file.open(newline="") as lines:
        return list(csv.reader(lines))


def bytes_of(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def test_it_is_laid_out_as_the_download(source: Path) -> None:
    films = sorted(file.stem for file in (source / "VideoFlash").glob("*.flv"))
    assert films == sorted(file.stem for file in (source / "AudioWAV").glob("*.wav"))
    assert len(films) == 10 * 6
    assert films[0] == "1001_DFA_ANG_XX"
    assert Counter(name.split("_")[2] for name in films) == dict.fromkeys(CLASSES, 10)
    people = rows(source / "VideoDemographics.csv")
    assert people[0] == ["ActorID", "Age", "Sex", "Race", "Ethnicity"]
    assert [row[0] for row in people[1:]] == [str(1001 + i) for i in range(10)]
    named = rows(source / "SentenceFilenames.csv")
    assert named[0] == ["Stimulus_Number", "Filename"]
    assert sorted(row[1] for row in named[1:]) == films


def test_films_and_sounds_are_of_the_downloads_kind(source: Path) -> None:
    with av.open(str(source / "VideoFlash" / "1002_DFA_SAD_XX.flv")) as film:
        assert film.format.name == "flv"
        picture, sound = film.streams.video[0], film.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("flv", "mp3float")
        assert (picture.codec_context.width, picture.codec_context.height) == (480, 360)
        assert float(picture.average_rate) == pytest.approx(29.97, abs=0.01)
        assert (sound.codec_context.sample_rate, sound.codec_context.layout.nb_channels) == (
            44100, 1,
        )  # fmt: skip
        frames = sum(1 for _ in film.decode(video=0))
    with wave.open(str(source / "AudioWAV" / "1002_DFA_SAD_XX.wav")) as sound:
        assert sound.getparams()[:3] == (1, 2, 16000)
        assert sound.getnframes() / 16000 == pytest.approx(frames / 29.97, abs=0.01)
        samples = np.frombuffer(sound.readframes(1 << 20), "<i2")
    assert 200 < np.abs(samples.astype(int)).max() < 10_000  # sadness is quiet


def test_the_split_has_every_actor_on_both_sides(source: Path) -> None:
    parts = {part: rows(source / "split" / f"{part}.csv") for part in ("train", "test")}
    assert {name[9:12] == label for part in parts.values() for name, label in part} == {True}
    assert len({name for part in parts.values() for name, _ in part}) == 60
    actors = [{name[:4] for name, _ in part} for part in parts.values()]
    assert actors[0] == actors[1]
    assert {label for _, label in parts["test"]} == set(CLASSES)


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    one = miniature_cremad(tmp_path / "one", actors=1, sentences=2)
    assert len(list((one / "VideoFlash").iterdir())) == 2 * 6
    before = bytes_of(one)
    miniature_cremad(one, actors=1, seed=1)
    assert len(list((one / "VideoFlash").iterdir())) == 6
    film = "VideoFlash/1001_DFA_HAP_XX.flv"
    assert bytes_of(one)[film] != before[film]
    assert bytes_of(miniature_cremad(one, actors=1, sentences=2)) == before


def test_a_real_download_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "VideoFlash").mkdir()
    (tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv").write_bytes(b"precious")
    with pytest.raises(PrepareError, match="holds something else than a miniature"):
        miniature_cremad(tmp_path)
    assert (tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv").read_bytes() == b"precious"
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize(("actors", "sentences", "named"), [(0, 1, "actors"), (92, 1, "actors"),
                         (1, 13, "sentences")])  # fmt: skip
def test_impossible_numbers_are_refused(
    actors: int, sentences: int, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"{named} is"):
        miniature_cremad(tmp_path / "none", actors=actors, sentences=sentences)
    assert not (tmp_path / "none").exists()


def test_it_is_prepared_without_a_word(cache: Cache) -> None:
    counts = cache.manifest["counts"]
    assert counts == {"listed": 60, "decoded": 60, "failed": 0, "notes": 0, "ignored": 0}
    assert list(cache.splits) == ["own", *(f"speakers_{fold}" for fold in range(5))]
    assert set(cache.column("sex", cache.rows)) == {"Male", "Female"}
    seconds = np.array(cache.column("seconds", cache.rows), dtype=float)
    assert seconds.min() < 2 < 3 < seconds.max()  # some are repeated, some are cut


def test_the_emotion_is_in_the_middle_and_not_in_the_first_frame(
    cache: Cache, source: Path, tmp_path: Path
) -> None:
    first = prepare_dataset("cremad", source, tmp_path, workers=0, progress=False, size="96x128")
    right, total = picture_probe(first, 0)
    assert total == 60
    assert right < 0.35 * total  # guessing: a sixth
    assert picture_probe(cache, 1)[0] > 0.5 * total
    assert picture_probe(cache, 0)[0] > right


def test_an_actor_looks_like_himself(cache: Cache) -> None:
    shown = {name: cache.array("visual")[row, 1].astype(float) for name, row in cache.rows.items()}
    one, same, other = (
        shown[f"{actor}_DFA_{label}_XX"]
        for actor, label in ((1001, "NEU"), (1001, "DIS"), (1002, "NEU"))
    )
    assert np.abs(one - same).mean() < np.abs(one - other).mean()


def test_a_film_strip_says_which_frames_each_rule_keeps(source: Path) -> None:
    strip = film_strip(source / "VideoFlash" / "1001_DFA_FEA_XX.flv", shown=5, frames=2)
    assert strip.pictures.shape == (5, 360, 480, 3)
    assert strip.times[0] == 0
    assert list(strip.kept) == ["first", "even", "random"]
    assert strip.kept["first"] == pytest.approx((0, 1 / 29.97), abs=1e-4)
    assert strip.kept["even"][0] == pytest.approx(strip.times[-1] / 4, abs=0.04)
