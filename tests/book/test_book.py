"""The book, built as a user builds it, and looked at in a real browser where there is one."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from page_checks import LOOK, WIDTHS, look

from asgml_core import results
from asgml_core.book import building, executed, pages
from asgml_core.book.browser import Browser, BrowserError, Page, find_browser
from asgml_core.book.building import BookError
from asgml_core.book.printing import page_numbers, print_book
from asgml_core.cli import main

ROOT = Path(__file__).parents[2]
needs_browser = pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine")


#: What a book needs from the project besides its own folder.
BESIDE = (
    "_config.yml", "requirements.lock", "pyproject.toml", "CITATION.cff", "CHANGELOG.md",
    "examples", "figures", "tests", "params",
)  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a book is made from, so that no build of the real one takes over anything."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "book", folder / "book", ignore=shutil.ignore_patterns("_build"))
    for name in BESIDE:
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def html(project: Path) -> Path:
    """The built book, from the notebooks as they are stored."""
    stored = sorted((project / "book").glob("*.ipynb"))
    assert all(executed.fits(notebook) for notebook in stored), "run `asgml notebooks`"
    return building.build(project).parent


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


def names() -> list[str]:
    return [page.stem for page in pages.listed(ROOT / "book")]


def test_every_page_is_there_and_every_inner_link_leads_somewhere(html: Path) -> None:
    for name in names():
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
    for name in names():
        for link in read(html / f"{name}.html").found:
            assert not re.match(r"(https?:)?//\S+\.(js|css|woff2?)", link), f"{name}: {link}"


def test_the_pages_hold_the_results(html: Path) -> None:
    text = (html / "04_v2_boost.html").read_text()
    for run in ("baseline", "boost_ogm_a075", "62.50"):
        assert run in text
    assert text.count("<img") >= 6
    assert "progress" not in text.lower() or "epoch/s" not in text


def test_no_markup_is_left_as_text(html: Path) -> None:
    for name in names():
        text = (html / f"{name}.html").read_text()
        for markup in ("```", ":::", ":header-rows:", "{csv-table}", "{doc}", "{cite}"):
            assert markup not in text, f"{name} shows {markup}"


@pytest.mark.slow
def test_a_build_executes_the_runs_too(project: Path, tmp_path: Path) -> None:
    """From nothing, on the defaults: the numbers are those of the stored pages."""
    for name in ("04_v2_boost", "real_data"):
        target = tmp_path / f"{name}.ipynb"
        building._execute_into(project / "book" / target.name, tmp_path, target)
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


def test_a_folder_without_a_book_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"has no _config\.yml"):
        building.build(tmp_path)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with Browser() as browser:
        yield browser.open("about:blank")


@needs_browser
@pytest.mark.parametrize("name", [*names(), "genindex", "search"])
def test_a_page_is_whole_and_readable(name: str, html: Path, page: Page) -> None:
    page.resize(*WIDTHS["wide"])
    page.go((html / f"{name}.html").as_uri())
    # Pictures further down are loaded when they are reached.
    page.ask("document.querySelectorAll('img').forEach(x => { x.loading = 'eager'; })")
    page.ask("Promise.allSettled([...document.images].map(x => x.decode())).then(() => 0)")
    page.ask("window.MathJax?.startup?.promise?.then(() => 0)")
    # Transitions would be seen half-way.
    page.ask(
        "document.head.insertAdjacentHTML('beforeend',"
        " '<style>* { transition: none !important; }</style>')"
    )
    wrong = [
        said for theme in ("light", "dark") for width in WIDTHS for said in look(page, theme, width)
    ]
    assert wrong + page.complaints() == []


@needs_browser
def test_a_browser_shows_formulas_and_finds_words(html: Path, page: Page) -> None:
    page.go((html / "04_v2_boost.html").as_uri())
    page.ask("MathJax.startup.promise.then(() => 0)")
    assert page.ask("document.querySelectorAll('mjx-container').length") > 5
    page.go((html / "search.html").as_uri() + "?q=staleness")
    found = page.ask(
        "new Promise(done => { const look = () => { const n ="
        " document.querySelectorAll('#search-results li').length;"
        " n > 2 ? done(n) : setTimeout(look, 50); }; look();"
        " setTimeout(() => done(0), 20000); })"
    )
    assert found > 2


@needs_browser
def test_what_is_wrong_is_seen(tmp_path: Path, page: Page) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<article class='bd-article'><p style='color: #999; background: #fff'>pale</p>"
        "<img src='none.png' width=50><div style='width: 2000px'>wide</div>"
        "<p style='color: rgba(0, 0, 0, .3)'>thin</p><p style='color: #000'>good</p></article>"
    )
    page.go(bad.as_uri())
    page.resize(*WIDTHS["narrow"])
    said = "\n".join(page.ask(LOOK))
    for part in ("2", "wide in a window of 390", "broken picture none.png", '"pale"', '"thin"'):
        assert part in said
    assert '"good"' not in said
    assert any("ERR_FILE_NOT_FOUND" in text for text in page.complaints())
    with pytest.raises(BrowserError, match="script failed: ReferenceError"):
        page.ask("nothing_of_this_name")
    with pytest.raises(BrowserError, match="ERR_FILE_NOT_FOUND"):
        page.go((tmp_path / "none.html").as_uri())


@needs_browser
def test_the_pages_of_named_places_are_those_of_the_pdf(tmp_path: Path, page: Page) -> None:
    long = tmp_path / "long.html"
    places = "".join(
        f"<h1 id='place-{n}' style='break-before: page'>{n}</h1><a href='#place-{n}'>x</a>"
        for n in range(1, 31)
    )
    long.write_text(f"<body>{places}</body>")
    page.go(long.as_uri())
    found = page_numbers(page.pdf())
    assert {f"place-{n}": n for n in range(1, 31)} == found
    with pytest.raises(BrowserError, match="no tree of pages"):
        page_numbers(b"%PDF-1.4")


@needs_browser
@pytest.mark.parametrize("kind", ["asgml-figure", "align-default"])
def test_a_figure_is_whole_on_paper_and_scrolls_on_a_phone(
    kind: str, tmp_path: Path, page: Page
) -> None:
    sheets = [(ROOT / "book" / "_static" / f"{name}.css").as_uri() for name in ("book", "figures")]
    linked = "".join(f"<link rel=stylesheet href='{sheet}'>" for sheet in sheets)
    image = "<img class=only-light width=900 src='data:image/svg+xml,<svg/>'>"
    file = tmp_path / "figure.html"
    widths = {}
    for place in ("asgml-print", ""):
        file.write_text(
            f"{linked}<body class='{place}'><div style='width: 500px'>"
            f"<figure style='margin: 0' class='{kind}'>{image}</figure></div></body>"
        )
        page.go(file.as_uri())
        widths[place] = page.ask("document.querySelector('img').getBoundingClientRect().width")
    assert widths["asgml-print"] <= 500 < widths[""]


@pytest.mark.slow  # a second build; `asgml book --pdf` as it stands
@needs_browser
def test_the_whole_book_is_printed(html: Path, project: Path) -> None:
    printed = print_book(project).read_bytes()
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", printed)) > 100
    assert len(page_numbers(printed)) > 4 * len(names())


def test_without_a_browser_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("ASGML_BROWSER", str(tmp_path / "none"))
    assert find_browser() is None
    with pytest.raises(BrowserError, match="no Chromium or Chrome was found"):
        Browser()
    with pytest.raises(BookError, match="none was found; install one, or name it in ASGML_BROWSER"):
        print_book(ROOT)
    assert main(["book", "--pdf"]) == 1
    assert "install one" in capsys.readouterr().err
    assert main(["book", "--pdf", "--repository", "https://a.org/b/c"]) == 1
    assert "a PDF has none" in capsys.readouterr().err
