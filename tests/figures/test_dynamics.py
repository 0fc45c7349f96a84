"""Figures over epochs against the tables they show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from asgml_core import figures, labels


@pytest.fixture(scope="module")
def epochs() -> pd.DataFrame:
    at = np.arange(1, 11)
    tables = [
        pd.DataFrame({"run": run, "epoch": at, "quantity": quantity, "mean": middle,
                      "low": middle - 1, "high": middle + 2})
        for number, run in enumerate(labels.LABELS)
        for quantity in ("accuracy", "scale/audio", "scale/visual")
        for middle in [50 + 0.01 * number + len(quantity) * (1 - np.exp(-at / 3))]
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def band(figure: Figure, panel: int, number: int) -> np.ndarray:
    return figure.axes[panel].collections[number].get_paths()[0].vertices


def rows(epochs: pd.DataFrame, run: str, quantity: str) -> pd.DataFrame:
    return epochs[(epochs["run"] == run) & (epochs["quantity"] == quantity)]


def test_lines_are_means_and_bands_are_intervals(epochs: pd.DataFrame, overlaps: Callable) -> None:
    runs = list(labels.LABELS)
    figure = figures.bands(epochs.sample(frac=1, random_state=0), "accuracy", runs, "accuracy")
    lines = figure.axes[0].get_lines()
    for number, run in enumerate(runs):
        expected = rows(epochs, run, "accuracy")
        np.testing.assert_allclose(lines[number].get_xydata(), expected[["epoch", "mean"]])
        around = band(figure, 0, number)
        assert around[:, 1].min() == pytest.approx(expected["low"].min())
        assert around[:, 1].max() == pytest.approx(expected["high"].max())
    notes = {text.get_text(): text.xy for text in figure.axes[0].texts}
    last = rows(epochs, "ogmge", "accuracy").iloc[-1]
    assert notes["OGM-GE"] == (last["epoch"], last["mean"])
    assert overlaps(figure) == []  # although all lines end at nearly one height


def test_modalities_have_panels_of_runs(epochs: pd.DataFrame, overlaps: Callable) -> None:
    runs = list(labels.LABELS)
    figure = figures.bands_by_modality(epochs, "scale", runs, "scale")
    assert [ax.get_title() for ax in figure.axes][:2] == ["baseline", "OGM-GE"]
    for panel, run in enumerate(runs):
        for line, m in zip(figure.axes[panel].get_lines(), ("audio", "visual"), strict=True):
            expected = rows(epochs, run, f"scale/{m}")
            np.testing.assert_allclose(line.get_xydata(), expected[["epoch", "mean"]])
            assert line.get_color() == figures.colours(["audio", "visual"])[m]
    assert overlaps(figure) == []


def test_a_quantity_of_no_modality_is_drawn_alone(epochs: pd.DataFrame) -> None:
    figure = figures.bands_by_modality(epochs, "accuracy", ["baseline"], "accuracy")
    assert len(figure.axes[0].get_lines()) == 1
    assert figure.legends == []


def test_a_run_of_one_modality_has_one_line(epochs: pd.DataFrame) -> None:
    one = epochs[(epochs["run"] != "audio_only") | (epochs["quantity"] != "scale/visual")]
    figure = figures.bands_by_modality(one, "scale", ["baseline", "audio_only"], "scale")
    assert [len(ax.get_lines()) for ax in figure.axes] == [2, 1]
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["audio", "visual"]


def test_a_quantity_that_a_run_lacks_is_said(epochs: pd.DataFrame) -> None:
    for draw in (figures.bands, figures.bands_by_modality):
        with pytest.raises(ValueError, match="'baseline' has no quantity 'period' in the table"):
            draw(epochs, "period", ["baseline"], "period")


def test_the_three_selections_are_marked(overlaps: Callable) -> None:
    curve = pd.DataFrame({
        "epoch": [1, 2, 3, 4, 5],
        "valid_accuracy": [0.2, 0.6, 0.5, 0.6, 0.4],
        "test_accuracy": [0.1, 0.5, 0.7, 0.7, 0.6],
    }, index=[10, 11, 12, 13, 14])  # fmt: skip
    figure = figures.selections(curve)
    marked = {
        str(line.get_label()).split(":")[0]: line.get_xydata()[0].tolist()
        for line in figure.axes[0].get_lines()
        if line.get_marker() != "None"
    }
    assert marked["best on validation"] == pytest.approx([2, 50])  # the earlier of equals
    assert marked["last"] == pytest.approx([5, 60])
    assert marked["best on test"] == pytest.approx([3, 70])
    said = figure.axes[0].get_title("left")
    assert said == "choosing on test adds 20.0 over best on validation, 10.0 over last"
    assert overlaps(figure) == []
