"""Executing the cells of a notebook in a kernel that never outlives this process.

Papermill runs the cells and writes the notebook as it goes. Here are the parts it leaves open: a
kernel that the system ends with its parent, a start that is tried again where two kernels took the
same port, and one sentence for whatever goes wrong.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any

from asgml_core.notebooks import NotebookError
from asgml_core.reading import one_line

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

#: A kernel's ports are chosen before it binds them; where another program was quicker, it dies.
STARTS = 3
#: What jupyter_client says of a kernel that does not start.
_DIED, _SILENT = "Kernel died before replying", "Kernel didn't respond"
#: Seconds for a kernel to start, and for its output to come after its reply; machines can be busy.
START_TIMEOUT, OUTPUT_TIMEOUT = 180, 60
#: Run in place of a kernel: asks Linux to kill it with its parent, and becomes the kernel. Kernels
#: look after their parent, too, but not before they have started.
_TIED = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that asked for this kernel is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def execute_cells(
    source: Path,
    target: Path,
    parameters: Mapping[str, Any],
    *,
    kernel: str,
    folder: Path | None,
    environment: Mapping[str, str],
    tell: Callable[[int], None] | None,
) -> None:
    """Execute a notebook and write it, cell by cell.

    Args:
        source: the notebook.
        target: where it is written, in place, while it is executed.
        parameters: by name.
        kernel: the name of its kernel, which is one of Python.
        folder: where the kernel works; ``None`` is where this process does.
        environment: variables of the kernel, beside those of this process.
        tell: is told how many cells of code are done; ``None`` shows a bar.

    Raises:
        NotebookError: when a cell fails, or the kernel does not start or dies.
    """
    papermill = _import()
    from jupyter_client.kernelspec import NoSuchKernel

    cells = _Cells(tell)
    with _kernels(environment) as manager:
        try:
            _start(
                cells,
                lambda: papermill.execute_notebook(
                    _as_it_is(source),
                    _as_it_is(target),
                    parameters=dict(parameters),
                    kernel_name=kernel,
                    language="python",
                    progress_bar=tell is None,
                    cwd=folder,
                    start_timeout=START_TIMEOUT,
                    iopub_timeout=OUTPUT_TIMEOUT,
                    kernel_manager_class=manager,
                    extra_arguments=["--log-level=ERROR"],
                    on_cell_executed=cells.executed,
                ),
            )
        except papermill.PapermillExecutionError as error:
            said = one_line(f"{error.ename}: {error.evalue}")
            raise NotebookError(f"cell {error.exec_count}: {said}") from error
        except NoSuchKernel as error:
            raise NotebookError(f"its kernel {error.name!r} is not installed here") from error


def _import() -> Any:
    try:
        import papermill
    except ImportError as error:
        raise NotebookError(
            "executing notebooks needs papermill; install the extra: pip install 'asgml-core[book]'"
        ) from error
    return papermill


def _as_it_is(path: Path) -> str:
    """Return a path for papermill, which puts parameters into the braces of one."""
    return str(path).replace("{", "{{").replace("}", "}}")


class _Cells:
    """Counts the cells of code that are done."""

    def __init__(self, tell: Callable[[int], None] | None) -> None:
        self._tell = tell
        self.done = 0

    def executed(self, execute_reply: Mapping[str, Any], **_: Any) -> None:
        """Count one that did not fail; nbclient calls it."""
        self.done += execute_reply["content"]["status"] == "ok"
        if self._tell is not None:
            self._tell(self.done)


def _start(cells: _Cells, execute: Callable[[], Any]) -> None:
    """Execute; again, where the kernel died before its first word."""
    from nbclient.exceptions import DeadKernelError

    for attempt in range(1, STARTS + 1):
        try:
            execute()
            return
        except DeadKernelError as error:
            raise NotebookError(
                f"cell {cells.done + 1}: the kernel died; the system ends processes where memory "
                "is short"
            ) from error
        except RuntimeError as error:
            if _SILENT in str(error):
                raise NotebookError(f"its kernel said nothing for {START_TIMEOUT} s") from error
            if _DIED not in str(error):
                raise
            if attempt == STARTS:
                raise NotebookError(f"its kernel died at the start, {STARTS} times") from error


@contextlib.contextmanager
def _kernels(environment: Mapping[str, str]) -> Iterator[type[AsyncKernelManager]]:
    """Yield a class of kernel managers; in the end, no kernel that one of them started is left.

    Papermill ends a kernel itself, but not where it is interrupted while one starts.
    """
    from jupyter_client.manager import AsyncKernelManager

    started: list[Popen[bytes]] = []

    class Manager(AsyncKernelManager):
        """Starts kernels that end with this process."""

        async def _async_start_kernel(self, **given: Any) -> None:
            await super()._async_start_kernel(**given | {"env": {**os.environ, **environment}})
            started.append(self.provisioner.process)

        start_kernel = _async_start_kernel

        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            command = super().format_kernel_cmd(extra_arguments)
            if sys.platform != "linux":
                return command
            return [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *command]

    try:
        yield Manager
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait()
