"""Saved figures: the same bytes for the same figure, both variants in a notebook, two files."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from asgml_core import figures
from asgml_core.figures.saving import LARGEST_SVG, render

DRAW = """
import hashlib, pandas as pd
from asgml_core import figures
from asgml_core.figures.saving import render
table = pd.DataFrame({"baseline": [79.0, 80.5, 81.0], "ogmge": [80.0, 82.5, 81.5]})
figure = figures.seeds(table, reference="baseline")
made = [render(figure, kind, dark) for kind in ("svg", "png") for dark in (False, True)]
print(*(hashlib.sha256(one).hexdigest() for one in made))
"""


@pytest.fixture
def figure() -> Figure:
    table = pd.DataFrame({"baseline": [79.0, 80.5, 81.0], "ogmge": [80.0, 82.5, 81.5]})
    return figures.seeds(table, reference="baseline")


class Found(HTMLParser):
    """The pictures and the caption of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.pictures: list[dict[str, str | None]] = []
        self.caption, self._inside = "", False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs))
        self._inside = tag == "figcaption"

    def handle_data(self, data: str) -> None:
        self.caption += data if self._inside else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


def svg_of(address: str | None) -> ET.Element:
    start, _, rest = str(address).partition(",")
    assert start == "data:image/svg+xml"
    return ET.fromstring(unquote(rest))


def test_a_notebook_gets_both_variants_and_a_picture_for_other_viewers(figure: Figure) -> None:
    bundle = figures.save(figure, "a/b", 'Points < 90 & "means".')._repr_mimebundle_()
    found = Found(bundle["text/html"])
    assert [picture["class"] for picture in found.pictures] == ["only-light", "only-dark"]
    assert [picture.get("style") for picture in found.pictures] == [None, "display:none"]
    assert {picture["alt"] for picture in found.pictures} == {'Points < 90 & "means".'}
    assert found.caption == 'Points < 90 & "means".'
    light, dark = (ET.tostring(svg_of(p["src"])).decode() for p in found.pictures)
    for ink in ("#222222", "#262626"):
        assert ink in light
        assert ink not in dark
    assert base64.b64decode(bundle["image/png"]) == render(figure, "png")
    assert bundle["text/plain"].startswith("<figure a/b: Points")


def test_shown_vectors_are_the_written_ones(figure: Figure) -> None:
    html = figures.save(figure, "a")._repr_mimebundle_()["text/html"]
    shown = svg_of(Found(html).pictures[0]["src"])
    written = ET.fromstring(render(figure, "svg"))

    def drawing(root: ET.Element) -> list[tuple[str, str]]:
        return [(e.tag, " ".join(e.get("d", "").split())) for e in root.iter()]

    assert drawing(shown) == drawing(written)


def test_without_a_caption_titles_and_labels_say_what_it_is(figure: Figure) -> None:
    saved = figures.save(figure, "a")
    assert saved.alt == "test accuracy (%)"
    assert "figcaption" not in saved._repr_mimebundle_()["text/html"]


def test_ipython_shows_html_and_png(figure: Figure) -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    data, _ = formatters.DisplayFormatter().format(figures.save(figure, "a"))
    assert {"text/html", "image/png", "text/plain"} <= set(data)


def test_many_points_are_shown_as_pixels() -> None:
    figure, ax = plt.subplots()
    plt.close(figure)
    ax.plot(np.random.default_rng(0).normal(size=20_000), ".")
    assert len(render(figure, "svg")) > LARGEST_SVG
    html = figures.save(figure, "a")._repr_mimebundle_()["text/html"]
    pictures = [str(picture["src"]) for picture in Found(html).pictures]
    assert all(address.startswith("data:image/png;base64,") for address in pictures)
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize("kind", ["svg", "png"])
@pytest.mark.parametrize("dark", [False, True])
def test_the_same_bytes_again(figure: Figure, kind: str, dark: bool) -> None:
    first = render(figure, kind, dark)
    render(figure, kind, not dark)
    assert render(figure, kind, dark) == first


def test_the_same_bytes_in_other_processes() -> None:
    said = [
        subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True, check=True,
                       env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert said[0] == said[1]
    assert len(set(said[0].split())) == 4


def test_no_date_and_no_version_is_in_a_file(figure: Figure) -> None:
    for kind in ("svg", "png"):
        made = render(figure, kind)
        assert not re.search(rb"20\d\d-\d\d-\d\d|[Mm]atplotlib v", made)
        assert b"Software" not in made


def test_shortened_paths_are_where_they_were(figure: Figure) -> None:
    import io

    whole = io.StringIO()
    figure.savefig(whole, format="svg", bbox_inches="tight")

    def points(svg: str) -> np.ndarray:
        paths = [element.get("d", "") for element in ET.fromstring(svg).iter()]
        return np.array([float(n) for d in paths for n in re.findall(r"-?\d+\.?\d*", d)])

    np.testing.assert_allclose(
        points(render(figure, "svg").decode()), points(whole.getvalue()), atol=0.0101
    )


def test_both_files_are_written_only_on_request(
    figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASGML_FIGURES", raising=False)
    saved = figures.save(figure, "a/b")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("ASGML_FIGURES", str(tmp_path / "figures"))
    figures.save(figure, "a/b")
    svg, png = (tmp_path / "figures" / "a" / f"b.{kind}" for kind in ("svg", "png"))
    assert png.read_bytes().startswith(b"\x89PNG")
    assert png.read_bytes() == base64.b64decode(saved._repr_mimebundle_()["image/png"])
    assert ET.parse(svg).getroot().tag.endswith("svg")
