"""Lightning and Hugging Face Trainer do what a plain loop does, and resume to the same bits.

Each is imported in a process of its own, which tries everything and prints what it found.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from plain_training import METHODS

HERE = Path(__file__).parent
METHODS_AND_MILES = (*METHODS, "miles")


def findings(run_python: Callable[..., str], script: str, folder: Path, *needed: str) -> dict:
    for name in needed:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed; it comes with the extra `examples`")
    return json.loads(run_python(str(HERE / script), str(folder)))


@pytest.fixture(scope="module")
def lightning(run_python, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("lightning")
    return findings(run_python, "lightning_checks.py", folder, "pytorch_lightning")


@pytest.fixture(scope="module")
def trainer(run_python, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("trainer")
    return findings(run_python, "hf_checks.py", folder, "transformers", "accelerate")


@pytest.mark.parametrize("name", METHODS_AND_MILES)
@pytest.mark.parametrize("what", ["weights", "modulator"])
def test_lightning_with_accumulation_equals_a_plain_loop(lightning, name, what):
    assert lightning[f"{name}: {what} from plain"] < 1e-6
    assert all(counts["acted"] > 0 for counts in lightning[f"{name}: counts"].values())


@pytest.mark.parametrize("name", METHODS_AND_MILES)
@pytest.mark.parametrize("what", ["weights", "modulator"])
def test_lightning_resumes_to_the_same_bits(lightning, name, what):
    assert lightning[f"{name}: resumed {what}"] == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="forks processes that have used torch")
def test_lightning_in_two_processes_equals_a_plain_loop(lightning):
    assert lightning["two processes"] < 1e-6


def test_lightning_in_bfloat16(lightning):
    assert lightning["bf16: finite"]
    assert lightning["bf16: counts"]["ogm_ge"]["acted"] == 16
    assert lightning["bf16: kept at the end"] == 0


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("what", ["weights", "modulator"])
def test_the_trainer_with_accumulation_equals_a_plain_loop(trainer, name, what):
    assert trainer[f"{name}: {what} from plain"] < 1e-6
    assert all(counts["acted"] > 0 for counts in trainer[f"{name}: counts"].values())


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("what", ["weights", "modulator"])
@pytest.mark.parametrize("cut", [16, 24])
def test_the_trainer_resumes_to_the_same_bits(trainer, name, what, cut):
    assert trainer[f"{name}: resumed {what} {cut}"] == 0.0


def test_an_evaluation_of_the_trainer_is_no_step(trainer):
    assert trainer["evaluation"]["accuracy"] == pytest.approx(trainer["evaluation"]["expected"])
    assert trainer["evaluation"]["kept"] == 0
    assert trainer["evaluation"]["steps"] == 3


def test_a_method_that_needs_the_end_of_an_epoch_says_so_in_the_trainer(trainer):
    assert trainer["miles"].startswith("MILES.epoch_end was not called")
