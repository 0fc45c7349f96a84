"""The book, built as a user builds it, and looked at in a real browser where there is one."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from asgml_core import book, results
from asgml_core.book import BookError

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


#: What a build executes in `make test`; test_notebooks runs the other notebooks, too.
EXECUTED = ("01_data",)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a book is made from, so that no build of the real one takes over anything."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "book", folder / "book", ignore=shutil.ignore_patterns("_build"))
    for name in ("_config.yml", "requirements.lock", "examples", "tests", "params"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def html(project: Path) -> Path:
    """The built book; notebooks are taken as they are stored, as if a build had executed them."""
    executed = project / "_build" / "executed"
    executed.mkdir(parents=True)
    for stored in (project / "book").glob("*.ipynb"):
        if stored.stem not in EXECUTED:
            shutil.copyfile(stored, executed / stored.name)
            (executed / f"{stored.stem}.key").write_text(book._key(stored))
    return book.build(project).parent


class Links(HTMLParser):
    """Collects what a page points at."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.anchors |= {named["id"]} if named.get("id") else set()
        for attribute in ("href", "src"):
            if named.get(attribute):
                self.found.append(named[attribute])


@functools.cache
def read(page: Path) -> Links:
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


def pages() -> list[str]:
    toc = (ROOT / "book" / "_toc.yml").read_text()
    return ["intro", *re.findall(r"- file: (\S+)", toc)]


def test_every_page_is_there_and_every_inner_link_leads_somewhere(html: Path) -> None:
    for name in pages():
        page = html / f"{name}.html"
        for link in read(page).found:
            if re.match(r"[a-z]+:|//", link):
                continue
            path, _, anchor = link.partition("#")
            path = path.partition("?")[0]
            target = page.parent / path if path else page
            assert target.exists(), f"{name}: {link}"
            if anchor and target.suffix == ".html":
                assert anchor in read(target).anchors, f"{name}: {link}"


def test_pages_read_without_a_network(html: Path) -> None:
    for name in pages():
        for link in read(html / f"{name}.html").found:
            assert not re.match(r"(https?:)?//\S+\.(js|css|woff2?)", link), f"{name}: {link}"


def test_the_pages_hold_the_results(html: Path) -> None:
    text = (html / "04_v2_boost.html").read_text()
    for run in ("baseline", "boost_ogm_a075", "62.50"):
        assert run in text
    assert text.count("<img") >= 6
    assert "progress" not in text.lower() or "epoch/s" not in text


def test_no_markup_is_left_as_text(html: Path) -> None:
    for name in pages():
        text = (html / f"{name}.html").read_text()
        for markup in ("```", ":::", ":header-rows:", "{csv-table}", "{doc}", "{cite}"):
            assert markup not in text, f"{name} shows {markup}"


def test_a_notebook_is_executed_once(html: Path, project: Path) -> None:
    executed = project / "_build" / "executed"
    for name in EXECUTED:
        stored = project / "book" / f"{name}.ipynb"
        assert (executed / f"{name}.key").read_text() == book._key(stored)
        outputs = [cell.get("outputs") for cell in nbformat.read(executed / stored.name, 4).cells]
        assert any(outputs)
    before = {path: path.stat().st_mtime_ns for path in executed.iterdir()}
    for stored in (project / "book").glob("*.ipynb"):
        book._execute_into(stored, project / "_build", project / "_build" / "again.ipynb")
    assert {path: path.stat().st_mtime_ns for path in executed.iterdir()} == before


@pytest.mark.slow
def test_a_build_executes_the_runs_too(project: Path, tmp_path: Path) -> None:
    """From nothing, on the defaults: the numbers are those of the stored pages."""
    for name in ("04_v2_boost", "real_data"):
        target = tmp_path / f"{name}.ipynb"
        book._execute_into(project / "book" / target.name, tmp_path, target)
        cells = nbformat.read(target, 4).cells
        assert any("image/png" in str(cell.get("outputs")) for cell in cells)
    text = (tmp_path / "04_v2_boost.ipynb").read_text()
    for run in ("baseline", "boost_ogm_a075", "62.50"):
        assert run in text


def test_committed_tables_have_their_provenance() -> None:
    for table in (ROOT / "book" / "results").glob("*.csv"):
        said = results.provenance(table.stem)
        assert {"command", "commit", "versions", "device", "wall_time"} <= set(said)
        assert len(results.read(table.stem)) > 0


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_shows_formulas_and_pictures(html: Path, tmp_path: Path) -> None:
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path}", "--virtual-time-budget=15000", "--dump-dom",
        (html / "04_v2_boost.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.count("<mjx-container") > 5
    assert "MathJax" in done.stdout
    assert "math-error" not in done.stdout


def test_a_folder_without_a_book_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"has no _config\.yml"):
        book.build(tmp_path)
