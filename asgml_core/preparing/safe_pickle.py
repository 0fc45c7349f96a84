"""Plain data out of a pickle file, without unpickling it.

A pickle is a program: ``pickle.load`` runs it, and it may call anything. Here its instructions are
read one by one, and only those that build plain data are known: dictionaries, lists, tuples, text,
numbers, and numpy arrays of numbers or text (:mod:`asgml_core.preparing.pickled_numpy`). No name in
a file is ever imported, and nothing that it names is called.

The file is mapped and not read: an array is a view of it. So a file larger than memory can be
opened, and every worker process can open it anew.

Source: the instructions are those of Python's ``pickletools``, protocols 2 to 5.
"""

from __future__ import annotations

import mmap
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from asgml_core.datasets.base import DataError
from asgml_core.preparing.pickled_numpy import (
    Array,
    Maker,
    Name,
    RefusedError,
    describe,
    look_up,
)

#: A file of arrays needs some hundred instructions, and one more for each text in a list.
INSTRUCTIONS = 5_000_000
#: How deep containers may be nested.
DEPTH = 16
PLAIN = (type(None), bool, int, float, str)


def read_plain(path: str | Path) -> Any:
    """Return what a pickle file of plain data holds.

    Args:
        path: the file, of protocol 2 to 5.

    Returns:
        Dictionaries (keys are text), lists, tuples, ``None``, ``bool``, ``int``, ``float``,
        ``str``, numpy numbers, and numpy arrays of booleans, numbers or text: read-only views of
        the file (in protocol 2, of a copy in memory). An array of objects, which must be text, is
        given as a list.

    Raises:
        DataError: when the file is missing, damaged or no pickle, or asks for anything else; the
            message names the place and what was found.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise DataError(f"{path} is empty; a pickle file was expected.") from error
    except OSError as error:
        raise DataError(f"{path} could not be opened ({error.strerror}).") from error
    reader = _Reader(memoryview(content))
    try:
        return reader.read()
    except RefusedError as refusal:
        message = f"{path}, byte {reader.start}: {refusal}"
    except MemoryError:
        message = f"{path}, byte {reader.start}: its text does not fit into memory."
    raise DataError(message)


class _Reader:
    """Reads instructions; it has a stack and a memory, as the pickle's own machine has."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.start = 0  # of the instruction that is being read
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}
        self.maker = Maker(len(data))

    def read(self) -> Any:
        """Return the value that the whole file stands for."""
        self._begin()
        for _ in range(INSTRUCTIONS):
            self.start = self.at
            code = self.take(1)[0]
            if code == ord("."):
                return self._finish()
            self._step(code)
        raise RefusedError(
            f"the file has more than {INSTRUCTIONS:,} instructions; numbers are expected in "
            "arrays, not in lists."
        )

    def _begin(self) -> None:
        first = bytes(self.data[:2])
        if len(first) == 2 and first[0] == 0x80 and 2 <= first[1] <= 5:
            self.at = 2
            return
        kinds = {b"\x1f\x8b": "a gzip file", b"PK": "a zip archive", b"\x93N": "an .npy file"}
        kind = kinds.get(first, f"something else (it begins with the bytes {first.hex(' ')})")
        raise RefusedError(f"this is no pickle of protocol 2 to 5 but {kind}.")

    def _step(self, code: int) -> None:
        if code in _CONSTANTS:
            self.stack.append(_CONSTANTS[code])
        elif code in _NUMBERS:
            form = _NUMBERS[code]
            self.stack += struct.unpack(form, self.take(struct.calcsize(form)))
        elif code in _BYTES:
            self.stack.append(self.take(self.size(_BYTES[code])))
        elif code in _TEXTS:
            self.stack.append(_text(self.take(self.size(_TEXTS[code]))))
        elif code in _OTHERS:
            _OTHERS[code](self)
        else:
            known = pickletools.code2op.get(chr(code))
            name = f"the instruction {known.name}" if known else f"no instruction ({code:#04x})"
            raise RefusedError(f"there is {name}, which plain data do not need.")

    def take(self, count: int) -> memoryview:
        """Return the next bytes, without copying them."""
        left = len(self.data) - self.at
        if count > left:
            raise RefusedError(
                f"a value is cut off: it needs {count} bytes and {left} are left; the file was "
                "not copied whole, or is damaged."
            )
        self.at += count
        return self.data[self.at - count : self.at]

    def size(self, width: int) -> int:
        """Return the next whole number of ``width`` bytes."""
        return int.from_bytes(self.take(width), "little")

    def pop(self) -> Any:
        """Take the last value off the stack; not one from before the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise RefusedError("a value is missing; the file is damaged.")
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        """Take all values since the last mark off the stack."""
        if not self.marks:
            raise RefusedError("a mark is missing; the file is damaged.")
        begin = self.marks.pop()
        values = self.stack[begin:]
        del self.stack[begin:]
        return values

    def pop_kind(self, kind: type, what: str) -> Any:
        """Take a value of one kind off the stack."""
        value = self.pop()
        if type(value) is not kind:
            raise RefusedError(f"{what} was expected, not {describe(value)}.")
        return value

    # --------------------------------------------------------------- what instructions do

    def skip_frame(self) -> None:
        """Skip a frame's length, which only helps a reader of streams."""
        self.take(8)

    def mark(self) -> None:
        """Remember the height of the stack."""
        self.marks.append(len(self.stack))

    def whole_number(self) -> None:
        """Push a whole number of a few bytes."""
        width = self.size(1)
        if width > 8:
            raise RefusedError(f"there is a whole number of {width} bytes; 8 are enough.")
        self.stack.append(int.from_bytes(self.take(width), "little", signed=True))

    def memorise(self, width: int) -> None:
        """Remember the last value under the number that follows, or under the next one."""
        value = self.pop()
        self.stack.append(value)
        self.memory[self.size(width) if width else len(self.memory)] = value

    def recall(self, width: int) -> None:
        """Push a value that was remembered."""
        number = self.size(width)
        if number not in self.memory:
            raise RefusedError(f"the value {number} was never remembered; the file is damaged.")
        self.stack.append(self.memory[number])

    def named(self) -> None:
        """Push what two lines name."""
        lines = []
        for _ in range(2):
            ahead = bytes(self.data[self.at : self.at + 256])
            if b"\n" not in ahead:
                raise RefusedError("the end of a name is missing; the file is damaged.")
            lines.append(_text(self.take(ahead.index(b"\n") + 1))[:-1])
        self.stack.append(look_up(*lines))

    def stack_named(self) -> None:
        """Push what the last two values name."""
        name, module = self.pop(), self.pop()
        self.stack.append(look_up(module, name))

    def make_tuple(self, count: int | None) -> None:
        """Push a tuple of the last values, or of those since the mark."""
        values = self.pop_marked() if count is None else [self.pop() for _ in range(count)][::-1]
        self.stack.append(tuple(values))

    def append(self, many: bool) -> None:
        """Append the last value, or those since the mark, to a list."""
        values = self.pop_marked() if many else [self.pop()]
        target = self.pop_kind(list, "a list")
        target.extend(values)
        self.stack.append(target)

    def set_items(self, many: bool) -> None:
        """Put pairs into a dictionary."""
        values = self.pop_marked() if many else [self.pop(), self.pop()][::-1]
        target = self.pop_kind(dict, "a dictionary")
        if len(values) % 2:
            raise RefusedError("a key has no value; the file is damaged.")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) is not str:
                raise RefusedError(f"a key is {describe(key)}; keys must be text.")
            target[key] = value
        self.stack.append(target)

    def reduce(self) -> None:
        """Make what the file asks to call."""
        values = self.pop_kind(tuple, "a tuple")
        self.stack.append(self.maker.call(self.pop_kind(Name, "a name"), values))

    def build(self) -> None:
        """Complete a type or an array."""
        state, target = self.pop(), self.pop()
        self.maker.build(target, state)
        self.stack.append(target)

    # --------------------------------------------------------------- the end

    def _finish(self) -> Any:
        value = self.pop()
        if self.stack or self.marks:
            raise RefusedError("values are left over at the end; the file is damaged.")
        return self._plain(value, 0, {})

    def _plain(self, value: Any, depth: int, done: dict[int, Any]) -> Any:
        """Return a value with its arrays put in; what is not plain data is refused."""
        if type(value) in PLAIN or isinstance(value, np.generic):
            return value
        if depth > DEPTH:
            raise RefusedError(f"containers are nested more than {DEPTH} deep, or hold themselves.")
        if id(value) not in done:  # a value that is there many times is looked at once
            done[id(value)] = self._plain_container(value, depth + 1, done)
        return done[id(value)]

    def _plain_container(self, value: Any, depth: int, done: dict[int, Any]) -> Any:
        if type(value) is dict:
            return {key: self._plain(one, depth, done) for key, one in value.items()}
        if type(value) in (list, tuple):
            return type(value)([self._plain(one, depth, done) for one in value])
        inside = value.value if type(value) is Array else None
        if type(inside) is list:
            for one in inside:
                if type(one) is not str:
                    raise RefusedError(
                        f"an array of objects holds {describe(one)}; text was expected."
                    )
            return list(inside)
        if inside is None:
            raise RefusedError(f"the file holds {describe(value)}, which is no plain data.")
        return inside


def _text(content: memoryview) -> str:
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError("text is not UTF-8; the file is damaged.") from error


_CONSTANTS: dict[int, Any] = {ord("N"): None, 0x88: True, 0x89: False, ord(")"): ()}
_NUMBERS = {ord("K"): "<B", ord("M"): "<H", ord("J"): "<i", ord("G"): ">d"}
#: By instruction the width of the size that stands before the content.
_BYTES = {ord("C"): 1, ord("B"): 4, 0x8E: 8, 0x96: 8}
_TEXTS = {0x8C: 1, ord("X"): 4, 0x8D: 8}
_OTHERS: dict[int, Callable[[_Reader], None]] = {
    0x95: _Reader.skip_frame,
    ord("("): _Reader.mark,
    0x8A: _Reader.whole_number,
    ord("q"): lambda reader: reader.memorise(1),
    ord("r"): lambda reader: reader.memorise(4),
    0x94: lambda reader: reader.memorise(0),
    ord("h"): lambda reader: reader.recall(1),
    ord("j"): lambda reader: reader.recall(4),
    ord("c"): _Reader.named,
    0x93: _Reader.stack_named,
    ord("t"): lambda reader: reader.make_tuple(None),
    0x85: lambda reader: reader.make_tuple(1),
    0x86: lambda reader: reader.make_tuple(2),
    0x87: lambda reader: reader.make_tuple(3),
    ord("]"): lambda reader: reader.stack.append([]),
    ord("a"): lambda reader: reader.append(many=False),
    ord("e"): lambda reader: reader.append(many=True),
    ord("}"): lambda reader: reader.stack.append({}),
    ord("s"): lambda reader: reader.set_items(many=False),
    ord("u"): lambda reader: reader.set_items(many=True),
    ord("R"): _Reader.reduce,
    ord("b"): _Reader.build,
}
