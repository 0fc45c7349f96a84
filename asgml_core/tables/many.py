"""Tables of runs over many seeds, and of the test items that each got right."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from asgml_core.records import RunRecord
from asgml_core.statistics import mean_interval
from asgml_core.tables.runs import correct


def many_seeds(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return one row a run and seed; accuracies are from 0 to 1, of the test part if not said.

    ``validation``, ``last`` and ``best_on_test`` are of the epochs that these selections choose,
    ``valid_accuracy`` is what the validation part read at its choice. ``head_<m>`` and
    ``probe_<m>`` are of the unimodal head and of a refitted probe at the epoch chosen on
    validation; without a validation part, as in protocol ``paper``, at the last one.
    ``relative_update_<m>`` is the mean over the epochs. ``digest`` is of every test logit: runs
    with equal digests ended with the same bits.
    """
    return pd.DataFrame([_row(record) for record in records])


def _row(record: RunRecord) -> dict[str, object]:
    last, best = record.selections["last"], record.selections["best_on_test"]
    chosen = record.selections.get("validation", last)
    row: dict[str, object] = {"run": record.run_id, "seed": record.seed}
    row |= {name: entry["accuracy"] for name, entry in record.selections.items()}
    row |= {"valid_accuracy": chosen.get("valid_accuracy")}
    row |= {"epoch": chosen["epoch"], "best_epoch": best["epoch"]}
    row |= {f"head_{m}": accuracy for m, accuracy in chosen["accuracies"].items()}
    row |= {f"probe_{m}": accuracy for m, accuracy in chosen["refitted_probes"].items()}
    for name in record.epochs:
        if name.startswith("relative_update/"):
            row[name.replace("/", "_")] = float(record.epochs[name].mean())
    return row | {"wall_time": record.provenance["wall_time"], "digest": digest(record)}


def digest(record: RunRecord) -> str:
    """Return a hash, 16 hexadecimal digits, of every test logit of a run."""
    found = hashlib.sha256()
    for name in sorted(record.predictions):
        array = record.predictions[name]
        if array.dtype.kind == "f":
            found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def wide(measured: pd.DataFrame, column: str = "validation") -> pd.DataFrame:
    """Return a column of :func:`many_seeds` in per cent: a row a seed, a column a run, in order.

    Raises:
        ValueError: when a run lacks a seed that another has.
    """
    table = 100 * measured.pivot(index="seed", columns="run", values=column)
    table = table[list(dict.fromkeys(measured["run"]))]
    for run in table:
        if table[run].isna().any():
            seed = table.index[table[run].isna()][0]
            raise ValueError(f"{column} of {run!r} is missing for seed {seed}.")
    return table


def curves(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return the accuracy of every epoch: ``run``, ``seed``, ``epoch`` and the two parts."""
    columns = ["epoch", "valid_accuracy", "test_accuracy"]
    tables = [
        record.epochs.reindex(columns=columns).assign(run=record.run_id, seed=record.seed)
        for record in records
    ]
    return pd.concat(tables, ignore_index=True)[["run", "seed", *columns]]


#: What :func:`dynamics` keeps of an epoch, and under which name.
_QUANTITIES = (
    "test_accuracy", "relative_update", "scale", "coefficient", "period", "lag", "gap",
    "probe_on_test",
)  # fmt: skip


def dynamics(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return how each run went, epoch by epoch: the mean over its seeds with its 95 % t interval.

    Returns:
        ``run``, ``epoch``, ``quantity`` (such as ``scale/audio``), ``mean``, ``low``, ``high``.

    Raises:
        ValueError: for a run of two methods that record the same quantity.
    """
    by_run: dict[str, list[pd.DataFrame]] = {}
    for record in records:
        kept = {name: quantity for name in record.epochs if (quantity := _quantity(name))}
        if len(set(kept.values())) < len(kept):
            raise ValueError(
                f"run {record.run_id!r} has two methods that record one quantity: "
                f"{', '.join(kept)}."
            )
        epochs = record.epochs.set_index("epoch")[list(kept)].rename(columns=kept)
        by_run.setdefault(record.run_id, []).append(epochs)
    rows = []
    for run, tables in by_run.items():
        for name in tables[0]:
            over_seeds = pd.concat([table[name] for table in tables], axis=1)
            for epoch, values in over_seeds.iterrows():
                if values.notna().all():  # a method may read nothing in its first epochs
                    found = mean_interval(values.to_numpy())
                    rows.append((run, epoch, name, found.estimate, found.low, found.high))
    return pd.DataFrame(rows, columns=["run", "epoch", "quantity", "mean", "low", "high"])


def _quantity(column: str) -> str | None:
    """Return a column's name without that of the method; ``None`` when it is not kept."""
    parts = column.split("/")
    for at, part in enumerate(parts[:2]):
        if part in _QUANTITIES:
            return "/".join(parts[at:])
    return None


# --------------------------------------------------------------------- items of the test part


def tested(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return which items each seed tests: ``seed``, ``items`` and a mask, hexadecimal.

    Bit ``i`` of the mask, the highest first, is of the ``i``-th item by name, of all items that any
    seed tests.
    """
    ids = {record.seed: record.predictions["id"] for record in records}
    names = _names(ids.values())
    rows = [
        {"seed": seed, "items": len(names), "tested": _pack(np.isin(names, tested))}
        for seed, tested in ids.items()
    ]
    return pd.DataFrame(rows)


def right(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return which items each run got right: ``run``, ``seed``, ``items`` and a mask, hexadecimal.

    Bits are of the seed's own test items, in the order of their names, at the epoch chosen on
    validation; without a validation part, at the last one.
    """
    rows = []
    for record in records:
        selection = "validation" if "validation" in record.selections else "last"
        order = np.argsort(record.predictions["id"])
        hit = correct(record, selection)[order]
        row = {"run": record.run_id, "seed": record.seed, "items": len(hit)}
        rows.append(row | {"right": _pack(hit)})
    return pd.DataFrame(rows)


def by_item(tested: pd.DataFrame, right: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return, by run, what it got right: ``(seeds, items)``, NaN where the seed has other items.

    Args:
        tested: of :func:`tested`; its order of seeds is that of the rows.
        right: of :func:`right`.

    Raises:
        ValueError: when the two do not fit each other, or a run lacks a seed.
    """
    masks = {int(row.seed): _unpack(str(row.tested), int(row.items)) for row in tested.itertuples()}
    found: dict[str, np.ndarray] = {}
    for run, rows in right.groupby("run", sort=False):
        hits = {int(row.seed): _unpack(str(row.right), int(row.items)) for row in rows.itertuples()}
        found[str(run)] = _spread(str(run), masks, hits)
    return found


def _spread(
    run: str, masks: Mapping[int, np.ndarray], hits: Mapping[int, np.ndarray]
) -> np.ndarray:
    items = len(next(iter(masks.values())))
    spread = np.full((len(masks), items), np.nan)
    for at, (seed, mask) in enumerate(masks.items()):
        if seed not in hits:
            raise ValueError(f"run {run!r} has no seed {seed}, but the tested items have.")
        if len(hits[seed]) != mask.sum():
            raise ValueError(
                f"run {run!r}, seed {seed} has {len(hits[seed])} items, but {mask.sum()} were "
                "tested."
            )
        spread[at, mask] = hits[seed]
    return spread


def _names(ids: Iterable[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate(list(ids)))


def _pack(bits: np.ndarray) -> str:
    return np.packbits(bits).tobytes().hex()


def _unpack(text: str, count: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=count).astype(bool)
