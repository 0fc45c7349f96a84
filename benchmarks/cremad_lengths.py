"""How long CREMA-D's sounds are, and what repeating them to three seconds does.

    GIT_LFS_SKIP_SMUDGE=1 git clone --depth 1 https://github.com/CheyneyComputerScience/CREMA-D.git
    python benchmarks/cremad_lengths.py --source CREMA-D

Only the sizes of the files in ``AudioWAV`` are read (16000 samples a second, two bytes each, 44
bytes of header), so the pointers of git-lfs that the first command fetches are enough. Writes
``book/results/cremad_lengths.csv``, and ``cremad_disk.csv`` with the size of each folder.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from asgml_core import results, tables
from asgml_core.preparing.spectrograms import LogSpectrogram
from asgml_core.provenance import provenance

BYTES_A_SECOND, HEADER = 2 * 16000, 44
POINTER = re.compile(rb"version https://git-lfs.*^size (\d+)$", re.DOTALL | re.MULTILINE)


def size_of(file: Path) -> int:
    """Return the size of a file, or of the one that a git-lfs pointer stands for."""
    size = file.stat().st_size
    pointer = POINTER.match(file.read_bytes()) if size < 1024 else None
    return int(pointer[1]) if pointer else size


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="holds AudioWAV")
    given = parser.parse_args()
    started = time.perf_counter()
    folders = {
        name: [size_of(file) for file in sorted((given.source / name).glob("*.*"))]
        for name in ("VideoFlash", "AudioWAV", "AudioMP3")
    }
    if not folders["AudioWAV"]:
        sys.exit(f"{given.source} has no files in AudioWAV.")
    seconds = (np.array(folders["AudioWAV"]) - HEADER) / BYTES_A_SECOND
    lengths = pd.DataFrame([tables.repeats(seconds, LogSpectrogram().seconds)]).round(2)
    disk = pd.DataFrame(
        [{"folder": n, "files": len(f), "GB": round(sum(f) / 1e9, 2)} for n, f in folders.items()]
    )
    command = "python benchmarks/cremad_lengths.py --source CREMA-D"
    said = {"command": command, **provenance("cpu", 1)}
    said["wall_time"] = round(time.perf_counter() - started, 1)
    for name, table in (("cremad_lengths", lengths), ("cremad_disk", disk)):
        print(table.to_string(index=False))
        print(results.write(name, table, said))


if __name__ == "__main__":
    main()
