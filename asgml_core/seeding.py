"""Random numbers that depend on what they are for, and on nothing that happened before.

Every draw takes a generator made from ``(seed, *purpose)``, for example
``generator(1, "shuffle", epoch)``. Resuming a run, or drawing things in another order, then cannot
change a result. Nothing in this package reads or writes the global random state.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose of one run.

    Args:
        seed: the run's seed.
        purpose: words and numbers that say what the draw is for, such as ``("shuffle", epoch)``.
    """
    text = repr((int(seed), *(p if isinstance(p, str) else int(p) for p in purpose))).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def generator(
    seed: int, *purpose: str | int, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Return a torch generator for one purpose of one run (see :func:`derive_seed`)."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *purpose))


def numpy_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a numpy generator for one purpose of one run (see :func:`derive_seed`)."""
    return np.random.default_rng(derive_seed(seed, *purpose))
