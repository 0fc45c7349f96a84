"""Figures of the book's text pages: shares of classes, and formulas of methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asgml_core.figures.dark import as_is
from asgml_core.figures.style import BAND, LINE, MEASURED, MODALITY_COLOURS, WIDTH, drawn, ink_upon
from asgml_core.modulators import boost_scales, ogm_coefficients, throttle_scales

MARKS = ("o", "D", "s")


@drawn
def class_shares(counts: pd.DataFrame) -> Figure:
    """Draw which share of each part a class has: a row a class, a mark a part.

    Args:
        counts: items, a row a class (the index names it) and a column a part, such as ``train``.
    """
    shares = 100 * counts / counts.sum()
    figure, ax = plt.subplots(figsize=(WIDTH, 0.2 * len(counts) + 1.0))
    places = np.arange(len(counts))[::-1]
    ax.axvline(100 / len(counts), color=LINE, lw=0.9, zorder=0)
    ax.hlines(places, shares.min(axis=1), shares.max(axis=1), color=LINE, lw=1.4, zorder=1)
    apart = 0.22 * (np.arange(shares.shape[1]) - (shares.shape[1] - 1) / 2)  # equal shares are seen
    for part, up, colour, mark in zip(shares, apart, MODALITY_COLOURS, MARKS, strict=False):
        ax.plot(shares[part], places - up, mark, ms=3.6, color=colour, label=part)
    ax.set_yticks(places, [str(name) for name in counts.index], fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.8, len(counts) - 0.2)
    ax.set_xlim(left=0)
    ax.set_xlabel("share of the part (%)")
    figure.legend(loc="outside upper right", ncols=shares.shape[1])
    return figure


@drawn
def stacked_shares(counts: pd.DataFrame) -> Figure:
    """Draw how each row is made up, as bars of 100 %, with the shares written into them.

    Args:
        counts: items, a row a bar (the index names it) and a column a class, from low to high.
    """
    shares = (100 * counts.T / counts.sum(axis=1)).T
    figure, ax = plt.subplots(figsize=(WIDTH, 0.34 * len(counts) + 1.0))
    places = np.arange(len(counts))[::-1]
    colours = (MODALITY_COLOURS[1], BAND, MODALITY_COLOURS[0])
    left = np.zeros(len(counts))
    for name, colour in zip(shares, colours, strict=True):
        ax.barh(places, shares[name], left=left, height=0.7, color=colour, label=str(name))
        for place, start, share in zip(places, left, shares[name], strict=True):
            as_is(ax.text(start + share / 2, place, f"{share:.0f}", ha="center", va="center",
                          fontsize=8.5, color=ink_upon(colour)))  # fmt: skip
        left += shares[name].to_numpy()
    ax.set_yticks(places, [str(name) for name in counts.index])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set(xlim=(0, 100), xlabel="share of the part (%)")
    figure.legend(loc="outside upper right", ncols=shares.shape[1])
    return figure


@drawn
def scale_formulas(alphas: Sequence[float] = (0.2, 0.5, 0.8)) -> Figure:
    """Draw by what OGM, throttle and boost multiply a gradient, as their formulas say.

    Left: the coefficient of the first of two modalities against the ratio of scores. Right: what
    throttle and boost aim at, against where a probe stands between the worst and the best one.

    Args:
        alphas: strengths, one line each on the left; the middle one is used on the right.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.0))
    for alpha, dashes in zip(alphas, ("-", "--", "-."), strict=True):
        _damping(left, alpha, dashes)
    left.set(xlabel="ratio of scores $r$", ylabel="coefficient $k_1$ (OGM)", ylim=(-0.05, 1.1))
    left.legend(fontsize=8.5)
    place = np.linspace(0, 1, 101)
    for name, scales, colour in (
        ("boost", boost_scales, MODALITY_COLOURS[0]),
        ("throttle", throttle_scales, MODALITY_COLOURS[1]),
    ):
        bound = {"scale_max": 2.0} if name == "boost" else {"scale_min": 0.1}
        aimed = [
            float(scales(torch.tensor([0.0, d, 1.0]), alpha=alphas[1], **bound)[1]) for d in place
        ]
        right.plot(place, aimed, color=colour, lw=1.2, label=name)
        right.plot(place[[0, -1]], [aimed[0], aimed[-1]], "o", ms=5, color=colour)
    right.axhline(1, color=LINE, lw=0.9, zorder=0)
    right.set(xlabel="place of the probe, worst to best", ylabel="scale aimed at")
    right.legend(fontsize=8.5)
    return figure


def _damping(ax: Axes, alpha: float, dashes: str) -> None:
    """Draw the first modality's coefficient against the ratio; at 1 it jumps."""
    for ratios in (np.linspace(0.02, 1, 50), np.linspace(1.0001, 3, 200)):
        values = [float(ogm_coefficients(torch.tensor([r, 1.0]), alpha=alpha)[0]) for r in ratios]
        name = rf"$\alpha$ = {alpha:g}" if ratios[0] < 1 else None
        ax.plot(ratios, values, dashes, lw=1.2, color=MEASURED, label=name)


@drawn
def scaled_norms(
    norms: Sequence[float], scales: Callable[[torch.Tensor, float], torch.Tensor]
) -> Figure:
    """Draw gradient norms after a method has scaled them, against its strength.

    Args:
        norms: before, one line each.
        scales: from norms ``(M,)`` and a strength from 0 to 1 to scales ``(M,)``.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 2.8))
    strengths = np.linspace(0, 1, 101)
    before = torch.tensor(norms)
    after = torch.stack([before * scales(before, float(s)) for s in strengths])
    for norm, values, colour in zip(norms, after.T, MODALITY_COLOURS, strict=False):
        ax.plot(strengths, values, lw=1.2, color=colour)
        ax.annotate(f"{norm:g}", (0, norm), xytext=(-6, 0), textcoords="offset points",
                    ha="right", va="center", color=colour)  # fmt: skip
    ax.set(xlabel="strength", ylabel="gradient norm, scaled", yticks=[])
    ax.spines["left"].set_visible(False)
    return figure
