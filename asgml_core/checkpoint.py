"""The complete state of a run in one file: saved atomically, read without running any code.

A checkpoint is read by torch with ``weights_only=True``, and only after its parts were looked at:
nothing in it is packed, it names nothing but what a checkpoint of ours names, and no tensor says to
be larger than its numbers.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asgml_core.array_files import zip_entries
from asgml_core.checks import AsgmlError
from asgml_core.config import TEXT, VALUES
from asgml_core.files import write_atomically
from asgml_core.reading import ReadError, check_plain, first_line, read_bytes, short

FORMAT = 1
MAGIC = b"ASGML\0\0\1"
#: The largest checkpoint, in bytes; one of the study has some hundred million.
MOST_BYTES = 64 << 30
#: How many instructions the description of the tensors may have; one of the study has ten thousand.
INSTRUCTIONS = 5_000_000
#: How deep a state may be nested.
DEPTH = 64
#: What a checkpoint may name: how to put a tensor together, and the types of numbers.
NAMES = {
    "__builtin__ set", "torch Size",
    "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16")),
    *(f"torch {kind}Storage" for kind in ("Bool", "Byte", "Char", "Short", "Int", "Long")),
}  # fmt: skip
ADVICE = "remove it to start the run from its beginning"


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
    try:
        content = read_bytes(path, MOST_BYTES)
    except ReadError as error:
        raise CheckpointError(str(error)) from error
    head, digest, raw = content[:8], content[8:40], content[40:]
    # torch does not look at the checksums of its own files, and would read damaged numbers.
    if head != MAGIC or hashlib.sha256(raw).digest() != digest:
        raise CheckpointError(f"{path} is damaged, or no checkpoint of ours; {ADVICE}.")
    try:
        state = _read_state(raw)
    except ReadError as error:
        raise CheckpointError(
            f"{path} holds something else than plain values and tensors ({error.said}); {ADVICE}."
        ) from error
    found = state.get("format") if isinstance(state, dict) else type(state).__name__
    if type(found) is not int or found != FORMAT:
        raise CheckpointError(
            f"{path} has format {_shown(found)}, but this version reads {FORMAT}; {ADVICE}."
        )
    return state


def _read_state(raw: bytes) -> Any:
    description = _description(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a description in an old or a strange form
            _check_description(description)
            state = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except ReadError:
        raise
    # What torch's reader meets in a damaged description: it checks little by itself.
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError,
            AssertionError, OverflowError, MemoryError, zipfile.BadZipFile,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise ReadError(first_line(error)) from error
    _check_values(state)
    return state


def _description(raw: bytes) -> bytes:
    """Return the pickled description of an archive's tensors, when nothing in it is packed."""
    if raw[:4] != b"PK\x03\x04":  # torch would read it as a file of its first versions
        raise ReadError("it is no archive of torch's")
    entries = zip_entries(io.BytesIO(raw))
    if any(entry.compress_type or entry.file_size != entry.compress_size for entry in entries):
        raise ReadError("it is packed, and torch packs nothing")
    if sum(entry.file_size for entry in entries) > len(raw):
        raise ReadError("its parts lie over each other")
    names = [entry.filename for entry in entries]
    folder = names[0].partition("/")[0] if names else ""
    if f"{folder}/data.pkl" not in names or any(not n.startswith(f"{folder}/") for n in names):
        raise ReadError("it has no description of its tensors")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return archive.read(f"{folder}/data.pkl")
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise ReadError(first_line(error)) from error


def _check_description(content: bytes) -> None:
    """Check that a description names nothing but tensors and their types."""
    try:
        for number, (instruction, argument, _) in enumerate(pickletools.genops(content)):
            if number > INSTRUCTIONS:
                raise ReadError(f"its description has more than {INSTRUCTIONS:,} instructions")
            if instruction.name == "GLOBAL" and argument not in NAMES:
                raise ReadError(f"it names {short(argument)}")
    except ReadError:
        raise
    except ValueError as error:
        raise ReadError(f"its description is damaged: {first_line(error)}") from error


def _check_values(state: Any) -> None:
    """Check that a state is made of tensors and plain values, nested as deep as ours at most."""
    seen: set[int] = (
        set()
    )  # what is met again was checked: lists of lists may double at every level
    left = [(state, 0)]
    while left:
        value, depth = left.pop()
        if depth > DEPTH:
            raise ReadError(f"it is nested deeper than {DEPTH} levels")
        if isinstance(value, Tensor):
            _check_tensor(value)
        elif isinstance(value, (dict, list, tuple, set)):
            if id(value) in seen:
                continue
            seen.add(id(value))
            _check_attributes(value)
            inside = (*value, *value.values()) if isinstance(value, dict) else value
            left += [(one, depth + 1) for one in inside]
        elif not isinstance(value, (str, int, float, type(None))):
            raise ReadError(f"it holds a value of type {type(value).__name__}")


def _check_attributes(value: Any) -> None:
    """Check that nothing stands before the methods of a dictionary; torch adds its versions."""
    attributes = getattr(value, "__dict__", {})
    versions = attributes.get("_metadata", {})
    are_versions = isinstance(versions, dict) and all(
        isinstance(name, str) and isinstance(said, dict) and type(said.get("version", 1)) is int
        for name, said in versions.items()
    )
    if set(attributes) - {"_metadata"} or not are_versions:
        raise ReadError(f"it holds a dictionary with the attributes {short(attributes)}")


def _check_tensor(tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        raise ReadError(f"it holds a tensor in the layout {tensor.layout} on {tensor.device}")
    there = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > there:
        raise ReadError(
            f"it holds a tensor {short(tuple(tensor.shape))} of {tensor.dtype}, for which {there} "
            "bytes are too few"
        )


def load_run(path: Path) -> dict[str, Any]:
    """Return a saved state of a run, on the CPU, with everything in it that resuming looks at.

    Returns:
        ``config`` and ``trainer``, objects of named fields; ``code`` and ``data``, text;
        ``wall_time``, seconds.

    Raises:
        CheckpointError: when the file is damaged or of another format, or a field is missing or of
            another type, naming it.
    """
    state = load(path)
    check_run(path, state)
    return state


def check_run(path: Path, state: dict[str, Any]) -> None:
    """Check that a state has what resuming a run looks at.

    Args:
        path: what a message names.
        state: what :func:`load` gave.

    Raises:
        CheckpointError: naming the field, what was found and what was expected.
    """
    for name, (is_right, expected) in _FIELDS.items():
        if name not in state:
            raise CheckpointError(
                f"{path}: {name} is missing, but {expected} was expected; {ADVICE}."
            )
        if not is_right(state[name]):
            found = _shown(state[name])
            raise CheckpointError(
                f"{path}: {name} is {found}, but {expected} was expected; {ADVICE}."
            )
    try:
        check_plain(state["config"], TEXT, VALUES)
    except ReadError as error:
        raise CheckpointError(f"{path}: config: {error.said}; {ADVICE}.") from error


def _shown(value: Any) -> str:
    return f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else short(value)


def _is_fields(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def _is_seconds(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value >= 0


#: What resuming looks at: how to know it, and what it is.
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "config": (_is_fields, "an object of named fields"),
    "code": (_is_name, "a fingerprint"),
    "data": (_is_name, "a fingerprint"),
    "wall_time": (_is_seconds, "a number of seconds"),
    "trainer": (_is_fields, "an object of named fields"),
}
