"""Split files: every line is read, every wrong one named, the published ones recognised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgml_core.preparing.plan import PrepareError
from asgml_core.preparing.splits import SHOWN, SplitLine, join_parts, read_lines, text_hash

GOOD = "a,x\nb,y\nc,x\n"


def written(folder: Path, content: str | bytes, name: str = "train.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, delimiter: str = ",") -> list[list[str]]:
    return [values for _, values in read_lines(path, 2, delimiter)]


SAME = {
    "as it is": GOOD,
    "a byte-order mark": "\ufeff" + GOOD,
    "carriage returns": GOOD.replace("\n", "\r\n"),
    "both": "\ufeff" + GOOD.replace("\n", "\r\n"),
    "no end of the last line": GOOD.rstrip(),
    "empty lines": "\n\na,x\n\nb,y\n   \nc,x\n\n\n",
    "spaces": " a , x \nb,y \n c,x\n",
    "quotes": '"a","x"\n"b",y\nc,"x"\n',
    "old carriage returns": GOOD.replace("\n", "\r"),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_lines_in_every_kind_of_text(tmp_path: Path, kind: str) -> None:
    assert read(written(tmp_path, SAME[kind])) == [["a", "x"], ["b", "y"], ["c", "x"]]


@pytest.mark.parametrize("kind", ["as it is", "a byte-order mark", "carriage returns", "both"])
def test_the_hash_is_that_of_the_plain_text(tmp_path: Path, kind: str) -> None:
    expected = hashlib.sha256(GOOD.encode()).hexdigest()
    assert text_hash(written(tmp_path, SAME[kind])) == expected


def test_the_hash_tells_texts_apart(tmp_path: Path) -> None:
    kinds = ("as it is", "no end of the last line", "empty lines", "spaces", "quotes")
    assert len({text_hash(written(tmp_path, SAME[kind])) for kind in kinds}) == len(kinds)


def test_another_delimiter_and_line_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, "Church bell&abc\n\nBark, loud&def\n")
    assert list(read_lines(path, 2, "&")) == [
        (f"{path}, line 1", ["Church bell", "abc"]),
        (f"{path}, line 3", ["Bark, loud", "def"]),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,x\nb\n", r"train.csv, line 2 is 'b', but 2 fields between ',' are needed\.$"),
        ("a,x\nb,y,z\n", "line 2 is 'b,y,z'"),
        ("a,x\n\n,y\n", "line 3 is ',y'"),
        ("a,x\nb,\n", "line 2 is 'b,'"),
        ("a,x\nb, \n", "line 2 is 'b, '"),
        ("a,x\n,\n", "line 2 is ','"),
        ('a,x\n"b,y\nc,x\n', "line 2 is '\"b,y'"),
        ("a;x\n", "line 1 is 'a;x'"),
        ("a\tx\n", "line 1 is"),
        (b"a,x\nb\xe9,y\n", "train.csv is no UTF-8 text: .*0xe9"),
        (GOOD.encode("utf-16"), "train.csv is no UTF-8 text"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(PrepareError, match=message):
        read(written(tmp_path, content))


@pytest.mark.parametrize("begin", ['"', "", '","', "a,"])
def test_a_long_wrong_line_is_not_shown_whole(tmp_path: Path, begin: str) -> None:
    """A quote that is never closed, a file without line ends: 200 000 characters."""
    path = written(tmp_path, begin + "1001_DFA_ANG_XX;" * 12_500)
    with pytest.raises(PrepareError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}, line 1 ")
    assert len(str(caught.value)) < len(str(path)) + 2 * SHOWN + 60


@pytest.mark.parametrize("name", ["gone.csv", "folder"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(PrepareError, match=rf"{name} could not be read \((No such|Is a dir)"):
        read(tmp_path / name)


@given(content=st.binary(max_size=60))
def test_any_bytes_are_lines_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = written(tmp_path_factory.getbasetemp(), content, "any.csv")
    try:
        found = read(path)
    except PrepareError as error:
        message = str(error)
    else:
        message = str(path)
        assert all(len(values) == 2 and all(values) for values in found)
    assert message.startswith(str(path))


# ------------------------------------------------------------------------------- whole splits


def lines(path: Path) -> Iterator[SplitLine]:
    for where, (item, label) in read_lines(path, 2):
        yield SplitLine(item, label, where)


def parts(folder: Path, **contents: str) -> dict[str, Path]:
    return {part: written(folder, text, f"{part}.csv") for part, text in contents.items()}


def test_parts_are_joined_and_said(tmp_path: Path) -> None:
    files = parts(tmp_path, train=GOOD, test="d,y\n")
    name, split, seen = join_parts(files, lines, {})
    assert name == "own"
    assert split.parts == {"a": "train", "b": "train", "c": "train", "d": "test"}
    assert seen["d"] == SplitLine("d", "y", f"{files['test']}, line 1")
    assert split.facts["rule"] == "from files"
    assert split.facts["files"]["test"] == {
        "name": "test.csv", "sha256": hashlib.sha256(b"d,y\n").hexdigest(),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"train": GOOD + "a,x\n"}, r"train.csv, line 4: 'a' is there already \(.*csv, line 1\)"),
        ({"train": GOOD, "test": "d,y\n\nb,y\n"}, r"test.csv, line 3: 'b' .*train.csv, line 2\)"),
        ({"train": GOOD, "valid": "e,x\n", "test": "e,y\n"}, r"'e'.*\(.*valid.csv, line 1\)"),
    ],
)
def test_an_item_that_is_there_twice_is_refused(
    tmp_path: Path, contents: dict[str, str], message: str
) -> None:
    with pytest.raises(PrepareError, match=message):
        join_parts(parts(tmp_path, **contents), lines, {})


def test_known_files_give_their_name_and_almost_known_ones_do_not(tmp_path: Path) -> None:
    files = parts(tmp_path, train=GOOD, test="d,y\n")
    known = {
        "other": {"train": text_hash(files["train"]), "test": "0"},
        "paper": {part: text_hash(file) for part, file in files.items()},
    }
    assert join_parts(files, lines, known)[0] == "paper"
    assert join_parts(parts(tmp_path, train=GOOD.replace("\n", "\r\n"), test="\ufeffd,y\n"), lines,
                      known)[0] == "paper"  # fmt: skip
    assert join_parts(parts(tmp_path, train=GOOD, test="d,x\n"), lines, known)[0] == "own"
    assert join_parts(parts(tmp_path, train=GOOD), lines, known)[0] == "own"
    more = parts(tmp_path, train=GOOD, valid="e,x\n", test="d,y\n")
    assert join_parts(more, lines, known)[0] == "own"


def test_another_hash_may_be_the_known_one(tmp_path: Path) -> None:
    files = parts(tmp_path, train=GOOD)
    known = {"paper": {"train": "train.csv"}}
    name, split, _ = join_parts(files, lines, known, lambda file: file.name)
    assert name == "paper"
    assert split.facts["rule"] == "the published files of 'paper', by hash"
