"""One GPU: whether all is right on it, and how fast; for a machine that is there for minutes.

    python benchmarks/gpu.py [--minutes 9] [--out gpu.json] [--device cuda] [--small]

Needs torch and torchvision, and nothing else of the package's requirements. First it compares the
GPU with the CPU and every way of execution with the plain one, then it measures: a training step of
every precision and execution, whole epochs, every method's step, and several runs at once. Data are
drawn on the device in the shapes of CREMA-D: 6698 training and 744 test clips, one frame of 360 x
480 x 3 bytes and a spectrogram of 257 x 188 each.

Each section is a process of its own with a time limit, so that an error or a hang in one does not
lose the others; what it found so far is always in its file, and is joined to ``--out`` when it
ends. A section that no longer fits is left out. Times are n, median and quartiles. The exit status
is 1 if anything failed. ``--small --device cpu`` tries the script on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
try:
    import yaml  # noqa: F401
except ModuleNotFoundError:  # a manifest of arrays needs it, which nothing here reads
    sys.modules["yaml"] = types.ModuleType("yaml")

#: The sections in order, and the seconds of each.
PLAN = {
    "device": 25,
    "correctness": 125,
    "sync": 30,
    "steps": 130,
    "run": 70,
    "methods": 55,
    "several": 70,
    "study": 10,
}
#: The sections that measure no time; beside them, what is measured later is compiled.
COMPARING = ("correctness", "sync")
DONE, NO_TIME, NEEDS_CUDA = "done", "left out: no time", "needs CUDA"
#: Seconds kept for the end, and for a section to notice that its time is over.
RESERVE, GRACE = 8, 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="in all (default: 9)")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="(default: gpu.json)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="(default: cuda)")
    parser.add_argument("--small", action="store_true", help="tiny shapes, for a trial")
    parser.add_argument("--sections", nargs="+", choices=PLAN, default=list(PLAN), help="(all)")
    parser.add_argument("--section", choices=[*PLAN, "compiled"], help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--part", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.section:
        return run_section(given)
    return run_all(given)


# ---------------------------------------------------------------------- one section


def run_section(given: argparse.Namespace) -> int:
    """Do one section in this process; 1 if a part of it failed."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(max(given.seconds - 1, 1))  # shows where it hangs
    from gpu_parts import checks, common, machine, several, speed

    work = {
        "device": machine.device,
        "compiled": speed.compiled,
        "correctness": checks.correctness,
        "sync": checks.sync,
        "steps": speed.steps,
        "run": speed.run,
        "methods": speed.methods,
        "several": several.several,
        "study": several.study,
    }
    earlier = {}
    if given.out.exists():
        sections = json.loads(given.out.read_text(encoding="utf-8"))["sections"]
        earlier = {name: said.get("results", {}) for name, said in sections.items()}
    section = common.Section(given.device, given.small, given.seconds - GRACE, given.part, earlier)
    section.write()
    work[given.section](section)
    section.write()
    faulthandler.cancel_dump_traceback_later()
    return 1 if section.failures else 0


# ---------------------------------------------------------------------- all of them


def run_all(given: argparse.Namespace) -> int:
    """Do the sections one after the other, each in a process; 1 if any failed."""
    end = time.monotonic() + 60 * given.minutes - RESERVE
    trial = " --small" if given.small else ""
    said = {
        "format": 1,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **_code(),
        "command": f"python benchmarks/gpu.py --minutes {given.minutes:g} --device {given.device}"
        + trial,
        "sections": {},
    }
    _write(given.out, said)
    planned = [name for name in PLAN if name in given.sections]
    beside = None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for i, name in enumerate(planned):
            if name in COMPARING and beside is None:
                seconds = sum(PLAN[other] for other in planned if other in COMPARING)
                beside = Process("compiled", seconds, given, Path(folder))
            elif name not in COMPARING and beside is not None:
                said["sections"]["compiled"] = beside.end()
                beside = None
                _write(given.out, said)  # the next section reads it
            left = end - time.monotonic()
            later = sum(PLAN[other] for other in planned[i + 1 :])
            if left < PLAN[name]:
                said["sections"][name] = {"status": NO_TIME}
            else:  # what earlier sections left over is there for the next
                seconds = max(PLAN[name], left - later)
                said["sections"][name] = Process(name, seconds, given, Path(folder)).wait()
            _write(given.out, said)
            print(f"{name}: {said['sections'][name]['status']}", flush=True)
        if beside is not None:
            said["sections"]["compiled"] = beside.end()
            _write(given.out, said)
    print_table(said)
    good = (DONE, NO_TIME, NEEDS_CUDA)
    return 0 if all(section["status"] in good for section in said["sections"].values()) else 1


def _code() -> dict[str, Any]:
    from asgml_core.provenance import code_fingerprint, git_commit

    return {"commit": git_commit(), "code": code_fingerprint()}


def _write(path: Path, said: dict[str, Any]) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(said, indent=1), encoding="utf-8")
    os.replace(new, path)


class Process:
    """A section at work in a process group of its own.

    Args:
        name: of the section.
        seconds: after which it is stopped.
        given: the arguments.
        folder: for its file, its log, and what is compiled.
    """

    def __init__(self, name: str, seconds: float, given: argparse.Namespace, folder: Path) -> None:
        self.seconds = seconds
        self.part, self.log = folder / f"{name}.json", folder / f"{name}.log"
        command = [sys.executable, __file__, "--section", name, "--seconds", f"{seconds:.1f}"]
        command += ["--part", str(self.part), "--out", str(given.out), "--device", given.device]
        command += ["--small"] if given.small else []
        self.started = time.monotonic()
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=_environment(folder),
                start_new_session=True,
            )

    def wait(self) -> dict[str, Any]:
        """Wait until it is done or its time is over, and return what it found."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            left = self.seconds - (time.monotonic() - self.started)
            self.process.wait(timeout=max(left, 0))
        code = self.process.poll()
        _end(self.process)
        found = self._found()
        said = {"status": DONE, "seconds": round(time.monotonic() - self.started, 1)}
        if code is None:
            said["status"] = f"stopped after {self.seconds:.0f} s"
        elif code != 0 or found["failures"]:
            said["status"] = "failed"
        elif found["results"] and all(v == NEEDS_CUDA for v in found["results"].values()):
            said["status"] = NEEDS_CUDA
        lines = [line[:300] for line in self.log.read_text(errors="replace").splitlines()]
        if said["status"] not in (DONE, NEEDS_CUDA):
            said["exit status"] = code
            said["error"] = "\n".join(lines[-30:])
        elif lines:  # warnings
            said["log"] = lines[-20:]
        return {**said, **found}

    def end(self) -> dict[str, Any]:
        """End it wherever it is, which is no failure, and return what it found."""
        if self.process.poll() is not None:
            return self.wait()
        _end(self.process)
        seconds = round(time.monotonic() - self.started, 1)
        return {"status": DONE, "seconds": seconds, "ended": True, **self._found()}

    def _found(self) -> dict[str, Any]:
        if not self.part.exists():
            return {"results": {}, "failures": []}
        return json.loads(self.part.read_text(encoding="utf-8"))


def _end(process: subprocess.Popen) -> None:
    """End a section's process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a section: what it compiles is found again by the next ones."""
    return {
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TRITON_CACHE_DIR": str(folder / "triton"),
        **os.environ,
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PYTHONUNBUFFERED": "1",
    }


# ---------------------------------------------------------------------- the table


def print_table(said: dict[str, Any]) -> None:
    """Print a line for every quantity and every check."""
    for name, section in said["sections"].items():
        print(f"\n{name}: {section['status']}, {section.get('seconds', 0)} s")
        if section.get("error", "").strip():
            print("    " + section["error"].splitlines()[-1][:150])
        for part, found in section.get("results", {}).items():
            for line in _lines(part, found):
                print(f"  {line}")


def _lines(name: str, found: Any) -> list[str]:
    if not isinstance(found, dict):
        return [f"{name}: {_short(found)}"]
    if "median" in found:
        low, high = found["low"], found["high"]
        return [f"{name}: {found['median']:.4g} ({low:.4g} to {high:.4g}, n {found['n']})"]
    if "error" in found:
        return [f"{name}: FAILED: {found['error'].splitlines()[-1][:110]}"]
    lines = [f"{name}: {'ok' if found['ok'] else 'FAILED'}"] if "ok" in found else []
    for key, value in found.items():
        if isinstance(value, dict):
            lines += _lines(f"{name}, {key}", value)
        elif isinstance(value, (int, float, str)) and key not in ("ok", "seconds spent"):
            if "ok" in found:
                lines[0] += f", {key} {_short(value)}"
            else:
                lines.append(f"{name}, {key}: {_short(value)}")
    return lines


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:80]


if __name__ == "__main__":
    raise SystemExit(main())
