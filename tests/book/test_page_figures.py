"""The figures of the text pages: what they draw, and that the committed ones are theirs."""

from __future__ import annotations

import importlib
import math
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from asgml_core.figures import pages

ROOT = Path(__file__).parents[2]
CHAPTERS = (
    "add_a_method", "ave", "cremad", "data_overview", "grid", "kinetics_sounds", "methods", "mosei",
    "sweeps", "use_it",
)  # fmt: skip


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("page_figures")


def test_shares_of_classes_are_drawn_by_part() -> None:
    counts = pd.DataFrame({"train": [3, 1], "test": [2, 2]}, index=["cat", "dog"])
    (ax,) = pages.class_shares(counts).axes
    drawn = {line.get_label(): list(line.get_xdata()) for line in ax.lines[1:]}
    assert drawn == {"train": [75, 25], "test": [50, 50]}
    assert list(ax.lines[0].get_xdata()) == [50, 50]  # an equal share
    assert [text.get_text() for text in ax.get_yticklabels()] == ["cat", "dog"]
    tops = [line.get_ydata()[0] > line.get_ydata()[1] for line in ax.lines[1:]]
    assert tops == [True, True]  # the first class is at the top


def test_bars_of_shares_are_100_per_cent_long() -> None:
    counts = pd.DataFrame([[1, 2, 1], [3, 0, 1]], index=["a", "b"], columns=["-", "0", "+"])
    (ax,) = pages.stacked_shares(counts).axes
    widths = np.array([bar.get_width() for bar in ax.patches]).reshape(3, 2)
    assert widths.T.tolist() == [[25, 50, 25], [75, 0, 25]]
    assert max(bar.get_x() + bar.get_width() for bar in ax.patches) == 100
    assert [text.get_text() for text in ax.texts] == ["25", "75", "50", "0", "25", "25"]


def test_formulas_are_drawn_as_the_page_writes_them() -> None:
    left, right = pages.scale_formulas((0.2, 0.5, 0.8)).axes
    for below, above, alpha in zip(left.lines[::2], left.lines[1::2], (0.2, 0.5, 0.8), strict=True):
        assert set(below.get_ydata()) == {1.0}
        expected = [1 - math.tanh(alpha * ratio) for ratio in above.get_xdata()]
        assert above.get_ydata() == pytest.approx(expected, abs=1e-6)
    scales = {line.get_label(): line for line in right.lines if line.get_label()[0] != "_"}
    for name, at in {"boost": lambda d: 1.5 - 0.5 * d, "throttle": lambda d: 1 - 0.5 * d}.items():
        line = scales[name]
        assert line.get_ydata() == pytest.approx([at(d) for d in line.get_xdata()], abs=1e-6)


def test_scaled_norms_go_from_what_they_were_to_what_the_scales_make_of_them() -> None:
    (ax,) = pages.scaled_norms((1.0, 3.0), lambda norms, s: 1 + s * (2 / norms - 1)).axes
    ends = [(line.get_ydata()[0], line.get_ydata()[-1]) for line in ax.lines]
    assert np.array(ends) == pytest.approx(np.array([(1, 2), (3, 2)]))


def test_the_table_of_sentiments_adds_up_to_the_parts(script: ModuleType) -> None:
    page = (ROOT / "book" / "mosei.md").read_text("utf-8")
    found = script.sentiments(page).sum(axis=1)
    for name, *sizes in re.findall(
        r"^\| (MOSE?I) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", page, re.M
    ):
        for part, size in zip(("train", "valid", "test"), sizes, strict=True):
            assert found[f"{name}, {part}"] == int(size.replace(",", ""))
    assert len(found) == 6


def test_the_committed_figures_are_what_is_drawn(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asgml_core import figures

    monkeypatch.setenv("ASGML_FIGURES", str(tmp_path))
    for name, draw in script.DRAWN.items():
        figures.save(draw(), f"pages/{name}")
        new, old = (
            np.asarray(Image.open(folder / "pages" / f"{name}.png").convert("L"), dtype=float)
            for folder in (tmp_path, ROOT / "figures")
        )
        assert new.shape == old.shape, name
        assert np.abs(new - old).mean() < 1, f"{name}: draw it anew by benchmarks/page_figures.py"


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_asks_shows_and_says_what_it_does_not_show(name: str) -> None:
    text = (ROOT / "book" / f"{name}.md").read_text("utf-8")
    assert re.match(r"# .+\n\n\*\*Question\.\*\* ", text)
    assert "\n## What this shows, and what it does not\n" in text
    exercise, answer = text.find("{admonition} Exercise"), text.find("{admonition} Answer")
    assert 0 < exercise < answer
    figures = re.findall(r"^`{3,}\{figure\} (\S+)\n(.*?)^`{3,}$", text, re.DOTALL | re.MULTILINE)
    assert figures
    for path, rest in figures:
        assert (ROOT / "book" / path).is_file()
        alt, empty, caption = rest.partition("\n\n")
        assert re.fullmatch(r":alt: .{40,}", alt), path
        assert empty, path
        assert len(caption) > 80, path
