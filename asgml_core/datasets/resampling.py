"""Crop and resize pictures with the antialiasing triangle filter, many at a time.

The filter is separable, so a crop is resized by two products with matrices that are zero but for a
narrow band. A GPU multiplies the whole matrices. A CPU multiplies the band only, in tiles of
neighbouring results, one picture at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Results per tile on a CPU: 32 takes about as long, 8 and 56 longer.
TILE = 16

#: The most numbers that the pictures of one share may have on a GPU, as float32 (256 MiB).
SHARE = 1 << 26


def triangle_weights(source: Tensor, target: Tensor, length: Tensor, size: int) -> Tensor:
    """Return the weights of source pixels in resized pixels; they sum to 1 over axis -2.

    The filter is as wide as one source pixel where it enlarges and as one resized pixel where it
    shrinks. It never reaches outside the source.

    Args:
        source: positions from the start of the source, whole numbers, ``(..., n, 1)``; one outside
            ``[0, length)`` gets weight 0.
        target: positions from 0 to ``size - 1``, ``(..., 1, t)``.
        length: pixels of the source, 1 or more, ``(..., 1, 1)``.
        size: pixels of the result.

    Returns:
        float32 of the shape that the three broadcast to.

    Source: ``torch.nn.functional.interpolate(mode="bilinear", antialias=True)``, whose weights
    these are; Pillow's ``BILINEAR`` has the same before it rounds.
    """
    # Times 2 * size, every distance is a whole number: float32 holds it, and the sum of the
    # weights, without rounding. So the weights are the same on every device.
    place = ((2 * source + 1) * size).float()
    place.masked_fill_((source < 0) | (source >= length), torch.inf)
    weights = place - ((2 * target + 1) * length).float()
    # The distance less the filter's reach is minus the weight; the division mends the sign.
    weights.abs_().sub_(2 * length.clamp(min=size)).clamp_(max=0)
    return weights.div_(weights.sum(-2, keepdim=True))


def resample(pictures: Tensor, crops: Tensor, size: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Cut crops out of pictures, resize each to ``(size, size)`` and normalise its channels.

    Args:
        pictures: ``(N, H, W, 3)`` uint8.
        crops: ``(n, 6)`` whole numbers, one row per result, on the device of the pictures: which
            picture, top, left, height and width of the box inside it, and 1 to mirror it, else 0.
        size: height and width of the results.
        scale: ``(3, 1, 1)`` float32; the resized values, 0 to 255, are multiplied by it.
        shift: ``(3, 1, 1)`` float32; added after that.

    Returns:
        ``(n, 3, size, size)`` float32, channels last in memory. Autocast does not act on it;
        torch's TF32 switch does, with errors of up to 0.2 in 255.

    Source: ``torchvision.transforms.v2.functional.resized_crop`` on float tensors, with
    antialiasing, then ``horizontal_flip``.
    """
    method = resample_tiled if pictures.device.type == "cpu" else resample_dense
    with torch.autocast(pictures.device.type, enabled=False):
        return method(pictures, crops, size, scale, shift)


def resample_dense(
    pictures: Tensor, crops: Tensor, size: int, scale: Tensor, shift: Tensor
) -> Tensor:
    """Do what :func:`resample` does with two batched products of whole matrices.

    Nothing waits for the device, and no shape depends on the values: a CUDA graph can hold it.
    """
    height, width = pictures.shape[1:3]
    results = _results(pictures, len(crops), size)
    share = max(1, SHARE // (3 * height * width))
    for some, result in zip(crops.long().split(share), results.split(share), strict=True):
        row, top, left, rows, columns, mirror = some[:, :, None, None].unbind(1)
        target = torch.arange(size, device=pictures.device)
        down = triangle_weights(_positions(top, height), target, rows, size)
        target = torch.where(mirror == 0, target, size - 1 - target)
        across = triangle_weights(_positions(left, width), target, columns, size)
        x = pictures.index_select(0, row.flatten()).float()
        # Each product takes the first axis away and puts the resized one last:
        # (height, width, 3) -> (width, 3, size) -> (3, size, size).
        x = torch.bmm(x.flatten(2).transpose(1, 2), down)
        x = torch.bmm(x.view(len(some), width, -1).transpose(1, 2), across)
        torch.add(x.view_as(result).mul_(scale), shift, out=result)
    return results


def _positions(start: Tensor, length: int) -> Tensor:
    return torch.arange(length, device=start.device)[:, None] - start


def resample_tiled(
    pictures: Tensor, crops: Tensor, size: int, scale: Tensor, shift: Tensor
) -> Tensor:
    """Do what :func:`resample` does on a CPU, tile by tile; see :func:`_plan` for the tiles."""
    height, width = pictures.shape[1:3]
    results = _results(pictures, len(crops), size)
    crops = crops.long()
    down, down_windows = _plan(crops[:, 3], size)
    across, across_windows = _plan(crops[:, 4], size)
    tiles = down.shape[1]
    padded = tiles * TILE  # the tiles may make a few results more than asked for
    above, beside = _margin(height, size), _margin(width, size)
    # Windows may reach beyond a crop. What lies there has weight 0, but must be a number.
    source = results.new_zeros((height + 2 * above) * width * 3)
    middle = results.new_zeros((width + 2 * beside) * 3 * padded)
    picture = results.new_empty(3, padded, padded)
    # One picture at a time: only its box is read, and most of it stays in the cache. A batch at
    # once would have to take the widest box for each, and would go through memory at every step.
    for i, (row, top, left, rows, columns, mirror) in enumerate(crops.tolist()):
        m = columns * 3
        box = pictures[row, top : top + rows, left : left + columns]
        source[above * m : (above + rows) * m].view(box.shape).copy_(box)
        windows = _windows(source, m, above, down_windows[i], tiles)
        made = _tiles(middle, m, beside * 3 * padded, tiles)
        torch.bmm(windows, down[i, :, : windows.shape[2]], out=made)
        windows = _windows(middle, 3 * padded, beside, across_windows[i], tiles)
        made = _tiles(picture, 3 * padded, 0, tiles)
        torch.bmm(windows, across[i, :, : windows.shape[2]], out=made)
        resized = picture[:, :size, :size]
        resized = resized.flip(-1) if mirror else resized
        torch.add(resized.mul_(scale), shift, out=results[i])
    return results


def _results(pictures: Tensor, count: int, size: int) -> Tensor:
    # As convolutions want it by default, which spares them a copy.
    return torch.empty(
        (count, 3, size, size),
        dtype=torch.float32,
        device=pictures.device,
        memory_format=torch.channels_last,
    )


def _plan(length: Tensor, size: int) -> tuple[Tensor, list[list[int]]]:
    """Place the windows of source pixels from which the tiles are made, and weigh their pixels.

    Tile ``k`` of a crop is made from the ``span`` pixels after ``first + k * step``. Equal steps
    make the windows one strided view, which a batched product reads without a copy.

    Args:
        length: ``(n,)``, the pixels of each crop along the axis.
        size: the pixels of the result.

    Returns:
        The weights ``(n, tiles, widest span, TILE)``, and for each crop ``[first, step, span]``.
    """
    tile = torch.arange(-(-size // TILE))
    target = (tile[:, None] * TILE + torch.arange(TILE)).clamp(max=size - 1)
    n, reach = length[:, None], length[:, None].clamp(min=size)
    start = ((2 * target[:, 0] + 1) * n - 2 * reach + size).div(2 * size, rounding_mode="floor")
    end = ((2 * target[:, -1] + 1) * n + 2 * reach + size).div(2 * size, rounding_mode="floor")
    step = (2 * TILE * length + size).div(2 * size, rounding_mode="floor")
    first = (start.clamp(min=0) - tile * step[:, None]).amin(1)
    span = (torch.minimum(end, n) - tile * step[:, None]).amax(1) - first
    windows = torch.stack([first, step, span], 1).tolist()
    widest = max((window[2] for window in windows), default=0)
    source = (first[:, None] + tile * step[:, None])[..., None] + torch.arange(widest)
    weights = triangle_weights(
        source[..., None], target[:, None], length[:, None, None, None], size
    )
    return weights, windows


def _margin(length: int, size: int) -> int:
    """Return how many pixels a window may reach beyond a crop of at most ``length``, with room.

    It must not depend on the other crops: where numbers lie in memory can change a product's last
    bit.
    """
    return -(-size // TILE) + (TILE + 1) * -(-length // size) + 2


def _windows(x: Tensor, m: int, margin: int, window: list[int], tiles: int) -> Tensor:
    """View the windows of a memory of rows of ``m`` numbers as ``(tiles, m, span)``."""
    first, step, span = window
    return x.as_strided((tiles, m, span), (step * m, 1, m), (margin + first) * m)


def _tiles(x: Tensor, m: int, offset: int, tiles: int) -> Tensor:
    """View the ``(m, tiles * TILE)`` numbers after ``offset`` as ``(tiles, m, TILE)``."""
    return x.as_strided((tiles, m, TILE), (TILE, tiles * TILE, 1), offset)
