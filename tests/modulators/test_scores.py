"""Where OGM's scores may come from: heads, shares of the head, one modality alone, a probe."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from small_loop import NAMES, STEPS, Run, Step
from test_ogm_golden import CASES, MODALITIES, SHORT, load_head, name_of
from torch import Tensor, nn
from torch.nn import functional as F

from asgml_core.models import HEADS, ConcatLinear, ConcatMLP, Gated, Sum
from asgml_core.modulators import (
    OGM,
    OGMGE,
    Clock,
    Outputs,
    ogm_coefficients,
    split_logits,
    true_class_scores,
    zero_out_logits,
)
from asgml_core.modulators.scores import is_additive
from asgml_core.probes import Probes

SIZES = {"audio": 5, "visual": 3, "text": 4}
CLASSES, BATCH = 4, 6


class ReluHead(nn.Module):
    """A head with a ReLU on all features together: it is no sum over the modalities."""

    def __init__(self, sizes: dict[str, int], classes: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.first, self.second = nn.Linear(sum(sizes.values()), 8), nn.Linear(8, classes)

    def forward(self, features: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        together = torch.cat([features[m] for m in self.sizes], 1)
        logits = self.second(self.first(together).relu())
        return logits, dict.fromkeys(self.sizes, logits)


def make_head(kind, count: int = 3) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(dict(list(SIZES.items())[:count]), CLASSES)


def outputs_of(head: nn.Module, normal, count: int = 3, dtype=torch.float32) -> Outputs:
    sizes = dict(list(SIZES.items())[:count])
    features = {m: 3 * normal(BATCH, d, seed=i).to(dtype) for i, (m, d) in enumerate(sizes.items())}
    logits, unimodal = head(features)
    return Outputs(logits, unimodal, features, lambda z: head(z)[0])


def alone(head: nn.Module, features: dict[str, Tensor], m: str | None) -> Tensor:
    """Return the fused logits with every other modality's features replaced by zeros."""
    kept = {}
    for name, z in features.items():
        kept[name] = z if name == m else torch.zeros(z.shape)
    return head(kept)[0]


# ----------------------------------------------------------------------------- the formulas


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("kind", [*HEADS.values(), ReluHead])
def test_zero_out_is_a_forward_pass_with_zeros(kind, count, normal):
    head = make_head(kind, count)
    outputs = outputs_of(head, normal, count)
    found = zero_out_logits(outputs)
    assert list(found) == list(SIZES)[:count]
    for m, logits in found.items():
        assert torch.equal(logits, alone(head, outputs.features, m))
        assert not logits.requires_grad


@pytest.mark.parametrize("count", [2, 3])
def test_the_split_of_one_linear_is_its_unimodal_logits(count, normal):
    outputs = outputs_of(make_head(ConcatLinear, count), normal, count)
    for m, logits in split_logits(outputs).items():
        torch.testing.assert_close(logits, outputs.unimodal_logits[m], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", HEADS.values())
def test_shares_sum_to_the_logits_of_a_head_that_is_a_sum(kind, normal):
    """Also a gated head is one: each modality's gate looks at that modality alone."""
    outputs = outputs_of(make_head(kind), normal)
    shares = split_logits(outputs)
    torch.testing.assert_close(sum(shares.values()), outputs.logits, rtol=1e-4, atol=1e-4)
    assert is_additive(outputs, shares)
    assert not any(share.requires_grad for share in shares.values())


def test_the_split_by_hand(normal):
    """Of the sum head: the own product, and the M-th part of all biases, not the own bias."""
    head = make_head(Sum)
    outputs = outputs_of(head, normal)
    bias = sum(layer.bias for layer in head.unimodal.values()) / 3
    for m, share in split_logits(outputs).items():
        expected = outputs.features[m] @ head.unimodal[m].weight.T + bias
        torch.testing.assert_close(share, expected, rtol=1e-5, atol=1e-5)
    head = make_head(ConcatMLP)
    outputs = outputs_of(head, normal)
    first, second = head.joint
    start = 0
    for m, share in split_logits(outputs).items():
        columns = first.weight[:, start : start + SIZES[m]]
        expected = outputs.features[m] @ columns.T @ second.weight.T
        expected = expected + (second.weight @ first.bias + second.bias) / 3
        torch.testing.assert_close(share, expected, rtol=1e-4, atol=1e-4)
        start += SIZES[m]


def test_a_head_that_mixes_modalities_has_no_shares(normal):
    outputs = outputs_of(make_head(ReluHead), normal)
    assert not is_additive(outputs, split_logits(outputs))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features(dtype, normal):
    """As an autocast network returns them, also outside autocast, and as a network in half does."""
    head = make_head(ConcatMLP)
    full = outputs_of(head, normal)
    features = {m: z.to(dtype) for m, z in full.features.items()}
    exact = {m: z.float() for m, z in features.items()}
    for net in (head, make_head(ConcatMLP).to(dtype)):
        outputs = Outputs(
            full.logits.to(dtype), full.unimodal_logits, features, lambda z, net=net: net(z)[0]
        )
        for m, logits in zero_out_logits(outputs).items():
            torch.testing.assert_close(
                logits.float(), alone(head, exact, m), rtol=0.05, atol=0.05 * 3
            )
        assert is_additive(outputs, split_logits(outputs))
    mixing = make_head(ReluHead)
    outputs = Outputs(full.logits.to(dtype), {}, features, lambda z: mixing(z)[0])
    outputs = dataclasses.replace(outputs, unimodal_logits=full.unimodal_logits)
    assert not is_additive(outputs, split_logits(outputs))


def test_float32_features_under_autocast_are_scored_in_float32(normal):
    outputs = outputs_of(make_head(ConcatLinear), normal)
    expected = zero_out_logits(outputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = zero_out_logits(outputs)
    assert all(torch.equal(found[m], expected[m]) for m in expected)


# ------------------------------------------------------------------------------ the method


def scored(method: OGM, outputs: Outputs, labels: Tensor) -> Tensor:
    logits = method.scored_logits(outputs, labels)
    if not isinstance(logits, Tensor):
        logits = torch.stack(list(logits.values()))
    return logits


@pytest.mark.parametrize("name", CASES[:20], ids=name_of)
def test_the_split_gives_the_official_scores_and_coefficients(name, golden):
    """With one linear layer: ``split`` is the official code's own way to its scores."""
    prefix = f"case_{name[1]:02d}_"
    arrays = golden(name[0])
    case = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    head = load_head(case)
    features = {m: case[SHORT[m]] for m in MODALITIES}
    heads = head(features)
    outputs = Outputs(heads[0], dict.fromkeys(MODALITIES, heads[0]), features, lambda z: head(z)[0])
    method = OGM(float(case["alpha"]), variant="official", scores="split")
    logits = scored(method, outputs, case["labels"])
    largest = max(1.0, float(case["out"].abs().max()))
    for found, m in zip(logits, MODALITIES, strict=True):
        expected = case[f"out_{SHORT[m]}"]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=3e-6 * largest)
    scores = true_class_scores(logits, case["labels"])
    expected = torch.stack([case["score_a"], case["score_v"]])
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-6)
    exact_tie = name[1] in (11, 12, 13, 14)  # the last bit of a score decides which side it is on
    if bool(case["coeff_a"].isfinite()) and not exact_tie:
        found = method.coefficients(outputs, case["labels"])
        expected = torch.stack([case["coeff_a"], case["coeff_v"]])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("source", ["split", "zero_out"])
def test_the_source_decides_what_is_scored(source, normal, class_labels):
    head = make_head(ConcatMLP)
    outputs, labels = outputs_of(head, normal), class_labels(BATCH, CLASSES, seed=1)
    logits = {m: alone(head, outputs.features, m) for m in SIZES}
    if source == "split":
        silent = alone(head, outputs.features, None)
        logits = {m: o - silent + silent / 3 for m, o in logits.items()}
    scores = torch.zeros(3)
    for i, o in enumerate(logits.values()):
        for row, label in zip(o.detach(), labels, strict=True):
            scores[i] += row.exp()[label] / row.exp().sum()
    found = OGM(0.7, "mean", scores=source).coefficients(outputs, labels)
    torch.testing.assert_close(found, ogm_coefficients(scores, 0.7, "mean"), rtol=1e-4, atol=1e-4)
    heads = OGM(0.7, "mean").coefficients(outputs, labels)
    assert not torch.allclose(found, heads, atol=1e-3)


def test_a_probe_scores_a_batch_before_it_learns_from_it(normal, class_labels):
    """Against ``nn.Linear`` and ``torch.optim.Adam``, over ten batches."""
    method, modalities = OGM(scores="probe", seed=4), ("audio", "visual")
    start = Probes(steps=1, split=False, learning_rate=1e-30, seed=4)
    start.measure({m: torch.ones(2, SIZES[m]) for m in modalities}, torch.tensor([0, 1]), CLASSES)
    layers = {m: nn.Linear(SIZES[m], CLASSES) for m in modalities}
    with torch.no_grad():
        for i, m in enumerate(modalities):
            layers[m].weight.copy_(start.weight[i, :, : SIZES[m]])
            layers[m].bias.copy_(start.bias[i])
    adams = {m: torch.optim.Adam(layers[m].parameters(), lr=1e-3) for m in modalities}
    for t in range(10):
        features = {m: normal(BATCH, SIZES[m], seed=10 * t + i) for i, m in enumerate(modalities)}
        labels = class_labels(BATCH, CLASSES, seed=t)
        fused = torch.zeros(BATCH, CLASSES)
        outputs = Outputs(fused, dict.fromkeys(modalities, fused), features)
        found = scored(method, outputs, labels)
        for i, m in enumerate(modalities):
            said = layers[m](features[m])
            torch.testing.assert_close(found[i], said, rtol=1e-5, atol=1e-5)
            adams[m].zero_grad()
            F.cross_entropy(said, labels).backward()
            adams[m].step()
        assert not found.requires_grad
    assert int(method.probes.taken) == 10


@pytest.mark.parametrize("source", ["split", "zero_out"])
def test_a_missing_fuse_is_named(source):
    step = Step(OGM(scores=source))
    step.outputs = dataclasses.replace(step.outputs, fuse=None)
    with pytest.raises(ValueError, match=r"outputs.fuse is None; give Outputs\(..., fuse=head\)"):
        step.modulate()


@pytest.mark.parametrize("source", ["split", "zero_out", "probe"])
def test_missing_features_are_named(source):
    step = Step(OGM(scores=source))
    only = {"audio": step.outputs.features["audio"]}
    step.outputs = dataclasses.replace(step.outputs, features=only)
    with pytest.raises(ValueError, match=r"outputs.features; they have the modalities \('audio',"):
        step.modulate()


def test_the_split_of_a_head_that_mixes_modalities_is_an_error(normal, class_labels):
    outputs, labels = outputs_of(make_head(ReluHead), normal), class_labels(BATCH, CLASSES)
    groups = {m: [nn.Parameter(torch.zeros(2, 2, 1, 1))] for m in SIZES}
    for parameters in groups.values():
        parameters[0].grad = torch.ones(2, 2, 1, 1)
    message = "ogm_ge: scores is 'split', but the head is not additive: .* choose scores='zero_out'"
    with pytest.raises(ValueError, match=message):
        OGMGE(scores="split").modulate(outputs, labels, groups, Clock(1, 0, 0, 1, 1))
    assert all(bool((p.grad == 1).all()) for parts in groups.values() for p in parts)


def test_the_split_of_a_gated_head_is_scored(normal, class_labels):
    """It is a sum of functions of one modality each, so its shares say what each adds."""
    outputs, labels = outputs_of(make_head(Gated), normal), class_labels(BATCH, CLASSES)
    shares = split_logits(outputs)
    found = OGM(reference="mean", scores="split").coefficients(outputs, labels)
    expected = ogm_coefficients(true_class_scores(shares, labels), 0.8, "mean")
    assert torch.equal(found, expected)


def test_sources_disagree_and_heads_of_one_linear_do_not():
    """On the small loop's sum of heads: four ways, four runs; no way edits anything but scores."""
    runs = {s: Run(OGM(scores=s), NAMES[:2]).advance(STEPS) for s in
            ("heads", "split", "zero_out", "probe")}  # fmt: skip
    told = {s: [float(r["coefficient/audio"]) for r in run.records] for s, run in runs.items()}
    assert len({tuple(values) for values in told.values()}) == 4
    assert runs["probe"].method.probes.weight is not None
    assert not any(hasattr(runs[s].method, "probes") for s in ("heads", "split", "zero_out"))
