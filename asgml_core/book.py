"""Building the book: execute the notebooks, then let Jupyter Book make the pages.

``build`` never touches the committed notebooks: it works on a copy under ``_build/``. ``refresh``
is the one command that renews what is committed: outputs, paired texts and figures.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from asgml_core.checks import AsgmlError
from asgml_core.paths import project_root
from asgml_core.provenance import PACKAGE, code_fingerprint

TIMEOUT = 3600
#: Folders whose code the pages show.
SHOWN = ("examples", "tests/examples")


class BookError(AsgmlError, RuntimeError):
    """A book that could not be built; the message says which step failed and where its log is."""


def build(root: Path | None = None) -> Path:
    """Execute the notebooks on their defaults, build the HTML book, and return its first page.

    A notebook whose text, and the package, have not changed since the last build is not executed
    again. Warnings are errors.

    Raises:
        BookError: when there is no book here, a notebook fails, or a page has a warning.
    """
    root = _root(root)
    built, source = root / "_build", root / "_build" / "source"
    _copy_book(root, source)
    for notebook in sorted((root / "book").glob("*.ipynb")):
        _execute_into(notebook, built, source / notebook.name)
    command = [
        _tool("jupyter-book"), "build", str(source), "--config", str(root / "_config.yml"),
        "--path-output", str(root), "-W", "-n", "--keep-going",
    ]  # fmt: skip
    _call(command, built / "build.log", "building the pages")
    return built / "html" / "index.html"


def refresh(root: Path | None = None) -> list[Path]:
    """Write the paired texts into the notebooks, execute them in place, and write the figures.

    Returns:
        The notebooks.

    Raises:
        BookError: when there is no book here, or a notebook fails.
    """
    root = _root(root)
    texts = sorted((root / "book" / "scripts").glob("*.py"))
    notebooks = []
    for text in texts:
        notebook = root / "book" / f"{text.stem}.ipynb"
        log = root / "_build" / f"{text.stem}.log"
        _call([_tool("jupytext"), "--sync", str(text)], log, f"pairing {text.name}")
        _execute(notebook, notebook, _outputs(root / "_build"), figures=root / "figures")
        _call([_tool("jupytext"), "--sync", str(notebook)], log, f"pairing {text.name}")
        notebooks.append(notebook)
    return notebooks


def _root(root: Path | None) -> Path:
    root = project_root() if root is None else root
    if not (root / "_config.yml").is_file():
        raise BookError(f"{root} has no _config.yml; the book is built from the project's folder.")
    return root


def _copy_book(root: Path, source: Path) -> None:
    """Copy the pages, and beside them the code that they show, under the same relative paths."""
    left = shutil.ignore_patterns("*.ipynb", "_build", "scripts", "__pycache__")
    copies = {root / "book": source}
    copies |= {root / shown: source.parent / shown for shown in SHOWN if (root / shown).is_dir()}
    for original, copy in copies.items():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy, ignore=left)


def _execute_into(notebook: Path, built: Path, target: Path) -> None:
    """Execute a notebook unless that was done before, and put it where the book is built."""
    done = built / "executed" / notebook.name
    key_file, key = done.with_suffix(".key"), _key(notebook)
    if not (key_file.is_file() and key_file.read_text() == key and done.is_file()):
        key_file.unlink(missing_ok=True)
        done.parent.mkdir(parents=True, exist_ok=True)
        print(f"executing {notebook.name} ...", flush=True)
        _execute(notebook, done, _outputs(built))
        key_file.write_text(key)
    shutil.copyfile(done, target)


def _outputs(built: Path) -> Path:
    """Return the folder for the runs of this very code, and drop those of older code."""
    wanted = built / "outputs" / code_fingerprint()
    for old in (built / "outputs").glob("*"):
        if old != wanted:
            shutil.rmtree(old)
    return wanted


def _key(notebook: Path) -> str:
    """Return a hash of the notebook's cells, the package, the measured tables and the lock."""
    import nbformat

    digest = hashlib.sha256()
    for cell in nbformat.read(notebook, as_version=4).cells:
        digest.update(f"{cell.cell_type}\n{cell.source}\n".encode())
    root = notebook.parent.parent
    tables = (notebook.parent / "results").glob("*")
    for file in sorted([*PACKAGE.rglob("*.py"), *tables, root / "requirements.lock"]):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _execute(notebook: Path, target: Path, outputs: Path, figures: Path | None = None) -> None:
    """Execute a notebook beside its source, without a trace of when and where."""
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
    try:
        client.execute(env={**os.environ, **changed})
    except nbclient.exceptions.CellExecutionError as error:
        raise BookError(f"{notebook.name} failed:\n{error}") from error
    content.metadata.pop("papermill", None)
    for cell in content.cells:
        if "remove-output" in cell.metadata.get("tags", []):
            cell.outputs = []  # a progress bar: of no use once the run is over
    nbformat.write(content, target)


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
