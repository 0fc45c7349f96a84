"""What is read from others, kind by kind: how to make it, how to harm it, and how it is read."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "datasets")]

import cache_files  # noqa: E402
import hostile  # noqa: E402
from guard import BYTES, SECONDS, watched  # noqa: E402
from hostile_checkpoints import doubled, harm_checkpoint, make_checkpoint, nested  # noqa: E402

from asgml_core import RunConfig, checkpoint, profile, results, study  # noqa: E402
from asgml_core.checks import AsgmlError  # noqa: E402
from asgml_core.datasets import arrays  # noqa: E402
from asgml_core.files import json_bytes  # noqa: E402
from asgml_core.preparing.journal import Entry, Journal, read_entries  # noqa: E402
from asgml_core.reading import read_json, read_yaml  # noqa: E402
from asgml_core.records import RunRecord  # noqa: E402


@dataclass(frozen=True)
class Kind:
    """A kind of file or folder.

    Args:
        make: writes a good one into a folder.
        doors: what reads it, by name; each is called with the folder.
        harm: harms a copy; it is given the generator, the folder, and a file outside.
        fields: a refusal may begin with the name of a field, as there is no file.
    """

    make: Callable[[Path], None]
    doors: Mapping[str, Callable[[Path], Any]]
    harm: Callable[[random.Random, Path, Path], None]
    fields: bool = False


def harm_files(draw: random.Random, folder: Path, outside: Path) -> None:
    """Harm one or two files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    for file in draw.sample(files, min(len(files), draw.choice((1, 1, 2)))):
        if draw.random() < 0.12:
            hostile.replace_file(draw, file, outside)
        else:
            file.write_bytes(hostile.CHANGES[file.suffix](draw, file.read_bytes()))


# Configs: values, as json.loads or another library gives them.


def make_config(folder: Path) -> None:
    base = profile("arrays", seed=3, epochs=4, options={"path": "mine.npz"})
    config = study.config("boost_ogm", base)
    (folder / "config.json").write_bytes(json_bytes(config.to_dict()))


#: What no file gives, but another program may.
OBJECTS = (
    *hostile.VALUES,
    float("nan"),
    float("inf"),
    10**400,
    10**5000,
    -(10**400),
    b"bytes",
    object(),
    {1, 2},
    1j,
    (1, 2),
    range(3),
    {1: 2},
    {None: 1},
    Path("x"),
    np.float32(0.5),
    np.int64(3),
    np.zeros(3),
    torch.zeros(2),
    int,
    "\ud800",
    "a\0b",
    "a\nb",
)


def harm_config(draw: random.Random, folder: Path, outside: Path) -> None:
    """Keep the seed of the example; what it stands for may be no JSON."""
    (folder / "example").write_text(str(draw.getrandbits(64)))


def read_config(folder: Path) -> RunConfig:
    draw = random.Random(int((folder / "example").read_text()))
    values = json.loads((folder / "config.json").read_bytes())
    deep = (nested(40), nested(2000), doubled(8))
    changed = hostile.change_values(draw, values, (*OBJECTS, *deep))
    config = RunConfig.from_dict(changed)
    again = RunConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again.to_dict() == json.loads(json.dumps(config.to_dict()))
    return config


# Caches, journals, a user's own data.


def make_cache(folder: Path) -> None:
    source = folder.parent / "source"
    source.mkdir(exist_ok=True)
    cache_files.toy_cache(folder)


def read_cache(folder: Path) -> None:
    data = cache_files.read(folder)
    for part in data.parts.values():
        for rows in part.inputs.values():
            assert len(rows[:]) == len(part)


def make_journal(folder: Path) -> None:
    with Journal(folder, {"kind": "toy", "items": 3, "arrays": {"wave": ["float32", [5]]}}) as it:
        stamp = {"file": "a.wav", "bytes": 3, "time": 5, "sha256": "0" * 64}
        it.add([Entry(f"item_{i}", files={"sound": stamp}, notes=("short",)) for i in range(3)])
        it.add([Entry("item_3", message="It is broken.")])


def go_on(folder: Path) -> None:
    with Journal(folder, {"kind": "toy", "items": 3, "arrays": {"wave": ["float32", [5]]}}) as it:
        it.add([Entry("item_9")])


def harm_journal(draw: random.Random, folder: Path, outside: Path) -> None:
    file = folder / "journal.jsonl"
    lines = file.read_bytes().splitlines()
    number = draw.randrange(len(lines))
    lines[number] = hostile.change_json(draw, lines[number])
    file.write_bytes(b"\n".join(lines) + b"\n")
    if draw.random() < 0.2:
        hostile.replace_file(draw, file if draw.random() < 0.5 else folder / ".lock", outside)


def own_values() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        "audio": draw.normal(size=(20, 7)).astype(np.float32),
        "visual": draw.integers(0, 256, size=(20, 1, 4, 4), dtype=np.uint8),
        "labels": np.arange(20) % 2,
        "parts": np.array(["train", "train", "test", "valid"] * 5),
        "groups": np.array([f"speaker {i % 5}" for i in range(20)]),
    }


OWN = b"classes: [cat, dog]\nmodalities: [audio, visual]\nstandardise: true\n"


def make_archive(folder: Path) -> None:
    np.savez(folder / "mine.npz", **own_values())
    (folder / "mine.yaml").write_bytes(OWN)


def make_arrays(folder: Path) -> None:
    for name, values in own_values().items():
        np.save(folder / f"{name}.npy", values)
    (folder / "manifest.yaml").write_bytes(OWN)


# Records, tables, parameters.


def make_record(folder: Path) -> None:
    config = study.config("boost_ogm", profile("synth", seed=3, epochs=2))
    entry = {
        "epoch": 2,
        "accuracy": 0.5,
        "valid_accuracy": 0.5,
        "accuracies": {"audio": 0.5, "visual": None},
        "refitted_probes": None,
    }
    record = {
        "format": 1,
        "config": config.to_dict(),
        "classes": ["a", "b"],
        "items": {"train": 6, "test": 4},
        "data": {},
        "batches_per_epoch": 3,
        "schedule": {},
        "settings": {"boost": "Boost()"},
        "methods": {"boost": {"measured": 0, "acted": 6}},
        "selections": {"last": entry, "validation": entry},
        "provenance": {
            "commit": "0" * 40,
            "versions": {"numpy": "2"},
            "device": "CPU",
            "threads": 1,
            "code": "0" * 16,
            "data": "1" * 16,
            "wall_time": 3.5,
        },
    }
    (folder / "record.json").write_bytes(json_bytes(record))
    np.savez_compressed(
        folder / "steps.npz", **{"loss/fused": np.ones(6), "gap": np.full(6, np.nan, np.float32)}
    )
    np.savez_compressed(
        folder / "predictions.npz",
        **{
            "id": np.array(["a", "b", "c", "d"]),
            "label": np.arange(4) % 2,
            "last/fused": np.eye(4, 2),
        },
    )
    (folder / "epochs.csv").write_text("epoch,test_accuracy\n1,0.25\n2,nan\n")


def read_record(folder: Path) -> None:
    record = RunRecord.load(folder)
    assert isinstance(record.run_id, str)
    assert isinstance(record.seed, int)
    assert set(record.provenance) >= {"code", "data", "wall_time"}
    assert 0 <= record.accuracy() <= 1
    for selection, entry in record.selections.items():
        for m in entry["accuracies"]:
            assert record.accuracy(selection, m) is None or 0 <= record.accuracy(selection, m) <= 1


def make_table(folder: Path) -> None:
    rows = "".join(f"method_{i},{i},{i / 7}\n" for i in range(9))
    (folder / "costs.csv").write_text("method,n,cost\n" + rows)
    said = {"command": "python costs.py", "commit": "0" * 40, "threads": 1, "rows": [{"n": 1}]}
    (folder / "costs.json").write_bytes(json_bytes(said))


def make_parameters(folder: Path) -> None:
    text = "seed: 1\ndataset: grid\nprofile: null\nepochs: 3\nnames: [boost, ogm]\nagain: false\n"
    (folder / "grid.yaml").write_text(text)


KINDS: dict[str, Kind] = {
    "config": Kind(make_config, {"from_dict": read_config}, harm_config, fields=True),
    "cache": Kind(make_cache, {"open": read_cache}, harm_files),
    "journal": Kind(make_journal, {"entries": read_entries, "go on": go_on}, harm_journal),
    "own archive": Kind(
        make_archive, {"arrays": lambda at: arrays(seed=0, path=str(at / "mine.npz"))}, harm_files
    ),
    "own arrays": Kind(
        make_arrays, {"arrays": lambda at: arrays(seed=0, path=str(at))}, harm_files
    ),
    "checkpoint": Kind(
        make_checkpoint,
        {"load": lambda at: checkpoint.load_run(at / "checkpoint.pt")},
        harm_checkpoint,
    ),
    "record": Kind(
        make_record,
        {
            "record": read_record,
            "config": lambda at: RunRecord.load(at).config,
            "steps": lambda at: RunRecord.load(at).steps,
            "epochs": lambda at: RunRecord.load(at).epochs,
            "predictions": lambda at: RunRecord.load(at).predictions,
        },
        harm_files,
    ),
    "table": Kind(
        make_table,
        {
            "read": lambda at: results.read("costs", at),
            "provenance": lambda at: results.provenance("costs", at),
        },
        harm_files,
    ),
    "parameters": Kind(
        make_parameters, {"yaml": lambda at: read_yaml(at / "grid.yaml")}, harm_files
    ),
    "json": Kind(make_config, {"json": lambda at: read_json(at / "config.json")}, harm_files),
}


@dataclass(frozen=True)
class Outcome:
    """What became of one example at one door.

    Args:
        said: ``"read"``, or the class of the refusal.
        wrong: what must not be: another exception, a message that does not say where, a write
            elsewhere, too much time or memory.
        seconds: how long it took.
    """

    said: str
    wrong: str
    seconds: float


def example(name: str, seed: int, folder: Path) -> dict[str, Outcome]:
    """Make one example of a kind in an empty folder, read it at every door, and clean up.

    Args:
        name: of the kind.
        seed: which example.
        folder: where; a folder ``good/<name>`` in it is made once.
    """
    kind, good = KINDS[name], folder / "good" / name
    if not good.is_dir():
        good.mkdir(parents=True)
        if name == "cache":
            good.rmdir()
        kind.make(good)
    outside = folder / "outside.txt"
    outside.write_text("id,label\nsecret,word\n")
    place = folder / "example"
    shutil.copytree(good, place)
    try:
        kind.harm(random.Random(seed), place, outside)
        return {door: _read(kind, read, place) for door, read in kind.doors.items()}
    finally:
        shutil.rmtree(place)
        assert outside.read_text() == "id,label\nsecret,word\n"


def _read(kind: Kind, read: Callable[[Path], Any], place: Path) -> Outcome:
    said, wrong = "read", ""
    with watched(place) as watch:
        try:
            read(place)
        except (AsgmlError, FileNotFoundError) as error:
            said, wrong = type(error).__name__, _unclear(kind, place, str(error))
        except ValueError as error:
            said = type(error).__name__
            wrong = _unclear(kind, place, str(error)) if kind.fields else f"{said}: {error}"[:300]
            wrong = wrong or ("" if type(error) is ValueError else f"{said}: {error}"[:300])
        except Exception as error:  # whatever it is, it is looked for
            said, wrong = type(error).__name__, f"{type(error).__name__}: {error}"[:300]
    if not wrong and watch.wrong:
        wrong = "; ".join(watch.wrong)[:300]
    if not wrong and (watch.seconds > SECONDS or watch.bytes > BYTES):
        wrong = f"it took {watch.seconds:.1f} s and {watch.bytes >> 20} MiB"
    return Outcome(said, wrong, watch.seconds)


def _unclear(kind: Kind, place: Path, said: str) -> str:
    """Return why a message is not clear; nothing when it is."""
    is_named = kind.fields or str(place) in said
    if "\n" in said or len(said) > 1200 or not said.endswith((".", "?", ")")) or not is_named:
        return f"unclear: {said}"[:400]
    return ""
