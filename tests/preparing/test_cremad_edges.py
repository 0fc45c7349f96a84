"""CREMA-D from its folders to a cache: the real sample, every layout, what is absent or wrong."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_files import cut, film, naive_frames, no_media, pictures, sound, wav
from PIL import Image

from asgml_core.datasets import Cache
from asgml_core.datasets.cremad import CLASSES
from asgml_core.preparing.cremad import FOLDS, KNOWN_SPLITS, cremad, speaker_part
from asgml_core.preparing.frames import per_second
from asgml_core.preparing.media import read_audio
from asgml_core.preparing.plan import Plan, PrepareError
from asgml_core.preparing.runner import prepare
from asgml_core.preparing.spectrograms import LogSpectrogram
from asgml_core.preparing.splits import BOM
from asgml_core.preparing.verify import verify

SAMPLE = "data/cremad_sample"
PUBLISHED = "data/splits/cremad_ogm_ge"
FRAMES = {"ANG": 67, "DIS": 70, "FEA": 65, "HAP": 56, "NEU": 61, "SAD": 60}


def quiet(plan: Plan, out: Path) -> Cache:
    return prepare(plan, out, workers=0, progress=False)


def report(cache: Cache) -> list[dict[str, str]]:
    with (cache.folder / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# ------------------------------------------------------------------------------- the real sample


@pytest.fixture(scope="module")
def sample(shared: Callable[[str], Path]) -> Path:
    return shared(SAMPLE)


@pytest.fixture(scope="module")
def real(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Give the cache of the real sample."""
    return quiet(cremad(sample), tmp_path_factory.mktemp("cremad"))


def test_every_real_clip_has_its_frames_and_its_facts(real: Cache, sample: Path) -> None:
    emotions, frames = (real.column(name, real.rows) for name in ("emotion", "frames"))
    assert dict(zip(emotions, map(int, frames), strict=True)) == FRAMES
    assert list(real.rows) == [f"1001_DFA_{emotion}_XX" for emotion in FRAMES]
    row = {name: values[0] for name, values in real.items.items()}
    expected = {
        "id": "1001_DFA_ANG_XX", "label": "ANG", "group": "1001", "row": "0", "status": "ok",
        "actor": "1001", "sentence": "DFA", "emotion": "ANG", "level": "XX", "age": "51",
        "sex": "Male", "race": "Caucasian", "ethnicity": "Not Hispanic", "fps": "29.97",
        "height": "360", "width": "480", "rate": "16000", "channels": "1",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert float(row["seconds"]) == pytest.approx(2.2727, abs=1e-4)
    assert verify(real.folder, sample, progress=False) == []


def test_pictures_and_spectrograms_are_those_of_the_files(real: Cache, sample: Path) -> None:
    visual, audio = real.array("visual"), real.array("audio")
    assert (visual.shape, visual.dtype) == ((12, 1, 360, 480, 3), np.uint8)
    assert (audio.shape, audio.dtype) == ((12, 1, 257, 188), np.float32)
    for item, row in real.rows.items():
        assert np.array_equal(
            visual[row, 0], naive_frames(sample / "VideoFlash" / f"{item}.flv")[0]
        )
        heard = LogSpectrogram().waveform(read_audio(sample / "AudioWAV" / f"{item}.wav"))
        np.testing.assert_allclose(audio[row], LogSpectrogram()([heard])[0], atol=1e-6)
    assert len({visual[row].tobytes() for row in real.rows.values()}) == 6


def test_clips_without_their_film_are_failed_by_name(real: Cache) -> None:
    assert real.failed == tuple(f"1002_DFA_{emotion}_XX" for emotion in FRAMES)
    assert [line["message"] for line in report(real)] == [
        f"1002_DFA_{emotion}_XX is not in VideoFlash." for emotion in FRAMES
    ]
    assert real.manifest["counts"] == {
        "listed": 12, "decoded": 6, "failed": 6, "notes": 0, "ignored": 0,
    }  # fmt: skip
    assert not real.array("visual")[6:].any()


def test_the_manifest_says_what_was_done(real: Cache, sample: Path) -> None:
    said = real.manifest
    assert said["classes"] == list(CLASSES) == ["NEU", "HAP", "SAD", "FEA", "DIS", "ANG"]
    assert said["parameters"] == {
        "frames": {"frames": 1, "choose": "first", "fps": None},
        "size": [360, 480],
        "spectrogram": {"rate": 22050, "seconds": 3.0, "n_fft": 512, "hop": 353},
        "video": "VideoFlash",
        "audio": "AudioWAV",
    }
    assert said["source"]["folder"] == str(sample.resolve())
    assert said["source"]["files"] == 12
    assert {"av", "soxr", "torch", "pillow", "numpy", "libavcodec"} <= set(said["versions"])
    assert set(said["splits"]) == {f"speakers_{fold}" for fold in range(5)}


def test_several_even_frames_smaller(sample: Path, tmp_path: Path) -> None:
    cache = quiet(cremad(sample, frames=3, choose="even", size="90x120"), tmp_path / "cache")
    assert cache.array("visual").shape == (12, 3, 90, 120, 3)
    whole = naive_frames(sample / "VideoFlash" / "1001_DFA_DIS_XX.flv")
    for kept, number in enumerate((70 // 6, 70 // 2, 5 * 70 // 6)):
        small = Image.fromarray(whole[number]).resize((120, 90), Image.Resampling.BILINEAR)
        assert np.array_equal(cache.array("visual")[1, kept], np.asarray(small))


def test_mp3_may_take_the_place_of_wav(sample: Path, tmp_path: Path) -> None:
    for folder in ("AudioMP3", "VideoFlash"):
        (tmp_path / folder).mkdir()
    shutil.copy(sample / "AudioMP3" / "1002_DFA_ANG_XX.mp3", tmp_path / "AudioMP3")
    shutil.copy(
        sample / "VideoFlash" / "1001_DFA_ANG_XX.flv",
        tmp_path / "VideoFlash" / "1002_DFA_ANG_XX.flv",
    )
    cache = quiet(cremad(tmp_path, size="8x8"), tmp_path / "cache")
    assert cache.manifest["parameters"]["audio"] == "AudioMP3"
    assert cache.column("rate", cache.rows) == ["44100"]
    heard = LogSpectrogram().waveform(read_audio(sample / "AudioMP3" / "1002_DFA_ANG_XX.mp3"))
    np.testing.assert_allclose(cache.array("audio")[0], LogSpectrogram()([heard])[0], atol=1e-6)
    assert [line["message"] for line in report(cache)] == [
        "VideoDemographics.csv is not there; age, sex, race and ethnicity stay empty."
    ]


def test_extracted_frames_may_take_the_place_of_films(sample: Path, tmp_path: Path) -> None:
    """``Image-01-FPS/<clip>/<number>.jpg``, as OGM-GE's official code extracts them."""
    shutil.copytree(sample / "AudioWAV", tmp_path / "AudioWAV")
    for path in (sample / "VideoFlash").glob("*.flv"):
        whole = naive_frames(path)
        folder = tmp_path / "Image-01-FPS" / path.stem
        folder.mkdir(parents=True)
        for number, frame in enumerate(per_second(len(whole), 29.97, 1)):
            Image.fromarray(whole[frame]).save(folder / f"{number:05}.jpg", quality=95)
    cache = quiet(cremad(tmp_path, frames=2), tmp_path / "cache")
    assert len(cache.rows) == 6
    assert cache.column("frames", cache.rows) == ["3", "3", "3", "2", "3", "3"]
    assert set(cache.column("fps", cache.rows)) == {"1"}
    assert {line["kind"] for line in report(cache) if line["id"][:4] == "1001"} == set()
    for item, row in cache.rows.items():
        found = cache.array("visual")[row].astype(int)
        expected = naive_frames(sample / "VideoFlash" / f"{item}.flv")[[0, 29]]
        assert np.abs(found - expected).mean() < 3
        with Image.open(tmp_path / "Image-01-FPS" / item / "00001.jpg") as picture:
            assert np.array_equal(found[1], np.asarray(picture))


# ----------------------------------------------------------------------------- the published split


@pytest.mark.parametrize("change", ["as it is", "bom", "lf", "bom and lf"])
def test_the_published_split_is_recognised(
    shared: Callable[[str], Path], tmp_path: Path, change: str
) -> None:
    source, splits = clips(tmp_path / "source", "1001_DFA_ANG_XX"), tmp_path / "splits"
    splits.mkdir()
    for part in ("train", "test"):
        content = (shared(PUBLISHED) / f"{part}.csv").read_bytes().removeprefix(BOM)
        if "lf" in change:
            content = content.replace(b"\r\n", b"\n")
        (splits / f"{part}.csv").write_bytes(BOM + content if "bom" in change else content)
    plan = cremad(source, size="8x8", splits=splits)
    split = plan.splits["ogm_ge"]
    assert Counter(split.parts.values()) == {"train": 6698, "test": 744}
    actors: dict[str, set[str]] = {"train": set(), "test": set()}
    for clip, part in split.parts.items():
        actors[part].add(clip[:4])
    assert actors["train"] == actors["test"] == {str(actor) for actor in range(1001, 1092)}
    assert len(plan.items) == 7442
    (there,) = [item for item in plan.items if item.files]
    assert there.id == "1001_DFA_ANG_XX"
    assert len([line for line in plan.report if line.kind == "failed"]) == 7441
    said = {line.id: line.message for line in plan.report}["1088_IOM_NEU_XX"]
    assert said == (
        "1088_IOM_NEU_XX is not in VideoFlash and not in AudioWAV, but "
        f"{splits / 'train.csv'}, line 1 names it."
    )
    folds = [plan.splits[f"speakers_{fold}"].parts for fold in range(FOLDS)]
    tested = Counter(clip for parts in folds for clip in parts if parts[clip] == "test")
    assert set(tested.values()) == {1}
    assert len(tested) == 7442
    for parts in folds:
        shares = Counter(parts.values())
        assert 0.17 < shares["test"] / 7442 < 0.23
        assert 0.07 < shares["valid"] / 7442 < 0.13


def test_a_changed_published_split_is_ones_own(
    shared: Callable[[str], Path], tmp_path: Path
) -> None:
    source = clips(tmp_path / "source", "1001_DFA_ANG_XX")
    splits = tmp_path / "splits"
    splits.mkdir()
    for part in ("train", "test"):
        lines = (shared(PUBLISHED) / f"{part}.csv").read_bytes().splitlines(keepends=True)
        (splits / f"{part}.csv").write_bytes(b"".join(lines[:-1]))
    plan = cremad(source, size="8x8", splits=splits)
    assert set(plan.splits) == {"own", *(f"speakers_{fold}" for fold in range(5))}
    assert set(KNOWN_SPLITS) == {"ogm_ge"}


# ------------------------------------------------------------------------------------- speakers


@given(actor=st.integers(1001, 1091))
def test_an_actor_is_tested_once_and_is_in_one_part_of_a_fold(actor: int) -> None:
    parts = [speaker_part(actor, fold) for fold in range(FOLDS)]
    assert parts.count("test") == 1
    assert set(parts) <= {"train", "valid", "test"}


def test_folds_are_of_like_sizes_and_no_two_alike() -> None:
    folds = [
        {actor: speaker_part(actor, fold) for actor in range(1001, 1092)} for fold in range(FOLDS)
    ]
    for parts in folds:
        counts = Counter(parts.values())
        assert counts["test"] in (18, 19)
        assert counts["valid"] in (9, 10)
        assert counts["train"] >= 62
    assert len({tuple(parts.values()) for parts in folds}) == FOLDS


# ------------------------------------------------------------------------------- made-up folders


def clips(source: Path, *names: str, rate: int = 16000, channels: int = 1) -> Path:
    """Write miniature films of a second, with their sounds."""
    for seed, name in enumerate(names):
        film(source / "VideoFlash" / f"{name}.flv", pictures(25, seed=seed))
        wav(source / "AudioWAV" / f"{name}.wav", sound(1, rate, channels, seed), rate)
    return source


TWO = ("1001_DFA_ANG_XX", "1002_IEO_HAP_HI")


def small(source: Path, **options: object) -> Plan:
    return cremad(source, size="48x64", **options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return clips(tmp_path / "source", *TWO, "1003_TIE_NEU_XX")


@pytest.mark.parametrize("where", ["VideoFlash", "AudioWAV"])
@pytest.mark.parametrize(
    "harm", ["cut", "empty", "text", "random bytes", "zip", "playlist of a path", "folder", "other"]
)
def test_one_bad_file_fails_by_name_and_the_others_are_there(
    source: Path, tmp_path: Path, where: str, harm: str
) -> None:
    expected = quiet(small(source), tmp_path / "expected")
    bad = source / where / f"{TWO[1]}{'.flv' if where == 'VideoFlash' else '.wav'}"
    kept = bad.read_bytes()
    other = source / "AudioWAV" / f"{TWO[0]}.wav"
    other = other if where == "VideoFlash" else film(tmp_path / "mute.flv")
    bad.unlink()
    if harm == "folder":
        bad.mkdir()
    else:
        harms = {
            "cut": kept[: len(kept) // 2], "empty": b"", "other": other.read_bytes(),
            **dict(no_media(tmp_path, "http://127.0.0.1:9/x.flv")),
        }  # fmt: skip
        bad.write_bytes(harms[harm])
    cache = quiet(small(source), tmp_path / "cache")
    assert cache.failed == (TWO[1],)
    (line,) = [line for line in report(cache) if line["kind"] == "failed"]
    assert line["id"] == TWO[1]
    assert line["message"].startswith(f"{bad.name} ")
    for name in ("visual", "audio"):
        for row in (0, 2):
            assert np.array_equal(cache.array(name)[row], expected.array(name)[row])
    if harm == "folder":
        bad.rmdir()
    bad.write_bytes(kept)
    mended = quiet(small(source), tmp_path / "cache")
    assert mended.manifest["fingerprint"] == expected.manifest["fingerprint"]


def test_one_bad_picture_fails_by_name(tmp_path: Path) -> None:
    source = clips(tmp_path / "source", *TWO)
    shutil.rmtree(source / "VideoFlash")
    for clip in TWO:
        folder = source / "Image-01-FPS" / clip
        folder.mkdir(parents=True)
        Image.fromarray(pictures(1)[0]).save(folder / "00000.jpg")
    cut(source / "Image-01-FPS" / TWO[0] / "00000.jpg", 300)
    cache = quiet(small(source), tmp_path / "cache")
    assert cache.failed == (TWO[0],)
    assert report(cache)[1]["message"].startswith(f"{TWO[0]}/00000.jpg is no readable picture")
    shutil.copy(source / "Image-01-FPS" / TWO[1] / "00000.jpg",
                source / "Image-01-FPS" / TWO[0] / "00000.jpg")  # fmt: skip
    assert quiet(small(source), tmp_path / "cache").failed == ()


@pytest.mark.parametrize(
    ("rate", "channels", "notes"),
    [
        (44100, 1, ["its sound has 44100 samples a second, not 16000."]),
        (16000, 2, ["its sound has 2 channels; their mean is used."]),
        (48000, 6, ["its sound has 48000 samples a second, not 16000.",
                    "its sound has 6 channels; their mean is used."]),
    ],
)  # fmt: skip
def test_another_rate_or_more_channels_are_used_with_a_note(
    tmp_path: Path, rate: int, channels: int, notes: list[str]
) -> None:
    source = clips(tmp_path / "source", TWO[0], rate=rate, channels=channels)
    cache = quiet(small(source), tmp_path / "cache")
    lines = [line for line in report(cache) if line["id"]]
    assert [line["message"] for line in lines] == notes
    assert {line["kind"] for line in lines} == {"note"}
    assert cache.column("channels", cache.rows) == [str(channels)]
    mean = sound(1, rate, channels).mean(axis=0, keepdims=True)
    heard = LogSpectrogram().waveform(read_audio(wav(tmp_path / "mean.wav", mean, rate, "f32")))
    expected = np.exp(LogSpectrogram()([heard])[0])  # 16 bits show in the logarithm
    np.testing.assert_allclose(np.exp(cache.array("audio")[0]), expected, atol=2e-3)


def test_what_is_odd_is_noted(tmp_path: Path) -> None:
    source = clips(tmp_path / "source", TWO[0])
    film(source / "VideoFlash" / f"{TWO[1]}.flv", 50)
    wav(source / "AudioWAV" / f"{TWO[1]}.wav", 0 * sound(1))
    shutil.copy(film(tmp_path / "x.mp4"), source / "VideoFlash" / f"{TWO[0]}.flv")
    cache = quiet(small(source), tmp_path / "cache")
    assert [(line["id"], line["message"]) for line in report(cache)[1:]] == [
        (TWO[0], f"{TWO[0]}.flv is a mov file by its content, in spite of its name."),
        (TWO[1], "its film lasts 2.00 s, its sound 1.00 s."),
        (TWO[1], "its sound is silent: every sample is 0."),
    ]


def test_numbers_that_are_none_fail_by_name(tmp_path: Path) -> None:
    source = clips(tmp_path / "source", *TWO)
    samples = sound(1)
    samples[0, 700] = np.nan
    wav(source / "AudioWAV" / f"{TWO[1]}.wav", samples, kind="f32")
    cache = quiet(small(source), tmp_path / "cache")
    assert cache.failed == (TWO[1],)
    assert np.isfinite(cache.array("audio")[0]).all()


def test_too_few_frames_fail_by_name(source: Path, tmp_path: Path) -> None:
    film(source / "VideoFlash" / f"{TWO[0]}.flv", 2)
    cache = quiet(small(source, frames=3), tmp_path / "cache")
    assert cache.failed == (TWO[0],)
    assert report(cache)[1]["message"] == f"{TWO[0]} has 2 frames, but 3 are wanted."


def test_other_files_are_reported_and_hidden_ones_are_not(source: Path, tmp_path: Path) -> None:
    for name in ("readme.txt", "1004_DFA_ANG_XX.mp4", "1001_DFA_XYZ_XX.flv", "1001.flv",
                 "._1001_DFA_ANG_XX.flv", ".DS_Store", "1005_DFA_ANG_XX.FLV"):  # fmt: skip
        (source / "VideoFlash" / name).touch()
    wav(source / "AudioWAV" / "1004_DFA_ANG_XX.wav", sound(1))
    plan = small(source)
    said = {line.file or line.id: (line.kind, line.message) for line in plan.report}
    assert said["VideoFlash/readme.txt"] == (
        "ignored",
        "VideoFlash/readme.txt: its name ends in '.txt', but '.flv' was expected.",
    )
    assert said["VideoFlash/1001_DFA_XYZ_XX.flv"][1].endswith(
        "is not named like a clip (1001_DFA_ANG_XX)."
    )
    assert "not named like a clip" in said["VideoFlash/1001.flv"][1]
    assert "not named like a clip" in said["VideoFlash/1005_DFA_ANG_XX.FLV"][1]
    assert said["AudioWAV/1004_DFA_ANG_XX.wav"] == (
        "failed",
        "1004_DFA_ANG_XX is not in VideoFlash; there is VideoFlash/1004_DFA_ANG_XX.mp4.",
    )
    assert not any("._" in name or "DS_Store" in name for name in said)
    cache = quiet(plan, tmp_path / "cache")
    assert len(cache.rows) == 3
    assert cache.manifest["counts"]["ignored"] == 5


def test_a_file_whose_name_is_no_text_is_reported(source: Path, tmp_path: Path) -> None:
    """As an archive made on Windows leaves them."""
    try:
        Path(os.fsdecode(os.fsencode(source / "VideoFlash") + b"/caf\xe9.flv")).touch()
    except OSError:
        pytest.skip("this file system takes no such name")
    cache = quiet(small(source), tmp_path / "cache")
    assert len(cache.rows) == 3
    assert report(cache)[0]["file"] == r"VideoFlash/caf\udce9.flv"
    assert Cache.open(tmp_path / "cache").failed == ()


def test_what_a_source_must_have(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"nowhere has no folder VideoFlash; CREMA-D's Video"):
        cremad(tmp_path / "nowhere")
    (tmp_path / "VideoFlash").mkdir()
    with pytest.raises(PrepareError, match=r"has no folder AudioWAV; .* or AudioMP3 is needed"):
        cremad(tmp_path)
    (tmp_path / "AudioWAV").mkdir()
    with pytest.raises(PrepareError, match="nothing of 'cremad' was found there"):
        quiet(cremad(tmp_path), tmp_path / "cache")
    with pytest.raises(PrepareError, match="has no folder Films"):
        cremad(tmp_path, video="Films")
    (tmp_path / "VideoFlash").rmdir()
    for name in ("Image-01-FPS", "Image-02-FPS"):
        (tmp_path / name).mkdir()
    with pytest.raises(PrepareError, match=r"has Image-01-FPS, Image-02-FPS; say which \(--video"):
        cremad(tmp_path)
    assert cremad(tmp_path, video="Image-02-FPS").parameters["video"] == "Image-02-FPS"


@pytest.mark.parametrize("size", ["360", "360x", "7x480", "360x5000", "-8x8", "8 x 8", "", None])
def test_a_size_that_is_none_is_refused(source: Path, size: str) -> None:
    with pytest.raises(ValueError, match=r"size is .* must be height x width in pixels"):
        cremad(source, size=size)


# ---------------------------------------------------------------------------------- their tables


HEADER = "ActorID,Age,Sex,Race,Ethnicity"


def test_demographics_are_joined_by_actor(source: Path, tmp_path: Path) -> None:
    text = f"\ufeff{HEADER}\r\n1002,21,Female,Asian,Hispanic\r\n1001,51,Male,Caucasian,Other\r\n"
    (source / "VideoDemographics.csv").write_text(text, newline="")
    cache = quiet(small(source), tmp_path / "cache")
    assert cache.column("age", cache.rows) == ["51", "21", ""]
    assert cache.column("ethnicity", cache.rows) == ["Other", "Hispanic", ""]
    assert report(cache) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEADER}\n1001,51,Ma\xefle,x,y\n".encode("latin-1"), "is no readable table"),
        (b"ActorID,Age,Sex,Race\n1001,51,Male,x\n", "has no column 'Ethnicity'"),
        (b"Actor;Age\n1001;51\n", "has no column 'ActorID'"),
        (f'{HEADER}\n"'.encode() + b"x" * 140_000, "is no readable table: field larger"),
    ],
)
def test_wrong_demographics_are_refused(source: Path, content: bytes, message: str) -> None:
    (source / "VideoDemographics.csv").write_bytes(content)
    with pytest.raises(PrepareError, match=f"VideoDemographics.csv {message}"):
        small(source)


@pytest.mark.parametrize("content", [b"", f"{HEADER}\n".encode(), f"{HEADER}\n1001,51\n".encode()])
def test_demographics_may_have_gaps(source: Path, tmp_path: Path, content: bytes) -> None:
    (source / "VideoDemographics.csv").write_bytes(content)
    cache = quiet(small(source), tmp_path / "cache")
    assert len(cache.rows) == 3


def own(folder: Path, **parts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for part, text in parts.items():
        (folder / f"{part}.csv").write_text(text)
    return folder


def test_ones_own_split(source: Path, tmp_path: Path) -> None:
    splits = own(
        tmp_path / "splits", train="1001_DFA_ANG_XX,ANG\n", test="1002_IEO_HAP_HI,HAP\n",
        valid="1003_TIE_NEU_XX,NEU\n1009_TIE_NEU_XX,NEU\n",
    )  # fmt: skip
    cache = quiet(small(source, splits=splits), tmp_path / "cache")
    expected = dict(zip((*TWO, "1003_TIE_NEU_XX", "1009_TIE_NEU_XX"),
                        ("train", "test", "valid", "valid"), strict=True))  # fmt: skip
    assert cache.split("own") == expected
    assert cache.failed == ("1009_TIE_NEU_XX",)
    assert "valid.csv, line 2 names it" in report(cache)[-1]["message"]
    assert cache.splits["own"]["rule"] == "from files"
    assert set(cache.splits["own"]["files"]) == {"train", "valid", "test"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": "1001_DFA_ANG_XX,JOY\n"}, "line 1: the label is 'JOY', but must be one of NEU,"),
        ({"train": "1001_DFA_ANG_XX,ang\n"}, "line 1: the label is 'ang'"),
        ({"train": "1001_DFA_ANG_XX,HAP\n"}, "clip '1001_DFA_ANG_XX' with label 'HAP'.*its label"),
        ({"train": "1001_DFA_ANG,ANG\n"}, "clip '1001_DFA_ANG' with label 'ANG'"),
        ({"train": "../../etc/passwd,ANG\n"}, "clip '../../etc/passwd' with label"),
        ({"train": "1001_DFA_ANG_XX.flv,ANG\n"}, "a clip is named like 1001_DFA_ANG_XX"),
        ({"train": "1001_DFA_ANG_XX\n"}, "but 2 fields between ',' are needed"),
        ({"train": "", "test": ""}, ""),
    ],
)
def test_a_wrong_split_is_refused(
    source: Path, tmp_path: Path, parts: Mapping[str, str], message: str
) -> None:
    splits = own(tmp_path / "splits", **{"test": "1002_IEO_HAP_HI,HAP\n", **parts})
    if not message:  # no lines: an empty split, of which a run will say that it has no items
        assert small(source, splits=splits).splits["own"].parts == {}
        return
    with pytest.raises(PrepareError, match=rf"train\.csv, line 1.*{message}|{message}"):
        small(source, splits=splits)


def test_a_split_needs_both_its_files(source: Path, tmp_path: Path) -> None:
    splits = own(tmp_path / "splits", train="1001_DFA_ANG_XX,ANG\n")
    with pytest.raises(PrepareError, match=r"test.csv: no such file; a split is train.csv and"):
        small(source, splits=splits)
    with pytest.raises(PrepareError, match=r"train.csv: no such file"):
        small(source, splits=tmp_path / "nowhere")
