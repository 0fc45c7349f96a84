"""Each new method, killed twice in the middle of an epoch by SIGKILL, ends with the same bits."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

from test_run import assert_same_results

from asgml_core import RunConfig, RunRecord
from asgml_core.config import MethodConfig

# One process is started and forked for every attempt: the libraries are imported once. A child
# kills itself at a given step of its own, so the place depends on no clock.
SCRIPT = """
import json, os, signal, sys, traceback
import torch
import torch._dynamo  # optimizers import it, and much with it, at their first step
import torch.utils.tensorboard
from asgml_core import RunConfig, identity, run
from asgml_core.trainer import Trainer

torch.set_num_threads(1)
identity.code_of = lambda config: "tests"
step = Trainer._step

def attempt(config, folder, fatal):
    def counted(self, *args):
        attempt.steps += 1
        if attempt.steps == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *args)
    attempt.steps, Trainer._step = 0, counted
    run(config, folder, progress=False, checkpoint_seconds=0)

ends = []
for text, folder, fatal in json.load(sys.stdin):
    child = os.fork()
    if child == 0:
        try:
            attempt(RunConfig.from_dict(text), folder, fatal)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ends))
"""
METHODS = {
    "frequency": {"signal_source": "both", "probe_ema": "study", "tau_base": 2.6, "skip": "freeze"},
    "staleness": {"tau_base": 3.4, "eval_every": 2, "probe_steps": 5},
    "miles": {"threshold": 0.0, "signal": "test", "reset_other": False},
    "static_scale": {"modality": "audio"},
    "boost_wrong": {},
    "boost_random": {"eval_every": 2},
    "ogm": {"scores": "probe", "scope": "weights"},
}
EPOCHS, BATCHES = 3, 6


def plan(base: RunConfig, name: str) -> RunConfig:
    method = MethodConfig(name=name, options=METHODS[name], start=0, end=EPOCHS)
    train = {"epochs": EPOCHS}
    if name == "miles":  # as in the study
        train |= {"optimizer": "adam", "learning_rate": 0.01}
    return base.replace(run_id=name, methods=(*base.methods, method), train=train)


def test_a_killed_run_of_every_new_method_ends_with_the_same_bits(
    base: RunConfig, tmp_path: Path
) -> None:
    attempts = []
    for name in METHODS:
        draw, config = random.Random(name), plan(base, name).to_dict()
        attempts.append((config, str(tmp_path / "whole"), None))
        # After the first checkpoint; then again, somewhere in what is left.
        first = draw.randrange(BATCHES + 2, EPOCHS * BATCHES)
        left = EPOCHS * BATCHES - (first - 1) // BATCHES * BATCHES
        fatal = (first, draw.randrange(1, left), None)
        attempts += [(config, str(tmp_path / "killed"), step) for step in fatal]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps(attempts), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout.splitlines()[-1])
    assert ends == [0, -9, -9, 0] * len(METHODS), done.stderr
    for name in METHODS:
        folder = Path("sweep") / plan(base, name).folder
        whole, killed = (RunRecord.load(tmp_path / kind / folder) for kind in ("whole", "killed"))
        assert whole.values["batches_per_epoch"] == BATCHES
        assert_same_results(whole, killed)  # the columns of epochs.csv, too
        columns = {"relative_update/audio", "effective_learning_rate/audio", "activation/audio"}
        assert columns <= set(killed.epochs)
        assert whole.values["methods"][name]["acted"] > 0, name
