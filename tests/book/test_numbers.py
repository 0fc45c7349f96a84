"""The numbers in the prose of the first page and of the chapter on many seeds, computed anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asgml_core import many_seeds, statistics, tables
from asgml_core.measured import Measured

BOOK = Path(__file__).parents[2] / "book"
#: A difference as the pages write it: mean, and the ends of its 95 % interval.
WRITTEN = re.compile(r"[+-]\d+\.\d \(-?\d+\.\d to -?\d+\.\d\)")
CHAPTER = BOOK / "scripts" / "05_multi_seed.py"


def prose(path: Path) -> str:
    """Return a page's text on one line, so that a number is found wherever lines break."""
    text = re.sub(r"^# ?", "", path.read_text(), flags=re.MULTILINE)
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def measured() -> Measured:
    return Measured.read("many_seeds_grid")


@pytest.fixture(scope="module")
def differences(measured: Measured) -> dict[tuple[str, str, str], str]:
    """Every declared difference, at both epochs, as the pages write it."""
    found = {}
    for epoch in ("validation", "last"):
        accuracies = tables.wide(measured.runs, epoch)
        for run, reference in (*many_seeds.CLAIMS, *many_seeds.CONTROLS):
            apart = (accuracies[run] - accuracies[reference]).to_numpy()
            it = statistics.mean_interval(apart)
            found[epoch, run, reference] = f"{it.estimate:+.1f} ({it.low:.1f} to {it.high:.1f})"
    return found


@pytest.mark.parametrize("page", [BOOK / "intro.md", CHAPTER], ids=lambda path: path.stem)
def test_every_difference_in_the_prose_was_measured(
    page: Path, differences: dict[tuple[str, str, str], str]
) -> None:
    said = set(WRITTEN.findall(prose(page)))
    assert said
    assert said <= set(differences.values())


#: What stands before a difference on a page, and of which pair it must be.
SAID = (
    ("intro.md", "above the baseline by", "p2_boost_ogm_a075", "baseline"),
    ("intro.md", "with \u03b1 = .5 by", "p2_boost_ogm", "baseline"),
    ("intro.md", "OGM-GE alone:", "ogmge", "baseline"),
    ("intro.md", "**That it beats OGM-GE is not shown**:", "p2_boost_ogm_a075", "ogmge"),
    ("intro.md", "**Boost alone does nothing that can be seen**:", "p2_boost_default", "baseline"),
    ("intro.md", "Frequency:", "p2_default", "baseline"),
    ("intro.md", "staleness:", "p2_stale_lc020", "baseline"),
    ("intro.md", "with them less without,", "baseline", "joint_only"),
    ("scripts/05_multi_seed.py", "**yes.**", "p2_boost_ogm_a075", "baseline"),
    ("scripts/05_multi_seed.py", "**likely, not shown.**", "ogmge", "baseline"),
    ("scripts/05_multi_seed.py", "hard skip", "p2_sms000", "baseline"),
    ("scripts/05_multi_seed.py", "gradient signal", "p2_beta100", "baseline"),
    ("scripts/05_multi_seed.py", "largest effect on this page**:", "baseline", "joint_only"),
    ("scripts/05_multi_seed.py", "as well as the baseline:", "baseline", "unimodal_losses_only"),
    ("scripts/05_multi_seed.py", "with noise less without,", "ogmge", "ogm"),
    ("scripts/05_multi_seed.py", "above that, too:", "p2_boost_ogm_a075", "unimodal_losses_only"),
)


@pytest.mark.parametrize(("page", "before", "run", "reference"), SAID)
def test_a_difference_is_of_the_pair_that_the_prose_names(
    page: str,
    before: str,
    run: str,
    reference: str,
    differences: dict[tuple[str, str, str], str],
) -> None:
    assert f"{before} {differences['validation', run, reference]}" in prose(BOOK / page)


def test_ratios_gains_and_counts(measured: Measured) -> None:
    intro, chapter = prose(BOOK / "intro.md"), prose(CHAPTER)
    row = tables.spreads(measured.accuracies, [("p2_boost_ogm_a075", "ogmge")]).iloc[0]
    ratio = f"{row['ratio']:.1f} ({row['low']:.1f} to {row['high']:.1f})"
    assert f"deviation over seeds is {ratio} times" in intro
    assert f"OGM-GE's deviation is {ratio} times" in chapter
    gains = tables.selection_gain(measured.runs).loc["all runs"]
    assert f"adds {gains['above validation']:.1f} points over validation" in intro
    assert f"{gains['above last']:.1f} over the last epoch" in intro
    assert f"with {len(measured.accuracies)} seeds" in intro
    probes = tables.encoder_means(measured.runs)["visual"]
    assert f"from {probes['joint_only']:.0f} to {probes['baseline']:.0f} %" in chapter
    assert f"alone it reaches {probes['visual_only']:.0f} %" in chapter
    ours, theirs = measured.accuracies["p2_boost_ogm_a075"], measured.accuracies["baseline"]
    chance = statistics.probability_of_improvement(ours.to_numpy(), theirs.to_numpy())
    assert f"another is {100 * chance.estimate:.0f} %" in chapter


def test_p_values_are_adjusted_for_the_ten(measured: Measured) -> None:
    found = statistics.contrasts(measured.accuracies, many_seeds.CLAIMS)
    by_pair = found.set_index(["run", "reference"])["p_holm"]
    said = re.findall(r"= \.(?:75|5), \*p\* (\S+?) (?:after Holm|\|)", prose(CHAPTER))
    expected = [by_pair[run, "baseline"] for run in many_seeds.COMBINATIONS]
    assert [float(text.rstrip(",.;")) for text in said] == [
        pytest.approx(p, abs=0.0051) for p in expected
    ]
