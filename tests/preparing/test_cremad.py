"""CREMA-D: the real sample against librosa and plain decoding; bad files and bad splits."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from media_files import cut, film, naive_frames, no_media, sound, wav
from PIL import Image

from asgml_core.datasets.cache import Cache
from asgml_core.preparing import prepare_dataset
from asgml_core.preparing.cremad import FOLDS, cremad, speaker_part
from asgml_core.preparing.media import read_audio, read_video
from asgml_core.preparing.plan import ItemError, PrepareError
from asgml_core.preparing.spectrograms import LogSpectrogram

FRAMES = {"ANG": 67, "DIS": 70, "FEA": 65, "HAP": 56, "NEU": 61, "SAD": 60}


@pytest.fixture(scope="session")
def sample(shared: Callable[[str], Path]) -> Path:
    return shared("data/cremad_sample")


def librosa_spectrogram(samples: np.ndarray) -> np.ndarray:
    """Compute the study's spectrogram of a sound at 22050 Hz, item by item with librosa."""
    librosa = pytest.importorskip("librosa")
    tiled = np.clip(np.tile(samples, 3)[: 22050 * 3], -1, 1)
    return np.log(np.abs(librosa.stft(tiled, n_fft=512, hop_length=353)) + 1e-7)


def prepared(source: Path, out: Path, **options: object) -> Cache:
    return prepare_dataset("cremad", source, out, workers=0, progress=False, **options)


def reported(cache: Cache) -> dict[str, dict[str, str]]:
    with (cache.folder / "report.csv").open(newline="") as file:
        return {line["id"] or line["file"]: line for line in csv.DictReader(file)}


# --- The real sample ---------------------------------------------------------------------------


def test_real_clips_become_frames_and_spectrograms(sample: Path, tmp_path: Path) -> None:
    librosa = pytest.importorskip("librosa")
    cache = prepared(sample, tmp_path / "cache")
    assert cache.failed == tuple(f"1002_DFA_{name}_XX" for name in FRAMES)
    for name, count in FRAMES.items():
        clip = f"1001_DFA_{name}_XX"
        assert cache.column("frames", [clip]) == [str(count)]
        first = naive_frames(sample / "VideoFlash" / f"{clip}.flv")
        assert len(first) == count
        assert np.array_equal(cache.array("visual")[cache.rows[clip]], first[:1])
        samples, _ = librosa.load(sample / "AudioWAV" / f"{clip}.wav", sr=22050)
        found = cache.array("audio")[cache.rows[clip], 0]
        assert found.shape == (257, 188)
        np.testing.assert_allclose(found, librosa_spectrogram(samples), atol=1e-4)
    assert cache.column("age", ["1001_DFA_ANG_XX"]) == ["51"]
    assert cache.column("group", ["1001_DFA_ANG_XX"]) == ["1001"]


def test_mp3_is_read_as_librosa_reads_it(sample: Path) -> None:
    librosa = pytest.importorskip("librosa")
    for file in sorted((sample / "AudioMP3").glob("*.mp3")):
        samples, _ = librosa.load(file, sr=22050)
        waveform = LogSpectrogram().waveform(read_audio(file))
        np.testing.assert_allclose(waveform, np.tile(samples, 3)[: 22050 * 3], atol=1e-5)
        # Decoders differ in the last digits, which a logarithm shows near silence only.
        found, expected = LogSpectrogram()([waveform])[0, 0], librosa_spectrogram(samples)
        loud = expected > -7
        assert loud.mean() > 0.5
        np.testing.assert_allclose(found[loud], expected[loud], atol=1e-2)


def test_frames_are_those_asked_for(sample: Path, tmp_path: Path) -> None:
    clip = "1001_DFA_HAP_XX"
    whole = naive_frames(sample / "VideoFlash" / f"{clip}.flv")
    for number, (options, wanted) in enumerate(
        (
            ({"frames": 3, "choose": "even"}, [9, 28, 46]),
            ({"frames": 2, "choose": "first"}, [0, 1]),
            ({"frames": 2, "choose": "first", "fps": 1}, [0, 29]),
            ({"frames": 4, "choose": "first", "fps": 3}, [0, 9, 18, 29]),
        )
    ):
        cache = prepared(sample, tmp_path / f"{number}", **options)
        assert np.array_equal(cache.array("visual")[cache.rows[clip]], whole[wanted])
    once, again = (
        prepared(sample, tmp_path / name, frames=4, choose="random") for name in ("a", "b")
    )
    kept = once.array("visual")[once.rows[clip]]
    assert np.array_equal(kept, again.array("visual")[again.rows[clip]])
    places = [int(np.flatnonzero((whole == frame).all((1, 2, 3)))[0]) for frame in kept]
    assert places == sorted(set(places))
    assert places != [0, 1, 2, 3]


def test_extracted_frames_in_place_of_films(sample: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(sample / "AudioWAV", source / "AudioWAV")
    clip = "1001_DFA_ANG_XX"
    folder = source / "Image-01-FPS" / clip
    folder.mkdir(parents=True)
    for number, frame in enumerate(naive_frames(sample / "VideoFlash" / f"{clip}.flv")[::29]):
        Image.fromarray(frame).save(folder / f"{29 * number:05}.jpg", quality=95)
    cache = prepared(source, tmp_path / "cache")
    with Image.open(folder / "00000.jpg") as picture:
        expected = np.asarray(picture.convert("RGB"))
    assert list(cache.rows) == [clip]
    assert np.array_equal(cache.array("visual")[0, 0], expected)
    (folder / "00000.jpg").write_bytes((folder / "00000.jpg").read_bytes()[:900])
    cache = prepared(source, tmp_path / "cache")
    assert f"{clip}/00000.jpg is no readable picture" in reported(cache)[clip]["message"]


def test_another_size_is_resampled(sample: Path, tmp_path: Path) -> None:
    cache = prepared(sample, tmp_path / "cache", size="90x120")
    clip = "1001_DFA_ANG_XX"
    whole = prepared(sample, tmp_path / "whole").array("visual")[0, 0]
    picture = Image.fromarray(whole).resize((120, 90), Image.Resampling.BILINEAR)
    assert np.array_equal(cache.array("visual")[cache.rows[clip], 0], np.asarray(picture))
    with pytest.raises(ValueError, match="size is '90', but must be height x width"):
        cremad(sample, size="90")


# --- Splits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["as it is", "mark and CRLF", "LF"])
def test_the_published_split_is_recognised(
    sample: Path, shared: Callable[[str], Path], tmp_path: Path, form: str
) -> None:
    for part in ("train", "test"):
        content = shared(f"data/splits/cremad_ogm_ge/{part}.csv").read_bytes()
        plain = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
        marked = b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n")
        chosen = {"as it is": content, "mark and CRLF": marked, "LF": plain}[form]
        (tmp_path / f"{part}.csv").write_bytes(chosen)
    plan = cremad(sample, splits=tmp_path)
    split = plan.splits["ogm_ge"]
    counts = [list(split.parts.values()).count(part) for part in ("train", "test")]
    assert counts == [6698, 744]
    actors = [{clip[:4] for clip, p in split.parts.items() if p == part} for part in
              ("train", "test")]  # fmt: skip
    assert actors[0] == actors[1]
    assert len(actors[0]) == 91
    absent = {line.id: line.message for line in plan.report if line.kind == "failed"}
    assert len(absent) == 7442 - 6  # every clip but the six is named, and not there
    assert "train.csv, line" in absent["1088_IOM_NEU_XX"]
    assert "is not in VideoFlash and not in AudioWAV" in absent["1088_IOM_NEU_XX"]
    for fold in range(FOLDS):  # all 91 actors: nobody is in two parts, and all are tested once
        parts = plan.splits[f"speakers_{fold}"].parts
        by_part: dict[str, set[str]] = {}
        for clip, part in parts.items():
            by_part.setdefault(part, set()).add(clip[:4])
        assert sum(map(len, by_part.values())) == 91
        assert 17 <= len(by_part["test"]) <= 19
        assert 8 <= len(by_part["valid"]) <= 10


def test_every_actor_is_tested_in_one_fold() -> None:
    for actor in range(1001, 1092):
        parts = [speaker_part(actor, fold) for fold in range(FOLDS)]
        assert parts.count("test") == 1
        assert parts.count("valid") <= 1


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (b"1001_DFA_ANG_XX,MAD\n", b"", r"train.csv, line 1: the label is 'MAD', but must be one"),
        (b"1001_DFA_ANG_XX,HAP\n", b"", r"line 1: clip '1001_DFA_ANG_XX' with label 'HAP'"),
        (b"1001_DFA_ANG_XX,ANG\n\n1001_DFA_ANG_XX,ANG\n", b"", r"line 3: .*already .*line 1"),
        (b"1001_DFA_ANG_XX,ANG\n", b"1001_DFA_ANG_XX,ANG\n", r"test.csv, line 1: .*train.csv"),
        (b"1001_DFA_ANG_XX\n", b"", r"line 1 is '1001_DFA_ANG_XX', but 2 fields"),
        (b"1001_DFA_ANG_XX,ANG,1\n", b"", r"but 2 fields between ',' are needed"),
        (b"1001_DFA_ANG_XX,\n", b"", r"but 2 fields"),
        (b"happy,HAP\n", b"", r"clip 'happy' with label 'HAP'"),
        (b"1001_DFA_\xe9_XX,ANG\n", b"", r"train.csv is no UTF-8 text"),
    ],
)  # fmt: skip
def test_wrong_split_files(
    sample: Path, tmp_path: Path, train: bytes, test: bytes, message: str
) -> None:
    (tmp_path / "train.csv").write_bytes(train)
    (tmp_path / "test.csv").write_bytes(test)
    with pytest.raises(PrepareError, match=message):
        cremad(sample, splits=tmp_path)


def test_what_the_folders_must_have(sample: Path, tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"has no folder VideoFlash"):
        cremad(tmp_path)
    with pytest.raises(PrepareError, match=r"train.csv: no such file; a split is"):
        cremad(sample, splits=tmp_path)
    for name in ("Image-01-FPS", "Image-03-FPS"):
        (tmp_path / name).mkdir()
    with pytest.raises(PrepareError, match=r"Image-01-FPS, Image-03-FPS; say which \(--video\)"):
        cremad(tmp_path)


# --- Bad files ---------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Write eight good clips, as small as may be."""
    source = tmp_path / "made"
    for number, name in enumerate((*FRAMES, "ANG", "HAP")):
        clip = f"{1001 + number}_IEO_{name}_XX"
        film(source / "VideoFlash" / f"{clip}.flv", 30, fps=25, samples=sound(1.2, 44100))
        wav(source / "AudioWAV" / f"{clip}.wav", sound(1.2, seed=number))
    return source


def test_each_bad_file_is_named_and_the_rest_is_there(made: Path, tmp_path: Path) -> None:
    films, sounds = made / "VideoFlash", made / "AudioWAV"
    good = prepared(made, tmp_path / "good", size="48x64")
    assert good.failed == ()
    cut(films / "1001_IEO_ANG_XX.flv", 9_000)
    (films / "1002_IEO_DIS_XX.flv").write_bytes(b"")
    (films / "1003_IEO_FEA_XX.flv").rename(films / "1003 FEA.flv")
    wav(sounds / "1004_IEO_HAP_XX.wav", sound(1.2, 44100, 2), 44100)
    wav(sounds / "1005_IEO_NEU_XX.wav", sound(0.0))
    (films / "1006_IEO_SAD_XX.flv").rename(films / "1006_IEO_SAD_XX.avi")
    (sounds / "1007_IEO_ANG_XX.wav").write_text("I am no sound.\n" * 100)
    cache = prepared(made, tmp_path / "cache", size="48x64")
    said = reported(cache)
    assert "1001_IEO_ANG_XX.flv is cut short" in said["1001_IEO_ANG_XX"]["message"]
    assert said["1002_IEO_DIS_XX"]["message"] == "1002_IEO_DIS_XX.flv is empty: 0 bytes."
    assert said["1003_IEO_FEA_XX"]["message"] == "1003_IEO_FEA_XX is not in VideoFlash."
    assert "is not named like a clip" in said["VideoFlash/1003 FEA.flv"]["message"]
    assert "1005_IEO_NEU_XX.wav" in said["1005_IEO_NEU_XX"]["message"]
    assert "there is VideoFlash/1006_IEO_SAD_XX.avi" in said["1006_IEO_SAD_XX"]["message"]
    assert "damaged, or no media file" in said["1007_IEO_ANG_XX"]["message"]
    assert list(cache.rows) == ["1004_IEO_HAP_XX", "1008_IEO_HAP_XX"]
    with (cache.folder / "report.csv").open() as file:
        notes = [line["message"] for line in csv.DictReader(file) if line["kind"] == "note"]
    assert any("44100 samples a second, not 16000" in note for note in notes)
    assert any("2 channels" in note for note in notes)
    unharmed = "1008_IEO_HAP_XX"
    for name in ("visual", "audio"):
        before = good.array(name)[good.rows[unharmed]]
        assert np.array_equal(before, cache.array(name)[cache.rows[unharmed]])


def test_what_is_no_media_is_never_followed(tmp_path: Path) -> None:
    for _, content in no_media(tmp_path):
        file = tmp_path / "x.flv"
        file.write_bytes(content)
        for read in (read_audio, lambda f: read_video(f, lambda count, rate: [0])):
            with pytest.raises(ItemError, match=r"x\.flv"):
                read(file)


@pytest.mark.parametrize("suffix", [".flv", ".wav"])
def test_a_file_cut_anywhere_is_whole_or_refused(tmp_path: Path, suffix: str) -> None:
    if suffix == ".flv":
        whole = film(tmp_path / "whole.flv", 40, samples=sound(1.6, 44100))
        read = lambda f: read_video(f, lambda count, rate: [0, 20]).pictures  # noqa: E731
    else:
        whole = wav(tmp_path / "whole.wav", sound(1.5))
        read = lambda f: read_audio(f).samples  # noqa: E731
    content, expected = whole.read_bytes(), read(whole)
    refused = 0
    for size in np.linspace(0, len(content) - 1, 60).astype(int):
        file = tmp_path / f"cut{suffix}"
        file.write_bytes(content[:size])
        try:
            found = read(file)
        except ItemError as error:
            refused += f"cut{suffix}" in str(error)
        else:  # its last pictures may be gone, in the time that headers are wrong by
            assert np.array_equal(found, expected)
            assert size > 0.85 * len(content)
    assert refused > 50


@pytest.mark.parametrize("kind", ["u8", "s16", "s24", "s32", "f32"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_sounds_of_every_kind(tmp_path: Path, kind: str, rate: int) -> None:
    samples = sound(1.1, rate, 2)
    audio = read_audio(wav(tmp_path / "x.wav", samples, rate, kind))
    assert audio.rate == rate
    np.testing.assert_allclose(audio.samples, samples, atol=0.01 if kind == "u8" else 1e-4)
    waveform = LogSpectrogram().waveform(audio)
    assert waveform.shape == (66150,)
    period = -(-samples.shape[1] * 22050 // rate)
    assert np.array_equal(waveform[period : 2 * period], waveform[:period])


def test_a_pointer_of_git_lfs_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "x.flv"
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ItemError, match=r"x\.flv is a pointer of git-lfs: 'git lfs pull'"):
        read_audio(file)
