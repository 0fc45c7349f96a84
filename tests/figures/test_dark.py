"""The dark variant: no dark ink upon the dark page, data and pictures as they were."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from asgml_core import figures
from asgml_core.figures.dark import INK, PAGE, as_is, darkened, turned

SHARES = pd.DataFrame({"a": [60.0, 30.0], "b": [40.0, 70.0]}, index=["one", "other"])


def pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(float) / 255


def figure_of_many() -> Figure:
    rng = np.random.default_rng(0)
    names = ["baseline", "ogmge", "joint_only"]
    table = pd.DataFrame(rng.normal(80, 1, (6, 3)), columns=names)
    return figures.seeds(table, reference="baseline")


def figure_of_curves() -> Figure:
    curve = pd.DataFrame({"epoch": [1, 2, 3], "valid_accuracy": [0.2, 0.5, 0.4],
                          "test_accuracy": [0.3, 0.4, 0.5]})  # fmt: skip
    return figures.selections(curve)


@pytest.mark.parametrize(
    "draw", [figure_of_many, figure_of_curves, lambda: figures.shares_of_step(SHARES, ["a", "b"])]
)
def test_every_text_is_read_on_the_dark_page(
    draw: Callable[[], Figure], text_boxes: Callable[[Figure], list]
) -> None:
    figure = draw()
    boxes = text_boxes(figure)
    with darkened(figure):
        shown = pixels(figure)
    for text, box in boxes:
        x0, y0, x1, y1 = (round(v) for v in box.extents)
        part = shown[len(shown) - y1 : len(shown) - y0, x0:x1].mean(axis=2)
        assert np.ptp(part) > 0.25, text  # something stands out in its place
    corner = shown[2, 2]
    np.testing.assert_allclose(corner, PAGE, atol=0.01)


def test_afterwards_the_figure_is_as_before() -> None:
    figure = figure_of_many()
    before = pixels(figure).copy()
    with darkened(figure):
        assert not np.array_equal(pixels(figure), before)
    np.testing.assert_array_equal(pixels(figure), before)


def test_it_is_as_before_after_an_error_too() -> None:
    figure = figure_of_many()
    before = pixels(figure).copy()
    with pytest.raises(RuntimeError, match="on purpose"), darkened(figure):
        raise RuntimeError("on purpose")
    np.testing.assert_array_equal(pixels(figure), before)


def test_neutral_colours_turn_around_and_others_stay() -> None:
    white, ink, blue = (1, 1, 1, 1), (0, 0, 0, 0.5), (0, 0.45, 0.7, 1)
    found = turned(np.array([white, ink, blue]))
    np.testing.assert_allclose(found, [(PAGE,) * 3 + (1,), (INK,) * 3 + (0.5,), blue])


def test_what_is_upon_pictures_stays_and_what_is_beside_turns() -> None:
    figure, ax = plt.subplots()
    plt.close(figure)
    picture = ax.imshow(np.full((4, 4), 0.5), cmap="gray", vmin=0, vmax=1)
    upon = ax.axvline(1, color="black")
    ax.set_title("beside", color="black")
    with darkened(figure):
        assert upon.get_color() == "black"
        assert picture.cmap.name == "gray"
        assert ax.title.get_color() == pytest.approx((INK, INK, INK, 1))


def test_what_is_kept_and_what_data_colour_stays() -> None:
    figure, ax = plt.subplots()
    plt.close(figure)
    kept = as_is(ax.text(0, 0, "kept", color="black"))
    hollow = ax.plot([0], [0], "o", mfc="none", color="#0072B2")[0]
    lines = LineCollection([[(0, 0), (1, 1)]], array=[0.5], cmap="gray")
    ax.add_collection(lines)
    bars = ax.bar([0], [1], color="#D55E00", edgecolor="white")
    note = ax.annotate("note", (0, 0), (1, 1), bbox={"fc": "white"},
                       arrowprops={"arrowstyle": "-", "color": "black"})  # fmt: skip
    figure.canvas.draw()
    by_data = lines.get_edgecolor().copy()
    with darkened(figure):
        assert kept.get_color() == "black"
        assert (hollow.get_markerfacecolor(), hollow.get_color()) == ("none", "#0072B2")
        np.testing.assert_array_equal(lines.get_edgecolor(), by_data)
        assert bars[0].get_facecolor()[0] == pytest.approx(0xD5 / 255)
        assert bars[0].get_edgecolor() == pytest.approx((PAGE, PAGE, PAGE, 1))
        assert note.arrow_patch.get_edgecolor() == pytest.approx((INK, INK, INK, 1))
        assert note.get_bbox_patch().get_facecolor() == pytest.approx((PAGE, PAGE, PAGE, 1))
    assert bars[0].get_edgecolor() == note.get_bbox_patch().get_facecolor() == (1, 1, 1, 1)
    assert note.arrow_patch.get_edgecolor() == (0, 0, 0, 1)
