"""A watch over what code does to the machine while it reads files that are not to be trusted."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The longest an example may take, in seconds, and what it may add to the memory used, in bytes.
SECONDS, BYTES = 5.0, 1 << 30
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = (
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate",
    "os.chmod", "os.chown", "os.utime", "shutil.copyfile", "shutil.move", "shutil.rmtree",
)  # fmt: skip
_RUNNING = (
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile",
    "pickle.find_class", "socket.", "ctypes.dlopen", "urllib.Request",
)  # fmt: skip
_LIBRARIES = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]))


@dataclass
class Watch:
    """What was seen while one example was read."""

    folder: str
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    bytes: int = 0

    def see(self, event: str, args: tuple[Any, ...]) -> None:
        """Note an event that reading has no use for."""
        if event == "open":
            path, _, flags = args
            if not isinstance(path, int) and flags & _WRITING and not self._is_inside(path):
                self.wrong.append(f"open {path!r} to write")
        elif event in _CHANGING:
            paths = [one for one in args if isinstance(one, (str, bytes, os.PathLike))]
            if not all(map(self._is_inside, paths)):
                self.wrong.append(f"{event} {args!r}")
        elif event.startswith(_RUNNING):
            self.wrong.append(f"{event} {args!r}"[:300])
        elif event == "exec":
            self._see_code(args[0].co_filename)
        elif event == "compile":
            self._see_code(str(args[1]))

    def _see_code(self, file: str) -> None:
        # "<unknown>" is ast.literal_eval, which runs nothing; modules may be imported late.
        is_known = file == "<unknown>" or file.startswith(("<frozen", *_LIBRARIES))
        if not is_known and not _is_importing():
            self.wrong.append(f"code of {file}")

    def _is_inside(self, path: Any) -> bool:
        place = os.path.realpath(os.fsdecode(path))
        return place == self.folder or place.startswith(self.folder + os.sep)


def _is_importing() -> bool:
    """Return whether a module is being imported; some make code of their own, as dataclasses do."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


_active: list[Watch] = []
_hooked: list[bool] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _active:
        watch = _active.pop()  # what the watch itself does is not watched
        try:
            watch.see(event, args)
        finally:
            _active.append(watch)


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[Watch]:
    """Watch what is done; code may write below ``folder`` alone."""
    if not _hooked:  # a hook stays for the life of the process
        sys.addaudithook(_hook)
        _hooked.append(True)
    watch = Watch(os.path.realpath(folder))
    before, started = _peak(), time.perf_counter()
    _active.append(watch)
    try:
        yield watch
    finally:
        _active.remove(watch)
        watch.seconds = time.perf_counter() - started
        watch.bytes = _peak() - before


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
