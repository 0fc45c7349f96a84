"""Files that say little and mean much, and files that lead elsewhere: refused before they cost."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import hostile_arrays
import kinds
import numpy as np
import pytest
from refusing import refused

from asgml_core import results
from asgml_core.array_files import UNPACKED, read_npy, read_npz
from asgml_core.datasets import DataError, arrays
from asgml_core.datasets.cache import Cache
from asgml_core.preparing.journal import Journal
from asgml_core.preparing.plan import PrepareError
from asgml_core.reading import MissingError, ReadError, read_json, read_yaml
from asgml_core.records import RecordError, RunRecord
from asgml_core.tabular import read_csv

MEGABYTE = bytes(1 << 20)


# JSON and YAML.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "is nested deeper than 32 levels"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "is nested deeper than 32 levels"),
        (b"[" * 40 + b"]" * 40, r"\[0\]\[0\] is nested deeper than 32 levels"),
        (b'{"a": {"b": NaN}}', "it holds NaN, but a finite number was expected"),
        (b'{"a": {"b": [1e999]}}', r"a\.b\[0\] is inf, but a finite number was expected"),
        (b'{"a": 1, "b": 2, "a": 3}', "it has the field 'a' more than once"),
        (b'{"a": 99999999999999999999}', "a is 99999999999999999999, but at most 64 bits"),
        (b'{"a": ' + b"9" * 1000 + b"}", "a is a whole number of 3322 bits, but at most 64 bits"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "Exceeds the limit"),
        (b'{"a": "\\udcff"}', "a is .*, which is no text: half a letter"),
        (b'{"a": "\xff"}', "is not readable JSON: 'utf-8' codec can't decode byte 0xff"),
        (b'{"a": 1', "is not readable JSON: Expecting ',' delimiter: line 1 column 8"),
        (b"", "is not readable JSON: Expecting value"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_json_that_is_none_of_ours(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "values.json"
    path.write_bytes(content)
    refused(read_json, path, message)


LAUGHS = "a: &a [lol]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LAUGHS, r"line 2: it has the alias \*a; write the value out"),
        ("a: {<<: {b: 1}}\n", "line 1: it has the merge key <<; write the fields out"),
        ("a: 1\nb: !!python/object/apply:os.mkdir [reached]\n", "line 2: it has the tag .*python"),
        ("a: !!int ''\n", "line 1: it has the tag 'tag:yaml.org,2002:int', and none was"),
        ("[" * 50_000, "line 1: it is nested deeper than 32 levels"),
        ("a: 1\nb: 2\na: 3\n", "line 3: it has the field 'a' more than once"),
        ("? [a, b]\n: 1\n", "line 1: it has a field that is named by a list or by fields"),
        ("1: 2\n", "it has the field 1, but the name of a field must be text"),
        ("a: .nan\n", "a is nan, but a finite number was expected"),
        ("a: 0x" + "f" * 300 + "\n", "a is a whole number of 1200 bits, but at most 64 bits"),
        ("a: 0x_\n", "is not readable YAML: invalid literal for int"),
        ("a: 1\n---\nb: 2\n", "is not readable YAML"),
        ("x" * 70_000, r"has 68.36 KiB, but at most 64 KiB were expected"),
        ("a: 'x", "line 1: found unexpected end of stream"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_yaml_that_is_none_of_ours(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(content)
    refused(read_yaml, path, message)


def test_a_date_in_yaml_is_its_text(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("a: 2001-12-14\nb: [1, 0.5, null, true, x]\n")
    expected = {"a": "2001-12-14", "b": [1, 0.5, None, True, "x"]}
    assert read_yaml(tmp_path / "values.yaml") == expected


# What stands in a file's place.


@pytest.mark.parametrize("read", [read_json, read_yaml, read_npy, read_npz, read_csv])
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path, read) -> None:
    path = tmp_path / "file"
    refused(read, path, "file: no such file", MissingError)
    path.mkdir()
    refused(read, path, "file is a folder, but a file was expected")
    path.rmdir()
    os.mkfifo(path)
    refused(read, path, "file is a pipe, but a file was expected")
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(read, path, "file is a device, but a file was expected")
    path.unlink()
    path.symlink_to("file")
    refused(read, path, "file cannot be read")
    with pytest.raises(ReadError, match="cannot be the name of a file"):
        read(tmp_path / "a\0b")


def test_a_file_of_many_gigabytes_is_refused_by_its_size(tmp_path: Path) -> None:
    for name, read in (("a.json", read_json), ("a.yaml", read_yaml), ("a.csv", read_csv)):
        path = tmp_path / name
        path.touch()
        os.truncate(path, 1 << 40)  # no byte of it takes room
        refused(read, path, "has 1024 GiB, but at most .* were expected")
    folder = tmp_path / "cache"
    kinds.cache_files.toy_cache(folder)
    os.truncate(folder / "items.csv", 1 << 40)
    refused(lambda _: Cache.open(folder), folder / "items.csv", "has 1024 GiB", DataError)


# Arrays.


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 9), }", "says float32"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 999999999999999999), }", "float32"),
        ("{'descr': '<U0', 'fortran_order': False, 'shape': (999999999999,), }", "has no size"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "its header is"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "its header is"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': print(1)}", "its header"),
        ("{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }", "are no letters"),
    ],
)
def test_a_header_is_not_believed(tmp_path: Path, header: str, message: str) -> None:
    content = hostile_arrays.npy(header, b"\xff" * 8)
    (tmp_path / "a.npy").write_bytes(content)
    refused(read_npy, tmp_path / "a.npy", message)
    (tmp_path / "a.npz").write_bytes(hostile_arrays.zipped([("x.npy", content)]))
    refused(read_npz, tmp_path / "a.npz", f"is no readable .npz: .*array x: .*{message}")


@pytest.mark.parametrize("kind", ["<U0", "|S0", "|V0", "|u1"])
@pytest.mark.parametrize("shape", ["(8, 5)", "(0, 5)", "()", "(9223372036854775807, 4)"])
def test_a_header_that_would_end_the_process_is_refused(
    tmp_path: Path, kind: str, shape: str
) -> None:
    """Mapping an array of a type without a size is a division by zero in numpy's own code."""
    folder = kinds.cache_files.toy_cache(tmp_path / "cache")
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    (folder / "wave.npy").write_bytes(hostile_arrays.npy(header, bytes(64)))
    refused(lambda _: Cache.open(folder), folder / "wave.npy", r"float32 \(8, 5\)", DataError)


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    """Eight gigabytes of zeros in eight megabytes, unpacked by no one."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(MEGABYTE) for _ in range(64)) + packer.flush(
        zlib.Z_FULL_FLUSH
    )
    head = hostile_arrays.npy(
        f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({UNPACKED * 16},), }}", b""
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", head + packed)
    content = bytearray(made.getvalue())
    said = struct.pack("<I", (1 << 32) - 2)  # in the directory, where it is believed
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = said
    (tmp_path / "a.npz").write_bytes(content)
    refused(read_npz, tmp_path / "a.npz", "but would unpack to 4 GiB; at most 256 MiB were expec")


def test_an_archive_s_other_tricks(tmp_path: Path) -> None:
    good = hostile_arrays.npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", bytes(8))
    path = tmp_path / "a.npz"
    path.write_bytes(hostile_arrays.zipped([("x.npy", good), ("X.npy", good)]))
    refused(read_npz, path, "has the file 'X.npy' more than once")
    path.write_bytes(hostile_arrays.zipped([("x.npy", good)], zipfile.ZIP_LZMA))
    refused(read_npz, path, "has the file 'x.npy' packed in another way than numpy's")
    path.write_bytes(hostile_arrays.zipped([("../../x.npy", good), ("/etc/y.npy", good)]))
    found = read_npz(path)  # a name is a name, and nothing is unpacked to disk
    assert set(found) == {"../../x", "/etc/y"}
    assert not list(tmp_path.parent.glob("x.npy"))
    locked = bytearray(hostile_arrays.zipped([("x.npy", good)]))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(locked)
    refused(read_npz, path, "has the file 'x.npy' locked by a password")
    path.write_bytes(hostile_arrays.zipped([(f"{i}.npy", b"") for i in range(10_001)]))
    refused(read_npz, path, "has 10,001 files, but at most 10,000 were expected")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "|u1", "<i8", "<U3", ">U3", "|S2", "|b1", "<c16"])
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3, 4)])
def test_a_good_array_is_read_as_numpy_reads_it(
    tmp_path: Path, kind: str, shape: tuple[int, ...], order: str
) -> None:
    values = np.asarray(
        np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind), order=order
    )
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "a.npz", x=values)
    expected = np.load(tmp_path / "a.npy", allow_pickle=False)
    for found in (read_npy(tmp_path / "a.npy"), read_npz(tmp_path / "a.npz")["x"]):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.flags.f_contiguous == expected.flags.f_contiguous
        assert np.array_equal(found, expected)
        assert found.flags.writeable


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..\\x", "a\0b", ""])
def test_an_array_is_not_read_from_elsewhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    kinds.make_arrays(folder)
    np.save(tmp_path / "secret.npy", np.zeros((20, 7), np.float32))
    for field in ("labels", "parts", "ids", "groups"):
        said = {"classes": ["cat", "dog"], "modalities": ["audio"], field: name}
        (folder / "manifest.yaml").write_text(json.dumps(said))
        with pytest.raises(DataError, match=rf"{field} is .*, but must be the name of an array"):
            arrays(seed=0, path=str(folder))
    (folder / "manifest.yaml").write_text(
        json.dumps({"classes": ["cat", "dog"], "modalities": ["audio", name]})
    )
    with pytest.raises(DataError, match=r"modalities has .*, but a name of an array was expected"):
        arrays(seed=0, path=str(folder))


@pytest.mark.parametrize("path", ["", ".", "a\0b", 5, None, b"mine.npz"])
def test_a_path_that_is_none_is_named(path: object) -> None:
    with pytest.raises(DataError, match=r"path is .*, but the path of a file or folder was expec"):
        arrays(seed=0, path=path)


# Links: followed to be read, never to be written.


def test_preparing_writes_through_no_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    for name in (".lock", "journal.jsonl", "wave.npy", "splits", "splits/all.csv"):
        folder = tmp_path / name.replace("/", "_")
        folder.mkdir()
        kinds.make_journal(folder)
        secret.write_text("as it was")
        place = folder / name
        place.parent.mkdir(exist_ok=True)
        place.unlink(missing_ok=True)
        if name == "journal.jsonl":
            (tmp_path / "other").mkdir()
            kinds.make_journal(tmp_path / "other")
            place.symlink_to(tmp_path / "other" / "journal.jsonl")
        else:
            place.symlink_to(secret if name != "splits" else tmp_path)
        with pytest.raises(PrepareError, match=f"{name} is a link to .*, but a file was expected"):
            kinds.go_on(folder)
        assert secret.read_text() == "as it was"


def test_a_folder_that_is_reached_by_a_link_is_prepared(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "disk")
    with Journal(tmp_path / "cache", {"kind": "toy"}) as journal:
        assert journal.entries == {}
    assert (tmp_path / "disk" / "journal.jsonl").is_file()


# Records and tables.


def test_a_record_s_fields_are_named(tmp_path: Path) -> None:
    kinds.make_record(tmp_path)
    file = tmp_path / "record.json"
    whole = json.loads(file.read_text())
    load = lambda path: RunRecord.load(path.parent)  # noqa: E731
    for name in set(whole) - {"format", "data"}:
        file.write_text(json.dumps({key: value for key, value in whole.items() if key != name}))
        refused(load, file, f"{name} is missing, but .* was expected", RecordError)
        for value in (None, 1.5, "x", [[]], {"a": "b"}):
            if name in ("schedule", "settings") and isinstance(value, dict):
                continue
            file.write_text(json.dumps(whole | {name: value}))
            refused(load, file, f"{name} is .*, but .* was expected", RecordError)


def test_a_name_of_a_table_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "costs.csv").write_text("a\n1\n")
    (tmp_path / "inside").mkdir()
    for name in ("../costs", str(tmp_path / "costs"), "", "a\0b"):
        with pytest.raises(results.ResultError, match="is no name of a table"):
            results.read(name, tmp_path / "inside")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, but a table with a header was expected"),
        (b"a,a\n1,2\n", "has the column 'a' 2 times"),
        (b"a,b\n1\n", "line 2: it has 1 values, but 2 were expected"),
        (b"," * 20_000, "has 20,001 columns, but at most 10,000 are read"),
        (b"a\n\xff\n", "is no text in UTF-8"),
        (b'a\n"b', "is no readable CSV"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    refused(read_csv, tmp_path / "a.csv", message)
