"""How long it takes to start: imports and the help of the command line, in fresh processes.

    python benchmarks/startup.py [--repeats 10]

Each line is a process of its own, started in turn with all others. ``beyond torch`` is its time
less that of ``import torch`` in the same turn: what the package itself adds. Whether torch was
imported is looked up in ``sys.modules``. Writes ``book/results/startup.csv``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import measuring

HELP = "import sys; from asgml_core.cli import main; sys.argv[0] = 'asgml'\n"
HELP += "try: main({!r})\nexcept SystemExit: pass\n"
#: What is started, by what it is called in the table.
STARTS = {
    "python alone": "pass",
    "import numpy": "import numpy",
    "import torch": "import torch",
    "import asgml_core": "import asgml_core",
    "import asgml_core.modulators": "import asgml_core.modulators",
    "import asgml_core.runs": "import asgml_core.runs",
    "asgml --help": HELP.format(["--help"]),
    "asgml run --help": HELP.format(["run", "--help"]),
    "asgml runs": HELP.format(["runs"]),
}
LOOK = "\nimport sys; print('torch' in sys.modules)"


def start(code: str) -> str:
    """Run code in a fresh process and return what it printed."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("--repeats", type=int, default=10, help="of each (default: 10)")
    given = parser.parse_args()
    writer = measuring.Writer("startup", given)
    calls: dict[str, Callable[[], Any]] = {name: partial(start, c) for name, c in STARTS.items()}
    times = measuring.in_turn(calls, given.repeats)
    rows = []
    for name, taken in times.items():
        beyond = [t - torch for t, torch in zip(taken, times["import torch"], strict=True)]
        imported = start(STARTS[name] + LOOK).splitlines()[-1] == "True"
        rows.append(
            {
                "what": name,
                "n": len(taken),
                **measuring.spread(
                    "times python alone", measuring.ratios(taken, times["python alone"])
                ),
                **measuring.spread("seconds", taken),
                **measuring.spread("seconds beyond torch", beyond if imported else []),
                "torch imported": imported,
            }
        )
    writer.write("startup", rows)


if __name__ == "__main__":
    main()
