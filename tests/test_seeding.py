"""Random numbers that depend on their purpose alone."""

from __future__ import annotations

import itertools
import random

import numpy as np
import torch

from asgml_core.seeding import derive_seed, generator, numpy_generator

PURPOSES = [
    (0,),
    (1,),
    (0, "shuffle"),
    (0, "shuffle", 1),
    (0, "shuffle", "1"),
    (0, "shuffle1"),
    (0, 1, "shuffle"),
    (1, "shuffle"),
    (0, "shuffle", 11),
    (0, "shuffle", 1, 1),
    (-1, "shuffle"),
]


def test_seeds_are_frozen():
    """A change here changes every run ever recorded."""
    assert derive_seed(0) == 3582888934675442504
    assert derive_seed(42, "shuffle", 3) == 6516932851135625289
    assert derive_seed(0, "encoder", "audio") == 2377022867631205933


def test_another_purpose_is_another_stream():
    seeds = [derive_seed(*purpose) for purpose in PURPOSES]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    draws = [torch.rand(4, generator=generator(*purpose)).tolist() for purpose in PURPOSES]
    assert not any(a == b for a, b in itertools.combinations(draws, 2))


def test_the_same_purpose_is_the_same_stream():
    for purpose in PURPOSES:
        a, b = (torch.randn(5, generator=generator(*purpose)) for _ in range(2))
        assert torch.equal(a, b)
        a, b = (numpy_generator(*purpose).normal(size=5) for _ in range(2))
        assert np.array_equal(a, b)


def test_a_number_of_numpy_is_the_number():
    """An epoch or a seed that came out of an array must not be another epoch or seed."""
    assert derive_seed(np.int64(3), "shuffle", 1) == derive_seed(3, "shuffle", 1)
    assert derive_seed(3, "shuffle", np.int64(1)) == derive_seed(3, "shuffle", 1)


def test_nothing_touches_or_reads_the_global_state():
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first = torch.randperm(9, generator=generator(5, "shuffle")), numpy_generator(5).random()
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert before[2] == random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert torch.equal(torch.randperm(9, generator=generator(5, "shuffle")), first[0])
    assert numpy_generator(5).random() == first[1]


def test_the_generator_lives_where_it_is_asked_to():
    assert generator(1, "noise", device="cpu").device == torch.device("cpu")
