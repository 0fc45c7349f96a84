"""Checkpoints whose hash is right and whose content is not."""

from __future__ import annotations

import collections
import hashlib
import io
import pickle
import random
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import hostile
import hostile_arrays
import numpy as np
import torch

from asgml_core import checkpoint, profile, study


def nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


def doubled(depth: int) -> Any:
    value: Any = ["lol"]
    for _ in range(depth):
        value = [value] * 10
    return value


def state() -> dict[str, Any]:
    config = study.config("boost_ogm", profile("synth", seed=3, epochs=4))
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    return {
        "config": config.to_dict(),
        "code": "0123456789abcdef",
        "data": "fedcba9876543210",
        "wall_time": 12.5,
        "trainer": {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 2},
    }


def make_checkpoint(folder: Path) -> None:
    checkpoint.save(folder / "checkpoint.pt", state())


def sealed(raw: bytes) -> bytes:
    return checkpoint.MAGIC + hashlib.sha256(raw).digest() + raw


class Call:
    """What unpickling would call."""

    def __init__(self, function: Callable, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple:
        return self.call


def shadowed(name: str) -> dict:
    """Return a dictionary with something in the place of its method, or of torch's versions."""
    made = collections.OrderedDict(a=1)
    setattr(made, name, 3)
    return made


@cache
def states() -> tuple[Any, ...]:
    """Return what can stand in a checkpoint in the place of something else."""
    wide = torch.zeros(1).expand(1 << 40)
    return (
        wide,
        torch.zeros(()).expand(7, 9),
        torch.zeros(3).to_sparse(),
        torch.zeros(2, device="meta"),
        np.zeros(3),
        {1, 2},
        b"bytes",
        1j,
        torch.float32,
        torch.Size([2]),
        nested(30),
        nested(90),
        doubled(8),
        shadowed("get"),
        shadowed("_metadata"),
        torch.zeros(2, dtype=torch.complex64),
        torch.zeros(0),
        torch.nn.Parameter(torch.zeros(2)),
        float("nan"),
        10**400,
        object,
        {1: 2},
        {None: 1},
        Call(bytearray, 1 << 40),
        Call(bytearray, b"a"),
        Call(torch.Tensor, 3),
        collections.Counter("ab"),
    )


def harm_checkpoint(draw: random.Random, folder: Path, outside: Path) -> None:
    file = folder / "checkpoint.pt"
    kind = draw.choice(
        (
            "file",
            "bytes",
            "sealed",
            "description",
            "description",
            "state",
            "state",
            "state",
            "packed",
        )
    )
    if kind == "file":
        return hostile.replace_file(draw, file, outside)
    if kind == "bytes":
        return _write(file, hostile_arrays.change_bytes(draw, file.read_bytes()))
    raw = file.read_bytes()[40:]
    if kind == "sealed":
        return _write(file, sealed(hostile_arrays.change_bytes(draw, raw)))
    if kind == "state":
        return _write(file, sealed(changed_state(draw)))
    return _write(file, sealed(changed_archive(draw, raw, kind)))


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def changed_state(draw: random.Random) -> bytes:
    made: dict[str, Any] = {"format": 1, **state()}
    for _ in range(draw.randint(1, 2)):
        inside: Any = made
        while isinstance(inside, dict) and inside:
            key = draw.choice(list(inside))
            if draw.random() < 0.4 or not isinstance(inside[key], dict) or not inside[key]:
                inside[key] = draw.choice((*hostile.VALUES, *states()))
                break
            inside = inside[key]
        if draw.random() < 0.2 and len(made) > 1:
            del made[draw.choice(list(made))]
    content = io.BytesIO()
    torch.save(made, content, pickle_protocol=draw.choice((2, 2, 2, 4)))
    return content.getvalue()


NUMBERS = (
    b"J\xff\xff\xff\x7f",
    b"J\x00\x00\x00\x80",
    b"\x8a\x05\x00\x00\x00\x00\x10",
    b"K\x00",
    b"N",
    b"\x88",
)
TEXTS = (
    (b"torch FloatStorage", b"torch DoubleStorage"),
    (b"torch\nFloatStorage", b"torch\nDoubleStorage"),
    (b"torch\nFloatStorage", b"torch\nUntypedStorage"),
    (b"torch\nFloatStorage", b"os\nsystem"),
    (b"collections\nOrderedDict", b"builtins\neval"),
    (b"collections\nOrderedDict", b"collections\nCounter"),
    (b"torch._utils\n_rebuild_tensor_v2", b"torch._utils\n_rebuild_sparse_tensor"),
    (b"torch._utils\n_rebuild_tensor_v2", b"__builtin__\nbytearray"),
    (b"storage", b"modules"),
    (b"X\x03\x00\x00\x00cpu", b"X\x03\x00\x00\x00gpu"),
    (b"X\x03\x00\x00\x00cpu", b"X\x04\x00\x00\x00cuda"),
    (b"X\x03\x00\x00\x00cpu", b"X\x04\x00\x00\x00meta"),
    (b"X\x01\x00\x00\x000", b"X\x05\x00\x00\x00../.."),
)


def changed_archive(draw: random.Random, raw: bytes, kind: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in files if name.endswith("data.pkl"))
    if kind == "packed":
        return hostile_arrays.zipped(
            list(files.items()), draw.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
        )
    described = files[name]
    how = draw.choice(("bytes", "number", "number", "text", "text", "other"))
    if how == "bytes":
        described = hostile_arrays.change_bytes(draw, described)
    elif how == "number":  # a size, a stride, an offset, a count
        at = [i for i in range(len(described) - 1) if described[i] == ord("K")]
        place = draw.choice(at)
        described = described[:place] + draw.choice(NUMBERS) + described[place + 2 :]
    elif how == "text":
        described = described.replace(*draw.choice(TEXTS))
    else:
        described = pickle.dumps(draw.choice(({"format": 1}, [1], nested(150), "x" * 100_000)), 2)
    files[name] = described
    if draw.random() < 0.1:
        del files[draw.choice(list(files))]
    return hostile_arrays.zipped(list(files.items()))
