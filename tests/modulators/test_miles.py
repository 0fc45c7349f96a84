"""MILES: its formula against a naive one, and learning rates over whole runs with a schedule."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from naive_parts import CLASSES, Net, draw_batch, same
from small_loop import BATCHES, NAMES, STEPS, Run
from torch import nn
from torch.nn import functional as F

from asgml_core.modulators import (
    MILES,
    OGM,
    Chain,
    Clock,
    During,
    Evaluation,
    Metrics,
    Modulator,
    Outputs,
    miles_factors,
    utilization_rates,
)
from asgml_core.modulators.editing import set_rate_factor

# Sixteenths are exact in binary, so ties and thresholds are met exactly.
ACCURACY = st.integers(0, 16).map(lambda i: i / 16)
ACCURACIES = st.lists(ACCURACY, min_size=2, max_size=6)
REDUCTION = st.sampled_from([0.1, 0.5, 1.0])


def naive_rates(fused, accuracies):
    if fused == 0:
        return [0.0] * len(accuracies)
    rates = []
    for i in range(len(accuracies)):
        others = [a for j, a in enumerate(accuracies) if j != i]
        rates.append((fused - sum(others) / len(others)) / fused)
    return rates


def naive_factors(fused, accuracies, threshold, reduction, previous=None):
    rates = naive_rates(fused, accuracies)
    if max(rates) - min(rates) <= threshold or all(u < 0 for u in rates):
        return [1.0] * len(accuracies)
    factors = [1.0] * len(accuracies) if previous is None else list(previous)
    factors[rates.index(max(rates))] = reduction
    return factors


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


@given(ACCURACY, ACCURACIES)
@example(0.0, [0.0, 0.0])
@example(0.0, [1.0, 0.5, 0.25])
@example(1.0, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
def test_utilization_rates(fused, accuracies):
    found = utilization_rates(fused, doubles(accuracies))
    assert found.tolist() == pytest.approx(naive_rates(fused, accuracies), rel=1e-12, abs=1e-12)
    assert float(found.max()) <= 1


@given(ACCURACY, ACCURACIES, st.sampled_from([0.0, 0.125, 0.2, 0.5, 2.0]), REDUCTION, st.booleans())
@example(0.5, [0.5, 0.5], 0.0, 0.5, False)  # no difference: nobody is slowed, at any threshold
@example(0.5, [0.75, 0.5], 0.5, 0.5, False)  # a difference equal to the threshold is none
@example(0.25, [1.0, 0.5], 0.2, 0.5, False)  # both rates below 0
@example(0.0, [1.0, 0.5], 0.0, 0.5, False)
def test_miles_factors(fused, accuracies, threshold, reduction, keep):
    previous = [0.5 if i % 2 else 1.0 for i in range(len(accuracies))] if keep else None
    given_previous = None if previous is None else doubles(previous)
    found = miles_factors(fused, doubles(accuracies), threshold, reduction, given_previous)
    assert found.tolist() == naive_factors(fused, accuracies, threshold, reduction, previous)
    tensor = miles_factors(
        doubles(fused), doubles(accuracies), threshold, reduction, given_previous
    )
    assert torch.equal(found, tensor)


@given(st.integers(1, 60), st.data(), st.integers(2, 6))
def test_counts_of_any_size_round_to_no_difference(items, data, count):
    """Shares such as 7 / 11 are no floats; equal ones must still be equal, and 0 exactly 0."""
    right = [data.draw(st.integers(0, items)) for _ in range(count)]
    fused = data.draw(st.one_of(st.sampled_from(right), st.integers(0, items)))
    accuracies = doubles([n / items for n in right])
    rates = utilization_rates(fused / items, accuracies)
    exact = [Fraction(0)] * count
    if fused:
        others = [Fraction(sum(right) - n, count - 1) for n in right]
        exact = [(fused - other) / Fraction(fused) for other in others]
    assert rates.tolist() == pytest.approx([float(u) for u in exact], rel=1e-12, abs=1e-12)
    if count == 2:
        assert [float(u) == 0 for u in rates] == [u == 0 for u in exact]
        level = max(exact) == min(exact)
        found = miles_factors(fused / items, accuracies, 0.0, 0.5).tolist()
        assert (found == [1.0, 1.0]) == (level or max(exact) < 0)


@given(st.floats(0.01, 1), st.permutations(range(6)), st.integers(2, 6), st.integers(0, 2**31))
def test_the_factors_follow_the_modalities(fused, order, count, seed):
    """Permuted accuracies give permuted factors, where no two rates are level."""
    order = [i for i in order if i < count]
    accuracies = torch.rand(count, generator=torch.Generator().manual_seed(seed)).double()
    rates = utilization_rates(fused, accuracies)
    assume(float(rates.sort().values.diff().min()) > 1e-9)
    assume(abs(float(rates.max() - rates.min()) - 0.2) > 1e-9)
    found = miles_factors(fused, accuracies, 0.2, 0.5)
    assert torch.equal(miles_factors(fused, accuracies[order], 0.2, 0.5), found[order])
    torch.testing.assert_close(utilization_rates(fused, accuracies[order]), rates[order])


def test_by_hand():
    """u_1 = (.8 - .3) / .8 = .625, u_2 = (.8 - .7) / .8 = .125: the first is used more."""
    accuracies = doubles([0.7, 0.3])
    assert utilization_rates(0.8, accuracies).tolist() == pytest.approx([0.625, 0.125])
    assert miles_factors(0.8, accuracies, 0.2, 0.5).tolist() == [0.5, 1.0]
    assert miles_factors(0.8, accuracies, 0.51, 0.5).tolist() == [1.0, 1.0]
    three = doubles([0.6, 0.4, 0.2])
    assert utilization_rates(0.5, three).tolist() == pytest.approx([0.4, 0.2, 0.0])
    assert miles_factors(0.5, three, 0.2, 0.5).tolist() == [0.5, 1.0, 1.0]


def test_one_modality_cannot_be_compared():
    with pytest.raises(ValueError, match="MILES compares modalities, but there is 1"):
        miles_factors(0.5, doubles([0.5]), 0.2, 0.5)


# ------------------------------------------------------------------------------ whole runs


def evaluation(fused: int, accuracies: dict[str, int]) -> Evaluation:
    """An evaluation of 20 items, so many of which each set of logits gets right."""

    def logits(right: int) -> torch.Tensor:
        classes = torch.tensor([0] * right + [1] * (20 - right))
        return F.one_hot(classes, CLASSES).float()

    unimodal = {m: logits(right) for m, right in accuracies.items()}
    return Evaluation(Outputs(logits(fused), unimodal, {}), torch.zeros(20, dtype=torch.long))


# Of 20: fused, audio, visual, text. Audio ahead twice, then visual, none, both rates below 0,
# nothing right, audio again and once more.
TOLD = (
    (16, 14, 4, 8), (16, 15, 5, 2), (15, 3, 14, 6), (15, 9, 9, 9), (4, 20, 9, 12), (0, 5, 1, 2),
    (12, 12, 2, 4), (12, 11, 3, 9),
)  # fmt: skip
BASE, DROP_EVERY, DROP = 0.1, 3, 0.1


class Naive:
    """SGD with momentum, a rate per parameter, and the factors of METHODS.md."""

    def __init__(self, net: Net, modalities: list[str], reset_other: bool) -> None:
        self.net, self.reset_other = net, reset_other
        self.factors = dict.fromkeys(modalities, 1.0)
        self.velocities = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
        self.kept: list[tuple[float, ...]] = []

    @torch.no_grad()
    def step(self, epoch: int) -> None:
        base = BASE * DROP ** (epoch // DROP_EVERY)
        for name, p in self.net.named_parameters():
            kind, m = name.split(".")[:2]
            self.velocities[name] = 0.9 * self.velocities[name] + p.grad
            rate = base * self.factors[m] if kind == "encoders" else base
            p.sub_(rate * self.velocities[name])

    def epoch_end(self, fused: float, accuracies: list[float]) -> dict[str, float]:
        previous = None if self.reset_other else list(self.factors.values())
        found = naive_factors(fused, accuracies, 0.2, 0.5, previous)
        self.factors = dict(zip(self.factors, found, strict=True))
        self.kept.append(tuple(found))
        rates = naive_rates(fused, accuracies)
        return {f"utilization/{m}": u for m, u in zip(self.factors, rates, strict=True)}


class Ours:
    """A loop of one's own: a parameter group per encoder, StepLR, and the method's two calls."""

    def __init__(self, net: Net, method: MILES) -> None:
        self.net, self.method = net, method
        heads = [*net.head.parameters(), *net.heads.parameters()]
        self.groups = net.groups() | {"fusion": heads}
        own = [{"params": parameters} for parameters in self.groups.values()]
        self.optimizer = torch.optim.SGD(own, lr=BASE, momentum=0.9)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, DROP_EVERY, DROP)

    def epoch_end(self, metrics: Metrics, clock: Clock) -> dict[str, torch.Tensor]:
        said = self.method.epoch_end(metrics, self.optimizer, self.groups, clock)
        self.schedule.step()
        return {name: rate.float() for name, rate in said.items()}


def backward(net: Net, inputs: dict[str, torch.Tensor], labels: torch.Tensor) -> Outputs:
    net.zero_grad()
    outputs = net(inputs)
    logits = (outputs.logits, *outputs.unimodal_logits.values())
    sum(F.cross_entropy(o, labels) for o in logits).backward()
    return outputs


@pytest.mark.parametrize("signal", ["valid", "test"])
@pytest.mark.parametrize("reset_other", [True, False])
@pytest.mark.parametrize("count", [2, 3])
def test_the_whole_trajectory(count, reset_other, signal):
    """With a StepLR: records and weights are those of plain SGD at the naive rates."""
    modalities = list(NAMES[:count])
    ours = Ours(Net(modalities), MILES(0.2, 0.5, reset_other, signal))
    naive = Naive(Net(modalities), modalities, reset_other)
    for step in range(40):
        epoch, batch = divmod(step, 5)
        clock = Clock(epoch + 1, step, batch, 5, 8)
        inputs, labels = draw_batch(modalities, 12, seed=step)
        outputs, _ = (backward(net, inputs, labels) for net in (ours.net, naive.net))
        record = ours.method.modulate(outputs, labels, ours.groups, clock)
        told = {f"factor/{m}": f for m, f in naive.factors.items()}
        same({name: f.float() for name, f in record.items()}, told if epoch else {})
        ours.optimizer.step()
        naive.step(epoch)
        same(ours.net.state_dict(), naive.net.state_dict())
        naive.net.load_state_dict(ours.net.state_dict())  # or the last bits would drift apart
        if batch == 4:
            fused, *right = TOLD[epoch]
            told = evaluation(fused, dict(zip(modalities, right, strict=False)))
            level = evaluation(10, dict.fromkeys(modalities, 10))
            metrics = Metrics(told, level) if signal == "valid" else Metrics(level, told)
            expected = naive.epoch_end(fused / 20, [n / 20 for n in right[:count]])
            same(ours.epoch_end(metrics, clock), expected)
    assert int(ours.method.measured) == 8
    assert int(ours.method.acted) == 5 * sum(min(f) < 1 for f in naive.kept[:-1]) > 0
    if count == 2:
        # Twice in a row ahead is still .5; only without a reset are both below 1 at once.
        both = (1.0, 0.5) if reset_other else (0.5, 0.5)
        assert naive.kept[:3] == [(0.5, 1.0), (0.5, 1.0), both]
        assert naive.kept[3:6] == [(1.0, 1.0)] * 3


def test_rates_never_compound_and_come_back():
    """Twenty reductions in a row are one, and the base rate comes back to the last bit."""
    encoders = {m: [nn.Parameter(torch.zeros(1))] for m in ("audio", "visual")}
    optimizer = torch.optim.Adam([{"params": p} for p in encoders.values()], lr=1e-3)
    method = MILES(reduction=0.3, signal="test")
    ahead, level = (evaluation(10, {"audio": a, "visual": 2}) for a in (15, 2))
    for epoch in range(1, 21):
        method.epoch_end(Metrics(None, ahead), optimizer, encoders, Clock(epoch, 0, 0, 1, 30))
        found = [group["lr"] for group in optimizer.param_groups]
        assert found == pytest.approx([3e-4, 1e-3], rel=1e-12)
    method.epoch_end(Metrics(None, level), optimizer, encoders, Clock(21, 0, 0, 1, 30))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-3, 1e-3])


def test_a_rate_that_is_a_tensor_is_not_shared():
    """torch puts one tensor into all groups; a product in place would slow everyone."""
    parameters = {m: [nn.Parameter(torch.zeros(1))] for m in ("audio", "visual")}
    groups = [{"params": p} for p in parameters.values()]
    optimizer = torch.optim.SGD(groups, lr=torch.tensor(0.1))
    set_rate_factor(optimizer, parameters["audio"], 0.5)
    assert [float(g["lr"]) for g in optimizer.param_groups] == pytest.approx([0.05, 0.1])


def test_an_optimizer_without_a_group_for_each_encoder_is_refused():
    encoders = {m: [nn.Parameter(torch.zeros(1))] for m in ("audio", "visual")}
    together = torch.optim.SGD([p for parts in encoders.values() for p in parts], lr=0.1)
    stranger = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    metrics = Metrics(evaluation(10, {"audio": 15, "visual": 2}))
    for optimizer, found in ((together, "in a group with other"), (stranger, "in none of its")):
        with pytest.raises(ValueError, match=f"the encoder 'audio' {found}"):
            MILES().epoch_end(metrics, optimizer, encoders, Clock(1, 0, 0, 1, 2))


def test_a_part_that_is_not_there_is_named():
    encoders = {m: [nn.Parameter(torch.zeros(1))] for m in ("audio", "visual")}
    optimizer = torch.optim.SGD([{"params": p} for p in encoders.values()], lr=0.1)
    told = evaluation(10, {"audio": 15, "visual": 2})
    for signal, metrics in (("valid", Metrics(None, told)), ("test", Metrics(told))):
        with pytest.raises(ValueError, match=f"signal is '{signal}', but metrics.{signal} is None"):
            MILES(signal=signal).epoch_end(metrics, optimizer, encoders, Clock(1, 0, 0, 1, 2))


@pytest.mark.parametrize("first", [True, False])
def test_a_window_gives_back_its_own_rates_and_no_other_s(first):
    encoders = {m: [nn.Parameter(torch.zeros(1))] for m in ("audio", "visual")}
    ahead = Metrics(evaluation(16, {"audio": 15, "visual": 2}))

    def rates(method: Modulator) -> list[list[float]]:
        optimizer = torch.optim.SGD([{"params": p} for p in encoders.values()], lr=0.1)
        found = []
        for epoch in range(1, 5):
            method.epoch_end(ahead, optimizer, encoders, Clock(epoch, epoch - 1, 0, 1, 4))
            found.append([round(group["lr"], 9) for group in optimizer.param_groups])
        return found

    # The rates set at the end of epoch 2 would be those of epoch 3, outside the window.
    assert rates(During(MILES(), 1, 2)) == [[0.05, 0.1], [0.1, 0.1], [0.1, 0.1], [0.1, 0.1]]
    assert rates(During(MILES(), 3, 9)) == [[0.1, 0.1], [0.1, 0.1], [0.05, 0.1], [0.05, 0.1]]
    other = During(OGM(), 1, 2)
    parts = (MILES(), other) if first else (other, MILES())
    assert rates(Chain(*parts)) == [[0.05, 0.1]] * 4


def test_nothing_is_recorded_before_the_first_epoch_is_over():
    run = Run(MILES(0.0), NAMES[:2]).advance(STEPS)
    assert run.records[:BATCHES] == [{}] * BATCHES
    for record in run.records[BATCHES:]:
        assert set(record) == {"factor/audio", "factor/visual"}
        assert all(math.isclose(float(f), 1) or float(f) == 0.5 for f in record.values())
