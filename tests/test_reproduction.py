"""Running a committed table again: the same bits, and what is said of other ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from asgml_core import many_seeds, reproduction, results
from asgml_core.cli import main
from asgml_core.reproduction import ReproductionError

PLAN = many_seeds.Plan(
    name="many_seeds_tiny", dataset="synth", profile="smoke", seeds=(0, 1), runs=("baseline", "ogm")
)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan of four runs of a second each, and a folder of tables of its own."""
    monkeypatch.setitem(many_seeds.PLANS, PLAN.name, PLAN)
    monkeypatch.setattr(results, "folder", lambda: tmp_path)
    return tmp_path


def reproduce(*more: str, outputs: Path) -> int:
    return main(["reproduce", PLAN.name, "--outputs", str(outputs), "--workers", "1", *more])


def test_a_table_written_is_reproduced_elsewhere_to_the_bit(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce("--write", outputs=tiny / "first") == 0
    assert {path.name for path in tiny.glob("*.csv")} == {
        f"{PLAN.name}{end}.csv" for end in ("", "_tested", "_right", "_curves", "_dynamics")
    }
    assert reproduce("--share", "0.5", "--draw", "7", outputs=tiny / "second") == 0
    assert "all 2 runs have the committed results, to the last bit." in capsys.readouterr().out
    assert len(list((tiny / "second" / "sweep").glob("*/record.json"))) == 2

    path = tiny / f"{PLAN.name}.csv"
    table = pd.read_csv(path)
    table["digest"] = "0" * 16
    table.to_csv(path, index=False)
    assert reproduce(outputs=tiny / "first") == 0  # other bits, the same accuracies
    assert "no run has the committed bits" in capsys.readouterr().out
    table["validation"] -= 0.5
    table.to_csv(path, index=False)
    assert reproduce(outputs=tiny / "first") == 1
    assert "these are other results" in capsys.readouterr().err


def compared(differences: dict[str, list[float]], same: int = 0) -> pd.DataFrame:
    rows = [(run, seed, d) for run, each in differences.items() for seed, d in enumerate(each)]
    table = pd.DataFrame(rows, columns=["run", "seed", "difference"])
    return table.assign(same_bits=[i < same for i in range(len(table))])


def committed(*spreads: float) -> pd.DataFrame:
    """Return a table in which each run has one of these sample deviations."""
    rows = [
        (f"run {i}", 0.9 + sign * spread) for i, spread in enumerate(spreads) for sign in (-1, 0, 1)
    ]
    return pd.DataFrame(rows, columns=["run", "validation"])


def test_the_tolerance_is_that_of_as_many_other_seeds() -> None:
    pooled = ((0.01**2 + 0.03**2) / 2) ** 0.5
    assert reproduction.tolerance(8, committed(0.01, 0.03)) == pytest.approx(3 * pooled / 2)
    said = reproduction.check(compared({"a": [0.02, -0.02], "b": [0.02, 0.0]}), committed(0.02))
    assert "4 runs differ by 2.00 points at most and +0.50 on average" in said
    with pytest.raises(ReproductionError, match=r"all runs: 4 differ by \+5\.00 points"):
        reproduction.check(compared({"a": [0.05] * 4}), committed(0.02))
    with pytest.raises(ReproductionError, match="one seed a run"):
        reproduction.check(compared({"a": [0.5]}), committed(0.02).iloc[:1])


def test_one_method_that_differs_is_found_among_many() -> None:
    others = {f"run {i}": [0.0] * 4 for i in range(10)}
    with pytest.raises(ReproductionError, match=r"runs 'odd': 4 differ by \+6\.00 points"):
        reproduction.check(compared(others | {"odd": [0.06] * 4}), committed(0.02))
    opposite = {"up": [0.1] * 4, "down": [-0.1] * 4}
    with pytest.raises(ReproductionError, match=r"runs 'up': 4 differ by \+10\.00"):
        reproduction.check(compared(opposite), committed(0.02))


def test_other_bits_among_equal_ones_are_not_the_machines() -> None:
    with pytest.raises(ReproductionError, match=r"3 of 4 .* but 1 have not, a of seed 3 first"):
        reproduction.check(compared({"a": [0.0, 0.0, 0.0, 0.0025]}, same=3), committed(0.02))
    assert "to the last bit" in reproduction.check(compared({"a": [0.0]}, same=1), committed(0.02))


def test_a_share_is_a_draw_without_repetition() -> None:
    configs = PLAN.configs()
    folders = [config.folder for config in configs]
    seen = set()
    for draw in range(20):
        chosen = [config.folder for config in reproduction.share_of(configs, 0.5, draw)]
        assert chosen == [name for name in folders if name in chosen]
        assert len(chosen) == 2
        seen |= set(chosen)
    assert seen == set(folders)
    assert len(reproduction.share_of(configs, 0.3, 0)) == 2  # never less than was asked for
    for share in (1.5, 0.0):
        with pytest.raises(ValueError, match=f"share is {share}"):
            reproduction.share_of(configs, share, 0)
    with pytest.raises(ValueError, match="nothing to be run"):
        reproduction.share_of([], 1.0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["many_seed_grid"], "plan is 'many_seed_grid'.*Did you mean 'many_seeds_grid'"),
        (["many_seeds_grid", "--write", "--share", "0.5"], "--write needs all runs"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert main(["reproduce", *arguments]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_runs_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "many_seeds_synth", "--list", "--share", "0.25"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 25
    assert all(line.rpartition("_seed")[0] in many_seeds.FIVE for line in lines)
