"""``asgml data``: what it prints, what it refuses, and that its options are the functions' own."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asgml_core import cli_data, records, study
from asgml_core.cli import main
from asgml_core.datasets import Cache
from asgml_core.preparing import PREPARERS, preparer
from asgml_core.profiles import profile

SAMPLE = "data/cremad_sample"


@pytest.fixture
def source(shared: Callable[[str], Path], tmp_path: Path) -> Path:
    """Copy the six real clips that have film and sound, and write a split of them by hand."""
    folder = tmp_path / "CREMA-D"
    for name in ("VideoFlash", "AudioWAV"):
        (folder / name).mkdir(parents=True)
        for file in shared(f"{SAMPLE}/{name}").glob("1001_*"):
            shutil.copy(file, folder / name)
    shutil.copy(shared(f"{SAMPLE}/VideoDemographics.csv"), folder)
    clips = sorted(file.stem for file in (folder / "VideoFlash").iterdir())
    for part, chosen in (("train", clips[:4]), ("test", clips[4:])):
        lines = [f"{clip},{clip.split('_')[2]}\n" for clip in chosen]
        (folder / f"{part}.csv").write_text("".join(lines))
    return folder


def prepare(source: Path, cache: Path, *more: str) -> int:
    arguments = ["--source", str(source), "--out", str(cache), "--workers", "0", "--quiet"]
    return main(["data", "prepare", "cremad", *arguments, *more])


def test_the_options_are_those_of_the_functions() -> None:
    assert set(cli_data.DATASETS) == set(PREPARERS)
    for name, (_, options) in cli_data.DATASETS.items():
        parameters = list(inspect.signature(preparer(name)).parameters)
        assert parameters[0] == "source"
        assert sorted(options) == sorted(parameters[1:]), name


def test_help_names_every_option_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom asgml_core.cli import main\n"
        "try:\n    main(['data', 'prepare', 'cremad', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'av', 'soxr'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for option in cli_data.DATASETS["cremad"][1]:
        assert f"--{option}" in done.stdout


def test_from_the_download_to_a_record(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    assert prepare(source, cache, "--splits", str(source)) == 0
    printed = capsys.readouterr().out
    assert "6 of 6 items prepared" in printed
    assert "split own: test 2, train 4 (from files)" in printed
    assert main(["data", "verify", str(cache), "--source", str(source), "--quiet"]) == 0
    assert "is whole: 6 of 6 items of cremad" in capsys.readouterr().out
    assert main(["data", "show", str(cache)]) == 0
    assert (cache / "sheet.png").read_bytes().startswith(b"\x89PNG")
    run = ["run", "baseline", "--dataset", "cremad", "--data", str(cache), "--epochs", "1"]
    more = ["--protocol", "paper", "--option", "split", "own", "--option", "size", "64"]
    assert main([*run, *more, "--outputs", str(tmp_path / "out")]) == 0
    record = records.RunRecord.load(tmp_path / "out" / "sweep" / "baseline_seed42")
    said = record.values["data"]
    assert said["split"]["name"] == "own"
    assert said["missing"]["items"] == 0
    assert said["cache"]["fingerprint"] == Cache.open(cache).manifest["fingerprint"]


def test_missing_clips_refuse_to_train_unless_allowed(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out"
    damaged = source / "AudioWAV" / "1001_DFA_DIS_XX.wav"
    damaged.write_bytes(damaged.read_bytes()[:30_000])
    assert prepare(source, cache, "--splits", str(source)) == 0
    assert "5 of 6 items prepared" in capsys.readouterr().out
    assert "cut short" in (cache / "report.csv").read_text()
    run = ["run", "baseline", "--dataset", "cremad", "--data", str(cache), "--epochs", "1"]
    run += ["--protocol", "paper", "--option", "split", "own", "--option", "size", "64"]
    run += ["--outputs", str(out)]
    assert main(run) == 1
    said = capsys.readouterr().err
    assert "1 of the 6 items of split 'own' are missing, '1001_DFA_DIS_XX' first" in said
    assert "--allow-missing" in said
    assert main([*run, "--allow-missing"]) == 0
    assert "made without 1 items that were not prepared (1 of train)" in capsys.readouterr().out
    record = records.RunRecord.load(out / "sweep" / "baseline_seed42")
    assert record.values["data"]["missing"]["first"] == ["1001_DFA_DIS_XX"]
    assert record.values["config"]["data"]["options"]["allow_missing"] is True


def test_verify_names_what_has_changed(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    prepare(source, cache)
    with (cache / "audio.npy").open("r+b") as file:
        file.seek(-10, 2)
        file.write(b"\x01")
    (source / "VideoFlash" / "1001_DFA_ANG_XX.flv").write_bytes(b"other")
    (source / "AudioWAV" / "1001_DFA_HAP_XX.wav").unlink()
    manifest = json.loads((cache / "manifest.json").read_text())
    manifest["splits"]["speakers_0"]["sha256"] = "0"
    (cache / "manifest.json").write_text(json.dumps(manifest))
    capsys.readouterr()
    assert main(["data", "verify", str(cache), "--source", str(source), "--quiet"]) == 1
    told = capsys.readouterr()
    assert "1001_DFA_SAD_XX: its row 5 of audio.npy is not what was written." in told.out
    assert "VideoFlash/1001_DFA_ANG_XX.flv has changed" in told.out
    assert "AudioWAV/1001_DFA_HAP_XX.wav is no longer in" in told.out
    assert "speakers_0.csv is not the split" in told.out
    assert "4 findings" in told.err


def test_verify_reads_the_table_too(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    prepare(source, cache)
    table = cache / "items.csv"
    table.write_text(table.read_text().replace("1001_DFA_HAP_XX,HAP", "1001_DFA_HAP_XX,SAD"))
    assert main(["data", "verify", str(cache), "--quiet"]) == 1
    assert "items.csv is not the table" in capsys.readouterr().out


def test_the_sheet_takes_one_clip_of_each_class_in_turn(source: Path, tmp_path: Path) -> None:
    from asgml_core.figures import contact_sheet

    prepare(source, tmp_path / "cache", "--frames", "3", "--choose", "even")
    cache = Cache.open(tmp_path / "cache")
    figure = contact_sheet(cache, items=4)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == [f"1001_DFA_{name}_XX\n{name}" for name in cache.classes[:4]]
    drawn = figure.axes[0].get_images()[0].get_array()
    first = np.asarray(cache.array("visual")[cache.rows["1001_DFA_NEU_XX"]])
    assert np.array_equal(np.asarray(drawn), np.concatenate(list(first), axis=1))


def test_the_reproduction_reads_probes_at_the_study_s_batches() -> None:
    paper = profile("cremad", protocol="paper")
    times = {name: study.config(name, paper).methods[1].options for name in ("boost_default",
             "early_adaptive_dual", "early_freq_fixed2", "ogmge")}  # fmt: skip
    assert times["boost_default"]["eval_every"] == 20
    assert times["early_adaptive_dual"]["eval_every"] == 100
    assert "eval_every" not in times["early_freq_fixed2"]
    assert "eval_every" not in times["ogmge"]
    for other in (profile("cremad"), profile("cremad", protocol="paper",
                  options={"split": "speakers_0"})):  # fmt: skip
        assert "eval_every" not in study.config("boost_default", other).methods[1].options


def test_a_cache_of_nothing_is_an_error(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (source / "VideoFlash").iterdir():
        file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert prepare(source, tmp_path / "cache") == 1
    assert "none of the 6 items could be prepared" in capsys.readouterr().err
