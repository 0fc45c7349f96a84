"""The whole book as one PDF: all pages in one, printed by a headless browser. No TeX is needed."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

from asgml_core.book.browser import Browser, BrowserError, Page, find_browser
from asgml_core.book.building import BookError, build
from asgml_core.book.publishing import citation_fields
from asgml_core.paths import project_root

#: How A4 is filled; margins in inches.
_PAPER = {
    "paperWidth": 8.27,
    "paperHeight": 11.69,
    "marginTop": 0.75,
    "marginBottom": 0.85,
    "marginLeft": 0.75,
    "marginRight": 0.75,
    "printBackground": True,
    "generateDocumentOutline": True,
    "generateTaggedPDF": True,
    "displayHeaderFooter": True,
    "headerTemplate": "<span></span>",
    "footerTemplate": '<div style="width: 100%; text-align: center; font: 9px sans-serif">'
    '<span class="pageNumber"></span></div>',
}
#: Lifts the headings of pages to the level of the first, names those of pages and sections, and
#: returns them. All pages but the first lie in a wrapper.
_HEADINGS = """
for (const part of document.querySelectorAll(".toctree-wrapper :is(h2, h3, h4, h5, h6)")) {
    const lifted = document.createElement(`h${Number(part.tagName[1]) - 1}`);
    lifted.replaceChildren(...part.childNodes);
    part.replaceWith(lifted);
}
[...document.querySelectorAll("article.bd-article h1, article.bd-article h2")].map((part, n) => {
    part.id = `heading-${n}`;
    const text = [...part.childNodes].filter(node => !node.classList?.contains("headerlink"));
    return {
        level: Number(part.tagName[1]),
        text: text.map(node => node.textContent).join(""),
        anchor: part.id,
    };
})
"""
#: Leaves the article alone on the page, without code that the pages fold, opens other folded text,
#: and puts the title in front.
_PREPARE = """
(async () => {
    document.documentElement.dataset.theme = "light";
    const article = document.querySelector("article.bd-article");
    document.body.replaceChildren(article);
    document.body.classList.add("asgml-print");
    article.querySelectorAll("details.hide").forEach(part => part.remove());
    article.querySelectorAll("details").forEach(part => { part.open = true; });
    article.querySelectorAll(".toggle-hidden").forEach(
        part => part.classList.remove("toggle-hidden"));
    article.querySelectorAll(".headerlink, .copybtn, .toggle-button, .toctree-wrapper > ul"
        ).forEach(part => part.remove());
    article.querySelectorAll("img").forEach(part => { part.loading = "eager"; });
    await Promise.all([...article.querySelectorAll("img")].map(part => part.decode()));
    await MathJax.startup.promise;
    await document.fonts.ready;
    article.insertAdjacentHTML("beforebegin", FRONT);
    return article.querySelectorAll("img").length;
})()
"""


@dataclass(frozen=True)
class Heading:
    """A heading of the long page: its level from 1, its text, and its anchor."""

    level: int
    text: str
    anchor: str


def print_book(root: Path | None = None, *, again: bool = False) -> Path:
    """Print the whole book to ``_build/book.pdf``, and return it.

    Args:
        root: the project's folder; ``None`` finds it.
        again: execute every notebook.

    Raises:
        BookError: when there is no book here, or no browser to print it.
    """
    root = project_root() if root is None else root
    if find_browser() is None:
        raise BookError(
            "the PDF is printed by Chromium or Chrome, and none was found; install one, or name it "
            "in ASGML_BROWSER. `asgml book` needs none."
        )
    page = build(root, again=again, builder="singlehtml").with_name("intro.html")
    target = root / "_build" / "book.pdf"
    try:
        with Browser() as browser:
            shown = browser.open(page.resolve().as_uri())
            target.write_bytes(_print(shown, root))
    except BrowserError as error:
        raise BookError(f"printing {page} failed: {error}") from error
    return target


def _print(page: Page, root: Path) -> bytes:
    """Print once to learn the page of each heading, and again with a table of contents of them."""
    headings = [Heading(**found) for found in page.ask(_HEADINGS)]
    page.ask(_PREPARE.replace("FRONT", json.dumps(_front(root, headings, {}))))
    # The contents take the same room with and without numbers.
    numbers = page_numbers(page.pdf(**_PAPER))
    missing = [heading.text for heading in headings if heading.anchor not in numbers]
    if missing:
        raise BrowserError(f"the headings {missing} have no page.")
    front = json.dumps(_front(root, headings, numbers))
    page.ask(f"document.querySelector('.asgml-front').outerHTML = {front}; 0")
    return page.pdf(**_PAPER)


def _front(root: Path, headings: list[Heading], numbers: dict[str, int]) -> str:
    """Return the title page and the contents as HTML."""
    said = citation_fields(root)
    rows = "".join(
        f'<li class="level{heading.level}"><a href="#{heading.anchor}">'
        f"<span>{html.escape(heading.text)}</span>"
        f"<span>{numbers.get(heading.anchor, 999)}</span></a></li>"
        for heading in headings
    )
    return (
        f'<div class="asgml-front"><header><h1>{html.escape(str(said["title"]))}</h1>'
        f"<p>{html.escape(str(said['authors'][0].get('name', '')))}</p>"
        f"<p>Version {said['version']}</p></header>"
        f"<nav><h2>Contents</h2><ul>{rows}</ul></nav></div>"
    )


def page_numbers(pdf: bytes) -> dict[str, int]:
    """Return the page, from 1, of every named place in a PDF that Chromium has printed.

    Its page tree and its destinations are plain objects, outside the compressed streams.

    Raises:
        BrowserError: when there is no page tree.
    """
    objects = {
        int(number): body
        for number, body in re.findall(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", pdf, re.DOTALL)
    }
    root = next((n for n, body in objects.items() if _is_root(body)), None)
    if root is None:
        raise BrowserError("the PDF has no tree of pages.")
    order: list[int] = []
    _walk(objects, root, order)
    number = {page: place for place, page in enumerate(order, 1)}
    found = re.findall(rb"/([^\s/\[]+)\s*\[(\d+) 0 R\s*/XYZ", pdf)
    return {_name(name): number[int(page)] for name, page in found if int(page) in number}


def _is_root(body: bytes) -> bool:
    return b"/Type /Pages" in body and b"/Parent" not in body


def _walk(objects: dict[int, bytes], node: int, order: list[int]) -> None:
    kids = re.search(rb"/Kids\s*\[(.*?)\]", objects[node], re.DOTALL)
    if kids is None:
        order.append(node)
        return
    for kid in re.findall(rb"(\d+) 0 R", kids[1]):
        _walk(objects, int(kid), order)


def _name(name: bytes) -> str:
    """Return a PDF name as text: ``#2d`` is a hyphen."""
    return re.sub(rb"#([0-9a-fA-F]{2})", lambda m: bytes([int(m[1], 16)]), name).decode("utf-8")
