"""Reading ``.npy`` and ``.npz`` files of others: headers are checked before memory is taken.

Only arrays of numbers, truth values and text are read, and nothing is ever unpickled or unpacked to
disk: a name in an archive is a name and no path.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from asgml_core.reading import ReadError, first_line, open_file, short, size_text

#: An archive may unpack to this many bytes, or to this many times its size, if that is more.
UNPACKED, RATIO = 256 << 20, 200
#: How many files an archive may have; a record of a run has some hundred columns.
ENTRIES = 10_000
#: The longest header of an array, in bytes; numpy writes some 128.
HEADER = 10_000
NEEDED = (
    "it is damaged, of another format, or holds Python objects; plain arrays of numbers or text "
    "are needed"
)
_FIELD = (
    r"""\s*['"](?:descr|fortran_order|shape)['"]\s*:\s*(?:['"][^'"]*['"]|True|False|\([\d,\s]*\))"""
)
_WHOLE = re.compile(rf"\{{{_FIELD}\s*,{_FIELD}\s*,{_FIELD}\s*,?\s*\}}\s*")
_DESCR = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=]?)([biufcSU])(\d{1,9})['"]""")
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(((?:\s*\d{1,18}\s*,)*\s*(?:\d{1,18}\s*)?)\)""")
_ZIP_ERRORS = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, OSError, EOFError,
    ValueError, NotImplementedError, RuntimeError, OverflowError, IndexError,
)  # fmt: skip


def read_npy(path: Path) -> np.ndarray:
    """Return the array of an ``.npy`` file.

    Raises:
        MissingError: when it is not there.
        ReadError: when it is no ``.npy``, is cut off, or holds Python objects.
    """
    with open_file(path) as file:
        try:
            size = file.seek(0, 2)
            file.seek(0)
            if file.read(2) == b"PK":
                raise ReadError(f"{path} is an archive; a single .npy array was expected")
            file.seek(0)
            return _read_array(file, size)
        except ReadError as error:
            if error.said.startswith(str(path)):
                raise
            raise ReadError(f"{path} is no readable .npy: {NEEDED} ({error.said})") from error
        except OSError as error:
            raise ReadError(f"{path} cannot be read ({first_line(error)})") from error


def read_npz(path: Path, keys: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file, by name.

    Args:
        path: the file.
        keys: the arrays to read; ``None`` reads all.

    Raises:
        MissingError: when it is not there.
        ReadError: when it is no ``.npz``, lacks a key, would unpack to more than is allowed, or
            holds Python objects.
    """
    with open_file(path) as file:
        try:
            entries = zip_entries(file)
            names = {entry.filename.removesuffix(".npy"): entry for entry in entries}
            _check_unpacked(path, file, entries)
            wanted = list(names if keys is None else keys)
            for key in wanted:
                if key not in names:
                    there = ", ".join([shown(name) for name in names][:20]) or "none"
                    raise ReadError(f"{path} has no array {key!r}; it has {there}")
            with zipfile.ZipFile(file) as archive:
                return {key: _read_entry(archive, names[key]) for key in wanted}
        except ReadError as error:
            if error.said.startswith(str(path)):
                raise
            raise ReadError(f"{path} is no readable .npz: {NEEDED} ({error.said})") from error
        except _ZIP_ERRORS as error:
            said = first_line(error)
            raise ReadError(f"{path} is no readable .npz: {NEEDED} ({said})") from error


def zip_entries(file: BinaryIO) -> list[zipfile.ZipInfo]:
    """Return the entries of a zip archive, none of which has been read.

    Args:
        file: the archive.

    Raises:
        ReadError: when it is no archive, or has too many files, two of one name, a locked one, or
            one that is packed in a way that numpy does not use; it names no file.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except _ZIP_ERRORS as error:
        raise ReadError(f"it is no zip archive: {first_line(error)}") from error
    if len(entries) > ENTRIES:
        raise ReadError(f"it has {len(entries):,} files, but at most {ENTRIES:,} were expected")
    seen: set[str] = set()
    for entry in entries:
        name = short(entry.filename)
        if entry.filename.lower() in seen:
            raise ReadError(f"it has the file {name} more than once")
        if entry.flag_bits & 1:
            raise ReadError(f"it has the file {name} locked by a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ReadError(f"it has the file {name} packed in another way than numpy's")
        seen.add(entry.filename.lower())
    return entries


def _check_unpacked(path: Path, file: BinaryIO, entries: Iterable[zipfile.ZipInfo]) -> None:
    size = file.seek(0, 2)
    unpacked, most = sum(entry.file_size for entry in entries), max(UNPACKED, RATIO * size)
    if unpacked > most:
        raise ReadError(
            f"{path} has {size_text(size)}, but would unpack to {size_text(unpacked)}; at most "
            f"{size_text(most)} were expected. Save large arrays with numpy.savez, unpacked"
        )


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as stream:
        try:
            return _read_array(stream, entry.file_size)
        except ReadError as error:
            raise ReadError(f"array {shown(entry.filename)}: {error.said}") from error


def shown(name: str) -> str:
    """Return the name of an array as a message says it."""
    name = name.removesuffix(".npy")
    return name if name.isidentifier() and len(name) <= 60 else short(name)


def _read_array(file: BinaryIO, size: int) -> np.ndarray:
    """Return the array in a stream of ``size`` bytes; memory is taken when all fits together."""
    dtype, is_fortran, shape, start = _read_header(file)
    # An axis of length 0 must not let the others be of any length.
    largest = math.prod(max(n, 1) for n in shape) * dtype.itemsize
    count = 0 if 0 in shape else largest
    if largest >= 1 << 62 or start + count != size:
        raise ReadError(
            f"its header says {dtype} {short(shape)}, {size_text(count)}, but "
            f"{size_text(max(size - start, 0))} follow"
        )
    content = bytearray(count)
    left = memoryview(content)
    while left:
        read = file.readinto(left)
        if not read:
            raise ReadError(f"it ends {size_text(len(left))} too early")
        left = left[read:]
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")
    if dtype.kind == "U":
        _check_letters(array)
    return array


def _read_header(file: BinaryIO) -> tuple[np.dtype, bool, tuple[int, ...], int]:
    """Return type, order, shape, and where the values begin."""
    head = file.read(8)
    if head[:6] != b"\x93NUMPY" or head[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise ReadError(f"it begins with {short(head)}")
    width = 2 if head[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > HEADER:
        raise ReadError(f"its header has {length:,} bytes, but at most {HEADER:,} were expected")
    header = file.read(length).decode("latin1")
    descr, order, shape = (form.search(header) for form in (_DESCR, _ORDER, _SHAPE))
    if not (_WHOLE.fullmatch(header) and descr and order and shape):
        raise ReadError(f"its header is {short(header)}")
    try:
        dtype = np.dtype("".join(descr.groups()))
    except (TypeError, ValueError, OverflowError) as error:
        raise ReadError(f"its type is {descr[0][:40]}") from error
    if dtype.itemsize == 0:
        raise ReadError(f"its type {descr[0][:40]} has no size")
    axes = tuple(int(n) for n in shape[1].split(",") if n.strip())
    if len(axes) > 32:
        raise ReadError(f"it has {len(axes)} axes")
    return dtype, order[1] == "True", axes, len(head) + width + length


def _check_letters(array: np.ndarray) -> None:
    codes = np.ravel(array, order="K").view(array.dtype.byteorder.replace("|", "=") + "u4")
    if len(codes) and (codes.max() > 0x10FFFF or ((codes >= 0xD800) & (codes <= 0xDFFF)).any()):
        raise ReadError("its text has characters that are no letters")
