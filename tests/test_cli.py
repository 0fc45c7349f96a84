"""The command line: what it prints, how it fails, and what it does not import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from asgml_core import RunRecord
from asgml_core.cli import main


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys\nfrom asgml_core.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("runs", "run", "show", "data", "notebook", "notebooks", "book"):
        assert re.search(rf"^ +{command}\b", done.stdout, re.MULTILINE)


def test_importing_the_library_pulls_in_torch_and_numpy_only() -> None:
    code = (
        "import sys, asgml_core\n"
        "assert 'torch' not in sys.modules\n"
        "asgml_core.Boost, asgml_core.run, asgml_core.study\n"
        "heavy = {'pandas', 'matplotlib', 'tensorboard', 'papermill'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_runs_lists_published_numbers_and_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 97
    assert main(["runs", "--group", "v2_boost"]) == 0
    listed = capsys.readouterr().out
    assert len(listed.splitlines()) == 9
    assert "boost_ogm_a075" in listed
    assert "62.50" in listed


def test_run_then_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "ogmge", "--seed", "1", "--epochs", "2", "--outputs", str(tmp_path)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "validation" in printed
    assert "best_on_test" in printed
    assert re.search(r"unimodal_losses acted on (\d+) of \1 steps\n", printed)
    assert re.search(r"ogm_ge acted on \d+ of \d+ steps\n", printed)
    assert re.search(r"visual: gradients changed on \d+ % of the steps, weights moved \d", printed)
    assert main(["show", str(tmp_path / "sweep" / "ogmge_seed1")]) == 0
    assert capsys.readouterr().out == printed
    assert "encoders computed in" not in printed


def test_another_precision_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "audio_only", "--epochs", "1", "--outputs", str(tmp_path)]
    assert main([*arguments, "--precision", "bf16", "--fast"]) == 0
    record = RunRecord.load(tmp_path / "sweep" / "audio_only_seed42")
    assert record.values["config"]["deterministic"] is False
    assert "encoders computed in bf16, executed as eager" in capsys.readouterr().out
    assert main([*arguments, "--execution", "graphs", "--again"]) == 1
    assert "CUDA graphs need a GPU" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "boost_defualt"], "Did you mean 'boost_default'"),
        (["run", "baseline", "--dataset", "grid", "--data", "gone.npz"], "gone.npz: no such file"),
        (["run", "baseline", "--profile", "paper"], "profile of 'synth' is 'paper'"),
        (["run", "p1_prob"], "Did you mean 'p1_probe'"),
        (["show", "nowhere"], "the run is not finished"),
        (["runs", "--group", "v3"], "group is 'v3'"),
        (["notebook", "99_none"], "99_none: no such notebook"),
    ],
)
def test_errors_are_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("asgml: ")
    assert "Traceback" not in error
