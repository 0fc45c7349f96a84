"""Make `.venv` and install the project into it, or do nothing when that is done already.

Run by `setup.sh`, which finds a suitable Python. Standard library only: nothing else is there yet.
Every problem that a user can have is told in one line; pip's own words are kept in a file.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STATE = VENV / ".setup-state"
LOG = VENV / "setup.log"
LOCK = "requirements.lock"
EXTRAS = "book,video,cluster,dev,examples"
UNFINISHED = {"unfinished": True}
# Measured on Linux, where torch brings CUDA along: 7.4 GB installed and 2.8 GB of downloads, which
# pip keeps in its cache a second time if it may.
NEED_GB, CACHE_GB = (10.5, 3.0) if sys.platform == "linux" else (3.3, 1.1)

# Retries that ran out, or an error that names the connection.
NO_NETWORK = re.compile(
    r"Retry\(total=0|^ERROR:.*(Connection|Timeout|timed out|NameResolution|Proxy|SSL|Max retries)",
    re.MULTILINE,
)


def say(text: str) -> None:
    """Tell the user what is going on."""
    print(f"setup: {text}", flush=True)


def fail(text: str) -> NoReturn:
    """Stop with one line."""
    sys.exit(f"setup: {text}")


def main() -> None:
    """Bring `.venv` up to date."""
    os.chdir(ROOT)
    with alone():
        reason = why_anew()
        if reason:
            create(reason)
        elif read_state() == wanted_state():
            say(f".venv is up to date (Python {full_version()})")
            return
        else:
            say("installing what pyproject.toml and requirements.lock ask for into .venv")
        install()


@contextlib.contextmanager
def alone():
    """Hold a lock, so that two calls at once do not write into the same environment."""
    with Path(__file__).open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another setup is running here; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# --- What is there, and what should be ---------------------------------------------------------


def full_version() -> str:
    """This Python's version, 3.12.1."""
    return ".".join(map(str, sys.version_info[:3]))


def short_version() -> str:
    """This Python's version without the patch level, which does not matter to an environment."""
    return ".".join(map(str, sys.version_info[:2]))


def wanted_state() -> dict:
    """What `STATE` holds once all is done."""
    inputs = hashlib.sha256(EXTRAS.encode())
    for name in ("pyproject.toml", LOCK):
        inputs.update((ROOT / name).read_bytes())
    # The commands in .venv/bin name the folder they were made in, so it belongs to the state.
    return {"python": short_version(), "folder": str(ROOT), "inputs": inputs.hexdigest()}


def read_state() -> dict | None:
    """What an earlier call left; None for an environment that this script did not make."""
    try:
        return json.loads(STATE.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        return UNFINISHED


def write_state(state: dict | None) -> None:
    """Write to a temporary name and rename, so that the file is never half there."""
    if state is None:
        STATE.unlink()
        return
    new = STATE.with_suffix(".tmp")
    new.write_text(json.dumps(state))
    new.replace(STATE)


def venv_version() -> str | None:
    """The version of the environment's Python; None when it does not start."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [VENV_PYTHON, "-c", code], check=False, capture_output=True, text=True
        )
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def why_anew() -> str | None:
    """Say why `.venv` must be made from nothing; None when it can stay."""
    if not os.path.lexists(VENV):
        return f"making .venv with Python {full_version()}; this takes a few minutes"
    version = venv_version()
    state = read_state() or {}
    if version is None:
        return ".venv is broken, its Python does not start; making it anew"
    if version != short_version():
        return f".venv was made with Python {version}, not {short_version()}; making it anew"
    if state == UNFINISHED:
        return "the last installation did not finish; making .venv anew"
    if state and state["folder"] != str(ROOT):
        return f".venv was made for {state['folder']}; making it anew"
    return None


# --- Making it ---------------------------------------------------------------------------------


def create(reason: str) -> None:
    """Make an empty environment."""
    check_venv_module()
    clear()
    check_disk()
    say(reason)
    VENV.mkdir(exist_ok=True)
    write_state(UNFINISHED)
    # The Python below any environment that is active now, this very .venv included.
    python = getattr(sys, "_base_executable", sys.executable)
    made = subprocess.run([python, "-m", "venv", VENV], check=False, capture_output=True)
    if made.returncode != 0:
        LOG.write_bytes(made.stdout + made.stderr)
        fail(f"{python} cannot make an environment; see {LOG.relative_to(ROOT)}")


def check_venv_module() -> None:
    """Debian and Ubuntu ship Python without the part that makes environments."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        fail(
            f"Python {full_version()} cannot make environments: run `apt install python3-venv` "
            f"(or python{short_version()}-venv)"
        )


def clear() -> None:
    """Empty `.venv`, or remove what is there in its place; a link to another disk stays."""
    if VENV.is_dir():
        for path in VENV.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    else:
        VENV.unlink(missing_ok=True)


def check_disk() -> None:
    """Stop before the disk is full, not after."""
    try:
        need = float(os.environ.get("NEED_GB") or NEED_GB)
    except ValueError:
        fail(f"NEED_GB is a number of gigabytes, not {os.environ['NEED_GB']!r}")
    place = VENV if VENV.exists() else ROOT
    free = shutil.disk_usage(place).free / 1e9
    if free < need:
        fail(
            f"not enough disk space: {free:.1f} GB free in {place}, about {need:g} GB needed "
            "(NEED_GB=... changes the limit)"
        )


def install() -> None:
    """Install the project; an interruption leaves the state unfinished, a refusal of pip's not."""
    begun = time.monotonic()
    before = read_state()
    write_state(UNFINISHED)
    LOG.unlink(missing_ok=True)
    # A short first step: it fails soon where there is no network, and gives the second step a
    # known pip and the build tool, so that the build downloads nothing by itself.
    first = ["--retries", "1", "--timeout", "15", "pip", "setuptools"]
    for arguments in (first, ["--no-build-isolation", "--editable", f".[{EXTRAS}]"]):
        if pip(["install", "--no-compile", "--constraint", LOCK, *arguments]) != 0:
            write_state(before)  # pip undoes what it could not finish
            fail(explain(LOG.read_text(errors="replace")))
    compile_packages()
    write_state(wanted_state())
    seconds = time.monotonic() - begun
    say(f".venv is ready (Python {full_version()}, {seconds:.0f} s)")


def pip(arguments: list[str]) -> int:
    """Run pip quietly, its words into `LOG`; on a terminal one line shows what it is doing."""
    command = [VENV_PYTHON, "-I", "-m", "pip", *arguments, "--no-input", "--progress-bar", "off"]
    if shutil.disk_usage(VENV).free / 1e9 < NEED_GB + CACHE_GB:
        command.append("--no-cache-dir")
    # Downloads go beside the environment: /tmp may be small, and the space was checked here.
    scratch = VENV / "tmp"
    scratch.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(scratch), "PIP_USER": "0"}
    with (
        LOG.open("a", errors="replace") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout:
            log.write(line)
            show(line)
    show("")
    shutil.rmtree(scratch, ignore_errors=True)
    return process.returncode


def compile_packages() -> None:
    """Write the bytecode of all packages, on all cores; pip would do it on one."""
    command = [VENV_PYTHON, "-I", "-m", "compileall", "-qq", "-j", "0", VENV / "lib"]
    subprocess.run(command, check=False)  # some packages hold templates that are no Python


def show(line: str) -> None:
    """Overwrite the terminal's current line; nothing where the output is a file."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{line.strip()[:width]}", end="", flush=True)


def explain(log: str) -> str:
    """Put what stopped pip into one line."""
    see = f"pip's words are in {LOG.relative_to(ROOT)}"
    if "No space left on device" in log:
        return f"the disk is full; {see}"
    if NO_NETWORK.search(log):
        return f"pip cannot reach its package index (no network, or a proxy in the way); {see}"
    errors = re.findall(r"^error: (?!ResolutionImpossible)(.+)", log, re.IGNORECASE | re.MULTILINE)
    return f"pip failed: {errors[-1] if errors else 'it gave no reason'}; {see}"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        show("")
        fail("stopped; the next call starts again")
    except OSError as error:
        fail(str(error))
