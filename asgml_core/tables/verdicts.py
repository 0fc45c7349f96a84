"""The study's diagnosis, claim by claim, beside what is measured in runs at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch

from asgml_core.modulators import boost_scales, throttle_scales
from asgml_core.records import RunRecord
from asgml_core.tables import diagnosis, probes
from asgml_core.tables.runs import against

Runs = Mapping[str, RunRecord]
Judged = tuple[str, str]
HOLDS, FAILS, PARTLY, OPEN = "holds", "does not hold", "holds in part", "cannot be told"
NOT_HERE = "not on these data"

#: The runs that the claims are judged by.
JUDGED_BY = (
    "baseline", "p2_default", "frequency_split", "p1_stale_default", "ogmge", "cont_default",
)  # fmt: skip


def claims(runs: Runs) -> pd.DataFrame:
    """Return each claim of the study's diagnosis, what is measured here, and a verdict.

    A verdict is a rule on the numbers, so it may change with seed and data; each rule is a function
    in this file.

    Args:
        runs: by name, all of :data:`asgml_core.tables.verdicts.JUDGED_BY`.
    """
    rows = []
    for claim, judge in _CLAIMS.items():
        measured, verdict = judge(runs)
        rows.append({"the study says": claim, "measured here": measured, "verdict": verdict})
    return pd.DataFrame(rows)


def _rarely_active(runs: Runs) -> Judged:
    row = diagnosis.masks([runs["p2_default"]]).iloc[0]
    shares = {m: row[f"{m} (%)"] for m in diagnosis.modalities(runs["p2_default"])}
    said = ", ".join(f"{m} on {share:.0f} %" for m, share in shares.items())
    most = max(shares.values())
    return f"masked: {said} of the steps", HOLDS if most < 5 else FAILS if most > 20 else PARTLY


def _taus_are_two(runs: Runs) -> Judged:
    steps = runs["p2_default"].steps
    tau = steps[list(diagnosis.by_modality(steps, "tau").values())].dropna()
    two = ((tau - 2).abs() <= 0.5).all(axis=1)
    said = (
        f"both between 1.5 and 2.5 at {two.sum()} of {len(two)} readings; "
        f"from {tau.min(axis=None):.1f} to {tau.max(axis=None):.1f}"
    )
    return said, HOLDS if two.all() else PARTLY if two.any() else FAILS


def _no_difference(runs: Runs) -> Judged:
    row = diagnosis.masks([runs["p2_default"]]).iloc[0]
    together, alone = row["all together (%)"], row["some alone (%)"]
    said = f"both masked on {together:.0f} % of the steps, one alone on {alone:.0f} %"
    return said, HOLDS if alone < 5 else FAILS if together < 5 else PARTLY


def _helps_the_weak(runs: Runs) -> Judged:
    equal, ahead, other = diagnosis.aim([runs["p2_default"]]).iloc[0]
    said = (
        f"the longest period went to the modality ahead on {ahead:.0f} % of the steps, "
        f"to the other on {other:.0f} %, to neither on {equal:.0f} %"
    )
    return said, HOLDS if ahead > 2 * max(other, equal) else FAILS if other >= ahead else PARTLY


def _threshold(runs: Runs) -> Judged:
    same = diagnosis.identical([runs["p2_default"], runs["frequency_split"]])
    said = "with another threshold the network is " + ("the same to the last bit" if same else
                                                       "another")  # fmt: skip
    return said, HOLDS if same else FAILS


def _too_infrequent(runs: Runs) -> Judged:
    batches = runs["baseline"].values["batches_per_epoch"]
    steadiness = diagnosis.steadiness(diagnosis.speeds(runs["baseline"]), batches)
    correlation = steadiness.loc["speed", "correlation with the step before"]
    same = diagnosis.identical([runs["p2_default"], runs["frequency_split"]])
    reads = "no probe" if same else "the probes"
    said = f"dual mode reads {reads}; from step to step its speeds correlate by {correlation:.2f}"
    return said, FAILS if same and abs(correlation) < 0.3 else OPEN


def _binary(runs: Runs) -> Judged:
    steps = runs["p2_default"].steps
    ways = []
    for m, updates in diagnosis.by_modality(steps, "updates").items():
        held = steps[steps[diagnosis.by_modality(steps, "period")[m]] > 1]
        way = held[f"update_norm/{m}"].groupby(held[updates]).mean()
        if len(way) == 2:
            ways.append(way[0.0] / way[1.0])
    if not ways:
        return "nothing was masked", OPEN
    said = f"masked, an encoder moves {np.mean(ways):.2f} times as far as on an updating step"
    return said, FAILS if min(ways) > 0.5 else HOLDS


def _smooth(runs: Runs) -> Judged:
    steps = runs["ogmge"].steps
    k = steps[list(diagnosis.by_modality(steps, "coefficient").values())].to_numpy()
    damped = k[k < 1]
    between = float((damped > 1 - np.tanh(0.8) + 1e-6).sum() / np.isfinite(k).sum())
    said = f"1, or from {damped.min():.2f} to {damped.max():.3f}; nothing between"
    return said, FAILS if between == 0 else OPEN


def _as_baseline(runs: Runs) -> Judged:
    names = diagnosis.modalities(runs["baseline"])
    row = diagnosis.movement([runs["p2_default"]], runs["baseline"]).iloc[0]
    ways = [row[f"way against baseline, {m}"] for m in names]
    change = against([runs["baseline"], runs["p2_default"]]).iloc[0]
    said = (
        f"the encoders went {' and '.join(f'{way:.2f}' for way in ways)} of the baseline's way; "
        f"accuracy {change['difference']:+.1f} \u00b1 {change['error']:.1f} points"
    )
    return said, FAILS if min(ways) < 0.95 else HOLDS


def _gap_grows(runs: Runs) -> Judged:
    gaps = probes.gaps(runs["p2_default"])
    first, last = gaps.iloc[0], gaps.iloc[-1]
    running, test = "running mean", "probes on test"
    said = (
        f"running mean {first[running]:.2f} to {last[running]:.2f}; the same probes on test "
        f"{first[test]:.2f} to {last[test]:.2f}; the mean starts at 0 whatever the gap is"
    )
    return said, PARTLY if last[test] > first[test] else NOT_HERE


def _stale(runs: Runs) -> Judged:
    table = diagnosis.replaced_gradients([runs["p1_stale_default"]]).droplevel("run")
    if 1 not in table.index:
        return "no lag of 1 in this run", OPEN
    one, formula = table.loc[1], "1 / (1 + lambda lag)"
    exact = np.allclose([one["smallest"], one["largest"]], one[formula], rtol=1e-5)
    older = table.loc[table.index > 1, "share (%)"].sum()
    said = (
        f"at lag 1 the gradient is the fresh one times {one['mean']:.4f}; "
        f"really old on {older:.0f} % of the steps"
    )
    return said, PARTLY if exact and older > 5 else FAILS if exact else OPEN


def _memorise(runs: Runs) -> Judged:
    table = probes.probe_bias([runs["p2_default"], runs["frequency_split"]])
    whole, split = (table.loc[name] for name in ("p2_default", "frequency_split"))
    said = "; ".join(
        f"{m}: {whole.loc[m, 'reading - test']:+.0f} \u00b1 {whole.loc[m, 'error']:.0f} points "
        f"unsplit, {split.loc[m, 'reading - test']:+.0f} \u00b1 {split.loc[m, 'error']:.0f} split"
        for m in whole.index
    )
    above, still = (table["reading - test"] > 2 * table["error"] for table in (whole, split))
    if above.all() and still.all():
        return said, "holds, and splitting does not cure it"
    return said, HOLDS if above.all() else PARTLY if above.any() else OPEN


def _caps(_: Runs) -> Judged:
    accuracies = torch.tensor([0.3, 0.7])
    highest = float(boost_scales(accuracies, 0.5, 3.0).max())
    lowest = float(throttle_scales(accuracies, 0.5, 0.05).min())
    said = (
        f"at alpha .5 the target is {highest:g} for boost and {lowest:g} for throttle, cap or not"
    )
    return said, "the effect holds, the reason does not"


def _inflated_gap(_: Runs) -> Judged:
    inflated, honest = (
        float(throttle_scales(torch.tensor([gap, 0.0]), 0.5, 0.1).min()) for gap in (0.68, 0.37)
    )
    said = f"a gap of .68 gives the scale {inflated:g}, a gap of .37 the scale {honest:g}"
    return said, FAILS if inflated == honest else HOLDS


def _frequency_wins(runs: Runs) -> Judged:
    pair = [runs["p1_stale_default"], runs["p2_default"]]
    row = against(pair, "p1_stale_default").iloc[0]
    said = (
        f"the defaults: {row['difference']:+.1f} \u00b1 {row['error']:.1f} points here, "
        f"{row['published (seed 42)']:+.1f} published, one seed each"
    )
    ahead = abs(row["difference"]) > 2 * row["error"]
    return said, OPEN if not ahead else HOLDS if row["difference"] > 0 else FAILS


_CLAIMS: dict[str, Callable[[Runs], Judged]] = {
    "The mask rarely activates.": _rarely_active,
    "Both learning speeds are about 1, so both tau are about 2.": _taus_are_two,
    "There is no differential effect.": _no_difference,
    "Frequency gives the weak modality more updates.": _helps_the_weak,
    "The threshold is only checked in probe mode.": _threshold,
    "Probes are read too seldom.": _too_infrequent,
    "The mask is binary: update or zero.": _binary,
    "OGM-GE scales smoothly between 0.6 and 1.": _smooth,
    "Frequency runs as the baseline.": _as_baseline,
    "The utilization gap grows uncorrected.": _gap_grows,
    "Stale gradients add noise.": _stale,
    "Unsplit probes memorise their batch.": _memorise,
    "Their inflated gap makes throttle too strong.": _inflated_gap,
    "The caps make no difference, because of the smoothing.": _caps,
    "Frequency beats staleness.": _frequency_wins,
}
