"""Who is at work on what, and how it ended: one small file, held by a lock while somebody is.

The system takes the lock back when its holder dies, however it dies, so that a claim is never left
over and no clock decides anything. The file is written in place, without asking for more disk than
it has: a full disk can still be told.

Locks are those of ``flock``. On a network folder they hold between machines where its server knows
them, as NFS version 4 does.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asgml_core.checks import AsgmlError
from asgml_core.files import WriteError, sync_folder

STATE = "state.json"
#: Bytes of the file, from its first moment: one page, which a killed process cannot half write.
SIZE = 4096
#: Bytes of a text in it; the rest of the page is for the other values.
LONGEST = 2400
#: How an attempt can end, as the file says it; ``running`` without a holder is a process that died.
STATES = ("running", "done", "stopped", "failed", "diverged")
#: Somebody who only looks holds the lock for some microseconds.
TRIES, PAUSE = 5, 0.02


class BusyError(AsgmlError, RuntimeError):
    """Something that another process is at work on."""


class Terminated(KeyboardInterrupt):
    """A request to end from outside (SIGTERM), handled as Ctrl-C is."""


class Claim:
    """Something held by this process, and what its file says of it.

    Args:
        path: the file.
        handle: of the open and locked file.
        sweep: the sweep at work; empty for none.
    """

    def __init__(self, path: Path, handle: int, sweep: str) -> None:
        self.path = path
        self._handle = handle
        self._said: dict[str, Any] = {}
        #: What the holder before this one left in the file.
        self.before = _parse(os.pread(handle, SIZE, 0))
        died = self.before.get("state") == "running" and self.before.get("sweep") == sweep
        #: Holders in a row, in this sweep, that died without a word and had come no further.
        self.deaths = self.before.get("deaths", 0) + 1 if died else 0
        self._holder = {"sweep": sweep, "host": socket.gethostname(), "pid": os.getpid()}

    def begin(self, epochs: int, key: str) -> None:
        """Say that work begins; what was said before is forgotten.

        Args:
            epochs: how long it is.
            key: the hash of what decides its result.

        Raises:
            WriteError: when the file cannot be written.
        """
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())  # for people to read
        self._said = {**self._holder, "key": key, "deaths": self.deaths, "began": began}
        self._said |= {"epoch": 0, "epochs": epochs}
        self.say(state="running")

    def say(self, *, durable: bool = True, **values: Any) -> None:
        """Add values to what the file says.

        Args:
            durable: wait until they are on disk.
            values: plain values by name; a long text is cut.

        Raises:
            WriteError: when the file cannot be written.
        """
        self._said |= {k: _cut(v) if isinstance(v, str) else v for k, v in values.items()}
        self._write(json.dumps(self._said).encode(), durable)

    def _write(self, text: bytes, durable: bool = True) -> None:
        try:
            os.pwrite(self._handle, text.ljust(SIZE - 1) + b"\n", 0)
            if durable:
                os.fsync(self._handle)
        except OSError as error:
            raise WriteError(f"{self.path} could not be written ({error.strerror}).") from error

    def forget(self) -> None:
        """Let the file say nothing, as before the first attempt.

        Raises:
            WriteError: when the file cannot be written.
        """
        self._write(b"")

    def check(self) -> None:
        """Check that the file is still at its path: nobody else is kept out by one that is not.

        Raises:
            WriteError: when it was removed or renamed, or a folder above it.
        """
        with contextlib.suppress(OSError):  # of a network folder that is gone
            if _is_at(self._handle, self.path):
                return
        raise WriteError(f"{self.path} is gone: it was removed or moved while work went on.")

    def resumed(self, epoch: int) -> None:
        """Say from which epoch work goes on; coming further than the holder before ends a row."""
        if epoch > self.before.get("resumed", -1):
            self.deaths = 0
        self.say(resumed=epoch, epoch=epoch, deaths=self.deaths)

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Say how the work inside ended.

        An error may carry a ``state``, a mapping of what to say, such as ``{"state": "diverged"}``.
        """
        try:
            yield
        except BaseException as error:
            name = "" if isinstance(error, AsgmlError) else f"{type(error).__name__}: "
            said = {"state": "failed", "reason": f"{name}{error}"}
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                asked = "SIGTERM" if isinstance(error, Terminated) else "Ctrl-C"
                said = {"state": "stopped", "reason": f"stopped by {asked}"}
            try:
                self.say(**said | dict(getattr(error, "state", {})))
            except WriteError as lost:
                error.add_note(str(lost))  # such as of a network folder that is gone
            raise
        self.say(state="done")


@contextlib.contextmanager
def claim(path: Path, sweep: str = "") -> Iterator[Claim]:
    """Hold a file, and what it stands for, for this process.

    Args:
        path: the file; its folder is made if needed.
        sweep: the sweep at work.

    Raises:
        BusyError: when another process holds it.
        WriteError: when it cannot be made.
    """
    try:
        handle = _lock(path)
    except BlockingIOError as error:
        is_run = path.name == STATE
        what, it = (path.parent, "this run") if is_run else (path, "it")
        raise BusyError(f"{what}: another process is at work on {it}.") from error
    except OSError as error:
        raise WriteError(f"{path} could not be made ({error.strerror}).") from error
    try:
        yield Claim(path, handle, sweep)
    finally:
        with contextlib.suppress(OSError):  # a network folder that is gone; the lock is, too
            os.close(handle)


def _lock(path: Path) -> int:
    for attempt in range(TRIES):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, path):
                if os.fstat(handle).st_size < SIZE:
                    os.pwrite(handle, b"\n".rjust(SIZE), 0)
                    sync_folder(path.parent)
                return handle
        except BlockingIOError:
            if attempt == TRIES - 1:
                os.close(handle)
                raise
            time.sleep(PAUSE)
        except OSError:
            os.close(handle)
            raise
        os.close(handle)
    raise BlockingIOError


def _is_at(handle: int, path: Path) -> bool:
    """Return whether a file is still the one at its path, and not one removed in between."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def is_held(path: Path) -> bool:
    """Return whether a process holds the file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def read_state(path: Path) -> dict[str, Any]:
    """Return what a file says; empty where there is none, or nothing that can be understood."""
    try:
        # Not waiting for whoever may write into a pipe that was put there.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return {}
    try:
        return _parse(os.pread(handle, SIZE, 0))
    except OSError:
        return {}
    finally:
        os.close(handle)


#: The values that decisions depend on.
_TYPES: Mapping[str, type] = {
    "state": str, "key": str, "sweep": str, "host": str, "pid": int, "began": str, "reason": str,
    "deaths": int, "resumed": int, "epoch": int, "epochs": int, "step": int,
}  # fmt: skip


def _parse(content: bytes) -> dict[str, Any]:
    """Return what a page says; a value of the wrong type is left out, as if it had not been said.

    A page that a dying machine half wrote says nothing: the checkpoint beside it decides.
    """
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(said, dict) or said.get("state") not in STATES:
        return {}
    return {name: value for name, value in said.items() if type(value) is _TYPES.get(name)}


def _cut(text: str) -> str:
    content = text.encode(errors="replace")
    if len(json.dumps(text)) <= LONGEST:
        return text
    return content[: LONGEST // 6].decode(errors="ignore") + " ..."
