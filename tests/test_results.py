"""The tables of measured runs: what is written is what is read, and where it came from."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from asgml_core import results


def test_a_table_is_written_with_its_provenance_and_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "_config.yml").touch()
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"method": ["none", "ogm"], "n": [3, 4], "cost": [1 / 3, float("nan")]})
    came_from = {"command": "python a.py", "threads": 1}
    path = results.write("costs", table, came_from)
    assert path == tmp_path / "book" / "results" / "costs.csv"
    assert results.read("costs")["cost"][0] == 0.333333
    assert results.provenance("costs") == came_from
    rows = json.loads(path.with_suffix(".json").read_text())["rows"]
    assert rows == [
        {"method": "none", "n": 3, "cost": 0.333333},
        {"method": "ogm", "n": 4, "cost": None},
    ]


def test_a_trial_goes_elsewhere(tmp_path: Path) -> None:
    path = results.write("trial", pd.DataFrame({"n": [1]}), {}, tmp_path)
    assert path == tmp_path / "trial.csv"
    assert results.read("trial", tmp_path)["n"].tolist() == [1]
    with pytest.raises(FileNotFoundError, match=r"other\.csv: no such table; there are: trial\."):
        results.read("other", tmp_path)
