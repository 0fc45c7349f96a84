"""The numbers in the prose of the first page and of the chapter on many seeds, computed anew."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from asgml_core import many_seeds, results, statistics, tables
from asgml_core.measured import Measured

BOOK = Path(__file__).parents[2] / "book"
#: A difference as the pages write it: mean, and the ends of its 95 % interval.
WRITTEN = re.compile(r"[+-]\d+\.\d+ \(-?\d+\.\d+ to -?\d+\.\d+\)")
FOUND_BY_LOOKING = ("ogm", "baseline")
CHAPTER = BOOK / "scripts" / "05_multi_seed.py"


def prose(path: Path) -> str:
    """Return a page's text on one line, so that a number is found wherever lines break."""
    text = re.sub(r"^# ?", "", path.read_text(), flags=re.MULTILINE)
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def measured() -> Measured:
    return Measured.read("many_seeds_grid")


def written(apart: pd.Series) -> str:
    it = statistics.mean_interval(apart.to_numpy())
    return f"{it.estimate:+.2f} ({it.low:.2f} to {it.high:.2f})"


@pytest.fixture(scope="module")
def differences(measured: Measured) -> dict[tuple[str, str, str], str]:
    """Every difference by its data or epoch, run and reference, as the pages write it.

    All are declared, but for what the pages say they found by looking.
    """
    declared = (*many_seeds.CLAIMS, *many_seeds.CONTROLS, FOUND_BY_LOOKING)
    gains = [(run, "baseline") for run in many_seeds.FIVE[1:]]
    five, drawn = (Measured.read(f"many_seeds_{name}") for name in ("grid_rich", "synth"))
    tuning, again = results.read("tuning_grid"), results.read("tuned_grid")
    tuned = many_seeds.tuned(measured.runs, again, tuning)
    compared = {
        "validation": (tables.wide(measured.runs), declared),
        "last": (tables.wide(measured.runs, "last"), declared),
        "best on test": (tables.wide(measured.runs, "best_on_test"), declared),
        "five frames": (five.accuracies, gains),
        "five frames, last": (tables.wide(five.runs, "last"), gains),
        "drawn data": (drawn.accuracies, gains),
        "tuned": (tables.wide(tuned), many_seeds.TUNED),
        "tuned, last": (tables.wide(tuned, "last"), many_seeds.TUNED),
    }
    found = {
        (name, run, reference): written(accuracies[run] - accuracies[reference])
        for name, (accuracies, pairs) in compared.items()
        for run, reference in pairs
    }
    one = measured.accuracies
    for run, reference in gains:
        more = five.accuracies[run] - five.accuracies[reference]
        found["more frames", run, reference] = written(more - (one[run] - one[reference]))
    return found


@pytest.mark.parametrize("page", [BOOK / "intro.md", CHAPTER], ids=lambda path: path.stem)
def test_every_difference_in_the_prose_was_measured(
    page: Path, differences: dict[tuple[str, str, str], str]
) -> None:
    said = set(WRITTEN.findall(prose(page)))
    assert said
    assert said <= set(differences.values())


INTRO, FIVE = "intro.md", "scripts/05_multi_seed.py"
BEST, HALF = many_seeds.COMBINATIONS
#: What stands before a difference on a page, and of which data or epoch and pair it must be.
SAID = (
    (INTRO, "is above the baseline by", "validation", BEST, "baseline"),
    (INTRO, "with \u03b1 = .5 by", "validation", HALF, "baseline"),
    (INTRO, "at the last epoch by", "last", BEST, "baseline"),
    (INTRO, "OGM-GE alone is open:", "validation", "ogmge", "baseline"),
    (INTRO, "**That it beats OGM-GE is not shown**:", "validation", BEST, "ogmge"),
    (INTRO, "**OGM without its noise does as well**:", "validation", "ogm", "baseline"),
    (INTRO, "nothing that can be seen**:", "validation", "p2_boost_default", "baseline"),
    (INTRO, "Frequency:", "validation", "p2_default", "baseline"),
    (INTRO, "staleness:", "validation", "p2_stale_lc020", "baseline"),
    (INTRO, "with them less without,", "validation", "baseline", "joint_only"),
    (INTRO, "of one the combination gains", "five frames", BEST, "baseline"),
    (INTRO, "not more than with one; boost alone", "five frames", "p2_boost_default", "baseline"),
    (INTRO, "OGM-GE is then in front,", "tuned", "ogmge", "baseline"),
    (INTRO, "above the tuned baseline; the combination has", "tuned", BEST, "baseline"),
    (FIVE, "OGM-GE is now in front,", "tuned", "ogmge", "baseline"),
    (FIVE, "over the eight, and", "tuned, last", "ogmge", "baseline"),
    (FIVE, "The combination's lead is gone:", "tuned", BEST, "baseline"),
    (FIVE, ", at the last epoch", "tuned, last", BEST, "baseline"),
    (FIVE, "; it is", "tuned", BEST, "ogmge"),
    (FIVE, "not shown when tuned.**", "validation", BEST, "baseline"),
    (FIVE, "after Holm, and", "last", BEST, "baseline"),
    (FIVE, "**open with the study's settings.**", "validation", "ogmge", "baseline"),
    (FIVE, "; at the last epoch", "last", "ogmge", "baseline"),
    (FIVE, "after Holm; at the last epoch", "last", BEST, "ogmge"),
    (FIVE, "hard skip", "validation", "p2_sms000", "baseline"),
    (FIVE, "gradient signal", "validation", "p2_beta100", "baseline"),
    (FIVE, "largest effect on this page**:", "validation", "baseline", "joint_only"),
    (FIVE, "as well as the baseline:", "validation", "baseline", "unimodal_losses_only"),
    (FIVE, "above that, too:", "validation", BEST, "unimodal_losses_only"),
    (FIVE, "Over the baseline that is", "validation", "ogm", "baseline"),
    (FIVE, "less without is", "validation", "ogmge", "ogm"),
    (FIVE, "less each of these is", "validation", "p2_boost_default", "static_scale_audio"),
    (FIVE, "(audio),", "validation", "p2_boost_default", "static_scale_visual"),
    (FIVE, "(visual) and", "validation", "p2_boost_default", "boost_wrong"),
    (FIVE, "the combination gains", "best on test", BEST, "baseline"),
    (FIVE, "With five frames it is", "five frames", BEST, "baseline"),
    (FIVE, "the gain changes by", "more frames", BEST, "baseline"),
    (FIVE, "in front with five,", "five frames", "p2_boost_default", "baseline"),
    (FIVE, "and on the drawn data,", "drawn data", "p2_boost_default", "baseline"),
)


@pytest.mark.parametrize(("page", "before", "what", "run", "reference"), SAID)
def test_a_difference_is_of_the_pair_that_the_prose_names(
    page: str,
    before: str,
    what: str,
    run: str,
    reference: str,
    differences: dict[tuple[str, str, str], str],
) -> None:
    assert f"{before} {differences[what, run, reference]}" in prose(BOOK / page)


def test_ratios_gains_and_counts(measured: Measured) -> None:
    intro, chapter = prose(BOOK / "intro.md"), prose(CHAPTER)
    row = tables.spreads(measured.accuracies, [("p2_boost_ogm_a075", "ogmge")]).iloc[0]
    ratio = f"{row['ratio']:.1f} ({row['low']:.1f} to {row['high']:.1f})"
    assert f"deviation over seeds is {ratio} times" in intro
    assert f"OGM-GE's deviation is {ratio} times" in chapter
    assert f"{measured.provenance['wall_time'] / 3600:.1f} hours of one core" in chapter
    curves = measured.dynamics.query("quantity == 'test_accuracy'")
    curves = curves.pivot(index="epoch", columns="run", values="mean")
    falls = 100 * (curves.loc[15] - curves.loc[16:20].min())
    fall = f"by {falls['ogmge']:.0f} (OGM-GE) to {falls['ogm']:.0f} points (OGM without noise)"
    assert fall in chapter
    cost = results.read("arm_costs_grid").set_index("run")["cost"]
    more = {run: 100 * (cost[run] - 1) for run in ("p2_boost_default", "ogm", "ogmge")}
    boost = f"boost {more['p2_boost_default']:.0f} %"
    assert f"{boost}, OGM without noise {more['ogm']:.0f} %" in chapter
    assert f"the noise of OGM-GE makes that {more['ogmge']:.0f} %" in chapter
    assert f"The unimodal losses cost {100 / cost['joint_only'] - 100:.0f} %" in chapter
    assert f"cost {100 / cost['joint_only'] - 100:.0f} % of the time here" in intro
    gains = tables.selection_gain(measured.runs).loc["all runs"]
    assert f"adds {gains['above validation']:.1f} points over validation" in intro
    assert f"{gains['above last']:.1f} over the last epoch" in intro
    assert f"with {len(measured.accuracies)} seeds" in intro
    probes = tables.encoder_means(measured.runs)["visual"]
    assert f"from {probes['joint_only']:.0f} to {probes['baseline']:.0f} %" in chapter
    assert f"alone it reaches {probes['visual_only']:.0f} %" in chapter
    on_test = tables.wide(measured.runs, "best_on_test")
    row = tables.spreads(on_test, [("p2_boost_ogm_a075", "ogmge")]).iloc[0]
    assert f"and {row['ratio']:.1f} times by the best epoch on test" in chapter
    ranks = statistics.friedman(measured.accuracies).ranks
    apart = ranks["baseline"] - ranks["p2_boost_ogm_a075"]
    assert f"whose ranks are {apart:.1f} apart" in chapter
    pair = measured.accuracies["p2_boost_ogm_a075"] - measured.accuracies["ogmge"]
    assert f"would take {statistics.seeds_needed(1.0, pair.std())} seeds" in chapter
    ours, theirs = measured.accuracies["p2_boost_ogm_a075"], measured.accuracies["baseline"]
    chance = statistics.probability_of_improvement(ours.to_numpy(), theirs.to_numpy())
    assert f"another is {100 * chance.estimate:.0f} %" in chapter


def test_what_was_found_by_looking_is_paid_for(measured: Measured) -> None:
    run, reference = FOUND_BY_LOOKING
    table = measured.accuracies
    pairs = table.shape[1] * (table.shape[1] - 1) // 2
    p = pairs * statistics.sign_flip((table[run] - table[reference]).to_numpy()).p
    assert f"*p* multiplied by {pairs} (Bonferroni), it has {p:.3f}".replace("has 0.", "has .") in (
        prose(CHAPTER)
    )
    best = table["p2_boost_ogm_a075"].mean()
    assert f"at {table[run].mean():.1f} %, the combination at {best:.1f}" in prose(CHAPTER)


def test_tuned_accuracies_and_p_values() -> None:
    runs, tuning = results.read("many_seeds_grid"), results.read("tuning_grid")
    tuned = tables.wide(many_seeds.tuned(runs, results.read("tuned_grid"), tuning))
    before = tables.wide(runs)["baseline"].mean()
    said = f"The baseline has {tuned['baseline'].mean():.1f} % instead of {before:.1f}"
    assert said in prose(CHAPTER)
    rates = many_seeds.chosen(tuning)["setting"]
    assert rates["baseline"] == "learning_rate 0.04"  # four times the study's
    found = statistics.contrasts(tuned, many_seeds.TUNED).set_index(["run", "reference"])
    for run in ("ogmge", "p2_stale_lc020"):
        row = found.loc[(run, "baseline")]
        ends = f"({row['low']:.2f} to {row['high']:.2f})"
        said = re.escape(ends) + r"(?: above the baseline)?, \*p\* (\.\d+)"
        (p,) = set(re.findall(said, prose(CHAPTER)))
        assert float(p) == pytest.approx(row["p_holm"], abs=0.0051)


def test_p_values_are_adjusted_for_the_ten(measured: Measured) -> None:
    found = statistics.contrasts(measured.accuracies, many_seeds.CLAIMS)
    by_pair = found.set_index(["run", "reference"])["p_holm"]
    said = re.findall(r"= \.(?:75|5), \*p\* (\.\d+)", prose(CHAPTER))
    expected = [by_pair[run, "baseline"] for run in many_seeds.COMBINATIONS]
    assert [float(text) for text in said] == [pytest.approx(p, abs=0.0051) for p in expected]
