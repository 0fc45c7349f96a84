"""What the tests of preparing share."""

from __future__ import annotations

from pathlib import Path

import pytest
import youtube_files
from media_checks import FILMS
from media_files import encoded, film, sound, wav


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give miniature clips as they come from YouTube, by what they are."""
    return youtube_files.make(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give one second of every kind of file, by name."""
    folder = tmp_path_factory.mktemp("files")
    made = {}
    for kind in FILMS:
        made[f"film{kind}"] = film(folder / f"film{kind}", samples=sound(1, 44100))
        made[f"mute{kind}"] = film(folder / f"mute{kind}")
    for kind in (".mp3", ".flac"):
        made[f"sound{kind}"] = encoded(folder / f"sound{kind}", sound(1, 44100), 44100)
    made["sound.wav"] = wav(folder / "sound.wav", sound(1))
    made["stereo.wav"] = wav(folder / "stereo.wav", sound(1, 48000, 2), 48000, "f32")
    return made
