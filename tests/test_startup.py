"""Nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"torch", "torchvision", "numpy", "pandas", "matplotlib", "seaborn", "tensorboard"}

ALL_HELP = """
import argparse, contextlib, io, json, sys
from asgml_core import cli

def below(parser, path=()):
    yield path
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, one in action.choices.items():
                yield from below(one, (*path, name))

paths = list(below(cli._parser()))
for path in paths:
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        cli.main([*path, "--help"])
    assert said.getvalue().startswith("usage: asgml"), path
print(json.dumps([paths, sorted(sys.modules)]))
"""


def printed_by(code: str) -> list:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_help_imports_anything_heavy() -> None:
    paths, modules = printed_by(ALL_HELP)
    assert [] in paths
    for path in (["run"], ["data", "verify"], ["data", "prepare", "cremad"], ["book"]):
        assert path in paths
    assert not HEAVY & set(modules)


def test_importing_the_package_alone_imports_nothing_heavy() -> None:
    modules = printed_by("import json, sys, asgml_core; print(json.dumps(sorted(sys.modules)))")
    assert not HEAVY & set(modules)
