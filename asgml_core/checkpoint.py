"""The complete state of a run in one file: saved atomically, read without running any code."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from asgml_core.files import write_atomically

FORMAT = 1


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message names the file and what to do."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Save a state of tensors and plain values.

    Raises:
        WriteError: when it could not be written; the checkpoint before it is untouched.
    """
    content = io.BytesIO()
    torch.save({"format": FORMAT, **state}, content)
    write_atomically(path, content.getvalue())


def load(path: Path) -> dict[str, Any]:
    """Return a saved state, on the CPU.

    Raises:
        CheckpointError: when the file is damaged, of another format, or not a checkpoint.
    """
    advice = "remove it to start the run from its beginning"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile,
            pickle.UnpicklingError) as error:  # fmt: skip
        reason = str(error).split("\n", 1)[0]
        raise CheckpointError(f"{path} cannot be read ({reason}); {advice}.") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(
            f"{path} has format {found!r}, but this version reads {FORMAT}; {advice}."
        )
    return state
