"""What the datasets of clips share: kept frames and a log spectrogram, read from a cache."""

from __future__ import annotations

from asgml_core.datasets.base import DataError, MultimodalDataset
from asgml_core.datasets.cache import Cache, find_cache
from asgml_core.datasets.cached import from_cache
from asgml_core.datasets.transforms import Floats, Pictures


def read_clips(
    dataset: str, path: str | None, split: str, pictures: Pictures, allow_missing: bool
) -> MultimodalDataset:
    """Return a dataset of clips from its prepared cache.

    Args:
        dataset: its name.
        path: the cache's folder; by default the dataset's in a data folder.
        split: the name of one of the cache's splits.
        pictures: what the network sees of the kept frames.
        allow_missing: go on without the clips of the split that could not be prepared.

    Returns:
        Modalities ``audio`` and ``visual``.

    Raises:
        DataError: when there is no such cache or split, or clips are missing.
    """
    cache = Cache.open(find_cache(dataset) if path is None else path, dataset)
    check_pick(cache, pictures.frames, pictures.pick)
    transforms = {"audio": Floats(), "visual": pictures}
    made = from_cache(cache, split, transforms, allow_missing=allow_missing)
    return made.select(("audio", "visual"))


def check_pick(cache: Cache, frames: int | None, pick: str) -> None:
    """Check that some of the kept frames, picked ``"first"``, are the clip's first frames.

    Raises:
        DataError: when the cache kept others.
    """
    rule, visual = (
        cache.manifest["parameters"].get("frames"), cache.manifest["arrays"].get("visual"),
    )  # fmt: skip
    if not isinstance(rule, dict) or "choose" not in rule or not visual or not visual["shape"]:
        raise DataError(f"{cache.folder}: its manifest does not say which frames were kept.")
    kept = rule["choose"]
    some = frames is not None and frames < visual["shape"][0]
    if some and pick == "first" and kept != "first":
        raise DataError(
            f"{cache.folder} was prepared with --choose {kept}, so the first of its frames are not "
            "a clip's first; take pick='even' or 'random', or prepare it with --choose first."
        )
