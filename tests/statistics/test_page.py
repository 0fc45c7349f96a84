"""The page on statistics: its code runs, and its sentences give the numbers that come out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asgml_core import statistics

PAGE = (Path(__file__).parents[2] / "book" / "statistics.md").read_text()


@pytest.fixture(scope="module")
def found() -> dict:
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)  # as a reader does, one block after the other
    return names


def test_its_numbers_come_out(found: dict) -> None:
    two, text = found["contrasts"], " ".join(PAGE.split())
    first, second = two.iloc[0], two.iloc[1]
    ratio, normal = found["ratio"], found["normal"]
    for said in (
        f"{first['difference']:.2f} points with an interval from {first['low']:.2f} to "
        f"{first['high']:.2f}",
        f"p is {first['p']:.4f}".replace("0.", "."),
        f"and {first['p_holm']:.3f} after Holm".replace("0.", "."),
        f"The second is {second['difference']:.2f} points",
        f"from {second['low']:.2f} to {second['high']:.2f}, has 0".replace("-0.", "-."),
        f"In this sample {ratio.estimate:.2f} times",
        f"{ratio.low:.2f} to {ratio.high:.1f} by the bootstrap".replace("0.", ".", 1),
        f"{normal.low:.2f} to {normal.high:.2f} for normal".replace("0.", ".", 1),
        f"p is {found['spread'].p:.2f}. Five".replace("0.", ".", 1),
        f"{found['seeds']} seeds. Five find one point in {100 * found['chance']:.0f} % of studies",
        f"and {found['found']:.1f} points in 80 %",
    ):
        assert said in text
    assert second["std"] > 2 * first["std"]
    assert second["bca_low"] > 0 > second["low"]


def test_it_names_every_function() -> None:
    functions = {name for name in statistics.__all__ if name[0].islower()}
    assert {name for name in functions if f"`{name}`" not in PAGE} == {"summarise"}
    assert "statistics.summarise(" in PAGE


def test_what_it_cites_is_in_the_bibliography() -> None:
    entries = (Path(__file__).parents[2] / "book" / "references.bib").read_text()
    cited = re.findall(r"\{cite:t\}`(\w+)`", PAGE)
    assert len(cited) == 11
    for key in cited:
        assert entries.count(f"{{{key},") == 1, key
