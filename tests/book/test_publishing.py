"""What the published book is told: buttons, citation, provenance; and a build by Sphinx alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from asgml_core import results
from asgml_core.book import about, pages, publishing, run_box
from asgml_core.book.pages import PageError
from asgml_core.book.publishing import PublishingError, Repository
from asgml_core.cli import main

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
#: Tables that no page reads: they hold the rows behind a summary that a page shows.
BEHIND = {
    "ave_classes", "engines", "first_sweep_grid", "first_sweep_synth_summary", "grid_epochs",
    "kinetics_sounds_classes", "v2_grid", "v2_synth",
}  # fmt: skip


# --- The repository and its buttons ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "buttons"),
    [
        ("https://github.com/owner/name", {"binderhub_url", "colab_url"}),
        ("https://github.com/owner/name.git", {"binderhub_url", "colab_url"}),
        ("https://gitlab.com/group/sub/name/", {"binderhub_url"}),
    ],
)
def test_buttons_are_those_that_a_host_allows(url: str, buttons: set[str]) -> None:
    repository = Repository(url, hub="https://hub.example.org")
    assert set(repository.buttons()) == {"notebook_interface", "jupyterhub_url"} | buttons
    assert not repository.url.endswith(("/", ".git"))


@pytest.mark.parametrize(
    "given",
    [
        {"url": "git@github.com:owner/name"},
        {"url": "http://github.com/owner/name"},
        {"url": "https://token@github.com/owner/name"},
        {"url": "https://github.com/owner"},
        {"url": "https://github.com/owner/name", "branch": "-x"},
        {"url": "https://github.com/owner/name", "hub": "hub.example.org"},
    ],
)
def test_another_address_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(PublishingError, match=r"but .* was expected"):
        Repository(**given)


def test_a_hub_without_a_repository_is_refused(capsys: pytest.CaptureFixture) -> None:
    assert main(["book", "--hub", "https://hub.example.org"]) == 1
    assert "--hub needs --repository" in capsys.readouterr().err


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A book of one text and one notebook, with the real settings."""
    (tmp_path / "book" / "scripts").mkdir(parents=True)
    for name in ("_config.yml", "CITATION.cff"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copyfile(BOOK / "conf.py", tmp_path / "book" / "conf.py")
    shutil.copytree(BOOK / "_static", tmp_path / "book" / "_static")
    (tmp_path / "book" / "references.bib").write_text("")
    (tmp_path / "book" / "first.md").write_text("# First\n\n$x^2$ and {doc}`02_second`\n")
    (tmp_path / "book" / "scripts" / "02_second.py").write_text("x = 1\n")
    cells = [nbformat.v4.new_markdown_cell("# Second"), nbformat.v4.new_code_cell("seed: int = 1")]
    cells[1].metadata["tags"] = ["parameters"]
    python = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=python)
    nbformat.write(notebook, tmp_path / "book" / "02_second.ipynb")
    (tmp_path / "book" / "_toc.yml").write_text(
        "format: jb-book\nroot: first\nchapters:\n  - file: 02_second\n"
    )
    return tmp_path


@pytest.mark.parametrize("url", [None, "https://github.com/owner/name"])
def test_pages_have_the_buttons_and_the_box(small: Path, url: str | None) -> None:
    """Built by Sphinx alone; what Jupyter Book is given is the same configuration."""
    if url is not None:
        with (small / "CITATION.cff").open("a") as file:
            file.write(f'repository-code: "{url}"\n')
    sphinx(small / "book", small / "html")
    text = (small / "html" / "02_second.html").read_text()
    binder = "https://mybinder.org/v2/gh/owner/name/main?urlpath=lab/tree/book/02_second.ipynb"
    colab = "https://colab.research.google.com/github/owner/name/blob/main/book/02_second.ipynb"
    assert (binder in text, colab in text) == (url is not None, url is not None)
    plain = re.sub(r"<[^>]+>", "", text)  # without the marks of highlighting
    assert "papermill book/02_second.ipynb out.ipynb -p seed 1" in plain
    for name in ("02_second.ipynb", "02_second.py"):
        (download,) = set(re.findall(rf'href="(_downloads/\w+/{re.escape(name)})"', text))
        assert (small / "html" / download).is_file()
    assert "mybinder" not in (small / "html" / "first.html").read_text()
    config = publishing.book_config(small, publishing.cited_repository(small))
    assert ("binderhub_url" in config["launch_buttons"]) is (url is not None)
    assert config.get("repository", {}).get("url") == url


def sphinx(source: Path, to: Path, *more: str) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "--keep-going", *more]
    done = subprocess.run(
        [*command, str(source), str(to)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_book_is_built_without_jupyter_book(tmp_path: Path) -> None:
    """All pages, references and citations are resolved; the small book above is written, too."""
    sphinx(BOOK, tmp_path / "out", "-b", "dummy")
    read = {path.stem for path in (tmp_path / "out" / ".doctrees").glob("*.doctree")}
    assert read == {page.stem for page in pages.listed(BOOK)}


# --- The box --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", sorted(BOOK.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_box_offers_what_a_notebook_takes(page: Path) -> None:
    text = run_box.box(page)
    (command,) = re.findall(r"^papermill .*$", text, re.MULTILINE)
    assert command.startswith(f"papermill book/{page.name} out.ipynb")
    only_reads = page.stem in ("06_published", "how_it_was_run", "performance")
    assert ("-p profile smoke" in text) is not only_reads
    for file in re.findall(r"-f (\S+\.yaml)", text):
        assert (ROOT / file).is_file()
    for file in re.findall(r"\{download\}`[^<]*<(.*)>`", text):
        assert (BOOK / file).is_file()


# --- The citation ---------------------------------------------------------------------------------


def test_the_page_cites_as_the_citation_file_says() -> None:
    shown = (BOOK / "bibliography.md").read_text()
    year = yaml.safe_load((ROOT / "_config.yml").read_text())["copyright"]
    assert publishing.citation_text(ROOT, year) in " ".join(shown.split())
    (entry,) = re.findall(r"```bibtex\n(.*?)\n```", shown, re.DOTALL)
    assert entry == publishing.citation_bibtex(ROOT, year)


def test_the_entry_is_bibtex(tmp_path: Path) -> None:
    database = pytest.importorskip("pybtex.database", reason="sphinxcontrib-bibtex brings pybtex")
    (tmp_path / "CITATION.cff").write_text(
        "authors:\n  - given-names: Ada\n    family-names: Lovelace\n  - name: A group\n"
        "title: A title\nversion: 1.2.0\nlicense: MIT\nrepository-code: https://a.org/b/c\n"
    )
    entry = database.parse_string(
        publishing.citation_bibtex(tmp_path, "1843"), "bibtex"
    ).entries.values()
    (said,) = entry
    assert said.fields["title"] == "{A title}"
    assert said.fields["url"] == "https://a.org/b/c"
    assert publishing.citation_text(tmp_path, "1843") == (
        "Ada Lovelace and A group (1843). A title. Version 1.2.0. https://a.org/b/c"
    )


# --- How the book was run -------------------------------------------------------------------------


def test_every_table_has_a_page_or_is_behind_one() -> None:
    used = {name for page in pages.listed(BOOK) for name in pages.tables_of(page)}
    there = {path.stem for path in (BOOK / "results").glob("*.csv")}
    assert there - used <= BEHIND


def test_tables_are_found_by_name_star_and_file(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for name in ("one", "one_tested", "one_more", "two", "two_more", "three", "four"):
        (tmp_path / "results" / f"{name}.csv").write_text("a\n1\n")
    code = 'x = results.read("one")\n%time\nglob("two*.csv")\n# "four"\n'
    cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_markdown_cell("results/three.csv")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "page.ipynb")
    assert pages.tables_of(tmp_path / "page.ipynb") == [
        "one", "one_tested", "three", "two", "two_more"
    ]  # fmt: skip
    (tmp_path / "text.md").write_text(":file: results/four.csv\n`one`")
    assert pages.tables_of(tmp_path / "text.md") == ["four"]
    assert not pages.runs_at_build(tmp_path / "page.ipynb")


def test_a_page_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "_toc.yml").write_text("root: intro\n")
    with pytest.raises(PageError, match=r"lists 'intro', but there is no intro\.ipynb or \.md"):
        pages.listed(tmp_path)
    (tmp_path / "_toc.yml").write_text("- a\n")
    with pytest.raises(PageError, match="has no root"):
        pages.listed(tmp_path)


def test_sources_name_every_table_once_a_page_with_its_provenance() -> None:
    table = about.sources(ROOT)
    for page in pages.listed(BOOK):
        rows = table[table["page"] == page.stem]
        named = [name for cell in rows["tables"] for name in cell.split(", ")]
        assert sorted(named) == pages.tables_of(page)
        for row in rows.to_dict("records"):
            said = results.provenance(row["tables"].split(", ")[0], BOOK / "results")
            assert row["command"] == said["command"]
            assert float(row["seconds"]) == pytest.approx(said["wall_time"], abs=0.51)
            date, commit, *_ = row["made"].split(", ")
            assert said["finished"].startswith(date)
            assert said["commit"].startswith(commit.rstrip("+"))
            assert said["device"] in row["made"]


def test_notebooks_tell_how_they_were_executed(tmp_path: Path) -> None:
    table = about.notebooks(ROOT).set_index("page")
    listed = [page for page in pages.listed(BOOK) if page.suffix == ".ipynb"]
    assert list(table.index) == [page.stem for page in listed]
    assert table.loc["04_v2_boost", "trains"] == "yes"
    assert table.loc["performance", "trains"] == "no"
    for page in listed:
        note = json.loads(page.read_text())["metadata"].get("asgml")
        assert (table.loc[page.stem, "made"] == "-") is (note is None)
        if note is not None:
            assert table.loc[page.stem, "made"].startswith(note["finished"][:10] + ", ")


def test_packages_and_machine_are_those_here() -> None:
    table = about.packages(ROOT)
    locked = (ROOT / "requirements.lock").read_text()
    assert all(f"{name}=={row.locked}\n" in locked for name, row in table.iterrows())
    assert (table.loc["torch", "here"]) == __import__("torch").__version__.partition("+")[0]
    assert about.machine().loc["python", "value"] == sys.version.split()[0]
