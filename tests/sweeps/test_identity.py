"""What a run is recognised by: all code that it executes, its config, and what its data are."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import yaml

import asgml_core
from asgml_core import RunConfig, profile, provenance, run
from asgml_core.config import MethodConfig
from asgml_core.datasets import SOURCES
from asgml_core.identity import identify
from asgml_core.imports import needed_files
from asgml_core.modulators import REGISTRY
from asgml_core.runs import RunError

PACKAGE = Path(asgml_core.__file__).parent
#: What a method cannot do without.
OPTIONS = {"static_scale": {"modality": "audio"}}


def write_data(folder: Path, seed: int = 0) -> Path:
    draw = np.random.default_rng(seed)
    arrays = {m: draw.normal(size=(60, 1, 8, 8)).astype(np.float32) for m in ("audio", "visual")}
    parts = np.array(["train", "train", "test"] * 20)
    groups = np.array([f"s{i // 6}" for i in range(60)])
    folder.mkdir(exist_ok=True)
    path = folder / "own.npz"
    np.savez(path, **arrays, labels=draw.integers(0, 3, 60), parts=parts, groups=groups)
    manifest = {"classes": ["a", "b", "c"], "modalities": ["audio", "visual"]}
    path.with_suffix(".yaml").write_text(yaml.safe_dump(manifest))
    return path


def own_config(path: Path) -> RunConfig:
    base = profile("arrays", epochs=2, options={"path": str(path)})
    return base.replace(model={"width": 2, "stem": "small"}, train={"batch_size": 16})


def with_method(base: RunConfig, name: str) -> RunConfig:
    """Return a run of one method, beside the losses that most need."""
    options = OPTIONS.get(name, {})
    methods = (MethodConfig(name=name, options=options, start=0, end=base.train.epochs),)
    if name != "unimodal_losses":
        methods = (MethodConfig(name="unimodal_losses"), *methods)
    return base.replace(run_id=name, methods=methods)


def executed(work: Callable[[], object]) -> set[Path]:
    """Return the package's files of which a function was called; module bodies do not count."""
    found: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            found.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return {Path(name) for name in found if name.startswith(f"{PACKAGE}{os.sep}")}


@pytest.mark.parametrize("name", REGISTRY)
def test_every_file_that_a_method_executes_counts(
    tiny: Callable[..., RunConfig], tmp_path: Path, name: str
) -> None:
    config = with_method(tiny(), name)
    with contextlib.suppress(RunError):  # one that never acted in so few steps was executed, too
        files = executed(lambda: run(config, tmp_path, progress=False))
    modules = ["asgml_core.runs", SOURCES["synth"].__module__]
    counted = needed_files([*modules, *(REGISTRY[m.name].__module__ for m in config.methods)])
    counted &= set(provenance._decisive_files())
    folders = {PACKAGE / "modulators", PACKAGE / "datasets"}
    ran = {file for file in files if file.parent in folders}
    assert Path(sys.modules[REGISTRY[name].__module__].__file__ or "") in ran
    assert ran - counted == set()
    others = {sys.modules[cls.__module__].__file__ for cls in REGISTRY.values()}
    mine = {sys.modules[cls.__module__].__file__ for cls in REGISTRY[name].__mro__
            if cls.__module__.startswith("asgml_core.")}  # fmt: skip
    losses = REGISTRY["unimodal_losses"].__module__
    foreign = {Path(file) for file in others - mine - {sys.modules[losses].__file__} if file}
    assert (counted & foreign) - ran == set()  # and no method that does not


def test_every_file_that_reads_arrays_counts(tmp_path: Path) -> None:
    config = own_config(write_data(tmp_path))
    files = executed(lambda: run(config, tmp_path, progress=False))
    counted = needed_files(["asgml_core.runs", SOURCES["arrays"].__module__])
    counted &= set(provenance._decisive_files())
    assert {file for file in files if file.parent.name == "datasets"} - counted == set()


def test_a_record_says_what_identify_says_before(tmp_path: Path) -> None:
    config = own_config(write_data(tmp_path))
    before = identify(config).to_dict()
    assert run(config, tmp_path, progress=False).values["identity"] == before
    assert all(len(value) == 16 for value in before.values())


def test_the_place_of_data_decides_nothing_and_their_content_does(tmp_path: Path) -> None:
    path = write_data(tmp_path / "here")
    shutil.copytree(path.parent, tmp_path / "there")
    key = identify(own_config(path)).key
    assert identify(own_config(tmp_path / "there" / path.name)).key == key
    write_data(tmp_path / "there", seed=1)
    changed = identify(own_config(tmp_path / "there" / path.name))
    assert changed.key != key
    assert changed.data != identify(own_config(path)).data
    manifest = path.with_suffix(".yaml")
    manifest.write_text(manifest.read_text().replace("a", "b", 1))
    assert identify(own_config(path)).data != changed.data


#: In a copy of the package: edit a file, and print the fingerprints of a few runs.
SCRIPT = """
import json, sys
from pathlib import Path
import asgml_core
from asgml_core import identity, imports, profile, provenance, study
package = Path(asgml_core.__file__).parent
assert package == Path(sys.argv[1]), package
runs = [study.config(name, profile()) for name in ("baseline", "early_miles_paper", "boost_ogm")]
for file, before, after in json.load(sys.stdin):
    path = package / file
    text = path.read_text() if path.exists() else ""
    assert before in text, (file, before)
    path.write_text(text.replace(before, after, 1) if before else text + after)
    for cached in (identity._code_of, provenance.code_fingerprint, provenance.code_hash,
                   imports._parsed, imports._imports, imports._file):
        cached.cache_clear()
    print(json.dumps([identity.code_of(config) for config in runs]))
    path.write_text(text)
"""
NOTHING = ("trainer.py", "", "")
#: What is edited, and which of the three runs it changes.
EDITS = {
    "nothing": (NOTHING, (False, False, False)),
    "a comment": (("trainer.py", "", "\n# said better\n"), (False, False, False)),
    "a docstring": (
        ("modulators/miles.py", '"""', '"""Said better. '), (False, False, False)
    ),
    "a method": (("modulators/miles.py", "", "\nCHANGED = 1\n"), (False, True, False)),
    "another method": (("modulators/boost.py", "", "\nCHANGED = 1\n"), (False, False, True)),
    "a shared part of methods": (
        ("modulators/base.py", "", "\nCHANGED = 1\n"), (True, True, True)
    ),
    "the loop": (("trainer.py", "", "\nCHANGED = 1\n"), (True, True, True)),
    "the data": (("datasets/synth.py", "", "\nCHANGED = 1\n"), (True, True, True)),
    "other data": (("datasets/mosei.py", "", "\nCHANGED = 1\n"), (False, False, False)),
    "how data are loaded": (
        ("datasets/__init__.py", "dataset = SOURCES", "more = dataset = SOURCES"),
        (True, True, True),
    ),
    "a new method": (
        ("modulators/__init__.py", "from asgml_core.modulators.base",
         "from asgml_core.modulators.miles import MILES as Mine\n"
         "from asgml_core.modulators.base"),
        (False, False, False),
    ),
    "the registry": (
        ("modulators/__init__.py", "StaticScale, BoostWrong", "StaticScale, Mine, BoostWrong"),
        (False, False, False),
    ),
    "the command line": (("cli.py", "", "\nCHANGED = 1\n"), (False, False, False)),
}  # fmt: skip


def test_a_change_of_code_changes_the_runs_that_need_it(tmp_path: Path) -> None:
    copy = tmp_path / "asgml_core"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    edits = [edit for edit, _ in EDITS.values()]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(copy)],
        input=json.dumps(edits),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(set(found[0])) == 3  # each method has code of its own
    for (name, (_, expected)), now in zip(EDITS.items(), found, strict=True):
        changed = tuple(a != b for a, b in zip(found[0], now, strict=True))
        assert changed == expected, name
