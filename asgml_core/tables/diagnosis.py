"""Tables of what a method did: which steps it masked, how far encoders moved, what it put in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from asgml_core.modulators.periods import LOSSES_KEPT, NORM_SHARE, learning_speeds
from asgml_core.records import RunRecord

#: What happens to the gradient of a skipped step: the settings whose arithmetic the book shows.
MASKS: Mapping[str, float | None] = {"soft mask 0.1": 0.1, "hard skip": 0.0, "freeze": None}


def by_modality(table: pd.DataFrame, quantity: str) -> dict[str, str]:
    """Return, by modality, the column ``<method>/<quantity>/<modality>`` of steps or epochs.

    Raises:
        ValueError: when there is none.
    """
    found = {name.rsplit("/", 1)[1]: name for name in table if f"/{quantity}/" in f"/{name}"}
    if not found:
        raise ValueError(f"the run recorded no {quantity!r}.")
    return found


def modalities(record: RunRecord) -> list[str]:
    """Return the modalities of a run, in order."""
    return list(by_modality(record.steps, "gradient_norm"))


def identical(records: Sequence[RunRecord]) -> bool:
    """Return whether runs ended with the same network: every test logit equal to the last bit."""
    first, *others = (record.predictions for record in records)
    logits = [name for name in first if name.startswith("last/")]
    return all(np.array_equal(first[name], other[name]) for other in others for name in logits)


# ------------------------------------------------------------------ which steps are masked


def masks(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return the share of steps, in per cent, on which frequency masked each encoder.

    ``all together`` is the share on which it masked every encoder, ``some alone`` that on which it
    masked some and not the others.
    """
    rows = []
    for record in records:
        names = by_modality(record.steps, "updates")
        masked = pd.DataFrame({m: record.steps[name] == 0 for m, name in names.items()})
        rows.append(
            {
                "run": record.run_id,
                **{f"{m} (%)": 100 * masked[m].mean() for m in masked},
                "all together (%)": 100 * masked.all(axis=1).mean(),
                "some alone (%)": 100 * (masked.any(axis=1) & ~masked.all(axis=1)).mean(),
            }
        )
    return pd.DataFrame(rows).set_index("run")


def aim(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return whom frequency slowed: the modality ahead, or the one behind, in per cent of steps.

    Ahead is the modality whose probe reads most on the test part after that epoch. Steps before the
    first reading of the signal do not count.
    """
    rows = []
    for record in records:
        names = by_modality(record.steps, "period")
        periods = record.steps[list(names.values())].set_axis(list(names), axis=1)
        tests = record.epochs[[by_modality(record.epochs, "probe_on_test")[m] for m in names]]
        ahead = tests.set_axis(list(names), axis=1).idxmax(axis=1).to_numpy()
        first = record.steps[next(iter(by_modality(record.steps, "tau").values()))].notna().idxmax()
        after = periods.iloc[first + 1 :]
        equal = after.nunique(axis=1) == 1
        on_it = after.idxmax(axis=1) == ahead[after.index // record.values["batches_per_epoch"]]
        rows.append(
            {
                "run": record.run_id,
                "equal periods (%)": 100 * equal.mean(),
                "longest for the one ahead (%)": 100 * (on_it & ~equal).mean(),
                "longest for another (%)": 100 * (~on_it & ~equal).mean(),
            }
        )
    return pd.DataFrame(rows).set_index("run")


def speeds(record: RunRecord, beta: float = 0.5) -> pd.DataFrame:
    """Return what the dual signal would have read at every step of a run.

    It is worked out from the recorded gradient norms and unimodal losses, so the run must carry the
    unimodal losses at weight 1 and must drop none of them, as the baseline does.

    Args:
        record: of such a run.
        beta: weight of the gradient norms in the speed.

    Returns:
        A row for each step, ``gradients/<m>`` and ``losses/<m>`` over their means, ``speed/<m>``.
    """
    names = modalities(record)
    raw = torch.tensor(record.steps[[f"gradient_norm/{m}" for m in names]].to_numpy())
    losses = torch.tensor(record.steps[[f"loss/{m}" for m in names]].to_numpy())
    norms = torch.zeros_like(raw[0])
    rows = []
    for step in range(len(raw)):
        norms = torch.lerp(norms, raw[step], NORM_SHARE)
        descent = (losses[max(step - LOSSES_KEPT + 1, 0)] - losses[step]).abs()
        parts = {"gradients": 1.0, "losses": 0.0, "speed": beta}
        rows.append(
            {
                f"{what}/{m}": float(value)
                for what, weight in parts.items()
                for m, value in zip(names, learning_speeds(norms, descent, weight), strict=True)
            }
        )
    return pd.DataFrame(rows)


def steadiness(replayed: pd.DataFrame, batches: int) -> pd.DataFrame:
    """Return how steady the dual signal and its two parts are within an epoch.

    Steps before the history of losses is full do not count.

    Args:
        replayed: of :func:`speeds`; its first modality is looked at.
        batches: steps in an epoch.
    """
    rows = []
    for what in ("gradients", "losses", "speed"):
        column = next(name for name in replayed if name.startswith(f"{what}/"))
        values = replayed[column].iloc[LOSSES_KEPT:]
        epoch = values.index // batches
        centred = values - values.groupby(epoch).transform("mean")
        pairs = centred.iloc[1:].to_numpy(), centred.iloc[:-1].to_numpy()
        same = epoch[1:] == epoch[:-1]
        rows.append(
            {
                "part of the signal": what,
                "mean": values.mean(),
                "deviation within an epoch": math.sqrt((centred**2).mean()),
                "correlation with the step before": np.corrcoef(pairs[0][same], pairs[1][same])[
                    0, 1
                ],
            }
        )
    return pd.DataFrame(rows).set_index("part of the signal")


# ------------------------------------------------------------------ how far encoders move


def expected_movement(
    skipped: float = 1.0, *, all_losses: bool = False, period: int = 2, momentum: float = 0.9
) -> pd.DataFrame:
    """Return how far SGD with momentum moves under a mask, relative to no mask: the arithmetic.

    Two ideal cases: successive gradients all agree in direction, or none is related to another.
    Weight decay is left out.

    Args:
        skipped: the norm of the raw gradient on a skipped step, that on an updating one being 1.
        all_losses: compare with a run whose gradient has norm 1 on every step, because no loss is
            left out on any; otherwise with the raw gradients, as ``relative_update`` does.
        period: the encoder updates on every ``period``-th step.
        momentum: of SGD.

    Returns:
        One row a mask, one column an ideal case.
    """
    raw = [1.0] + [1.0 if all_losses else skipped] * (period - 1)
    rows = {}
    for name, scale in MASKS.items():
        sizes = [1.0] + [None if scale is None else scale * skipped] * (period - 1)
        rows[name] = {
            case: _path(sizes, momentum, agree) / _path(raw, momentum, agree)
            for case, agree in (("gradients agree", True), ("gradients unrelated", False))
        }
    return pd.DataFrame(rows).T.rename_axis("on a skipped step")


def _path(sizes: Sequence[float | None], momentum: float, agree: bool) -> float:
    """Return how far the weights move in a cycle of gradients of these norms; ``None``: frozen."""
    velocity, path = 0.0, 0.0
    power = 1 if agree else 2  # unrelated vectors add up by their squares
    for _ in range(200):
        path = 0.0
        for size in sizes:
            if size is not None:
                velocity = momentum**power * velocity + size**power
                path += velocity ** (1 / power)
    return path


def movement(records: Sequence[RunRecord], reference: RunRecord | None = None) -> pd.DataFrame:
    """Return what was done to each encoder over a whole run.

    Args:
        records: the runs.
        reference: with it, also how long a way the weights went, over the reference's.

    Returns:
        By modality, the share of steps with a changed gradient in per cent, the relative update
        (the way the weights went, over the way the raw gradients would have led them from the same
        weights), and ``way against <reference>``.
    """
    rows = []
    for record in records:
        names, row = modalities(record), {"run": record.run_id}
        row |= {f"changed, {m} (%)": 100 * record.epochs[f"activation/{m}"].mean() for m in names}
        way = {m: record.steps[f"update_norm/{m}"].sum() for m in names}
        for m in names:
            raw = record.steps[f"unmodulated_norm/{m}"].sum()
            row[f"relative update, {m}"] = way[m] / raw
        if reference is not None:
            for m in names:
                base = reference.steps[f"update_norm/{m}"].sum()
                row[f"way against {reference.run_id}, {m}"] = way[m] / base
        rows.append(row)
    return pd.DataFrame(rows).set_index("run")


def skipped_gradients(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return the mean norm of the raw gradient on updating and on skipped steps, and their ratio.

    Only steps with a period above 1 count: those of the first, steep epoch would not compare.
    """
    rows = []
    for record in records:
        for m, updates in by_modality(record.steps, "updates").items():
            period = record.steps[by_modality(record.steps, "period")[m]]
            steps = record.steps[period > 1]
            norms = steps[f"gradient_norm/{m}"].groupby(steps[updates]).mean()
            updating, skipped = (norms.get(kind, math.nan) for kind in (1.0, 0.0))
            rows.append(
                {
                    "run": record.run_id,
                    "modality": m,
                    "updating": updating,
                    "skipped": skipped,
                    "ratio": skipped / updating,
                }
            )
    return pd.DataFrame(rows).set_index(["run", "modality"])


# ------------------------------------------------------------------ what becomes of a gradient


def option(record: RunRecord, method: str, name: str, default: float) -> float:
    """Return an option of a run's method, or the default where the config does not say."""
    options = next(part.options for part in record.config.methods if part.name == method)
    return options.get(name, default)


def replaced_gradients(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return, by the lag of staleness, the norm of the gradient used over that of the fresh one.

    ``1 / (1 + lambda lag)`` is what the ratio would be if the gradient were the fresh one.
    """
    rows = []
    for record in records:
        comp = option(record, "staleness", "lambda_comp", 0.1)
        pieces = []
        for m, name in by_modality(record.steps, "lag").items():
            ratio = record.steps[f"modulated_norm/{m}"] / record.steps[f"gradient_norm/{m}"]
            pieces.append(pd.DataFrame({"lag": record.steps[name], "ratio": ratio}))
        for lag, ratios in pd.concat(pieces).groupby("lag")["ratio"]:
            rows.append(
                {
                    "run": record.run_id,
                    "lag": int(lag),
                    "share (%)": 100 * len(ratios) / sum(map(len, pieces)),
                    "1 / (1 + lambda lag)": 1 / (1 + comp * lag),
                    "mean": ratios.mean(),
                    "smallest": ratios.min(),
                    "largest": ratios.max(),
                }
            )
    return pd.DataFrame(rows).set_index(["run", "lag"])


def coefficient_range(record: RunRecord) -> pd.DataFrame:
    """Return where the coefficients of OGM-GE lie, and what they and the noise do to the norm.

    ``with noise`` is the norm of the gradient after damping and noise over that before, on the
    damped steps; ``without`` the coefficient alone, and ``sqrt(1 + k^2)`` what independent noise of
    the gradient's own size makes of it.
    """
    rows = []
    for m, name in by_modality(record.steps, "coefficient").items():
        k = record.steps[name].dropna()
        damped = k[k < 1]
        ratio = record.steps[f"modulated_norm/{m}"] / record.steps[f"gradient_norm/{m}"]
        rows.append(
            {
                "modality": m,
                "steps": len(k),
                "at 1 (%)": 100 * (k == 1).mean(),
                "largest below 1": damped.max(),
                "smallest": damped.min(),
                "without": damped.mean(),
                "with noise": ratio[damped.index].mean(),
                "sqrt(1 + k^2)": np.sqrt(1 + damped**2).mean(),
            }
        )
    return pd.DataFrame(rows).set_index("modality")
