"""Reading files of others: never run, never larger or deeper than said, one sentence when refused.

A file is refused before memory is taken for it. What is read is plain: objects of named fields,
lists, text, finite numbers, true, false and nothing.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import re
import reprlib
import stat
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import yaml

from asgml_core.checks import AsgmlError

#: The largest JSON file, in bytes; a record with its notes has some kilobytes.
JSON_BYTES = 64 << 20
#: The largest YAML file, in bytes; a file of parameters has some hundred.
YAML_BYTES = 64 << 10
#: How deep lists and objects may be nested, and how many values a file may hold.
DEPTH, VALUES = 32, 2_000_000
#: Whole numbers beyond this many bits are no seed, size or time of anything.
BITS = 64
_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxstring = 3, 5, 5, 80
_HALF_LETTER = re.compile("[\ud800-\udfff]")


class ReadError(AsgmlError, ValueError):
    """A file that cannot be read; the message names the file, what was found and what is expected.

    Args:
        said: the sentence without its full stop, so that a reader can add what to do.
    """

    def __init__(self, said: str) -> None:
        super().__init__(f"{said}.")
        self.said = said


class MissingError(ReadError):
    """A file that is not there."""


def size_text(count: int) -> str:
    """Return a number of bytes as it is said."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} bytes"


def short(value: Any) -> str:
    """Return a value as text that is short, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 4 * BITS:
        return f"a whole number of {value.bit_length()} bits"  # Python refuses to print longer ones
    return _SHORT.repr(value)[:200]


def one_line(text: str, most: int = 500) -> str:
    """Return a text in one line, without its full stop.

    Args:
        text: any.
        most: the longest line, in characters; what is longer loses its middle.
    """
    said = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(said) > most:
        said = f"{said[: most // 2]} ... {said[5 - most // 2 :]}"
    return said.rstrip(". ")


def first_line(error: Exception, most: int = 150) -> str:
    """Return what an error says in one line, without the name of a file and without a full stop."""
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__, most)


def open_file(path: Path, most: int | None = None) -> BinaryIO:
    """Open a regular file for reading; links are followed.

    Args:
        path: the file.
        most: the largest size in bytes; ``None`` takes any.

    Raises:
        MissingError: when it is not there.
        ReadError: when it is a folder, pipe or device, is too large, or cannot be opened.
    """
    try:
        found = os.stat(path)  # opening a device may do something, opening a pipe waits for ever
        _check_file(path, found, most)
        with contextlib.ExitStack() as stack:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            file = stack.enter_context(os.fdopen(handle, "rb"))
            if found.st_size == 0 and file.read(1) != b"":  # None: it would be waited for
                raise ReadError(f"{path} says to have no bytes, and is no file of a disk")
            stack.pop_all()
            return file
    except ReadError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingError(f"{path}: no such file") from error
    except OSError as error:
        raise ReadError(f"{path} cannot be read ({first_line(error)})") from error
    except ValueError as error:  # a name with a NUL, or that is no text of the system
        raise ReadError(f"{short(str(path))} cannot be the name of a file") from error


def _check_file(path: Path, found: os.stat_result, most: int | None) -> None:
    for is_kind, kind in _KINDS:
        if is_kind(found.st_mode):
            raise ReadError(f"{path} is {kind}, but a file was expected")
    if most is not None and found.st_size > most:
        there = size_text(found.st_size)
        raise ReadError(f"{path} has {there}, but at most {size_text(most)} were expected")


def read_bytes(path: Path, most: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file.
        most: the largest size in bytes.

    Raises:
        MissingError: when it is not there.
        ReadError: when it is no regular file, is too large, or cannot be read.
    """
    with open_file(path, most) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            content = file.read(size + 1)
        except OSError as error:
            raise ReadError(f"{path} cannot be read ({first_line(error)})") from error
    if len(content) > size:  # it grows
        raise ReadError(f"{path} has more than the {size_text(size)} that it says to have")
    return content


def read_text(path: Path, most: int) -> str:
    """Return the content of a text file in UTF-8.

    Raises:
        MissingError: when it is not there.
        ReadError: when it is no regular file, is too large, cannot be read, or is no UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ReadError(f"{path} is no text in UTF-8 ({first_line(error)})") from error


def read_json(path: Path, most: int = JSON_BYTES) -> Any:
    """Return what a JSON file holds.

    Args:
        path: the file.
        most: the largest size in bytes.

    Raises:
        MissingError: when it is not there.
        ReadError: when it cannot be read, is no JSON, names a field twice, nests too deep, or holds
            a number that is not finite or too long.
    """
    try:
        return json_value(read_bytes(path, most))
    except UnicodeDecodeError as error:
        raise ReadError(f"{path} is not readable JSON: {first_line(error)}") from error
    except ReadError as error:
        if error.said.startswith(str(path)) or isinstance(error, MissingError):
            raise
        raise ReadError(f"{path} is not readable JSON: {error.said}") from error


def json_value(content: bytes | str) -> Any:
    """Return what a JSON text stands for.

    Raises:
        ReadError: when it is no JSON, names a field twice, nests too deep, or holds a number that
            is not finite or too long.
        UnicodeDecodeError: when it is no UTF-8.
    """
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    try:
        value = json.loads(text, object_pairs_hook=_fields, parse_constant=_no_number)
    except RecursionError as error:
        raise ReadError(f"it is nested deeper than {DEPTH} levels") from error
    except ReadError:
        raise
    except ValueError as error:
        raise ReadError(first_line(error)) from error
    check_plain(value)
    return value


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ReadError(f"it has the field {short(twice)} more than once")
    return fields


def _no_number(found: str) -> None:
    raise ReadError(f"it holds {found}, but a finite number was expected")


def check_plain(value: Any, most_text: int | None = None, most_values: int = VALUES) -> None:
    """Check that a value is not too deep, too large, or made of numbers that nothing can use.

    Args:
        value: lists, tuples and mappings are gone through; the rest has to be text, a number,
            true, false or nothing.
        most_text: the longest text, in characters; ``None`` takes any.
        most_values: how many values there may be.

    Raises:
        ReadError: naming the field.
    """
    left, count = [("", value, 0)], 0
    while left:
        place, found, depth = left.pop()
        count += 1
        if depth > DEPTH:
            raise ReadError(f"{_start(place)} is nested deeper than {DEPTH} levels")
        if count > most_values:
            raise ReadError(f"it holds more than {most_values:,} values")
        if isinstance(found, Mapping):
            for name in found:
                if not isinstance(name, str):
                    raise ReadError(
                        f"{_start(place)} has the field {short(name)}, but the name of a field "
                        "must be text"
                    )
                _check_leaf(f"the name of a field in {_start(place)}", name, most_text)
            inside = f"{place}." if place else ""
            left += [(inside + _part(name), one, depth + 1) for name, one in found.items()]
        elif isinstance(found, (list, tuple)):
            left += [(f"{place[:200]}[{i}]", one, depth + 1) for i, one in enumerate(found)]
        else:
            _check_leaf(_start(place), found, most_text)


def _part(name: str) -> str:
    return name if name.isidentifier() and len(name) <= 60 else short(name)


def _start(place: str) -> str:
    return place or "it"


def _check_leaf(place: str, value: Any, most_text: int | None) -> None:
    if isinstance(value, str):
        if most_text is not None and len(value) > most_text:
            raise ReadError(
                f"{place} is a text of {len(value):,} characters, but at most {most_text:,} were "
                "expected"
            )
        if not value.isascii() and _HALF_LETTER.search(value):
            raise ReadError(f"{place} is {short(value)[:60]}, which is no text: half a letter")
    elif isinstance(value, int) and value.bit_length() > BITS:
        raise ReadError(f"{place} is {short(value)}, but at most {BITS} bits were expected")
    elif isinstance(value, Real):
        if not isinstance(value, int) and not math.isfinite(value):
            raise ReadError(f"{place} is {value}, but a finite number was expected")
    elif value is not None:
        raise ReadError(
            f"{place} is {short(value)}, but text, a number, true, false, nothing, a list or "
            "fields were expected"
        )


@functools.cache
def _loader() -> type[yaml.SafeLoader]:
    """Return what reads plain values; a date is the text that it is written as."""

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
            first: [(tag, pattern) for tag, pattern in pairs if "timestamp" not in tag]
            for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    return Loader


def read_yaml(path: Path, most: int = YAML_BYTES) -> Any:
    """Return what a YAML file of one document holds.

    Args:
        path: the file.
        most: the largest size in bytes.

    Raises:
        MissingError: when it is not there.
        ReadError: when it cannot be read, is no YAML, has an alias, a tag or a merge key, names a
            field twice, nests too deep, or holds a number that is not finite or too long.
    """
    text = read_text(path, most)
    try:
        return yaml_value(text)
    except ReadError as error:
        raise ReadError(f"{path} is not readable YAML: {error.said}") from error


def yaml_value(text: str) -> Any:
    """Return what a YAML text of one document stands for.

    Raises:
        ReadError: as :func:`read_yaml`.
    """
    try:
        _check_events(text)
        value = yaml.load(text, _loader())  # noqa: S506 - a safe loader, with fewer types
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        said = getattr(error, "problem", None) or first_line(error)
        raise ReadError(f"{where}{said}") from error
    except ReadError:
        raise
    except ValueError as error:  # a number that is none, such as 0x_
        raise ReadError(first_line(error)) from error
    check_plain(value)
    return value


def _check_events(text: str) -> None:
    """Go through the parts of a YAML text, and refuse what can become large or run anything."""
    open_ones: list[_Open] = []
    for event in yaml.parse(text, _loader()):
        where = f"line {event.start_mark.line + 1}: "
        if isinstance(event, yaml.CollectionEndEvent):
            open_ones.pop()
        if not isinstance(event, yaml.NodeEvent):
            continue
        _check_node(where, event)
        if open_ones:
            open_ones[-1].check(where, event)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(open_ones) == DEPTH:
                raise ReadError(f"{where}it is nested deeper than {DEPTH} levels")
            open_ones.append(_Open(isinstance(event, yaml.MappingStartEvent)))


def _check_node(where: str, event: yaml.NodeEvent) -> None:
    if isinstance(event, yaml.AliasEvent):
        raise ReadError(f"{where}it has the alias *{event.anchor[:40]}; write the value out")
    if event.tag is not None:
        raise ReadError(f"{where}it has the tag {short(event.tag)}, and none was expected")


class _Open:
    """A list or a mapping whose end has not come yet."""

    def __init__(self, is_mapping: bool) -> None:
        self.is_mapping = is_mapping
        self.is_key = True  # of what comes next
        self.keys: set[str] = set()

    def check(self, where: str, event: yaml.NodeEvent) -> None:
        """Check what comes next, if it is a key."""
        if self.is_mapping:
            if self.is_key:
                _check_key(where, event, self.keys)
            self.is_key = not self.is_key


def _check_key(where: str, event: yaml.Event, seen: set[str]) -> None:
    if not isinstance(event, yaml.ScalarEvent):
        raise ReadError(f"{where}it has a field that is named by a list or by fields")
    if event.value == "<<" and event.implicit[0]:
        raise ReadError(f"{where}it has the merge key <<; write the fields out")
    if event.value in seen:
        raise ReadError(f"{where}it has the field {short(event.value)} more than once")
    seen.add(event.value)
