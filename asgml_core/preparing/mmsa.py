"""CMU-MOSI and CMU-MOSEI, from the feature files of the MMSA framework.

``aligned_50.pkl`` or ``unaligned_50.pkl``: a pickled dictionary of ``train``, ``valid`` and
``test``, each with ``audio``, ``vision`` and ``text`` ``(N, steps, features)``, ``text_bert``
``(N, 3, steps)`` (word numbers, attention mask, segments), ``id`` (``video$_$clip``),
``regression_labels`` (the sentiment, -3 to 3) and ``annotations`` (its sign as a word); in the
unaligned file ``audio_lengths`` and ``vision_lengths`` too. The file is read, never unpickled: see
:mod:`asgml_core.preparing.safe_pickle`.

Source: the README of thuiar/MMSA (version 2), which gives the layout and the hashes.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asgml_core.checks import check_one_of
from asgml_core.preparing.mmsa_listing import CLASSES, KEYS, MODALITIES, Listing
from asgml_core.preparing.plan import Decoded, Item, ItemError, Plan, PrepareError, Split
from asgml_core.preparing.safe_pickle import read_plain

#: By SHA-256: the files that MMSA's README names.
KNOWN = {
    "d3994fd25681f9c7ad6e9c6596a6fe9b4beb85ff7d478ba978b124139002e5f9": ("mosi", "aligned"),
    "78e0f8b5ef8ff71558e7307848fc1fa929ecb078203f565ab22b9daab2e02524": ("mosi", "unaligned"),
    "45eccfb748a87c80ecab9bfac29582e7b1466bf6605ff29d3b338a75120bf791": ("mosei", "aligned"),
    "ad8b23d50557045e7d47959ce6c5b955d8d983f2979c7d9b7b9226f6dd6fec1f": ("mosei", "unaligned"),
}


def mosei(source: Path, *, alignment: str = "aligned", non_finite: str = "fail") -> Plan:
    """Return the plan of a CMU-MOSEI cache.

    Args:
        source: the feature file, or a folder that holds it (itself or in ``Processed``).
        alignment: ``"aligned"`` (all modalities by the word, ``aligned_50.pkl``) or
            ``"unaligned"`` (sound and picture at their own pace, ``unaligned_50.pkl``).
        non_finite: what happens to an item whose features hold NaN or infinity: it fails
            (``"fail"``), or these values become 0 as in MMSA's own code (``"zero"``), which is
            then noted in the report and counted in the facts of the item.

    Raises:
        PrepareError: when the file is missing or not laid out as described.
        DataError: when it is no pickle of plain data.
        ValueError: for an option outside its range.
    """
    return _plan("mosei", Path(source), alignment, non_finite)


def mosi(source: Path, *, alignment: str = "aligned", non_finite: str = "fail") -> Plan:
    """Return the plan of a CMU-MOSI cache; see :func:`mosei`, whose options are the same."""
    return _plan("mosi", Path(source), alignment, non_finite)


def _plan(dataset: str, source: Path, alignment: str, non_finite: str) -> Plan:
    check_one_of("alignment", alignment, KEYS)
    check_one_of("non_finite", non_finite, ("fail", "zero"))
    file = _find(dataset, source, alignment)
    parameters = _described(dataset, file, alignment) | {
        "alignment": alignment,
        "non_finite": non_finite,
        "text_padding": "0 where the mask of text_bert is 0",
    }
    listing = Listing(file, alignment)
    listing.look(read_plain(file))
    return Plan(
        dataset=dataset,
        classes=CLASSES,
        source=file.parent,
        items=tuple(listing.items),
        arrays={m: ("float32", shape) for m, shape in listing.shapes.items()},
        parameters=parameters,
        decode=FeatureDecoder(file, _stamp(file), alignment, non_finite),
        report=tuple(listing.report),
        splits={
            "official": Split(
                {item.id: item.facts["part"] for item in listing.items},
                {"rule": "the file's own parts", "known_as": parameters["known_as"]},
            )
        },
        files=(file,),
    )


def _find(dataset: str, source: Path, alignment: str) -> Path:
    name = f"{alignment}_50.pkl"
    if source.is_file():
        return source
    folders = (source, source / "Processed", source / dataset.upper() / "Processed")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise PrepareError(
        f"{source}: there is no {name}, nor one in {folders[1]} or {folders[2]}; the book's page "
        "on MOSEI says where to get it."
    )


def _described(dataset: str, file: Path, alignment: str) -> dict[str, Any]:
    """Return what tells the file from others; one that is known must be what is asked for."""
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    known = KNOWN.get(digest)
    if known not in (None, (dataset, alignment)):
        raise PrepareError(
            f"{file} is the {known[1]} file of {known[0]!r} (by its SHA-256), but the {alignment} "
            f"file of {dataset!r} was asked for."
        )
    name = f"MMSA, {dataset.upper()}/Processed/{alignment}_50.pkl" if known else None
    return {
        "file": file.name,
        "bytes": file.stat().st_size,
        "sha256": digest,
        "known_as": name,
    }


@dataclass(frozen=True)
class FeatureDecoder:
    """Takes the features of items out of the file, as float32.

    Args:
        file: the feature file.
        stamp: its size and time when it was listed.
        alignment: as in :func:`mosei`.
        non_finite: as in :func:`mosei`.
    """

    file: Path
    stamp: tuple[int, int]
    alignment: str
    non_finite: str

    def __call__(self, items: Sequence[Item]) -> list[Decoded | ItemError]:
        """Return the features of each item.

        Raises:
            PrepareError: when the file is another than when it was listed.
        """
        if _stamp(self.file) != self.stamp:
            raise PrepareError(f"{self.file} was changed while it was prepared; begin anew.")
        content = _opened(self.file, self.stamp)
        return [self._decode(content[item.facts["part"]], item) for item in items]

    def _decode(self, part: Mapping[str, np.ndarray], item: Item) -> Decoded | ItemError:
        row = item.facts["place"]
        mask = part["text_bert"][row, 1]
        words = int((mask != 0).sum())
        if not bool((mask[:words] == 1).all()):
            return ItemError("the mask in text_bert is not a run of ones and then zeros.")
        arrays, facts, notes, broken = {}, {}, [], []
        for m in MODALITIES:
            with np.errstate(over="ignore"):  # what float32 cannot hold is infinity, found below
                values = part[m][row].astype(np.float32)
            if m == "text":
                values[words:] = 0
            bad = ~np.isfinite(values)
            facts[f"{m}_replaced"] = int(bad.sum())
            if bad.any():
                broken.append(_described_values(m, bad))
                values[bad] = 0
            real = (values != 0).any(1)
            facts[f"{m}_steps"] = int(real.sum())
            notes += self._strange_steps(m, item, real)
            arrays[m] = np.ascontiguousarray(values)
        if broken and self.non_finite == "fail":
            return ItemError(
                f"{'; '.join(broken)}. To go on with 0 in their place, as MMSA does, say so "
                "(non_finite='zero', --non-finite zero)."
            )
        notes += [f"{said}; 0 stands in their place." for said in broken]
        return Decoded(arrays, facts, tuple(notes))

    def _strange_steps(self, m: str, item: Item, real: np.ndarray) -> list[str]:
        if not real.any():
            return [f"{m} has no step with a value other than 0."]
        length = item.facts.get(f"{m}_length")
        beyond = 0 if length is None else int(real[int(length) :].sum())
        if beyond:
            return [f"{m} has values in {beyond} steps beyond its stated length of {length:g}."]
        return []


@functools.lru_cache(maxsize=1)
def _opened(file: Path, stamp: tuple[int, int]) -> Any:
    """Return the file's content, opened once in a process; it is mapped and not read."""
    return read_plain(file)


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _described_values(m: str, bad: np.ndarray) -> str:
    features = np.flatnonzero(bad.any(0)).tolist()
    named = ", ".join(map(str, features[:10])) + (", ..." if len(features) > 10 else "")
    return (
        f"{m} has {int(bad.sum())} values that are NaN or infinity, in {int(bad.any(1).sum())} "
        f"steps, features {named}"
    )
