"""Reading a cache: right, or one sentence that names the file, what is in it, and what should be.

Every cache here is prepared by the runner and then harmed.
"""

from __future__ import annotations

import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cache_files import NAMES, PARTS, VALUES, change, read, refused, toy_cache
from hypothesis import given, settings
from hypothesis import strategies as st

from asgml_core.datasets.base import DataError
from asgml_core.datasets.cache import Cache, is_cache


def test_a_whole_cache_is_read_as_it_was_given(whole: Path) -> None:
    data = read(whole)
    for part, given_to in data.parts.items():
        rows = [i for i, name in enumerate(PARTS) if name == part]
        assert given_to.ids == tuple(NAMES[i] for i in rows)
        assert given_to.labels.tolist() == [i % 2 for i in rows]
        assert given_to.groups == tuple(f"g{i % 3}" for i in rows)
        for name, values in VALUES.items():
            assert np.array_equal(given_to.inputs[name].load().numpy(), values[rows])
    assert data.notes["missing"] == {"items": 0, "by_part": {}, "first": []}
    assert data.notes["not_in_split"] == 0


# The manifest.


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_manifest_is_refused(folder: Path, share: float) -> None:
    file = folder / "manifest.json"
    file.write_bytes(file.read_bytes()[: int(share * (file.stat().st_size - 3))])
    refused(folder, r"manifest\.json is not readable JSON: .*; prepare the cache again")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1, 2]", r"holds \[1, 2\], but an object of named fields was expected"),
        (b"null", "holds None, but an object"),
        (b"\xff\xfe", "is not readable JSON: 'utf-8' codec can't decode"),
        (b"[" * 100_000, "is not readable JSON"),
        (b'{"format": ' + b"1" * 10_000 + b"}", "is not readable JSON"),
    ],
    ids=["list", "null", "no text", "deep", "long number"],
)
def test_a_manifest_that_is_something_else_is_refused(
    folder: Path, content: bytes, message: str
) -> None:
    (folder / "manifest.json").write_bytes(content)
    refused(folder, message)


@pytest.mark.parametrize("found", [2, 0, "1", 1.0, True, None, [1]])
def test_another_format_is_refused(folder: Path, found: object) -> None:
    change(folder / "manifest.json", lambda said: said.update(format=found))
    message = rf"manifest\.json has format {re.escape(repr(found))}, but this version reads 1"
    refused(folder, message)


NEEDED = (
    "dataset", "classes", "arrays", "counts", "splits", "fingerprint", "parameters", "versions",
)  # fmt: skip


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_field_is_named(folder: Path, name: str) -> None:
    change(folder / "manifest.json", lambda said: said.pop(name))
    refused(folder, rf"manifest\.json: {name} is missing, but an? \S+ .*was expected")


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("found", [None, 3, True, "", [], [[]]], ids=repr)
def test_a_field_of_a_wrong_type_is_named(folder: Path, name: str, found: object) -> None:
    change(folder / "manifest.json", lambda said: said.update({name: found}))
    refused(folder, rf"manifest\.json: {name} is {re.escape(repr(found))}, but .* was expected")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda said: said.update(classes=["a", "b", 3]), r"classes is \['a', 'b', 3\], but a"),
        (lambda said: said.update(classes=["a", "b", "b"]), "but a list of different names was"),
        (lambda said: said.update(counts={}), "counts is {}, but an object of named fields was"),
        (lambda said: said["counts"].pop("listed"), "a whole number 'listed' of 1 or more in it"),
        (lambda said: said["counts"].update(listed=8.0), "a whole number 'listed' of 1 or more"),
        (lambda said: said["counts"].update(listed=True), "a whole number 'listed' of 1 or more"),
        (lambda said: said["counts"].update(listed=9), "has 8 lines, but manifest.json counts 9"),
        (lambda said: said.update(arrays={}), "arrays is {}, but an object of named fields was"),
        (lambda said: said["arrays"].update(wave=[5]), r"arrays has 'wave': \[5\], but a word"),
        (lambda said: said["arrays"]["wave"].pop("dtype"), "with a 'dtype' of uint8, float16, fl"),
        (lambda said: said["arrays"]["wave"].update(dtype="object"), "'dtype': 'object'"),
        (lambda said: said["arrays"]["wave"].update(dtype=[1]), "a 'dtype' of uint8, float16"),
        (lambda said: said["arrays"]["wave"].update(shape=5), "'shape': 5"),
        (lambda said: said["arrays"]["wave"].update(shape=[-5]), "and a 'shape' was expected"),
        (lambda said: said["arrays"]["wave"].update(shape=[True]), "and a 'shape' was expected"),
        (lambda said: said["arrays"]["wave"].update(shape=["5"]), "and a 'shape' was expected"),
        (lambda said: said.update(splits={"all": "train"}), "splits has 'all': 'train', but a wo"),
        (lambda said: said["splits"]["all"].update(sha256=7), "with a 'sha256' was expected"),
        (lambda said: said.update(items_sha256=7), "items_sha256 is 7, but a hash was expected"),
        (lambda said: said.update(dataset="other"), "a cache of 'other', but 'toy' was asked for"),
        (lambda said: said.update(classes=["b", "c"]), "items.csv, line 2: label is 'a', but one"),
        (lambda said: said["arrays"].update(extra=said["arrays"]["wave"]), "extra.npy is missing"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    folder: Path, edit: Callable[[dict], object], message: str
) -> None:
    change(folder / "manifest.json", edit)
    refused(folder, message)


#: Names by which a file outside of the folder could be reached.
OUTSIDE = ("../secret", "/etc/passwd", "a/b", "..", ".", "", "wave.npy", "a\0b", "C:x")


@pytest.mark.parametrize("what", ["arrays", "splits"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_the_folder_is_refused(folder: Path, what: str, name: str) -> None:
    np.save(folder.parent / "secret.npy", VALUES["wave"])
    shutil.copy(folder / "splits" / "all.csv", folder.parent / "secret.csv")
    change(folder / "manifest.json", lambda said: said[what].update({name: _any(said[what])}))
    refused(folder, rf"{what} has {re.escape(repr(name))}: .*but a word of letters, digits and '_'")


def _any(values: dict) -> object:
    return next(iter(values.values()))


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_split_is_found_by_its_own_name_only(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"has no split .*; it has 'all'"):
        Cache.open(folder).split(name)


@given(data=st.data())
@settings(max_examples=60)
def test_a_manifest_with_any_byte_changed_is_read_or_refused(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path_factory.mktemp("bytes") / "cache"))
    content = bytearray((whole / "manifest.json").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    (folder / "manifest.json").write_bytes(content)
    said = ""
    try:
        read(folder)
    except DataError as error:
        said = str(error)
    assert said.startswith(str(folder)) or not said


def test_what_is_no_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("empty", "file", "nothing"):
        assert not is_cache(tmp_path / name)
        with pytest.raises(DataError, match=r"manifest\.json: no such file; 'asgml data prepare'"):
            Cache.open(tmp_path / name)
    (tmp_path / "empty" / "journal.jsonl").touch()
    with pytest.raises(DataError, match="empty is not finished; the 'asgml data prepare' command"):
        Cache.open(tmp_path / "empty")


# Arrays.


class Attack:
    """What unpickling would run."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch /tmp/asgml_cache_was_unpickled",)


def test_a_pickled_array_is_refused_and_not_run(folder: Path) -> None:
    flag = Path("/tmp/asgml_cache_was_unpickled")
    assert not flag.exists()
    objects = np.empty((8, 5), object)
    objects[0, 0] = Attack()
    np.save(folder / "wave.npy", objects, allow_pickle=True)
    refused(folder, r"wave\.npy is no readable array of numbers .*, but float32 \(8, 5\) was expec")
    (folder / "wave.npy").write_bytes(pickle.dumps(Attack()))
    refused(folder, r"wave\.npy is no readable array of numbers .*, but float32 \(8, 5\) was expec")
    assert not flag.exists()


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.zeros((8, 6), np.float32), r"float32 \(8, 6\)"),
        (np.zeros((7, 5), np.float32), r"float32 \(7, 5\)"),
        (np.zeros(40, np.float32), r"float32 \(40,\)"),
        (np.zeros((8, 5), np.float64), r"float64 \(8, 5\)"),
        (np.zeros((8, 5), ">f4"), r">f4 \(8, 5\)"),
        (np.zeros((8, 5), "V4"), r"\|V4 \(8, 5\)"),
        (np.zeros((8, 5), "f2,f2"), r".*f2.* \(8, 5\)"),
    ],
)
def test_an_array_of_another_kind_is_refused(folder: Path, values: np.ndarray, found: str) -> None:
    np.save(folder / "wave.npy", values)
    refused(folder, rf"wave\.npy is {found}, but manifest\.json says float32 \(8, 5\)")


@pytest.mark.parametrize("bytes_more", [-1, -160, 1, 4096])
def test_an_array_of_another_size_is_refused(folder: Path, bytes_more: int) -> None:
    file = folder / "wave.npy"
    os.truncate(file, file.stat().st_size + bytes_more)
    refused(folder, r"wave\.npy .*float32 \(8, 5\)")


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY", b"\x93NUMPY\x09\x09abc"])
def test_a_file_that_is_no_array_is_refused(folder: Path, content: bytes) -> None:
    (folder / "wave.npy").write_bytes(content)
    refused(folder, r"wave\.npy is no readable array of numbers")


@pytest.mark.parametrize(
    "header",
    [
        "(" * 3000,
        "-" * 8000 + "1",
        "[" * 90 + "]" * 90,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 5)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-8, 5)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 5)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 5)}",
        "{'descr': ['<f4'], 'fortran_order': False, 'shape': (8, 5)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (8, 5)}",
        "{1: 2, 'descr': '<f4'}",
        "'''",
        "x" * 20000,
    ],
    ids=lambda header: header[:20] + header[-20:],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_damaged_header_is_refused(folder: Path, header: str, version: int) -> None:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    content = b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + bytes(160)
    (folder / "wave.npy").write_bytes(content)
    refused(folder, r"wave\.npy is no readable array of numbers \(.+\), but float32 \(8, 5\) was")


def test_a_file_that_is_missing_or_no_file_is_refused(folder: Path) -> None:
    file = folder / "wave.npy"
    file.unlink()
    refused(folder, r"wave\.npy is missing, but float32 \(8, 5\) was expected; prepare the cache")
    file.mkdir()
    refused(folder, r"wave\.npy is missing")
    file.rmdir()
    os.mkfifo(file)  # opening it would wait for ever
    refused(folder, r"wave\.npy is missing")


def test_an_array_in_another_order_of_axes_is_read_right(folder: Path) -> None:
    np.save(folder / "pixels.npy", np.asfortranarray(VALUES["pixels"]))
    rows = [i for i, name in enumerate(PARTS) if name == "train"]
    assert np.array_equal(read(folder).train.inputs["pixels"][:].numpy(), VALUES["pixels"][rows])


def test_arrays_are_not_written_through(folder: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        Cache.open(folder).array("wave")[0] = 1
    before = (folder / "wave.npy").read_bytes()
    read(folder).train.inputs["wave"][:].zero_()
    assert (folder / "wave.npy").read_bytes() == before


# Links.


def test_a_cache_of_links_is_the_same_cache(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(whole, target_is_directory=True)
    (tmp_path / "of_links").mkdir()
    for file in whole.iterdir():
        (tmp_path / "of_links" / file.name).symlink_to(file)
    for name in ("linked", "of_links"):
        assert read(tmp_path / name).fingerprint == read(whole).fingerprint


@pytest.mark.parametrize("name", ["manifest.json", "items.csv", "wave.npy", "splits/all.csv"])
@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_a_link_that_leads_nowhere_is_refused(folder: Path, name: str, target: str) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to(folder / name if target == "itself" else folder / "nothing")
    refused(folder, rf"{re.escape(Path(name).name)}|is not finished")


def test_a_link_to_another_cache_s_table_is_refused(folder: Path, tmp_path: Path) -> None:
    other = toy_cache(tmp_path / "other", bad=("item_2",))
    (folder / "items.csv").unlink()
    (folder / "items.csv").symlink_to(other / "items.csv")
    refused(folder, r"items\.csv is not the table that manifest\.json names")
