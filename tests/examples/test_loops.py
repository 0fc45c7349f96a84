"""Accumulation, mixed precision, compilation and resuming: every method does there what it does
in a plain loop.
"""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from toy_loop import (
    BATCH,
    CASES,
    SPLITS,
    STEPS,
    Loop,
    batch,
    check_acted,
    check_close,
    check_same_run,
    make,
    work,
)

import gradient_accumulation
from asgml_core import OGM, OGMGE, Boost, Chain, Outputs

every_case = pytest.mark.parametrize("label", CASES)


@pytest.fixture(scope="module")
def plain() -> dict[str, Loop]:
    """Give every method's plain run."""
    return {label: Loop(make(label)).advance() for label in CASES}


@every_case
def test_it_acts_in_the_plain_loop(plain, label):
    check_acted(plain[label].modulator)
    without = Loop(Chain()).advance().net.state_dict()
    assert any(not torch.equal(without[k], v) for k, v in plain[label].net.state_dict().items())


# ------------------------------------------------------------------------ accumulation


@every_case
@pytest.mark.parametrize("parts", [(5, 5, 5, 5), (1, 12, 7)])
def test_micro_batches_equal_one_batch(plain, label, parts):
    accumulated = Loop(make(label), parts).advance()
    check_same_run(accumulated.state(), plain[label].state())


@pytest.mark.parametrize("kind", [OGM, OGMGE, Boost])
def test_the_example_of_accumulation_equals_one_batch(kind):
    one, four = kind(alpha=0.75), kind(alpha=0.75)
    whole = gradient_accumulation.train(one, 1, epochs=1)
    parts = gradient_accumulation.train(four, 4, epochs=1)
    check_close(parts.state_dict(), whole.state_dict(), 1e-6)
    check_close(four.state_dict(), one.state_dict(), 1e-6)
    assert one.counts() == four.counts()
    assert int(one.acted) > 10


def test_joined_outputs_are_those_of_the_whole_batch():
    loop = Loop(Chain())
    inputs, _ = batch(0)
    halves = [{m: x[rows] for m, x in inputs.items()} for rows in (slice(7), slice(7, None))]
    joined = Outputs.cat([loop.outputs(loop.net, half) for half in halves])
    whole = loop.outputs(loop.net, inputs)
    for kind in ("logits", "unimodal_logits", "features"):
        check_close({kind: getattr(joined, kind)}, {kind: getattr(whole, kind)}, 1e-6)
    assert not joined.logits.requires_grad


# --------------------------------------------------------------------- several processes


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory) -> list[dict]:
    """Give what each of two processes ended with, by split and case."""
    if not torch.distributed.is_available():
        pytest.skip("this torch is built without torch.distributed")
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@every_case
@pytest.mark.parametrize("split", SPLITS)
def test_two_processes_equal_one(plain, two_processes, label, split):
    first, second = (found[f"{split}: {label}"] for found in two_processes)
    check_close(first, second, 0.0)
    check_same_run(first, plain[label].state())


# ----------------------------------------------------------------------- mixed precision


@every_case
def test_a_scaler_changes_nothing(plain, label):
    scaled = Loop(make(label), scale=2.0**10).advance()
    check_close(scaled.state(), plain[label].state(), 0.0)


@every_case
@pytest.mark.parametrize("group", ["audio", "fusion"])
def test_an_overflow_leaves_the_step_out(plain, label, group):
    loop = Loop(make(label), scale=2.0**10)
    for number in range(STEPS):
        if number in (0, 3, 6):
            before = copy.deepcopy(loop.state())
            loop.step(number, spoil=group)
            check_close(loop.state(), before, 0.0)
        loop.advance([number])
    check_close(loop.state(), plain[label].state(), 0.0)


@every_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_finite_and_near(plain, label, dtype):
    loop = Loop(make(label), dtype=dtype, scale=2.0**8 if dtype == torch.float16 else None)
    check_finite(loop.advance())
    kept = plain[label].net.state_dict()
    near = [(v - kept[k]).norm() / kept[k].norm() for k, v in loop.net.state_dict().items()]
    assert max(near) < 0.25


@every_case
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_stays_finite(label, dtype):
    check_finite(Loop(make(label), whole_dtype=dtype).advance())


def check_finite(loop: Loop) -> None:
    check_acted(loop.modulator)
    for name, value in loop.net.state_dict().items():
        assert bool(value.isfinite().all()), name
    for name, value in loop.modulator.state_dict().items():
        if isinstance(value, torch.Tensor):
            assert bool(value.isfinite().all()), name


# ------------------------------------------------------------------ compiled, saved, copied


@pytest.mark.parametrize("label", ["ogm_ge", "boost", "frequency"])
def test_a_compiled_network_is_modulated_alike(plain, label):
    torch.compiler.reset()
    compiled = Loop(make(label), backend="aot_eager").advance()
    check_close(compiled.state(), plain[label].state(), 1e-5)


@every_case
@pytest.mark.parametrize("cut", [1, 6])
def test_a_saved_state_goes_on_bit_for_bit(plain, label, cut, tmp_path):
    first = Loop(make(label)).advance(range(cut))
    torch.save(first.state(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    second = Loop(make(label)).load(state)
    check_close(second.state(), first.state(), 0.0)
    check_close(second.advance(range(cut, STEPS)).state(), plain[label].state(), 0.0)


@every_case
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])  # noqa: S301
def test_a_copy_in_mid_run_goes_on_bit_for_bit(plain, label, copied):
    first = Loop(make(label)).advance(range(6))
    second = Loop(copied(first.modulator))
    second.net.load_state_dict(first.net.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    first.modulator = Chain()  # what the copy does must not need the original
    check_close(second.advance(range(6, STEPS)).state(), plain[label].state(), 0.0)


def test_the_parts_of_a_batch_are_the_batch():
    assert all(sum(sum(p) for p in parts) == BATCH for _, parts, _ in SPLITS.values())
