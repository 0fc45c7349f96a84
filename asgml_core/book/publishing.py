"""What the published book is told beyond ``_config.yml``: where its repository is, and how to cite.

Buttons that open a page on Binder or Colab need the repository's address. It stands in one place,
``repository-code`` of ``CITATION.cff``, or is given for one build; without one there are no such
buttons. :func:`sphinx_settings` is for a build with Sphinx alone.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgml_core.checks import AsgmlError
from asgml_core.reading import read_yaml

BINDER = "https://mybinder.org"
COLAB = "https://colab.research.google.com"
#: Colab opens notebooks of this host only.
COLAB_HOST = "github.com"
_ADDRESS = re.compile(r"https://([\w.-]+)/([\w.-]+/)+[\w.-]+")
_HUB = re.compile(r"https://[\w.-]+(:\d+)?(/[\w./-]*)?")
#: What a build with Sphinx alone needs besides the extensions of ``_config.yml``.
_EXTENSIONS = (
    "myst_nb", "sphinx_external_toc", "sphinxcontrib.bibtex", "sphinx_copybutton",
    "sphinx_togglebutton",
)  # fmt: skip


class PublishingError(AsgmlError, ValueError):
    """An address or a file that cannot be used; the message says what was expected."""


@dataclass(frozen=True)
class Repository:
    """Where the book's repository is published.

    Args:
        url: its address, such as ``https://github.com/owner/name``.
        branch: the branch that the buttons open.
        hub: the address of a JupyterHub that its readers may use; ``None`` for none.

    Raises:
        PublishingError: for an address of another form.
    """

    url: str
    branch: str = "main"
    hub: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.removesuffix("/").removesuffix(".git"))
        if not _ADDRESS.fullmatch(self.url):
            raise PublishingError(
                f"the repository is {self.url!r}, but https://HOST/OWNER/NAME was expected."
            )
        if not re.fullmatch(r"[\w][\w./-]*", self.branch):
            raise PublishingError(f"the branch is {self.branch!r}, but a plain name was expected.")
        if self.hub is not None and not _HUB.fullmatch(self.hub):
            raise PublishingError(f"the hub is {self.hub!r}, but https://HOST was expected.")

    @property
    def host(self) -> str:
        """Return the name of the server."""
        return self.url.split("/")[2]

    def buttons(self) -> dict[str, str]:
        """Return the launch buttons, as ``_config.yml`` has them."""
        given = {"notebook_interface": "jupyterlab", "binderhub_url": BINDER}
        if self.host == COLAB_HOST:
            given["colab_url"] = COLAB
        if self.hub is not None:
            given["jupyterhub_url"] = self.hub
        return given


def cited_repository(root: Path) -> Repository | None:
    """Return the repository that ``CITATION.cff`` names, or ``None``."""
    url = citation_fields(root).get("repository-code")
    return None if url is None else Repository(url)


def book_config(root: Path, repository: Repository | None) -> dict[str, Any]:
    """Return ``_config.yml``, with the buttons that a repository allows."""
    config = _mapping(root / "_config.yml")
    if repository is not None:
        config["repository"] = {
            "url": repository.url, "path_to_book": "book", "branch": repository.branch
        }  # fmt: skip
        config["launch_buttons"] = repository.buttons()
        config["html"] = {
            **config["html"], "use_repository_button": True, "use_issues_button": True
        }  # fmt: skip
    return config


def sphinx_settings(root: Path) -> dict[str, Any]:
    """Return the settings of ``_config.yml`` and ``_toc.yml`` as a ``conf.py`` has them."""
    config = book_config(root, cited_repository(root))
    given, html = config["sphinx"], config["html"]
    settings = dict(given["config"])
    place = config.get("repository", {})
    pairs = {
        "repository_url": place.get("url"),
        "repository_branch": place.get("branch"),
        "path_to_docs": place.get("path_to_book"),
        "launch_buttons": config["launch_buttons"] if place else None,
        "extra_footer": html["extra_footer"],
        "home_page_in_toc": html["home_page_in_navbar"],
        **{name: value for name, value in html.items() if name.startswith("use_")},
    }
    theme = {**settings["html_theme_options"]}
    theme |= {name: value for name, value in pairs.items() if value not in (None, "")}
    return settings | {
        "project": config["title"],
        "html_title": config["title"],
        "author": config["author"],
        "copyright": config["copyright"],
        "extensions": [*_EXTENSIONS, *given["extra_extensions"]],
        "exclude_patterns": ["_build", "scripts", "results", "conf.py"],
        "external_toc_path": "_toc.yml",
        "external_toc_exclude_missing": config["only_build_toc_files"],
        "bibtex_bibfiles": config["bibtex_bibfiles"],
        "myst_enable_extensions": config["parse"]["myst_enable_extensions"],
        "myst_url_schemes": ("http", "https", "mailto"),
        "nb_execution_mode": config["execute"]["execute_notebooks"],
        "numfig": True,
        "html_theme": "sphinx_book_theme",
        "html_theme_options": theme,
        "html_sourcelink_suffix": "",
    }


def citation_fields(root: Path) -> dict[str, Any]:
    """Return the fields of ``CITATION.cff``."""
    return _mapping(root / "CITATION.cff")


def citation_text(root: Path, year: str) -> str:
    """Return how to cite the book, in one sentence.

    Args:
        root: the project's folder.
        year: of the version that is cited.
    """
    said = citation_fields(root)
    where = f" {said['repository-code']}" if "repository-code" in said else ""
    return f"{_authors(said)} ({year}). {said['title']}. Version {said['version']}.{where}"


def citation_bibtex(root: Path, year: str) -> str:
    """Return the same as an entry of BibTeX."""
    said = citation_fields(root)
    fields = {
        "author": f"{{{_authors(said)}}}",
        "title": f"{{{said['title']}}}",
        "year": year,
        "version": str(said["version"]),
        "note": f"{said['license']} licence",
    }
    if "repository-code" in said:
        fields["url"] = said["repository-code"]
    lines = ",\n".join(f"{name} = {{{value}}}" for name, value in fields.items())
    return "@software{asgml_core,\n" + textwrap.indent(lines, "  ") + "\n}"


def _authors(said: dict[str, Any]) -> str:
    names = [
        person.get("name") or f"{person['given-names']} {person['family-names']}"
        for person in said["authors"]
    ]
    return " and ".join(names)


def _mapping(file: Path) -> dict[str, Any]:
    said = read_yaml(file)
    if not isinstance(said, dict):
        raise PublishingError(f"{file} holds no named fields.")
    return said
