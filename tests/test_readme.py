"""The README's own commands, run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]


#: What makes the long commands short, by a part of each.
SHORTER = {
    "papermill": ["-p", "profile", "smoke", "-p", "workers", "1"],
    "asgml run boost_ogm": ["--epochs", "2"],
    "--dataset cremad": ["--option", "size", "64"],
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like the project, so that nothing is written into the real one."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("book", "params", "_config.yml"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_every_command_is_of_a_kind_that_is_tested() -> None:
    kinds = {shlex.split(line)[0] for line in COMMANDS}
    assert kinds == {"make", "source", "papermill", "asgml"}
    assert len(COMMANDS) >= 7


@pytest.mark.parametrize("line", [c for c in COMMANDS if c.startswith("make ")])
def test_make_targets_exist(line: str) -> None:
    done = subprocess.run(
        [*shlex.split(line), "--dry-run"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "profile", ["smoke", pytest.param("demo", id="all", marks=pytest.mark.slow)]
)
def test_the_commands_work_one_after_the_other(checkout: Path, profile: str) -> None:
    """On the embedded data, from the first to the last, in one folder.

    Trainings are made short here, by options; `make check` runs every command as it stands.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ASGML")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = 0
    for line in COMMANDS:
        if line.startswith(("papermill", "asgml")):
            command = shlex.split(line)
            if profile != "demo":
                command += next((more for start, more in SHORTER.items() if start in line), [])
            done = subprocess.run(
                command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stderr[-3000:]}"
            ran += 1
    assert ran >= 4
    assert (checkout / "out.ipynb").is_file()
    assert (
        checkout / "outputs" / f"synth-{profile}" / "sweep" / "boost_ogm_seed1" / "record.json"
    ).is_file()
    assert (checkout / "outputs" / "sweep" / "boost_ogm_seed1" / "record.json").is_file()


def test_the_loop_of_ones_own_works() -> None:
    """The Python block, with a network, a batch and an optimizer as its reader would have."""
    block = blocks("python")[0]
    setup, step = block.split("...\n")

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.audio = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten())
            self.visual = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten())
            self.heads = torch.nn.ModuleDict({m: torch.nn.Linear(144, 5) for m in names})

    names = ("audio", "visual")
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    inputs = {"audio": torch.randn(8, 1, 8, 8), "visual": torch.randn(8, 3, 8, 8)}
    labels = torch.arange(8) % 5
    space: dict = {"net": net, "optimizer": optimizer, "labels": labels}
    exec(setup, space)
    before = net.audio[0].weight.detach().clone()
    for batch in range(3):
        features = {m: getattr(net, m)(inputs[m]) for m in names}
        unimodal_logits = {m: net.heads[m](features[m]) for m in names}
        logits = unimodal_logits["audio"] + unimodal_logits["visual"]
        optimizer.zero_grad()
        space |= {
            "loss": torch.nn.functional.cross_entropy(logits, labels),
            "logits": logits, "unimodal_logits": unimodal_logits, "features": features,
            "epoch": 0, "epochs": 1, "i": batch, "loader": range(3),
        }  # fmt: skip
        exec(step, space)
    assert not torch.equal(net.audio[0].weight, before)
    acted = {part.name: int(part.acted) for part in space["modulator"].parts()}
    assert acted["ogm_ge"] == 3
    assert acted["boost"] >= 1


def test_inner_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / target).exists(), target
