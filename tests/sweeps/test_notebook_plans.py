"""Notebooks over a grid are planned without being executed, and refused before that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4
from notebook_files import names, plan, write

from asgml_core.cli import main
from asgml_core.notebook_files import read_notebook
from asgml_core.notebook_tasks import output_name
from asgml_core.notebooks import NotebookError
from asgml_core.plans import saved_plans


def test_a_plan_has_every_combination_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "seed")
    found = plan(path, {"name": ["u", "v"], "seed": range(2)}, workers=1)
    # Parameters are in the order of the notebook, whatever the order they were given in.
    assert [task.name for task in found.tasks] == [
        "a-seed_0-name_u", "a-seed_1-name_u", "a-seed_0-name_v", "a-seed_1-name_v",
    ]  # fmt: skip
    assert {task.size for task in found.tasks} == {2}
    assert len({task.key for task in found.tasks}) == 4
    found.save(tmp_path)
    assert saved_plans(tmp_path)[0].tasks == found.tasks


def test_a_name_is_safe_short_and_tells_apart_what_differs(tmp_path: Path) -> None:
    path = write(tmp_path / "ä b.ipynb")
    given = ["a/b", "a b", "../../x", "x" * 300, "x" * 301, "é\n", "good", True]
    found = names(path, {"name": given})
    assert len(set(found)) == len(given)
    for name in found:
        assert len(name) <= 120
        assert name.isascii()
        assert not set(name) & set("/ \n")
    assert names(write(tmp_path / ".ipynb"), {})[0][0] != "."
    assert names(write(tmp_path / "a.ipynb"), {"name": ["good", 1.5]}) == [
        "a-name_good", "a-name_1.5",
    ]  # fmt: skip


def test_the_key_is_of_what_decides_the_result(tmp_path: Path) -> None:
    def key(*cells: str, given: dict | None = None, **options: object) -> str:
        return plan(write(tmp_path / "a.ipynb", *cells), {}, given, **options).tasks[0].key

    first = key("1")
    assert first == key("1", workers=7)
    assert first != key("2")
    assert first != key("1", given={"seed": 0})
    assert key("1", given={"seed": 1}) != key("1", given={"seed": "1"})
    path = write(tmp_path / "a.ipynb", "1")
    content = nbformat.read(path, as_version=4)
    content.cells[2].outputs = [v4.new_output("stream", text="executed before")]
    nbformat.write(content, path)
    assert first == plan(path).tasks[0].key


def test_the_book_s_notebooks_depend_on_the_package_and_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asgml_core").mkdir()
    code, carrier = tmp_path / "asgml_core" / "tables.py", tmp_path / "asgml_core" / "cli_x.py"
    table = tmp_path / "book" / "results" / "table.csv"
    table.parent.mkdir(parents=True)
    (tmp_path / "_config.yml").touch()
    monkeypatch.setattr("asgml_core.notebook_tasks.PACKAGE", tmp_path / "asgml_core")
    shows = write(tmp_path / "book" / "a.ipynb", "import asgml_core")
    other = write(tmp_path / "b.ipynb", "1")
    keys = []
    for changed in (code, carrier, table):
        changed.write_text("1")
        keys.append((plan(shows).tasks[0].key, plan(other).tasks[0].key))
    assert keys[0] == keys[1]  # the command line decides nothing
    assert keys[1][0] != keys[2][0]
    code.write_text("2")
    assert plan(shows).tasks[0].key != keys[2][0]
    assert {key for _, key in keys} == {plan(other).tasks[0].key}


def test_it_gets_its_share_of_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgml_core.sweep.available_cores", lambda: 8)

    def filled(path: Path, given: dict | None = None, **options: object) -> dict:
        return plan(path, {"seed": [1, 2, 3]}, given, **options).tasks[0].values["filled"]

    path = write(tmp_path / "a.ipynb")
    assert filled(path, workers=2) == {"workers": 4}
    assert filled(path) == {"workers": 2}  # three notebooks are fewer than eight workers
    assert filled(path, workers=50) == {"workers": 2}
    assert filled(path, {"workers": 3}, workers=2) == {}
    assert filled(path, workers=2, engine="slurm") == {}
    assert filled(path, workers=2, engine="ray", engine_options={"num_cpus": 3}) == {"workers": 3}
    for cell in ("seed = 1", "seed = 1\nworkers = 0", "seed = workers = None\ndevice = 'cuda:1'"):
        assert filled(write(tmp_path / "b.ipynb", parameters=cell), workers=2) == {}


@pytest.mark.parametrize(
    ("grid", "given", "message"),
    [
        ({"sed": [1]}, {}, "parameter of a.ipynb is 'sed', but must be one of.*'seed'"),
        ({}, {"sed": 1}, "Did you mean 'seed'"),
        ({"seed": []}, {}, "no value for seed"),
        ({"seed": 3}, {}, "has 3 for seed, but must have a list"),
        ({"name": "abc"}, {}, "has 'abc' for name"),
        ({"seed": [1]}, {"seed": 2}, "seed is given twice"),
        ({"seed": [1, 1]}, {}, "two of the notebooks are called 'a-seed_1'"),
        ({"seed": range(400), "name": range(400)}, {}, "160,000 combinations"),
        ({"seed": [float("nan")]}, {}, "a.ipynb: parameter seed is nan"),
        ({"seed": [Path("x")]}, {}, "parameter seed is .*Path.*but text, a number"),
    ],
)
def test_impossible_grids_are_refused(
    grid: dict, given: dict, message: str, tmp_path: Path
) -> None:
    with pytest.raises((ValueError, NotebookError), match=message):
        plan(write(tmp_path / "a.ipynb"), grid, given)


def test_a_notebook_without_parameters_takes_none(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("1")]), path)
    assert names(path, {}) == ["a"]
    with pytest.raises(ValueError, match=r"a.ipynb takes no parameters.*'seed' was given"):
        plan(path, {"seed": [1]})


GOOD = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [{"cell_type": "markdown", "metadata": {}, "source": ["a"]}],
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not readable JSON"),
        ("[]", "is no notebook"),
        (json.dumps({"nbformat": 3}), "format 3, but a Jupyter notebook of format 4"),
        ("[" * 100_000, "nested"),
        ('{"nbformat": 4, "cells": [], "cells": []}', "more than once"),
        (json.dumps(GOOD | {"cells": 5}), "no valid notebook: 5 is not of type 'array'"),
        (json.dumps(GOOD | {"cells": [5]}), "no valid notebook"),
        (json.dumps(GOOD | {"cells": [{"cell_type": "code"}]}), "is a required property"),
        (json.dumps(GOOD | {"metadata": 1}), "no valid notebook: 1 is not of type 'object'"),
        (json.dumps(GOOD | {"metadata": {"papermill": []}}), "papermill noted"),
        (json.dumps(GOOD | {"metadata": {"language_info": {"name": "R"}}}), "in 'R', but Python"),
    ],
)
def test_what_is_no_notebook_is_refused_by_name(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(content)
    with pytest.raises(NotebookError, match=f"{path}.*{message}"):
        read_notebook(path)


def test_a_good_notebook_is_read_without_being_executed(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(GOOD))
    assert read_notebook(path).cells == (("markdown", "a"),)
    cell = "%matplotlib inline\nseed: int = 1\nlist_: list = [1, 2]\nother = print(open('x', 'w'))"
    path = write(path, parameters=cell)
    assert read_notebook(path).parameters == {"seed": 1, "list_": [1, 2], "other": ...}
    assert not Path("x").exists()


@pytest.mark.parametrize(
    "cell",
    ["seed =", "x = " + "(" * 50_000, "x = " + "-" * 90_000 + "1", "\0", "x = 1\n" * 50_000],
    ids=["half", "parentheses", "signs", "nul", "long"],
)
def test_a_parameters_cell_that_cannot_be_read_is_refused(cell: str, tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match=r"a.ipynb: its parameters cell (is not|has 300,000)"):
        read_notebook(write(tmp_path / "a.ipynb", parameters=cell))


def test_looking_imports_nothing_heavy(tmp_path: Path) -> None:
    plan(write(tmp_path / "a.ipynb"), {"seed": [1, 2]}).save(tmp_path)
    code = (
        "import sys; from pathlib import Path; from asgml_core.plans import saved_plans\n"
        f"outputs = Path({str(tmp_path)!r})\n"
        "print([t.look(outputs).kind for p in saved_plans(outputs) for t in p.tasks])\n"
        "print({'torch', 'numpy', 'papermill', 'nbformat', 'jupyter_client'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "['planned', 'planned']\nset()\n", done.stderr


def test_the_command_plans_refuses_and_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.ipynb", "seed")
    (tmp_path / "grid.yaml").write_text("name: [u, v]\n")
    (tmp_path / "given.yaml").write_text("seed: 4\n")
    common = ["notebooks", str(path), "--grid", str(tmp_path / "grid.yaml"), "--plan"]
    common += ["--outputs", str(tmp_path / "out")]
    assert main([*common, "--seeds", "0-1,7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[0].split() == [
        "planned", "0", "of", "2", "cells", str(tmp_path / "out/notebooks/a-seed_0-name_u.ipynb"),
    ]  # fmt: skip
    assert not (tmp_path / "out").exists()
    assert main([*common, "-f", str(tmp_path / "given.yaml"), "-p", "workers", "2"]) == 0
    assert "a-seed_4-name_u-workers_2.ipynb" in capsys.readouterr().out
    for arguments, message in (
        ([*common, "--seeds", "4-1"], "must go upwards"),
        ([*common, "--seeds", "0", "-p", "seed", "1"], "seed is given twice"),
        ([*common, "-p", "sed", "1"], "Did you mean 'seed'"),
        ([*common, "-p", "seed", "*x"], "-p seed '*x': line 1: it has the alias"),
        ([*common, "-f", str(path.parent / "none.yaml")], "none.yaml: no such file"),
        ([*common[:2], "--engine", "lokal"], "Did you mean 'local'"),
        ([*common[:2], "--workers", "0"], "workers is 0"),
        (["notebooks", "--seeds", "0"], "seeds: options need the name of a notebook"),
        (["notebooks", "--plan"], "plan: options need the name of a notebook"),
        (["notebooks", "99_none"], "99_none: no such notebook"),
    ):
        assert main(arguments) == 1, arguments
        assert message in capsys.readouterr().err


def test_the_command_without_a_name_renews_the_book(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("asgml_core.book.building.refresh", lambda again: [Path("book/01.ipynb")])
    assert main(["notebooks"]) == 0
    assert capsys.readouterr().out == "book/01.ipynb\n"


def test_one_notebook_refuses_what_it_does_not_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.ipynb", "seed")
    assert main(["notebook", str(path), "-p", "sed", "1", "-o", str(tmp_path / "o.ipynb")]) == 1
    assert "parameter of a.ipynb is 'sed'" in capsys.readouterr().err
    assert output_name(read_notebook(path), {"seed": 1}) == "a-seed_1"
