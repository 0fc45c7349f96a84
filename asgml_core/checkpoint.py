"""The complete state of a run in one file: saved atomically, read without running any code."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from asgml_core.checks import AsgmlError
from asgml_core.files import write_atomically

FORMAT = 1
MAGIC = b"ASGML\0\0\1"


class CheckpointError(AsgmlError, RuntimeError):
    """A checkpoint that cannot be used; the message names the file and what to do."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Save a state of tensors and plain values.

    Raises:
        WriteError: when it could not be written; the checkpoint before it is untouched.
    """
    content = io.BytesIO()
    torch.save({"format": FORMAT, **state}, content)
    raw = content.getvalue()
    write_atomically(path, MAGIC + hashlib.sha256(raw).digest() + raw)


def save_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Save weights under ``"model"`` as a plain file for ``torch.load(..., weights_only=True)``.

    Raises:
        WriteError: when it could not be written.
    """
    content = io.BytesIO()
    torch.save({"model": weights}, content)
    write_atomically(path, content.getvalue())


def load(path: Path) -> dict[str, Any]:
    """Return a saved state, on the CPU.

    Raises:
        CheckpointError: when the file is damaged, of another format, or not a checkpoint.
    """
    advice = "remove it to start the run from its beginning"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}).") from error
    head, digest, raw = content[:8], content[8:40], content[40:]
    # torch does not look at the checksums of its own files, and would read damaged numbers.
    if head != MAGIC or hashlib.sha256(raw).digest() != digest:
        raise CheckpointError(f"{path} is damaged, or no checkpoint of ours; {advice}.")
    try:
        state = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise CheckpointError(
            f"{path} holds something else than plain values and tensors; {advice}."
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(
            f"{path} has format {found!r}, but this version reads {FORMAT}; {advice}."
        )
    return state
