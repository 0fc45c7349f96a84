"""What holds for every method, with 2, 3 and 6 modalities; the rows are in ``methods_table.py``."""

from __future__ import annotations

import functools
import inspect
import itertools
import random
import re

import numpy as np
import pytest
import torch
from methods_table import ROWS, Row, counts, every_row
from small_loop import (
    BATCHES,
    CLASSES,
    EPOCHS,
    NAMES,
    SIZES,
    STEPS,
    Run,
    bare,
    chained,
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


@functools.cache
def whole_run(row: Row, count: int) -> Run:
    """Return the run of a row, made once; it is for looking at."""
    return Run(row.make(count), NAMES[:count]).advance(STEPS)


@every_row
@counts
def test_it_acts_and_everything_stays_finite(row, count):
    run = Run(row.make(count), NAMES[:count])
    frozen = row.settings.get("skip") == "freeze"  # it takes gradients away
    for _ in range(STEPS):
        run.one_step()
        gradients = [p.grad for p in run.net.parameters()]
        assert all(g is not None or frozen for g in gradients)
        assert all(bool(g.isfinite().all()) for g in gradients if g is not None)
    assert len(run.epochs) == EPOCHS
    for record in run.records + run.epochs:
        for name, value in record.items():
            assert value.shape == (), name
            assert bool(value.isfinite()), name
    assert int(run.method.acted) > 0
    assert (int(run.method.measured) > 0) == run.method.measures
    assert not same_weights(run, plain_run(count, run.unimodal))


@every_row
def test_it_has_no_parameters(row):
    method = whole_run(row, 2).method
    assert list(method.parameters()) == []
    assert not any(buffer.requires_grad for buffer in method.buffers())


@every_row
@counts
def test_the_order_of_the_groups_does_not_matter(row, count):
    def turned(groups: dict) -> dict:
        return dict(reversed(groups.items()))

    straight = whole_run(row, count)
    reversed_ = Run(row.make(count), NAMES[:count], order=turned).advance(STEPS)
    assert list(straight.groups) != list(reversed_.groups)
    assert identical(straight.state(), reversed_.state())
    assert identical(straight.records, reversed_.records)
    assert identical(straight.epochs, reversed_.epochs)


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
    """Cut twice, each time at a random place: in the first epoch, and in a later one."""
    draw = random.Random(f"{row.name} {row.label} {wrap.__name__} {count}")
    cuts = draw.randrange(1, BATCHES), draw.randrange(BATCHES + 1, STEPS)
    whole = whole_run(row, count)
    if wrap is not bare:
        whole = Run(wrap(row.make(count), count), NAMES[:count]).advance(STEPS)
    records, epochs, state = [], [], None
    for start, end in itertools.pairwise((0, *cuts, STEPS)):
        part = Run(wrap(row.make(count), count), NAMES[:count])
        if state is not None:
            part.restore(state, start)
        part.advance(end - start)
        records, epochs = records + part.records, epochs + part.epochs
        torch.save(part.state(), tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert identical(records, whole.records)
    assert identical(epochs, whole.epochs)
    assert identical(part.state(), whole.state())


@every_row
def test_a_saved_state_replaces_what_a_method_had_seen(row):
    fresh = row.make(2).state_dict()
    used = row.make(2)
    Run(used, NAMES[:2]).advance(STEPS)
    used.load_state_dict(fresh)
    assert identical(used.state_dict(), fresh)
    others = NAMES[2::-1]
    expected = Run(row.make(2), others).advance(STEPS)
    assert identical(Run(used, others).advance(STEPS).state(), expected.state())


@every_row
@counts
def test_settings_that_ask_for_nothing_change_no_bit(row, count):
    if row.still is None:
        assert row.name in ("unimodal_losses", "noise", "ogm_ge")
        return
    run = Run(row.make(count, **row.still), NAMES[:count]).advance(STEPS)
    assert same_weights(run, plain_run(count, run.unimodal))
    assert int(run.method.acted) == 0
    assert (int(run.method.measured) > 0) == run.method.measures


@every_row
@counts
def test_outside_its_window_it_changes_no_bit(row, count):
    run = Run(During(row.make(count), EPOCHS + 1, EPOCHS + 9), NAMES[:count]).advance(STEPS)
    assert same_weights(run, plain_run(count, run.unimodal))
    assert int(run.method.part.acted) == int(run.method.part.measured) == 0
    assert run.records == [{}] * STEPS
    assert run.epochs == [{}] * EPOCHS


@pytest.mark.parametrize(
    "empty", [Chain, lambda: Chain(Chain(), Chain()), lambda: During(Chain(), 0, 9)]
)
@counts
def test_an_empty_chain_changes_no_bit(empty, count):
    run = Run(empty(), NAMES[:count]).advance(STEPS)
    assert same_weights(run, plain_run(count))


@every_row
def test_the_same_seed_gives_the_same_run(row):
    first, second = whole_run(row, 3), Run(row.make(3), NAMES[:3]).advance(STEPS)
    assert identical(first.state(), second.state())
    assert identical(first.records, second.records)


@every_row
def test_another_seed_gives_another_run(row):
    if "seed" not in inspect.signature(REGISTRY[row.name]).parameters:
        return
    runs = [Run(row.make(3, seed=seed), NAMES[:3]).advance(STEPS) for seed in (0, 1)]
    same = identical(*(run.method.state_dict() for run in runs))
    assert same != row.seeded  # a setting that draws nothing has no use for its seed
    assert row.seeded or same_weights(*runs)


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        run = Run(row.make(3), NAMES[:3]).advance(STEPS)
    assert identical(run.state(), whole_run(row, 3).state())


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
