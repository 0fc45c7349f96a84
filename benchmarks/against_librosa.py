"""How far our spectrograms are from librosa's, on the sounds of a download of CREMA-D.

    python benchmarks/against_librosa.py --source DIR [--files 100]

``DIR`` holds ``AudioWAV``, ``AudioMP3`` or both. For each sound the usual recipe (librosa: load at
22050 Hz, repeat, cut, clip, transform, logarithm) is compared with ours, sample by sample and value
by value. Writes ``book/results/against_librosa.csv``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import time
from pathlib import Path

import librosa
import numpy as np
import pandas as pd

from asgml_core import results
from asgml_core.preparing.media import read_audio
from asgml_core.preparing.spectrograms import EPSILON, LogSpectrogram
from asgml_core.provenance import provenance


def compared(file: Path, ours: LogSpectrogram) -> tuple[np.ndarray, np.ndarray]:
    """Return the absolute differences of samples and of spectrogram values."""
    loaded, _ = librosa.load(file, sr=ours.rate)
    tiled = np.tile(loaded, -(-ours.length // len(loaded)))[: ours.length].clip(-1.0, 1.0)
    theirs = librosa.stft(tiled, n_fft=ours.n_fft, hop_length=ours.hop)
    waveform = ours.waveform(read_audio(file))
    values = ours([waveform])[0, 0] - np.log(np.abs(theirs) + EPSILON)
    return np.abs(waveform - tiled), np.abs(values)


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="AudioWAV, AudioMP3 or both")
    parser.add_argument("--files", type=int, default=100, help="of each (default: 100)")
    given = parser.parse_args()
    started, rows, ours = time.perf_counter(), [], LogSpectrogram()
    for folder in ("AudioWAV", "AudioMP3"):
        files = sorted((given.source / folder).glob("*.*"))[: given.files]
        if not files:
            continue
        samples, values = map(
            np.concatenate,
            zip(*([d.ravel() for d in compared(f, ours)] for f in files), strict=True),
        )
        rows.append(
            {
                "folder": folder,
                "files": len(files),
                "samples differ by": f"{samples.max():.1e}",
                "values differ by": f"{values.max():.1e}",
                "999 of 1000 values by": f"{np.quantile(values, 0.999):.1e}",
            }
        )
    if not rows:
        sys.exit(f"{given.source} has no sounds in AudioWAV or AudioMP3.")
    said = {
        "command": "python benchmarks/against_librosa.py --source DIR",
        "librosa": importlib.metadata.version("librosa"),
        **provenance("cpu", 1),
        "wall_time": round(time.perf_counter() - started, 1),
    }
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    print(results.write("against_librosa", table, said))


if __name__ == "__main__":
    main()
