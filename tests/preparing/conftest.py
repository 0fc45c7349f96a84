"""What the tests of preparing share."""

from __future__ import annotations

from pathlib import Path

import pytest
import youtube_files


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give miniature clips as they come from YouTube, by what they are."""
    return youtube_files.make(tmp_path_factory.mktemp("clips"))
