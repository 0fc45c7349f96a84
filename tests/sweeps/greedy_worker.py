"""What a worker imports to find memory short in the third epoch of one run."""

import torch

from asgml_core.trainer import Trainer

_run_epoch = Trainer.run_epoch


def _greedy(self):
    if self.config.run_id == "boost_ogm" and self.epoch == 2:
        torch.empty(1 << 50)
    return _run_epoch(self)


Trainer.run_epoch = _greedy
