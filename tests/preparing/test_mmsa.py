"""MOSEI and MOSI from MMSA's feature files: what is written, and what is wrong with a file."""

from __future__ import annotations

import csv
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from mmsa_files import SHAPES, features_of, write_features

from asgml_core.checks import AsgmlError
from asgml_core.cli import main
from asgml_core.datasets import Cache, DataError
from asgml_core.preparing import mmsa, prepare_dataset
from asgml_core.preparing.mmsa import mosei
from asgml_core.preparing.plan import PrepareError
from asgml_core.preparing.runner import prepare


def prepared(tmp_path: Path, content, dataset="mosei", alignment="aligned", **options) -> Cache:
    source = write_features(tmp_path / "source", content, alignment)
    return prepare_dataset(
        dataset, source, tmp_path / "cache", workers=0, progress=False, alignment=alignment,
        **options,
    )  # fmt: skip


def report_of(cache: Cache) -> list[dict[str, str]]:
    with (cache.folder / "report.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


# ---------------------------------------------------------------------------------- what is written


@pytest.mark.parametrize(("dataset", "alignment"), SHAPES, ids=str)
def test_every_item_is_the_row_of_the_file(tmp_path: Path, dataset: str, alignment: str) -> None:
    content = features_of(dataset, alignment, 6)
    cache = prepared(tmp_path, content, dataset, alignment)
    assert cache.manifest["counts"] == {
        "listed": 14, "decoded": 14, "failed": 0, "notes": 0, "ignored": 0,
    }  # fmt: skip
    assert cache.classes == ("negative", "neutral", "positive")
    for m, shape in SHAPES[dataset, alignment].items():
        assert cache.array(m).dtype == np.float32
        assert cache.array(m).shape == (14, *shape)
    row = 0
    for part, found in content.items():
        for i, name in enumerate(found["id"]):
            assert cache.items["id"][row] == name
            for m in ("audio", "vision"):
                expected = found[m][i].astype(np.float32)
                np.testing.assert_array_equal(cache.array(m)[row], expected)
            words = int(found["text_bert"][i, 1].sum())
            np.testing.assert_array_equal(
                cache.array("text")[row, :words], found["text"][i, :words]
            )
            assert not cache.array("text")[row, words:].any()
            assert cache.column("text_steps", [name]) == [str(words)]
            assert cache.column("group", [name]) == [str(name).rpartition("$_$")[0]]
            sentiment = float(cache.column("sentiment", [name])[0])
            assert np.float32(sentiment) == found["regression_labels"][i]
            assert cache.column("annotation", [name]) == [found["annotations"][i]]
            assert cache.column("label", [name])[0] == found["annotations"][i].lower()
            assert cache.split("official")[name] == part
            if alignment == "unaligned":
                assert cache.column("vision_length", [name]) == [f"{found['vision_lengths'][i]}.0"]
                assert cache.column("audio_steps", [name]) == [str(found["audio_lengths"][i])]
            row += 1


def test_the_manifest_says_which_file_it_was(tmp_path: Path) -> None:
    cache = prepared(tmp_path, features_of(size=4))
    content = (tmp_path / "source" / "aligned_50.pkl").read_bytes()
    assert cache.manifest["parameters"] == {
        "file": "aligned_50.pkl",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "known_as": None,
        "alignment": "aligned",
        "non_finite": "fail",
        "text_padding": "0 where the mask of text_bert is 0",
    }
    split = cache.splits["official"]
    assert split["rule"] == "the file's own parts"
    assert split["known_as"] is None
    assert split["items"] == {"test": 4, "train": 4, "valid": 4}


def test_worker_processes_write_the_same(tmp_path: Path) -> None:
    cache = prepared(tmp_path, features_of(size=40))
    again = prepare_dataset(
        "mosei", tmp_path / "source" / "aligned_50.pkl", tmp_path / "again", workers=1,
        progress=False,
    )  # fmt: skip
    assert again.manifest["fingerprint"] == cache.manifest["fingerprint"]
    assert (again.folder / "items.csv").read_bytes() == (cache.folder / "items.csv").read_bytes()


@pytest.mark.parametrize("protocol", [2, 3, 5])
def test_the_protocol_does_not_matter(tmp_path: Path, protocol: int) -> None:
    content = features_of(size=4)
    cache = prepared(tmp_path, content)
    for part in content.values():  # as MMSA-FET and others write them
        part["raw_text"] = part["raw_text"].astype(object)
        part["id"] = part["id"].astype(object)
        part["annotations"] = part["annotations"].tolist()
        part["regression_labels"] = part["regression_labels"].reshape(-1, 1)
    source = write_features(tmp_path / "other" / "MOSEI" / "Processed", content, protocol=protocol)
    other = prepare(mosei(source.parents[1]), tmp_path / "b", workers=0, progress=False)
    assert other.manifest["fingerprint"] == cache.manifest["fingerprint"]


def test_a_known_file_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_features(tmp_path, features_of(size=4))
    digest = hashlib.sha256((source / "aligned_50.pkl").read_bytes()).hexdigest()
    monkeypatch.setitem(mmsa.KNOWN, digest, ("mosei", "aligned"))
    plan = mosei(source)
    assert plan.parameters["known_as"] == "MMSA, MOSEI/Processed/aligned_50.pkl"
    assert plan.splits["official"].facts["known_as"] == plan.parameters["known_as"]
    with pytest.raises(
        PrepareError, match=r"is the aligned file of 'mosei' .* the aligned file of"
    ):
        mmsa.mosi(source)
    assert len(mmsa.KNOWN) == 5
    assert all(len(known) == 64 for known in mmsa.KNOWN)


def test_a_second_call_does_nothing_and_another_file_is_another_cache(tmp_path: Path) -> None:
    content = features_of(size=4)
    cache = prepared(tmp_path, content)
    before = (cache.folder / "audio.npy").stat().st_mtime_ns
    assert prepared(tmp_path, content).manifest == cache.manifest
    assert (cache.folder / "audio.npy").stat().st_mtime_ns == before
    content["test"]["audio"][0, 0, 0] += 1
    with pytest.raises(PrepareError, match=r"another source .*sha256"):
        prepared(tmp_path, content)


def test_a_file_that_changes_meanwhile_stops_the_preparation(tmp_path: Path) -> None:
    source = write_features(tmp_path, features_of(size=4))
    plan = mosei(source)
    os.utime(source / "aligned_50.pkl", ns=(1, 1))
    with pytest.raises(PrepareError, match=r"aligned_50\.pkl was changed while it was prepared"):
        plan.decode(plan.items[:1])


# ---------------------------------------------------------------------------------- bad values


def with_bad_values() -> dict:
    content = features_of(size=6)
    content["train"]["audio"][1, 3, (5, 70)] = -np.inf
    content["train"]["audio"][1, 7, 5] = np.nan
    content["valid"]["vision"][0, 0, 2] = 1e300  # float32 cannot hold it
    content["test"]["text"][2, 49] = np.nan  # behind the last word: padding
    return content


def test_items_with_nan_or_infinity_fail_by_name(tmp_path: Path) -> None:
    content = with_bad_values()
    cache = prepared(tmp_path, content)
    audio, vision = str(content["train"]["id"][1]), str(content["valid"]["id"][0])
    assert cache.failed == (audio, vision)
    lines = {line["id"]: line for line in report_of(cache)}
    assert set(lines) == {audio, vision}
    assert lines[audio]["kind"] == "failed"
    assert lines[audio]["message"] == (
        "audio has 3 values that are NaN or infinity, in 2 steps, features 5, 70. To go on with 0 "
        "in their place, as MMSA does, say so (non_finite='zero', --non-finite zero)."
    )
    assert "vision has 1 values" in lines[vision]["message"]


def test_zeros_in_their_place_are_asked_for_noted_and_counted(tmp_path: Path) -> None:
    content = with_bad_values()
    cache = prepared(tmp_path, content, non_finite="zero")
    assert cache.failed == ()
    assert cache.manifest["parameters"]["non_finite"] == "zero"
    audio, vision = str(content["train"]["id"][1]), str(content["valid"]["id"][0])
    assert cache.column("audio_replaced", [audio, vision]) == ["3", "0"]
    assert cache.column("vision_replaced", [audio, vision]) == ["0", "1"]
    lines = {line["id"]: line for line in report_of(cache)}
    assert set(lines) == {audio, vision}
    assert lines[audio]["kind"] == "note"
    assert lines[audio]["message"].endswith("features 5, 70; 0 stands in their place.")
    found = np.array(cache.array("audio")[cache.rows[audio]])
    assert found[3, 5] == found[3, 70] == found[7, 5] == 0
    found[3, (5, 70)], found[7, 5] = 1, 1  # the others are as they were
    expected = content["train"]["audio"][1].astype(np.float32)
    expected[~np.isfinite(expected)] = 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "regression_labels",
            3.5,
            r"row 1 of train: the sentiment is 3\.5, but must be from -3 to",
        ),
        ("regression_labels", -0.5, "is -0.5, which is negative, but the annotation is 'Positive'"),
        ("annotations", "Neutral", "is 0.5, which is positive, but the annotation is 'Neutral'"),
    ],
)
def test_an_item_with_wrong_labels_fails(tmp_path: Path, key: str, value, message: str) -> None:
    content = features_of(size=6)
    content["train"][key][1] = value
    cache = prepared(tmp_path, content)
    (line,) = report_of(cache)
    assert line["id"] == content["train"]["id"][1] == cache.failed[0]
    assert message.replace("\\", "") in line["message"]


def test_a_length_that_cannot_be_fails_and_one_too_short_is_noted(tmp_path: Path) -> None:
    content = features_of("mosi", "unaligned", 6)
    content["train"]["audio_lengths"][0] = 376
    content["test"]["vision_lengths"][1] = 0
    content["test"]["vision"][1, :7] = 1.0
    content["test"]["vision"][1, 7:] = 0.0
    content["valid"]["vision"][0] = 0.0
    content["valid"]["text_bert"][1, 1, 1] = 0
    cache = prepared(tmp_path, content, "mosi", "unaligned")
    said = {line["id"]: (line["kind"], line["message"]) for line in report_of(cache)}
    ids = [str(content[part]["id"][i]) for part, i in (("train", 0), ("test", 1), ("valid", 0))]
    assert said[ids[0]] == (
        "failed",
        "row 0 of train: audio_lengths is 376, but audio has 375 steps.",
    )
    assert said[ids[1]] == ("note", "vision has values in 7 steps beyond its stated length of 0.")
    assert said[ids[2]] == ("note", "vision has no step with a value other than 0.")
    broken = said[str(content["valid"]["id"][1])]
    assert broken == ("failed", "the mask in text_bert is not a run of ones and then zeros.")


def test_a_video_in_two_parts_is_noted(tmp_path: Path) -> None:
    content = features_of(size=4)
    content["test"]["id"][0] = content["train"]["id"][0].replace("$_$0", "$_$77")
    (line,) = report_of(prepared(tmp_path, content))
    assert (line["id"], line["kind"]) == ("", "note")
    assert line["message"] == ("1 videos have clips in two parts or more, '03bSnISJMiM' first.")


# ---------------------------------------------------------------------------------- wrong files


def change(**values):
    def apply(content: dict) -> dict:
        for key, value in values.items():
            if value is None:
                del content["valid"][key]
            else:
                content["valid"][key] = value(content["valid"][key]) if callable(value) else value
        return content

    return apply


WRONG = {
    "no part": (lambda c: {k: v for k, v in c.items() if k != "valid"}, "has no part 'valid'"),
    "a list": (lambda c: [c], "has no part 'train'; a dictionary of train, valid and test"),
    "a part that is a list": (lambda c: c | {"test": []}, "has no part 'test'"),
    "no ids": (change(id=None), "valid has no 'id'; the aligned file has id, audio,"),
    "no text_bert": (change(text_bert=None), "valid has no 'text_bert'"),
    "no labels": (change(regression_labels=None), "valid has no 'regression_labels'"),
    "lengths": (change(audio_lengths=[1]), "so the file is unaligned; say so"),
    "ids that are numbers": (change(id=[1, 2, 3, 4]), "id of valid is a list; a list of text"),
    "too few ids": (change(id=lambda x: x[1:]), "valid has 3 ids, but 4 rows of audio"),
    "too few labels": (change(regression_labels=lambda x: x[1:]), "4 ids, but 3 regression_labels"),
    "too few words": (change(annotations=lambda x: x[1:]), "4 ids, but 3 annotations"),
    "labels by modality": (
        change(regression_labels=np.zeros((4, 3))), r"is float64 \(4, 3\); one number per item"
    ),
    "a label that is NaN": (
        change(regression_labels=np.array([0, 0, np.nan, 0])), "is nan in row 2; a finite number"
    ),
    "labels that are text": (change(regression_labels=["a"] * 4), "is a list; one number per item"),
    "features in a list": (change(audio=[1.0]), "audio of valid is a list; numbers of shape"),
    "pooled features": (change(audio=lambda x: x[:, 0]), r"float64 \(4, 74\); numbers of shape"),
    "features that are text": (change(audio=lambda x: x.astype("U4")), "numbers of shape"),
    "no features": (change(audio=lambda x: x[:, :, :0]), r"\(4, 50, 0\); numbers of shape"),
    "other features": (
        change(vision=lambda x: x[:, :, 1:]),
        r"items of vision have the shape \(50, 34\) in valid, but \(50, 35\) in train",
    ),
    "other masks": (
        change(text_bert=lambda x: x[:, :, 1:]), r"text_bert of valid is int64 \(4, 3, 49\), but"
    ),
    "an id without clip": (
        change(id=np.array(["a$_$1", "a$_$2", "abc", "a$_$4"])),
        r"the id 'abc' \(row 2 of valid\) is not of the form video\$_\$clip",
    ),
    "an id with a line": (
        change(id=np.array(["a$_$1", "a$_$2", "a\n$_$3", "a$_$4"])), "is not of the form"
    ),
    "an id twice": (
        change(id=np.array(["a$_$1", "a$_$2", "a$_$1", "a$_$4"])),
        r"item 'a\$_\$1' is both row 0 of valid and row 2 of valid; every item belongs to one part",
    ),
    "an id in two parts": (
        change(id=np.array(["03bSnISJMiM$_$0", "a$_$2", "a$_$3", "a$_$4"])),
        "is both row 0 of train and row 0 of valid",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_file_laid_out_otherwise_is_refused(tmp_path: Path, name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(PrepareError, match=message) as caught:
        prepared(tmp_path, make(features_of(size=4)))
    assert "aligned_50.pkl" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_lengths_are_needed_in_the_unaligned_file(tmp_path: Path) -> None:
    content = features_of("mosi", "unaligned", 4)
    del content["test"]["vision_lengths"]
    with pytest.raises(PrepareError, match="test has no 'vision_lengths'; the unaligned file has"):
        prepared(tmp_path, content, "mosi", "unaligned")


class Runs:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_a_file_that_would_run_something_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = features_of(size=4)
    content["test"]["raw_text"] = [Runs()]
    with pytest.raises(DataError, match=r"byte \d+: the file asks for 'posix\.system'"):
        prepared(tmp_path, content)
    assert not (tmp_path / "pwned").exists()


def test_a_missing_file_and_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"there is no unaligned_50\.pkl, nor one in .*MOSEI"):
        mosei(tmp_path, alignment="unaligned")
    for options in ({"alignment": "words"}, {"non_finite": "drop"}):
        with pytest.raises(
            ValueError, match=r"(alignment|non_finite) is '\w+', but must be one of"
        ):
            mosei(tmp_path, **options)


def test_the_command_line_prepares_and_says_what_happened(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source = write_features(tmp_path / "source", with_bad_values())
    command = ["data", "prepare", "mosei", "--source", str(source), "--out", str(tmp_path / "out")]
    assert main([*command, "--workers", "0", "--quiet", "--non-finite", "zero"]) == 0
    said = capsys.readouterr().out
    assert "14 of 14 items prepared" in said
    assert "split official: test 4, train 6, valid 4 (the file's own parts)" in said
    assert main(["data", "verify", str(tmp_path / "out"), "--quiet"]) == 0
    assert main(["data", "show", str(tmp_path / "out"), "--items", "1"]) == 0
    assert (tmp_path / "out" / "sheet.png").is_file()
    assert main([*command, "--workers", "0", "--quiet"]) == 1
    assert "other settings" in capsys.readouterr().err
    assert issubclass(DataError, AsgmlError)
