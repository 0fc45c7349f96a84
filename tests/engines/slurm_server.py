"""A Slurm of one node on this machine, with its own folder, ports and key; nothing is left of it.

It needs Linux, root, and ``apt install slurm-wlm munge``; :class:`NoServer` says what is missing.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

#: Seconds that a daemon may take to come up, and to go.
PATIENCE = 30.0
PROGRAMS = (
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "srun",
    "squeue",
    "scancel",
    "scontrol",
    "sinfo",
    "setpriv",
)
DAEMONS = 3
CONF = """\
ClusterName=asgml
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A requeued job starts again when its old credential has expired: after 120 s, or 5 s at least.
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2,sched_min_interval=0
SlurmdParameters=config_overrides
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=300
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=tests Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


class NoServer(RuntimeError):
    """No Slurm can be had here; the message says why, and what would help."""


@contextlib.contextmanager
def slurm_server(cpus: int = 2) -> Iterator[Path]:
    """Run a Slurm of one node, and give its ``slurm.conf``, which is ``SLURM_CONF`` meanwhile.

    Args:
        cpus: of the node, at least 1; Slurm does not look how many there are.

    Raises:
        NoServer: when it cannot be had.
    """
    _check()
    folder = Path(tempfile.mkdtemp(prefix="asgml-slurm-"))
    daemons: list[subprocess.Popen] = []
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    try:
        _write(folder, cpus)
        for name, command, ready in _daemons(folder):
            daemons.append(_start(name, command, folder))
            _wait(name, daemons[-1], ready, folder)
        yield folder / "slurm.conf"
    finally:
        if len(daemons) == DAEMONS:
            _empty()
        for daemon in reversed(daemons):
            _end(daemon)
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before
        shutil.rmtree(folder, ignore_errors=True)


def alive() -> list[str]:
    """Return the jobs that wait or are at work, one line each."""
    return _said("squeue", "--noheader", "--array", "--format=%i %T").splitlines()


def _check() -> None:
    if os.geteuid() != 0:
        raise NoServer("a Slurm of one's own needs root")
    if missing := [name for name in PROGRAMS if _which(name) is None]:
        raise NoServer(f"no {', '.join(missing)} here: apt install slurm-wlm munge")
    try:
        pwd.getpwnam("munge")
    except KeyError:
        raise NoServer("there is no user munge here: apt install munge") from None


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _write(folder: Path, cpus: int) -> None:
    folder.chmod(0o755)  # munged is another user
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    for path in (key, key.parent):
        shutil.chown(path, "munge", "munge")
    host = socket.gethostname().partition(".")[0]
    ctld_port, slurmd_port = _free_ports(2)
    values = {"host": host, "folder": folder, "cpus": cpus}
    text = CONF.format(**values, ctld_port=ctld_port, slurmd_port=slurmd_port)
    (folder / "slurm.conf").write_text(text)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(socket.socket()) for _ in range(count)]
        for place in places:
            place.bind(("127.0.0.1", 0))
        return [place.getsockname()[1] for place in places]


def _daemons(folder: Path) -> list[tuple[str, list[str], Callable[[], bool]]]:
    """Return each daemon's name, its command, and what tells that it is up."""
    munge, conf = folder / "munge", folder / "slurm.conf"
    munged = [
        *("setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", "--pdeathsig=TERM"),
        *(_which("munged") or "", "--foreground", f"--key-file={munge}/key"),
        *(f"--socket={munge}/socket", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed"),
    ]
    others = {
        name: ["setpriv", "--pdeathsig=TERM", _which(name) or "", "-D", "-f", str(conf)]
        for name in ("slurmctld", "slurmd")
    }
    return [
        ("munged", munged, (munge / "socket").exists),
        ("slurmctld", others["slurmctld"], lambda: "UP" in _said("scontrol", "ping")),
        ("slurmd", others["slurmd"], lambda: "idle" in _said("sinfo", "--noheader", "-o", "%t")),
    ]


def _start(name: str, command: list[str], folder: Path) -> subprocess.Popen:
    # A session of its own: a Ctrl-C in the terminal is for the tests, which then end the daemon.
    # setpriv lets it end with this process, should that be killed.
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )


def _wait(name: str, daemon: subprocess.Popen, ready: Callable[[], bool], folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not ready():
        if daemon.poll() is not None or time.monotonic() > until:
            ended = "did not come up" if daemon.poll() is None else f"ended ({daemon.poll()})"
            log = (folder / f"{name}.log").read_text(errors="replace")
            raise NoServer(f"{name} {ended}; the end of its log: {log[-800:].strip()}")
        time.sleep(0.1)


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    return done.stdout


def _empty() -> None:
    """Cancel every job, and wait until none is left."""
    _said("scancel", "--signal=KILL", "--full", f"--user={pwd.getpwuid(os.geteuid()).pw_name}")
    _said("scancel", f"--user={pwd.getpwuid(os.geteuid()).pw_name}")
    until = time.monotonic() + PATIENCE
    while alive() and time.monotonic() < until:
        time.sleep(0.2)


def _end(daemon: subprocess.Popen) -> None:
    daemon.terminate()
    try:
        daemon.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
