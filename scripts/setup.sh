#!/bin/sh
# Find a suitable Python and hand over to setup.py. Plain sh, because there may be no Python yet.
# The environment may hold PYTHON (the Python to use) and NEED_GB (see setup.py).

cd "${0%/*}/.." || exit 1

fail() {
    echo "setup: $1" >&2
    exit 1
}

# Sets `version` to what the command says about itself, empty when it does not run: a version
# manager may leave a python3.12 on the path that only prints a complaint.
ask() {
    version=$("$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || version=
}

# Sets `verdict` for `version`.
judge() {
    case $version in
        3.11.* | 3.12.* | 3.13.*) verdict=suitable ;;
        3.1[4-9].* | 3.[2-9][0-9].* | [4-9].*) verdict="too new" ;;
        *) verdict="too old" ;;
    esac
}

if [ -n "${PYTHON:-}" ]; then
    ask "$PYTHON"
    [ -n "$version" ] || fail "PYTHON=$PYTHON does not run: name a Python 3.11, 3.12 or 3.13."
    judge
    [ "$verdict" = suitable ] ||
        fail "PYTHON=$PYTHON is Python $version, $verdict: name a Python 3.11, 3.12 or 3.13."
    exec "$PYTHON" scripts/setup.py
fi

# An environment that is already there keeps its Python.
found=
for candidate in .venv/bin/python python3 python3.12 python3.13 python3.11; do
    ask "$candidate"
    [ -n "$version" ] || continue
    judge
    [ "$verdict" != suitable ] || exec "$candidate" scripts/setup.py
    found=${found:-"Python $version ($candidate) is $verdict"}
done

[ -n "$found" ] || fail "no Python found: install Python 3.11, 3.12 or 3.13 (Debian, Ubuntu: apt install python3 python3-venv)."
fail "$found: install Python 3.11, 3.12 or 3.13, or name one: make setup PYTHON=/path/to/python3.12"
