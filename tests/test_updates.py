"""How far weights moved, and would have moved: against a second run made by copying everything."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from asgml_core.config import TrainConfig
from asgml_core.trainer import make_optimizer
from asgml_core.updates import Updates

OPTIMIZERS = {
    "momentum and decay": TrainConfig(learning_rate=0.05, weight_decay=0.02),
    "plain": TrainConfig(learning_rate=0.05, momentum=0.0, weight_decay=0.0),
    "momentum": TrainConfig(learning_rate=0.05, weight_decay=0.0),
    "adam": TrainConfig(optimizer="adam", learning_rate=0.01, weight_decay=0.0),
    "adam and decay": TrainConfig(optimizer="adam", learning_rate=0.01, weight_decay=0.1),
}
every_optimizer = pytest.mark.parametrize("train", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
Edit = Callable[[dict[str, list[nn.Parameter]], int], None]


def make_net() -> nn.ModuleDict:
    """Two encoders whose weights lie in memory in several ways."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        picture = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        layers = {"audio": nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), "visual": picture}
        return nn.ModuleDict(layers)


def groups_of(net: nn.ModuleDict) -> dict[str, list[nn.Parameter]]:
    return {m: list(net[m].parameters()) for m in ("audio", "visual")}


def fill(groups: dict[str, list[nn.Parameter]], step: int) -> None:
    """Give every parameter a gradient of its own, in the weight's layout as autograd does."""
    for i, parameters in enumerate(groups.values()):
        for j, p in enumerate(parameters):
            draw = torch.Generator().manual_seed(100 * step + 10 * i + j)
            p.grad = torch.empty_like(p).copy_(torch.randn(p.shape, generator=draw))


def distance(a: list[Tensor], b: list[Tensor]) -> float:
    return float(sum(((p - q).double() ** 2).sum() for p, q in zip(a, b, strict=True)) ** 0.5)


class Naive:
    """A copy of the network at every step, with an optimizer that remembers the raw gradients."""

    def __init__(self, train: TrainConfig) -> None:
        self.train, self.memory = train, None

    def would_move(self, net: nn.ModuleDict, rate: float) -> dict[str, float]:
        twin = copy.deepcopy(net)
        for p, q in zip(twin.parameters(), net.parameters(), strict=True):
            p.grad = torch.zeros_like(q) if q.grad is None else q.grad.clone()
        kind = torch.optim.Adam if self.train.optimizer == "adam" else torch.optim.SGD
        extra = {} if self.train.optimizer == "adam" else {"momentum": self.train.momentum}
        optimizer = kind(twin.parameters(), lr=rate, weight_decay=self.train.weight_decay, **extra)
        if self.memory is not None:
            optimizer.load_state_dict(self.memory)
            optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        self.memory = copy.deepcopy(optimizer.state_dict())
        now, then = groups_of(net), groups_of(twin)
        with torch.no_grad():
            return {m: distance(now[m], then[m]) for m in now}


class Training:
    """A loop that edits its gradients, watched by ``Updates`` and by the naive copy."""

    def __init__(self, train: TrainConfig, edit: Edit, *, modulated: bool = True) -> None:
        self.train, self.edit, self.net = train, edit, make_net()
        self.groups = groups_of(self.net)
        self.optimizer = make_optimizer(train, self.groups)
        self.updates = Updates(
            self.groups, self.optimizer, partial(make_optimizer, train), modulated
        )
        self.naive = Naive(train)

    def step(self, t: int) -> dict[str, float]:
        """Take a step, check it against the copy, and return what ``Updates`` said."""
        rate = self.train.learning_rate * (0.1 if t >= 20 else 1.0)
        self.updates.set_rate(rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        fill(self.groups, t)
        if self.edit is odd and t % 5 == 3:
            self.groups["audio"][1].grad = None  # it counts as a gradient of 0
        expected = self.naive.would_move(self.net, rate)
        said = self.updates.before(list(self.groups))
        self.edit(self.groups, t)
        before = {m: [p.detach().clone() for p in self.groups[m]] for m in self.groups}
        self.optimizer.step()
        said |= self.updates.after(list(self.groups))
        found = {name: float(value) for name, value in said.items()}
        for m in self.groups:
            with torch.no_grad():
                moved = distance(self.groups[m], before[m])
            assert found[f"update_norm/{m}"] == pytest.approx(moved, rel=1e-4, abs=1e-7)
            assert found[f"unmodulated_norm/{m}"] == pytest.approx(expected[m], rel=1e-4, abs=1e-7)
        return found

    def run(self, steps: int = 30) -> list[dict[str, float]]:
        return [self.step(t) for t in range(steps)]


def nothing(groups: dict[str, list[nn.Parameter]], t: int) -> None:
    """Edit nothing."""


def odd(groups: dict[str, list[nn.Parameter]], t: int) -> None:
    """Scale one encoder by changing numbers; freeze the other on every third step."""
    for p in groups["audio"]:
        if p.grad is not None:
            p.grad.mul_(0.1 if t % 2 else 1.7)
    if t % 3 == 2:
        for p in groups["visual"]:
            p.grad = None


def halve_audio(groups: dict[str, list[nn.Parameter]], t: int) -> None:
    for p in groups["audio"]:
        if p.grad is not None:
            p.grad.mul_(0.5)


def relative(said: dict[str, float], m: str) -> float:
    return said[f"update_norm/{m}"] / said[f"unmodulated_norm/{m}"]


@every_optimizer
@pytest.mark.parametrize("edit", [nothing, odd, halve_audio], ids=["nothing", "odd", "half"])
def test_both_movements_are_those_of_the_copy(train, edit):
    said = Training(train, edit).run()
    if edit is nothing:
        ratios = [relative(s, m) for s in said for m in ("audio", "visual")]
        assert ratios == pytest.approx([1.0] * 60, rel=1e-4)
    if edit is odd:
        assert max(relative(s, "audio") for s in said) > 1.05 > 0.95
        assert min(relative(s, "visual") for s in said) == 0.0


@pytest.mark.parametrize("kind", ["plain", "momentum"])
def test_a_constant_scale_moves_the_weights_by_that_much(kind):
    """SGD is linear: from the first step on, whatever it remembers."""
    said = Training(OPTIMIZERS[kind], halve_audio).run()
    assert [relative(s, "audio") for s in said] == pytest.approx([0.5] * 30, rel=1e-4)
    assert [relative(s, "visual") for s in said] == pytest.approx([1.0] * 30, rel=1e-5)


def test_adam_undoes_a_constant_scale():
    """It divides by the size of the gradient: a scale that never changes is no scale at all."""
    said = Training(OPTIMIZERS["adam"], halve_audio).run()
    assert [relative(s, "audio") for s in said] == pytest.approx([1.0] * 30, rel=1e-3)


@every_optimizer
def test_a_learning_rate_s_factor_is_the_relative_movement(train):
    training = Training(train, nothing)
    training.optimizer.param_groups[1]["factor"] = 0.3
    said = training.run()
    assert [relative(s, "visual") for s in said] == pytest.approx([0.3] * 30, rel=1e-4)
    assert [relative(s, "audio") for s in said] == pytest.approx([1.0] * 30, rel=1e-4)


@every_optimizer
def test_its_memory_is_saved(train):
    """A run cut in the middle says the same as a whole one, bit for bit."""
    whole = Training(train, odd).run()
    first, second = Training(train, odd), Training(train, odd)
    said = first.run(12)
    second.net.load_state_dict(first.net.state_dict())
    second.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    second.updates.load_state_dict(copy.deepcopy(first.updates.state_dict()))
    second.naive.memory = first.naive.memory
    assert said + [second.step(t) for t in range(12, 30)] == whole


def test_without_modulation_the_two_are_one_number_and_no_second_optimizer_steps():
    training = Training(OPTIMIZERS["momentum and decay"], nothing, modulated=False)
    for said in training.run():
        assert said["update_norm/audio"] == said["unmodulated_norm/audio"] > 0
    assert training.updates.state_dict()["state"] == {}


def test_a_modality_that_is_not_in_a_pass_is_not_followed():
    """Its memory stays as it was: in that pass it had no gradient, and no step."""
    training = Training(OPTIMIZERS["momentum"], nothing)
    training.step(0)
    kept = copy.deepcopy(training.updates.state_dict()["state"])
    fill(training.groups, 1)
    assert set(training.updates.before(["audio"])) == {"unmodulated_norm/audio"}
    training.optimizer.step()
    assert set(training.updates.after(["audio"])) == {"update_norm/audio"}
    state = training.updates.state_dict()["state"]
    followed = [
        not torch.equal(state[i]["momentum_buffer"], kept[i]["momentum_buffer"]) for i in kept
    ]
    assert followed == [True] * len(training.groups["audio"]) + [False] * 2


def test_the_gradients_and_weights_are_left_as_they_are():
    training = Training(OPTIMIZERS["momentum and decay"], nothing)
    fill(training.groups, 0)
    weights = [p.detach().clone() for p in training.net.parameters()]
    gradients = [p.grad.clone() for p in training.net.parameters()]
    training.updates.set_rate(0.5)
    training.updates.before(["audio", "visual"])
    assert all(map(torch.equal, training.net.parameters(), weights))
    assert all(
        torch.equal(p.grad, g) for p, g in zip(training.net.parameters(), gradients, strict=True)
    )


def test_a_gradient_of_another_layout_is_the_same_gradient():
    """Numbers must meet their own weights, however the two lie in memory."""
    said: dict[torch.memory_format, list] = {}
    for layout in (torch.channels_last, torch.contiguous_format):
        training = Training(OPTIMIZERS["momentum and decay"], nothing)
        weight = training.groups["visual"][0]
        for t in range(3):
            fill(training.groups, t)
            weight.grad = weight.grad.contiguous(memory_format=layout)
            said.setdefault(layout, []).append(training.updates.before(["visual"]))
    assert said[torch.channels_last] == said[torch.contiguous_format]
    assert said[torch.channels_last][0].keys() == {"unmodulated_norm/visual"}


def test_an_optimizer_whose_movement_is_not_known_is_refused():
    groups = groups_of(make_net())
    with pytest.raises(TypeError, match="optimizer is RMSprop, but updates are known of SGD, Adam"):
        Updates(groups, torch.optim.RMSprop(groups["audio"]), lambda named: None, modulated=True)


# ---------------------------------------------------------------------------- the optimizer


def test_the_optimizers_of_a_run():
    groups = {"audio": [nn.Parameter(torch.ones(2))], "fusion": [nn.Parameter(torch.ones(3))]}
    sgd = make_optimizer(TrainConfig(momentum=0.8, weight_decay=0.3, learning_rate=0.2), groups)
    adam = make_optimizer(TrainConfig(optimizer="adam", learning_rate=1e-3), groups)
    assert isinstance(sgd, torch.optim.SGD)
    assert isinstance(adam, torch.optim.Adam)
    for optimizer, rate, decay in ((sgd, 0.2, 0.3), (adam, 1e-3, 1e-4)):
        assert [group["name"] for group in optimizer.param_groups] == ["audio", "fusion"]
        assert {group["lr"] for group in optimizer.param_groups} == {rate}
        assert {group["weight_decay"] for group in optimizer.param_groups} == {decay}
    assert {group["momentum"] for group in sgd.param_groups} == {0.8}
    assert {group["betas"] for group in adam.param_groups} == {(0.9, 0.999)}
