"""OGM and OGM-GE against vectors that the official code made (``../shared/golden``)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asgml_core.models import ConcatLinear, Sum
from asgml_core.modulators import (
    OGM,
    OGMGE,
    Clock,
    During,
    Modulator,
    Outputs,
    ogm_coefficients,
    true_class_scores,
)

MODALITIES = ("audio", "visual")
SHORT = {"audio": "a", "visual": "v"}
CASES = [("ogm_ge_coeff_dev", i) for i in range(20)] + [
    ("ogm_ge_coeff_sum_dev", i) for i in range(6)
]
BOTH_SCORES_ZERO = ("ogm_ge_coeff_dev", 18)  # test_two_scores_of_zero_are_a_tie
name_of = "{0[0]}-{0[1]:02d}".format
with_finite_ratio = pytest.mark.parametrize(
    "case", [case for case in CASES if case != BOTH_SCORES_ZERO], ids=name_of, indirect=True
)


@dataclass(frozen=True)
class Case:
    """One golden case and what the library's head makes of its features."""

    expected: dict[str, Tensor]
    logits: Tensor
    unimodal: dict[str, Tensor]

    def __getitem__(self, key: str) -> Tensor:
        return self.expected[key]

    @property
    def scores(self) -> Tensor:
        return true_class_scores(self.unimodal, self["labels"])


def load_head(case: dict[str, Tensor]) -> nn.Module:
    """Return the library's fusion head with the case's weights."""
    concat = "W" in case
    classes = len(case["b"] if concat else case["bx"])
    sizes = {m: case[SHORT[m]].shape[1] for m in MODALITIES}
    head = (ConcatLinear if concat else Sum)(sizes, classes)
    if concat:
        weights = {"joint.weight": case["W"], "joint.bias": case["b"]}
    else:
        weights = {
            f"unimodal.{m}.{kind}": case[f"{letter}{end}"]
            for m, end in (("audio", "x"), ("visual", "y"))
            for kind, letter in (("weight", "W"), ("bias", "b"))
        }
    head.load_state_dict(weights)
    return head


@pytest.fixture(params=CASES, ids=name_of)
def case(request, golden) -> Case:
    name, index = request.param
    prefix = f"case_{index:02d}_"
    arrays = {k.removeprefix(prefix): v for k, v in golden(name).items() if k.startswith(prefix)}
    with torch.no_grad():
        logits, unimodal = load_head(arrays)({m: arrays[SHORT[m]] for m in MODALITIES})
    return Case(arrays, logits, unimodal)


def test_no_golden_case_is_left_out(golden):
    for name in ("ogm_ge_coeff_dev", "ogm_ge_coeff_sum_dev"):
        assert int(golden(name)["n_cases"]) == sum(case[0] == name for case in CASES)


def test_the_heads_give_the_official_logits(case):
    largest = case["out"].abs().max().item()
    for ours, theirs in (
        (case.logits, case["out"]),
        (case.unimodal["audio"], case["out_a"]),
        (case.unimodal["visual"], case["out_v"]),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6 * max(1.0, largest))


def test_the_scores_are_the_official_ones(case):
    expected = torch.stack([case["score_a"], case["score_v"]])
    torch.testing.assert_close(case.scores, expected, rtol=2e-5, atol=1e-6)
    stacked = torch.stack(list(case.unimodal.values()))
    assert torch.equal(true_class_scores(stacked, case["labels"]), case.scores)


@with_finite_ratio
def test_the_coefficients_of_the_official_scores(case):
    # The official order is (visual, audio): it decides who is damped in a tie.
    scores = torch.stack([case["score_v"], case["score_a"]])
    found = ogm_coefficients(scores, float(case["alpha"]))
    expected = torch.stack([case["coeff_v"], case["coeff_a"]])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(found == 1, expected == 1)


@with_finite_ratio
def test_the_method_gives_the_official_coefficients(case):
    outputs = Outputs(case.logits, case.unimodal, {})
    found = OGM(float(case["alpha"]), variant="official").coefficients(outputs, case["labels"])
    expected = torch.stack([case["coeff_a"], case["coeff_v"]])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(found == 1, expected == 1)


def test_two_scores_of_zero_are_a_tie(golden):
    """Where both scores underflow the official ratio is NaN; here that is a tie, and finite."""
    case = golden("ogm_ge_coeff_dev")
    assert case["case_18_score_a"] == 0
    assert case["case_18_score_v"] == 0
    assert case["case_18_coeff_a"].isnan()
    assert case["case_18_coeff_v"] == 1
    alpha = float(case["case_18_alpha"])
    visual, audio = ogm_coefficients(torch.zeros(2), alpha)
    assert visual == 1
    torch.testing.assert_close(audio, 1 - torch.tensor(alpha).tanh())


# ------------------------------------------------------------------------------ whole runs


class TinyEncoder(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 4, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))


class TinyNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fusion_module = ConcatLinear({"audio": 6, "visual": 6}, 6)
        self.audio_net = TinyEncoder(1)
        self.visual_net = TinyEncoder(3)

    def forward(self, audio: Tensor, visual: Tensor) -> Outputs:
        audio = self.audio_net(audio.unsqueeze(1))
        frames = self.visual_net(visual.transpose(1, 2).flatten(0, 1))
        frames = frames.unflatten(0, (visual.shape[0], visual.shape[2])).transpose(1, 2)
        features = {
            "audio": F.adaptive_avg_pool2d(audio, 1).flatten(1),
            "visual": F.adaptive_avg_pool3d(frames, 1).flatten(1),
        }
        return Outputs(*self.fusion_module(features), features)


def official(name: str) -> str:
    return name.replace("fusion_module.joint", "fusion_module.fc_out")


def load_net(trace) -> TinyNet:
    net = TinyNet()
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.copy_(trace[f"init/{official(name)}"])
        for name, value in net.named_buffers():
            value.copy_(trace[f"init_buffer/{name}"])
    return net


RUNS = {
    "normal": None,
    "ogm": OGM,
    "ogm_ge": OGMGE,
    "ogm_at_end": OGM,
    "ogm_after_end": OGM,
    "ogm_before_start": OGM,
    "ogm_ge_after_end": OGMGE,
}
OUTSIDE = ("ogm_after_end", "ogm_before_start", "ogm_ge_after_end")


def make_method(trace, tag: str) -> Modulator:
    if RUNS[tag] is None:
        return Modulator()
    start, end, _ = trace[f"{tag}/window"].tolist()
    method = RUNS[tag](float(trace[f"{tag}/alpha"]), variant="official")
    return During(method, start + 1, end + 1)  # their epochs count from 0, a clock's from 1


def reseed(method: OGMGE, trace, tag: str, step: int) -> None:
    """Give the method the stream that the official code drew from in this step."""
    noise = method.random.on(torch.device("cpu"))
    noise.manual_seed(int(trace[f"{tag}/noise_seed0"]) + step)


def named(kind: str, net: nn.Module, value) -> dict[str, Tensor]:
    """Return ``value(parameter)`` by its golden key, copied: the next step edits it in place."""
    return {
        f"{kind}/{official(name)}": value(p).detach().clone() for name, p in net.named_parameters()
    }


class OfficialLoop:
    """A plain loop with one call of ``modulate``, and all that the golden file knows of a step."""

    def __init__(self, trace, tag: str) -> None:
        self.trace, self.tag = trace, tag
        self.net, self.method = load_net(trace), make_method(trace, tag)
        self.groups = {m: list(getattr(self.net, f"{m}_net").parameters()) for m in MODALITIES}
        self.groups["fusion"] = list(self.net.fusion_module.parameters())
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4
        )
        self.steps = int(trace[f"{tag}/n_steps"])
        self.epoch = int(trace[f"{tag}/window"][2]) + 1
        self.losses: list[Tensor] = []

    def step(self, i: int) -> dict[str, Tensor]:
        net, labels = self.net, self.trace[f"batch{i}/label"]
        if RUNS[self.tag] is OGMGE:
            reseed(self.method.part, self.trace, self.tag, i)
        outputs = net(self.trace[f"batch{i}/audio"], self.trace[f"batch{i}/visual"])
        logits = (outputs.logits, *outputs.unimodal_logits.values())
        entropies = torch.stack([F.cross_entropy(o, labels) for o in logits])
        self.losses.append(entropies.detach())
        self.optimizer.zero_grad()
        entropies[0].backward()
        found = {"out": outputs.logits.detach()}
        found |= {SHORT[m]: z.detach() for m, z in outputs.features.items()}
        found |= {f"out_{SHORT[m]}": o.detach() for m, o in outputs.unimodal_logits.items()}
        found |= named("grad_raw", net, lambda p: p.grad)
        clock = Clock(self.epoch, i, i, self.steps, 100)
        record = self.method.modulate(outputs, labels, self.groups, clock)
        found |= {f"coeff_{SHORT[k.removeprefix('coefficient/')]}": v for k, v in record.items()}
        found |= named("grad_mod", net, lambda p: p.grad)
        self.optimizer.step()
        found |= named("param_after", net, lambda p: p)
        found |= named("momentum_after", net, lambda p: self.optimizer.state[p]["momentum_buffer"])
        buffers = dict(net.named_buffers())
        return found | {f"buffer_after/{name}": b.clone() for name, b in buffers.items()}


@pytest.mark.parametrize("tag", RUNS)
def test_a_whole_run_equals_the_official_one(tag, golden):
    trace = golden("ogm_trace_dev")
    loop = OfficialLoop(trace, tag)
    for i in range(loop.steps):
        found = loop.step(i)
        coefficients = sum(key.startswith("coeff_") for key in found)
        assert coefficients == (0 if tag in (*OUTSIDE, "normal") else 2)
        assert len(found) == 5 + 4 * 14 + 12 + coefficients
        for key, value in found.items():
            if key.endswith("num_batches_tracked"):
                continue
            expected, place = trace[f"{tag}/step{i}/{key}"], f"{tag}, step {i}, {key}"
            torch.testing.assert_close(
                value, expected, rtol=1e-5, atol=1e-6, msg=lambda text, place=place: place + text
            )
    returned = trace[f"{tag}/returned_losses"].float()
    torch.testing.assert_close(torch.stack(loop.losses).mean(0), returned, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tag", ["ogm", "ogm_ge", "ogm_at_end"])
def test_the_edit_alone_is_the_official_one(tag, golden):
    """From the official logits and raw gradients: nothing but the method is between the two."""
    trace = golden("ogm_trace_dev")
    for i in range(int(trace[f"{tag}/n_steps"])):
        step = f"{tag}/step{i}"
        method = RUNS[tag](float(trace[f"{tag}/alpha"]), variant="official")
        if RUNS[tag] is OGMGE:
            reseed(method, trace, tag, i)
        net = TinyNet()
        for name, value in net.named_parameters():
            value.grad = trace[f"{step}/grad_raw/{official(name)}"].clone()
        unimodal = {m: trace[f"{step}/out_{SHORT[m]}"] for m in MODALITIES}
        outputs = Outputs(trace[f"{step}/out"], unimodal, {})
        groups = {m: list(getattr(net, f"{m}_net").parameters()) for m in MODALITIES}
        method.modulate(outputs, trace[f"batch{i}/label"], groups, Clock(1, i, i, 5, 100))
        for name, value in net.named_parameters():
            expected = trace[f"{step}/grad_mod/{official(name)}"]
            torch.testing.assert_close(value.grad, expected, rtol=1e-6, atol=1e-9)


def test_the_runs_show_what_they_are_meant_to_show(golden):
    """Inside the window conv gradients alone change; outside nothing does."""
    trace = golden("ogm_trace_dev")
    for tag in RUNS:
        for name, _ in TinyNet().named_parameters():
            key = official(name)
            raw, modulated = (trace[f"{tag}/step0/grad_{kind}/{key}"] for kind in ("raw", "mod"))
            if "conv" not in name or tag in (*OUTSIDE, "normal"):
                assert torch.equal(raw, modulated), (tag, key)
            elif tag == "ogm_ge":  # noise in both encoders, the undamped one too
                assert not torch.equal(raw, modulated), (tag, key)
            else:
                m = SHORT[name.split("_")[0]]
                damped = trace[f"{tag}/step0/coeff_{m}"] != 1
                assert torch.equal(raw, modulated) == (not bool(damped)), (tag, key)
