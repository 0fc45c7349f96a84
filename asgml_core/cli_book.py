"""``asgml book``: build the book's pages, or print them all as one PDF."""

from __future__ import annotations

import argparse
from typing import Any


def add_book_parser(commands: Any) -> None:
    """Add ``asgml book`` to the command line."""
    book = commands.add_parser(
        "book",
        help="build the HTML book, or with --pdf one PDF of it",
        description="Build the HTML book. Notebooks are executed unless their stored outputs are "
        "of the code and the tables as they are.",
    )
    book.add_argument("--pdf", action="store_true",
                      help="print the whole book to _build/book.pdf; needs Chromium or "
                      "Chrome")  # fmt: skip
    book.add_argument("--again", action="store_true", help="execute every notebook")
    book.add_argument("--repository", metavar="URL",
                      help="where the repository is published, https://HOST/OWNER/NAME, for "
                      "buttons that open a page on Binder or Colab (default: what CITATION.cff "
                      "says)")  # fmt: skip
    book.add_argument("--branch", default="main", help="that the buttons open (default: main)")
    book.add_argument("--hub", metavar="URL", help="a JupyterHub for one more button")
    book.set_defaults(call=_book)


def _book(parsed: argparse.Namespace) -> None:
    if parsed.pdf:
        from asgml_core.book.printing import print_book

        _refuse_buttons(parsed)
        print(f"The book is at {print_book(again=parsed.again)}")
        return
    from asgml_core.book import building

    page = building.build(repository=_repository(parsed), again=parsed.again)
    print(f"The book is at {page}")


def _repository(parsed: argparse.Namespace) -> Any:
    from asgml_core.book.publishing import Repository

    if parsed.repository is None:
        if parsed.hub is not None:
            raise ValueError("--hub needs --repository, whose pages it would open.")
        return None
    return Repository(parsed.repository, parsed.branch, parsed.hub)


def _refuse_buttons(parsed: argparse.Namespace) -> None:
    if parsed.repository is not None or parsed.hub is not None:
        raise ValueError("--repository and --hub are for buttons of pages; a PDF has none.")
