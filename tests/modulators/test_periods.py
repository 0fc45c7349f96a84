"""Speeds, periods and lags: the formulas of frequency and staleness against naive ones."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from naive_parts import middles

from asgml_core.modulators import (
    Clock,
    During,
    Frequency,
    Staleness,
    learning_speeds,
    staleness_lags,
    update_periods,
)
from asgml_core.modulators.periods import relative_to_mean

NAN, INF = float("nan"), float("inf")
# Quarters meet the halves that are rounded; the other floats make them rare.
TAU = st.one_of(st.integers(0, 40).map(lambda i: i / 4), st.floats(0, 20, allow_subnormal=False))
TAUS = st.lists(TAU, min_size=2, max_size=6)
KAPPA = st.one_of(st.sampled_from([1.0, 1.5, 2.0, 3.0, 10.0]), st.floats(1, 5))
VALUE = st.one_of(
    st.integers(0, 3).map(float),
    st.floats(0, 1e6, allow_subnormal=False),
    st.sampled_from([1e-30, 1e30]),
)
VALUES = st.lists(VALUE, min_size=2, max_size=6)
SHARE = st.floats(0, 1, allow_subnormal=False)


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def naive_over_mean(values):
    mean = sum(values) / len(values)
    return [value / mean if mean else 1.0 for value in values]


def naive_speeds(norms, descents, beta):
    pairs = zip(naive_over_mean(norms), naive_over_mean(descents), strict=True)
    return [beta * g + (1 - beta) * d for g, d in pairs]


def naive_periods(taus, kappa):
    whole = [round(tau) for tau in taus]
    longest = math.floor(kappa * min(max(n, 1) for n in whole))
    return [max(min(n, longest), 1) for n in whole]


def naive_lags(taus, kappa):
    lags = [max(round(tau) - 1, 0) for tau in taus]
    longest = math.floor(kappa * min(max(s, 1) for s in lags))
    return [min(s, longest) for s in lags]


@given(VALUES)
@example([0.0, 0.0])
@example([0.0, 0.0, 5.0])
def test_relative_to_mean(values):
    found = relative_to_mean(doubles(values)).tolist()
    assert found == pytest.approx(naive_over_mean(values), rel=1e-12)
    assert sum(found) == pytest.approx(len(values))


@given(VALUES, st.data(), st.one_of(st.sampled_from([0.0, 0.5, 1.0]), SHARE))
def test_learning_speeds(norms, data, beta):
    descents = data.draw(st.lists(VALUE, min_size=len(norms), max_size=len(norms)))
    found = learning_speeds(doubles(norms), doubles(descents), beta)
    assert found.tolist() == pytest.approx(
        naive_speeds(norms, descents, beta), rel=1e-12, abs=1e-12
    )
    assert float(found.mean()) == pytest.approx(1)
    assert 0 <= float(found.min()) <= float(found.max()) <= len(norms) + 1e-9


def test_speeds_by_hand():
    found = learning_speeds(doubles([3.0, 1.0]), doubles([0.0, 0.4]), 0.25)
    assert found.tolist() == pytest.approx([0.25 * 1.5, 0.25 * 0.5 + 0.75 * 2])
    assert learning_speeds(doubles([0, 0]), doubles([0, 0]), 0.5).tolist() == [1, 1]
    assert learning_speeds(doubles([1, 0]), doubles([0, 0]), 0.5).tolist() == [1.5, 0.5]


@given(TAUS, KAPPA)
@example([0.5, 1.5, 2.5, 3.5], 3.0)  # halves go to the even neighbour
@example([0.0, 0.0], 1.0)
@example([1.0, 8.0], 3.0)
@example([2.0, 8.0], 3.0)
def test_update_periods(taus, kappa):
    found = update_periods(doubles(taus), kappa)
    assert found.dtype == torch.int64
    assert found.tolist() == naive_periods(taus, kappa)
    assert int(found.min()) >= 1
    assert int(found.max()) <= kappa * int(found.min())


@given(TAUS, KAPPA)
@example([1.5, 2.5, 3.5, 4.5], 3.0)
@example([1.0, 1.0], 1.0)
@example([1.0, 8.0], 3.0)
@example([3.0, 8.0], 3.0)
def test_staleness_lags(taus, kappa):
    found = staleness_lags(doubles(taus), kappa)
    assert found.dtype == torch.int64
    assert found.tolist() == naive_lags(taus, kappa)
    assert int(found.min()) >= 0
    assert int(found.max()) <= kappa * max(int(found.min()), 1)


def test_periods_and_lags_by_hand():
    taus = doubles([7.6, 2.4, 1.0])
    assert update_periods(taus, 3.0).tolist() == [3, 2, 1]
    assert update_periods(taus, 2.9).tolist() == [2, 2, 1]
    assert update_periods(taus, 9.0).tolist() == [8, 2, 1]
    assert staleness_lags(taus, 3.0).tolist() == [3, 1, 0]
    assert staleness_lags(taus, 9.0).tolist() == [7, 1, 0]
    assert staleness_lags(doubles([7.6, 4.0, 3.0]), 3.0).tolist() == [6, 3, 2]


@given(
    st.lists(st.integers(0, 40).map(lambda i: i / 4), min_size=2, max_size=6),
    st.sampled_from([1.0, 1.5, 2.0, 3.0, 10.0]),
)
def test_the_float32_of_a_run_gives_the_same(taus, kappa):
    assert update_periods(torch.tensor(taus), kappa).tolist() == naive_periods(taus, kappa)
    assert staleness_lags(torch.tensor(taus), kappa).tolist() == naive_lags(taus, kappa)


@given(VALUES, TAUS, st.data(), KAPPA)
def test_permuted_modalities_give_permuted_results(values, taus, data, kappa):
    order = data.draw(st.permutations(range(len(values))))
    permuted = learning_speeds(doubles(values)[order], doubles(values).sqrt()[order], 0.3)
    expected = learning_speeds(doubles(values), doubles(values).sqrt(), 0.3)[order]
    torch.testing.assert_close(permuted, expected)
    order = data.draw(st.permutations(range(len(taus))))
    for formula in (update_periods, staleness_lags):
        assert torch.equal(
            formula(doubles(taus)[order], kappa), formula(doubles(taus), kappa)[order]
        )


@pytest.mark.parametrize(
    ("taus", "periods", "lags"),
    [
        ([NAN, NAN], [1, 1], [0, 0]),
        ([NAN, 4.0], [1, 3], [0, 3]),
        ([INF, 1.0], [3, 1], [3, 0]),
        ([INF, 5.0], [15, 5], [12, 4]),
        ([-INF, 2.0], [1, 2], [0, 1]),
    ],
    ids=str,
)
def test_what_is_no_number_is_no_period(taus, periods, lags):
    """It counts as 1; what is infinite is as long as kappa lets it be."""
    for make in (torch.tensor, doubles):
        assert update_periods(make(taus), 3.0).tolist() == periods
        assert staleness_lags(make(taus), 3.0).tolist() == lags


def test_infinite_periods_are_finite_numbers():
    found = update_periods(torch.tensor([INF, INF]), 3.0), staleness_lags(doubles([INF, INF]), 3.0)
    assert all(bool((n > 0).all()) and bool((n <= 10**6).all()) for n in found)


# ------------------------------------------------------------------------------ probe times


@pytest.mark.parametrize("method", [Frequency, Staleness])
@pytest.mark.parametrize("batches", [1, 2, 3, 24, 25, 105])
def test_none_means_one_probe_time_an_epoch(method, batches):
    clocks = [Clock(2, batches + b, b, batches, 2) for b in range(batches)]
    probed = [c.batch + 1 for c in clocks if method().is_probe_time(c)]
    assert probed == middles(batches, 1)
    assert method().schedule(clocks[0]) == {"probe_times_per_epoch": 1}


@pytest.mark.parametrize("method", [Frequency, Staleness])
def test_the_study_s_period_gives_one_probe_time_in_105_batches(method):
    clocks = [Clock(2, 105 + b, b, 105, 2) for b in range(105)]
    published = method(eval_every=100)
    assert [c.batch for c in clocks if published.is_probe_time(c)] == [99]
    with pytest.raises(ValueError, match=f"{published.name}: eval_every is 100 batches, but an ep"):
        During(published, 1, 2).schedule(Clock(1, 0, 0, 25, 2))
    fixed = method("fixed", eval_every=100)
    assert fixed.schedule(Clock(1, 0, 0, 25, 2)) == {}  # it reads no probe
    assert not fixed.measures


def test_the_defaults_are_the_study_s():
    """The defaults of METHODS.md, and 50 steps of unsplit probes."""
    expected = {
        "tau_base": 2, "tau_min": 1, "tau_max": 8, "beta": 0.5, "threshold_delta": 0.1, "kappa": 3,
        "signal_source": "dual", "probe_steps": 50, "probe_split": False, "probe_ema": "train",
        "eval_every": None, "dominant": "audio", "adaptation": "adaptive",
    }  # fmt: skip
    own = {Frequency: {"soft_mask_scale": 0.1, "ratio": 2, "skip": "zero"}}
    own[Staleness] = {"lambda_comp": 0.1, "staleness": 2, "variant": "definition"}
    for method, more in own.items():
        made = method()
        assert {name: getattr(made, name) for name in expected | more} == expected | more
        assert (made.probes.steps, made.probes.split) == (50, False)
