"""A run that is killed, wherever, ends with the same bits as one that is not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_run import assert_same_results
from tiny_data import write_tiny

from asgml_core import RunConfig, checkpoint, run, study
from asgml_core.checkpoint import CheckpointError
from asgml_core.claims import STATE, read_state
from asgml_core.files import WriteError
from asgml_core.runs import RunError

SCRIPT = """
import json, sys
from asgml_core import RunConfig, run
run(RunConfig.from_dict(json.loads(sys.argv[1])), sys.argv[2], progress=False, checkpoint_seconds=0)
"""


class Stop(Exception):
    """Stands for whatever ends a process between two epochs."""


def stop_after(epoch: int):
    def tell(done: int, epochs: int, row: dict[str, float]) -> None:
        if done == epoch:
            raise Stop

    return tell


@pytest.mark.parametrize("epoch", [1, 2, 3, 4])  # 4: trained, and not yet recorded
def test_resuming_at_any_epoch_ends_with_the_same_bits(
    boosted: RunConfig, tmp_path: Path, epoch: int
) -> None:
    whole = run(boosted, tmp_path / "whole", progress=False)
    with pytest.raises(Stop):
        run(boosted, tmp_path / "resumed", progress=stop_after(epoch), checkpoint_seconds=0)
    assert not (tmp_path / "resumed" / "sweep" / boosted.folder / "record.json").exists()
    assert_same_results(whole, run(boosted, tmp_path / "resumed", progress=False))


def test_a_run_killed_again_and_again_ends_with_the_same_bits(
    boosted: RunConfig, tmp_path: Path
) -> None:
    """SIGKILL at moments drawn from a fixed seed, until the run gets through."""
    import json

    config = study.config("boost_noise", boosted.replace(train={"epochs": 12}))
    whole = run(config, tmp_path / "whole", progress=False)
    command = [sys.executable, "-c", SCRIPT, json.dumps(config.to_dict()), str(tmp_path / "killed")]
    draw = random.Random(0)
    folder = tmp_path / "killed" / "sweep" / config.folder
    kills = 0
    for _ in range(6):
        process = subprocess.Popen(command)
        while process.poll() is None and not folder.is_dir():
            time.sleep(0.01)
        time.sleep(draw.uniform(0.05, 0.6))  # from the first epoch on, anywhere
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    resumed = run(config, tmp_path / "killed", progress=False)
    assert_same_results(whole, resumed)
    assert not list(folder.glob(".*.tmp"))  # what a kill left behind is cleared away


def test_a_truncated_checkpoint_is_named(boosted: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(boosted, tmp_path, progress=stop_after(2), checkpoint_seconds=0)
    file = tmp_path / "sweep" / boosted.folder / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt is damaged.* remove it"):
        run(boosted, tmp_path, progress=False)


def test_no_flipped_bit_goes_unnoticed(boosted: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(boosted, tmp_path, progress=stop_after(2), checkpoint_seconds=0)
    file = tmp_path / "sweep" / boosted.folder / "checkpoint.pt"
    whole, draw = file.read_bytes(), random.Random(0)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is damaged"):
            checkpoint.load(file)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "reached"),)

    checkpoint.save(tmp_path / "checkpoint.pt", {"trap": Hostile()})  # whole, and hostile
    with pytest.raises(CheckpointError, match="holds something else than plain values"):
        checkpoint.load(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "reached").exists()


def test_a_checkpoint_of_another_config_is_refused(boosted: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(boosted, tmp_path, progress=stop_after(1), checkpoint_seconds=0)
    longer = boosted.replace(train={"epochs": 5})
    with pytest.raises(RunError, match=r"train\.epochs 4 -> 5"):
        run(longer, tmp_path, progress=False)


def test_a_checkpoint_of_other_data_is_refused(boosted: RunConfig, tmp_path: Path) -> None:
    mine = write_tiny(tmp_path)
    config = boosted.replace(data={"options": {"path": str(mine)}})
    with pytest.raises(Stop):
        run(config, tmp_path, progress=stop_after(1), checkpoint_seconds=0)
    write_tiny(tmp_path, seed=1)
    with pytest.raises(RunError, match="unfinished run made with other data"):
        run(config, tmp_path, progress=False)


FULL_DISK = """
import resource, signal, sys, json
from asgml_core import RunConfig, run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
from asgml_core.files import WriteError
try:
    run(RunConfig.from_dict(json.loads(sys.argv[1])), sys.argv[2], checkpoint_seconds=0)
except WriteError as error:
    sys.exit(f"WriteError: {error}")
"""


def test_a_disk_that_is_full_ends_in_one_clear_error(boosted: RunConfig, tmp_path: Path) -> None:
    """The system refuses to write more than 20 kB to any one file, as a full disk would."""
    import json

    command = [sys.executable, "-c", FULL_DISK, json.dumps(boosted.to_dict()), str(tmp_path)]
    done = subprocess.run([*command, "20000"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "WriteError" in done.stderr
    assert "checkpoint.pt could not be written" in done.stderr
    folder = tmp_path / "sweep" / boosted.folder
    left = {path.name for path in folder.iterdir()}
    assert left <= {"events", STATE}  # no half checkpoint, no temporary file, no record
    said = read_state(folder / STATE)
    assert said["state"] == "failed"
    assert "checkpoint.pt could not be written" in said["reason"]
    whole = run(boosted, tmp_path, progress=False)  # with space again, it goes through
    assert whole.selections["last"]["epoch"] == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(boosted: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep").chmod(0o500)
    with pytest.raises(WriteError, match="could not be written"):
        run(boosted, tmp_path, progress=False)


def test_an_outputs_folder_that_is_a_file(boosted: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "sweep").write_text("in the way")
    with pytest.raises(OSError, match="sweep"):
        run(boosted, tmp_path, progress=False)
