"""The log's statements: each number by another way, and the verdict that follows from it."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from asgml_core import published
from asgml_core.many_seeds import CLAIMS as CONTRASTS
from asgml_core.published import CLAIMS
from asgml_core.tables import log_verdicts as judged

COMBINATION = [62.50, 63.04, 62.50, 62.63, 62.77]
OGM_GE = [63.98, 60.89, 61.02, 63.04, 63.44]
BASELINE = [59.81, 59.95, 61.56, 60.35, 59.81]

#: Numbers of claims by other ways than the module's; those of single runs are read off the log.
EXPECTED = {
    "best": statistics.mean(COMBINATION),
    "margin": sum(COMBINATION) / 5 - sum(OGM_GE) / 5,
    "variance": math.sqrt(np.var(OGM_GE) / np.var(COMBINATION)),
    "approach": statistics.mean(COMBINATION) - statistics.mean(OGM_GE),
    "both_match": 62.368 - 62.474,
    "both_steadier": statistics.stdev(OGM_GE)
    / statistics.stdev([61.83, 62.37, 61.96, 62.37, 63.31]),
    "boost_alone": 60.456 - 60.296,
    "complementary": 62.368 - 62.474 - 60.456 + 60.296,
    "frequency_noise": 60.538 - 60.296,
    "not_significant": stats.ttest_rel([61.02, 60.08, 60.62, 62.10, 58.87], BASELINE).pvalue,
    "stability": 1,
    "beats_baseline": sum(COMBINATION) / 5 - sum(BASELINE) / 5,
    "all_seeds": sum(a > b for a, b in zip(COMBINATION, OGM_GE, strict=True)),
    "clear_winner": 62.474 - 60.538,
    "deviations": 0,
    "v1_worse": 9,
    "v1_order": 3,
    "gentler": 2 / (1 + math.exp(1.6)),
    "v2_distances": 0,
    "single_match": 62.50 - 63.98,
    "scale_max": 0,
    "sweet_spot": 60.48 - 58.74,
    "combined_alpha": 62.688 - 62.368,
    "noise_hurts": 58.87 - 60.48,
    "v2_over_v1": 62.50 - 59.41,
    "worst_v2": 58.20 - 59.41,
    "direction": 60.48 - 57.66,
    "one_seed": 60.75 - 63.98,
    "over_miles": 60.75 - 59.54,
    "double": 59.54 - 59.95,
    "gamma": 55.11 - 60.75,
    "fixed_rate": 58.74 - 59.81,
    "fixed_tau": 57.66 - 59.81,
    "early_alpha": 57.53 - 59.95,
    "over_staleness": 61.02 - 60.22,
    "over_paper": 62.474 - 61.9,
    "under_paper": 59.95 - 61.9,
    "miles_gap": 59.54 - 75.1,
    "miles_code": 1,
}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_the_number_of_a_claim_is_recomputed(claim: published.Claim) -> None:
    expected = EXPECTED.get(claim.id, 0.004)  # the largest distance of a mean
    assert claim.recompute() == pytest.approx(expected, abs=1e-9)


def test_every_claim_has_a_verdict() -> None:
    table = judged.log_claims()
    assert table.index.tolist() == [claim.id for claim in CLAIMS]
    assert set(judged._JUDGES) == set(table.index) == {*EXPECTED, "means"}
    verdicts = table["verdict"]
    expected = {
        "holds": ["means", "approach", "frequency_noise", "not_significant", "beats_baseline",
                  "v1_worse", "v1_order", "miles_code"],
        "does not hold": ["all_seeds", "gentler", "worst_v2"],
        "does not follow": ["complementary", "single_match", "direction", "over_paper"],
        "the number holds, the reason does not": ["scale_max"],
        "cannot be told": ["best", "margin", "both_steadier", "stability", "sweet_spot",
                           "combined_alpha", "noise_hurts", "over_miles", "fixed_rate",
                           "early_alpha", "double", "under_paper"],
    }  # fmt: skip
    for verdict, ids in expected.items():
        assert verdicts[verdicts == verdict].index.tolist() == ids
    assert (verdicts == "holds in part").sum() == len(CLAIMS) - sum(map(len, expected.values()))


def test_verdicts_depend_on_the_level() -> None:
    """A narrow interval makes two methods equal; p of .035 after Holm does not reach .01."""
    narrow = judged.log_claims(level=0.5)
    assert narrow.loc["both_match", "verdict"] == "holds"
    strict = judged.log_claims(level=0.99)
    assert strict.loc["beats_baseline", "verdict"] == "holds in part"


def test_what_decides_names_the_numbers_of_scipy() -> None:
    decides = judged.log_claims()["what decides"]
    wide = published.nine()
    raw = [stats.ttest_rel(wide[run], wide[reference]).pvalue for run, reference in CONTRASTS]
    adjusted = multipletests(raw, method="holm")[1][0]
    assert f"t p {raw[0]:.4f}, after Holm over ten {adjusted:.3f}" in decides["beats_baseline"]
    four = stats.ttest_rel(COMBINATION[1:], BASELINE[1:]).confidence_interval()
    assert f"which chose it, {four.low:+.2f} to {four.high:+.2f}" in decides["beats_baseline"]
    welch = stats.ttest_ind(OGM_GE, BASELINE, equal_var=False).confidence_interval()
    assert f"unpaired {welch.low:+.2f} to {welch.high:+.2f}" in decides["clear_winner"]
    assert "steps of 10, 6, 9, 21 items" in decides["v1_order"]
    assert "it is -11 items away" in decides["single_match"]
