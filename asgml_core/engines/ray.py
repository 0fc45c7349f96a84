"""Workers on a Ray cluster, or on a Ray of their own on this machine."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, ClassVar

from asgml_core.checks import check_count, check_number, check_one_of
from asgml_core.engines.base import Call, End, Engine, EngineError, Worker
from asgml_core.engines.remote import STOPPED, Work, carry_out, work

#: Seconds to wait for the machine of a cluster's address.
CONNECT = 15.0
#: Bytes of a local Ray's store of objects; ours holds one word a worker. Ray asks for 75 MiB.
STORE = 80 * 2**20
_INSTALL = (
    "Ray is not installed here: pip install 'asgml-core[cluster]', on every machine of the cluster."
)


class RayEngine(Engine):
    """Each worker is one task of a Ray cluster.

    It joins the cluster of ``address``, or of ``RAY_ADDRESS``; without either it starts a Ray on
    this machine, and ends it when it is closed. A Ray that this process has joined before is used
    as it is. On a cluster, asgml-core is installed on every machine, and the folder of the outputs
    is one that all of them share, under the same path.

    Args:
        address: of a cluster, such as ``"10.0.0.1:6379"``, or ``"auto"`` for one that was started
            on this machine.
        num_cpus: cores that Ray keeps for a worker, at least 1; as many as the runs' threads.
        num_gpus: GPUs that Ray keeps for a worker, 0 or more; below 1, workers share one.
        options: of ``ray.init``, such as ``runtime_env`` or ``object_store_memory``.

    Raises:
        ValueError: for a value out of its range, or an option that ``ray.init`` lacks.
        EngineError: when Ray is not installed.
    """

    name: ClassVar[str] = "ray"
    #: What a worker does.
    work: Work = staticmethod(work)

    def __init__(
        self,
        address: str | None = None,
        num_cpus: int = 1,
        num_gpus: float = 0.0,
        **options: Any,
    ) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS")
        self.num_cpus = check_count("num_cpus", num_cpus)
        self.num_gpus = check_number("num_gpus", num_gpus, low=0)
        self._ray = _import()
        known = [
            name
            for name, parameter in inspect.signature(self._ray.init).parameters.items()
            if parameter.kind is not parameter.VAR_KEYWORD and name != "address"
        ]
        for option in options:
            check_one_of("an option of the engine ray", option, known)
        self.options = options
        self._joined = False

    @classmethod
    def for_runs(cls, devices: Sequence[str], each_gpu: int) -> dict[str, Any]:
        """Return the share of a GPU that a worker needs, where runs ask for one."""
        return {"num_gpus": 1 / each_gpu} if any(d.startswith("cuda") for d in devices) else {}

    def start(self, calls: Sequence[Call]) -> list[Worker]:
        """Start one task a call, all at once."""
        self._join(len(calls))
        # A worker that asks to be replaced wants a fresh process: after one task, Ray ends it. And
        # who replaces one that died is not Ray's business, but the sweep's.
        task = self._ray.remote(max_calls=1, max_retries=0)(carry_out)
        return [
            _RayWorker(
                self._ray,
                task.options(
                    num_cpus=self.num_cpus,
                    num_gpus=self.num_gpus,
                    name=f"asgml {call.sweep} {call.index}",
                ).remote(self.work, call),
            )
            for call in calls
        ]

    def close(self) -> None:
        """Leave the cluster; a Ray that was started here ends."""
        if self._joined:
            self._ray.shutdown()
            self._joined = False

    def _join(self, workers: int) -> None:
        ray = self._ray
        if ray.is_initialized():
            return
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.address is None:
            # As many cores as the workers want, however many there are: whoever asks for more
            # workers than cores means it. Processes of the local engine are not held back, either.
            options |= {"num_cpus": workers * self.num_cpus, "include_dashboard": False}
            options |= {"object_store_memory": STORE}
        try:
            if self.address:
                _knock(self.address)
            with _sigterm_kept(), _no_usage_report():
                ray.init(self.address or "local", **options | self.options)
        except (OSError, RuntimeError, ValueError) as error:
            where = f"the Ray at {self.address}" if self.address else "a Ray on this machine"
            raise EngineError(f"{where} cannot be reached: {_first_line(error)}") from error
        self._joined = True
        gpus = ray.cluster_resources().get("GPU", 0)
        if self.address is None and gpus < min(1, self.num_gpus):
            self.close()
            raise EngineError(f"num_gpus is {self.num_gpus}, but Ray finds no GPU on this machine.")


class _RayWorker(Worker):
    """A task of Ray.

    Args:
        ray: the module.
        ref: of the task's outcome.
    """

    def __init__(self, ray: ModuleType, ref: Any) -> None:
        self._ray = ray
        self._ref = ref
        self._end: End | None = None
        #: How this process asked it to end.
        self._asked = ""
        context = ray.get_runtime_context()
        self._log = (
            f"worker-*-{context.get_job_id()}-*.err in Ray's folder of logs, by default "
            "/tmp/ray/session_latest/logs, of the machine it was on"
        )

    def end(self) -> End | None:
        """Return how it ended, ``None`` before that; never waits."""
        if self._end is None and self._ray.wait([self._ref], timeout=0)[0]:
            self._end = self._look()
        return self._end

    def stop(self) -> None:
        """Raise KeyboardInterrupt in it; a task that waits for its place is taken back."""
        self._cancel("stopped", force=False)

    def kill(self) -> None:
        """End its process."""
        self._cancel("killed", force=True)

    def log(self) -> str:
        """Return where to read what it printed."""
        return self._log

    def _cancel(self, asked: str, *, force: bool) -> None:
        if self.end() is None:
            self._asked = asked
            self._ray.cancel(self._ref, force=force)

    def _look(self) -> End:
        errors = self._ray.exceptions
        try:
            said: End = self._ray.get(self._ref)
        except errors.TaskCancelledError:
            return End("stop", self._asked or "cancelled")
        except errors.RayTaskError as error:
            return self._raised(error.cause or error)
        except errors.RayError as error:  # its process died, its machine was lost, ...
            if self._asked:
                return End("stop", self._asked)
            return End("replace", f"killed: {_first_line(error)}")
        if said.outcome != "stop":
            return said
        if said.reason == STOPPED and not self._asked:  # such as of a machine that is given back
            return End("replace", "asked to end by somebody else")
        return End("stop", self._asked or said.reason)

    def _raised(self, error: BaseException) -> End:
        if "No module named 'asgml_core'" in str(error):
            return End("stop", "asgml-core is not installed on every machine of the Ray cluster")
        return End("replace", f"{type(error).__name__}: {_first_line(error)}")


def _import() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise EngineError(_INSTALL) from error
    return ray


def _knock(address: str) -> None:
    """Connect once; where nobody listens, Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdigit():  # not "auto"
        socket.create_connection((host.strip("[]"), int(port)), CONNECT).close()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Put back the handler of SIGTERM; Ray sets one that exits at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _no_usage_report() -> Iterator[None]:
    """Let a Ray that is started inside tell its makers nothing, whichever version it is."""
    name = "RAY_USAGE_STATS_ENABLED"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
