"""What the machine is, and the peaks of its products and its memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import partial
from typing import Any

import torch

from asgml_core.provenance import processor_name
from gpu_parts.common import Section, as_in_a_run, make_config, seconds, spread


def device(section: Section) -> None:
    """Say what the machine is and measure the peaks of its products and its memory."""
    section.part("machine", partial(machine, section.device))
    size = 256 if section.small else 8192
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        call = partial(products, section, size, dtype)
        section.part(f"matmul FLOP/s, {precision}", call)
    section.part("memory bytes/s", partial(copies, section))


def machine(device: torch.device) -> dict[str, Any]:
    """Return names and versions."""
    said: dict[str, Any] = {
        "device": processor_name(),
        "processor": processor_name(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version() if device.type == "cuda" else None,
    }
    for name in ("torchvision", "numpy", "triton"):
        try:
            said[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            said[name] = None
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        said |= {
            "device": found.name,
            "memory bytes": found.total_memory,
            "multiprocessors": found.multi_processor_count,
            "capability": f"{found.major}.{found.minor}",
            "driver": _driver(),
        }
    return said


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,power.limit",
               "--format=csv,noheader"]  # fmt: skip
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({type(error).__name__})"


def products(section: Section, size: int, dtype: torch.dtype) -> dict[str, float]:
    """Return the FLOP/s of products of large square matrices; float32 without TF32."""
    with as_in_a_run(make_config(section.sizes, section.device)):
        a, b = (torch.randn(size, size, device=section.device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        taken = [
            seconds(lambda: torch.mm(a, b, out=out), section.device)[1]
            for _ in range(3 + 4 * section.repeats)
        ]
    return spread([2 * size**3 / t for t in taken[3:]])


def copies(section: Section) -> dict[str, float]:
    """Return the bytes a second that a copy on the device reads and writes."""
    count = 1 << (16 if section.small else 29)
    a = torch.ones(count, device=section.device)
    b = torch.empty_like(a)
    taken = [seconds(lambda: b.copy_(a), section.device)[1] for _ in range(3 + 4 * section.repeats)]
    return spread([2 * a.nbytes / t for t in taken[3:]])
