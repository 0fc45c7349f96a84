"""How the encoders are executed in training: step by step, as CUDA graphs, or compiled.

A step of a small network waits for the processor that starts its many kernels. A CUDA graph starts
them all at once; a compiler makes fewer of them. Neither changes what is computed, though a
compiler's kernels round in other places. Both hold for one shape of batch: a last batch of another
size, and every evaluation, goes step by step.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from asgml_core.config import Execution, Precision

#: Kinds of batch that are compiled in one process, such as the modalities of several networks.
MOST_COMPILED = 64


class Encode:
    """Maps inputs ``{m: (B, ...)}`` to float32 features ``{m: (B, d)}`` in one way of execution.

    Args:
        encoders: by modality.
        device: where they are.
        precision: ``"bf16"`` runs convolutions and products in bfloat16, by autocast; weights,
            norms' statistics and features are float32.
        execution: see the module.
        batch_size: of the batches that graphs and compiled code are for.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        device: torch.device,
        precision: Precision,
        execution: Execution,
        batch_size: int,
    ) -> None:
        self.encoders = encoders
        self.device = device
        self.half = precision == "bf16"
        self.execution = execution
        self.batch_size = batch_size
        self._ready: dict[str, Callable[[Tensor], Tensor]] = {}

    def prepare(self, inputs: Mapping[str, Tensor]) -> None:
        """Capture or set up what training will call; nothing is trained, and no state changes.

        Before the first epoch, since nobody else in the process may ask the GPU for memory while a
        graph is captured, such as the thread that reads ahead.

        Args:
            inputs: a batch of the usual size, of every modality.
        """
        if self.execution == "eager":
            return
        with torch.enable_grad():
            for m, encoder in self.encoders.items():
                self._ready[m] = self._prepared(encoder.train(), inputs[m])

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the features of the modalities in ``inputs``, in the order of the encoders."""
        if self.execution == "compile_graphs":
            torch.compiler.cudagraph_mark_step_begin()
        with self._autocast():
            return {
                m: self._features(m, encoder, inputs[m])
                for m, encoder in self.encoders.items()
                if m in inputs
            }

    def _features(self, m: str, encoder: nn.Module, x: Tensor) -> Tensor:
        usual = encoder.training and len(x) == self.batch_size and torch.is_grad_enabled()
        if m not in self._ready or not usual:
            return encoder(x).float()
        # A graph writes the next batch's features where it wrote these.
        return self._ready[m](x).float().clone()

    def _prepared(self, encoder: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
        if self.execution == "graphs":
            return _captured(encoder, x, self.half)
        torch._dynamo.config.recompile_limit = MOST_COMPILED
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        mode = "reduce-overhead" if self.execution == "compile_graphs" else None
        return torch.compile(encoder, dynamic=False, fullgraph=True, mode=mode)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        # Without its cache: a graph must cast the weights anew in every step.
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.half, cache_enabled=False
        )


class _Whole(nn.Module):
    """A module around another, since capturing replaces the method that is called.

    Autocast is entered here, so that backward is captured without it, as it is executed elsewhere.
    """

    def __init__(self, inside: nn.Module, half: bool) -> None:
        super().__init__()
        self.inside = inside
        self.half = half

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half, cache_enabled=False):
            return self.inside(x)


def _captured(encoder: nn.Module, x: Tensor, half: bool) -> Callable[[Tensor], Tensor]:
    with _kept_buffers(encoder):  # the batches that warm up are no training
        return torch.cuda.make_graphed_callables(_Whole(encoder, half).train(), (x.clone(),))


@contextlib.contextmanager
def _kept_buffers(module: nn.Module) -> Iterator[None]:
    before = [buffer.clone() for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(module.buffers(), before, strict=True):
                buffer.copy_(value)


@contextlib.contextmanager
def arithmetic(device: torch.device, threads: int, deterministic: bool) -> Iterator[None]:
    """Fix what decides the last bits, and give the process its own settings back.

    Args:
        device: of the run.
        threads: of the CPU.
        deterministic: the same bits every time. Otherwise cuDNN may choose the faster kernels.
    """
    cudnn, memory = torch.backends.cudnn, torch.utils.deterministic
    products = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)
    if device.type == "cpu":
        keep_memory()
    with contextlib.ExitStack() as undo:
        undo.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        if device.type == "cuda":  # on a CPU all that we use is deterministic
            undo.callback(
                torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled()
            )
            torch.use_deterministic_algorithms(deterministic)
        for where, name, value in (
            (cudnn, "deterministic", deterministic),
            (cudnn, "benchmark", not deterministic),
            # Every tensor of ours is written before it is read; filling it first costs time.
            (memory, "fill_uninitialized_memory", False),
            # float32 means float32, not TF32.
            *((product, "fp32_precision", "ieee") for product in products),
        ):
            undo.callback(setattr, where, name, getattr(where, name))
            setattr(where, name, value)
        if device.type == "cuda":  # torch looks once in a process; a deterministic run may follow
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        undo.enter_context(torch.autocast(device.type, enabled=False))
        undo.enter_context(torch.enable_grad())
        yield


@functools.cache
def keep_memory() -> None:
    """Let this process keep the memory it frees, for good; elsewhere than with glibc do nothing.

    A step frees all that the next one needs again. Given back to the system in between, each page
    would be handed out anew and filled with zeros.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, size in ((_MMAP_THRESHOLD, 1 << 30), (_TRIM_THRESHOLD, (1 << 31) - 1)):
            mallopt(parameter, size)


#: Of ``malloc.h``.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
