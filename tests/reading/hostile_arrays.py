"""Damaged bytes, and arrays and archives whose headers do not say what is in them."""

from __future__ import annotations

import io
import random
import warnings
import zipfile

#: Types that an array's header may say.
TYPES = (
    "<f4",
    "<f8",
    ">f4",
    "|u1",
    "|O",
    "<U0",
    "<U5",
    "<U99999999",
    "|S0",
    "|V8",
    "<M8[s]",
    "<c16",
    "f8,O",
    "",
    "<f3",
    "|b1",
    "<i8",
    "<U4294967295",
    "(9,9)f8",
    "a5",
)
SHAPES = (
    "()",
    "(8, 5)",
    "(20,)",
    "(-1,)",
    "(0, 999999999999999999)",
    "(99999999999999999999,)",
    "(1, " * 40 + ")",
    "(9223372036854775807, 9223372036854775807)",
    "(4611686018427387904, 4)",
    "(True,)",
    "(1e9,)",
    "(20, 1, 1, 1)",
    "(2147483648,)",
    "[20]",
    "20",
    "(" * 5000,
    "(0,)",
)


def change_bytes(draw: random.Random, content: bytes) -> bytes:
    """Flip, cut off, cut out, repeat and insert bytes, one to four times."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, max(len(changed) - 1, 0))
        kind = draw.choice(("flip", "set", "cut off", "cut out", "repeat", "insert"))
        if kind == "cut off":
            del changed[at:]
        elif kind == "cut out":
            del changed[at : at + draw.randint(1, 40)]
        elif kind == "repeat":
            begin = draw.randint(0, max(len(changed) - 1, 0))
            changed[at:at] = changed[begin : begin + draw.randint(1, 200)]
        elif kind == "insert":
            changed[at:at] = draw.randbytes(draw.randint(1, 9))
        elif changed:
            changed[at] = changed[at] ^ 1 << draw.randint(0, 7) if kind == "flip" else 0xFF
    return bytes(changed)


def npy(header: str, data: bytes, version: int = 1) -> bytes:
    """Return an ``.npy`` file with a header as it is given."""
    text = header.encode("latin1", "replace")
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def change_npy(draw: random.Random, content: bytes) -> bytes:
    """Change the bytes of an array's file, or write another header before its values."""
    kind = draw.choice(("bytes", "head", "header", "header", "values"))
    length = 10 + int.from_bytes(content[8:10], "little")
    if kind == "bytes":
        return change_bytes(draw, content)
    if kind == "head":
        return change_bytes(draw, content[:length]) + content[length:]
    if kind == "values":
        return content[:length] + draw.randbytes(len(content) - length)
    order = draw.choice(("False", "True", "None"))
    header = (
        f"{{'descr': {draw.choice(TYPES)!r}, 'fortran_order': {order}, "
        f"'shape': {draw.choice(SHAPES)}, }}"
    )
    return npy(header, content[length:], draw.choice((1, 1, 2, 3, 9)))


def change_npz(draw: random.Random, content: bytes) -> bytes:
    """Change the bytes of an archive, its directory, its names, or an array in it."""
    kind = draw.choice(("bytes", "directory", "array", "array", "array", "names", "twice"))
    if kind == "bytes":
        return change_bytes(draw, content)
    if kind == "directory":
        at = content.index(b"PK\x01\x02")
        return content[:at] + change_bytes(draw, content[at:])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = [(name, archive.read(name)) for name in archive.namelist()]
    number = draw.randrange(len(files))
    name, data = files[number]
    if kind == "array":
        files[number] = name, change_npy(draw, data)
    elif kind == "names":
        new = draw.choice(("../../x.npy", "/etc/passwd", "a.txt", ".npy", "a\nb.npy", "x" * 60_000))
        files[number] = new, data
    else:
        files.append((name.upper(), data))
    return zipped(files, draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))


def zipped(files: list[tuple[str, bytes]], packing: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of files by name."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packing) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two files of one name
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, packing)
    return made.getvalue()
