"""Every example, run as a user would run it, and what it must print."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
import torch
from toy_loop import EXAMPLES

import add_a_method
import mixed_precision
from asgml_core import OGMGE, Boost, Chain
from asgml_core.modulators import REGISTRY

NEEDED = {"lightning_callback": "pytorch_lightning", "hf_trainer": "transformers"}
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "toy")


@pytest.fixture
def printed(request, run_python) -> str:
    """Run the example that the test names, and give what it prints."""
    name = request.param
    package = NEEDED.get(name)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; it comes with the extra `examples`")
    return run_python(str(EXAMPLES / f"{name}.py"))


def of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("printed", names, indirect=True)


def accuracies(printed: str) -> list[dict[str, float]]:
    """Return every line of accuracies, in per cent by name."""
    lines = re.findall(r"together .*%", printed)
    return [{k: float(v) for k, v in re.findall(r"(\w+) ([\d.]+) %", line)} for line in lines]


def counts(printed: str) -> list[int]:
    """Return on how many steps each method acted, in the order of the text."""
    return [int(number) for number in re.findall(r"'acted': (\d+)", printed)]


@of(*NAMES)
def test_it_learns_and_the_methods_act(printed):
    assert accuracies(printed)
    for shown in accuracies(printed):
        assert set(shown) == {"together", "audio", "visual", "touch"}
        assert 90 < shown["together"] <= 100
        assert shown["audio"] > shown["touch"] + 10  # the imbalance that the methods are for
    assert counts(printed)
    assert min(counts(printed)) > 0


@of("plain_loop", "lightning_callback", "hf_trainer")
def test_a_resumed_run_has_the_same_weights(printed):
    assert printed.count("resumed in the middle, same weights: True") == 1


@of("gradient_accumulation")
def test_accumulation_changes_nothing(printed):
    one, four = accuracies(printed)
    assert one == four
    assert counts(printed)[:2] == counts(printed)[2:]


@of("mixed_precision")
def test_steps_are_left_out_and_counted(printed):
    left_out, steps = map(int, re.search(r"left out: (\d+) of (\d+)", printed).groups())
    assert 0 < left_out < 20
    assert counts(printed)[0] == steps - left_out


def test_the_scaler_and_the_modulator_leave_out_the_same_steps(monkeypatch):
    """The scale is halved once for every step that the scaler leaves out."""
    scales = []

    class Watched(torch.amp.GradScaler):
        def update(self) -> None:
            super().update()
            scales.append(self.get_scale())

    monkeypatch.setattr(torch.amp, "GradScaler", Watched)
    modulator = Chain(OGMGE(0.8), Boost(0.75))
    _, left_out = mixed_precision.train(modulator, 2.0**24)
    assert scales[-1] == 2.0 ** (24 - left_out)
    assert int(modulator.chained[0].acted) == len(scales) - left_out


@of("distributed")
def test_the_processes_agree(printed):
    assert printed.count("the 2 processes hold the same weights: True") == 2


def test_torchrun_starts_it_too(run_python):
    script = str(EXAMPLES / "distributed.py")
    printed = run_python("-m", "torch.distributed.run", "--nproc-per-node=2", script)
    assert printed.count("the 2 processes hold the same weights: True") == 2


@of("compiled")
def test_compiled_is_as_good_as_eager(printed):
    backend = "inductor" if any(map(shutil.which, ("c++", "g++", "clang++"))) else "aot_eager"
    assert f"backend: {backend}\n" in printed
    assert float(re.search(r"largest difference of a weight: (\S+)", printed)[1]) < 1e-4
    assert counts(printed)[:2] == counts(printed)[2:]


@of("more_hooks")
def test_the_rates_are_the_scheduled_ones_times_a_factor(printed):
    rates = re.search(r"last learning rates: (.*)", printed)[1].split(", ")
    assert [float(rate) for rate in rates] == pytest.approx([0.005, 0.01, 0.01, 0.01])


# ------------------------------------------------------------------------- the new method


def test_the_new_method_is_what_its_formula_says(normal):
    add_a_method.check()
    norms = normal(5).abs()
    for strength in (0.0, 0.3, 1.0):
        expected = [(sum(norms.tolist()) / 5 / n) ** strength for n in norms.tolist()]
        scales = add_a_method.even_scales(norms, strength)
        torch.testing.assert_close(scales, torch.tensor(expected))
    torch.testing.assert_close(scales * norms, norms.mean().expand(5))


def test_the_new_method_works_in_a_run_and_in_its_window(tmp_path: Path):
    try:
        record = add_a_method.in_a_run(tmp_path, epochs=4)
    finally:
        REGISTRY.pop("even", None)
    acted = record.steps["even/scale/audio"].notna()
    half = len(record.steps) // 2
    assert acted[:half].all()
    assert not acted[half:].any()


def test_the_examples_have_docstrings_and_no_more_lines_than_one_can_read():
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith('"""'), path.name
        assert len(text.splitlines()) <= 150, path.name
