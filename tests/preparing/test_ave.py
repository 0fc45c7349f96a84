"""AVE: the real split files, and a miniature of the download with everything that goes wrong."""

from __future__ import annotations

import csv
import math
import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
from media_files import naive_frames
from PIL import Image
from youtube_files import place

from asgml_core import profile, run
from asgml_core.datasets import Cache, DataError, ave
from asgml_core.datasets.ave import CLASSES
from asgml_core.preparing import ave as preparing
from asgml_core.preparing.media import read_audio
from asgml_core.preparing.plan import PrepareError
from asgml_core.preparing.runner import prepare

SPLITS = "data/splits/ave_pmr"
SETS = {"train": "trainSet.txt", "valid": "valSet.txt", "test": "testSet.txt"}
#: As in the real files: two labels in one part, two labels in two parts, an event of no length.
LINES = {
    "train": (
        "Church bell&c---zaDCTaE&good&0&10", "Church bell&VWi2ENBuTbw&good&0&0",
        "Male speech, man speaking&-ccciEuH9FE&good&5&10",
        "Female speech, woman speaking&-ccciEuH9FE&good&5&10",
        "Banjo&-PljzzluWNw&good&0&10", "Frying (food)&0cFxCwl0vno&good&2&7",
        "Mandolin&47fxC07DN8Y&good&0&10", "Shofar&gone1234567&good&0&10",
    ),
    "valid": ("Truck&0hZ8RwWaBaI&good&0&10", "Bus&1aBcDeFgHi_&good&0&10"),
    "test": (
        "Violin, fiddle&-PljzzluWNw&good&0&10", "Church bell&EsfJpLbBeb4&good&8&10",
        "Goat&2goatGOAT22&good&0&10",
    ),
}  # fmt: skip


def write_sets(folder: Path, lines: Mapping[str, tuple[str, ...]] = LINES) -> Path:
    """Write the split files, and the list of all events with the header of the download."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, of_part in lines.items():
        (folder / SETS[part]).write_text("".join(f"{line}\n" for line in of_part))
    everything = [line for of_part in lines.values() for line in of_part]
    text = "\n".join(["Category&VideoID&Quality&StartTime&EndTime", *everything])
    (folder / "Annotations.txt").write_text(text)
    (folder / "ReadMe.txt").write_text("AVE.zip: videos in AVE dataset.\n")
    return folder


@pytest.fixture
def source(clips: dict[str, Path], tmp_path: Path) -> Path:
    """The folder AVE_Dataset, with one clip lost, one cut short and one of another container."""
    folder = write_sets(tmp_path / "AVE_Dataset")
    for video in ("c---zaDCTaE", "VWi2ENBuTbw", "-ccciEuH9FE", "-PljzzluWNw", "EsfJpLbBeb4"):
        place(clips["mp4"], folder / "AVE" / f"{video}.mp4")
    place(clips["short"], folder / "AVE" / "0cFxCwl0vno.mp4")
    place(clips["webm"], folder / "AVE" / "47fxC07DN8Y.mp4")
    place(clips["cut, index lost"], folder / "AVE" / "0hZ8RwWaBaI.mp4")
    place(clips["no sound"], folder / "AVE" / "1aBcDeFgHi_.mp4")
    place(clips["mkv"], folder / "2goatGOAT22.MKV")
    place(clips["mp4"], folder / "AVE" / "notInAnySet.mp4", folder / "AVE" / "._c---zaDCTaE.mp4")
    (folder / "AVE" / "gone1234567.mp4.part").write_bytes(b"half")
    return folder


def cached(source: Path, out: Path, **options: Any) -> Cache:
    options = {"size": "24x32"} | options
    return prepare(preparing.ave(source, **options), out, workers=0, progress=False)


def report(cache: Cache) -> list[tuple[str, str, str, str]]:
    with (cache.folder / "report.csv").open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def test_the_miniature_with_a_word_on_everything(source: Path, tmp_path: Path) -> None:
    cache = cached(source, tmp_path / "cache")
    assert cache.classes == CLASSES
    assert cache.failed == (
        "0hZ8RwWaBaI_truck", "1aBcDeFgHi__bus", "gone1234567_shofar",
    )  # fmt: skip
    counts = cache.manifest["counts"]
    assert (counts["listed"], counts["decoded"], counts["failed"]) == (13, 10, 3)
    messages = {(item, kind): message for item, _, kind, message in report(cache)}
    for key, said in {
        ("gone1234567_shofar", "failed"): "no file of gone1234567_shofar (clip gone1234567), which",
        ("0hZ8RwWaBaI_truck", "failed"): "0hZ8RwWaBaI.mp4 is damaged",
        ("1aBcDeFgHi__bus", "failed"): "1aBcDeFgHi_.mp4 has no sound.",
        ("0cFxCwl0vno_frying_food", "note"): "it lasts 7.00 s, not 10.",
        ("47fxC07DN8Y_mandolin", "note"): "47fxC07DN8Y.mp4 is a matroska file by its content",
        ("VWi2ENBuTbw_church_bell", "note"): "trainSet.txt, line 2 marks its event from 0 to 0 s",
        ("-PljzzluWNw_banjo", "note"): "its video is also 'Violin, fiddle' in test.",
        ("-PljzzluWNw_violin_fiddle", "note"): "its video is also 'Banjo' in train.",
    }.items():
        assert said in messages[key]
    assert "there is AVE/gone1234567.mp4.part." in messages["gone1234567_shofar", "failed"]
    ignored = sorted((file, said) for _, file, kind, said in report(cache) if kind == "ignored")
    assert [file for file, _ in ignored] == ["AVE", "AVE"]
    assert ignored[0][1] == "1 clips that no line of the split files names: notInAnySet.mp4."
    assert "1 files that are not named like a clip" in ignored[1][1]
    # 3 failed, 2 ignored, 3 + 2 on videos and times, and what decoding noted: nothing else is said
    assert Counter(kind for _, _, kind, _ in report(cache)) == {
        "failed": 3,
        "ignored": 2,
        "note": 7,
    }


def test_rows_are_what_the_files_hold(source: Path, tmp_path: Path) -> None:
    cache = cached(source, tmp_path / "cache")
    arrays = {name: cache.array(name) for name in ("visual", "audio")}
    assert arrays["visual"].shape == (13, 3, 24, 32, 3)
    assert arrays["audio"].shape == (13, 1, 257, 1001)
    paths = {
        "c---zaDCTaE_church_bell": ("AVE/c---zaDCTaE.mp4", (16, 50, 83)),
        "0cFxCwl0vno_frying_food": ("AVE/0cFxCwl0vno.mp4", (11, 35, 58)),
        "2goatGOAT22_goat": ("2goatGOAT22.MKV", (16, 50, 83)),
    }
    for item, (file, frames) in paths.items():
        row = cache.rows[item]
        for kept, frame in zip(arrays["visual"][row], frames, strict=True):
            picture = Image.fromarray(naive_frames(source / file)[frame])
            wanted = picture.resize((32, 24), Image.Resampling.BILINEAR)
            assert np.array_equal(kept, np.asarray(wanted))
        audio = read_audio(source / file)
        mono = librosa.resample(audio.samples.mean(axis=0), orig_sr=44100, target_sr=16000)
        whole = np.tile(mono, math.ceil(160_000 / len(mono)))[:160_000].clip(-1, 1)
        wanted = np.log(np.abs(librosa.stft(whole, n_fft=512, hop_length=160)) + 1e-7)
        assert np.abs(arrays["audio"][row, 0] - wanted).max() < 1e-3
    goat = {name: column[cache.items["id"].index("2goatGOAT22_goat")]
            for name, column in cache.items.items()}  # fmt: skip
    facts = {"group": "2goatGOAT22", "label": "Goat", "start": "0", "end": "10", "quality": "good",
             "frames": "100", "fps": "10.0", "channels": "2", "rate": "44100"}  # fmt: skip
    assert facts.items() <= goat.items()


def test_the_splits_differ_in_videos_with_two_labels(source: Path, tmp_path: Path) -> None:
    cache = cached(source, tmp_path / "cache")
    assert set(cache.splits) == {"own", "first_label", "last_label", "single_label"}
    own = cache.split("own")
    assert Counter(own.values()) == {"train": 8, "valid": 2, "test": 3}
    assert cache.splits["own"]["videos_in_two_parts"] == 1
    left_out = {name: set(own) - set(cache.split(name)) for name in cache.splits}
    male, female = (f"-ccciEuH9FE_{w}" for w in ("male_speech_man_speaking",
                                                "female_speech_woman_speaking"))  # fmt: skip
    assert left_out["first_label"] == {female}
    assert left_out["last_label"] == {male}
    both = {"-PljzzluWNw_banjo", "-PljzzluWNw_violin_fiddle"}
    assert left_out["single_label"] == {male, female} | both
    assert cache.splits["single_label"]["left_out"] == 4
    assert cache.splits["single_label"]["videos_in_two_parts"] == 0
    said = cache.splits["own"]
    bell, shofar = CLASSES.index("Church bell"), CLASSES.index("Shofar")
    assert said["by_class"]["train"][bell] == 2
    assert (said["absent"]["train"][shofar], sum(said["absent"]["train"])) == (1, 1)


def test_what_was_mended_is_filled_in(source: Path, clips: dict[str, Path], tmp_path: Path) -> None:
    first = cached(source, tmp_path / "cache").manifest["fingerprint"]
    place(clips["mp4"], source / "AVE" / "gone1234567.mp4")
    cache = cached(source, tmp_path / "cache")
    assert "gone1234567_shofar" in cache.rows
    assert cache.manifest["fingerprint"] != first
    assert sum(cache.splits["own"]["absent"]["train"]) == 0


def test_a_clip_that_is_there_twice(source: Path, clips: dict[str, Path], tmp_path: Path) -> None:
    place(clips["mp4"], source / "AVE" / "c---zaDCTaE.mkv")
    place(clips["other"], source / "EsfJpLbBeb4.mp4")
    cache = cached(source, tmp_path / "cache")
    messages = {(item, kind): message for item, _, kind, message in reversed(report(cache))}
    same = messages["c---zaDCTaE_church_bell", "note"]
    assert "more than once, always the same: AVE/c---zaDCTaE.mkv, AVE/c---zaDCTaE.mp4." in same
    differ = messages["EsfJpLbBeb4_church_bell", "failed"]
    assert "is there as EsfJpLbBeb4.mp4, AVE/EsfJpLbBeb4.mp4, which differ; keep one" in differ


def test_the_event_alone(source: Path, tmp_path: Path) -> None:
    whole, event = (cached(source, tmp_path / cut, cut=cut) for cut in ("clip", "event"))
    shown = naive_frames(source / "AVE" / "EsfJpLbBeb4.mp4")
    item = "EsfJpLbBeb4_church_bell"  # 8 to 10 s: frames 80 to 99
    for kept, frame in zip(event.array("visual")[event.rows[item]], (83, 90, 96), strict=True):
        wanted = Image.fromarray(shown[frame]).resize((32, 24), Image.Resampling.BILINEAR)
        assert np.array_equal(kept, np.asarray(wanted))
    samples = read_audio(source / "AVE" / "EsfJpLbBeb4.mp4").samples[:, 8 * 44100 :]
    mono = librosa.resample(samples.mean(axis=0), orig_sr=44100, target_sr=16000)
    wanted = np.log(
        np.abs(librosa.stft(np.tile(mono, 5)[:160_000], n_fft=512, hop_length=160)) + 1e-7
    )
    found = event.array("audio")[event.rows[item], 0]
    assert np.abs(found - wanted).max() < 1e-3
    for item in ("c---zaDCTaE_church_bell", "VWi2ENBuTbw_church_bell"):  # all of it, and no time
        for name in ("visual", "audio"):
            rows = [cache.array(name)[cache.rows[item]] for cache in (whole, event)]
            assert np.array_equal(*rows)
    assert event.manifest["parameters"]["cut"] == "event"
    decoder = preparing.ave(source, cut="event").decode
    assert pickle.dumps(decoder)  # it is sent to worker processes


def test_an_event_after_the_end_of_its_clip(clips: dict[str, Path], tmp_path: Path) -> None:
    lines = {"train": ("Bus&aaaaaaaaaaa&good&8&10", "Bus&bbbbbbbbbbb&good&0&3"),
             "test": ("Bus&ccccccccccc&good&0&2",)}  # fmt: skip
    source = write_sets(tmp_path / "AVE_Dataset", lines)
    for line in (*lines["train"], *lines["test"]):
        place(clips["short"], source / "AVE" / f"{line.split('&')[1]}.mp4")
    cache = cached(source, tmp_path / "cache", cut="event")
    assert cache.failed == ("aaaaaaaaaaa_bus",)
    assert "has 0 frames in its event (from 8 to 10 s), but 3 are wanted" in str(report(cache))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Church bells&Xc---zaDCTa&good&0&10", "the class is 'Church bells', but must be one of"),
        ("Bus&tooshort&good&0&10", "'tooshort' is no YouTube id of 11 characters"),
        ("Bus&Xc---zaDCTa&good&7&3", "the event is from '7' to '3', but whole seconds"),
        ("Bus&Xc---zaDCTa&good&0&11", "the event is from '0' to '11'"),
        ("Bus&Xc---zaDCTa&good&zero&1", "the event is from 'zero' to '1'"),
        ("Bus&Xc---zaDCTa&good&0", "but 5 fields between '&' are needed"),
        ("Bus&Xc---zaDCTa&&0&10", "but 5 fields between '&' are needed"),
        ("Church bell&c---zaDCTaE&good&0&10", r"is there already \(.*trainSet.txt, line 1\)"),
        ("Goat&2goatGOAT22&good&0&10", r"testSet.txt, line 3: .* is there already"),
        ("Category&VideoID&Quality&StartTime&EndTime", "the class is 'Category'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    write_sets(tmp_path, {**LINES, "train": (*LINES["train"], line)})
    with pytest.raises(PrepareError, match=message) as error:
        preparing.ave(tmp_path)
    assert "Set.txt, line " in str(error.value)


def test_missing_files_and_wrong_options(source: Path, tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"trainSet.txt: no such file; .*--splits"):
        preparing.ave(tmp_path)
    with pytest.raises(PrepareError, match="nowhere could not be read"):
        preparing.ave(tmp_path / "nowhere", splits=source)
    (source / "valSet.txt").unlink()
    assert set(preparing.ave(source).splits["own"].parts.values()) == {"train", "test"}
    for option, message in (
        ({"cut": "events"}, "cut is 'events', but must be one of: 'clip', 'event'. Did you mean"),
        ({"size": "256"}, "size is '256'"),
        ({"frames": 0}, "frames is 0"),
        ({"choose": "all"}, "choose is 'all'"),
    ):
        with pytest.raises(ValueError, match=message):
            preparing.ave(source, **option)


def test_the_list_of_all_events_is_compared(source: Path) -> None:
    file = source / "Annotations.txt"
    text = file.read_text().replace("2goatGOAT22&good&0", "2goatGOAT22&good&1")
    file.write_text(f"{text}\nCat&Xc---zaDCTa&good&0&10\n")
    notes = [line.message for line in preparing.ave(source).report if line.file == file.name]
    assert notes == [
        "2 events of Annotations.txt are, as they stand there, in no split file, "
        "2goatGOAT22_goat first.",
        "1 events of the split files are not, as they stand there, in Annotations.txt, "
        "2goatGOAT22_goat first.",
    ]


def rows_of(file: Path) -> list[list[str]]:
    return [line.split("&") for line in file.read_text().splitlines()]


def test_the_real_files_without_a_clip(shared: Callable[[str], Path], tmp_path: Path) -> None:
    plan = preparing.ave(tmp_path, splits=shared(SPLITS))
    split = plan.splits["official"]
    assert Counter(split.parts.values()) == {"train": 3339, "valid": 402, "test": 402}
    assert "published" in split.facts["rule"]
    for part, name in SETS.items():
        counts = Counter(row[0] for row in rows_of(shared(SPLITS) / name))
        assert split.facts["by_class"][part] == [counts[label] for label in CLASSES]
    assert split.facts["absent"] == split.facts["by_class"]
    failed = [line.id for line in plan.report if line.kind == "failed"]
    assert sorted(failed) == [item.id for item in plan.items] == sorted(split.parts)
    assert len({item.group for item in plan.items}) == 4097


def test_what_the_real_files_hide(shared: Callable[[str], Path], tmp_path: Path) -> None:
    plan = preparing.ave(tmp_path, splits=shared(SPLITS))
    also = [line for line in plan.report if "its video is also" in line.message]
    videos = Counter(item.group for item in plan.items if item.id in {line.id for line in also})
    assert len(also) == 91
    assert Counter(videos.values()) == {2: 44, 3: 1}
    sizes = {name: Counter(split.parts.values()) for name, split in plan.splits.items()}
    one = {"train": 3312, "valid": 401, "test": 402}
    assert sizes["first_label"] == sizes["last_label"] == one
    assert plan.splits["first_label"].parts != plan.splits["last_label"].parts
    assert sizes["single_label"] == {"train": 3268, "valid": 390, "test": 394}
    crossing = [split.facts["videos_in_two_parts"] for split in plan.splits.values()]
    assert crossing == [18, 18, 18, 0]
    times = [line.id for line in plan.report if "marks its event from 0 to 0 s" in line.message]
    assert times == ["VWi2ENBuTbw_church_bell"]
    assert not [line for line in plan.report if line.file == "Annotations.txt"]


def test_the_page_has_the_numbers_of_the_files(
    shared: Callable[[str], Path], tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "book" / "ave.md").read_text()
    splits = preparing.ave(tmp_path, splits=shared(SPLITS)).splits
    counts = splits["official"].facts["by_class"]
    for label, *numbers in zip(CLASSES, *(counts[part] for part in SETS), strict=True):
        assert f"\n| {label} | {' | '.join(map(str, numbers))} |\n" in page
    for name, split in splits.items():
        sizes = Counter(split.parts.values())
        assert f"\n| `{name}` | {' | '.join(str(sizes[part]) for part in SETS)} |" in page


def test_the_real_files_are_known_with_a_header_and_other_line_ends(
    shared: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in SETS.values():
        text = (shared(SPLITS) / name).read_text()
        header = "Category&VideoID&Quality&StartTime&EndTime\n"
        content = b"\xef\xbb\xbf" + (header + text.rstrip()).replace("\n", "\r\n").encode()
        (tmp_path / name).write_bytes(content)
    assert "official" in preparing.ave(tmp_path).splits
    file = tmp_path / "testSet.txt"
    file.write_bytes(file.read_bytes().replace(b"&0&5", b"&0&6"))
    assert "own" in preparing.ave(tmp_path).splits


def test_a_run_without_the_clips_that_are_lost(source: Path, tmp_path: Path) -> None:
    place(source / "AVE" / "c---zaDCTaE.mp4", source / "AVE" / "1aBcDeFgHi_.mp4")
    cache = cached(source, tmp_path / "cache")
    options = {"path": str(cache.folder), "split": "own", "size": 32}
    with pytest.raises(DataError, match=r"2 of the 13 items of split 'own' are missing"):
        ave(seed=0, **options)
    with pytest.raises(DataError, match="has no split 'official'; it has 'own', 'first_label'"):
        ave(seed=0, path=str(cache.folder))
    data = ave(seed=0, **options, allow_missing=True)
    assert data.shapes == {"audio": (1, 257, 1001), "visual": (3, 3, 32, 32)}
    assert [len(part) for part in data.parts.values()] == [7, 1, 3]
    assert ave(seed=0, **options, allow_missing=True, frames=1).shapes["visual"] == (3, 32, 32)
    config = profile("ave", epochs=1, options={**options, "allow_missing": True})
    assert (config.model.width, config.train.batch_size) == (64, 64)
    config = config.replace(model={"width": 2}, train={"batch_size": 4})
    said = run(config, tmp_path / "out", progress=False).values
    assert said["items"] == {"train": 7, "valid": 1, "test": 3}
    missing = {"items": 2, "by_part": {"train": 1, "valid": 1}}
    assert missing.items() <= said["data"]["missing"].items()
    assert said["data"]["missing"]["first"] == ["0hZ8RwWaBaI_truck", "gone1234567_shofar"]
    assert said["data"]["split"]["videos_in_two_parts"] == 1
