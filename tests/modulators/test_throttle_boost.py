"""Throttle and boost, step by step, against a second implementation that shares no code."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import pytest
import torch
from naive_parts import SIZES, NaiveProbes, Net, draw_batch, middles, same
from torch import Tensor
from torch.nn import functional as F

from asgml_core.modulators import (
    Boost,
    Clock,
    During,
    Evaluation,
    Metrics,
    Outputs,
    Throttle,
)

BATCHES = 10
EPOCHS = 2


@dataclass
class Naive:
    """The study's rule, written with ``nn.Linear``, ``torch.optim.Adam`` and Python floats."""

    kind: str
    modalities: list[str]
    alpha: float
    limit: float
    times: frozenset[int]
    probes: NaiveProbes
    scales: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.scales = dict.fromkeys(self.modalities, 1.0)

    def edit(self, outputs: Outputs, labels: Tensor, groups, batch: int) -> None:
        for m in self.modalities:
            for p in groups[m]:
                p.grad *= self.scales[m]
        if batch + 1 in self.times:
            self.probes.read(outputs, labels)
            target = self.target()
            for m in self.modalities:
                self.scales[m] = 0.3 * target[m] + 0.7 * self.scales[m]

    def target(self) -> dict[str, float]:
        gap, low = self.probes.gap(), min(self.probes.accuracies.values())
        if gap < 1e-8:
            return dict.fromkeys(self.modalities, 1.0)
        share = {m: (a - low) / gap for m, a in self.probes.accuracies.items()}
        if self.kind == "throttle":
            return {m: max(1 - self.alpha * share[m], self.limit) for m in self.modalities}
        return {m: min(1 + self.alpha * (1 - share[m]), self.limit) for m in self.modalities}


class Learner:
    """A net and its optimizer."""

    def __init__(self, modalities: list[str]) -> None:
        self.net = Net(modalities)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1, momentum=0.9)

    def backward(self, inputs: dict[str, Tensor], labels: Tensor) -> Outputs:
        outputs = self.net(inputs)
        self.optimizer.zero_grad()
        F.cross_entropy(outputs.logits, labels).backward()
        return outputs

    def gradients(self) -> dict[str, Tensor]:
        return {name: p.grad for name, p in self.net.named_parameters()}

    def step(self) -> dict[str, Tensor]:
        self.optimizer.step()
        return self.net.state_dict()


METHODS = {
    "throttle": lambda **settings: Throttle(alpha=0.6, scale_min=0.3, **settings),
    "boost": lambda **settings: Boost(alpha=0.75, scale_max=1.6, **settings),
}
ALPHAS = {"throttle": (0.6, 0.3), "boost": (0.75, 1.6)}


@pytest.mark.parametrize(
    ("eval_every", "split", "probe_ema"),
    [
        (None, True, "train"),
        (None, False, "study"),
        (1, False, "train"),
        (3, True, "study"),
        (3, False, "train"),
        (10, True, "study"),
    ],
)
@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("kind", METHODS)
def test_the_whole_trajectory(kind, count, eval_every, split, probe_ema):
    modalities = list(SIZES)[:count]
    method = METHODS[kind](
        eval_every=eval_every, probe_steps=4, probe_split=split, probe_ema=probe_ema, seed=5
    )
    times = middles(BATCHES) if eval_every is None else range(eval_every, BATCHES + 1, eval_every)
    probes = NaiveProbes(modalities, 5, steps=4, split=split)
    naive = Naive(kind, modalities, *ALPHAS[kind], frozenset(times), probes)
    ours, theirs = Learner(modalities), Learner(modalities)
    test_inputs, test_labels = draw_batch(modalities, 40, seed=99)
    for step in range(EPOCHS * BATCHES):
        epoch, batch = divmod(step, BATCHES)
        clock = Clock(epoch + 1, step, batch, BATCHES, EPOCHS)
        inputs, labels = draw_batch(modalities, 12, seed=step)
        outputs = {learner: learner.backward(inputs, labels) for learner in (ours, theirs)}
        expected = {f"scale/{m}": scale for m, scale in naive.scales.items()}
        record = method.modulate(outputs[ours], labels, ours.net.groups(), clock)
        naive.edit(outputs[theirs], labels, theirs.net.groups(), batch)
        if batch + 1 in times:
            expected |= probes.record()
        same(record, expected)
        same(dict(zip(modalities, method.accuracies, strict=True)), probes.accuracies)
        same(dict(zip(modalities, method.scales, strict=True)), naive.scales)
        same(ours.gradients(), theirs.gradients())
        same(ours.step(), theirs.step())
        if batch + 1 == BATCHES:
            with torch.no_grad():
                test = Evaluation(ours.net(test_inputs), test_labels)
            method.epoch_end(Metrics(None, test), ours.optimizer, ours.net.groups(), clock)
            if probe_ema == "study":
                probes.epoch_end(test)
    assert int(method.measured) == EPOCHS * len(times)
    assert len(set(naive.scales.values())) > 1  # the run compares something that moved


@pytest.mark.parametrize("kind", METHODS)
def test_the_test_set_moves_the_study_s_average_and_no_other(kind):
    def averages(probe_ema: str) -> Tensor:
        method = METHODS[kind](eval_every=1, probe_ema=probe_ema)
        net, clock = Net(["audio", "visual"]), Clock(1, 0, 0, 1, 1)
        inputs, labels = draw_batch(["audio", "visual"], 12, seed=0)
        outputs = net(inputs)
        outputs.logits.sum().backward()
        method.modulate(outputs, labels, net.groups(), clock)
        before = method.accuracies
        metrics = Metrics(None, Evaluation(outputs, labels))
        method.epoch_end(metrics, torch.optim.SGD(net.parameters()), net.groups(), clock)
        return method.accuracies - before

    assert bool((averages("train") == 0).all())
    assert bool((averages("study") > 0).all())


@pytest.mark.parametrize("kind", METHODS)
def test_an_evaluation_is_read_by_name_whatever_its_order(kind):
    """Whose probe reads whose features must not rest on the order of a dictionary."""
    found = []
    for turned in (False, True):
        method = METHODS[kind](eval_every=1, probe_ema="study")
        net, clock = Net(["audio", "visual"]), Clock(1, 0, 0, 1, 1)
        inputs, labels = draw_batch(["audio", "visual"], 12, seed=0)
        outputs = net(inputs)
        outputs.logits.sum().backward()
        method.modulate(outputs, labels, net.groups(), clock)
        told = net(inputs)
        if turned:
            told = dataclasses.replace(
                told,
                unimodal_logits=dict(reversed(told.unimodal_logits.items())),
                features=dict(reversed(told.features.items())),
            )
        metrics = Metrics(Evaluation(told, labels), Evaluation(told, labels))
        optimizer = torch.optim.SGD(net.parameters())
        record = method.epoch_end(metrics, optimizer, net.groups(), clock)
        found.append({name: float(value) for name, value in record.items()})
        found.append(method.accuracies.tolist())
    assert found[:2] == found[2:]
    assert found[0]["probe_on_test/audio"] != found[0]["probe_on_test/visual"]


@pytest.mark.parametrize(
    ("batches", "times"),
    [(5, 5), (10, 5), (25, 5), (100, 5), (105, 5), (9, 5), (24, 5), (26, 5), (4, 4), (1, 1)],
)
@pytest.mark.parametrize("kind", METHODS)
def test_none_means_five_probe_times_an_epoch(kind, batches, times):
    method = METHODS[kind](eval_every=None)
    clocks = [Clock(1, b, b, batches, 1) for b in range(batches)]
    assert sum(method.is_probe_time(clock) for clock in clocks) == times
    assert method.schedule(clocks[0]) == {"probe_times_per_epoch": times}
    if batches >= 5:
        assert {c.batch + 1 for c in clocks if method.is_probe_time(c)} == set(middles(batches))


@pytest.mark.parametrize("kind", METHODS)
def test_the_study_s_period_gives_five_probe_times_in_105_batches(kind):
    method = METHODS[kind](eval_every=20)
    probed = [b + 1 for b in range(105) if method.is_probe_time(Clock(2, 105 + b, b, 105, 2))]
    assert probed == [20, 40, 60, 80, 100]


@pytest.mark.parametrize("kind", METHODS)
def test_a_period_longer_than_the_epoch_is_an_error(kind):
    method = METHODS[kind](eval_every=11)
    clock = Clock(1, 0, 0, 10, 5)
    message = rf"{kind}: eval_every is 11 batches, but an epoch has 10"
    with pytest.raises(ValueError, match=message):
        method.schedule(clock)
    with pytest.raises(ValueError, match=message):
        During(method, 0, 3).schedule(clock)
    net = Net(["audio", "visual"])
    inputs, labels = draw_batch(["audio", "visual"], 4, seed=0)
    outputs = net(inputs)
    outputs.logits.sum().backward()
    with pytest.raises(ValueError, match=message):
        method.modulate(outputs, labels, net.groups(), clock)
    assert METHODS[kind](eval_every=10).schedule(clock) == {"probe_times_per_epoch": 1}


def test_the_largest_boost_is_one_number_for_two_modalities():
    """At alpha .5, scale_max 1.5, 2 and 3 are one method: the study swept a constant."""

    def scales(scale_max: float) -> list[list[float]]:
        method = Boost(alpha=0.5, scale_max=scale_max, eval_every=1)
        net, trajectory = Net(["audio", "visual"]), []
        for step in range(8):
            inputs, labels = draw_batch(["audio", "visual"], 12, seed=step)
            outputs = net(inputs)
            outputs.logits.sum().backward()
            clock = Clock(1, step, step, 8, 1)
            method.modulate(outputs, labels, net.groups(), clock)
            trajectory.append(method.scales.tolist())
        return trajectory

    assert scales(1.5) == scales(2.0) == scales(3.0)
    assert scales(1.5)[-1] != [1.0, 1.0]
    assert scales(1.2) != scales(1.5)
