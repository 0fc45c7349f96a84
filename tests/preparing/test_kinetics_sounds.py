"""Kinetics-Sounds: the real split files, and miniatures of the layouts that clips are found in."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from youtube_files import place

from asgml_core import profile, run
from asgml_core.datasets import Cache, DataError, kinetics_sounds
from asgml_core.datasets.kinetics_sounds import CLASSES
from asgml_core.preparing import kinetics_sounds as preparing
from asgml_core.preparing.plan import PrepareError
from asgml_core.preparing.runner import prepare

SPLITS = "data/splits/kinetics_sounds_ogm_ge"
#: As in the real files: two forms of names, ids that begin with '-' and hold '_'.
LINES = {
    "train": (
        "--4-0ihtnBU_000058_000068,10,4", "--6q_33gNew_000132_000142,10,27",
        "-00nar1nEPc_000033_000043,10,13", "hLaWh4pHGp8_000048_000058,10,29",
        "hLHbvRbe3Js_000010_000020,10,12",
    ),
    "test": ("-3Mwkq-7TV4_2,10,23", "-74csnCOiUs_0,10,14", "-7aeB7vFtB4_37,10,16"),
}  # fmt: skip
#: By layout: the folder of a training clip and of a test clip, of the class given.
LAYOUTS = {
    "flat": ("", ""),
    "parts": ("train", "test"),
    "classes": ("{}", "{}"),
    "parts of classes": ("train/{}", "val/{}"),
}


def write_lists(folder: Path, lines: Mapping[str, Sequence[str]] = LINES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, of_part in lines.items():
        content = "".join(f"{line}\r\n" for line in of_part)  # as in the real files
        (folder / f"my_{part}.txt").write_bytes(content.encode())
    return folder


def clip_name(line: str) -> str:
    return line.split(",")[0]


def fill(folder: Path, clip: Path, layout: str, skip: Sequence[str] = ()) -> None:
    for part, where in zip(LINES, LAYOUTS[layout], strict=True):
        for line in LINES[part]:
            label = CLASSES[int(line.split(",")[2])]
            if clip_name(line) not in skip:
                place(clip, folder / where.format(label) / f"{clip_name(line)}{clip.suffix}")


def cached(source: Path, out: Path, **options: Any) -> Cache:
    plan = preparing.kinetics_sounds(source, **{"size": "24x32"} | options)
    return prepare(plan, out, workers=0, progress=False)


def report(cache: Cache) -> list[tuple[str, str, str, str]]:
    with (cache.folder / "report.csv").open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_clips_are_found_in_every_layout(
    clips: dict[str, Path], tmp_path: Path, layout: str
) -> None:
    splits = write_lists(tmp_path / "lists")
    fill(tmp_path / "clips", clips["mp4"], layout)
    plan = preparing.kinetics_sounds(tmp_path / "clips", splits=splits)
    assert plan.report == ()
    assert [item.id for item in plan.items] == sorted(
        clip_name(line) for lines in LINES.values() for line in lines
    )
    for item in plan.items:
        assert item.files["video"] == item.files["audio"]
        assert item.files["video"].stem == item.id
        assert item.group == item.id[:11]


def test_a_file_is_found_under_either_form_of_its_name(
    clips: dict[str, Path], tmp_path: Path
) -> None:
    """Kinetics names test clips as training clips; the published list does not."""
    source = write_lists(tmp_path)
    fill(source, clips["mp4"], "parts")
    other = {"test/-7aeB7vFtB4_37": "test/-7aeB7vFtB4_000037_000047",
             "train/--4-0ihtnBU_000058_000068": "train/--4-0ihtnBU_58"}  # fmt: skip
    for old, new in other.items():
        (source / f"{old}.mp4").rename(source / f"{new}.mp4")
    plan = preparing.kinetics_sounds(source)
    assert plan.report == ()
    found = {item.id: item.files["video"].stem for item in plan.items}
    assert found["-7aeB7vFtB4_37"] == "-7aeB7vFtB4_000037_000047"
    assert found["--4-0ihtnBU_000058_000068"] == "--4-0ihtnBU_58"


def test_what_is_lost_and_what_is_wrong_is_named(clips: dict[str, Path], tmp_path: Path) -> None:
    source = write_lists(tmp_path / "ks")
    skip = ("--6q_33gNew_000132_000142", "-7aeB7vFtB4_37", "-3Mwkq-7TV4_2", "-74csnCOiUs_0")
    fill(source, clips["mp4"], "parts", skip)
    place(clips["mp4"], source / "test" / "-7aeB7vFtB4_36.mp4", source / "-3Mwkq-7TV4.mp4")
    place(clips["cut, mkv"], source / "test" / "-74csnCOiUs_0.mkv")
    place(clips["no pictures"], source / "train" / "-00nar1nEPc_000033_000043.mp4")
    place(clips["mp4"], *(source / "train" / f"other{i}yt000_0000{i}0_0000{i + 1}0.mp4"
                          for i in range(2, 9)))  # fmt: skip
    (source / "train" / "hLaWh4pHGp8.f137.tmp").write_bytes(b"half")
    cache = cached(source, tmp_path / "cache")
    messages = {item: message for item, _, kind, message in report(cache) if kind == "failed"}
    assert set(messages) == set(cache.failed)
    for item, said in {
        "--6q_33gNew_000132_000142": "my_train.txt, line 2 names.",
        "-7aeB7vFtB4_37": "my_test.txt, line 3 names; there is test/-7aeB7vFtB4_36.mp4.",
        "-3Mwkq-7TV4_2": "my_test.txt, line 1 names; there is -3Mwkq-7TV4.mp4.",
        "-74csnCOiUs_0": "-74csnCOiUs_0.mkv is cut short",
        "-00nar1nEPc_000033_000043": "-00nar1nEPc_000033_000043.mp4 has no pictures.",
    }.items():
        assert said in messages[item]
    assert len(messages) == 5
    ignored = sorted((file, said) for _, file, kind, said in report(cache) if kind == "ignored")
    assert [file for file, _ in ignored] == [".", "test", "train", "train"]
    assert ignored[2][1].startswith("1 files that are not named like a clip")
    assert ignored[3][1].startswith("7 clips that no line of the split files names: other2yt000_")
    assert ignored[3][1].endswith(" and 2 more.")
    said = cache.splits["own"]
    assert said["items"] == {"test": 3, "train": 5}
    absent = {part: sum(counts) for part, counts in said["absent"].items()}
    assert absent == {"train": 1, "test": 2}  # those that are there but damaged are not absent


def test_every_container_gives_the_same_items(clips: dict[str, Path], tmp_path: Path) -> None:
    source = write_lists(tmp_path / "ks")
    fill(source, clips["mp4"], "flat")
    for old, kind in (("--4-0ihtnBU_000058_000068", "mkv"), ("-3Mwkq-7TV4_2", "webm")):
        (source / f"{old}.mp4").unlink()
        place(clips[kind], source / f"{old}.{kind}")
    (source / "-74csnCOiUs_0.mp4").unlink()
    place(clips["avi"], source / "-74csnCOiUs_0.AVI")
    cache = cached(source, tmp_path / "cache")
    assert cache.failed == ()
    # the miniature AVI has 25 frames a second and lasts four
    assert [message for _, _, _, message in report(cache)] == ["it lasts 4.00 s, not 10."]
    visual, audio = cache.array("visual"), cache.array("audio")
    mp4, mkv, webm = (cache.rows[item] for item in (
        "-7aeB7vFtB4_37", "--4-0ihtnBU_000058_000068", "-3Mwkq-7TV4_2"))  # fmt: skip
    assert visual.shape[1:] == (3, 24, 32, 3)
    assert audio.shape[1:] == (1, 257, 1001)
    assert np.array_equal(visual[mp4], visual[mkv])
    assert np.abs(visual[mp4].astype(int) - visual[webm]).mean() < 4
    seconds = cache.column("seconds", cache.rows)
    assert all(float(text) == pytest.approx(10, abs=0.05) for text in seconds[:2])
    start = dict(zip(cache.items["id"], cache.items["start"], strict=True))
    assert (start["-7aeB7vFtB4_37"], start["--4-0ihtnBU_000058_000068"]) == ("37", "58")


def test_a_clip_that_is_there_twice(clips: dict[str, Path], tmp_path: Path) -> None:
    source = write_lists(tmp_path)
    fill(source, clips["mp4"], "parts")
    place(clips["mp4"], source / "--4-0ihtnBU_58.mp4")
    place(clips["webm"], source / "bowling" / "-3Mwkq-7TV4_000002_000012.webm")
    plan = preparing.kinetics_sounds(source)
    said = {line.id: (line.kind, line.message) for line in plan.report}
    assert said == {
        "--4-0ihtnBU_000058_000068": (
            "note",
            "clip --4-0ihtnBU_58 is there more than once, always the same: "
            "--4-0ihtnBU_58.mp4, train/--4-0ihtnBU_000058_000068.mp4.",
        ),
        "-3Mwkq-7TV4_2": (
            "failed",
            "clip -3Mwkq-7TV4_2 is there as bowling/-3Mwkq-7TV4_000002_000012.webm, "
            "test/-3Mwkq-7TV4_2.mp4, which differ; keep one of them.",
        ),
    }


@pytest.mark.parametrize(
    ("part", "line", "message"),
    [
        ("train", "-3Mwkq-7TV4,10,23", "'-3Mwkq-7TV4' is not named like a clip"),
        ("train", "-3Mwkq-7TV_000002_000012,10,23", "is not named like a clip"),
        ("test", "-9nQwLUdlJo_5,10,31", "the class number is 31, but must be from 0 to 30"),
        ("test", "-9nQwLUdlJo_5,10,-1", "'10' and '-1', but the clip's seconds and its class"),
        ("test", "-9nQwLUdlJo_5,10,bowling", "'10' and 'bowling'"),
        ("test", "-9nQwLUdlJo_5,10", "but 3 fields between ',' are needed"),
        ("test", "-9nQwLUdlJo_5,,3", "but 3 fields between ',' are needed"),
        ("train", LINES["train"][0], r"is there already \(.*my_train.txt, line 1\)"),
        ("test", LINES["train"][0], r"my_test.txt, line 4: .* is there already"),
        ("test", "--4-0ihtnBU_58,10,4", r"is the clip '--4-0ihtnBU_000058_000068' of .*line 1"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, part: str, line: str, message: str) -> None:
    write_lists(tmp_path, {**LINES, part: (*LINES[part], line)})
    with pytest.raises(PrepareError, match=message) as error:
        preparing.kinetics_sounds(tmp_path)
    assert f"my_{part}.txt, line " in str(error.value)


def test_a_video_in_two_parts_is_counted(tmp_path: Path) -> None:
    write_lists(tmp_path, {**LINES, "test": (*LINES["test"], "--4-0ihtnBU_90,10,4")})
    plan = preparing.kinetics_sounds(tmp_path)
    assert plan.splits["own"].facts["videos_in_two_parts"] == 1
    assert Counter(item.group for item in plan.items)["--4-0ihtnBU"] == 2


def test_classes_of_other_lists_have_no_names_but_one_s_own(tmp_path: Path) -> None:
    source = write_lists(tmp_path)
    plan = preparing.kinetics_sounds(source)
    assert plan.classes == tuple(f"class_{number:02d}" for number in range(31))
    assert {item.label for item in plan.items if item.id.startswith("--4")} == {"class_04"}
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"action {number}, loud" for number in range(31)))
    plan = preparing.kinetics_sounds(source, classes=names)
    assert plan.classes[4] == "action 4, loud"
    assert {item.label for item in plan.items if item.id.startswith("--4")} == {"action 4, loud"}
    names.write_text("\n".join(["twice", *CLASSES[:29], "twice"]))
    with pytest.raises(PrepareError, match=r"names.txt has 31 lines, 30 of them different, but 31"):
        preparing.kinetics_sounds(source, classes=names)
    names.write_text("\n".join(CLASSES[:30]))
    with pytest.raises(PrepareError, match="has 30 lines"):
        preparing.kinetics_sounds(source, classes=names)


def test_missing_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"my_train.txt: no such file; data/KineticSound of"):
        preparing.kinetics_sounds(tmp_path)
    write_lists(tmp_path / "lists")
    with pytest.raises(PrepareError, match="nowhere could not be read"):
        preparing.kinetics_sounds(tmp_path / "nowhere", splits=tmp_path / "lists")
    more = {**LINES, "valid": ("-9nQwLUdlJo_5,10,3",)}
    split = preparing.kinetics_sounds(write_lists(tmp_path, more)).splits["own"]
    assert Counter(split.parts.values()) == {"train": 5, "valid": 1, "test": 3}


def test_the_real_lists_without_a_clip(shared: Callable[[str], Path], tmp_path: Path) -> None:
    plan = preparing.kinetics_sounds(tmp_path, splits=shared(SPLITS))
    assert plan.classes == CLASSES
    split = plan.splits["ogm_ge"]
    assert Counter(split.parts.values()) == {"train": 14799, "test": 2597}
    rows = {
        part: [line.split(",") for line in (shared(SPLITS) / f"my_{part}.txt").read_text().split()]
        for part in ("train", "test")
    }
    for part, lines in rows.items():
        counts = Counter(int(number) for _, _, number in lines)
        assert split.facts["by_class"][part] == [counts[number] for number in range(31)]
    assert split.facts["absent"] == split.facts["by_class"]
    assert {line.kind for line in plan.report} == {"failed"}
    assert sorted(line.id for line in plan.report) == [item.id for item in plan.items]
    assert len(plan.items) == 17396


def test_the_page_has_the_numbers_of_the_lists(
    shared: Callable[[str], Path], tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "book" / "kinetics_sounds.md").read_text()
    plan = preparing.kinetics_sounds(tmp_path, splits=shared(SPLITS))
    counts = plan.splits["ogm_ge"].facts["by_class"]
    for number, row in enumerate(zip(CLASSES, counts["train"], counts["test"], strict=True)):
        assert f"\n| {number} | {' | '.join(map(str, row))} |\n" in page


def test_what_the_real_lists_hide(shared: Callable[[str], Path], tmp_path: Path) -> None:
    plan = preparing.kinetics_sounds(tmp_path, splits=shared(SPLITS))
    parts = plan.splits["ogm_ge"].parts
    forms = Counter((parts[item.id], item.id.count("_", 11)) for item in plan.items)
    assert forms == {("train", 2): 14799, ("test", 1): 2597}
    assert {item.facts["length"] for item in plan.items} == {10}
    assert len({item.group for item in plan.items}) == 17396  # no video twice, in any part
    assert plan.splits["ogm_ge"].facts["videos_in_two_parts"] == 0
    file = tmp_path / "my_test.txt"
    for name in ("my_train.txt", "my_test.txt"):
        (tmp_path / name).write_bytes((shared(SPLITS) / name).read_bytes().replace(b"\r", b""))
    assert "ogm_ge" in preparing.kinetics_sounds(tmp_path).splits
    file.write_text(file.read_text().replace("-3Mwkq-7TV4_2,10,23", "-3Mwkq-7TV4_2,10,22"))
    other = preparing.kinetics_sounds(tmp_path)
    assert (set(other.splits), other.classes[0]) == ({"own"}, "class_00")


def test_a_run_without_the_clips_that_are_lost(clips: dict[str, Path], tmp_path: Path) -> None:
    source = write_lists(tmp_path / "ks")
    fill(source, clips["mp4"], "classes", skip=("-3Mwkq-7TV4_2",))
    cache = cached(source, tmp_path / "cache")
    options = {"path": str(cache.folder), "split": "own", "size": 32}
    with pytest.raises(DataError, match=r"1 of the 8 items of split 'own' are missing"):
        kinetics_sounds(seed=0, **options)
    data = kinetics_sounds(seed=0, **options, allow_missing=True)
    assert data.shapes == {"audio": (1, 257, 1001), "visual": (3, 3, 32, 32)}
    assert [data.classes[label] for label in data.test.labels] == ["class_14", "class_16"]
    config = profile("kinetics_sounds", epochs=1, options={**options, "allow_missing": True})
    assert (config.train.learning_rate, config.model.stem) == (1e-3, "imagenet")
    config = config.replace(model={"width": 2}, train={"batch_size": 2})
    said = run(config, tmp_path / "out", progress=False).values
    assert said["items"] == {"train": 4, "valid": 1, "test": 2}
    assert said["data"]["missing"] == {
        "items": 1, "by_part": {"test": 1}, "first": ["-3Mwkq-7TV4_2"],
    }  # fmt: skip
