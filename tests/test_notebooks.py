"""Parameters of notebooks, and the notebooks themselves: paired, short, clean, and true."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
import yaml

from asgml_core import notebooks
from asgml_core.book import executed
from asgml_core.measured import Chosen
from asgml_core.notebook_files import read_notebook
from asgml_core.published import Rereading
from asgml_core.real_data import RealData

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
GIVEN = {"seed": 1, "dataset": "synth", "profile": None, "epochs": 2, "_": 0, "In": [], "ast": ast}


def test_good_parameters_become_settings() -> None:
    chosen = notebooks.settings(GIVEN)
    assert (chosen.seed, chosen.epochs) == (1, 2)
    base = chosen.base()
    assert (base.seed, base.train.epochs, base.data.name) == (1, 2, "synth")
    assert chosen.folder().name == "synth-demo-2epochs"
    assert notebooks.settings(GIVEN | {"outputs": "x"}).folder() == Path("x")


def test_a_notebook_may_have_a_parameter_of_its_own() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Own(notebooks.Settings):
        sweep: bool = False

    given = {"seed": 1, "sweep": True}
    assert notebooks.settings(dict(given), Own).sweep is True
    with pytest.raises(ValueError, match="parameter is 'sweep', but must be one of"):
        notebooks.settings(dict(given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sed": 1}, "parameter is 'sed'.*Did you mean 'seed'"),
        ({"seed": "one"}, "seed is 'one', but must be a whole number of 0 or more"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"dataset": "gird"}, "dataset is 'gird', but must be one of: 'synth', 'grid', .*'arrays'"),
        ({"dataset": "grid", "profile": "demo"}, "profile of 'grid' is 'demo'.*'grid_rich'"),
        ({"epochs": 0}, "epochs is 0, but must be a whole number of 1 or more"),
        ({"workers": -1}, "workers is -1"),
        ({"device": 3}, "device is 3, but must be text"),
        ({"precision": "half"}, "precision is 'half'"),
        ({"execution": "graphs"}, "CUDA graphs need a GPU"),
        ({"dataset": "arrays"}, "data must be the path"),
    ],
)
def test_impossible_parameters_are_refused(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        notebooks.settings(given)


def test_runs_of_other_settings_have_a_folder_of_their_own() -> None:
    folders = [
        notebooks.settings(given).folder().name
        for given in ({}, {"precision": "bf16"}, {"epochs": 3, "execution": "compile"})
    ]
    assert folders == ["synth-demo", "synth-demo-bf16", "synth-demo-3epochs-compile"]


@pytest.mark.parametrize("file", sorted((ROOT / "params").rglob("*.yaml")), ids=str)
def test_every_parameter_set_is_valid_for_its_notebook(file: Path) -> None:
    assert (ROOT / "book" / f"{file.parent.name}.ipynb").is_file()
    given = yaml.safe_load(file.read_text())
    own = {"real_data": RealData, "05_multi_seed": Chosen, "06_published": Rereading}
    notebooks.settings(given, own.get(file.parent.name, notebooks.Settings))


def test_an_unknown_notebook_names_those_there_are() -> None:
    with pytest.raises(FileNotFoundError, match=r"04_v2_bost: no such notebook.*04_v2_boost"):
        notebooks.find("04_v2_bost")
    assert notebooks.find("04_v2_boost") == ROOT / "book" / "04_v2_boost.ipynb"


def cells(path: Path, kind: str) -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


@by_name
def test_the_notebook_is_its_paired_text(path: Path) -> None:
    import jupytext

    text = jupytext.read(ROOT / "book" / "scripts" / f"{path.stem}.py")
    notebook = nbformat.read(path, as_version=4)
    assert [(c.cell_type, c.source) for c in text.cells] == [
        (c.cell_type, c.source) for c in notebook.cells
    ]


@by_name
def test_it_is_executed_in_order_and_without_errors(path: Path) -> None:
    code = cells(path, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
    shown = {kind for cell in code for o in cell.outputs for kind in o.get("data", {})}
    assert ("text/html" if path.stem == "how_it_was_run" else "image/png") in shown


@by_name
def test_its_outputs_are_those_of_the_code_and_tables_as_they_are(path: Path) -> None:
    """`asgml notebooks` executes what is out of date."""
    assert executed.fits(path)


@by_name
def test_cells_are_short_and_prose_leads(path: Path) -> None:
    lengths = sorted(len(cell.source.splitlines()) for cell in cells(path, "code"))
    assert lengths[len(lengths) // 2] <= 8
    assert lengths[-1] <= 30
    prose = sum(len(cell.source) for cell in cells(path, "markdown"))
    assert prose > sum(len(cell.source) for cell in cells(path, "code"))


@by_name
def test_the_parameters_cell_holds_literals_with_types(path: Path) -> None:
    tagged = [c for c in cells(path, "code") if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    for statement in ast.parse(tagged[0].source).body:
        assert isinstance(statement, ast.AnnAssign)
        ast.literal_eval(statement.value)


@by_name
def test_a_plan_knows_its_parameters_without_executing_it(path: Path) -> None:
    (cell,) = [c for c in cells(path, "code") if "parameters" in c.metadata.get("tags", [])]
    space: dict = {}
    exec(cell.source, space)
    del space["__builtins__"], space["__annotations__"]
    assert read_notebook(path).parameters == space


@by_name
def test_nothing_of_one_machine_is_in_it(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"/(home|root|work|tmp|Users)/", text)
    assert "papermill" not in nbformat.read(path, as_version=4).metadata


def papermill(folder: str, out: Path, *given: str) -> subprocess.CompletedProcess[str]:
    """Run 04 from a folder of the project with papermill, for two epochs."""
    source = {".": "book/04_v2_boost.ipynb", "book": "04_v2_boost.ipynb"}[folder]
    command = [
        sys.executable, "-m", "papermill", source, str(out / "out.ipynb"), "--no-progress-bar",
        "-p", "epochs", "2", "-p", "outputs", str(out / "outputs"), *given,
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT / folder, capture_output=True, text=True, check=False)


@pytest.mark.slow  # test_readme runs it too
@pytest.mark.parametrize("folder", [".", "book"])
def test_papermill_runs_04_from_the_root_and_from_inside_book(folder: str, tmp_path: Path) -> None:
    done = papermill(folder, tmp_path, "-p", "seed", "5")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "outputs" / "sweep" / "boost_ogm_seed5" / "record.json").is_file()


@pytest.mark.slow  # nbval runs the same parameters, and test_readme runs 04 by papermill
@by_name
def test_papermill_runs_it_with_the_profile_smoke(path: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "papermill", f"book/{path.name}", str(tmp_path / "out.ipynb"),
        "--no-progress-bar", "-p", "profile", "smoke",
    ]  # fmt: skip
    environment = {**os.environ, "ASGML_OUTPUTS": str(tmp_path), "ASGML_FIGURES": str(tmp_path)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@by_name
def test_it_takes_the_profile_smoke(path: Path) -> None:
    assert "profile" in read_notebook(path).parameters
    file = ROOT / "params" / path.stem / "smoke.yaml"
    if file.is_file():
        assert yaml.safe_load(file.read_text())["profile"] == "smoke"


@pytest.mark.parametrize("folder", [".", "book"])
def test_papermill_stops_at_a_misspelt_parameter(folder: str, tmp_path: Path) -> None:
    done = papermill(folder, tmp_path, "-p", "sed", "5")
    assert done.returncode != 0
    assert "parameter is 'sed', but must be one of: 'seed'" in done.stderr


def ways() -> list:
    """Return every notebook with both ways; the slower one is for ``make check`` alone."""
    slower = {path: "smoke" if path.stem == "05_multi_seed" else "full" for path in NOTEBOOKS}
    return [
        pytest.param(path, way, id=f"{path.stem}-{way}",
                     marks=[pytest.mark.slow] if way == slower[path] else [])
        for path in NOTEBOOKS
        for way in ("smoke", "full")
    ]  # fmt: skip


@pytest.mark.parametrize(("path", "way"), ways())
def test_nbval_finds_the_same_outputs(path: Path, way: str, tmp_path: Path) -> None:
    """Run the notebook anew, from nothing; cells tagged NBVAL_CHECK_OUTPUT must say the same.

    A notebook of runs is run with its smoke parameters: what is tagged does not depend on them. One
    that reads the runs of its default from a table is run as it is.
    """
    notebook = _copied(path, tmp_path / "project", way)
    command = [
        sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "-q",
        "-c", str(ROOT / "tests" / "nbval.ini"), "--rootdir", str(tmp_path), str(notebook),
    ]  # fmt: skip
    environment = {**os.environ, "ASGML_OUTPUTS": str(tmp_path), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


def _copied(path: Path, project: Path, way: str) -> Path:
    """Copy a notebook into a project that has the other pages; for smoke, change parameters."""
    (project / "book").mkdir(parents=True)
    for name in ("_config.yml", "requirements.lock"):
        (project / name).symlink_to(ROOT / name)
    for other in (ROOT / "book").iterdir():
        if other != path:
            (project / "book" / other.name).symlink_to(other)
    notebook = nbformat.read(path, as_version=4)
    file = ROOT / "params" / path.stem / f"{way}.yaml"
    given = yaml.safe_load(file.read_text()) if file.is_file() else {}
    cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in given.items())
    nbformat.write(notebook, project / "book" / path.name)
    return project / "book" / path.name
