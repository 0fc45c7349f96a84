"""A worker's work without training: what the engines' tests let it do, by its number."""

from __future__ import annotations

import os
import time
from pathlib import Path

from asgml_core.checks import AsgmlError
from asgml_core.engines import Call, Outcome
from asgml_core.worker import stoppable


def work(call: Call) -> Outcome:
    """Do the word of ``call.plan`` at ``call.index``; leave a line a life in ``lives_<index>``."""
    folder, act = Path(call.outputs), call.plan.split()[call.index]
    with (folder / f"lives_{call.index}").open("a") as lives:
        lives.write(f"{os.getpid()}\n")
    if act == "raise":
        raise LookupError("no such run")
    if act == "refuse":
        raise AsgmlError("the plan cannot be read")
    if act != "wait":
        return act  # one of the outcomes
    try:
        with stoppable():
            while not (folder / "go").exists():
                time.sleep(0.05)
    finally:
        (folder / f"left_{call.index}").touch()
    return "done"
