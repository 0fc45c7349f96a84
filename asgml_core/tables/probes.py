"""Tables of what probes read, on items they were trained on and on others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from asgml_core.modulators.probing import ACCURACY_SHARE
from asgml_core.records import RunRecord
from asgml_core.tables.diagnosis import by_modality


def probe_bias(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return what the probes read, and what the same probes read on items nobody trained on.

    Means in per cent over the second half of the epochs, each with its last reading.
    ``error`` is the standard error of the difference, from its spread over the epochs.
    """
    rows = []
    for record in records:
        tests, valids = (
            by_modality(record.epochs, f"probe_on_{part}")
            if any(f"probe_on_{part}" in name for name in record.epochs)
            else {}
            for part in ("test", "valid")
        )
        for m, reading in last_readings(record).items():
            late = slice(len(reading) // 2, None)
            test = record.epochs[tests[m]].to_numpy()[late]
            valid = record.epochs[valids[m]].to_numpy()[late] if valids else np.nan
            above = reading[late] - test
            rows.append(
                {
                    "run": record.run_id,
                    "modality": m,
                    "reading (%)": 100 * reading[late].mean(),
                    "validation (%)": 100 * np.mean(valid),
                    "test (%)": 100 * test.mean(),
                    "reading - test": 100 * above.mean(),
                    "error": 100 * above.std(ddof=1) / math.sqrt(len(above)) if len(above) > 1
                    else math.nan,
                }
            )  # fmt: skip
    return pd.DataFrame(rows).set_index(["run", "modality"])


def last_readings(record: RunRecord) -> dict[str, np.ndarray]:
    """Return the last reading of each epoch by modality; every epoch must have one."""
    epoch = record.steps.index // record.values["batches_per_epoch"]
    names = by_modality(record.steps, "probe_reading")
    return {m: record.steps[name].groupby(epoch).last().to_numpy() for m, name in names.items()}


def gaps(record: RunRecord) -> pd.DataFrame:
    """Return the utilization gap of each epoch, as a run guided by probes saw it and as it was.

    Returns:
        By epoch ``running mean``, the gap that the method used at the end of the epoch; ``without
        its start``, divided by ``1 - .9^n`` after n readings, because the mean starts at 0;
        ``probes on test``, that of the same probes on the test part.
    """
    batches = record.values["batches_per_epoch"]
    name = next(name for name in record.steps if name.endswith("/gap"))
    running = record.steps[name].dropna()
    epoch = pd.Series(running.index // batches + 1, running.index)
    readings = epoch.groupby(epoch).size().cumsum()
    last = running.groupby(epoch).last()
    test = record.epochs[list(by_modality(record.epochs, "probe_on_test").values())]
    spread = (test.max(axis=1) - test.min(axis=1)).to_numpy()
    return pd.DataFrame(
        {
            "running mean": last,
            "without its start": last / (1 - (1 - ACCURACY_SHARE) ** readings),
            "probes on test": pd.Series(spread, np.arange(1, len(test) + 1)),
        }
    ).rename_axis("epoch")


def order_with_test(record: RunRecord) -> pd.Series:
    """Return whether test accuracies in the running mean would have changed who is behind.

    The readings of a run with ``probe_ema="train"`` are averaged anew, with the accuracy of the
    probes on the test part after each epoch among them, as the study did. With two modalities
    throttle and boost look only at who is behind. So if that never changes, nor does the run.
    """
    batches = record.values["batches_per_epoch"]
    names = by_modality(record.steps, "probe_reading")
    readings = record.steps[list(names.values())].to_numpy()
    tests = record.epochs[[by_modality(record.epochs, "probe_on_test")[m] for m in names]]
    plain, mixed = np.zeros(len(names)), np.zeros(len(names))
    times = changed = 0
    for step, reading in enumerate(readings):
        if not np.isnan(reading).any():
            plain += ACCURACY_SHARE * (reading - plain)
            mixed += ACCURACY_SHARE * (reading - mixed)
            times += 1
            changed += int(plain.argmin() != mixed.argmin())
        if (step + 1) % batches == 0:
            mixed += ACCURACY_SHARE * (tests.iloc[step // batches].to_numpy() - mixed)
    return pd.Series({"readings": times, "another modality behind": changed}, name=record.run_id)
