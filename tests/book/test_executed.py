"""When stored outputs are current: what changes a notebook's hash, and what does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from asgml_core import imports
from asgml_core.book import building, executed, pages
from asgml_core.book.building import BookError

ROOT = Path(__file__).parents[2]
CODE = 'from asgml_core import results\nprint(results.read("small").shape, open("n").read())'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of one notebook, which reads one table; executed as `asgml notebooks` does."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "book" / "results").mkdir(parents=True)
    (folder / "book" / "scripts").mkdir()
    for name in ("_config.yml", "requirements.lock", "pyproject.toml", "jupytext.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    for name in ("small", "other"):
        (folder / "book" / "results" / f"{name}.csv").write_text("a,b\n1,2\n")
        (folder / "book" / "results" / f"{name}.json").write_text('{"device": "this"}')
    (folder / "book" / "_toc.yml").write_text("format: jb-book\nroot: one\n")
    (folder / "book" / "n").write_text("first")
    (folder / "book" / "scripts" / "one.py").write_text(
        f"# %% [markdown]\n# # One\n\n# %%\n{CODE}\n"
    )
    assert building.refresh(folder) == [folder / "book" / "one.ipynb"]
    return folder


@pytest.fixture
def notebook(made: Path, tmp_path: Path) -> Path:
    """Its notebook, in a copy of its own."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "book" / "one.ipynb"


def said(notebook: Path) -> str:
    (cell,) = [c for c in nbformat.read(notebook, 4).cells if c.cell_type == "code"]
    return cell.outputs[0]["text"].strip()


def change(notebook: Path, kind: str, source: str) -> None:
    content = nbformat.read(notebook, as_version=4)
    (cell,) = [cell for cell in content.cells if cell.cell_type == kind]
    cell.source = source
    nbformat.write(content, notebook)


def test_a_stored_notebook_is_taken_as_it_is(notebook: Path, tmp_path: Path) -> None:
    assert executed.fits(notebook)
    assert said(notebook) == "(1, 2) first"
    assert set(pages.metadata(notebook)) == {"key", "commit", "device", "finished", "wall_time"}
    (tmp_path / "book" / "n").write_text("second")
    target = tmp_path / "target.ipynb"
    building._execute_into(notebook, tmp_path / "_build", target)
    assert said(target) == "(1, 2) first"
    building._execute_into(notebook, tmp_path / "_build", target, again=True)
    assert said(target) == "(1, 2) second"
    assert building.refresh(tmp_path) == []


def test_prose_does_not_count_and_comes_through(notebook: Path, tmp_path: Path) -> None:
    change(notebook, "markdown", "# Another title")
    assert executed.fits(notebook)
    change(notebook, "code", CODE.replace("shape", "shape[::-1]"))
    assert not executed.fits(notebook)
    target = tmp_path / "target.ipynb"
    building._execute_into(notebook, tmp_path / "_build", target)
    assert said(target) == "(2, 1) first"
    # Executed once; later prose is joined to those outputs.
    (tmp_path / "book" / "n").write_text("second")
    change(notebook, "markdown", "# A third title")
    building._execute_into(notebook, tmp_path / "_build", target)
    assert said(target) == "(2, 1) first"
    assert pages.title(target) == "A third title"


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("book/results/small.csv", "1,2", "1,3", True),
        ("book/results/other.csv", "1,2", "1,3", False),
        ("book/results/small.json", "this", "that", True),
        ("book/results/other.json", "this", "that", False),
        ("requirements.lock", "torch==", "torch==9", True),
        ("requirements.lock", "pytest==", "pytest==9", False),
        ("book/n", "first", "second", False),
    ],
)
def test_the_tables_it_reads_and_the_librarys_packages_count(
    notebook: Path, tmp_path: Path, file: str, old: str, new: str, counts: bool
) -> None:
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    assert executed.fits(notebook) is not counts


def test_the_code_it_uses_counts_without_comments(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = executed._used_files([CODE])
    assert {"results.py", "tabular.py"} <= {file.name for file in used}
    assert not {"speed.py", "worker.py"} & {file.name for file in used}
    key, real = executed.key_of(notebook), executed.code_hash

    def changed(name: str) -> Callable[[Path], str]:
        return lambda file: "changed" if file.name == name else real(file)

    monkeypatch.setattr(executed, "code_hash", changed("speed.py"))
    assert executed.key_of(notebook) == key
    monkeypatch.setattr(executed, "code_hash", changed("tabular.py"))
    assert executed.key_of(notebook) != key


@pytest.mark.parametrize(
    ("name", "file"), [("05_multi_seed", "labels.py"), ("05_multi_seed", "statistics/spread.py"),
                       ("01_data", "figures/style.py"), ("how_it_was_run", "book/about.py")]
)  # fmt: skip
def test_what_a_page_needs_by_way_of_others_counts(name: str, file: str) -> None:
    cells = pages.cells(ROOT / "book" / f"{name}.ipynb")
    used = executed._used_files([source for kind, source in cells if kind == "code"])
    assert imports.PACKAGE / file in used


def test_names_lead_to_their_modules_through_packages() -> None:
    import ast

    named: dict[str, str] = {}
    first = imports.used_modules(ast.parse("from asgml_core import tables as t, study"), named)
    assert "asgml_core.study" in first
    second = imports.used_modules(ast.parse("x = t.phenomenon(1) + y.other"), named)
    assert "asgml_core.tables.data" in second


def test_a_notebook_that_fails_is_named(notebook: Path, tmp_path: Path) -> None:
    (tmp_path / "book" / "results" / "small.csv").write_text("")
    with pytest.raises(BookError, match=r"one\.ipynb failed:(.|\n)*is empty"):
        building.refresh(tmp_path)


def test_the_key_is_noted_in_the_notebook_alone(notebook: Path) -> None:
    text = (notebook.parent / "scripts" / "one.py").read_text()
    key = json.loads(notebook.read_text())["metadata"]["asgml"]["key"]
    assert key not in text
