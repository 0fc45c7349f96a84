"""Tables and splits of a cache, what is missing in it, and the fingerprint of what is read."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cache_files import NAMES, PARTS, VALUES, change, read, refused, toy_cache

from asgml_core.datasets.base import DataError
from asgml_core.datasets.cache import Cache, file_hash, read_table, row_hash, split_hash

Table = list[list[str]]


def rewrite(folder: Path, edit: Callable[[Table], object], name: str = "items.csv") -> None:
    """Edit a table, and let the manifest say that it was always so."""
    file = folder / name
    with file.open(newline="") as lines:
        table = list(csv.reader(lines))
    edit(table)
    with file.open("w", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows(table)
    change(folder / "manifest.json", lambda said: said.update(items_sha256=file_hash(file)))


def put(line: int, column: str, value: str) -> Callable[[Table], None]:
    """Return an edit of one value; lines count from 1, as in the messages."""

    def edit(table: Table) -> None:
        table[line - 1][table[0].index(column)] = value

    return edit


# The table of items.


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (put(4, "id", "item_0"), "line 4: id is 'item_0', but a name that no line before has was"),
        (put(4, "id", ""), "line 4: id is '', but a name"),
        (put(3, "label", "z"), r"line 3: label is 'z', but one of the classes in manifest\.json"),
        (put(3, "row", "0"), "line 3: row is '0', but a number from 0 to 7 that no line before"),
        (put(9, "row", "8"), "line 9: row is '8', but a number from 0 to 7"),
        (put(9, "row", "-1"), "line 9: row is '-1', but"),
        (put(9, "row", "07"), "line 9: row is '07', but"),
        (put(9, "row", "7.0"), "line 9: row is '7.0', but"),
        (put(9, "row", "\u0667"), "line 9: row is '\u0667', but"),
        (put(9, "row", ""), "line 9: row is '', but"),
        (put(9, "row", "9" * 5000), r"line 9: row is '9+\.\.\.9+', but"),
        (put(2, "status", "OK"), "line 2: status is 'OK', but 'ok' or 'failed' was expected"),
        (put(1, "status", "state"), "has no column 'status'; it has 'id', 'label', 'group', 'row'"),
        (put(1, "state", "label"), "has the column 'label' 2 times"),
        (put(1, "sha256/wave", "x"), "has no column 'sha256/wave'"),
        (lambda table: table.pop(), r"has 7 lines, but manifest\.json counts 8 items"),
        (lambda table: table[4].pop(), "line 5: it has 7 values, but 8 were expected"),
        (lambda table: table[4].append("x"), "line 5: it has 9 values, but 8 were expected"),
        (lambda table: table.insert(4, []), "line 5: it has 0 values, but 8 were expected"),
        (lambda table: table.__delitem__(slice(1, None)), "has 0 lines, but"),
        (lambda table: table.clear(), "has no column 'id'; it has none"),
    ],
)
def test_a_damaged_table_is_refused(
    folder: Path, edit: Callable[[Table], object], message: str
) -> None:
    rewrite(folder, edit)
    assert "items.csv" in refused(folder, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "is missing or damaged .*can't decode"),
        (b'id,label\n"a,b\n', "is missing or damaged .*unexpected end of data"),
        (b"id,label\n" + b"a" * 200_000 + b",b\n", "is missing or damaged .*field larger"),
    ],
    ids=["no text", "open quote", "long"],
)
def test_a_table_that_is_no_csv_is_refused(folder: Path, content: bytes, message: str) -> None:
    (folder / "items.csv").write_bytes(content)
    refused(folder, rf"items\.csv {message}.*; prepare the cache again")
    (folder / "items.csv").unlink()
    refused(folder, r"items\.csv is missing or damaged \(No such file or directory\)")


@pytest.mark.parametrize(
    ("line", "column", "value"),
    [(3, "label", "c"), (3, "group", "g9"), (3, "status", "failed"), (3, "sha256/wave", "0" * 16),
     (3, "state", "other")],
)  # fmt: skip
def test_a_table_that_was_edited_is_refused_though_it_looks_whole(
    folder: Path, line: int, column: str, value: str
) -> None:
    kept = (folder / "manifest.json").read_bytes()
    rewrite(folder, put(line, column, value))
    (folder / "manifest.json").write_bytes(kept)
    message = r"items\.csv is not the table that manifest\.json names: it was changed after it was"
    refused(folder, message)
    assert len(Cache.open(folder, edited=True).items["id"]) == 8


def test_a_cache_of_before_the_table_was_hashed_is_read(folder: Path, whole: Path) -> None:
    change(folder / "manifest.json", lambda said: said.pop("items_sha256"))
    assert read(folder).fingerprint == read(whole).fingerprint


def test_names_with_commas_quotes_and_line_ends_come_back(tmp_path: Path) -> None:
    group = 'a,b"c\n d\r\n\u00e9'
    data = read(toy_cache(tmp_path / "cache", group=group))
    assert data.test.groups == (f"{group}1", f"{group}2")


def test_the_table_holds_the_hash_of_every_row(whole: Path) -> None:
    cache = Cache.open(whole)
    for name, values in VALUES.items():
        wanted = [hashlib.sha256(row.tobytes()).hexdigest()[:16] for row in values]
        assert cache.column(f"sha256/{name}", NAMES) == wanted
        assert [row_hash(row) for row in np.asfortranarray(values)] == wanted


# Splits.


def test_an_edited_split_is_refused(folder: Path) -> None:
    file = folder / "splits" / "all.csv"
    text = file.read_text()
    for edited in (
        text.replace("item_1,test", "item_1,train"),
        text.replace("item_1,test\n", ""),
        text + "item_9,train\n",
    ):
        assert edited != text
        file.write_text(edited)
        refused(folder, r"all\.csv is not the split that manifest\.json names: it was changed")


def test_lines_of_a_split_in_another_order_are_the_same_split(folder: Path, whole: Path) -> None:
    file = folder / "splits" / "all.csv"
    header, *lines = file.read_text().splitlines()
    file.write_text("\n".join([header, *reversed(lines)]) + "\n")
    assert read(folder).fingerprint == read(whole).fingerprint


def test_a_part_of_an_unknown_name_is_refused(folder: Path) -> None:
    parts = dict(zip(NAMES, PARTS, strict=True)) | {"item_3": "dev"}
    lines = "".join(f"{name},{part}\n" for name, part in parts.items())
    (folder / "splits" / "all.csv").write_text(f"id,part\n{lines}")
    change(
        folder / "manifest.json",
        lambda said: said["splits"]["all"].update(sha256=split_hash(parts)),
    )
    refused(folder, r"all\.csv, line 5: part is 'dev', but one of train, valid, test was expected")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no column 'id'; it has none"),
        ("id;part\n", "has no column 'id'; it has 'id;part'"),
        ("id,part\nitem_0\n", "line 2: it has 1 values, but 2 were expected"),
    ],
)
def test_a_damaged_split_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / "splits" / "all.csv").write_text(content)
    assert "all.csv" in refused(folder, message)


def test_a_split_that_is_gone_or_unknown_is_refused(folder: Path) -> None:
    (folder / "splits" / "all.csv").unlink()
    refused(folder, r"all\.csv is missing or damaged \(No such file or directory\)")
    change(folder / "manifest.json", lambda said: said["splits"].clear())
    refused(folder, r"has no split 'all'; it has none\. Prepare it again with .*\(--splits\)")


def test_a_table_of_a_header_alone_is_empty(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,part\n")
    assert read_table(tmp_path / "t.csv", ("id",)) == {"id": (), "part": ()}


# What is missing.


def test_missing_items_are_refused_unless_allowed(tmp_path: Path) -> None:
    folder = toy_cache(tmp_path / "cache", bad=("item_3", "item_0"))
    refused(
        folder, r"2 of the 8 items of split 'all' are missing, 'item_0' first; report\.csv says"
    )
    data = read(folder, allow_missing=True)
    assert data.train.ids == ("item_2", "item_4", "item_6", "item_7")
    assert data.valid is None
    assert data.notes["missing"] == {
        "items": 2, "by_part": {"train": 1, "valid": 1}, "first": ["item_0", "item_3"],
    }  # fmt: skip
    assert np.array_equal(data.train.inputs["wave"][:].numpy(), VALUES["wave"][[2, 4, 6, 7]])


def test_a_split_of_items_that_are_not_listed_has_them_missing(folder: Path) -> None:
    parts = dict(zip(NAMES[:6], PARTS, strict=False)) | {"item_99": "train"}
    lines = "".join(f"{name},{part}\n" for name, part in parts.items())
    (folder / "splits" / "all.csv").write_text(f"id,part\n{lines}")
    change(
        folder / "manifest.json",
        lambda said: said["splits"]["all"].update(sha256=split_hash(parts)),
    )
    refused(folder, "1 of the 7 items of split 'all' are missing, 'item_99' first")
    data = read(folder, allow_missing=True)
    assert data.train.ids == ("item_0", "item_2", "item_4")
    assert data.notes["missing"]["by_part"] == {"train": 1}
    assert data.notes["not_in_split"] == 2


@pytest.mark.parametrize(("part", "gone"), [("test", [1, 5]), ("train", [0, 2, 4, 6, 7])])
def test_a_part_of_which_nothing_is_left_is_refused(
    tmp_path: Path, part: str, gone: list[int]
) -> None:
    folder = toy_cache(tmp_path / "cache", bad=[NAMES[i] for i in gone])
    with pytest.raises(DataError, match=f"cache: no item of the {part} part is there"):
        read(folder, allow_missing=True)


# The fingerprint.


def test_equal_content_has_one_fingerprint_wherever_it_lies(whole: Path, tmp_path: Path) -> None:
    again = toy_cache(tmp_path / "elsewhere" / "again")
    assert read(again).fingerprint == read(whole).fingerprint
    assert Cache.open(again).manifest["fingerprint"] == Cache.open(whole).manifest["fingerprint"]


@pytest.mark.parametrize(
    "changes",
    [{"bad": ("item_3",)}, {"label": "c"}, {"group": "h"}],
)
def test_another_content_has_another_fingerprint(
    whole: Path, tmp_path: Path, changes: dict
) -> None:
    other = toy_cache(tmp_path / "other", **changes)
    assert read(other, allow_missing=True).fingerprint != read(whole).fingerprint
    fingerprints = [Cache.open(folder).manifest["fingerprint"] for folder in (other, whole)]
    assert fingerprints[0] != fingerprints[1]


def test_one_other_value_is_another_fingerprint(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = VALUES["wave"].copy()
    values[6, 2] = np.nextafter(values[6, 2], np.float32(np.inf))
    monkeypatch.setitem(VALUES, "wave", values)
    other = toy_cache(tmp_path / "other")
    assert read(other).fingerprint != read(whole).fingerprint
    assert (
        read(other).select(("pixels",)).fingerprint == read(whole).select(("pixels",)).fingerprint
    )
