"""What the study's log printed beside its 97 runs: means, later results, and claims as data.

The accuracies by seed are in :mod:`asgml_core.study`. All are in per cent, the highest test
accuracy over the epochs. A claim is told in our words; its number is the log's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from math import tanh

import pandas as pd

from asgml_core import labels, study
from asgml_core.checks import check_count, check_number, check_one_of
from asgml_core.notebooks import Reading
from asgml_core.statistics import paired_t

#: Test items of CREMA-D.
ITEMS = 744
#: Mean and standard deviation over five seeds, as printed, in the log's order.
PRINTED = {
    "p2_boost_ogm_a075": (62.69, 0.22),
    "ogmge": (62.47, 1.42),
    "p2_boost_ogm": (62.37, 0.57),
    "p2_boost_default": (60.46, 0.85),
    "p2_sms000": (60.54, 1.17),
    "p2_default": (60.40, 1.36),
    "baseline": (60.30, 0.70),
    "p2_beta100": (59.76, 0.57),
    "p2_stale_lc020": (59.25, 0.87),
}
#: What the two tables of single runs print beside each: its distance from 60.30.
PRINTED_DISTANCES = {
    "cont_a025": -1.83, "cont_ogm": -0.89, "cont_default": -2.64, "cont_sm005": -2.64,
    "cont_sm030": -2.64, "cont_a075": -3.85, "cont_noise": -4.12, "cont_a100": -6.67,
    "cont_combo": -7.34,
    "boost_default": 0.18, "boost_a025": -1.56, "boost_a075": -2.10, "boost_a100": -1.70,
    "boost_sm150": 0.18, "boost_sm300": 0.18, "boost_noise": -1.43, "boost_ogm": 1.53,
    "boost_ogm_a075": 2.20,
}  # fmt: skip

#: Seeds of the later results.
LATER_SEEDS = (42, 123, 456, 789, 1024)
_LATER = {
    "cremad_3frame": {
        "boost+ogm_ge a=0.75": (71.37, 72.04, 73.66, 71.24, 68.95),
        "ogm_ge a=0.8": (67.88, 68.15, 69.35, 69.49, 70.83),
        "inforeg 100ep": (67.07, 68.55, 67.88, 66.53, 68.55),
        "baseline": (60.48, 62.37, 62.37, 61.69, 61.02),
        "miles tau=0.2": (64.52, 62.37, 60.75, 57.80, 59.81),
    },
    "cremad_3frame_linear_head": {
        "boost+ogm_ge a=0.75": (72.45, 72.58, 72.31, 70.56, 70.97),
        "opm+ogm": (70.30, 71.51, 69.35, 67.47, 70.56),
        "opm": (65.46, 65.05, 65.73, 65.46, 65.46),
        "ogm": (63.31, 63.71, 63.71, 63.44, 64.52),
        "baseline": (60.35, 59.41, 60.62, 57.80, 57.80),
    },
    "ave_pretrained": {
        "boost a=0.5": (86.91, 87.65, 87.53, 87.53, 87.41),
        "boost+ogm_ge a=0.75": (86.54, 87.28, 86.91, 88.27, 87.16),
        "ogm_ge": (86.42, 87.78, 86.05, 87.78, 86.79),
        "baseline": (86.67, 86.05, 86.91, 87.04, 86.05),
    },
    "kinetics_sounds_pretrained": {
        "boost a=0.5": (80.29, 80.13, 79.15, 77.69, 78.58),
        "baseline": (78.58, 78.99, 78.75, 79.72, 79.23),
        "boost+ogm_ge a=0.75": (77.52, 78.18, 77.20, 77.52, 76.22),
        "ogm_ge a=0.8": (76.79, 77.44, 78.26, 77.77, 75.98),
    },
    "cmu_mosei_3modality": {
        "ogm_ge": (73.30, 73.09, 72.43, 71.33, 72.21),
        "boost+ogm_ge a=0.75": (73.30, 73.09, 71.77, 71.77, 72.21),
        "baseline": (70.46, 70.46, 70.24, 70.02, 70.90),
        "boost a=0.5": (70.24, 69.80, 70.90, 68.49, 69.58),
    },
}
#: The settings of the later results, and what a page calls them.
SETTINGS = {name: labels.setting_label(name) for name in _LATER}
#: Methods that several settings have; OGM-GE has one name here, with or without its alpha.
COMBINATION, OGM_GE, BOOST, BASELINE = "boost+ogm_ge a=0.75", "ogm_ge", "boost a=0.5", "baseline"
_ALIASES = {"ogm_ge a=0.8": OGM_GE}


@dataclass(frozen=True, kw_only=True)
class Rereading(Reading):
    """The parameters of the notebook that reads the published table again.

    Args:
        seed: of the bootstrap and of the simulation.
        level: of the intervals, above 0 and below 1.
    """

    seed: int = 0
    level: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("seed", self.seed, low=0)
        check_number("level", self.level, above=0, high=1 - 1e-9)


def nine() -> pd.DataFrame:
    """Return the five-seed table: index the seeds, one column a run."""
    columns = {run: [study.published(run, seed) for seed in study.SEEDS] for run in PRINTED}
    return pd.DataFrame(columns, index=pd.Index(study.SEEDS, name="seed"), dtype=float)


def later(setting: str) -> pd.DataFrame:
    """Return later results of the same author: index the seeds, one column a method.

    Args:
        setting: one of :data:`SETTINGS`.

    Raises:
        ValueError: for another setting, naming those there are.
    """
    methods = _LATER[check_one_of("setting", setting, SETTINGS)]
    table = pd.DataFrame(methods, index=pd.Index(LATER_SEEDS, name="seed"), dtype=float)
    return table.rename(columns=_ALIASES)


def later_runs() -> pd.DataFrame:
    """Return all later results, a row a run: ``setting``, ``method``, ``seed``, ``best_acc``."""
    found = []
    for setting, name in SETTINGS.items():
        long = later(setting).reset_index().melt("seed", var_name="method", value_name="best_acc")
        found.append(long.assign(setting=name)[["setting", "method", "seed", "best_acc"]])
    return pd.concat(found, ignore_index=True)


@dataclass(frozen=True)
class Claim:
    """One statement of the log that a number decides.

    Args:
        id: a short name.
        where: the part of the log.
        said: the statement, in our words.
        quoted: the log's number; ``None`` where it gives none.
        recompute: returns the same number from the published runs; what it counts is in ``said``.
    """

    id: str
    where: str
    said: str
    quoted: float | None
    recompute: Callable[[], float]


def _mean(run: str) -> float:
    return float(nine()[run].mean())


def _std(run: str) -> float:
    return float(nine()[run].std(ddof=1))


def _once(run: str, seed: int = 42) -> float:
    accuracy = study.published(run, seed)
    if accuracy is None:
        raise ValueError(f"the log gives no accuracy for {run!r} with seed {seed}.")
    return accuracy


def _sweep(group: str) -> list[float]:
    return [_once(run) for run in study.group(group)]


def differences(run: str, reference: str) -> pd.Series:
    """Return how far a method is above another in the five-seed table, seed by seed, in points."""
    return nine()[run] - nine()[reference]


def interaction() -> pd.Series:
    """Return what boost (alpha .5) and OGM-GE together give beyond the sum of both alone, by seed.

    It is ``both - ogm_ge - boost + baseline``, in points: the synergy. The log's own criterion for
    complementary methods is another: both together above OGM-GE.
    """
    wide = nine()
    return wide["p2_boost_ogm"] - wide["ogmge"] - wide["p2_boost_default"] + wide["baseline"]


A075, A050, ALONE = "p2_boost_ogm_a075", "p2_boost_ogm", "p2_boost_default"

_OTHER_ALPHAS = ("boost_a025", "boost_a075", "boost_a100")


def _steps_down() -> int:
    order = [_once(run) for run in ("cont_a025", "cont_default", "cont_a075", "cont_a100")]
    return sum(after < before for before, after in itertools.pairwise(order))


def _same_distances() -> int:
    return sum(
        round(_once(run) - _once("baseline"), 2) == printed
        for run, printed in PRINTED_DISTANCES.items()
    )


def _spread(*runs: str) -> float:
    accuracies = [_once(run) for run in runs]
    return max(accuracies) - min(accuracies)


#: The log's statements that the published numbers can decide, in its order.
CLAIMS = (
    Claim("means", "main table", "the nine means (largest distance from ours)", None,
          lambda: max(abs(_mean(run) - mean) for run, (mean, _) in PRINTED.items())),
    Claim("deviations", "main table", "the nine standard deviations (how many are the sample one "
          "or the population one, rounded)", 9,
          lambda: sum(std in (round(_std(run), 2), round(_std(run) * 0.8**0.5, 2))
                      for run, (_, std) in PRINTED.items())),
    Claim("best", "finding 1", "boost + OGM-GE (alpha .75) is the best method", 62.69,
          lambda: _mean(A075)),
    Claim("margin", "finding 1, criterion 3", "it is .22 above OGM-GE", 0.22,
          lambda: _mean(A075) - _mean("ogmge")),
    Claim("approach", "criterion 2", "it approaches or beats OGM-GE", 0.22,
          lambda: _mean(A075) - _mean("ogmge")),
    Claim("variance", "finding 1, criterion 2", "its variance is 6.5x lower than OGM-GE's "
          "(ratio of standard deviations)", 6.5, lambda: _std("ogmge") / _std(A075)),
    Claim("both_match", "finding 2", "boost + OGM-GE (alpha .5) matches OGM-GE, too", -0.10,
          lambda: _mean(A050) - _mean("ogmge")),
    Claim("both_steadier", "finding 2", "and has a substantially lower variance (ratio of standard "
          "deviations)", 2.5, lambda: _std("ogmge") / _std(A050)),
    Claim("boost_alone", "finding 3", "boost alone is about the baseline", 0.16,
          lambda: _mean(ALONE) - _mean("baseline")),
    Claim("complementary", "findings 1 and 3", "so boost and OGM-GE complement each other "
          "(synergy: what both give beyond the sum, at alpha .5)", None,
          lambda: float(interaction().mean())),
    Claim("frequency_noise", "finding 4", "the settings of frequency are within the noise of the "
          "baseline (the best of them)", 0.24, lambda: _mean("p2_sms000") - _mean("baseline")),
    Claim("not_significant", "timeline, week 3", "frequency's and staleness's gain over the "
          "baseline is not significant (p of the best, paired t)", None,
          lambda: paired_t(differences("p2_sms000", "baseline"))),
    Claim("stability", "finding 5", "stability is a key result (place of its standard deviation "
          "among nine)", 1, lambda: int(nine().std().rank()[A075])),
    Claim("beats_baseline", "criterion 1", "the combination is more than 1 point above the "
          "baseline, with significance", 2.39, lambda: _mean(A075) - _mean("baseline")),
    Claim("all_seeds", "criterion 3", "ideally it is above OGM-GE alone: confirmed across "
          "all 5 seeds (in how many)", 5,
          lambda: int((differences(A075, "ogmge") > 0).sum())),
    Claim("clear_winner", "timeline, 12 Feb", "OGM-GE is the clear winner, 2 points above all else "
          "so far", 2.0, lambda: _mean("ogmge") - _mean("p2_sms000")),
    Claim("v1_worse", "v1", "all nine settings of throttle are worse than the baseline", 9,
          lambda: sum(x < _once("baseline") for x in _sweep("v1_throttle"))),
    Claim("v1_order", "v1, learning 8", "the more throttling, the worse, from alpha .25 to 1 (how "
          "many of three steps go down)", 3, _steps_down),
    Claim("gentler", "v1, diagnosis", "OGM-GE scales more gently than throttle, by tanh "
          "(its highest coefficient below 1; throttle's lowest at alpha .5 is .5)", None,
          lambda: 1 - tanh(0.8)),
    Claim("v2_distances", "v1, v2", "the 18 distances from the baseline (how many hold against the "
          "baseline of the same seed)", 18, _same_distances),
    Claim("single_match", "v2, finding 1", "boost + OGM-GE (alpha .75), 62.50, matches OGM-GE "
          "(62.47 as a mean, 63.98 at this seed), so they complement each other", 0.03,
          lambda: _once(A075) - _once("ogmge")),
    Claim("scale_max", "v2, finding 3", "scale_max does not matter (spread of three settings)", 0.0,
          lambda: _spread("boost_default", "boost_sm150", "boost_sm300")),
    Claim("sweet_spot", "v2, finding 4", "alpha .5 is best for boost alone (margin)", 1.74,
          lambda: _once("boost_default") - max(map(_once, _OTHER_ALPHAS))),
    Claim("combined_alpha", "v2, finding 4", "with OGM-GE alpha .75 is best (over .5, the mean)",
          0.32, lambda: _mean(A075) - _mean(A050)),
    Claim("noise_hurts", "v2, finding 5", "noise hurts boost", -1.61,
          lambda: _once("boost_noise") - _once("boost_default")),
    Claim("v2_over_v1", "v2, finding 6", "the best of v2 beats the best of v1 by 3.09", 3.09,
          lambda: max(_sweep("v2_boost")) - max(_sweep("v1_throttle"))),
    Claim("worst_v2", "learning 10", "the worst of v2 will likely beat the best of v1", None,
          lambda: min(_sweep("v2_boost")) - max(_sweep("v1_throttle"))),
    Claim("direction", "learning 10", "the turn from v1 to v2 matters more than any setting within "
          "v1 (the same alpha .5)", None, lambda: _once("boost_default") - _once("cont_default")),
    Claim("one_seed", "learning 1", "one seed told the opposite story: frequency .80 above OGM-GE "
          "(seed 42 of the five-seed table)", 0.80, lambda: _once("p2_default") - _once("ogmge")),
    Claim("over_miles", "timeline, 5 Feb", "frequency beats MILES", 1.21,
          lambda: _once("early_adaptive_dual") - _once("early_miles_paper")),
    Claim("fixed_rate", "early runs", "frequency with a fixed 2:1 is worse than the baseline",
          -1.07, lambda: _once("early_freq_fixed2") - _once("baseline")),
    Claim("fixed_tau", "early runs", "staleness with a fixed tau of 2 is worse than the baseline",
          -2.15, lambda: _once("early_stale_fixed2") - _once("baseline")),
    Claim("early_alpha", "early runs", "alpha .5 is too low for OGM-GE (against .8 of that time)",
          -2.42, lambda: _once("early_ogmge_a050_e100") - _once("early_ogmge_a080")),
    Claim("double", "early runs, learning 7", "OGM-GE and frequency together damp too much "
          "(against OGM-GE of that time)", -0.41,
          lambda: _once("early_ogmge_adaptive") - _once("early_ogmge_a080")),
    Claim("gamma", "first sweep", "gamma matters much: at .25 accuracy is 55.11", -5.64,
          lambda: _once("p1_gamma025") - _once("p2_default")),
    Claim("over_staleness", "first sweep, learning 6", "frequency beats staleness (the best of "
          "each at seed 42)", 0.8, lambda: _once("p1_sms000") - _once("p1_stale_lc020")),
    Claim("over_paper", "reproduction", "OGM-GE exceeds its paper's 61.9, which validates the "
          "set-up", 0.57, lambda: _mean("ogmge") - 61.9),
    Claim("under_paper", "reproduction", "the early OGM-GE is about 2 points below the paper", -2.0,
          lambda: _once("early_ogmge_a080") - 61.9),
    Claim("miles_gap", "reproduction", "MILES is 15.6 below its paper, which used a ResNet10",
          -15.6, lambda: _once("early_miles_paper") - 75.1),
    Claim("miles_code", "reproduction", "MILES' released code reduces nothing (its factor)", 1.0,
          lambda: float(study.named_run("early_miles_repo").params["reduction"])),
)  # fmt: skip
