"""Which square patches of an image are cached: those of a grid that hold a defect, or seeded ones of a normal image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from defectbench.data.files.decoding import Pixels
from defectbench.rng import numpy_rng

MIN_DEFECT: Final = 0.002
"""Fraction of a patch's pixels that must be defect by default: 131 pixels of a 256 px patch."""


@dataclass(frozen=True)
class Window:
    """A square patch of an image, in pixels of the source.

    Attributes:
        y: top.
        x: left.
        side: side; 0 is the whole image, square or not.
    """

    y: int = 0
    x: int = 0
    side: int = 0

    @property
    def suffix(self) -> str:
        """What is put behind the id of the image: `@y,x`, or nothing for the whole."""
        return f"@{self.y},{self.x}" if self.side else ""

    def cut(self, pixels: Pixels) -> Pixels:
        """Cut the patch out of (H, W[, C])."""
        if not self.side:
            return pixels
        return pixels[self.y : self.y + self.side, self.x : self.x + self.side]


def grid(length: int, side: int) -> list[int]:
    """Place windows of `side` along `length` pixels with stride `side // 2`, the last one flush with the end."""
    stride = max(1, side // 2)
    starts = list(range(0, length - side + 1, stride))
    if starts[-1] != length - side:
        starts.append(length - side)
    return starts


def defect_windows(mask: Pixels, crop: int, least: float = MIN_DEFECT) -> list[Window]:
    """Choose the patches of a grid of which at least the fraction `least` is defect.

    A defect too small for that gives the one patch that holds most of it; an empty mask gives none. An image smaller
    than `crop` is cut to squares of its shorter side.

    Departs: the paper says that 12 real images of carpet-color gave 114 patches of 256 px (DCDGANc, Table 3) but not
    how; a stride of half the patch is ours.

    Args:
        mask: (H, W) uint8 in {0, 1}.
        crop: side of the patches, pixels.
        least: fraction of a patch's pixels, from 0 to 1.
    """
    side = min(crop, *mask.shape)
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64)
    sums[1:, 1:] = mask.astype(np.int64).cumsum(axis=0).cumsum(axis=1)
    windows: list[Window] = []
    held: list[int] = []
    for y in grid(mask.shape[0], side):
        for x in grid(mask.shape[1], side):
            windows.append(Window(y, x, side))
            held.append(
                int(sums[y + side, x + side] - sums[y, x + side] - sums[y + side, x] + sums[y, x])
            )
    enough = [w for w, n in zip(windows, held, strict=True) if n >= least * side * side]
    if enough or not max(held):
        return enough
    return [windows[int(np.argmax(held))]]


def normal_windows(height: int, width: int, crop: int, count: int, name: str) -> list[Window]:
    """Choose patches of a normal image at random, the same for the same `name`; sorted, without repeats.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        crop: side of the patches, pixels; an image smaller than that is cut to squares of its shorter side.
        count: how many, fewer if there are not so many places.
        name: id of the image, which seeds the choice.
    """
    side = min(crop, height, width)
    places = (height - side + 1) * (width - side + 1)
    rng = numpy_rng(0, "windows", name)
    chosen = sorted(rng.choice(places, size=min(count, places), replace=False).tolist())
    return [Window(p // (width - side + 1), p % (width - side + 1), side) for p in chosen]
