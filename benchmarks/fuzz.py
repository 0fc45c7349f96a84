"""Whether anything unsafe is read: harmed files of every kind, and how each was met.

    python benchmarks/fuzz.py --examples 2000 --seed 0

Every example is a good file or folder, harmed: bytes changed, values replaced, headers that lie,
archives that unpack to more, links that lead elsewhere. It has to be read, or to be refused in one
sentence that names the file; nothing may be run, written elsewhere, or take long. A summary is
printed as JSON; the exit status is 1 when an example ended in any other way. An example is made
again by its number: ``--kind cache --seed 270 --examples 1``. How the files are harmed stands in
``tests/reading``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests" / "reading")]

import kinds  # noqa: E402


def summary(examples: int, seed: int, names: list[str]) -> dict[str, Any]:
    """Return what became of the examples, which are shared out evenly between the kinds."""
    by_kind: Counter[str] = Counter()
    by_outcome: dict[str, Counter[str]] = {name: Counter() for name in names}
    longest: dict[str, Any] = {"seconds": 0.0}
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(examples):
            name, one = names[number % len(names)], seed + number // len(names)
            by_kind[name] += 1
            for door, outcome in kinds.example(name, one, Path(folder)).items():
                by_outcome[name][outcome.said] += 1
                if outcome.seconds > longest["seconds"]:
                    seconds = round(outcome.seconds, 3)
                    longest = {"seconds": seconds, "kind": name, "seed": one, "door": door}
                if outcome.wrong:
                    said = outcome.wrong.replace(folder, "")
                    wrong.append({"kind": name, "seed": one, "door": door, "what": said})
    return {
        "examples": examples,
        "seed": seed,
        "by_kind": dict(by_kind),
        "by_outcome": {name: dict(counts) for name, counts in by_outcome.items()},
        "longest": longest,
        "wrong": wrong,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=2000, help="how many, of all kinds")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first example")
    parser.add_argument("--kind", choices=list(kinds.KINDS), help="one kind alone")
    parsed = parser.parse_args()
    names = [parsed.kind] if parsed.kind else list(kinds.KINDS)
    found = summary(parsed.examples, parsed.seed, names)
    print(json.dumps(found, indent=1))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
