"""What an epoch of each arm costs, as a multiple of the baseline's, on real words.

    python benchmarks/arm_costs.py [--repeats 9] [--threads 1] [--results FOLDER]

Whole epochs of the profile ``grid``, with evaluation, of every run of the plan over many seeds, in
turn: each ratio is of two epochs of the same turn. Windows are open all the time, so OGM-GE costs
what it costs while it acts. Writes ``book/results/arm_costs_grid.csv``, medians with quartiles.
"""

from __future__ import annotations

from functools import partial

import measuring

from asgml_core import many_seeds, study
from asgml_core.config import MethodConfig
from asgml_core.datasets import load
from asgml_core.runs import build_modulator
from asgml_core.trainer import Trainer

PLAN = many_seeds.PLANS["many_seeds_grid"]


def trainer_of(name: str, threads: int) -> Trainer:
    """Return a run's trainer, after an epoch in which everything has been begun."""
    config = study.config(name, PLAN.base(0)).replace(threads=threads)
    open_always = tuple(_without_window(method) for method in config.methods)
    config = config.replace(methods=open_always, train={"epochs": measuring.ENDLESS})
    made = measuring.make_trainer(config, load(config), build_modulator(config))
    measuring.whole_epoch(made)
    return made


def _without_window(method: MethodConfig) -> MethodConfig:
    return MethodConfig(
        name=method.name, options=dict(method.options), start=0, end=measuring.ENDLESS
    )


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="turns (default: 9)")
    given = parser.parse_args()
    writer = measuring.Writer("arm_costs", given)
    epochs = {
        run: partial(measuring.whole_epoch, trainer_of(run, given.threads)) for run in PLAN.runs
    }
    times = measuring.in_turn(epochs, given.repeats)
    rows = [
        {
            "run": run,
            "n": given.repeats,
            **measuring.spread("cost", measuring.ratios(taken, times["baseline"])),
            **measuring.spread("seconds an epoch", taken),
        }
        for run, taken in times.items()
    ]
    writer.write("arm_costs_grid", rows)


if __name__ == "__main__":
    main()
