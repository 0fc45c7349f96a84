"""Miniatures of clips as they come from YouTube, good and bad, encoded once for a file of tests."""

from __future__ import annotations

import shutil
from pathlib import Path

from media_files import cut, film, pictures, recut, sound

FPS = 10


def make(folder: Path) -> dict[str, Path]:
    """Return clips of ten seconds and 64 x 48 pixels by what they are."""
    stereo = sound(10, 44100, 2)
    mp4 = {"fps": FPS, "rate": 44100, "like": "youtube.mp4"}
    clips = {
        "mp4": film(folder / "whole.mp4", 100, samples=stereo, **mp4),
        "mkv": film(
            folder / "whole.mkv", 100, fps=FPS, samples=stereo, rate=44100, like="youtube.mkv"
        ),
        "webm": film(folder / "whole.webm", 100, fps=FPS, samples=sound(10, 48000, 2), rate=48000),
        "avi": film(folder / "whole.avi", 100, fps=25, samples=sound(4, 44100, 2)),
        "short": film(folder / "short.mp4", 70, samples=sound(7, 44100, 2), **mp4),
        "other": film(
            folder / "other.mp4", pictures(100, seed=3), samples=sound(10, 44100, 1, 5), **mp4
        ),
        "no sound": film(folder / "deaf.mp4", 100, **mp4),
        "no pictures": film(folder / "blind.mp4", None, samples=stereo, **mp4),
        "longer sound": film(folder / "longer.mp4", 90, samples=stereo, **mp4),
        "longer sound, mkv": film(
            folder / "longer.mkv", 90, fps=FPS, samples=stereo, rate=44100, like="youtube.mkv"
        ),
    }
    whole = clips["mp4"]
    clips["edited"] = recut(whole, folder / "edited.mp4", 2.3)
    front = recut(whole, folder / "front.mp4", movflags="faststart")
    clips["index in front"] = front
    clips["cut, index in front"] = shutil.copy(front, folder / "front_cut.mp4")
    clips["cut, index lost"] = shutil.copy(whole, folder / "whole_cut.mp4")
    clips["cut, mkv"] = shutil.copy(clips["mkv"], folder / "whole_cut.mkv")
    for name in ("cut, index in front", "cut, index lost", "cut, mkv"):
        cut(clips[name], clips[name].stat().st_size * 6 // 10)
    clips["empty"] = cut(Path(shutil.copy(whole, folder / "empty.mp4")), 0)
    return clips


def place(clip: Path, *where: Path) -> None:
    """Copy a clip to some names."""
    for path in where:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, path)
