"""Files as an enemy or a broken disk would leave them, drawn from a ``random.Random``.

What is drawn depends on the generator alone, so one number names one example, here and in
``benchmarks/fuzz.py``.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hostile_arrays import change_bytes, change_npy, change_npz

#: JSON texts that stand in for a value.
RAW = (
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 100_000 + "1" + "}" * 100_000,
    "1" * 10_000,
    "9" * 400,
    "-" + "9" * 30,
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    '"\\ud800"',
    '"a\\u0000b"',
    '{"a": 1, "a": 2}',
    "[" * 40 + "]" * 40,
    "[" * 900 + "]" * 900,
    "[1,",
    "",
    "'a'",
    "\x00",
    "18446744073709551616",
    "1e308",
    "-1e308",
    "0.1e-400",
)
VALUES = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53 + 1,
    2**63,
    0.5,
    -0.0,
    1e300,
    "",
    "a",
    "x" * 1_000_000,
    "../../x",
    "/etc/passwd",
    "..",
    "a/b",
    "\u202e",
    "C:\\x",
    "last",
    "validation",
    "None",
    "1",
    [],
    {},
    [[]],
    [None],
    [1, "a", None],
    {"": 1},
    {"a": {"b": {"c": []}}},
    ["a"] * 10_000,
    {"../x": 1},
)
#: YAML texts that stand in for a whole file, or begin one.
YAML = (
    "a: &a [1,2]\nb: [*a,*a]\n",
    "a: &a [x]\n"
    + "".join(
        f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a}]\n"
        for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    ),
    "a: &a {x: 1}\nb: &b {<<: [*a, *a]}\nc: {<<: [*b, *b]}\n",
    "<<: {a: 1}\n",
    "!!python/object/apply:os.mkdir [reached]\n",
    "!!python/name:os.system\n",
    "a: !!int ''\n",
    "a: !!bool x\n",
    "a: !!timestamp x\n",
    "a: !!binary x\n",
    "a: 2001-99-99\n",
    "a: 0x_\n",
    "a: 0b_\n",
    "a: .nan\n",
    "a: -.inf\n",
    "a: 0x" + "f" * 2000 + "\n",
    "a: " + "9" * 5000 + "\n",
    "[" * 50_000,
    "{a: " * 5_000,
    "- " * 20_000,
    "a: 1\na: 2\n",
    "? [a, b]\n: 1\n",
    "? {a: b}\n: 1\n",
    "1: 2\n",
    "null: 1\n",
    "a: 1\n---\nb: 2\n",
    "\t- a",
    "a: 'x",
    "%YAML 9.9\n---\na: 1\n",
    "a: \x07\n",
    '"\\ud800": 1\n',
    'a: "\\ud800"\n',
    "*a",
    "&a a: 1\n",
    "a: |\n  x\n y",
    "",
    "...",
    "-",
    "x" * 70_000,
    "a: 1:59:59:59:59:59:59:59:59:59:59:59:59:59:59\n",
    "=: 1\n",
    "a: =\n",
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container of a plain value with every key in it."""
    found, left = [], [value]
    while left:
        inside = left.pop()
        keys = list(inside) if isinstance(inside, dict) else range(len(inside))
        found += [(inside, key) for key in keys]
        left += [inside[key] for key in keys if isinstance(inside[key], (dict, list))]
    return found


def change_values(draw: random.Random, value: Any, hostile: tuple = VALUES) -> Any:
    """Replace, remove and add values of a plain value, one to three times."""
    changed = json.loads(json.dumps(value))
    there = places(changed) if isinstance(changed, (dict, list)) else []
    if not there:
        return fresh(draw.choice(hostile))
    for _ in range(draw.randint(1, 3)):
        inside, key = draw.choice(there)
        if key not in keys_of(inside):
            continue
        kind = draw.choice(("replace", "replace", "replace", "remove", "add", "move"))
        if kind == "remove":
            del inside[key]
        elif kind == "add" and isinstance(inside, dict):
            inside[draw.choice(("extra", "", "x" * 5000, "a\nb", f"{key} "))] = fresh(
                draw.choice(hostile)
            )
        elif kind == "move":
            other, name = draw.choice(there)
            inside[key] = fresh(other[name]) if name in keys_of(other) else None
        else:
            inside[key] = fresh(draw.choice(hostile))
    return fresh(draw.choice(hostile)) if draw.random() < 0.02 else changed


def fresh(value: Any) -> Any:
    """Return a copy, so that no example changes what another is given."""
    try:
        return copy.deepcopy(value)
    except RecursionError:  # too deep for a copy, and too deep to be changed
        return value


def keys_of(inside: Any) -> Any:
    return inside if isinstance(inside, dict) else range(len(inside))


def change_json(draw: random.Random, content: bytes) -> bytes:
    """Change the bytes of a JSON file, its values, or put a text in a value's or a name's place."""
    if draw.random() < 0.2:
        return change_bytes(draw, content)
    value = change_values(draw, json.loads(content))
    there = places(value) if isinstance(value, (dict, list)) else []
    if not there or draw.random() < 0.6:
        return json.dumps(value).encode()
    inside, key = draw.choice(there)
    if isinstance(inside, dict) and draw.random() < 0.3:
        inside[f"@again@{key}"] = fresh(draw.choice(VALUES))  # the same name a second time
        return json.dumps(value).replace('"@again@', '"').encode()
    inside[key] = "@raw@"
    return json.dumps(value).replace('"@raw@"', draw.choice(RAW), 1).encode()


def change_yaml(draw: random.Random, content: bytes) -> bytes:
    """Change the bytes of a YAML file or its values, or write a hostile text over or before it."""
    kind = draw.choice(("bytes", "values", "values", "text", "before", "json"))
    if kind == "bytes":
        return change_bytes(draw, content)
    if kind == "text":
        return draw.choice(YAML).encode("utf-8", "surrogatepass")
    if kind == "before":
        return draw.choice(YAML).encode("utf-8", "surrogatepass") + content
    value = yaml.safe_load(content)
    if kind == "json":
        return change_json(draw, json.dumps(value).encode())
    return yaml.safe_dump(change_values(draw, value)).encode()


def change_csv(draw: random.Random, content: bytes) -> bytes:
    """Change the bytes of a table, or a cell, or a line of it."""
    if draw.random() < 0.3:
        return change_bytes(draw, content)
    lines = content.decode().splitlines()
    for _ in range(draw.randint(1, 3)):
        row = draw.randrange(len(lines))
        cells = lines[row].split(",")
        cells[draw.randrange(len(cells))] = draw.choice(
            (
                "",
                "nan",
                "inf",
                "-1",
                "1e999",
                "9" * 400,
                "../x",
                "a\0b",
                '"',
                '"a\nb"',
                "x" * 140_000,
                "0.5",
                "\ufeff",
                "train",
                "1",
                "None",
                "," * 20_000,
                cells[0],
                "\u202e",
                "\r",
            )
        )
        lines[row] = ",".join(cells)
        if draw.random() < 0.2:
            lines.insert(row, draw.choice((lines[0], lines[-1], "", "," * 9)))
        if draw.random() < 0.1 and len(lines) > 1:
            del lines[row]
    return "\n".join(lines).encode() + b"\n"


def replace_file(draw: random.Random, file: Path, outside: Path) -> None:
    """Put something else in the place of a file: nothing, a folder, a pipe, a device, a link."""
    file.unlink()
    kind = draw.choice(("nothing", "folder", "pipe", "device", "nowhere", "itself", "outside"))
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind != "nothing":
        targets = {
            "device": draw.choice(
                (
                    "/dev/zero",
                    "/dev/stdin",
                    "/dev/full",
                    "/proc/self/mem",
                    "/proc/kmsg",
                    "/proc/meminfo",
                )
            ),
            "nowhere": "nothing",
            "itself": file.name,
            "outside": str(outside),
        }
        file.symlink_to(targets[kind])


#: How a file is changed, by the ending of its name.
CHANGES: dict[str, Callable[[random.Random, bytes], bytes]] = {
    ".json": change_json,
    ".jsonl": change_bytes,
    ".yaml": change_yaml,
    ".csv": change_csv,
    ".npy": change_npy,
    ".npz": change_npz,
    ".pt": change_bytes,
}
