"""CMU-MOSEI and CMU-MOSI: how people speak, look and choose words while they give an opinion.

Sequences of features of sound (COVAREP), face (Facet) and words (BERT), as the MMSA framework
distributes them; the sentiment of a clip is a mean of several annotators', from -3 to 3. Zadeh,
Liang, Poria, Cambria and Morency (2018); Zadeh, Zellers, Pincus and Morency (2016). ``asgml data
prepare mosei`` makes the cache that is read here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from asgml_core.checks import check_one_of
from asgml_core.datasets.base import DataError, MultimodalDataset, Part
from asgml_core.datasets.cache import Cache, find_cache
from asgml_core.datasets.cached import PARTS, cache_notes, check_missing
from asgml_core.datasets.stored import Stored
from asgml_core.datasets.transforms import Transform

Task = Literal["negative_nonnegative", "negative_positive", "three", "seven", "seven_outward"]
Pool = Literal["mean"]
MODALITIES = ("audio", "vision", "text")
#: A feature whose deviation is below this share of its size does not vary.
SMALLEST = 1e-6
#: Steps are read this many items at a time.
SHARE = 16


def _sign(sentiment: float) -> int:
    return (sentiment > 0) - (sentiment < 0)


def _outward(sentiment: float) -> int:
    """Return the sentiment rounded away from 0."""
    return _sign(sentiment) * math.ceil(abs(sentiment))


_SEVEN = tuple(f"{number:+d}" if number else "0" for number in range(-3, 4))
#: By task: the class names, and the class of a sentiment; ``None`` leaves the item out.
TASKS: dict[str, tuple[tuple[str, ...], Callable[[float], int | None]]] = {
    "negative_nonnegative": (("negative", "nonnegative"), lambda s: int(s >= 0)),
    "negative_positive": (("negative", "positive"), lambda s: int(s > 0) if s else None),
    "three": (("negative", "neutral", "positive"), lambda s: 1 + _sign(s)),
    # Python rounds a half to the even number, as numpy does in MMSA's Acc-7.
    "seven": (_SEVEN, lambda s: 3 + round(s)),
    "seven_outward": (_SEVEN, lambda s: 3 + _outward(s)),
}


@dataclass(frozen=True, eq=False)
class Steps(Transform):
    """Standardises the features of each step; padding, where all features are 0, stays 0.

    Args:
        mean: of each feature over the steps that are there, ``(d,)``.
        scale: one over its standard deviation; 0 for a feature that does not vary, ``(d,)``.
        pool: ``"mean"`` averages over the steps that are there, ``(T, d)`` becomes ``(d,)``.
    """

    mean: Tensor = field(repr=False)
    scale: Tensor = field(repr=False)
    pool: Pool | None = None

    def shape(self, stored_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one item that the encoder sees."""
        return tuple(stored_shape[1:]) if self.pool else tuple(stored_shape)

    def __call__(
        self, stored: Tensor, draws: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        """Map ``(N, T, d)``, or some rows of it, to what the encoder sees."""
        x = (stored if rows is None else stored.index_select(0, rows)).float()
        real = (x != 0).any(2, keepdim=True)
        z = (x - self.mean.to(x.device)) * self.scale.to(x.device) * real
        return z.sum(1) / real.sum(1).clamp(min=1) if self.pool else z


def mosei(
    *,
    seed: int,
    path: str | None = None,
    task: Task = "negative_nonnegative",
    pool: Pool | None = None,
    allow_missing: bool = False,
) -> MultimodalDataset:
    """Return CMU-MOSEI from a prepared cache, in its official parts.

    Args:
        seed: the run's seed; it decides nothing here.
        path: the cache's folder; by default ``mosei`` in a data folder.
        task: which classes the sentiment gives. ``"negative_nonnegative"``: below 0, 0 and above.
            ``"negative_positive"``: items of sentiment 0 are left out, and counted in ``notes``.
            ``"three"``: below, at and above 0. ``"seven"``: rounded, a half to the even number, as
            MMSA's Acc-7. ``"seven_outward"``: rounded away from 0, as the CMU SDK does.
        pool: ``None`` gives sequences; ``"mean"`` their mean over the steps that are there.
        allow_missing: go on without the items that could not be prepared.

    Returns:
        Modalities ``audio``, ``vision`` and ``text``, each ``(steps, features)``, or
        ``(features,)`` when pooled; each feature standardised by the steps of the training part.
        Groups are videos.

    Raises:
        DataError: when there is no such cache, or items are missing.
        ValueError: for an option outside its range.
    """
    return _load("mosei", path, task, pool, allow_missing)


def mosi(
    *,
    seed: int,
    path: str | None = None,
    task: Task = "negative_nonnegative",
    pool: Pool | None = None,
    allow_missing: bool = False,
) -> MultimodalDataset:
    """Return CMU-MOSI from a prepared cache; all else is as in :func:`mosei`."""
    return _load("mosi", path, task, pool, allow_missing)


def _load(
    name: str, path: str | None, task: Task, pool: Pool | None, allow_missing: bool
) -> MultimodalDataset:
    check_one_of("task", task, TASKS)
    check_one_of("pool", pool, (None, "mean"))
    cache = Cache.open(find_cache(name) if path is None else path, name)
    _check_arrays(cache)
    split = cache.split("official")
    missing = check_missing(cache, "official", split, allow_missing)
    parts, left_out = _parts(cache, split, task)
    transforms, constant = {}, {}
    for m in MODALITIES:
        mean, deviation = step_statistics(parts["train"].inputs[m])
        varies = deviation > SMALLEST * (mean.abs() + deviation)
        scale = torch.where(varies, 1 / deviation.clamp(min=1e-30), 0.0)
        transforms[m] = Steps(mean.float(), scale.float(), pool)
        constant[m] = int((~varies).sum())
    return MultimodalDataset(
        name=name,
        classes=TASKS[task][0],
        **{part: parts.get(part) for part in PARTS},
        source=str(cache.folder),
        transforms=transforms,
        notes=cache_notes(cache, "official", split, missing)
        | {"sentiment_0_left_out": left_out, "features_that_do_not_vary": constant},
    )


def _check_arrays(cache: Cache) -> None:
    for m in MODALITIES:
        said = cache.manifest["arrays"].get(m, {})
        if len(said.get("shape", ())) != 2 or not str(said.get("dtype")).startswith("float"):
            raise DataError(
                f"{cache.folder}: array {m!r} is {said.get('dtype')} {said.get('shape')}, but "
                "floats (steps, features) were expected; prepare it again."
            )


def _sentiment(cache: Cache, item: str, text: str) -> float:
    try:
        sentiment = float(text)
    except ValueError:
        sentiment = math.nan
    if not -3 <= sentiment <= 3:
        raise DataError(
            f"{cache.folder}: item {item!r} has the sentiment {text!r:.40}, but a number from -3 "
            "to 3 was expected."
        )
    return sentiment


def _parts(
    cache: Cache, split: Mapping[str, str], task: Task
) -> tuple[dict[str, Part], dict[str, int]]:
    """Return the parts by name, and how many items of each the task leaves out."""
    ids = list(cache.rows)
    numbers = zip(ids, cache.column("sentiment", ids), strict=True)
    labels = {item: TASKS[task][1](_sentiment(cache, item, text)) for item, text in numbers}
    groups = dict(zip(ids, cache.column("group", ids), strict=True))
    parts, left_out = {}, {}
    for part in PARTS:
        there = [item for item in ids if split.get(item) == part]
        used = [item for item in there if labels[item] is not None]
        if not used:
            raise DataError(f"{cache.folder}: no item of the {part} part is there for {task!r}.")
        left_out[part] = len(there) - len(used)
        parts[part] = Part(
            inputs={m: cache.stored(m, used) for m in MODALITIES},
            labels=torch.tensor([labels[item] for item in used]),
            ids=tuple(used),
            groups=tuple(groups[item] for item in used),
        )
    return parts, left_out


def step_statistics(x: Tensor | Stored) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each feature over the steps that are not all 0.

    Args:
        x: ``(N, T, d)`` float32; it is read a share at a time.

    Returns:
        Two of ``(d,)``, float64; without any step, zeros.
    """
    count, mean, squares = 0, np.zeros(x.shape[2]), np.zeros(x.shape[2])
    for rows in torch.arange(len(x)).split(SHARE):
        # In numpy, since a few items are too little work for torch's threads.
        some = x[rows].numpy().reshape(-1, x.shape[2])
        steps = some[some.any(1)]
        if not len(steps):
            continue
        near = steps.mean(0, dtype=np.float64).astype(np.float32)
        apart = steps - near
        rest = apart.mean(0, dtype=np.float64)
        # Joined as in Chan, Golub and LeVeque (1979): no difference of two large sums.
        total = count + len(steps)
        moved = near + rest - mean
        squares += np.square(apart).sum(0, dtype=np.float64) - len(steps) * rest**2
        squares += moved**2 * count * len(steps) / total
        mean += moved * len(steps) / total
        count = total
    deviation = np.sqrt(squares.clip(min=0) / max(count - 1, 1))
    return torch.from_numpy(mean), torch.from_numpy(deviation)
