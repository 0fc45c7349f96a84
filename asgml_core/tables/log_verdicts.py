"""The log's statements on accuracies, each with its number recomputed, what decides, a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from asgml_core import labels, published, study
from asgml_core.published import A050, A075, ALONE, CLAIMS, differences, nine
from asgml_core.statistics import Interval, brown_forsythe, mean_interval, sign_flip
from asgml_core.tables.published import CUT, deviations, spread_ratios
from asgml_core.tables.verdicts import FAILS, HOLDS, OPEN, PARTLY

NOT_SO = "does not follow"
OTHER_REASON = "the number holds, the reason does not"
#: What counts as equal, in points.
MARGIN = 1.0

#: The number recomputed and the level of intervals in; what decides and a verdict out.
Judge = Callable[[float, float], tuple[str, str]]


def log_claims(level: float = 0.95) -> pd.DataFrame:
    """Return the claims of :data:`asgml_core.published.CLAIMS`, one a row, each with a verdict.

    A verdict is a rule on the published accuracies, a function in this file; where logic and not a
    number decides, the function says so.

    Args:
        level: of the intervals.
    """
    rows = []
    for claim in CLAIMS:
        number = claim.recompute()
        decides, verdict = _JUDGES[claim.id](number, level)
        rows.append(
            {
                "where": claim.where,
                "the log says": claim.said,
                "its number": _text(claim.quoted),
                "recomputed": _text(number),
                "what decides": decides,
                "verdict": verdict,
            }
        )
    return pd.DataFrame(rows, index=pd.Index([claim.id for claim in CLAIMS], name="claim"))


def _text(number: float | None) -> str:
    if number is None:
        return ""
    if isinstance(number, int) or number == 0:
        return f"{number:.0f}"
    return f"{number:.2f}" if abs(number) >= 0.01 else f"{number:.3f}"


def _once(run: str) -> float:
    return float(study.published(run))


def _items(points: float) -> str:
    return f"{abs(round(points * published.ITEMS / 100))} items, one seed"


def _range(run: str) -> float:
    return float(nine()[run].max() - nine()[run].min())


def _paired(run: str, reference: str, level: float) -> tuple[Interval, str]:
    found = mean_interval(differences(run, reference).to_numpy(), level=level)
    return found, f"{100 * level:g} % interval {found.low:+.2f} to {found.high:+.2f}"


def _signed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:+.2f}" for value in values)


def _means(number: float, level: float) -> tuple[str, str]:
    return "all nine agree to two digits", HOLDS if number <= 0.005 + 1e-9 else FAILS


def _deviations(number: float, level: float) -> tuple[str, str]:
    fits = deviations(nine(), published.PRINTED)["fits"]
    cut = int((fits == CUT).sum())
    said = f"{cut} are the sample one cut off after two digits; {len(fits) - cut} lie between both"
    return said, HOLDS if number == len(fits) else PARTLY


def _best(number: float, level: float) -> tuple[str, str]:
    found, said = _paired(A075, "ogmge", level)
    verdict = HOLDS if found.low > 0 else FAILS if found.high < 0 else OPEN
    return f"the highest mean; paired distance to OGM-GE {said}", verdict


def _margin(number: float, level: float) -> tuple[str, str]:
    found, said = _paired(A075, "ogmge", level)
    p = sign_flip(differences(A075, "ogmge").to_numpy()).p
    return f"{said}; sign-flip p {p:.2f}", HOLDS if found.low > 0 else OPEN


def _steadier(run: str) -> Judge:
    def judge(number: float, level: float) -> tuple[str, str]:
        row = spread_ratios(nine()[[run, "ogmge"]], "ogmge", level).loc[run]
        said = (
            f"ratio of variances {number**2:.1f}; of deviations {row['F low']:.1f} to "
            f"{row['F high']:.1f} if normal; Brown-Forsythe p {row['p (Brown-Forsythe)']:.2f}"
        )
        above = row["F low"] > 1, row["p (Brown-Forsythe)"] < 1 - level
        return said, HOLDS if all(above) else PARTLY if any(above) else OPEN

    return judge


def _equal(run: str, reference: str) -> Judge:
    def judge(number: float, level: float) -> tuple[str, str]:
        found, said = _paired(run, reference, level)
        if found.low > 0 or found.high < 0:
            return said, FAILS
        if found.low >= -MARGIN and found.high <= MARGIN:
            return f"{said}: equal within {MARGIN:g} point", HOLDS
        return f"{said}: no difference seen, but one of {MARGIN:g} point is not excluded", PARTLY

    return judge


def _complementary(number: float, level: float) -> tuple[str, str]:
    found = mean_interval(published.interaction().to_numpy(), level=level)
    said = (
        f"{100 * level:g} % interval {found.low:+.2f} to {found.high:+.2f}; "
        "above 0 would be complementary"
    )
    return said, HOLDS if found.low > 0 else NOT_SO


def _noise(number: float, level: float) -> tuple[str, str]:
    runs = ("p2_sms000", "p2_default", "p2_beta100")
    found = [_paired(run, "baseline", level)[0] for run in runs]
    said = "; ".join(f"{each.low:+.2f} to {each.high:+.2f}" for each in found)
    said = f"{100 * level:g} % intervals {said}"
    return said, HOLDS if all(each.low <= 0 <= each.high for each in found) else FAILS


def _stability(number: float, level: float) -> tuple[str, str]:
    wide = nine()
    every = brown_forsythe(*wide.to_numpy().T).p
    pair = brown_forsythe(wide[A075].to_numpy(), wide["ogmge"].to_numpy()).p
    said = f"Brown-Forsythe p {pair:.2f} against OGM-GE, {every:.2f} over all nine"
    return said, HOLDS if max(every, pair) < 1 - level else OPEN


def _beats_baseline(number: float, level: float) -> tuple[str, str]:
    found, said = _paired(A075, "baseline", level)
    by_seed = differences(A075, "baseline")
    flip = sign_flip(by_seed.to_numpy())
    ahead = int((by_seed > 0).sum())
    said = (
        f"above in {ahead} of {len(by_seed)} seeds; {said} by Student's t; "
        f"sign-flip p {flip.p:.4f}, its floor {flip.floor:.4f}; the log names no test"
    )
    verdict = OPEN if found.low <= 1 else HOLDS if flip.p < 1 - level else PARTLY
    return said, verdict


def _all_seeds(number: float, level: float) -> tuple[str, str]:
    ours, half = differences(A075, "ogmge"), differences(A050, "ogmge")
    said = f"by seed {_signed(ours)}; at alpha .5 above in {int((half > 0).sum())}"
    return said, HOLDS if number == len(ours) else FAILS


def _winner(number: float, level: float) -> tuple[str, str]:
    found, said = _paired("ogmge", "baseline", level)
    ahead = int((differences("ogmge", "baseline") > 0).sum())
    verdict = HOLDS if found.low > 0 else PARTLY
    return f"against the baseline {said}; above it in {ahead} of 5 seeds", verdict


def _v1_worse(number: float, level: float) -> tuple[str, str]:
    best = max(_once(run) for run in study.group("v1_throttle"))
    gap = _once("baseline") - best
    return f"the best by {gap:.2f}: {_items(gap)}", HOLDS if number == 9 else FAILS


def _v1_order(number: float, level: float) -> tuple[str, str]:
    said = "the baseline, alpha 0, is in order, too; five numbers are by chance once in 120 times"
    return said, HOLDS if number == 3 and _once("baseline") > _once("cont_a025") else FAILS


def _distances(number: float, level: float) -> tuple[str, str]:
    mean, own = published.PRINTED["baseline"][0], _once("baseline")
    right = sum(
        abs(_once(run) - mean - printed) < 0.005
        for run, printed in published.PRINTED_DISTANCES.items()
    )
    said = f"{right} hold against 60.30, a mean of five seeds; the runs' own seed has {own:.2f}"
    return said, HOLDS if number == len(published.PRINTED_DISTANCES) else PARTLY


def _single_match(number: float, level: float) -> tuple[str, str]:
    said = f"one seed was compared with a mean; OGM-GE has {_once('ogmge'):.2f} at that seed"
    return said, HOLDS if abs(number) < 0.5 else NOT_SO


def _scale_max(number: float, level: float) -> tuple[str, str]:
    said = "at alpha .5 no scale is above 1.5, so no cap is ever reached; smoothing has no part"
    return said, OTHER_REASON if number == 0 else FAILS


def _within_seeds(run: str, also: str = "") -> Judge:
    """Judge a difference of single runs by how far one method ranges over five seeds."""

    def judge(number: float, level: float) -> tuple[str, str]:
        said = f"{_items(number)}; {labels.label(run)} ranges over {_range(run):.2f}{also}"
        return said, PARTLY if abs(number) > _range(run) else OPEN

    return judge


def _v2_over_v1(number: float, level: float) -> tuple[str, str]:
    both = _once("boost_ogm") - _once("cont_ogm")
    alone = _once("boost_default") - _once("cont_a025")
    said = f"like with like: {alone:+.2f} without OGM-GE, {both:+.2f} with it; one seed"
    return said, PARTLY if min(both, alone) > 0 else FAILS


def _worst_v2(number: float, level: float) -> tuple[str, str]:
    best = max(_once(run) for run in study.group("v1_throttle"))
    below = sum(_once(run) < best for run in study.group("v2_boost"))
    return f"{below} of 9 settings of v2 are below it", HOLDS if number > 0 else FAILS


def _direction(number: float, level: float) -> tuple[str, str]:
    within = _once("cont_a025") - _once("cont_a100")
    said = f"alpha alone moves v1 by {within:.2f}; the turn changed the probes as well"
    return said, HOLDS if number > within else NOT_SO


def _one_seed(number: float, level: float) -> tuple[str, str]:
    said = (
        f"the lesson holds: OGM-GE ranges over {_range('ogmge'):.2f} points. The example is of two "
        "versions of OGM-GE: at seed 42 the table has the order of the means"
    )
    return said, PARTLY if number < 0 else HOLDS


def _staleness(number: float, level: float) -> tuple[str, str]:
    found, said = _paired("p2_sms000", "p2_stale_lc020", level)
    by_seed = differences("p2_sms000", "p2_stale_lc020")
    ahead, p = int((by_seed > 0).sum()), sign_flip(by_seed.to_numpy()).p
    verdict = OPEN if found.low <= 0 else HOLDS if p < 1 - level else PARTLY
    return f"{said}; above in {ahead} of 5 seeds, sign-flip p {p:.3f}", verdict


def _over_paper(number: float, level: float) -> tuple[str, str]:
    found = mean_interval(nine()["ogmge"].to_numpy(), level=level)
    said = (
        f"{100 * level:g} % interval {found.low:.1f} to {found.high:.1f}; the paper's joint "
        "training has 51.7, so another set-up; both chose epochs on test"
    )
    return said, NOT_SO


def _under_paper(number: float, level: float) -> tuple[str, str]:
    later = _once("ogmge")
    said = f"six days later the same alpha and seed give {later:.2f}; the log does not say why"
    return said, OPEN


def _miles_gap(number: float, level: float) -> tuple[str, str]:
    said = "the paper has ResNet18; its split, epochs and search of settings do differ"
    return said, PARTLY if round(number, 1) == -15.6 else FAILS


def _miles_code(number: float, level: float) -> tuple[str, str]:
    return "a learning rate times 1 is that rate", HOLDS if number == 1 else FAILS


_JUDGES: dict[str, Judge] = {
    "means": _means,
    "deviations": _deviations,
    "best": _best,
    "margin": _margin,
    "variance": _steadier(A075),
    "both_match": _equal(A050, "ogmge"),
    "both_steadier": _steadier(A050),
    "boost_alone": _equal(ALONE, "baseline"),
    "complementary": _complementary,
    "frequency_noise": _noise,
    "stability": _stability,
    "beats_baseline": _beats_baseline,
    "all_seeds": _all_seeds,
    "clear_winner": _winner,
    "v1_worse": _v1_worse,
    "v1_order": _v1_order,
    "v2_distances": _distances,
    "single_match": _single_match,
    "scale_max": _scale_max,
    "sweet_spot": _within_seeds(ALONE),
    "noise_hurts": _within_seeds(ALONE),
    "v2_over_v1": _v2_over_v1,
    "worst_v2": _worst_v2,
    "direction": _direction,
    "one_seed": _one_seed,
    "over_miles": _within_seeds("p2_default", "; MILES ran with Adam and no drop"),
    "double": _within_seeds("ogmge"),
    "gamma": _within_seeds("p2_default"),
    "over_staleness": _staleness,
    "over_paper": _over_paper,
    "under_paper": _under_paper,
    "miles_gap": _miles_gap,
    "miles_code": _miles_code,
}
