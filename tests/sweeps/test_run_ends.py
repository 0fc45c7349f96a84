"""However a run ends, its state says it, and the next start ends as an undisturbed run does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from disks import mount, small_disk, unmount

from asgml_core import RunConfig, RunRecord, run, run_all
from asgml_core.claims import STATE, Terminated, read_state
from asgml_core.config import MethodConfig
from asgml_core.files import WriteError
from asgml_core.plans import plan_of
from asgml_core.runs import OutOfMemoryError
from asgml_core.sweep import Options, SweepError, carry_out, look_at
from asgml_core.tasks import Status
from asgml_core.trainer import DivergedError, Trainer

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "benchmarks"))  # as the benchmarks find each other
import soak  # noqa: E402 - one comparison for the tests and the soak

Tell = Callable[[int, int, dict[str, float]], None]


@pytest.fixture(scope="module")
def config(tiny: Callable[..., RunConfig]) -> RunConfig:
    return tiny("boost_ogm", epochs=3)


@pytest.fixture(scope="module")
def whole(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return run(config, tmp_path_factory.mktemp("whole"), progress=False)


def look(config: RunConfig, outputs: Path) -> Status:
    return plan_of("p", [config]).tasks[0].look(outputs)


def after(epoch: int, act: Callable[[], Any]) -> Tell:
    """Do something after an epoch."""

    def tell(done: int, epochs: int, row: dict[str, float]) -> None:
        if done == epoch and row:
            act()

    return tell


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> None:
        raise error

    return act


def assert_goes_on(config: RunConfig, outputs: Path, whole: RunRecord) -> None:
    """Run what is left, and compare every bit, the events too."""
    record = run(config, outputs, progress=False)
    assert soak.contents(record.folder) == soak.contents(whole.folder)
    assert look(config, outputs).kind == "done"
    assert not list(record.folder.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (KeyboardInterrupt(), "stopped", "stopped by Ctrl-C"),
        (Terminated(), "stopped", "stopped by SIGTERM"),
        (LookupError("no key"), "failed", "LookupError: no key"),
        (MemoryError("numpy"), "failed", "ran out of memory; with fewer workers"),
    ],
)
def test_an_end_in_the_middle(
    config: RunConfig,
    whole: RunRecord,
    tmp_path: Path,
    error: BaseException,
    kind: str,
    reason: str,
) -> None:
    with pytest.raises((type(error), OutOfMemoryError)):
        run(config, tmp_path, progress=after(2, raising(error)), checkpoint_seconds=0)
    status = look(config, tmp_path)
    assert (status.kind, status.epoch) == (kind, 2)
    assert reason in status.reason
    assert_goes_on(config, tmp_path, whole)


def test_memory_that_is_short(
    config: RunConfig, whole: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.run_epoch

    def greedy(trainer: Trainer) -> dict[str, float]:
        if trainer.epoch == 1:
            torch.empty(1 << 50)  # more than any machine has: torch's own error
        return step(trainer)

    monkeypatch.setattr(Trainer, "run_epoch", greedy)
    with pytest.raises(
        OutOfMemoryError, match=r"it goes on from its last checkpoint \(.*DefaultCPU"
    ):
        run(config, tmp_path, progress=False, checkpoint_seconds=0)
    monkeypatch.undo()
    assert look(config, tmp_path).kind == "failed"
    assert "ran out of memory" in look(config, tmp_path).reason
    assert_goes_on(config, tmp_path, whole)


# ---------------------------------------------------------------------- disks


@pytest.mark.parametrize("kilobytes", [2, 40, 300, 700])
def test_a_full_disk(config: RunConfig, whole: RunRecord, tmp_path: Path, kilobytes: int) -> None:
    """Wherever it happens: at the state, the events, a checkpoint, or the record."""
    with small_disk(tmp_path / "disk", f"{kilobytes}k") as disk:
        with pytest.raises(WriteError, match="No space left on device"):
            run(config, disk, progress=False, checkpoint_seconds=0)
        status = look(config, disk)
        if kilobytes > 20:  # the state has its page from the first moment
            assert status.kind == "failed"
            assert "No space left on device" in status.reason
        assert not list((disk / "sweep").glob("*/.*.tmp"))
        mount("-o", "remount,size=50m", str(disk))
        assert_goes_on(config, disk, whole)


def test_a_disk_that_cannot_be_written(config: RunConfig, whole: RunRecord, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "50m") as disk:
        with pytest.raises(KeyboardInterrupt):
            run(config, disk, progress=after(1, raising(KeyboardInterrupt())), checkpoint_seconds=0)
        mount("-o", "remount,ro", str(disk))
        with pytest.raises(WriteError, match="Read-only file system"):
            run(config, disk, progress=False)
        assert look(config, disk).kind == "stopped"  # looking needs no writing
        with pytest.raises(WriteError, match="Read-only file system"):
            run_all([config], disk, workers=1, progress=False)
        mount("-o", "remount,rw", str(disk))
        assert_goes_on(config, disk, whole)


def test_a_disk_that_is_gone_in_the_middle(
    config: RunConfig, whole: RunRecord, tmp_path: Path
) -> None:
    """As a network folder that is unmounted: nothing may go to the folder below it."""
    kept, place = tmp_path / "kept", tmp_path / "place"
    kept.mkdir()
    place.mkdir()
    mount("--bind", str(kept), str(place))
    try:
        with pytest.raises(WriteError, match=r"is gone: it was removed|No such file"):
            run(
                config, place, progress=after(1, lambda: unmount(place, "-l")), checkpoint_seconds=0
            )
        left = [path for path in place.rglob("*") if path.is_file()]
        assert [path for path in left if "tfevents" not in path.name] == []
        assert look(config, place).kind == "planned"
        mount("--bind", str(kept), str(place))
        assert look(config, place).kind == "failed"
        assert_goes_on(config, place, whole)
    finally:
        unmount(place, "-l")


@pytest.mark.parametrize("which", [".", "sweep"])
def test_a_folder_that_is_moved_away_in_the_middle(
    config: RunConfig, whole: RunRecord, tmp_path: Path, which: str
) -> None:
    outputs = tmp_path / "outputs"
    folder, away = outputs / which, tmp_path / "away"
    with pytest.raises(WriteError, match=r"is gone: it was removed|No such file"):
        run(config, outputs, progress=after(2, lambda: folder.rename(away)), checkpoint_seconds=0)
    assert not list(outputs.rglob("checkpoint.pt"))  # none but the moved one
    if folder.exists():
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()
    away.rename(folder)
    assert look(config, outputs).kind == "failed"
    assert_goes_on(config, outputs, whole)


# ---------------------------------------------------------------------- the state file


@pytest.mark.parametrize("content", [b"", b'{"state": "done"', None])
def test_a_state_that_says_nothing_costs_nothing(
    config: RunConfig, whole: RunRecord, tmp_path: Path, content: bytes | None
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path, progress=after(2, raising(KeyboardInterrupt())), checkpoint_seconds=0)
    place = tmp_path / "sweep" / config.folder / STATE
    if content is None:
        place.unlink()
    else:
        place.write_bytes(content)
    assert look(config, tmp_path).kind == "planned"
    assert_goes_on(config, tmp_path, whole)
    assert read_state(place)["resumed"] == 2  # the checkpoint decides


def test_a_state_that_is_a_folder_is_named(config: RunConfig, tmp_path: Path) -> None:
    place = tmp_path / "sweep" / config.folder / STATE
    place.mkdir(parents=True)
    assert look(config, tmp_path).kind == "planned"
    with pytest.raises(WriteError, match=r"state\.json could not be made \(Is a directory\)"):
        run(config, tmp_path, progress=False)


# ---------------------------------------------------------------------- clocks


def test_a_clock_that_is_put_back_changes_nothing(
    config: RunConfig, whole: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year ahead, then a day back, between attempts and in the middle of them."""
    now = time.time
    for error, days in ((KeyboardInterrupt(), 365), (KeyboardInterrupt(), 0), (None, -1)):
        monkeypatch.setattr(time, "time", lambda days=days: now() + 86400 * days)
        epoch = {365: 1, 0: 2, -1: 99}[days]
        tell = after(epoch, raising(error)) if error else False
        try:
            run(config, tmp_path, progress=tell, checkpoint_seconds=0)
        except KeyboardInterrupt:
            assert look(config, tmp_path).epoch == epoch
    assert_goes_on(config, tmp_path, whole)  # TensorBoard's files are read in the order of attempts


@pytest.mark.slow
def test_clocks_that_jump_in_a_sweep_and_its_workers(
    tiny: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jumping_clock import jumping

    configs = [tiny("boost_ogm"), tiny("cont_noise", seed=1)]
    alone = [run(config, tmp_path / "alone", progress=False) for config in configs]
    monkeypatch.setattr(time, "time", jumping(time.time))
    options = Options(workers=1, progress=False, checkpoint_seconds=0, imports=("jumping_worker",))
    carry_out(plan_of("p", configs), tmp_path / "jumping", options)
    for config, record in zip(configs, alone, strict=True):
        folder = tmp_path / "jumping" / "sweep" / config.folder
        assert soak.contents(folder) == soak.contents(record.folder)


# ---------------------------------------------------------------------- all together


def test_one_sweep_with_every_failure(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    """Also: what the next sweep repeats, what it does not, and what ``again`` does."""
    good, greedy = tiny("baseline"), tiny("boost_ogm", epochs=3)
    bad = tiny("cont_noise").replace(run_id="nan", train={"learning_rate": 1e30})
    idle = good.replace(
        run_id="idle", methods=(MethodConfig(name="boost", options={"alpha": 0.0}),)
    )
    configs = [greedy, bad, idle, good]
    plan = plan_of("p", configs)
    options = Options(workers=1, progress=False, checkpoint_seconds=0, imports=("greedy_worker",))
    carry_out(plan, tmp_path, options)
    found = look_at(plan, tmp_path)
    kinds = {"baseline": "done", "boost_ogm": "failed", "nan": "diverged", "idle": "failed"}
    assert {name.removesuffix("_seed0"): status.kind for name, status in found.items()} == kinds
    assert "ran out of memory" in found[greedy.folder].reason
    assert found[greedy.folder].epoch == 2
    nan = found[bad.folder]
    assert nan.said is not None
    assert nan.said["step"] > 0
    assert "epoch" in nan.reason
    before = (tmp_path / "sweep" / bad.folder / STATE).read_bytes()
    with pytest.raises(SweepError, match="2 of 4 runs failed:") as caught:
        run_all(configs, tmp_path, workers=1, progress=False)  # with memory enough
    assert f"{bad.folder}: " in str(caught.value)
    assert (tmp_path / "sweep" / bad.folder / STATE).read_bytes() == before  # not repeated
    alone = run(greedy, tmp_path / "alone", progress=False)
    assert soak.contents(tmp_path / "sweep" / greedy.folder) == soak.contents(alone.folder)
    with pytest.raises(DivergedError, match="epoch"):
        run(bad, tmp_path, again=True, progress=False)
    assert (tmp_path / "sweep" / bad.folder / STATE).read_bytes() != before
    assert look(bad, tmp_path).kind == "diverged"
