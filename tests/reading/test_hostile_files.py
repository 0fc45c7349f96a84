"""Harmed files of every kind: read, or refused in one sentence; nothing is run and nothing written.

``benchmarks/fuzz.py`` draws more of the same; a seed that fails here fails there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import kinds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)


def checked(name: str, seed: int, folder: Path) -> None:
    wrong = {
        door: outcome.wrong
        for door, outcome in kinds.example(name, seed, folder).items()
        if outcome.wrong
    }
    assert not wrong, f"{name}, seed {seed}: {wrong}"


def run_examples(name: str, count: int, folder: Path) -> None:
    @settings(max_examples=count)
    @given(seed=SEEDS)
    def check(seed: int) -> None:
        checked(name, seed, folder)

    check()


@pytest.mark.parametrize("name", kinds.KINDS)
def test_a_harmed_file_is_read_or_refused(name: str, examples: Path) -> None:
    run_examples(name, 60, examples)


@pytest.mark.slow
@pytest.mark.parametrize("name", kinds.KINDS)
def test_many_harmed_files_are_read_or_refused(name: str, examples: Path) -> None:
    run_examples(name, 600, examples)


#: What was found once, by kind: each of these ended in another way than in one sentence.
FOUND = {
    "config": (0, 34, 43, 154),
    "cache": (270,),
    "own archive": (78,),
    "own arrays": (4, 1685),
    "checkpoint": (41, 170),
    "record": (6, 194, 916),
    "table": (351,),
}


@pytest.mark.parametrize(("name", "seed"), [(n, s) for n in FOUND for s in FOUND[n]])
def test_what_was_found_once_stays_mended(name: str, seed: int, examples: Path) -> None:
    checked(name, seed, examples)


@pytest.mark.parametrize("name", kinds.KINDS)
def test_what_is_whole_is_read(name: str, tmp_path: Path) -> None:
    place = tmp_path / "whole"
    if name != "cache":
        place.mkdir()
    kinds.KINDS[name].make(place)
    (place / "example").write_text("0")
    for door, read in kinds.KINDS[name].doors.items():
        if name != "config":  # its door harms what it reads
            with kinds.watched(place) as watch:
                read(place)
            assert not watch.wrong, door


WRITES: dict[str, Callable[[Path], object]] = {
    "open": lambda path: path.write_text("x"),
    "mkdir": lambda path: path.mkdir(),
    "rename": lambda path: (path.parent / "inside" / "a").rename(path),
    "run": lambda path: __import__("subprocess").run(["true"], check=True),
    "code": lambda path: exec("1 + 1"),
}


@pytest.mark.parametrize("name", WRITES)
def test_the_watch_sees_what_it_is_for(name: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a").touch()
    with kinds.watched(inside) as watch:
        (inside / "b").write_text("allowed")
        WRITES[name](tmp_path / "outside")
    assert watch.wrong
