"""Frozen values: what each method does to one fixed input, to four digits.

A number here changes only when a published number would. It is compared with what the method gave
when the golden vectors and the naive references agreed with it, not with a formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asgml_core.modulators import REGISTRY, Clock, Evaluation, Metrics, Modulator, Outputs
from asgml_core.modulators.outputs import Groups

NAMES = ("audio", "visual", "text")
BATCH, CLASSES, WIDTH, STEPS = 6, 3, 4, 3


def wave(*shape: int, start: float, size: float = 1.0) -> Tensor:
    """Return fixed numbers between -size and size that repeat nowhere."""
    count = torch.Size(shape).numel()
    return size * torch.sin(start + 1.3 * torch.arange(count, dtype=torch.float32)).view(shape)


def fuse(features: Mapping[str, Tensor]) -> Tensor:
    """Return the logits of a fixed linear head with a bias."""
    logits = torch.tensor([0.3, 0.0, -0.3])
    for i, z in enumerate(features.values()):
        logits = logits + z @ wave(WIDTH, CLASSES, start=2.0 * i)
    return logits


def epoch_end(method: Modulator, told: Evaluation, groups: Groups, clock: Clock) -> list[float]:
    """Return what is recorded at the end of an epoch, and the learning rates after it."""
    optimizer = torch.optim.SGD([{"params": parameters} for parameters in groups.values()], lr=1.0)
    record = method.epoch_end(Metrics(None, told), optimizer, groups, clock)
    return [float(v) for v in record.values()] + [g["lr"] for g in optimizer.param_groups]


def outcome(name: str, settings: dict[str, Any], count: int) -> list[float]:
    """Run three steps; return every record and three gradients an encoder of the last one.

    For a method that needs it, ``epoch_end`` comes between the two.
    """
    method, labels = REGISTRY[name](**settings), torch.tensor([0, 1, 2, 0, 1, 2])
    modalities = NAMES[:count]
    groups = {
        m: [nn.Parameter(torch.zeros(2, 1, 3, 3)), nn.Parameter(torch.zeros(2))] for m in modalities
    }
    for step in range(STEPS):
        clock = Clock(1, step, step, STEPS, 1)
        signal = F.one_hot(labels, WIDTH)
        unimodal, features = {}, {}
        for i, m in enumerate(modalities):
            unimodal[m] = wave(BATCH, CLASSES, start=step + 3.0 * i) + signal[:, :3] / (1 + i)
            features[m] = wave(BATCH, WIDTH, start=step + 5.0 * i) + 2 * signal / (1 + 9 * i)
            for p in groups[m]:
                p.grad = wave(*p.shape, start=step + 7.0 * i, size=0.1)
        outputs = Outputs(sum(unimodal.values()), unimodal, features, fuse)
        logits = {"fused": outputs.logits, **(unimodal if method.weighs_terms else {})}
        terms = {name: F.cross_entropy(o, labels) for name, o in logits.items()}
        terms = method.terms(terms, outputs, labels, clock)
        record = terms | method.modulate(outputs, labels, groups, clock)
    numbers = [float(value) for value in record.values()]
    if method.needs_epoch_end:
        numbers += epoch_end(method, Evaluation(outputs, labels), groups, clock)
    for m in modalities:
        conv, bias = groups[m]
        numbers += [*conv.grad.flatten()[:2].tolist(), float(bias.grad[0])]
    return numbers


# fmt: off
VALUES = (
    ("unimodal_losses", {"gamma": 0.5}, 2, [
        0.3322, 0.2512, 0.5824, 0.0909, -0.0158, 0.0909, 0.0412, -0.0768, 0.0412
    ]),
    ("unimodal_losses", {"fused": False}, 3, [
        0.5024, 1.1648, 0.9612, 0.0909, -0.0158, 0.0909, 0.0412, -0.0768, 0.0412, -0.0288, -0.1,
        -0.0288
    ]),
    ("ogm", {}, 2, [
        0.3322, 0.1006, 1.0, 0.0091, -0.0016, 0.0909, 0.0412, -0.0768, 0.0412
    ]),
    ("ogm", {"variant": "official", "alpha": 0.3}, 2, [
        0.3322, 0.4988, 1.0, 0.0454, -0.0079, 0.0909, 0.0412, -0.0768, 0.0412
    ]),
    ("ogm", {"reference": "mean", "scope": "all"}, 3, [
        0.2931, 0.205, 1.0, 1.0, 0.0186, -0.0032, 0.0186, 0.0412, -0.0768, 0.0412, -0.0288, -0.1,
        -0.0288
    ]),
    ("ogm", {"reference": "min"}, 3, [
        0.2931, 0.1006, 1.0, 0.2465, 0.0091, -0.0016, 0.0909, 0.0412, -0.0768, 0.0412, -0.0071,
        -0.0246, -0.0288
    ]),
    ("ogm", {"scores": "split"}, 2, [
        0.3322, 1.0, 0.0045, 0.0909, -0.0158, 0.0909, 0.0002, -0.0003, 0.0412
    ]),
    ("ogm", {"scores": "zero_out"}, 2, [
        0.3322, 1.0, 0.0079, 0.0909, -0.0158, 0.0909, 0.0003, -0.0006, 0.0412
    ]),
    ("ogm", {"scores": "probe"}, 3, [
        0.2931, 1.0, 0.2967, 0.3109, 0.0909, -0.0158, 0.0909, 0.0122, -0.0228, 0.0412, -0.009,
        -0.0311, -0.0288
    ]),
    ("ogm_ge", {}, 2, [
        0.3322, 0.1006, 1.0, 0.1334, 0.0542, 0.0909, 0.0412, -0.0768, 0.0412
    ]),
    ("ogm_ge", {"variant": "official", "alpha": 0.3}, 2, [
        0.3322, 0.4988, 1.0, 0.1696, 0.0479, 0.0909, -0.0168, -0.1651, 0.0412
    ]),
    ("frequency", {"eval_every": 1}, 2, [
        0.3322, 0.5024, 1.1648, 2.0, 1.0, 2.0, 1.0, 0.0198, 0.1102, 0.0903, 0.6667, 0.3333,
        0.9544, 1.9088, 1.0456, 2.0912, 0.0909, -0.0158, 0.0909, 0.0412, -0.0768, 0.0412
    ]),
    ("frequency", {
        "eval_every": 1, "signal_source": "both", "tau_base": 3.1, "soft_mask_scale": 0.0
    }, 3, [
        0.2931, 0.0, 0.0, 0.0, 3.0, 0.0, 3.0, 0.0, 3.0, 0.0, 0.0198, 0.1102, 0.0903, 0.0903,
        0.6667, 0.3333, 0.3333, 0.9651, 3.0459, 1.0583, 2.9113, 0.9766, 2.7847, 0.0, 0.0, 0.0,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    ]),
    ("frequency", {
        "eval_every": 1, "signal_source": "probe", "threshold_delta": 0.0, "tau_base": 2.7
    }, 2, [
        0.3322, 0.5024, 0.0, 2.0, 1.0, 3.0, 0.0, 0.0198, 0.1102, 0.0903, 0.6667, 0.3333, 0.9544,
        2.9671, 1.0456, 2.4329, 0.0909, -0.0158, 0.0909, 0.0041, -0.0077, 0.0041
    ]),
    ("frequency", {"adaptation": "fixed", "ratio": 3}, 2, [
        0.3322, 0.0, 1.1648, 3.0, 0.0, 1.0, 1.0, 0.0091, -0.0016, 0.0091, 0.0412, -0.0768, 0.0412
    ]),
    ("staleness", {"eval_every": 1, "tau_base": 2.4}, 3, [
        0.2931, 2.0, 2.0, 1.0, 0.0198, 0.1102, 0.0903, 0.0903, 0.6667, 0.3333, 0.3333, 0.9651,
        2.3162, 1.0583, 2.5399, 0.9766, 2.3439, 0.0, 0.0803, 0.0, 0.0547, 0.0752, 0.0547, 0.0591,
        -0.0507, 0.0591
    ]),
    ("staleness", {"adaptation": "fixed", "lambda_comp": 0.2}, 2, [
        0.3322, 2.0, 0.0, 0.0, 0.0688, 0.0, 0.0412, -0.0768, 0.0412
    ]),
    ("staleness", {"adaptation": "fixed", "variant": "study"}, 2, [
        0.3322, 2.0, 0.0, 0.0701, 0.0621, 0.0701, 0.0412, -0.0768, 0.0412
    ]),
    ("miles", {"signal": "test"}, 2, [
        0.3322, 0.8333, 0.1667, 0.5, 1.0, 0.0909, -0.0158, 0.0909, 0.0412, -0.0768, 0.0412
    ]),
    ("miles", {"signal": "test", "threshold": 0.1, "reduction": 0.3}, 3, [
        0.2931, 0.75, 0.4167, 0.5, 0.3, 1.0, 1.0, 0.0909, -0.0158, 0.0909, 0.0412, -0.0768,
        0.0412, -0.0288, -0.1, -0.0288
    ]),
    ("throttle", {"eval_every": 1}, 2, [
        0.3322, 1.0, 0.745, 0.0135, 0.0768, 0.0903, 0.3333, 0.3333, 0.0909, -0.0158, 0.0909,
        0.0307, -0.0572, 0.0307
    ]),
    ("throttle", {"eval_every": 1, "probe_split": True}, 3, [
        0.2931, 1.0, 0.745, 0.8725, 0.027, 0.0633, 0.084, 0.0903, 0.3333, 0.0, 0.3333, 0.0909,
        -0.0158, 0.0909, 0.0307, -0.0572, 0.0307, -0.0251, -0.0872, -0.0251
    ]),
    ("boost", {"eval_every": 1}, 2, [
        0.3322, 1.255, 1.0, 0.0207, 0.0633, 0.084, 0.3333, 0.0, 0.1141, -0.0198, 0.1141, 0.0412,
        -0.0768, 0.0412
    ]),
    ("boost", {"eval_every": 1, "alpha": 0.75, "scale_max": 1.6, "probe_split": False}, 3, [
        0.2931, 1.306, 1.0, 1.0, 0.0135, 0.0768, 0.0903, 0.0903, 0.3333, 0.3333, 0.3333, 0.1188,
        -0.0206, 0.1188, 0.0412, -0.0768, 0.0412, -0.0288, -0.1, -0.0288
    ]),
    ("static_scale", {"scale": 0.7}, 2, [
        0.3322, 0.7, 0.0909, -0.0158, 0.0909, 0.0288, -0.0537, 0.0288
    ]),
    ("boost_wrong", {"eval_every": 1}, 3, [
        0.2931, 1.0, 1.255, 1.1275, 0.027, 0.0633, 0.084, 0.0903, 0.3333, 0.0, 0.3333, 0.0909,
        -0.0158, 0.0909, 0.0517, -0.0963, 0.0517, -0.0325, -0.1127, -0.0325
    ]),
    ("boost_random", {"eval_every": 1, "seed": 2}, 3, [
        0.2931, 1.2195, 1.15, 1.0525, 0.1203, 0.1807, 0.0603, 0.0667, 0.6667, 0.3333, 0.6667,
        0.1109, -0.0192, 0.1109, 0.0474, -0.0883, 0.0474, -0.0303, -0.1052, -0.0303
    ]),
    ("noise", {"sigma": 0.5}, 2, [
        0.3322, 0.0825, 0.0138, 0.0909, 0.0851, -0.0789, 0.0412
    ]),
)
# fmt: on


def row_id(row: tuple) -> str:
    name, settings, count, _ = row
    return f"{name}-{count}-" + "-".join(str(value) for value in settings.values())


@pytest.mark.parametrize("row", VALUES, ids=row_id)
def test_a_published_number_would_not_change(row):
    *inputs, expected = row
    assert outcome(*inputs) == pytest.approx(expected, abs=6e-5)


def test_every_registered_method_has_frozen_values():
    assert {row[0] for row in VALUES} == set(REGISTRY)
