"""``asgml data``: prepare, verify and show caches of real datasets, or draw a miniature of one.

The options of each dataset stand here as text, so that ``--help`` imports nothing heavy; a test
holds them equal to the signatures of the functions they are passed to.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

#: By option: type and help. A dataset takes those that are named for it in ``DATASETS``.
OPTIONS: dict[str, tuple[type, str]] = {
    "frames": (int, "how many frames to keep of a clip"),
    "choose": (str, "which frames: first, even or random"),
    "fps": (int, "consider only frames taken at this many a second"),
    "size": (str, "height x width to keep, in pixels, such as 360x480"),
    "video": (str, "the folder of the films (default: VideoFlash, else the one Image-NN-FPS)"),
    "audio": (str, "the folder of the sounds (default: AudioWAV, else AudioMP3)"),
    "splits": (Path, "the folder of the split files"),
    "mouth": (str, "the mouth's region: top,left,height,width in pixels, or auto"),
    "cut": (str, "what of a clip is used: clip (all of it) or event (the seconds of its event)"),
    "classes": (Path, "a text file of 31 class names, one a line, by class number"),
    "alignment": (str, "which of the two files: aligned or unaligned"),
    "non_finite": (str, "what NaN and infinity do: fail (the item fails) or zero (0 instead)"),
}
#: By dataset: what it is, and its options.
DATASETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cremad": (
        "CREMA-D: VideoFlash/*.flv and AudioWAV/*.wav, or their like",
        ("frames", "choose", "fps", "size", "video", "audio", "splits"),
    ),
    "grid": (
        "GRID: words of *.mpg and *.align, below folders named s1 to s34",
        ("mouth",),
    ),
    "ave": (
        "AVE: AVE/*.mp4, trainSet.txt, valSet.txt and testSet.txt",
        ("frames", "choose", "fps", "size", "cut", "splits"),
    ),
    "kinetics_sounds": (
        "Kinetics-Sounds: clips of Kinetics-400, my_train.txt and my_test.txt",
        ("frames", "choose", "fps", "size", "splits", "classes"),
    ),
    "mosei": ("CMU-MOSEI: aligned_50.pkl or unaligned_50.pkl of MMSA", ("alignment", "non_finite")),
    "mosi": ("CMU-MOSI: aligned_50.pkl or unaligned_50.pkl of MMSA", ("alignment", "non_finite")),
}


def add_data_parser(commands: Any) -> None:
    """Add ``asgml data`` to the command line."""
    data = commands.add_parser("data", help="prepare, verify and show caches of real datasets")
    actions = data.add_subparsers(required=True, metavar="ACTION")

    prepare = actions.add_parser("prepare", help="decode an official download into a cache")
    datasets = prepare.add_subparsers(required=True, metavar="DATASET")
    for name, (text, options) in DATASETS.items():
        one = datasets.add_parser(name, help=text, description=f"Prepare {text}.")
        one.add_argument("--source", required=True, type=Path, help="the download, unpacked")
        one.add_argument("--out", required=True, type=Path, help="the cache's folder")
        one.add_argument("--workers", type=int, help="processes (default: one per core)")
        one.add_argument("--quiet", action="store_true", help="show no bar")
        for option in options:
            kind, says = OPTIONS[option]
            one.add_argument(f"--{option.replace('_', '-')}", type=kind, help=says)
        one.set_defaults(call=_prepare, dataset=name)

    verify = actions.add_parser("verify", help="check a cache against its manifest")
    verify.add_argument("cache", type=Path, help="the cache's folder")
    verify.add_argument("--source", type=Path, help="check the source files too")
    verify.add_argument("--quiet", action="store_true", help="show no bar")
    verify.set_defaults(call=_verify)

    miniature = actions.add_parser(
        "miniature", help="draw a made-up CREMA-D, to try everything without the download"
    )
    miniature.add_argument("folder", type=Path, help="where to; made if needed")
    miniature.add_argument("--actors", type=int, default=10, help="how many (default: 10)")
    miniature.add_argument("--sentences", type=int, default=1, help="of each (default: 1)")
    miniature.set_defaults(call=_miniature)

    show = actions.add_parser("show", help="draw a contact sheet and spectrograms of a cache")
    show.add_argument("cache", type=Path, help="the cache's folder")
    show.add_argument("-o", "--output", type=Path, help="the picture (default: sheet.png there)")
    show.add_argument("--items", type=int, default=12, help="how many items (default: 12)")
    show.set_defaults(call=_show)


def _prepare(parsed: argparse.Namespace) -> None:
    from asgml_core.datasets import DataError
    from asgml_core.preparing import prepare_dataset

    given = {name: getattr(parsed, name) for name in DATASETS[parsed.dataset][1]}
    options = {name: value for name, value in given.items() if value is not None}
    cache = prepare_dataset(
        parsed.dataset,
        parsed.source,
        parsed.out,
        workers=parsed.workers,
        progress=not parsed.quiet,
        **options,
    )
    counts = cache.manifest["counts"]
    if not counts["decoded"]:
        raise DataError(
            f"none of the {counts['listed']} items could be prepared; "
            f"{parsed.out / 'report.csv'} says why."
        )
    print(f"{parsed.out}: {counts['decoded']} of {counts['listed']} items prepared.")
    for name, split in cache.splits.items():
        sizes = ", ".join(f"{part} {count}" for part, count in split["items"].items())
        print(f"  split {name}: {sizes} ({split['rule']})")
    if any(counts[kind] for kind in ("failed", "notes", "ignored")):
        print(
            f"  {counts['failed']} items failed, {counts['notes']} have notes, "
            f"{counts['ignored']} files were ignored: see {parsed.out / 'report.csv'}"
        )


def _verify(parsed: argparse.Namespace) -> None:
    from asgml_core.datasets import Cache, DataError
    from asgml_core.preparing.verify import verify

    found = verify(parsed.cache, parsed.source, progress=not parsed.quiet)
    for line in found:
        print(f"  {line}")
    if found:
        raise DataError(f"{parsed.cache} is not what was written: {len(found)} findings.")
    cache = Cache.open(parsed.cache)
    counts = cache.manifest["counts"]
    print(
        f"{parsed.cache} is whole: {counts['decoded']} of {counts['listed']} items of "
        f"{cache.manifest['dataset']}, fingerprint {cache.manifest['fingerprint']}."
    )


def _miniature(parsed: argparse.Namespace) -> None:
    from asgml_core.preparing.miniature import miniature_cremad

    print(miniature_cremad(parsed.folder, actors=parsed.actors, sentences=parsed.sentences))


def _show(parsed: argparse.Namespace) -> None:
    from asgml_core.datasets import Cache
    from asgml_core.figures import contact_sheet

    output = parsed.output or parsed.cache / "sheet.png"
    contact_sheet(Cache.open(parsed.cache), items=parsed.items).savefig(output)
    print(output)
