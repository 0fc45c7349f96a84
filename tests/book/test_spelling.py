"""The words of the README, the pages and the docstrings: no known misspelling, and British."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from asgml_core.book.pages import listed, prose

ROOT = Path(__file__).parents[2]
TEXTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *listed(ROOT / "book")]
MODULES = sorted(
    path for folder in ("asgml_core", "examples") for path in (ROOT / folder).rglob("*.py")
)
#: American in codespell's list, and British too in another sense, or the name of a thing: PyTorch's
#: optimizer, the study's utilization gap, OGM-GE's generalization enhancement, Lightning's manual
#: optimization.
BOTH = {
    "check", "checks", "license", "licensed", "meter", "practice", "program", "programs", "story",
    "tire", "gray", "disk", "disks", "optimizer", "optimizers", "utilization",
    "generalization", "math", "optimization",
}  # fmt: skip


def american() -> dict[str, str]:
    """Return American spellings with their British ones, from codespell's table of the opposite."""
    name = "dictionary_en-GB_to_en-US.txt"
    table = resources.files("codespell_lib").joinpath("data", name).read_text(encoding="utf-8")
    pairs = (line.split("->") for line in table.splitlines() if "->" in line)
    return {
        us.strip().strip(","): british
        for british, several in pairs
        for us in several.split(", ")
        if us.strip().strip(",") not in BOTH
    }


def words_of(text: str) -> Iterator[str]:
    """Give the words of prose: no code, no links, no directives' options."""
    for pattern in (r"```.*?```", r"`[^`]*`", r"\$[^$]*\$", r"\]\([^)]*\)", r"^:[\w-]+:.*$"):
        text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
    for word in re.findall(r"(?<![\w.])[A-Za-z]+(?!\w|\.\w)", text):
        yield word.lower()


def docstrings(module: Path) -> str:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    return "\n\n".join(re.sub(r"^ +.*::$|``.*?``", " ", text, flags=re.DOTALL) for text in found)


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_pages_are_in_british_english(page: Path) -> None:
    table = american()
    said = {word for text in prose(page) for word in words_of(text)}
    assert {word: table[word] for word in said & set(table)} == {}


def test_docstrings_are_in_british_english() -> None:
    table = american()
    for module in MODULES:
        said = set(words_of(docstrings(module)))
        assert {word: table[word] for word in said & set(table)} == {}, module.name


def test_the_table_knows_what_it_should() -> None:
    table = american()
    for us, british in {"color": "colour", "behavior": "behaviour", "center": "centre"}.items():
        assert table[us] == british
    text = "The color of `color` and ```\ncolor\n``` in $color$.\n:color: red\n"
    assert list(words_of(text)).count("color") == 1


def test_no_known_misspelling() -> None:
    """Comments and names count too; what is right here is listed in pyproject.toml."""
    texts = [*map(str, TEXTS), *map(str, MODULES)]
    texts = [text for text in texts if not text.endswith(".ipynb")]
    texts += map(str, sorted((ROOT / "book" / "scripts").glob("*.py")))
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml"), *texts],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == ""
    assert done.returncode == 0, done.stderr
