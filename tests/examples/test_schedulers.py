"""A method's factor on a learning rate, beside the schedulers of PyTorch."""

from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler

from asgml_core.modulators.editing import set_rate_factor

EPOCHS, CHANGES = 9, {2: 0.5, 5: 0.25, 7: 1.0}
MULTIPLYING = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 4], 0.5),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, 0.5, 3),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.2, 1.0, 5),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 12, 2.0),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 12),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda _: 0.9),
}
SETTING = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=12),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, step_size_up=3),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
}


def put_back(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group.get("factor", 1.0)


def rates(make, again: bool) -> tuple[list[float], list[float]]:
    """Return the rates of an encoder with a factor, and what they should be: of one without."""
    audio, visual = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    groups = [{"params": [audio]}, {"params": [visual]}]
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.9)
    scheduler = make(optimizer)
    found, expected, factor = [], [], 1.0
    for epoch in range(EPOCHS):
        optimizer.step()
        first, second = (group["lr"] for group in optimizer.param_groups)
        found.append(first)
        expected.append(second * factor)
        if epoch in CHANGES:
            factor = CHANGES[epoch]
            set_rate_factor(optimizer, [audio], factor, "audio")
        scheduler.step()
        if again:
            put_back(optimizer)
    return found, expected


@pytest.mark.parametrize("name", MULTIPLYING)
def test_a_scheduler_that_multiplies_keeps_the_factor(name):
    found, expected = rates(MULTIPLYING[name], again=False)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("name", SETTING)
def test_a_scheduler_that_sets_the_rate_needs_the_factor_put_back(name):
    found, expected = rates(SETTING[name], again=True)
    assert found == pytest.approx(expected)
    found, expected = rates(SETTING[name], again=False)
    assert found != pytest.approx(expected)
