"""Filters along both axes as products with band matrices, for GPUs.

A depthwise convolution has a few multiplications per value and no tensor core to do them; the same filter as a matrix of
the image's side has many more and takes a fraction of the time, first and second derivatives included. On a CPU the
short filters are faster as convolutions, by 2 to 5 times; StyleGAN3's long ones are not (a product takes 0.6 to 0.8 of
the time at 64 px), and stay convolutions there for the sake of the results that exist.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def by_bands(x: Tensor) -> bool:
    """Say whether a filter of this tensor had better be a product with band matrices."""
    return x.is_cuda


@lru_cache(maxsize=512)
def band(
    taps: tuple[float, ...],
    length: int,
    *,
    up: int,
    down: int,
    start: int,
    size: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Write a filter as a matrix (size, length).

    `up - 1` zeros follow each of the `length` samples; of their full convolution with the taps, every `down`-th value is
    taken from `start` on.
    """
    place = torch.arange(size)[:, None] * down + start - torch.arange(length) * up  # (size, length)
    within = (place >= 0) & (place < len(taps))
    values = torch.tensor(taps, dtype=torch.float64)[place.clamp(0, len(taps) - 1)]
    return (values * within).to(dtype).to(device)


def filter_both_axes(
    x: Tensor,
    taps: tuple[float, ...],
    size: tuple[int, int],
    *,
    up: int = 1,
    down: int = 1,
    start: int = 0,
) -> Tensor:
    """Filter and resample (B, C, H, W) along height and width; gives (B, C, *size). See `band`."""
    b, c, height, width = x.shape
    left, right = (
        band(taps, length, up=up, down=down, start=start, size=side, dtype=x.dtype, device=x.device)
        for length, side in zip((height, width), size, strict=True)
    )
    rows = x.reshape(b * c, height, width) @ right.T  # (B C, H, W')
    return torch.bmm(left.expand(b * c, -1, -1), rows).view(b, c, *size)
