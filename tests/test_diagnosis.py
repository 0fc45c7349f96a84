"""Tables and figures of what a method did, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from asgml_core import figures, profile, run_all, study, tables
from asgml_core.records import RunRecord
from asgml_core.tables import verdicts

BOTH = ("audio", "visual")


def made(
    run_id: str = "p2_default",
    steps: dict[str, list[float]] | None = None,
    epochs: dict[str, list[float]] | None = None,
    batches: int = 2,
    logits: list[list[float]] | None = None,
    labels: list[int] | None = None,
    method: str = "staleness",
    **options: Any,
) -> RunRecord:
    """A record of a run that never was, with just the columns given."""
    config = profile("synth", epochs=2).to_dict() | {"run_id": run_id}
    config["methods"] = [{"name": method, "options": options}] if options else []
    right = np.array([row.index(max(row)) for row in logits or []]) == np.array(labels or [])
    chosen = {"epoch": 1, "accuracy": float(right.mean()) if len(right) else 0.5}
    values = {
        "config": config,
        "batches_per_epoch": batches,
        "items": {"test": len(right)},
        "selections": {"validation": chosen},
    }
    record = RunRecord(Path(run_id), values)
    record.__dict__["steps"] = pd.DataFrame(steps or {})
    record.__dict__["epochs"] = pd.DataFrame(epochs or {})
    saved = np.array(logits or [[0.0]], dtype=np.float32)
    record.__dict__["predictions"] = {
        "label": np.array(labels or [0]), "validation/fused": saved, "last/fused": saved,
    }  # fmt: skip
    return record


def test_masks_count_steps() -> None:
    steps = {
        "frequency/updates/audio": [1, 0, 1, 0, 1],
        "frequency/updates/visual": [1, 0, 0, 1, 1],
    }
    row = tables.masks([made(steps=steps)]).loc["p2_default"]
    assert row.tolist() == [40, 40, 20, 40]
    with pytest.raises(ValueError, match="recorded no 'updates'"):
        tables.masks([made(steps={"loss/audio": [1.0]})])


def test_aim_looks_at_who_is_ahead_in_that_epoch() -> None:
    record = made(
        batches=4,
        steps={
            "frequency/tau/audio": [np.nan, 2.0] + [np.nan] * 6,
            "frequency/tau/visual": [np.nan, 2.0] + [np.nan] * 6,
            "frequency/period/audio": [1, 1, 3, 2, 3, 3, 1, 2],
            "frequency/period/visual": [1, 1, 1, 2, 1, 1, 3, 2],
        },
        epochs={
            "frequency/probe_on_test/audio": [0.9, 0.4],
            "frequency/probe_on_test/visual": [0.5, 0.6],
        },
    )
    row = tables.aim([record]).loc["p2_default"]
    assert row.tolist() == pytest.approx([100 / 3, 100 / 3, 100 / 3])


def test_the_arithmetic_of_masks_has_closed_forms() -> None:
    table = tables.expected_movement()
    assert table["gradients agree"].tolist() == pytest.approx([0.55, 0.5, 0.5])
    whole = 2 / (1 - 0.81) ** 0.5
    updating, skipped = ((1 + 0.81 * 0.01) / (1 - 0.6561)) ** 0.5, (0.82 / (1 - 0.6561)) ** 0.5
    soft = (updating + skipped) / whole
    assert table["gradients unrelated"].tolist()[::2] == pytest.approx([soft, 0.5])
    third = tables.expected_movement(period=3)["gradients agree"]
    assert third.tolist() == pytest.approx([0.4, 1 / 3, 1 / 3])
    small = tables.expected_movement(skipped=0.4)["gradients agree"]
    assert small.tolist() == pytest.approx([1.04 / 1.4, 1 / 1.4, 1 / 1.4])
    against = tables.expected_movement(skipped=0.4, all_losses=True)["gradients agree"]
    assert against.tolist() == pytest.approx([0.52, 0.5, 0.5])


@pytest.mark.parametrize(("name", "scale"), [("soft mask 0.1", 0.1), ("freeze", None)])
def test_the_arithmetic_is_that_of_the_optimizer(name: str, scale: float | None) -> None:
    """Unrelated gradients: a direction of its own for each step."""
    ways = []
    for masked in (True, False):
        weight = torch.zeros(400, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=1.0, momentum=0.9)
        way = 0.0
        for step in range(400):
            weight.grad = torch.nn.functional.one_hot(torch.tensor(step), 400).float()
            if masked and step % 2:
                weight.grad = None if scale is None else weight.grad * scale
            before = weight.detach().clone()
            optimizer.step()
            way += float((weight.detach() - before).norm()) * (step >= 200)
        ways.append(way)
    expected = tables.expected_movement().loc[name, "gradients unrelated"]
    assert ways[0] / ways[1] == pytest.approx(expected, rel=1e-4)


def test_movement_sums_ways_before_it_divides() -> None:
    columns = {"gradient_norm/audio": [1, 1], "update_norm/audio": [1, 3]}
    record = made(
        steps=columns | {"unmodulated_norm/audio": [1, 7]}, epochs={"activation/audio": [0, 0.5]}
    )
    base = made("baseline", steps=columns | {"update_norm/audio": [4, 4]})
    row = tables.movement([record], base).loc["p2_default"]
    assert row.tolist() == [25, 0.5, 0.5]
    assert "way against baseline, audio" in row


def test_skipped_gradients_leave_out_what_was_never_masked() -> None:
    record = made(
        steps={
            "frequency/updates/audio": [1, 1, 0, 1, 0],
            "frequency/period/audio": [1, 2, 2, 2, 2],
            "gradient_norm/audio": [99, 4, 1, 6, 2],
        }
    )
    row = tables.skipped_gradients([record]).loc["p2_default", "audio"]
    assert row.tolist() == [5, 1.5, 0.3]


def test_replaced_gradients_know_their_compensation() -> None:
    steps = {
        "staleness/lag/audio": [0, 1, 1, 2],
        "gradient_norm/audio": [2, 2, 2, 2],
        "modulated_norm/audio": [2, 1, 3, 1],
    }
    table = tables.replaced_gradients([made(steps=steps, lambda_comp=0.5)]).droplevel("run")
    assert table["1 / (1 + lambda lag)"].tolist() == pytest.approx([1, 1 / 1.5, 0.5])
    assert table.loc[1].tolist() == pytest.approx([50, 1 / 1.5, 1, 0.5, 1.5])
    default = tables.replaced_gradients([made(steps=steps, variant="study")]).droplevel("run")
    assert default.loc[2, "1 / (1 + lambda lag)"] == pytest.approx(1 / 1.2)


def test_coefficients_and_the_noise_beside_them() -> None:
    steps = {
        "ogm_ge/coefficient/audio": [0.2, 1, 0.3, np.nan],
        "gradient_norm/audio": [1, 1, 2, 1],
        "modulated_norm/audio": [1.0, 1, 2.2, 1],
    }
    row = tables.coefficient_range(made(steps=steps)).loc["audio"]
    expected = (np.sqrt(1.04) + np.sqrt(1.09)) / 2
    assert row.tolist() == pytest.approx([3, 100 / 3, 0.3, 0.2, 0.25, 1.05, expected])


def probed(
    readings: list[float], tests: list[float], other: list[float] | None = None
) -> RunRecord:
    zeros = [0.0] * len(readings)
    return made(
        steps={
            "throttle/probe_reading/audio": readings,
            "throttle/probe_reading/visual": other or zeros,
        },
        epochs={
            "throttle/probe_on_test/audio": tests,
            "throttle/probe_on_test/visual": [0.0] * len(tests),
            "throttle/probe_on_valid/audio": [0.7] * len(tests),
            "throttle/probe_on_valid/visual": [0.0] * len(tests),
        },
    )


def test_the_bias_of_probes_is_over_the_second_half() -> None:
    record = probed([0.1, np.nan, 0.2, 0.3, 0.9, np.nan, 0.7, 0.8], [0.0, 0.0, 0.6, 0.7])
    assert tables.last_readings(record)["audio"].tolist() == [0.1, 0.3, 0.9, 0.8]
    row = tables.probe_bias([record]).loc["p2_default", "audio"]
    assert row.tolist() == pytest.approx([85, 70, 65, 20, 10])


def test_a_constant_gap_is_constant_without_the_start_of_its_mean() -> None:
    running = [0.5 * (1 - 0.9**n) for n in range(1, 7)]
    record = made(
        batches=3,
        steps={"throttle/gap": running},
        epochs={
            "throttle/probe_on_test/audio": [0.9, 0.8],
            "throttle/probe_on_test/visual": [0.5, 1],
        },
    )
    table = tables.gaps(record)
    assert table["without its start"].tolist() == pytest.approx([0.5, 0.5])
    assert table["running mean"].tolist() == pytest.approx([running[2], running[5]])
    assert table["probes on test"].tolist() == pytest.approx([0.4, 0.2])


@pytest.mark.parametrize(("visual_on_test", "changed"), [(0.0, 0), (1.0, 2)])
def test_test_accuracies_can_change_who_is_behind(visual_on_test: float, changed: int) -> None:
    record = probed([0.6] * 4, [0.0, 0.0], other=[0.5] * 4)
    record.epochs["throttle/probe_on_test/visual"] = visual_on_test
    record.epochs["throttle/probe_on_test/audio"] = 0.5 * (1 - visual_on_test)
    said = tables.order_with_test(record)
    assert said.tolist() == [4, changed]  # those after the first epoch's test


def test_speeds_by_hand() -> None:
    record = made(
        steps={
            "gradient_norm/audio": [3.0] * 12,
            "gradient_norm/visual": [1.0] * 12,
            "loss/audio": list(np.linspace(2.2, 0, 12)),
            "loss/visual": [1.0] * 12,
        }
    )
    table = tables.speeds(record, beta=0.25)
    np.testing.assert_allclose(table["gradients/audio"], 1.5, rtol=1e-6)
    assert table["losses/audio"][0] == 1  # no descent yet: as fast as each other
    np.testing.assert_allclose(table["losses/audio"][1:], 2, rtol=1e-6)
    np.testing.assert_allclose(table["speed/visual"][1:], 0.25 * 0.5, rtol=1e-5)


def test_steadiness_is_within_epochs() -> None:
    """A column that alternates forgets at once; an epoch's level does not count."""
    n = np.arange(50)
    level = 100.0 * (n // 25)
    replayed = pd.DataFrame(
        {
            "gradients/audio": level + n % 25,
            "losses/audio": level + (-1.0) ** n,
            "speed/audio": np.ones(50) + np.sin(n),
        }
    )
    table = tables.steadiness(replayed, batches=25)["correlation with the step before"]
    assert table["gradients"] > 0.8
    assert table["losses"] < -0.9
    spread = tables.steadiness(replayed, 25)["deviation within an epoch"]
    assert spread["losses"] == pytest.approx(1, abs=0.01)


def test_identical_means_every_bit() -> None:
    one, same = made(logits=[[0.1, 0.2]], labels=[1]), made(logits=[[0.1, 0.2]], labels=[1])
    other = made(logits=[[0.1, np.nextafter(np.float32(0.2), 1).item()]], labels=[1])
    assert tables.identical([one, same])
    assert not tables.identical([one, same, other])


def test_strengths_are_in_order_and_paired() -> None:
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    base = made("baseline", logits=[right, right, right, wrong], labels=[0, 0, 0, 0])
    strong = made("cont_a100", logits=[right, wrong, wrong, wrong], labels=[0] * 4,
                  method="throttle", alpha=1.0)  # fmt: skip
    weak = made("cont_a025", logits=[right, right, wrong, right], labels=[0] * 4,
                method="throttle", alpha=0.25)  # fmt: skip
    table = tables.strengths([strong, base, weak], "throttle")
    assert table["run"].tolist() == ["baseline", "cont_a025", "cont_a100"]
    assert table["accuracy"].tolist() == [75, 75, 25]
    assert table["change"].tolist()[1:] == [0, -50]
    errors = [100 * np.std([0, 0, -1, 1], ddof=1) / 2, 100 * np.std([0, -1, 0, -1], ddof=1) / 2]
    assert table["error of the change"].tolist()[1:] == pytest.approx(errors)
    assert table["published change"].tolist()[1:] == pytest.approx([-1.34, -4.84])
    drawn = [line.get_ydata() for line in figures.strengths(table).axes[0].get_lines()]
    assert any(np.allclose(y, [75, 75, 25]) for y in drawn if len(y) == 3)


def test_the_sweep_compares_each_with_its_own_default() -> None:
    assert len(tables.sweep_names()) == 26
    assert tables.compared_with("baseline") is None
    assert (
        tables.compared_with("p2_default") == tables.compared_with("p1_stale_default") == "baseline"
    )
    assert tables.compared_with("p1_gamma025") == "p2_default"
    assert tables.compared_with("p1_stale_lc020") == "p1_stale_default"


def test_sensitivity_is_over_seeds_or_over_items() -> None:
    measured = pd.DataFrame(
        {
            "run": ["baseline", "p2_default", "p1_gamma025", "p1_gamma050"] * 2,
            "seed": [1] * 4 + [2] * 4,
            "validation": [0.9, 0.8, 0.7, 0.6, 0.9, 0.9, 0.7, 0.7],
            "difference": [np.nan, -0.1, -0.1, -0.2, np.nan, 0.0, -0.2, -0.2],
            "error": [np.nan] + [0.03] * 3 + [np.nan] + [0.03] * 3,
            "changed_audio": 0.5,
            "relative_update_audio": 0.9,
        }
    )
    table = tables.sensitivity(measured)
    assert table["setting"].tolist() == ["", "default", "gamma=0.25", "gamma=0.5"]
    row = table.loc["p1_gamma025"]
    assert (row["accuracy"], row["difference"]) == (pytest.approx(70), pytest.approx(-15))
    assert row["error"] == pytest.approx(5)  # half the distance of two values
    assert (row["published"], row["published (seed 42)"]) == (55.11, pytest.approx(-5.64))
    assert pd.isna(table.loc["p1_gamma050", "published (seed 42)"])
    one = tables.sensitivity(measured[measured["seed"] == 1])
    assert one.loc["p1_gamma025", "error"] == 3
    drawn = figures.differences(table.drop(index="baseline"), measured="m", reference="r")
    assert drawn.axes[0].get_xlabel() == "difference from r, points of test accuracy"


# ------------------------------------------------------------------ on runs that were


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecord]:
    base = profile("synth", seed=2, epochs=3, options={"train": 384, "test": 96})
    names = {name: name for name in verdicts.JUDGED_BY} | {"frequency_split": "p1_thresh005"}
    plans = [study.config(run_id, base).replace(run_id=name) for name, run_id in names.items()]
    folder = tmp_path_factory.mktemp("diagnosis")
    return dict(zip(names, run_all(plans, folder, workers=2, progress=False), strict=True))


def test_the_replayed_signal_is_what_the_method_read(runs: dict[str, RunRecord]) -> None:
    """Until its first reading frequency is the baseline, so there the two must agree."""
    read = runs["p2_default"].steps["frequency/speed/audio"].dropna()
    replayed = tables.speeds(runs["baseline"])["speed/audio"]
    assert replayed[read.index[0]] == pytest.approx(read.iloc[0], rel=1e-5)


def test_the_library_keeps_what_the_notebooks_say(runs: dict[str, RunRecord]) -> None:
    assert tables.identical([runs["p2_default"], runs["frequency_split"]])
    assert not tables.identical([runs["p2_default"], runs["baseline"]])
    k = tables.coefficient_range(runs["ogmge"])
    assert (k["largest below 1"].dropna() <= 1 - np.tanh(0.8) + 1e-6).all()
    stale = tables.replaced_gradients([runs["p1_stale_default"]]).droplevel("run")
    if 1 in stale.index:
        np.testing.assert_allclose(
            stale.loc[1, ["mean", "smallest", "largest"]], 1 / 1.1, rtol=1e-5
        )


def test_the_sweep_is_made_of_records(runs: dict[str, RunRecord]) -> None:
    table = tables.first_sweep(
        [runs[name] for name in ("baseline", "p2_default", "p1_stale_default")]
    )
    row = table.set_index("run").loc["p2_default"]
    expected = runs["p2_default"].accuracy() - runs["baseline"].accuracy()
    assert row["difference"] == pytest.approx(expected)
    assert row["compared_with"] == "baseline"
    moved = tables.movement([runs["p2_default"]]).iloc[0]
    assert 100 * row["changed_audio"] == pytest.approx(moved["changed, audio (%)"])
    assert row["relative_update_audio"] == pytest.approx(moved["relative update, audio"])


def test_every_claim_has_a_verdict_that_follows_the_numbers(runs: dict[str, RunRecord]) -> None:
    table = tables.claims(runs).set_index("the study says")
    assert table.map(len).min(axis=None) > 4
    threshold = "The threshold is only checked in probe mode."
    assert table.loc[threshold, "verdict"] == "holds"
    assert verdicts._threshold({**runs, "frequency_split": runs["baseline"]})[1] == "does not hold"
    assert table.loc["OGM-GE scales smoothly between 0.6 and 1.", "verdict"] == "does not hold"


@pytest.mark.parametrize(
    ("updates", "verdict"), [([1] * 40 + [0], "holds"), ([1, 1, 0], "does not hold")]
)
def test_how_often_is_rarely(updates: list[int], verdict: str) -> None:
    steps = {f"frequency/updates/{m}": updates for m in BOTH}
    steps |= {f"gradient_norm/{m}": [1.0] * len(updates) for m in BOTH}
    assert verdicts._rarely_active({"p2_default": made(steps=steps)})[1] == verdict


def test_figures_show_what_was_recorded(runs: dict[str, RunRecord]) -> None:
    record = runs["p2_default"]
    masked = figures.masked_steps([record]).axes[0].collections[0].get_segments()
    assert len(masked) == (record.steps["frequency/updates/audio"] == 0).sum()
    drawn = figures.relative_updates([record]).axes[0].get_lines()
    assert any(np.allclose(line.get_ydata(), record.epochs["relative_update/audio"])
               for line in drawn if len(line.get_ydata()) == 3)  # fmt: skip
    norms = figures.skipped_gradients(record).axes[0].get_lines()
    assert sum(len(line.get_ydata()) for line in norms) == len(record.steps)
    replayed = tables.speeds(runs["baseline"])
    dots = figures.signal(replayed, record).axes[1].get_lines()
    tau = record.steps["frequency/tau/visual"].dropna()
    assert any(np.allclose(line.get_ydata(), tau) for line in dots if len(line.get_ydata()) == 3)


def test_figures_of_probes_and_lags(runs: dict[str, RunRecord]) -> None:
    throttle = runs["cont_default"]
    lines = figures.probe_readings([throttle], ["v1"]).axes[0].get_lines()
    np.testing.assert_allclose(
        lines[1].get_ydata(), 100 * throttle.epochs["throttle/probe_on_test/audio"]
    )
    gaps = figures.gaps(throttle, [runs["baseline"]]).axes
    np.testing.assert_allclose(
        gaps[0].get_lines()[0].get_ydata(), 100 * tables.gaps(throttle)["running mean"]
    )
    stale = runs["p1_stale_default"]
    drawn = sum(len(line.get_ydata()) for line in figures.replaced_gradients([stale]).axes[0].lines
                if line.get_marker() not in ("", "None"))  # fmt: skip
    acted = sum((stale.steps[f"staleness/lag/{m}"] > 0).sum() for m in BOTH)
    assert drawn == acted
    assert len(figures.controls([runs["p2_default"]], 0.1).axes) == 2
