"""Does the default data show what the study is about? Measure it, and write the book's table.

    python benchmarks/synth_phenomenon.py [--workers 2]

On the default profile of ``synth``, over the study's five seeds: each modality alone, a probe
refitted after joint training with the fused loss only, the same with the unimodal losses, and each
modality alone against its signal knob. Writes ``book/results/synth_phenomenon.csv`` and
``synth_knobs.csv``, each with its provenance. Runs are kept in ``outputs/synth-phenomenon``.
"""

from __future__ import annotations

import argparse

import pandas as pd

from asgml_core import RunRecord, profile, results, run_all, study
from asgml_core.config import RunConfig
from asgml_core.paths import outputs_folder

SIGNALS = (0.0, 0.25, 0.5, 0.75, 1.0)
MODALITIES = ("audio", "visual")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, help="processes; one for each core by default")
    workers = parser.parse_args().workers
    records = run_all(_plan(), outputs_folder() / "synth-phenomenon", workers=workers)
    by_name = {(record.run_id, record.seed): record for record in records}
    came_from = results.came_from("python benchmarks/synth_phenomenon.py", records)
    print(results.write("synth_phenomenon", _phenomenon(by_name), came_from))
    print(results.write("synth_knobs", _knobs(by_name), came_from))


def _plan() -> list[RunConfig]:
    plan = []
    for seed in study.SEEDS:
        base = profile("synth", seed=seed)
        plan += [study.config(name, base) for name in ("joint_only", "baseline")]
        for m in MODALITIES:
            for signal in SIGNALS:
                base = profile("synth", seed=seed, options={f"{m}_signal": signal})
                plan.append(study.config(f"{m}_only", base).replace(run_id=_knob_run(m, signal)))
    return plan


def _knob_run(modality: str, signal: float) -> str:
    return f"{modality}_only_signal{round(100 * signal):03d}"


def _phenomenon(by_name: dict[tuple[str, int], RunRecord]) -> pd.DataFrame:
    rows = []
    for seed in study.SEEDS:
        for m in MODALITIES:
            probes = {
                name: by_name[name, seed].selections["last"]["refitted_probes"][m]
                for name in ("joint_only", "baseline")
            }
            rows.append(
                {
                    "seed": seed,
                    "modality": m,
                    "alone": by_name[_knob_run(m, 1.0), seed].accuracy(),
                    "after_joint_training": probes["joint_only"],
                    "with_unimodal_losses": probes["baseline"],
                }
            )
    return pd.DataFrame(rows)


def _knobs(by_name: dict[tuple[str, int], RunRecord]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "seed": seed,
                "modality": m,
                "signal": signal,
                "accuracy": by_name[_knob_run(m, signal), seed].accuracy(),
            }
            for seed in study.SEEDS
            for m in MODALITIES
            for signal in SIGNALS
        ]
    )


if __name__ == "__main__":
    main()
