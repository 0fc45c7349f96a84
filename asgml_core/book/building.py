"""Building the book: execute the notebooks, then let Jupyter Book make the pages.

``build`` never touches the committed notebooks: it works on a copy under ``_build/``. ``refresh``
is the one command that renews what is committed: outputs, paired texts and figures.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from asgml_core.book import executed
from asgml_core.book.publishing import Repository, book_config, cited_repository
from asgml_core.checks import AsgmlError
from asgml_core.files import write_atomically
from asgml_core.paths import project_root
from asgml_core.provenance import code_fingerprint, git_commit, processor_name

TIMEOUT = 3600
#: Folders whose code and pictures the pages show, and the file that the changelog's page includes.
SHOWN = ("examples", "tests/examples", "figures")
INCLUDED = "CHANGELOG.md"


class BookError(AsgmlError, RuntimeError):
    """A book that could not be built; the message says which step failed and where its log is."""


def build(
    root: Path | None = None,
    repository: Repository | None = None,
    *,
    again: bool = False,
    builder: str = "html",
) -> Path:
    """Build the HTML book from the notebooks on their defaults, and return its first page.

    A notebook that was executed with the code and the tables as they are is taken as it is stored;
    another is executed, once. Warnings are errors.

    Args:
        root: the project's folder; ``None`` finds it.
        repository: for the buttons that open a page elsewhere; ``None`` takes what ``CITATION.cff``
            says.
        again: execute every notebook.
        builder: ``"html"``, or ``"singlehtml"`` for one long page.

    Raises:
        BookError: when there is no book here, a notebook fails, or a page has a warning.
    """
    root = _root(root)
    built, source = root / "_build", root / "_build" / "source"
    _copy_book(root, source)
    for notebook in sorted((root / "book").glob("*.ipynb")):
        _execute_into(notebook, built, source / notebook.name, again=again)
    config = book_config(root, repository or cited_repository(root))
    (built / "config.yml").write_text(json.dumps(config, indent=1), encoding="utf-8")
    command = [
        _tool("jupyter-book"), "build", str(source), "--config", str(built / "config.yml"),
        "--path-output", str(root), "--builder", builder, "-W", "-n", "--keep-going",
    ]  # fmt: skip
    _call(command, built / "build.log", "building the pages")
    return built / builder / "index.html"


def refresh(root: Path | None = None, *, again: bool = False) -> list[Path]:
    """Write the paired texts into the notebooks, and execute those whose outputs are not current.

    They are executed in place, and write their figures. What was executed with the code and the
    tables as they are is left.

    Args:
        root: the project's folder; ``None`` finds it.
        again: execute all.

    Returns:
        The notebooks that were executed.

    Raises:
        BookError: when there is no book here, or a notebook fails.
    """
    root = _root(root)
    texts = sorted((root / "book" / "scripts").glob("*.py"))
    texts.sort(key=lambda text: text.stem in executed.ABOUT_PAGES)  # they show the others
    for text in texts:
        _pair(root, text)
    notebooks = []
    for text in texts:
        notebook = root / "book" / f"{text.stem}.ipynb"
        if again or not executed.fits(notebook):
            print(f"executing {notebook.name} ...", flush=True)
            outputs = _outputs(root / "_build")
            _execute(notebook, notebook, outputs, figures=root / "figures", note=True)
            _pair(root, notebook)
            notebooks.append(notebook)
    return notebooks


def _pair(root: Path, file: Path) -> None:
    """Make a notebook and its text equal; the newer of the two is right."""
    log = root / "_build" / f"{file.stem}.log"
    _call([_tool("jupytext"), "--sync", str(file)], log, f"pairing {file.name}")


def _root(root: Path | None) -> Path:
    root = project_root() if root is None else root
    if not (root / "_config.yml").is_file():
        raise BookError(f"{root} has no _config.yml; the book is built from the project's folder.")
    return root


def _copy_book(root: Path, source: Path) -> None:
    """Copy the pages, and beside them the files that they show, under the same relative paths."""
    left = shutil.ignore_patterns("*.ipynb", "conf.py", "_build", "__pycache__")
    copies = {root / "book": source}
    copies |= {root / shown: source.parent / shown for shown in SHOWN if (root / shown).is_dir()}
    for original, copy in copies.items():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy, ignore=left)
    shutil.copyfile(root / INCLUDED, source.parent / INCLUDED)


def _execute_into(notebook: Path, built: Path, target: Path, *, again: bool = False) -> None:
    """Put a notebook where the book is built, executed unless its stored outputs are current."""
    if executed.fits(notebook) and not again:
        shutil.copyfile(notebook, target)
        return
    done = built / "executed" / notebook.name
    key_file, key = done.with_suffix(".key"), executed.key_of(notebook)
    if again or not (key_file.is_file() and key_file.read_text() == key and done.is_file()):
        key_file.unlink(missing_ok=True)
        done.parent.mkdir(parents=True, exist_ok=True)
        print(f"executing {notebook.name} ...", flush=True)
        _execute(notebook, done, _outputs(built))
        key_file.write_text(key)
    _with_outputs(notebook, done, target)


def _with_outputs(notebook: Path, done: Path, target: Path) -> None:
    """Write a notebook with the outputs of another of the same code; prose may have changed."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    outputs = iter([c for c in nbformat.read(done, as_version=4).cells if c.cell_type == "code"])
    for cell in content.cells:
        if cell.cell_type == "code":
            there = next(outputs)
            cell.outputs, cell.execution_count = there.outputs, there.execution_count
    nbformat.write(content, target)


def _outputs(built: Path) -> Path:
    """Return the folder for the runs of this very code, and drop those of older code."""
    wanted = built / "outputs" / code_fingerprint()
    for old in (built / "outputs").glob("*"):
        if old != wanted:
            shutil.rmtree(old)
    return wanted


def _execute(
    notebook: Path, target: Path, outputs: Path, figures: Path | None = None, *, note: bool = False
) -> None:
    """Execute a notebook beside its source; with ``note``, say in it when and with what."""
    import nbclient
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    changed = {"ASGML_OUTPUTS": str(outputs.resolve())}
    if figures is not None:
        changed["ASGML_FIGURES"] = str(figures.resolve())
    client = nbclient.NotebookClient(
        content,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],  # the kernel's warnings are not the reader's
        resources={"metadata": {"path": str(notebook.parent)}},
    )
    begun, key = time.monotonic(), executed.key_of(notebook)
    try:
        client.execute(env={**os.environ, **changed})
    except nbclient.exceptions.CellExecutionError as error:
        raise BookError(f"{notebook.name} failed:\n{error}") from error
    content.metadata.pop("papermill", None)
    if note:
        content.metadata["asgml"] = _note(key, time.monotonic() - begun)
    for cell in content.cells:
        if "remove-output" in cell.metadata.get("tags", []):
            cell.outputs = []  # a progress bar: of no use once the run is over
    write_atomically(target, (nbformat.writes(content) + "\n").encode())


def _note(key: str, seconds: float) -> dict[str, Any]:
    """Return what a stored notebook says of its execution."""
    return {
        "key": key,
        "commit": git_commit(),
        "device": processor_name(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "wall_time": round(seconds, 1),
    }


def _tool(name: str) -> str:
    """Return a command of this very environment, whatever the search path says."""
    return str(Path(sys.executable).parent / name)


def _call(command: list[str], log: Path, what: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BookError(
            f"{what} needs {Path(command[0]).name}; "
            "install the extra: pip install 'asgml-core[book]'."
        ) from error
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()
        telling = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-15:]
        raise BookError(f"{what} failed; the whole log is {log}:\n" + "\n".join(telling[:30]))
