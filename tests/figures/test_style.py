"""The palette: apart for all kinds of colour vision, and seen on light and on dark pages."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from asgml_core import labels
from asgml_core.figures import look, style
from asgml_core.figures.dark import turned
from asgml_core.figures.style import FAMILY_COLOURS, MODALITY_COLOURS, ink_upon, looks

#: Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protan": np.array([[0.152286, 1.052583, -0.204868],
                        [0.114503, 0.786281, 0.099216],
                        [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968],
                        [0.280085, 0.672501, 0.047413],
                        [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array([[1.255528, -0.076749, -0.178779],
                        [-0.078411, 0.930809, 0.147602],
                        [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
SRGB = np.array([[0.4124564, 0.3575761, 0.1804375],
                 [0.2126729, 0.7151522, 0.0721750],
                 [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip
#: The pages of the book's themes.
PAGES = {"light": "#FFFFFF", "dark": "#14181E"}


def linear(rgb: np.ndarray) -> np.ndarray:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray, vision: str = "normal") -> np.ndarray:
    seen = np.clip(VISIONS[vision] @ linear(rgb), 0, 1)
    share = SRGB @ seen / SRGB.sum(axis=1)
    root = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    x, y, z = root
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted(float(SRGB[1] @ linear(rgb)) for rgb in (one, other))
    return (high + 0.05) / (low + 0.05)


def on_page(page: str) -> dict[str, np.ndarray]:
    """Return the families' colours as a page shows them; the two greys are one."""
    shown = {name: np.array([*to_rgb(colour), 1]) for name, colour in FAMILY_COLOURS.items()}
    del shown[labels.OTHER]
    if page == "dark":
        shown = {name: turned(rgba[None])[0] for name, rgba in shown.items()}
    return {name: rgba[:3] for name, rgba in shown.items()}


def test_the_measures_are_right() -> None:
    np.testing.assert_allclose(lab(np.array([1.0, 0, 0])), [53.24, 80.09, 67.20], atol=0.02)
    assert contrast(np.zeros(3), np.ones(3)) == pytest.approx(21)
    for matrix in VISIONS.values():  # whoever sees no colour sees the same greys
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("page", PAGES)
def test_families_are_apart(page: str, vision: str) -> None:
    shown = on_page(page)
    apart = {
        (one, other): np.linalg.norm(lab(shown[one], vision) - lab(shown[other], vision))
        for one, other in combinations(shown, 2)
    }
    closest = min(apart, key=apart.__getitem__)
    assert apart[closest] > 15, (closest, apart[closest])


@pytest.mark.parametrize("page", PAGES)
def test_families_and_modalities_are_seen_on_the_page(page: str) -> None:
    ground = np.array(to_rgb(PAGES[page]))
    for name, rgb in on_page(page).items():
        assert contrast(rgb, ground) > 3, name
    for colour in MODALITY_COLOURS[:2]:  # the first two are in most figures
        assert contrast(np.array(to_rgb(colour)), ground) > 3


def test_every_family_has_a_colour() -> None:
    assert set(FAMILY_COLOURS) == set(labels.FAMILIES)


def test_runs_of_one_family_share_a_colour_and_differ_in_marks() -> None:
    seen = {run: look(run) for run in labels.LABELS}
    for one, other in combinations(seen, 2):
        same = labels.family(one) == labels.family(other)
        if same:
            assert seen[one].colour == seen[other].colour
            assert seen[one].marker != seen[other].marker
            assert seen[one].dashes != seen[other].dashes
        elif "baseline" not in (one, other):
            assert seen[one].colour != seen[other].colour


def test_runs_side_by_side_do_not_look_the_same() -> None:
    both = looks(["p1_probe", "p1_probe_test", "p1_sms000", "p1_gamma025"])
    assert len(set(both)) == 4
    assert looks(["baseline", "ogmge"]) == [look("baseline"), look("ogmge")]


def test_text_upon_a_colour_is_read() -> None:
    for colour in (*MODALITY_COLOURS, "#F0E442", "#5F6B7A", "#FFFFFF", "#000000"):
        ground = np.array(to_rgb(colour))
        assert contrast(np.array(to_rgb(ink_upon(colour))), ground) > 3.9, colour


def test_the_style_is_gone_outside() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with style():
        assert mpl.rcParams["savefig.dpi"] == 144
    assert dict(mpl.rcParams) == before
