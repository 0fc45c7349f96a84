"""A method may put a gradient of another memory layout in place; the weights must not notice."""

from __future__ import annotations

import torch

from asgml_core import profile
from asgml_core.datasets import load
from asgml_core.models import build_model
from asgml_core.modulators import Chain, Modulator
from asgml_core.trainer import Trainer


class Rewriting(Modulator):
    def gradients(self, outputs, labels, groups, clock):
        for m in outputs.unimodal_logits:
            for p in groups[m]:
                p.grad = p.grad.clone(memory_format=torch.contiguous_format)
        return {}


def test_a_gradient_of_another_layout_gives_the_same_weights() -> None:
    config = profile("synth", options={"train": 144, "test": 72, "speakers": 12}, epochs=1)
    dataset = load(config)
    weights = []
    for method in (Chain(), Chain(Rewriting())):
        model = build_model(dataset.shapes, len(dataset.classes), width=4, seed=0)
        trainer = Trainer(config, dataset, model, method)
        trainer.run_epoch()
        weights.append(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(w.values() for w in weights), strict=True))
