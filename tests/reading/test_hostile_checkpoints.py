"""Checkpoints whose hash is right and whose content is not: refused, and nothing is run."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import hostile_arrays
import hostile_checkpoints as made
import numpy as np
import pytest
import torch
from guard import watched
from refusing import refused

from asgml_core import checkpoint
from asgml_core.checkpoint import CheckpointError


def sealed(folder: Path, raw: bytes) -> Path:
    path = folder / "checkpoint.pt"
    path.write_bytes(made.sealed(raw))
    return path


def saved(state: dict) -> bytes:
    content = io.BytesIO()
    torch.save({"format": 1, **state}, content)
    return content.getvalue()


PLAIN = "holds something else than plain values and tensors"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            torch.zeros(1).expand(1 << 40),
            r"tensor \(1099511627776,\) of torch.float32, for which 4",
        ),
        (torch.zeros(2, device="meta"), "it names 'torch._utils _rebuild_meta_tensor_no_storage'"),
        (torch.zeros(3).to_sparse(), "it names 'torch"),
        (made.Call(bytearray, 1 << 40), "it names '__builtin__ bytearray'"),
        (made.Call(os.system, "true"), "it names 'posix system'"),
        (made.shadowed("get"), r"a dictionary with the attributes {'get': 3}"),
        (made.shadowed("_metadata"), r"a dictionary with the attributes {'_metadata': 3}"),
        (made.nested(100), "it is nested deeper than 64 levels"),
        (np.zeros(3), "it names 'numpy"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_checkpoint_holds_tensors_and_plain_values(
    tmp_path: Path, value: object, message: str
) -> None:
    path = sealed(tmp_path, saved({"trainer": {"x": value}}))
    refused(checkpoint.load, path, rf"{PLAIN} \(.*{message}.*\); remove it", CheckpointError)


def test_lists_that_double_at_every_level_are_gone_through_once(tmp_path: Path) -> None:
    path = sealed(tmp_path, saved({"trainer": {"x": made.doubled(30)}}))
    with watched(tmp_path) as watch:
        assert checkpoint.load(path)["format"] == 1
    assert watch.seconds < 5
    config = {"config": made.doubled(30), "code": "a", "data": "b", "wall_time": 1, "trainer": {}}
    path = sealed(tmp_path, saved(config))
    refused(checkpoint.load_run, path, r"config is \[\[.*, but an object of", CheckpointError)
    path = sealed(tmp_path, saved({**config, "config": {"a": made.doubled(30)}}))
    refused(checkpoint.load_run, path, "config: it holds more than 50,000", CheckpointError)


def test_a_checkpoint_s_archive_is_looked_at_first(tmp_path: Path) -> None:
    raw = saved({"x": torch.zeros(4)})
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        files = [(name, archive.read(name)) for name in archive.namelist()]
    packed = hostile_arrays.zipped(files, zipfile.ZIP_DEFLATED)
    refused(checkpoint.load, sealed(tmp_path, packed), "it is packed", CheckpointError)
    twice = hostile_arrays.zipped([*files, ("archive/data.pkl", b"")])
    refused(checkpoint.load, sealed(tmp_path, twice), "more than once", CheckpointError)
    other = hostile_arrays.zipped([*files, ("other/constants.pkl", b"")])
    refused(checkpoint.load, sealed(tmp_path, other), "no description of its", CheckpointError)
    refused(checkpoint.load, sealed(tmp_path, b"\x80\x02N."), "no archive of", CheckpointError)
    # A size in the description that its numbers do not have.
    changed = [(n, d.replace(b"K\x04", b"J\xff\xff\xff\x7f")) for n, d in files]
    refused(
        checkpoint.load, sealed(tmp_path, hostile_arrays.zipped(changed)), PLAIN, CheckpointError
    )


@pytest.mark.parametrize("name", ["config", "code", "data", "wall_time", "trainer"])
@pytest.mark.parametrize("value", [None, 7j, [1], {1: 2}, torch.zeros(3), float("nan"), -1, "gone"])
def test_what_resuming_needs_is_checked_by_field(tmp_path: Path, name: str, value: object) -> None:
    state = made.state() | {name: value}
    if value == "gone":
        del state[name]
    with pytest.raises(CheckpointError, match=rf"\.pt: {name} is .*, but .* was expected; remove"):
        checkpoint.check_run(tmp_path / "checkpoint.pt", state)
    checkpoint.check_run(tmp_path / "checkpoint.pt", made.state())
