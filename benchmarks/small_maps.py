"""Our convolution of small maps beside torch's own, layer by layer of a ResNet18 at 64 x 64.

    python benchmarks/small_maps.py [--repeats 25] [--batch 64] [--threads 1]

Forward and backward of one layer in turn by both, float32, channels last. Writes
``book/results/small_maps.csv``: by width of the network and by layer, the median ratio of torch's
time over ours with its quartiles, and the milliseconds of both.
"""

from __future__ import annotations

from collections.abc import Callable

import measuring
import pandas as pd
import torch

from asgml_core.convolution import convolve_small

#: Channels in and out as multiples of the width, side of the input, stride.
LAYERS = {
    "third stage": (4, 4, 4, 1),
    "fourth stage, first layer": (4, 8, 4, 2),
    "fourth stage": (8, 8, 2, 1),
}
WIDTHS = (8, 16, 32, 64)


def call_of(
    convolve: Callable[..., torch.Tensor], width: int, layer: str, batch: int
) -> Callable[[], object]:
    """Return what computes a layer's output and both of its gradients."""
    inputs, outputs, side, stride = LAYERS[layer]
    draw = torch.Generator().manual_seed(0)
    last = {"memory_format": torch.channels_last}
    x = torch.randn(batch, inputs * width, side, side, generator=draw).contiguous(**last)
    weight = torch.randn(outputs * width, inputs * width, 3, 3, generator=draw).contiguous(**last)
    by_y = torch.randn(convolve(x, weight, stride).shape, generator=draw).contiguous(**last)
    given = (x.requires_grad_(), weight.requires_grad_())
    return lambda: torch.autograd.grad(convolve(*given, stride), given, by_y)


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("--repeats", type=int, default=25, help="of each (default: 25)")
    parser.add_argument("--batch", type=int, default=64, help="items (default: 64)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    writer = measuring.Writer("small_maps", given)
    ways = {
        "torch": lambda x, w, stride: torch.conv2d(x, w, None, stride, 1),
        "ours": lambda x, w, stride: convolve_small(x, w, stride, 1),
    }
    rows = []
    for width in WIDTHS:
        for layer in LAYERS:
            calls = {name: call_of(way, width, layer, given.batch) for name, way in ways.items()}
            times: dict[str, list[float]] = {name: [] for name in calls}
            for repeat in range(-3, given.repeats):
                for name, call in calls.items():
                    taken = 1e3 * measuring.seconds(call)
                    if repeat >= 0:
                        times[name].append(taken)
            ratios = [a / b for a, b in zip(times["torch"], times["ours"], strict=True)]
            row = {"width": width, "layer": layer, "n": given.repeats}
            row |= measuring.spread("times as fast", ratios)
            for name, taken in times.items():
                row |= measuring.spread(f"milliseconds, {name}", taken)
            rows.append(row)
    writer.write("small_maps", pd.DataFrame(rows))


if __name__ == "__main__":
    main()
