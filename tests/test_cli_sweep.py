"""The commands around sweeps, as a person uses them: plan, run, status, report, clean."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
import yaml

from asgml_core import RunRecord, grids, profile, results
from asgml_core.claims import STATE, claim
from asgml_core.cli import _parser, main
from asgml_core.tasks import Kind

SWEEP_HELP = {
    option
    for command in ("sweep", "status", "report", "clean")
    for action in _parser()._subparsers._group_actions[0].choices[command]._actions
    for option in action.option_strings
}
SMALL = ["--epochs", "2", "--option", "train", "96", "--option", "test", "48"]


def sweep(outputs: Path, *arguments: str) -> int:
    return main(["sweep", *arguments, *SMALL, "--outputs", str(outputs)])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of four runs."""
    folder = tmp_path_factory.mktemp("sweep")
    assert sweep(folder, "mine", "--runs", "baseline,joint_only", "--seeds", "0-1", "--workers",
                 "2") == 0  # fmt: skip
    return folder


def test_a_plan_shows_what_is_left_and_begins_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(tmp_path, "multi_seed", "--plan", "--workers", "2") == 0
    printed = capsys.readouterr().out
    assert "multi_seed: 45 runs" in printed
    assert re.search(r"planned +45", printed)
    assert re.search(r"left: 45, about \d+ (s|min) and [\d.]+ MB of disk \(from a trial", printed)
    assert list(tmp_path.iterdir()) == []
    assert sweep(tmp_path, "--runs", "baseline", "--seeds", "0-4", "--plan") == 0
    assert re.search(r"planned +5 ", capsys.readouterr().out)


def test_a_finished_sweep_is_not_repeated(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = outputs / "sweep" / "baseline_seed0" / "record.json"
    before = record.read_bytes()
    arguments = ("mine", "--runs", "baseline,joint_only", "--seeds", "0-1")
    assert sweep(outputs, *arguments) == 0
    printed = capsys.readouterr().out
    assert re.search(r"done +4", printed)
    assert "nothing is left to do" in printed
    assert record.read_bytes() == before
    # Two more seeds: only they are left, and the finished ones say how long they take.
    assert sweep(outputs, *arguments[:3], "--seeds", "0-3", "--plan") == 0
    printed = capsys.readouterr().out
    assert re.search(r"done +4", printed)
    assert re.search(r"left: 4, about .* \(from 4 finished like them;", printed)


def test_status_names_runs_and_does_not_load_torch(outputs: Path) -> None:
    code = (
        "import sys\nfrom asgml_core.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "sys.exit('imported torch' if 'torch' in sys.modules else status)"
    )
    for command in ("status", "report"):
        done = subprocess.run(
            [sys.executable, "-c", code, command, "mine", "--outputs", str(outputs)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    with claim(outputs / "sweep" / "baseline_seed0" / STATE):
        pass  # looking at it, or holding it for a moment, changes nothing
    assert "mine_results.md" in done.stdout


def test_the_report_is_what_the_records_say(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "mine", "--outputs", str(outputs)]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page == outputs / "sweep" / "mine_results.md"
    text = page.read_text()
    records = [
        RunRecord.load(outputs / "sweep" / f"{name}_seed{seed}")
        for seed in (0, 1)
        for name in ("baseline", "joint_only")
    ]
    table = results.read("mine_results", outputs / "sweep")
    assert sorted(zip(table["run"], table["seed"], strict=True)) == sorted(
        (record.run_id, record.seed) for record in records
    )
    for record in records:
        row = table[(table["run"] == record.run_id) & (table["seed"] == record.seed)].iloc[0]
        for selection in ("validation", "last", "best_on_test"):
            assert row[selection] == pytest.approx(100 * record.accuracy(selection), rel=1e-5)
    chosen = pd.Series([100 * r.accuracy() for r in records if r.run_id == "baseline"])
    assert f"| baseline | 2 | {chosen.mean():.2f} ± {chosen.sem():.2f} |" in text
    assert f"| {chosen.std():.2f} | " in text
    said = json.loads((outputs / "sweep" / "mine_results.json").read_text())
    assert said["command"] == "asgml report mine"
    assert said["runs"] == 4


def test_single_runs_are_shown_too(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "ogm", *SMALL, "--outputs", str(outputs)]) == 0
    capsys.readouterr()
    assert main(["status", "--outputs", str(outputs)]) == 0
    printed = capsys.readouterr().out
    assert "mine: 4 runs" in printed
    assert re.search(r"\(single runs\): 1 runs.*\n +done +1", printed)


def test_a_diverging_run_is_a_result_and_not_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = tmp_path / "wild.yaml"
    grid.write_text(
        "runs: [baseline]\nseeds: [0]\n"
        "change: {train.epochs: 1, data.train: 96, data.test: 48}\n"
        "grid: {train.weight_decay: [0.0001, 1.0e+30]}\n"
    )
    arguments = ["sweep", "--grid", str(grid), "--workers", "1", "--outputs", str(tmp_path / "o")]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert re.search(r"diverged +1", printed)
    said = r"diverged: baseline-weight_decay_1e\S+, epoch 1 of 1, step \d+, loss/\w+ is"
    assert re.search(said, printed)
    assert main(arguments) == 0
    assert "nothing is left to do" in capsys.readouterr().out
    assert main(["report", "--outputs", str(tmp_path / "o")]) == 0
    page = (tmp_path / "o" / "sweep" / "wild_results.md").read_text()
    assert "| diverged |" in page


def test_clean_asks_first(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = sorted(outputs.glob("sweep/*/checkpoint.pt"))
    assert len(checkpoints) >= 4
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["clean", "--outputs", str(outputs)]) == 1
    captured = capsys.readouterr()
    assert "nothing was removed" in captured.err
    assert "checkpoint of a finished run" in captured.out
    assert sorted(outputs.glob("sweep/*/checkpoint.pt")) == checkpoints
    monkeypatch.setattr("builtins.input", lambda _: "y")
    with claim(checkpoints[0].parent / STATE):
        assert main(["clean", "--outputs", str(outputs)]) == 0
    assert "1 were left, since a process is at work" in capsys.readouterr().out
    assert sorted(outputs.glob("sweep/*/checkpoint.pt")) == checkpoints[:1]
    for name in ("baseline_seed0", "joint_only_seed1"):
        assert RunRecord.load(outputs / "sweep" / name).accuracy() is not None


def test_clean_removes_runs_of_a_sweep_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        run = {"one": "baseline", "two": "joint_only"}[name]
        assert sweep(tmp_path, name, "--runs", run, "--seeds", "0", "--workers", "1") == 0
    assert main(["clean", "one", "--what", "all", "--yes", "--outputs", str(tmp_path)]) == 0
    assert sorted(p.name for p in (tmp_path / "sweep").iterdir()) == ["joint_only_seed0"]
    capsys.readouterr()
    assert main(["status", "one", "--outputs", str(tmp_path)]) == 0
    assert re.search(r"planned +1", capsys.readouterr().out)


def test_what_the_page_shows_can_be_given(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "book" / "sweeps.md").read_text(encoding="utf-8")
    lines = [
        line
        for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(lines) >= 5
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "asgml"
        assert callable(_parser().parse_args(arguments).call)
    for option in re.findall(r"`(--[a-z-]+)", text):
        assert option in SWEEP_HELP, option
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    grid = grids.grid_of(yaml.safe_load(block), "page")
    found = grid.configs(lambda seed: profile("synth", seed=seed))
    assert len(found) == 5 * (2 + 4)  # as the page says
    kinds = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(kinds) == sorted(get_args(Kind))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep"], "a sweep needs a group of the study such as multi_seed, --runs or --grid"),
        (["sweep", "multi"], "is 'multi', but must be one of"),
        (["sweep", "early", "--group", "early"], "by one of them"),
        (["sweep", "early", "--seeds", "5-1"], "must go upwards"),
        (["sweep", "early", "--workers", "0"], "workers is 0"),
        (["sweep", "early", "--engine", "cloud"], "engine is 'cloud'"),
        (["sweep", "early", "--no-wait"], "so it must wait for them"),
        (["sweep", "--grid", "gone.yaml"], "gone.yaml"),
        (["status", "--outputs", "gone"], "gone has no sweep; 'asgml sweep' makes one"),
        (["report", "x", "--outputs", "gone"], "gone has no sweep 'x'"),
    ],
)
def test_errors_are_one_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASGML_OUTPUTS", str(tmp_path / "outputs"))
    assert main([*arguments, *(["--epochs", "1"] if arguments[0] == "sweep" else [])]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
