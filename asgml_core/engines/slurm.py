"""Workers as jobs of Slurm, submitted as one array; a job that must go comes back by itself."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from asgml_core.checks import check_number
from asgml_core.engines.base import Call, End, Engine, EngineError, Worker
from asgml_core.engines.remote import Work, carry_out, work

#: States of a job that stays as it is; in any other it waits, is at work, or comes back.
ENDED = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
)  # fmt: skip
#: Those in which what the worker said last counts; in the others, Slurm had asked it to end.
BY_ITSELF = ("COMPLETED", "FAILED", "GONE")
#: Seconds that a result may take to be seen over the network, after its job has ended.
GRACE = 30.0
#: Seconds to wait for one of Slurm's commands.
PATIENCE = 60.0
#: Options of submitit's executor itself.
OF_EXECUTOR = ("slurm_max_num_timeout", "slurm_python")


class SlurmEngine(Engine):
    """Each worker is one job of Slurm.

    A job whose time is over, or that is preempted, is put back into the queue and goes on from its
    run's checkpoint; so does one after ``scontrol requeue``. The sweep is started on a machine that
    can submit jobs. asgml-core is installed in the same place on every node, and the folder of the
    outputs is one that all of them share.

    Args:
        folder: of the jobs' files and logs, shared as well; by default ``<outputs>/.slurm``.
        poll_seconds: ask ``squeue`` no more often than this, above 0; once for all jobs.
        parameters: of submitit: ``timeout_min`` (by default 60), ``cpus_per_task`` (1),
            ``gpus_per_node``, ``mem_gb``, ``name``, and any option of sbatch with ``slurm_`` before
            it, such as ``slurm_partition`` or ``slurm_account``; ``slurm_max_num_timeout``, after
            how many timeouts a job does not come back (100); ``slurm_python``, the command.

    Raises:
        ValueError: for a parameter that submitit lacks; the message names what there is.
        EngineError: when submitit or Slurm is missing.
    """

    name: ClassVar[str] = "slurm"
    outlives: ClassVar[bool] = True
    #: What a worker does.
    work: Work = staticmethod(work)

    def __init__(
        self, folder: str | Path | None = None, poll_seconds: float = 5.0, **parameters: Any
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self._submitit = _import()
        self._of_executor: dict[str, Any] = {"slurm_max_num_timeout": 100}
        self._of_executor |= {k: parameters.pop(k) for k in OF_EXECUTOR if k in parameters}
        self.parameters = {"timeout_min": 60, "cpus_per_task": 1, "name": "asgml"} | parameters
        threads = self.parameters["cpus_per_task"]
        # Since Slurm 22.05, srun no longer takes over what sbatch was told.
        self.parameters.setdefault("slurm_srun_args", [f"--cpus-per-task={threads}"])
        more = self.parameters.get("slurm_additional_parameters") or {}
        # A job may come back; some clusters have it otherwise unless a job says so.
        self.parameters["slurm_additional_parameters"] = {"requeue": True} | more
        self._queue = _Queue(check_number("poll_seconds", poll_seconds, above=0))
        #: Ids of the jobs submitted so far, in order.
        self.job_ids: list[str] = []
        self._executor(self.folder or Path())  # so that a wrong parameter is told at once

    @classmethod
    def for_runs(cls, devices: Sequence[str], each_gpu: int) -> dict[str, Any]:
        """Return one GPU for each job, where runs ask for one; Slurm gives a GPU to one job."""
        if each_gpu != 1:
            raise ValueError(f"each_gpu is {each_gpu}, but Slurm gives a GPU to one job: it is 1.")
        return {"gpus_per_node": 1} if any(d.startswith("cuda") for d in devices) else {}

    def start(self, calls: Sequence[Call]) -> list[Worker]:
        """Submit one job a call, as one array."""
        folder = self.folder or Path(calls[0].outputs) / ".slurm"
        executor = self._executor(folder)
        try:
            with executor.batch():
                jobs = [executor.submit(_Task(call, self.work)) for call in calls]
        except (self._submitit.core.utils.FailedJobError, subprocess.CalledProcessError) as error:
            raise EngineError(f"Slurm refuses the jobs: {_words(error)}") from error
        except OSError as error:
            raise EngineError(f"{folder} could not be written ({error.strerror}).") from error
        self.job_ids += [job.job_id for job in jobs]
        return [_SlurmWorker(job.job_id, job.paths, self._queue) for job in jobs]

    def _executor(self, folder: Path) -> Any:
        try:
            executor = self._submitit.AutoExecutor(folder, "slurm", **self._of_executor)
            executor.update_parameters(**self.parameters)
        except (AssertionError, NameError, ValueError) as error:
            raise ValueError(f"the engine slurm: {' '.join(str(error).split())}") from error
        return executor


class _Task:
    """What submitit carries to the node, and carries there again when the job was put back."""

    def __init__(self, call: Call, work: Work) -> None:
        self.call = call
        self.work = work

    def __call__(self) -> End:
        import submitit

        # A life of the job that was asked to end may have left its word.
        submitit.JobEnvironment().paths.result_pickle.unlink(missing_ok=True)
        return carry_out(self.work, self.call)

    def checkpoint(self) -> Any:
        """Tell submitit how to go on; the run's own checkpoint holds the rest."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class _Queue:
    """What Slurm says of jobs; asked rarely, and once for all of them.

    Args:
        seconds: between two questions, at least.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._jobs: list[str] = []
        self._asked = float("-inf")
        self._states: dict[str, str] = {}
        #: How often in a row Slurm did not know a job.
        self._missing: dict[str, int] = {}

    def add(self, job: str) -> None:
        """Ask for a job from now on."""
        self._jobs.append(job)
        self._missing[job] = 0

    def remove(self, job: str) -> None:
        """Ask for it no more."""
        self._jobs.remove(job)

    def state(self, job: str) -> str:
        """Return a job's state, ``"GONE"`` for one that Slurm has forgotten, empty if unknown."""
        if time.monotonic() - self._asked >= self.seconds:
            self._ask()
            self._asked = time.monotonic()
        # Twice: a word of the server before it knows of the job is no word.
        return "GONE" if self._missing[job] > 1 else self._states.get(job, "")

    def _ask(self) -> None:
        whole = sorted({job.partition("_")[0] for job in self._jobs})
        command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T"]
        try:
            done = _slurm(*command, f"--jobs={','.join(whole)}")
        except (OSError, subprocess.TimeoutExpired):
            return  # the server is busy, or away for a moment
        if done.returncode != 0 and "Invalid job id" not in done.stderr:
            return
        lines = [line.strip().partition("|") for line in done.stdout.splitlines()]
        self._states = {job: state for job, _, state in lines}
        for job in self._jobs:
            self._missing[job] = 0 if job in self._states else self._missing[job] + 1


class _SlurmWorker(Worker):
    """A job of Slurm.

    Args:
        job: its id, such as ``"12"`` or ``"12_0"``.
        paths: of submitit's files.
        queue: what tells its state.
    """

    def __init__(self, job: str, paths: Any, queue: _Queue) -> None:
        self.job = job
        self._paths = paths
        self._queue = queue
        self._end: End | None = None
        #: How this process asked it to end.
        self._asked = ""
        self._ended_at: float | None = None
        queue.add(job)

    def end(self) -> End | None:
        """Return how it ended, ``None`` before that and while it comes back."""
        if self._end is None:
            self._end = self._look()
            if self._end is not None:
                self._queue.remove(self.job)
        return self._end

    def stop(self) -> None:
        """Cancel it: Slurm sends SIGTERM, and SIGKILL some time later, by default 30 s."""
        self._asked = "stopped"
        self._cancel()

    def kill(self) -> None:
        """End its processes."""
        self._asked = "killed"
        # The step's processes first: without a step, KILL is no more than scancel's usual way.
        self._cancel("--signal=KILL", step=".0")
        self._cancel()

    def log(self) -> str:
        """Return the path of what it printed."""
        return str(self._paths.stderr)

    def _cancel(self, *options: str, step: str = "") -> None:
        # A server that does not answer: the job goes on, and end() says so.
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            _slurm("scancel", *options, f"{self.job}{step}")

    def _look(self) -> End | None:
        said = self._said()
        if said is not None and said.outcome == "done":
            return said
        state = self._queue.state(self.job)
        if state == "" or (state != "GONE" and state not in ENDED):
            return None  # what it said, if anything, it said before it came back
        if self._asked or state == "CANCELLED":
            return End("stop", self._asked or "cancelled")
        if said is not None and state in BY_ITSELF:
            return said
        if state == "COMPLETED" and self._waits():
            return None
        return End("replace", f"killed (Slurm: {state.lower().replace('_', ' ')})")

    def _waits(self) -> bool:
        self._ended_at = self._ended_at or time.monotonic()
        return time.monotonic() - self._ended_at < GRACE

    def _said(self) -> End | None:
        from submitit.core.utils import pickle_load

        try:
            kind, value = pickle_load(self._paths.result_pickle)
        except (FileNotFoundError, EOFError):
            return None
        if kind == "success":
            return value
        return End("replace", value.strip().splitlines()[-1])  # of a traceback


def _slurm(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


def _words(error: Exception) -> str:
    """Return what sbatch said, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if "sbatch: " in line]
    return "; ".join(line.removeprefix("sbatch: ") for line in lines) or str(error)


def _import() -> ModuleType:
    try:
        import submitit
    except ImportError as error:
        raise EngineError(
            "submitit is not installed here: pip install 'asgml-core[cluster]'."
        ) from error
    if shutil.which("sbatch") is None:
        raise EngineError(
            "there is no Slurm here (no sbatch on the path): start the sweep on a machine of the "
            "cluster that can submit jobs."
        )
    return submitit
