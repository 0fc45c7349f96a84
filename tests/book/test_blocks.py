"""The code that the pages and the README show: it runs, or its reason not to stands here."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
from pathlib import Path

import pytest
import yaml

from asgml_core import profile, study
from asgml_core.book.pages import listed, prose
from asgml_core.cli import _parser, main
from asgml_core.datasets import SOURCES
from asgml_core.grids import grid_of
from asgml_core.notebook_files import read_notebook

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *listed(ROOT / "book")]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)

#: Python that another test runs, by page and first line.
PYTHON_ELSEWHERE = {
    ("README", "from asgml_core import OGMGE, Boost, Chain, Clock, Outputs"):
        "tests/test_readme.py, with a network, a batch and an optimizer",
    ("add_a_method", 'Row("even", still={"strength": 0.0}, refused=(({"strength": 1.5}, '
                     '"strength is 1.5"),)),'):
        "tests/modulators: a row to be put into a list there",
}  # fmt: skip
#: Commands that are not run as they stand, by their first words, and why. All are parsed, and the
#: names in them looked up.
NOT_RUN = {
    "make": "tests/test_packaging.py and tests/test_readme.py",
    "source .venv/bin/activate": "the tests run in that environment",
    "papermill": "tests/test_readme.py and tests/test_notebooks.py",
    "git": "a download of gigabytes", "GIT_LFS_SKIP_SMUDGE=1 git": "a download of gigabytes",
    "cd": "a step of the command after it",
    "python -c": "tests/modulators runs the function that it calls",
    "asgml data": "needs a download; tests/test_cli_data.py prepares what is drawn like it",
    "asgml run": "needs a download or minutes; tests/test_readme.py and tests/test_cli.py",
    "asgml sweep": "hours; planned here on drawn data, run in tests/test_cli_sweep.py",
    "asgml notebooks": "minutes; planned here, run in tests/sweeps/test_notebook_tasks.py",
    "asgml reproduce": "hours; tests/test_reproduction.py",
}  # fmt: skip
#: Commands of the README run one after the other in tests/test_readme.py.
AFTER_OTHERS = ("asgml show", "asgml status", "asgml report")
#: Servers that the pages may link to.
SERVERS = {
    "github.com", "zenodo.org", "docs.ray.io", "keepachangelog.com", "semver.org", "doi.org",
    "arxiv.org", "openreview.net", "openaccess.thecvf.com", "papers.nips.cc", "aclanthology.org",
    "proceedings.mlr.press", "proceedings.neurips.cc",
}  # fmt: skip


def blocks(page: Path, *languages: str) -> list[str]:
    text = "\n".join(prose(page))
    return [
        "\n".join(line.removeprefix(indent) for line in code.splitlines())
        for indent, language, code in BLOCK.findall(text)
        if language in languages
    ]


def with_blocks(*languages: str) -> list:
    return [pytest.param(page, id=page.stem) for page in PAGES if blocks(page, *languages)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the project, as the working folder."""
    for name in ("book", "examples", "params", "tests", "_config.yml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASGML_OUTPUTS", raising=False)
    return tmp_path


@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_runs_in_order_in_one_space(page: Path, project: Path) -> None:
    space: dict = {"__name__": "page"}
    for code in blocks(page, "python"):
        if (page.stem, code.splitlines()[0]) in PYTHON_ELSEWHERE:
            assert "..." in code or ast.parse(f"({code})")
        else:
            exec(compile(code, str(page), "exec"), space)


def commands(page: Path) -> list[str]:
    text = "\n".join(blocks(page, "bash", "console")).replace("\\\n", " ")
    return [part.strip() for line in text.splitlines() for part in line.split("&&") if part.strip()]


@pytest.mark.parametrize("page", with_blocks("bash", "console"))
def test_every_command_is_right_and_of_a_kind_that_is_tested(page: Path) -> None:
    for command in commands(page):
        assert any(command.startswith(kind) for kind in (*NOT_RUN, *AFTER_OTHERS, "asgml runs"))
        words = shlex.split(command)
        check = {"asgml": check_asgml, "papermill": check_papermill, "make": check_make}
        if words[0] in check:
            check[words[0]](words[1:])


def check_asgml(words: list[str]) -> None:
    parsed = vars(_parser().parse_args(words))  # exits where an option does not exist
    if words[0] == "run":
        study.config(parsed["name"], profile())
    if parsed.get("dataset"):
        assert parsed["dataset"] in SOURCES
    for name in (parsed.get("runs") or "").split(","):
        assert not name or study.config(name, profile())
    if words[0] == "notebooks":
        assert (ROOT / "book" / f"{parsed['name']}.ipynb").is_file()


def check_papermill(words: list[str]) -> None:
    taken = read_notebook(ROOT / words[0]).parameters
    for kind, name in itertools.pairwise(words):
        if kind == "-p":
            assert name in taken
        elif kind == "-f":
            assert set(yaml.safe_load((ROOT / name).read_text())) <= set(taken)


def check_make(words: list[str]) -> None:
    assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_sweeps_and_notebooks_are_planned(project: Path, capsys: pytest.CaptureFixture) -> None:
    """The commands of the page on sweeps, on drawn data where they need a download."""
    page = ROOT / "book" / "sweeps.md"
    lines = [line for line in commands(page) if line.startswith(("asgml sweep", "asgml notebooks"))]
    assert len(lines) >= 3
    for line in lines:
        words = shlex.split(line.replace("--dataset grid", "--dataset synth"))[1:]
        assert main(words if "--plan" in words else [*words, "--plan"]) == 0, line
        shown = capsys.readouterr().out
        assert "planned" in shown
    assert not list(project.glob("outputs/**/record.json"))


def test_the_grid_of_the_page_on_sweeps_is_one() -> None:
    (text,) = blocks(ROOT / "book" / "sweeps.md", "yaml")
    content = yaml.safe_load(text)
    configs = grid_of(content, "page").configs(lambda seed: profile("synth", seed=seed))
    # boost has the second setting, the baseline has not: (1 + 2) x 2 rates x 5 seeds.
    assert len(configs) == (1 + 2) * 2 * 5
    assert {config.train.epochs for config in configs} == {6}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.stem)
def test_outer_links_are_of_a_known_form(page: Path) -> None:
    text = BLOCK.sub("", "\n".join(prose(page)))
    for found in re.finditer(r"(.?.?)((?:https?|ftp)://[^\s)>\]`\"']+)", text):
        before, address = found.groups()
        assert address.startswith("https://"), address
        assert before.endswith(("](", "<", "`")), f"a bare address: {address}"
        assert address.split("/")[2] in SERVERS, address


def test_references_lead_to_known_servers() -> None:
    text = (ROOT / "book" / "references.bib").read_text()
    for address in re.findall(r"(?:https?)://[^\s}]+", text):
        assert address.startswith("https://")
        assert address.split("/")[2] in SERVERS, address


def test_the_reasons_are_all_needed() -> None:
    every = [command for page in PAGES for command in commands(page)]
    unused = {kind for kind in NOT_RUN if not any(c.startswith(kind) for c in every)}
    assert unused <= {"asgml reproduce"}
    first = {(p.stem, code.splitlines()[0]) for p in PAGES for code in blocks(p, "python")}
    assert set(PYTHON_ELSEWHERE) <= first
    for reason in NOT_RUN.values():
        for file in re.findall(r"tests/[\w/.]+", reason):
            assert (ROOT / file.rstrip(".")).exists(), file
