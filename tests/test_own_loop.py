"""The methods in a foreign loop and network, with nothing else of the package loaded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LOOP = """
import json, sys
import torch
from torch import nn
from torch.nn import functional as F
from asgml_core import OGMGE, Boost, Chain, Clock, Outputs

class Foreign(nn.Module):
    # Words, a sound and a table: three encoders that share nothing, and no convolution in two.
    def __init__(self):
        super().__init__()
        self.words = nn.EmbeddingBag(30, 8)
        self.sound = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 8))
        self.table = nn.Sequential(nn.Linear(5, 6), nn.Tanh())
        self.heads = nn.ModuleDict({m: nn.Linear(d, 3) for m, d in SIZES.items()})
        self.joint = nn.Linear(sum(SIZES.values()), 3)

SIZES = {"words": 8, "sound": 8, "table": 6}
torch.manual_seed(0)
net = Foreign()
modulator = Chain(OGMGE(alpha=0.8, scope="weights"), Boost(alpha=0.75, eval_every=2))
groups = {m: list(getattr(net, m).parameters()) for m in SIZES}
optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
batches, epochs, edited, records = 4, 2, 0, []
for epoch in range(epochs):
    for i in range(batches):
        labels = torch.randint(3, (8,))
        features = {
            "words": net.words(torch.randint(10, (8, 4)) + 10 * labels[:, None]),
            "sound": net.sound(torch.randn(8, 1, 8) + labels[:, None, None]),
            "table": net.table(torch.randn(8, 5)),
        }
        logits = net.joint(torch.cat(list(features.values()), 1))
        unimodal_logits = {m: net.heads[m](z) for m, z in features.items()}
        loss = F.cross_entropy(logits, labels)
        loss = loss + sum(F.cross_entropy(o, labels) for o in unimodal_logits.values())
        clock = Clock(epoch + 1, epoch * batches + i, i, batches, epochs)  # counted from 0
        optimizer.zero_grad()
        loss.backward()
        before = [p.grad.clone() for m in groups for p in groups[m]]
        outputs = Outputs(logits, unimodal_logits, features)
        record = modulator.modulate(outputs, labels, groups, clock)
        after = [p.grad for m in groups for p in groups[m]]
        edited += not all(map(torch.equal, before, after))
        records.append({name: float(value) for name, value in record.items()})
        optimizer.step()
print(json.dumps({
    "edited": edited,
    "last": records[-1],
    "counts": modulator.counts(),
    "loaded": sorted(m for m in sys.modules if m.split(".")[0] in WATCHED),
}))
"""
# Not tqdm: torch loads it.
HEAVY = ("torchvision", "pandas", "matplotlib", "seaborn", "tensorboard", "yaml", "PIL")


@pytest.fixture(scope="module")
def told() -> dict:
    code = f"WATCHED = {('asgml_core', *HEAVY)!r}\n" + LOOP
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_short_loop_modulates_a_foreign_network(told):
    assert told["edited"] == 8
    assert told["counts"]["ogm_ge"] == {"measured": 0, "acted": 8}
    assert told["counts"]["boost"]["measured"] == 4
    names = {f"ogm_ge/coefficient/{m}" for m in ("words", "sound", "table")}
    names |= {f"boost/{what}/{m}" for what in ("scale", "probe_accuracy", "probe_reading")
              for m in ("words", "sound", "table")}  # fmt: skip
    assert set(told["last"]) == names | {"boost/gap"}


def test_no_other_part_of_the_package_is_loaded(told):
    """No trainer, no data, no figures: a method costs its user what it needs, and no more."""
    ours = {name for name in told["loaded"] if not name.startswith("asgml_core.modulators")}
    needed = ("asgml_core", "asgml_core.probes", "asgml_core.checks", "asgml_core.seeding")
    assert ours == set(needed)
