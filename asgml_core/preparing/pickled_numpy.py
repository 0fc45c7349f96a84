"""What a pickle file may ask for: numpy's types, numbers and arrays, made by code of our own.

Every name stands for one method of :class:`Maker`; nothing is looked up or imported by name. An
array is a view of the bytes in the file, once their number has been checked.

Source: ``numpy.ndarray.__reduce__``, ``numpy.dtype.__reduce__`` and numpy's ``_frombuffer``, as
numpy 1 and 2 write them.
"""

from __future__ import annotations

import enum
import math
import re
from typing import Any

import numpy as np

from asgml_core.checks import AsgmlError

#: How many axes an array may have, and how many entries.
AXES, LONGEST = 8, 1 << 32
#: What a file may hold twice over: short texts and numbers are shared inside it.
SLACK = 1 << 20


class RefusedError(AsgmlError):
    """Why a file is refused; the reader puts the file's name and the place before it."""


class Name(enum.Enum):
    """What a file may name."""

    RECONSTRUCT = "numpy's _reconstruct"
    NDARRAY = "numpy's ndarray"
    DTYPE = "numpy's dtype"
    SCALAR = "numpy's scalar"
    FROMBUFFER = "numpy's _frombuffer"
    ENCODE = "encode"
    BYTES = "bytes"


_NAMES = {
    ("numpy", "ndarray"): Name.NDARRAY,
    ("numpy", "dtype"): Name.DTYPE,
    ("_codecs", "encode"): Name.ENCODE,  # how protocol 2 writes bytes
    ("builtins", "bytes"): Name.BYTES,  # ... and none at all
    ("__builtin__", "bytes"): Name.BYTES,
} | {
    (f"numpy.{core}.{module}", name): meaning
    for core in ("core", "_core")  # before and after numpy 2
    for module, name, meaning in (
        ("multiarray", "_reconstruct", Name.RECONSTRUCT),
        ("multiarray", "scalar", Name.SCALAR),
        ("numeric", "_frombuffer", Name.FROMBUFFER),
    )
}
#: Booleans, numbers, text of a fixed width, and objects (which must turn out to be text).
_TYPES = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|U[1-9][0-9]{0,6}|O8?)")
_OBJECT = np.dtype(object)


class Type:
    """A numpy type under construction."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype


class Array:
    """A numpy array under construction; ``value`` is a list where it holds objects."""

    def __init__(self, value: np.ndarray | list | None = None) -> None:
        self.value = value


def look_up(module: Any, name: Any) -> Name:
    """Return what a name means here.

    Raises:
        RefusedError: for any name but the few that plain data need.
    """
    known = _NAMES.get((module, name)) if type(module) is type(name) is str else None
    if known is not None:
        return known
    asked = f"{module}.{name}" if type(module) is type(name) is str else "something without a name"
    raise RefusedError(
        f"the file asks for {asked[:100]!r}; it may ask for numpy arrays, numbers and text only, "
        "and nothing was called."
    )


def describe(value: Any) -> str:
    """Return what a value is, for a message; its content may be anything and is not shown."""
    if type(value) is Name:
        return value.value
    kinds = {Type: "a numpy type", Array: "an unfinished array", memoryview: "bytes"}
    return kinds.get(type(value), f"a value of type {type(value).__name__}")


class Maker:
    """Makes what a file asks for.

    Args:
        size: of the file in bytes. Its arrays together cannot be larger.
    """

    def __init__(self, size: int) -> None:
        self.left = {"arrays": size + SLACK, "texts": size + SLACK}

    def call(self, name: Name, values: tuple) -> Any:
        """Return what a call of ``name`` gives.

        Raises:
            RefusedError: when numpy would not have called it so.
        """
        calls = {
            Name.RECONSTRUCT: self._reconstruct,
            Name.DTYPE: self._dtype,
            Name.SCALAR: self._scalar,
            Name.FROMBUFFER: self._frombuffer,
            Name.ENCODE: self._encode,
            Name.BYTES: self._bytes,
        }
        if name not in calls:
            raise RefusedError(f"{name.value} is called, which no array needs.")
        return calls[name](values)

    def build(self, target: Any, state: Any) -> None:
        """Complete a type or an array.

        Raises:
            RefusedError: when the state is not what numpy writes.
        """
        if type(target) is Type:
            target.dtype = _completed(target.dtype, state)
        elif type(target) is Array and target.value is None:
            target.value = self._content(state)
        else:
            raise RefusedError(f"{describe(target)} is given a state; only new arrays have one.")

    def _reconstruct(self, values: tuple) -> Array:
        kinds = tuple(map(type, values))
        if kinds not in ((Name, tuple, memoryview), (Name, tuple, bytes)) or (
            values[0] is not Name.NDARRAY or values[1] != (0,) or values[2] != b"b"
        ):
            raise RefusedError("an array is begun in another way than numpy does.")
        return Array()

    def _dtype(self, values: tuple) -> Type:
        text = values[0] if values else None
        if type(text) is not str or not _TYPES.fullmatch(text):
            shown = repr(text[:40]) if type(text) is str else describe(text)
            raise RefusedError(
                f"an array is of type {shown}; booleans, numbers and text are allowed."
            )
        if len(values) != 3 or values[1] is not False or values[2] is not True:
            raise RefusedError("a type is made in another way than numpy does.")
        return Type(np.dtype(text))

    def _scalar(self, values: tuple) -> Any:
        kind, content = values if len(values) == 2 else (None, None)
        return self._array(content, kind, (1,), "C")[0]

    def _frombuffer(self, values: tuple) -> Array:
        if not 4 <= len(values) <= 5:
            raise RefusedError("an array is made in another way than numpy does.")
        content, kind, shape, order, axes = (*values, None)[:5]
        if type(order) is not str or order not in ("C", "F", "K"):
            raise RefusedError("an array has no order of its axes.")
        made = self._array(content, kind, shape, "F" if order == "F" else "C")
        if axes is not None:
            whole = type(axes) is tuple and all(type(axis) is int for axis in axes)
            if not whole or sorted(axes) != list(range(made.ndim)):
                raise RefusedError("an array's axes are in no order.")
            made = made.transpose(axes)
        return Array(made)

    def _encode(self, values: tuple) -> bytes:
        if len(values) != 2 or type(values[0]) is not str or not _is(values[1], "latin1"):
            raise RefusedError("text is encoded in another way than protocol 2 does for bytes.")
        self._spend("texts", len(values[0]))
        try:
            return values[0].encode("latin1")
        except UnicodeEncodeError as error:
            raise RefusedError("text that stands for bytes has other letters.") from error

    def _bytes(self, values: tuple) -> bytes:
        if values:
            raise RefusedError("bytes are made from something.")
        return b""

    def _content(self, state: Any) -> np.ndarray | list:
        form = (int, tuple, Type, bool)
        if type(state) is not tuple or tuple(map(type, state[:4])) != form or len(state) != 5:
            raise RefusedError("the state of an array is not what numpy writes.")
        version, shape, kind, is_fortran, content = state
        if version != 1:
            raise RefusedError(f"the state of an array has version {version}; 1 is known.")
        if kind.dtype != _OBJECT:
            return self._array(content, kind, shape, "F" if is_fortran else "C")
        if type(content) is not list or not _are_counts(shape) or shape != (len(content),):
            raise RefusedError("an array of objects is no plain list of text.")
        return content

    def _array(self, content: Any, kind: Any, shape: Any, order: str) -> np.ndarray:
        """Return an array that looks at bytes, after checking that it needs as many."""
        if type(kind) is not Type or kind.dtype == _OBJECT:
            raise RefusedError("an array or number has no type that is allowed.")
        if type(content) not in (memoryview, bytes):
            raise RefusedError(f"an array is made of {describe(content)}; bytes were expected.")
        if not _are_counts(shape):
            raise RefusedError(f"an array's shape is not up to {AXES} whole numbers.")
        dtype = kind.dtype
        if math.prod(shape) * dtype.itemsize != len(content):
            raise RefusedError(
                f"an array of type {dtype.str} and shape {shape} does not fit its {len(content)} "
                "bytes."
            )
        self._spend("arrays", len(content))
        if not len(content):
            return np.empty(shape, dtype, order)
        if dtype.kind == "U":
            _check_letters(np.frombuffer(content, np.dtype("u4").newbyteorder(dtype.byteorder)))
        return np.frombuffer(content, dtype).reshape(shape, order=order)

    def _spend(self, what: str, count: int) -> None:
        self.left[what] -= count
        if self.left[what] < 0:
            raise RefusedError(f"its {what} are larger than the file.")


def _is(value: Any, text: str) -> bool:
    return type(value) is str and value == text


def _are_counts(shape: Any) -> bool:
    """Return whether a shape is one that an array in a file can have."""
    if type(shape) is not tuple or len(shape) > AXES or any(type(n) is not int for n in shape):
        return False
    # An array without entries has no bytes to check it by, so its other axes are checked.
    return all(n >= 0 for n in shape) and math.prod(n or 1 for n in shape) < LONGEST


def _completed(dtype: np.dtype, state: Any) -> np.dtype:
    """Return a type with the byte order of its state, which may hold no fields and no parts."""
    if type(state) is not tuple or len(state) != 8 or any(one is not None for one in state[2:5]):
        raise RefusedError("a type has fields or parts; booleans, numbers and text are allowed.")
    if type(state[0]) is not int or state[0] != 3:
        raise RefusedError("the state of a type has another version than 3.")
    if type(state[1]) is not str or state[1] not in ("<", ">", "|", "="):
        raise RefusedError("a type has no byte order.")
    sizes = {"U": (dtype.itemsize, 4, 8), "O": (-1, -1, 63)}.get(dtype.kind, (-1, -1, 0))
    if tuple(map(type, state[5:])) != (int, int, int) or state[5:] != sizes:
        raise RefusedError("a type has a size of its own.")
    return dtype.newbyteorder(state[1])


def _check_letters(codes: np.ndarray) -> None:
    """Check that the numbers are letters of Unicode; others would fail only when they are read."""
    if int(codes.max()) > 0x10FFFF or bool(((codes >= 0xD800) & (codes < 0xE000)).any()):
        raise RefusedError("an array of text holds numbers that are no letters.")
