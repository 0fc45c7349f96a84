"""Precision and execution: what is computed in what, and that compiled code says the same."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from test_resume import Stop, stop_after
from test_run import assert_same_results
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from asgml_core import RunConfig, profile, run, study
from asgml_core.datasets import load
from asgml_core.execution import Encode, arithmetic
from asgml_core.models import build_model
from asgml_core.modulators import UnimodalLosses
from asgml_core.trainer import Trainer

CPU = torch.device("cpu")
SMALL = {"train": 144, "test": 72, "speakers": 12}


def trainer_of(base: RunConfig, **changes: Any) -> Trainer:
    config = base.replace(**changes)
    dataset = load(config)
    model = build_model(dataset.shapes, len(dataset.classes), width=4, seed=0)
    return Trainer(config, dataset, model, UnimodalLosses())


@pytest.fixture
def synth() -> RunConfig:
    """130 training items in batches of 48: two whole ones, and a last one of 34."""
    base = profile("synth", seed=1, options=SMALL, epochs=2)
    return base.replace(train={"batch_size": 48})


class Types(TorchDispatchMode):
    """The types of the numbers that each operation was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, set[torch.dtype]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        name = function.overloadpacket.__name__
        given = {a.dtype for a in args if isinstance(a, Tensor) and a.is_floating_point()}
        self.seen.setdefault(name, set()).update(given)
        return function(*args, **(kwargs or {}))


# ---------------------------------------------------------------------------- precision


def test_bfloat16_is_for_convolutions_and_products_of_encoders_alone(synth):
    trainer = trainer_of(synth, precision="bf16")
    inputs, labels = next(trainer._training_batches(torch.arange(48)))
    trainer.epoch = 1
    with Types() as types:
        record = trainer._step(inputs, labels, trainer.clock(1, 0))
    half, full = torch.bfloat16, torch.float32
    assert half in types.seen["convolution"]
    assert types.seen["addmm"] == {full}  # the heads
    assert types.seen["_log_softmax"] == {full}
    # Maps may be bfloat16; the weights, the statistics and what is learned from are not.
    assert full in types.seen["native_batch_norm"]
    kept = [*trainer.model.parameters(), *trainer.model.buffers()]
    assert {t.dtype for t in kept if t.is_floating_point()} == {full}
    assert {p.grad.dtype for p in trainer.model.parameters()} == {full}
    assert {value.dtype for value in record.values()} == {full}
    with torch.no_grad():
        assert {z.dtype for z in trainer.encode(inputs).values()} == {full}


def test_bfloat16_says_nearly_the_same_and_not_the_same(synth):
    steps = {}
    for precision in ("fp32", "bf16"):
        trainer = trainer_of(synth, precision=precision)
        trainer.run_epoch()
        steps[precision] = trainer.steps["loss/fused"]
    assert not torch.equal(steps["fp32"], steps["bf16"])
    torch.testing.assert_close(steps["fp32"], steps["bf16"], rtol=0.05, atol=0.02)


def test_a_bfloat16_run_is_recorded_and_resumed_with_the_same_bits(boosted, tmp_path: Path):
    config = boosted.replace(precision="bf16")
    whole = run(config, tmp_path / "whole", progress=False)
    assert whole.values["config"]["precision"] == "bf16"
    with pytest.raises(Stop):
        run(config, tmp_path / "resumed", progress=stop_after(2), checkpoint_seconds=0)
    assert_same_results(whole, run(config, tmp_path / "resumed", progress=False))


def agree(base: RunConfig, seeds: range, folder: Path) -> None:
    """Both precisions over seeds: their mean difference is within its own standard error."""
    found: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for seed in seeds:
        for precision, accuracies in found.items():
            config = study.config("baseline", base.replace(seed=seed, precision=precision))
            record = run(config, folder / precision, progress=False)
            accuracies.append(100 * record.selections["last"]["accuracy"])
    differences = [a - b for a, b in zip(found["bf16"], found["fp32"], strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    print(found)
    assert abs(statistics.mean(differences)) < 3 * error + 0.5
    assert statistics.mean(found["bf16"]) > 60  # it learned


@pytest.mark.slow
def test_the_two_precisions_agree_over_seeds(tmp_path: Path):
    agree(profile("synth"), range(4), tmp_path)


@pytest.mark.slow
def test_the_two_precisions_agree_over_seeds_on_grid(tmp_path: Path):
    file = Path(__file__).parents[3] / "shared" / "data" / "grid_s1" / "grid_s1_words.npz"
    if not file.is_file():
        pytest.skip(f"needs the GRID words, {file.name}")
    agree(profile("grid", epochs=15, options={"path": str(file)}), range(4), tmp_path)


# ---------------------------------------------------------------------------- execution


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """``torch.compile`` that traces and does not compile; the list grows with each tracing."""
    torch._dynamo.reset()
    traced: list[Any] = []
    compile_for_real = torch.compile

    def backend(graph: Any, inputs: Any) -> Any:
        traced.append(graph)
        return graph.forward

    def traced_only(function: Any, **settings: Any) -> Any:
        return compile_for_real(
            function, backend=backend, dynamic=settings["dynamic"], fullgraph=settings["fullgraph"]
        )

    monkeypatch.setattr(torch, "compile", traced_only)
    return traced


def test_compiling_is_done_once_in_a_process(synth, compiled):
    """For whole batches in training: a second run brings weights of its own, and no new code."""
    results = []
    for execution in ("eager", "compile", "compile"):
        trainer = trainer_of(synth, execution=execution)
        trainer.run_epoch()
        trainer.run_epoch()
        results.append(trainer.model.state_dict())
        assert len(compiled) == (execution != "eager")  # the modalities have one shape
    first, second = results[1:]
    assert all(torch.equal(first[name], second[name]) for name in first)
    for name, weights in results[0].items():  # traced code has other kernels for small maps
        torch.testing.assert_close(first[name], weights, rtol=1e-2, atol=2e-3)


@pytest.mark.slow
def test_compiled_code_says_what_the_network_says(synth):
    """With torch's own compiler, which needs one for C++."""
    losses = []
    for execution in ("eager", "compile"):
        trainer = trainer_of(synth, execution=execution)
        trainer.run_epoch()
        losses.append(trainer.steps["loss/fused"])
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-4)


def test_last_batches_and_evaluation_are_not_compiled(synth, compiled):
    trainer = trainer_of(synth, execution="compile")
    trainer.epoch = 1
    inputs, _ = next(trainer._training_batches(torch.arange(47)))
    trainer.encode(inputs)
    trainer.evaluate(trainer.parts["test"])
    assert compiled == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("execution", ["graphs", "compile_graphs"])
def test_graphs_say_what_the_network_says(synth, execution):
    states = []
    for way in ("eager", execution):
        config = synth.replace(device="cuda", execution=way)
        with arithmetic(torch.device("cuda"), 1, True):
            trainer = trainer_of(config)
            trainer.run_epoch()
            trainer.run_epoch()
        states.append(trainer.model.state_dict())
    for name in states[0]:
        if execution == "graphs":
            assert torch.equal(states[0][name], states[1][name]), name
        else:
            torch.testing.assert_close(states[0][name], states[1][name], rtol=1e-2, atol=2e-3)


def test_what_cannot_be_is_refused(synth):
    with pytest.raises(ValueError, match="execution is 'graphs', but CUDA graphs need a GPU"):
        synth.replace(execution="graphs")
    with pytest.raises(ValueError, match="precision is 'fp16', but must be one of: 'fp32', 'bf16'"):
        synth.replace(precision="fp16")
    with pytest.raises(ValueError, match="execution is 'fast'"):
        synth.replace(execution="fast")
    with pytest.raises(ValueError, match="deterministic is 1"):
        synth.replace(deterministic=1)
    assert synth.replace(execution="graphs", device="cuda").execution == "graphs"


def test_an_encoder_is_called_in_the_order_of_the_modalities():
    encoders = {"audio": torch.nn.Linear(2, 3), "visual": torch.nn.Linear(2, 3)}
    encode = Encode(encoders, CPU, "fp32", "eager", 4)
    given = {"visual": torch.ones(4, 2), "audio": torch.ones(4, 2)}
    assert list(encode(given)) == ["audio", "visual"]
    assert list(encode({"visual": torch.ones(4, 2)})) == ["visual"]


def test_the_process_gets_its_settings_back():
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul

    def settings() -> list[Any]:
        return [torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark,
                products.fp32_precision, cudnn.conv.fp32_precision, torch.is_grad_enabled(),
                torch.utils.deterministic.fill_uninitialized_memory]  # fmt: skip

    before = settings()
    inside: list[Any] = []

    def work() -> None:
        with torch.no_grad(), arithmetic(CPU, 1, deterministic=False):
            inside.extend(settings())
            raise Stop

    with pytest.raises(Stop):
        work()
    assert inside == [1, False, True, "ieee", "ieee", True, False]
    assert settings() == before
