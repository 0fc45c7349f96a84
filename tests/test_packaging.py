"""The lock, the metadata that must agree, and what `make setup` says when something is missing."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import asgml_core

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
REQUIREMENTS = [
    Requirement(text)
    for text in (
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(text for extra in EXTRAS.values() for text in extra),
    )
]
LOCK_LINES = [
    line
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line and not line.startswith("#")
]
MAKE = shutil.which("make") or "make"
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)


# --- The lock ------------------------------------------------------------------------------------


def test_the_lock_holds_names_and_exact_versions_only():
    assert [line for line in LOCK_LINES if not re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line)] == []


def test_the_lock_names_each_package_once_and_in_order():
    names = [line.split("==")[0] for line in LOCK_LINES]
    assert names == sorted(set(names))
    assert names == [canonicalize_name(name) for name in names]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_the_lock_covers_what_the_project_asks_for(requirement: Requirement):
    lock = dict(line.split("==") for line in LOCK_LINES)
    name = canonicalize_name(requirement.name)
    assert name in lock
    assert requirement.specifier.contains(lock[name])


def test_every_import_is_declared():
    owners = importlib.metadata.packages_distributions()
    declared = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS}
    folders = ("asgml_core", "examples", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    modules = [*files, *(ROOT / "benchmarks").rglob("*.py")]
    own = {path.name for path in ROOT.iterdir()} | {
        path.stem for path in modules if not path.is_relative_to(ROOT / "asgml_core")
    }
    names = set().union(*map(imported, files)) - set(sys.stdlib_module_names) - own
    undeclared = {
        name
        for name in names
        if not declared.intersection(map(canonicalize_name, owners.get(name, [name])))
    }
    assert undeclared == set()


def imported(path: Path) -> set[str]:
    """Give the top-level names that a file imports, also inside functions."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    others = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    return {name.partition(".")[0] for name in plain | others}


# --- What must agree with pyproject.toml ---------------------------------------------------------


def test_the_conda_environment_names_what_the_project_names():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert environment["name"] == PROJECT["project"]["name"]
    assert environment["channels"] == ["conda-forge"]
    constraint, project = pip["pip"]
    assert constraint == "-c requirements.lock"
    extras = Requirement(project.replace("-e .", "name")).extras
    assert extras == {"book", "video", "cluster", "dev", "examples"}
    assert extras <= set(EXTRAS)
    assert "pip" in conda


def test_all_files_name_the_same_python_versions():
    named = [
        text.rpartition(" ")[2]
        for text in PROJECT["project"]["classifiers"]
        if re.search(r"Python :: 3\.\d", text)
    ]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = SpecifierSet(environment["dependencies"][0].removeprefix("python "))
    library = SpecifierSet(PROJECT["project"]["requires-python"])
    every = [f"3.{minor}" for minor in range(8, 20)]
    assert [version for version in every if version in conda] == named
    assert library.contains(named[0])
    assert not library.contains("3.10")
    script = (ROOT / "scripts" / "setup.sh").read_text()
    assert " | ".join(f"{version}.*" for version in named) + ") verdict=suitable" in script


def test_the_citation_has_the_version_and_licence_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == asgml_core.__version__
    assert Version(asgml_core.__version__)
    assert citation["license"] == PROJECT["project"]["license"]
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path):
    ignored = shutil.ignore_patterns("__pycache__", "*.tmp")
    shutil.copytree(ROOT / "asgml_core", tmp_path / "asgml_core", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    expected = {
        path.relative_to(tmp_path).as_posix()
        for path in (tmp_path / "asgml_core").rglob("*")
        if path.is_file()
    }
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected
    assert f"asgml_core-{asgml_core.__version__}-py3-none-any.whl" == wheel.name


# --- The Makefile --------------------------------------------------------------------------------


def test_make_without_a_target_lists_every_target():
    shown = subprocess.run([MAKE, "-C", ROOT, "-s"], capture_output=True, text=True, check=True)
    listed = re.findall(r"^make (\w+) +\S", shown.stdout, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    assert sorted(listed) == sorted(phony)
    assert set(listed) == set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    assert {"setup", "book", "notebooks", "test", "lint", "format", "clean"} <= set(listed)


def test_clean_keeps_outputs_and_the_environment(checkout: Path):
    kept = [Path(name) for name in (".venv/__pycache__/a", "outputs/run/__pycache__/a", "data/a")]
    gone = [Path(name) for name in ("_build/a", "asgml_core/__pycache__/a", ".pytest_cache/a")]
    for path in (*kept, *gone):
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).touch()
    subprocess.run([MAKE, "-C", checkout, "-s", "clean"], check=True)
    assert [path for path in kept if not (checkout / path).exists()] == []
    assert [path for path in gone if (checkout / path).parent.exists()] == []


# --- What `make setup` says ----------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy what setup reads into a folder with spaces in its name."""
    folder = tmp_path / "a folder with spaces"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder that holds `sh` and the given small shell scripts."""

    def make(**scripts: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "sh").symlink_to("/bin/sh")
        for name, body in scripts.items():
            path = folder / name.replace("_", ".")
            path.write_text(f"#!/bin/sh\n{body}\n")
            path.chmod(0o755)
        return folder

    return make


def setup_says(checkout: Path, programs: Path | None = None, **settings: str) -> str:
    """Run `make setup`, which must fail; give all it said but for make's own last line."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "MAKE")) and not name.lower().endswith("_proxy")
    }
    kept.pop("PYTHON", None)
    path = str(programs) if programs else kept["PATH"]
    done = subprocess.run(
        [MAKE, "-C", checkout, "--no-print-directory", "setup"],
        capture_output=True,
        text=True,
        env=kept | {"PATH": path} | settings,
        check=False,
    )
    assert done.returncode != 0
    text = done.stdout + done.stderr
    return "\n".join(line for line in text.splitlines() if not line.startswith("make"))


def test_no_python(checkout: Path, programs: Callable[..., Path]):
    said = setup_says(checkout, programs(python3_12="echo not installed here >&2; exit 127"))
    assert said == (
        "setup: no Python found: install Python 3.11, 3.12 or 3.13 "
        "(Debian, Ubuntu: apt install python3 python3-venv)."
    )


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("2.7.18", "old"), ("3.9.2", "old"), ("3.14.0", "new"), ("3.20.1", "new"), ("4.0.0", "new")],
)
def test_a_python_that_does_not_suit(
    checkout: Path, programs: Callable[..., Path], version: str, verdict: str
):
    said = setup_says(checkout, programs(python3=f"echo {version}"))
    assert said == (
        f"setup: Python {version} (python3) is too {verdict}: install Python 3.11, 3.12 or 3.13, "
        "or name one: make setup PYTHON=/path/to/python3.12"
    )


def test_the_next_python_is_taken_where_the_first_does_not_suit(
    checkout: Path, programs: Callable[..., Path]
):
    chosen = 'case $1 in -c) echo 3.13.1 ;; *) echo "chosen: $0"; exit 3 ;; esac'
    said = setup_says(checkout, programs(python3="echo 3.10.4", python3_13=chosen))
    assert said.startswith("chosen: ")
    assert said.endswith("python3.13")


@pytest.mark.parametrize(
    ("script", "problem"),
    [("exit 1", "does not run"), ("echo 3.10.4", "is Python 3.10.4, too old")],
)
def test_a_named_python_that_does_not_suit(
    checkout: Path, programs: Callable[..., Path], script: str, problem: str
):
    folder = programs(mine=script, python3="echo 3.12.1")
    said = setup_says(checkout, folder, PYTHON=str(folder / "mine"))
    assert said == (f"setup: PYTHON={folder / 'mine'} {problem}: name a Python 3.11, 3.12 or 3.13.")


def test_a_python_without_venv(checkout: Path, tmp_path: Path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n")
    said = setup_says(checkout, PYTHON=BASE_PYTHON, PYTHONPATH=str(hidden))
    assert re.fullmatch(
        r"setup: Python [\d.]+ cannot make environments: run `apt install python3-venv` .*", said
    )
    assert not (checkout / ".venv").exists()


def test_a_full_disk(checkout: Path):
    said = setup_says(checkout, PYTHON=BASE_PYTHON, NEED_GB="1e9")
    assert re.fullmatch(r"setup: not enough disk space: [\d.]+ GB free in .*", said)
    assert not (checkout / ".venv").exists()


def test_no_network(checkout: Path):
    said = setup_says(
        checkout,
        PYTHON=BASE_PYTHON,
        NEED_GB="0",
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9",  # a port where nothing listens
    ).splitlines()
    assert said[0].startswith("setup: making .venv with Python 3.")
    assert said[1] == (
        "setup: pip cannot reach its package index (no network, or a proxy in the way); "
        "pip's words are in .venv/setup.log"
    )
    assert len(said) == 2
    assert (checkout / ".venv" / "setup.log").stat().st_size > 0


# --- When setup installs again -------------------------------------------------------------------


class Pip:
    """Stands in for pip: counts the calls, and fails or is interrupted on request."""

    def __init__(self, setup: ModuleType):
        self.setup = setup
        self.calls = 0
        self.answer: int | type[BaseException] = 0

    def __call__(self, arguments: list[str]) -> int:
        """Take the place of `setup.pip`."""
        self.calls += 1
        self.setup.LOG.write_text("ERROR: no such version\n")
        if isinstance(self.answer, int):
            return self.answer
        raise self.answer


@pytest.fixture
def pip(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Load the copied setup.py with pip and the making of an environment cut short."""
    place = importlib.util.spec_from_file_location("setup_script", checkout / "scripts/setup.py")
    setup = importlib.util.module_from_spec(place)
    place.loader.exec_module(setup)

    def run(command: list, *, check: bool, **options):
        short = [*command, "--without-pip"] if "venv" in command else command
        return subprocess.run(short, check=check, **options)

    stand_in = Pip(setup)
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("NEED_GB", "0")
    monkeypatch.setattr(setup, "pip", stand_in)
    monkeypatch.setattr(setup, "subprocess", SimpleNamespace(run=run))
    return stand_in


@pytest.fixture
def installed(pip: Pip, capsys: pytest.CaptureFixture) -> Pip:
    """Install once."""
    pip.setup.main()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("setup: making .venv with Python")
    assert said[1].startswith("setup: .venv is ready")
    assert len(said) == 2
    pip.calls = 0
    return pip


def first_line(setup: ModuleType, capsys: pytest.CaptureFixture) -> str:
    """Run setup again; give the first line it says."""
    setup.main()
    return capsys.readouterr().out.splitlines()[0]


def test_a_second_call_does_nothing(installed: Pip, capsys: pytest.CaptureFixture):
    assert "is up to date" in first_line(installed.setup, capsys)
    assert installed.calls == 0


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.lock"])
def test_a_changed_file_is_installed_into_the_same_environment(
    installed: Pip, capsys: pytest.CaptureFixture, name: str
):
    mark = installed.setup.VENV / "mark"
    mark.touch()
    with (installed.setup.ROOT / name).open("a") as file:
        file.write("# changed\n")
    assert "installing what" in first_line(installed.setup, capsys)
    assert mark.exists()
    assert "is up to date" in first_line(installed.setup, capsys)


def test_packages_are_compiled_once_they_are_there(installed: Pip):
    (packages,) = (installed.setup.VENV / "lib").glob("python3*/site-packages")
    (packages / "whole.py").write_text("x = 1\n")
    (packages / "template.py").write_text("x = {{ name }\n")
    with (installed.setup.ROOT / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    installed.setup.main()
    assert [file.name.split(".")[0] for file in packages.glob("__pycache__/*")] == ["whole"]


def test_a_refusal_of_pip_keeps_the_environment(installed: Pip, capsys: pytest.CaptureFixture):
    with (installed.setup.ROOT / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    installed.answer = 1
    with pytest.raises(SystemExit, match=r"setup: pip failed: no such version; pip's words are in"):
        installed.setup.main()
    capsys.readouterr()
    installed.answer = 0
    assert "installing what" in first_line(installed.setup, capsys)


def test_an_interrupted_installation_starts_anew(pip: Pip, capsys: pytest.CaptureFixture):
    pip.answer = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        pip.setup.main()
    (pip.setup.VENV / "half a package").touch()
    capsys.readouterr()
    pip.answer = 0
    assert "did not finish; making .venv anew" in first_line(pip.setup, capsys)
    assert not (pip.setup.VENV / "half a package").exists()
    assert "is up to date" in first_line(pip.setup, capsys)


def test_another_python_starts_anew(
    installed: Pip, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    own = installed.setup.short_version()
    monkeypatch.setattr(installed.setup, "short_version", lambda: "3.99")
    line = f"setup: .venv was made with Python {own}, not 3.99; making it anew"
    assert first_line(installed.setup, capsys) == line


def test_a_broken_environment_starts_anew(installed: Pip, capsys: pytest.CaptureFixture):
    (installed.setup.VENV / "bin" / "python").unlink()
    assert "is broken" in first_line(installed.setup, capsys)
    assert "is up to date" in first_line(installed.setup, capsys)


def test_a_moved_folder_starts_anew(installed: Pip, capsys: pytest.CaptureFixture):
    state = installed.setup.read_state()
    installed.setup.write_state(state | {"folder": "/elsewhere"})
    assert "was made for /elsewhere; making it anew" in first_line(installed.setup, capsys)


def test_an_environment_made_by_hand_is_kept(pip: Pip, capsys: pytest.CaptureFixture):
    subprocess.run([BASE_PYTHON, "-m", "venv", "--without-pip", ".venv"], check=True)
    (pip.setup.VENV / "mine").touch()
    assert "installing what" in first_line(pip.setup, capsys)
    assert (pip.setup.VENV / "mine").exists()


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("ERROR: [Errno 28] No space left on device", "the disk is full"),
        ("WARNING: Retrying (Retry(total=0, read=None)) after x", "cannot reach its package index"),
        ("WARNING: Retrying (Retry(total=4)) after x\nERROR: no wheel", "pip failed: no wheel"),
        ("ERROR: HTTPSConnectionPool: Read timed out.", "cannot reach its package index"),
        (
            "ERROR: a and b conflict\nERROR: ResolutionImpossible: see",
            "pip failed: a and b conflict;",
        ),
        ("error: metadata-generation-failed", "pip failed: metadata-generation-failed;"),
        ("", "pip failed: it gave no reason;"),
    ],
)
def test_what_stopped_pip_is_told_in_one_line(pip: Pip, log: str, reason: str):
    told = pip.setup.explain(log)
    assert reason in told
    assert "\n" not in told
