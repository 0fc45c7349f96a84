"""A worker of a sweep: it takes the next task whose claim it gets, does it, and goes on.

Any number of workers can go through one plan, of one sweep or of several, on one machine or on
many: a task belongs to whoever holds its state file. As a program, ``python -m asgml_core.worker``
reads its call from the standard input, which stays open: when that ends, whoever started the worker
is gone, and the worker ends too.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asgml_core.checks import AsgmlError
from asgml_core.claims import BusyError, Claim, Terminated, claim
from asgml_core.engines.base import Call, Outcome
from asgml_core.files import WriteError
from asgml_core.plans import SWEEPS, Plan
from asgml_core.tasks import SETTLED, Task

#: A task whose process died so often in a row, in one sweep and no further than before, is left.
MOST_DEATHS = 3
#: What a task's file says where its failure is told.
ENDED = ("done", "failed", "diverged")
#: What a process says with its exit status.
STATUS: dict[Outcome, int] = {"done": 0, "replace": 3, "stop": 4}
#: Seconds to end in order when whoever started the worker is gone.
GRACE = 20.0


def work(call: Call) -> Outcome:
    """Do what is to be done of a plan, and return why there is no more.

    Args:
        call: what the sweep told this worker.

    Raises:
        PlanError: when the plan cannot be read.
        Terminated: when it was asked to end; what it was at is stopped and can go on.
    """
    sys.path += [folder for folder in call.path if folder not in sys.path]
    for module in call.imports:
        importlib.import_module(module)
    plan = Plan.load(Path(call.plan))
    with stoppable(), claim(beat_file(Path(call.outputs), call), call.sweep) as beat:
        beat.begin(plan.size, Path(call.plan).name)
        with beat.ending():
            return _Worker(call, beat).go_through(in_order(plan.tasks, call.index, call.workers))


def beat_file(outputs: Path, call: Call) -> Path:
    """Return the file in which a worker says what it is at."""
    return outputs / SWEEPS / "workers" / f"{call.sweep}-{call.index}.json"


def in_order(tasks: tuple[Task, ...], index: int, workers: int) -> list[Task]:
    """Return the tasks in the order in which one of several workers looks at them.

    Each begins in another place, at the start of a group of equal data where there are enough.
    """
    starts = [i for i, t in enumerate(tasks) if i == 0 or t.data != tasks[i - 1].data]
    if len(starts) < workers:
        starts = list(range(len(tasks)))
    first = starts[(index % workers) * len(starts) // workers] if tasks else 0
    return [*tasks[first:], *tasks[:first]]


class _Worker:
    def __init__(self, call: Call, beat: Claim) -> None:
        self.call = call
        self.beat = beat
        self.outputs = Path(call.outputs)
        self.settings = {"checkpoint_seconds": call.checkpoint_seconds, "data": LastData().load}
        self.settings |= gpu_settings(call.gpu_share)
        self.epochs = 0

    def go_through(self, tasks: Iterable[Task]) -> Outcome:
        """Do every task that is not done and not claimed by somebody else."""
        for task in tasks:
            outcome = self._attempt(task)
            if outcome != "done":
                return outcome
        return "done"

    def _attempt(self, task: Task) -> Outcome:
        status = task.look(self.outputs)
        said = status.said or {}
        before = said.get("sweep") == self.call.sweep
        if status.kind in (*SETTLED, "running", "other", "damaged"):
            return "done"
        if status.kind == "failed" and before:
            return "done"
        if status.kind == "killed" and before and said.get("deaths", 0) + 1 >= MOST_DEATHS:
            epoch = status.epoch
            reason = (
                f"its process was killed {MOST_DEATHS} times after epoch {epoch}; the system does "
                "that where memory is short."
            )
            self._say_failed(task, reason, unless=(*ENDED, "stopped"))
            return "done"
        return self._do(task)

    def _say_failed(self, task: Task, reason: str, unless: tuple[str, ...] = ENDED) -> None:
        """Let a task's file say that it failed, unless the file says how it ended by now."""
        place = task.place(self.outputs)
        with contextlib.suppress(BusyError, WriteError), claim(place, self.call.sweep) as held:
            before = held.before
            mine = before.get("sweep") == self.call.sweep or before.get("state") in SETTLED
            if mine and before.get("key") == task.key and before.get("state") in unless:
                return
            held.begin(task.size, task.key)
            held.say(state="failed", epoch=before.get("epoch", 0), reason=reason)

    def _do(self, task: Task) -> Outcome:
        told = 0
        outcome: Outcome = "done"

        def tell(epoch: int) -> None:
            nonlocal told
            self.epochs += epoch - told
            told = epoch
            self._say(reason=task.name)

        try:
            tell(0)
            task.work(self.outputs, self.call.sweep, self.settings, tell)
        except BusyError:
            return "done"  # somebody else was quicker
        except WriteError as error:
            print(error, file=sys.stderr)
            return "stop"  # the next task would meet the same disk
        except (AsgmlError, ValueError) as error:
            print(f"{task.name}: {error}", file=sys.stderr)
            outcome = "replace" if getattr(error, "spoils_process", False) else "done"
            self._say_failed(task, str(error))  # where it could not say it itself
        except Exception as error:
            # Whatever else goes wrong in a run, the others go on, in a process that is in order.
            traceback.print_exc()
            outcome = "replace"
            self._say_failed(task, f"{type(error).__name__}: {error}")
        tell(task.size)  # it is over, whatever came of it
        return outcome

    def _say(self, **values: Any) -> None:
        with contextlib.suppress(WriteError):  # it is for a progress bar
            self.beat.say(epoch=self.epochs, durable=False, **values)


class LastData:
    """Loads the data of runs, and keeps those of the last one for the next."""

    def __init__(self) -> None:
        self._kept: tuple[Any, Any] = (None, None)

    def load(self, config: Any) -> Any:
        """Return the data of a run; those of the run before it, where they are the same."""
        from asgml_core.datasets import load

        decisive = (config.data, config.seed, config.protocol)
        if self._kept[0] != decisive:
            self._kept = (None, None)  # two would need twice the memory
            self._kept = (decisive, load(config))
        return self._kept[1]


def gpu_settings(share: float) -> dict[str, int]:
    """Limit this process to a share of its GPU's memory, and return how much data may lie there."""
    if share >= 1:
        return {}
    import torch

    if not torch.cuda.is_available():
        return {}
    torch.cuda.set_per_process_memory_fraction(share)
    return {"room": int(torch.cuda.get_device_properties(0).total_memory * share / 2)}


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM end what is inside as Ctrl-C does: once, and in order.

    Outside the main thread, where nobody can be interrupted, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)  # the first request counts
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    before = {each: signal.signal(each, end) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _end_with_parent() -> None:
    os.read(0, 1)  # not sys.stdin, which a thread must not hold when Python ends
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE)
    os._exit(STATUS["stop"])


def main() -> int:
    """Read a call from the standard input, do it, and return an exit status."""
    call = Call(**json.loads(sys.stdin.buffer.readline()))
    call = Call(**{**asdict(call), "imports": tuple(call.imports), "path": tuple(call.path)})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        return STATUS[work(call)]
    except KeyboardInterrupt:
        return 128 + signal.SIGTERM
    except (AsgmlError, ImportError) as error:
        print(error, file=sys.stderr)
        return STATUS["stop"]


if __name__ == "__main__":
    sys.exit(main())
