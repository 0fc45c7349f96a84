"""What holds for every method, with 2, 3 and 6 modalities; the rows are in ``methods_table.py``."""

from __future__ import annotations

import inspect
import random
import re

import numpy as np
import pytest
import torch
from methods_table import (
    BATCHES,
    CLASSES,
    EPOCHS,
    NAMES,
    ROWS,
    SIZES,
    STEPS,
    Run,
    bare,
    chained,
    counts,
    every_row,
    identical,
    plain_run,
    same_weights,
    windowed,
)

from asgml_core.modulators import (
    REGISTRY,
    Chain,
    During,
    Modulator,
)
from asgml_core.probes import Probes


def test_every_registered_method_has_a_row():
    assert {row.name for row in ROWS} == set(REGISTRY)
    for name, method in REGISTRY.items():
        assert method.name == name


@every_row
@counts
def test_it_acts_and_everything_stays_finite(row, count):
    run = Run(row.make(count), NAMES[:count])
    for _ in range(STEPS):
        run.one_step()
        assert all(bool(p.grad.isfinite().all()) for p in run.net.parameters())
    for record in run.records:
        for name, value in record.items():
            assert value.shape == (), name
            assert bool(value.isfinite()), name
    assert int(run.method.acted) > 0
    assert (int(run.method.measured) > 0) == run.method.measures
    assert not same_weights(run, plain_run(count))


@every_row
def test_it_has_no_parameters(row):
    method = row.make(2)
    Run(method, NAMES[:2]).advance(STEPS)
    assert list(method.parameters()) == []
    assert not any(buffer.requires_grad for buffer in method.buffers())


@every_row
@counts
def test_the_order_of_the_groups_does_not_matter(row, count):
    def turned(groups: dict) -> dict:
        return dict(reversed(groups.items()))

    straight = Run(row.make(count), NAMES[:count]).advance(STEPS)
    reversed_ = Run(row.make(count), NAMES[:count], order=turned).advance(STEPS)
    assert list(straight.groups) != list(reversed_.groups)
    assert identical(straight.state(), reversed_.state())
    assert identical(straight.records, reversed_.records)


def give_probes(method: Modulator, modalities: tuple[str, ...]) -> None:
    """Start the probe of a modality from weights of its own, not from its place in the order."""
    for probes in (part for part in method.modules() if isinstance(part, Probes)):
        widest = max(SIZES[m] for m in modalities)
        weight = torch.zeros(len(modalities), CLASSES, widest)
        bias = torch.zeros(len(modalities), CLASSES)
        for i, m in enumerate(modalities):
            draw = torch.Generator().manual_seed(NAMES.index(m))
            weight[i, :, : SIZES[m]] = 0.3 * torch.randn(CLASSES, SIZES[m], generator=draw)
        state = {"taken": torch.zeros((), dtype=torch.float64), "weight": weight, "bias": bias}
        for moment in ("m", "v"):
            state |= {f"weight_{moment}": weight * 0, f"bias_{moment}": bias * 0}
        probes.load_state_dict(state)


@every_row
@counts
def test_the_order_of_the_modalities_does_not_matter(row, count):
    """By name and beyond ties. Two things are drawn in the order of the modalities: the probes'
    first weights, which are given here, and noise, which is turned off. Where it cannot be turned
    off the first record is compared: no noise has acted before it.
    """
    steps = 1 if row.noiseless is None else STEPS
    runs = []
    for names in (NAMES[:count], tuple(reversed(NAMES[:count]))):
        method = row.make(count, **(row.noiseless or {}))
        give_probes(method, names)
        runs.append(Run(method, names).advance(steps))
    straight, reversed_ = runs
    for a, b in zip(straight.records, reversed_.records, strict=True):
        assert set(a) == set(b)
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-5, msg=name)
    if row.noiseless is not None:
        for name, value in straight.net.state_dict().items():
            torch.testing.assert_close(
                reversed_.net.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name
            )


@every_row
@pytest.mark.parametrize(
    ("wrap", "count"), [(bare, 2), (bare, 3), (bare, 6), (windowed, 3), (chained, 3)]
)
def test_a_run_cut_anywhere_goes_on_bit_for_bit(row, count, wrap, tmp_path):
    whole = Run(wrap(row.make(count), count), NAMES[:count]).advance(STEPS)
    for cut in (1, BATCHES + 2):  # inside the first epoch and inside the second
        first = Run(wrap(row.make(count), count), NAMES[:count]).advance(cut)
        torch.save(first.state(), tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=True)
        second = Run(wrap(row.make(count), count), NAMES[:count]).restore(state, cut)
        second.advance(STEPS - cut)
        assert identical(first.records + second.records, whole.records)
        assert identical(second.state(), whole.state())


@every_row
def test_a_saved_state_replaces_what_a_method_had_seen(row):
    fresh = row.make(2).state_dict()
    used = row.make(2)
    Run(used, NAMES[:2]).advance(STEPS)
    used.load_state_dict(fresh)
    assert identical(used.state_dict(), fresh)
    expected = Run(row.make(2), NAMES[1:3]).advance(STEPS)
    assert identical(Run(used, NAMES[1:3]).advance(STEPS).state(), expected.state())


@every_row
@counts
def test_settings_that_ask_for_nothing_change_no_bit(row, count):
    if row.still is None:
        assert row.name in ("unimodal_losses", "noise", "ogm_ge")
        return
    run = Run(row.make(count, **row.still), NAMES[:count]).advance(STEPS)
    assert same_weights(run, plain_run(count))
    assert int(run.method.acted) == 0


@every_row
@counts
def test_outside_its_window_it_changes_no_bit(row, count):
    run = Run(During(row.make(count), EPOCHS + 1, EPOCHS + 9), NAMES[:count]).advance(STEPS)
    assert same_weights(run, plain_run(count))
    assert int(run.method.part.acted) == int(run.method.part.measured) == 0
    assert run.records == [{}] * STEPS


@pytest.mark.parametrize(
    "empty", [Chain, lambda: Chain(Chain(), Chain()), lambda: During(Chain(), 0, 9)]
)
@counts
def test_an_empty_chain_changes_no_bit(empty, count):
    run = Run(empty(), NAMES[:count]).advance(STEPS)
    assert same_weights(run, plain_run(count))


@every_row
def test_the_same_seed_gives_the_same_run(row):
    first, second = (Run(row.make(3), NAMES[:3]).advance(STEPS) for _ in range(2))
    assert identical(first.state(), second.state())
    assert identical(first.records, second.records)


@every_row
def test_another_seed_gives_another_run(row):
    if "seed" not in inspect.signature(REGISTRY[row.name]).parameters:
        return
    runs = [Run(row.make(3, seed=seed), NAMES[:3]).advance(STEPS) for seed in (0, 1)]
    assert not identical(*(run.method.state_dict() for run in runs))


@every_row
def test_the_global_random_state_is_left_alone(row):
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    Run(row.make(3), NAMES[:3]).advance(STEPS)
    after = torch.get_rng_state(), np.random.get_state(), random.getstate()
    assert torch.equal(before[0], after[0])
    assert all(np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True))
    assert before[2] == after[2]


@every_row
def test_the_global_random_state_does_not_matter(row):
    runs = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            runs.append(Run(row.make(3), NAMES[:3]).advance(STEPS))
    assert identical(runs[0].state(), runs[1].state())


@every_row
def test_its_repr_shows_every_setting(row):
    method = row.make(2)
    for name, parameter in inspect.signature(REGISTRY[row.name]).parameters.items():
        value = row.settings.get(name, parameter.default)
        assert f"{name}={value!r}" in repr(method), name
        assert getattr(method, name) == value
    assert repr(method) in repr(During(method, 0, 3)).replace("\n  ", "\n")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [(row.name, *refusal) for row in ROWS for refusal in row.refused],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_setting_out_of_range_is_refused(name, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        REGISTRY[name](**settings)
