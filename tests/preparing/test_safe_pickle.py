"""Reading pickles without unpickling them: good files, hostile files, damaged files."""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import os
import pickle
import struct
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asgml_core.datasets import DataError
from asgml_core.preparing import pickled_numpy, safe_pickle
from asgml_core.preparing.safe_pickle import read_plain

PROTOCOLS = (2, 3, 4, 5)
GOOD = {
    "train": {
        "audio": np.arange(24, dtype=np.float64).reshape(2, 3, 4) / 7,
        "text": np.linspace(-1, 1, 6, dtype=np.float32).reshape(1, 6),
        "id": np.array(["03bSnISJMiM$_$11", "é\U0001f600"]),
        "raw_text": np.array(["A LOT", "of words"], dtype=object),
        "labels": np.array([-0.5, np.nan, np.inf], dtype=">f8"),
        "lengths": [3, 255, 65_535, -1, 2**31, -(2**40)],
        "annotations": ["Neutral", "Negative"],
        "bert": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "turned": np.zeros((2, 3, 4), np.int16).transpose(1, 0, 2),
        "flags": (True, False, None, 1.5, "", ()),
        "one": np.float32(0.25),
        "yes": np.bool_(True),
        "word": np.str_("abc"),
        "empty": np.zeros((0, 3), np.float32),
        "point": np.array(3.0),
        "half": np.ones(3, np.float16),
        "masks": np.array([True, False]),
    },
    "valid": {},
}


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "features.pkl"
    path.write_bytes(content)
    return path


def assert_same(found, expected) -> None:
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, np.ndarray) and expected.dtype == object:
        assert found == expected.tolist()
    elif isinstance(expected, np.ndarray):
        assert type(found) is np.ndarray
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, (list, tuple)):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert type(found) is type(expected)
        assert found == expected or (math.isnan(found) and math.isnan(expected))


# ---------------------------------------------------------------------------------- good files


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_come_back_as_they_were(tmp_path: Path, protocol: int) -> None:
    found = read_plain(saved(tmp_path, pickle.dumps(GOOD, protocol)))
    assert_same(found, GOOD)
    assert not found["train"]["audio"].flags.writeable


def with_old_names(content: bytes) -> bytes:
    """Return a pickle as numpy 1 would have written it."""
    for module in ("multiarray", "numeric"):
        new, old = f"numpy._core.{module}".encode(), f"numpy.core.{module}".encode()
        content = content.replace(b"c" + new, b"c" + old)
        content = content.replace(
            b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(old)]) + old
        )
    return content


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_s_old_names_mean_the_same(tmp_path: Path, protocol: int) -> None:
    content = with_old_names(pickle.dumps(GOOD, protocol))
    assert b"numpy._core" not in content
    assert b"numpy.core" in content
    assert_same(read_plain(saved(tmp_path, content)), GOOD)


def test_values_that_are_there_twice_are_shared(tmp_path: Path) -> None:
    array, word = np.arange(500_000.0), "word" * 100
    value = {"a": [array, array], "b": (word, word), "c": [[], []]}
    assert_same(read_plain(saved(tmp_path, pickle.dumps(value, 4))), value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_large_array_is_not_read(tmp_path: Path, protocol: int) -> None:
    array = np.zeros(4 << 20, np.float64)
    path = saved(tmp_path, pickle.dumps({"x": array, "y": np.ones(300, "U1000")}, protocol))
    tracemalloc.start()
    found = read_plain(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["x"].shape == array.shape
    assert peak < (1 << 20 if protocol > 2 else 80 << 20)  # protocol 2 writes bytes as text


def test_a_file_may_be_gone_while_its_arrays_are_used(tmp_path: Path) -> None:
    path = saved(tmp_path, pickle.dumps({"x": np.arange(10.0)}, 4))
    found = read_plain(path)
    path.unlink()
    assert found["x"].sum() == 45


# ---------------------------------------------------------------------------------- hostile files

HEARD: list[str] | None = None


def _listen(event: str, arguments: tuple) -> None:
    if HEARD is not None and event not in ("builtins.id", "object.__getattr__"):
        HEARD.append(event)


sys.addaudithook(_listen)


@contextlib.contextmanager
def nothing_called():
    """Check that nothing is heard meanwhile but the opening and mapping of one file."""
    global HEARD
    HEARD = events = []
    try:
        yield
    finally:
        HEARD = None
    assert events in (["open", "mmap.__new__"], ["open"])


class Calls:
    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HOSTILE = {
    "os.system": Calls(os.system, "touch pwned"),
    "eval": Calls(eval, "open('pwned', 'w')"),
    "exec": Calls(exec, "open('pwned', 'w')"),
    "getattr": Calls(getattr, np.ndarray, "tofile"),
    "numpy.load": Calls(np.load, "pwned.npy"),
    "numpy.fromfile": Calls(np.fromfile, "/etc/passwd"),
    "open": Calls(open, "pwned", "w"),
    "import": Calls(__import__, "antigravity"),
    "inside an array": np.array([Calls(os.system, "touch pwned")], dtype=object),
    "inside a list": {"train": [1, [2, Calls(os.system, "touch pwned")]]},
    "a class of our own": Path("pwned"),
    "a set": {1, 2},
    "a complex array": np.ones(3, complex),
    "dates": np.array(["2020-01-01"], dtype="M8[D]"),
    "records": np.zeros(2, dtype=[("a", "f8"), ("b", "O")]),
    "an object scalar": np.array({"a": 1}, dtype=object),
    "a masked array": np.ma.masked_array([1.0]),
    "bytes": {"x": b"abc"},
    "a dtype": np.dtype("f8"),
    "a type": np.ndarray,
    "a number as key": {1: 2},
    "a large number": 10**40,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", HOSTILE)
def test_anything_but_plain_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, pickle.dumps(HOSTILE[name], protocol))
    sentence = r"features\.pkl, byte \d+: [^\n]*\.$"
    with pytest.raises(DataError, match=sentence), nothing_called():
        read_plain(path)
    assert not (tmp_path / "pwned").exists()


def test_the_message_names_what_was_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path, pickle.dumps(Calls(os.system, "ls"), 4))
    with pytest.raises(DataError, match=r"byte \d+: the file asks for 'posix\.system'"):
        read_plain(path)


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value.encode())]) + value.encode()


NUMBER = b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
OBJECT = NUMBER.replace(b"K\x00", b"K\x3f")


def dtype(code: str = "f8", state: bytes = NUMBER) -> bytes:
    return b"cnumpy\ndtype\n" + text(code) + b"\x89\x88\x87R" + state


BEGUN = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


def array(shape: bytes, kind: bytes, content: bytes) -> bytes:
    return BEGUN + b"(K\x01" + shape + kind + b"\x89" + content + b"tb"


def eight(number: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", number)


LONG_LIST = b"]" * 100_000 + b"a" * 99_999
LETTERS = dtype("U1", b"(K\x03\x8c\x01<NNNK\x04K\x04K\x08tb")
#: By name the instructions after the protocol, and what the message says.
MADE = {
    "nothing": (b"", "cut off"),
    "no value": (b".", "a value is missing"),
    "two values": (b"NN.", "left over"),
    "a mark left over": (b"N(.", "a value is missing|left over"),
    "no instruction": (b"\xff.", r"no instruction \(0xff\)"),
    "persistent id": (b"Pabc\n.", "PERSID"),
    "binary persistent id": (b"NQ.", "BINPERSID"),
    "extension": (b"\x82\x01.", "EXT1"),
    "an instance": (b"(ios\nsystem\n.", "INST"),
    "an object": (b"(cos\nsystem\nK\x01o.", "asks for 'os.system'"),
    "a new object": (b"cnumpy\nndarray\n)\x81.", "NEWOBJ"),
    "an out-of-band buffer": (b"\x97.", "NEXT_BUFFER"),
    "a frozen set": (b"(\x91.", "FROZENSET"),
    "text of Python 2": (b"U\x01a.", "SHORT_BINSTRING"),
    "nested a hundred thousand deep": (LONG_LIST + b".", "nested more than 16"),
    "nested marks": (b"(" * 100_000 + b".", "a value is missing"),
    "nested tuples": (b")" + b"\x85" * 100_000 + b".", "nested more than 16"),
    "a list that holds itself": (b"]q\x00h\x00a.", "hold themselves"),
    "a dictionary that holds itself": (b"}q\x00\x8c\x01ah\x00s.", "hold themselves"),
    "a key without a value": (b"}(\x8c\x01au.", "no value"),
    "a list as key": (b"}]Ns.", "keys must be text"),
    "items of a list": (b"](\x8c\x01aNu.", "a dictionary was expected"),
    "appending to text": (b"\x8c\x01aNa.", "a list was expected"),
    "never remembered": (b"h\x07.", "never remembered"),
    "remembering nothing": (b"\x94.", "a value is missing"),
    "a text longer than the file": (b"\x8d" + struct.pack("<Q", 2**60) + b".", "cut off"),
    "bytes longer than the file": (b"\x8e" + struct.pack("<Q", 2**63) + b".", "cut off"),
    "a number of 255 bytes": (b"\x8a\xff" + b"\x01" * 255 + b".", "255 bytes"),
    "text that is not UTF-8": (b"\x8c\x02\xff\xfe.", "not UTF-8"),
    "half a letter": (b"\x8c\x03\xed\xa0\x80.", "not UTF-8"),
    "a name without end": (b"cnumpy", "end of a name"),
    "a name of nothing": (b"NN\x93.", "without a name"),
    "a name as value": (b"cnumpy\nndarray\n.", "ndarray, which is no plain data"),
    "calling a value": (b"N)R.", "a name was expected"),
    "calling ndarray": (b"cnumpy\nndarray\n)R.", "ndarray is called"),
    "calling with a list": (b"cnumpy\ndtype\n]R.", "a tuple was expected"),
    "a huge array to begin with": (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + eight(2**40)
        + b"\x85C\x01b\x87R.",
        "begun in another way",
    ),
    "an array of another class": (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85C\x01b\x87R.",
        "begun in another way",
    ),
    "an array never completed": (BEGUN + b".", "an unfinished array"),
    "a type as value": (dtype() + b".", "a numpy type"),
    "a shape larger than the bytes": (
        array(eight(2**50) + b"\x85", dtype(), b"C\x08" + b"\0" * 8) + b".",
        "not up to 8 whole numbers",
    ),
    "a shape that overflows": (
        array(eight(2**31) + eight(2**31) + eight(4) + b"\x87", dtype(), b"C\x00") + b".",
        "not up to 8 whole numbers",
    ),
    "an empty array with a huge axis": (
        array(b"K\x00" + eight(2**60) + b"\x86", dtype(), b"C\x00") + b".",
        "not up to 8 whole numbers",
    ),
    "a negative shape": (array(eight(-1) + b"\x85", dtype(), b"C\x08" + b"\0" * 8) + b".", "shape"),
    "a shape that is a nest": (array(LONG_LIST + b"\x85", dtype(), b"C\x00") + b".", "shape"),
    "too few bytes": (array(b"K\x02\x85", dtype(), b"C\x08" + b"\0" * 8) + b".", "does not fit"),
    "content that is a number": (
        array(b"K\x01\x85", dtype(), eight(2**40)) + b".", "made of a value"
    ),
    "an array completed twice": (
        array(b"K\x01\x85", dtype(), b"C\x08" + b"\0" * 8) + b"Nb.", "only new arrays"
    ),
    "another state": (BEGUN + b"Nb.", "not what numpy writes"),
    "a type with fields": (
        dtype("f8", b"(K\x03\x8c\x01<N}\x8c\x01aNsNK\x00K\x00K\x00tb") + b".", "fields or parts"
    ),
    "a type of another state": (dtype("f8", b"}b") + b".", "fields or parts"),
    "a type of another size": (
        dtype("U1", b"(K\x03\x8c\x01<NNNK\x08K\x04K\x08tb") + b".", "size of its own"
    ),
    "a type by a list": (b"cnumpy\ndtype\n]\x89\x88\x87R.", "is of type a value of type list"),
    "a void type": (dtype("V8", b"") + b".", "is of type 'V8'"),
    "a wide text": (dtype("U99999999", b"") + b".", "is of type 'U99999999'"),
    "a type by expression": (dtype("f8,O", b"") + b".", "is of type 'f8,O'"),
    "no letter of Unicode": (
        array(b"K\x01\x85", LETTERS, b"C\x04\xff\xff\xff\xff") + b".", "no letters"
    ),
    "half a letter in an array": (
        array(b"K\x01\x85", LETTERS, b"C\x04\x00\xd8\x00\x00") + b".", "no letters"
    ),
    "objects that are no list": (
        array(b"K\x01\x85", dtype("O8", OBJECT), b"N") + b".", "no plain list"
    ),
    "objects that are a number": (
        array(b"K\x01\x85", dtype("O8", OBJECT), b"]Na") + b".", "holds a value of type NoneType"
    ),
    "objects that hold a nest": (
        array(b"K\x01\x85", dtype("O8", OBJECT), b"]" + LONG_LIST + b"a") + b".",
        "holds a value of type list",
    ),
    "a number of another size": (
        b"cnumpy.core.multiarray\nscalar\n" + dtype() + b"C\x04\0\0\0\0\x86R.", "does not fit"
    ),
    "an object as number": (
        b"cnumpy.core.multiarray\nscalar\n" + dtype("O8", OBJECT) + b"N\x86R.",
        "no type that is allowed",
    ),
    "another encoding": (
        b"c_codecs\nencode\n" + text("a") + text("rot13") + b"\x86R.", "encoded in"
    ),
    "letters that are no bytes": (
        b"c_codecs\nencode\n" + text("\u20ac") + text("latin1") + b"\x86R.", "other letters"
    ),
    "bytes from a number": (
        b"cbuiltins\nbytes\n" + eight(2**40) + b"\x85R.", "made from something"
    ),
    "axes in no order": (
        b"cnumpy.core.numeric\n_frombuffer\n(C\x08" + b"\0" * 8 + dtype() + b"K\x01\x85" + text("K")
        + b"K\x05\x85tR.",
        "in no order",
    ),
    "no order": (
        b"cnumpy.core.numeric\n_frombuffer\n(C\x08" + b"\0" * 8 + dtype() + b"K\x01\x85N" + b"tR.",
        "no order",
    ),
    "a buffer of nothing": (b"cnumpy.core.numeric\n_frombuffer\n)R.", "in another way"),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_a_hand_made_file_ends_in_one_sentence(tmp_path: Path, name: str) -> None:
    content, message = MADE[name]
    path = saved(tmp_path, b"\x80\x04" + content)
    with pytest.raises(DataError, match=message) as caught, nothing_called():
        read_plain(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_few_bytes_do_not_become_many(tmp_path: Path) -> None:
    """One text of bytes, called for again and again, or many arrays of the same bytes."""
    million = b"X" + struct.pack("<I", 1_000_000) + b"a" * 1_000_000
    again = b"c_codecs\nencode\nh\x00" + text("latin1") + b"\x86R"
    path = saved(tmp_path, b"\x80\x02" + million + b"q\x00" + again * 50 + b".")
    tracemalloc.start()
    with pytest.raises(DataError, match="its texts are larger than the file"):
        read_plain(path)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()
    content = b"B" + struct.pack("<I", 1_000_000) + b"\0" * 1_000_000 + b"q\x00"
    one = array(eight(250_000) + b"\x85", LETTERS, b"h\x00")
    with pytest.raises(DataError, match="its arrays are larger than the file"):
        read_plain(saved(tmp_path, b"\x80\x02" + content + one * 50 + b"."))


def test_doubling_lists_do_not_explode(tmp_path: Path) -> None:
    """Ten lists, each holding the one before ten times: ten billion values in 300 bytes."""
    content = b"]q\x00"
    for level in range(1, 12):
        content += b"](" + b"h" + bytes([level - 1]) + (b"h" + bytes([level - 1])) * 9 + b"e"
        content += b"q" + bytes([level])
    path = saved(tmp_path, b"\x80\x02(" + content + b"t.")
    found = read_plain(path)
    assert found[-1][0] is found[-1][9]


def test_too_many_instructions_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_pickle, "INSTRUCTIONS", 1000)
    path = saved(tmp_path, pickle.dumps([[0.5, 1.5]] * 2 + list(range(2000)), 4))
    with pytest.raises(DataError, match="more than 1,000 instructions; numbers are expected in"):
        read_plain(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"features\.pkl is empty"),
        (gzip.compress(b"abc", mtime=0), "no pickle of protocol 2 to 5 but a gzip file"),
        (pickle.dumps([1], 0), "no pickle of protocol 2 to 5 but something else"),
        (b"\x80\x09N.", "no pickle of protocol 2 to 5"),
        (b"PK\x03\x04", "a zip archive"),
        (b"version https://git-lfs.github.com", "something else"),
        (b"\x80", "something else"),
    ],
)
def test_what_is_no_pickle_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_plain(saved(tmp_path, content))


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.pkl could not be opened \(No such file"):
        read_plain(tmp_path / "none.pkl")
    with pytest.raises(DataError, match="could not be opened"):
        read_plain(tmp_path)
    file = io.BytesIO()
    np.save(file, np.ones(3))
    with pytest.raises(DataError, match=r"an \.npy file"):
        read_plain(saved(tmp_path, file.getvalue()))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps(GOOD["train"], protocol)
    path = tmp_path / "features.pkl"
    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"features\.pkl"):
            read_plain(path)


# ---------------------------------------------------------------------------------- fuzz

SMALL = {
    "train": {
        "audio": np.arange(6.0).reshape(1, 2, 3),
        "id": np.array(["a$_$1"]),
        "raw_text": np.array(["x", "y"], dtype=object),
        "labels": [np.float32(-0.5), 1, "Neutral", None],
    }
}


def assert_plain(value) -> None:
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            assert_plain(one)
    elif isinstance(value, np.ndarray):
        assert value.dtype.kind in "biufU"
        value.tolist()  # every entry can be read
    else:
        assert isinstance(value, (type(None), bool, int, float, str, np.generic))


REFUSED = object()


def plain_or_refused(path: Path):
    """Return what a file holds, which is plain, or ``REFUSED``, which takes one sentence."""
    try:
        found = read_plain(path)
    except DataError as error:
        said = str(error)
    else:
        assert_plain(found)
        return found
    assert said.startswith(f"{path}, byte ")
    assert "\n" not in said
    return REFUSED


class Reference(pickle._Unpickler):
    """Python's own machine; only used on files that the reader under test took."""

    def find_class(self, module: str, name: str):
        assert (module, name) in pickled_numpy._NAMES
        return super().find_class(module, name)


@st.composite
def damaged(draw) -> bytes:
    content = bytearray(pickle.dumps(SMALL, draw(st.sampled_from(PROTOCOLS))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(2, len(content) - 1))
        kind = draw(st.sampled_from(["set", "insert", "delete", "copy"]))
        if kind == "set":
            content[at] = draw(st.integers(0, 255))
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=9))
        elif kind == "delete":
            del content[at : at + draw(st.integers(1, 9))]
        else:
            begin = draw(st.integers(0, len(content) - 1))
            content[at:at] = content[begin : begin + draw(st.integers(1, 40))]
        if len(content) < 4:
            break
    return bytes(content)


@settings(max_examples=600)
@given(damaged())
@example(pickle.dumps(SMALL, 4))
def test_a_damaged_file_is_read_right_or_refused(tmp_path_factory, content: bytes) -> None:
    """Where it is read, Python's own machine reads the same; where not, there is one sentence."""
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(content)
    with nothing_called():
        found = plain_or_refused(path)
    if found is REFUSED:
        return
    try:
        expected = Reference(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, EOFError, ValueError):
        return  # a frame that does not fit: the reader under test needs none
    assert_same(found, expected)


@settings(max_examples=300)
@given(st.binary(max_size=60), st.sampled_from(PROTOCOLS))
def test_noise_is_refused(tmp_path_factory, content: bytes, protocol: int) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.pkl"
    path.write_bytes(bytes([0x80, protocol]) + content)
    plain_or_refused(path)
