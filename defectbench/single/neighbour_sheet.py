"""A picture of generated images beside the real ones nearest to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from defectbench.features.images import Pixels
from defectbench.files import replacing
from defectbench.imaging.grid import grid
from defectbench.metrics.base import Array
from defectbench.metrics.memorisation import neighbours
from defectbench.metrics.parts.distances import distances
from defectbench.single.image_folders import Opened

SHOWN = 4  # samples at either end of the picture
NEAREST = 3  # real images beside each
TILE = (96, 192)  # smallest and largest side of a tile, pixels


def neighbour_sheet(path: Path, real: Opened, fake: Opened, reals: Array, fakes: Array) -> None:
    """Draw the samples farthest from and closest to the real images beside their neighbours.

    Distances are told in units of the median distance of a real image to its nearest other one.
    """
    first, second = reals.astype(np.float64), fakes.astype(np.float64)
    found = distances(first, second)
    gaps = found.between.T
    near = neighbours(found.within, gaps)
    unit = float(np.median(near.own)) or 1.0
    order = np.argsort(-near.distance, kind="stable")
    ends = min(SHOWN, len(order) // 2)
    chosen = [*order[:ends], *order[len(order) - ends :][::-1]]
    count = min(NEAREST, len(first))
    tiles, labels = [], []
    for sample in chosen:
        tiles.append(_tile(fake, sample))
        labels.append(fake.listing.files[sample].stem)
        for neighbour in np.argsort(gaps[sample], kind="stable")[:count]:
            tiles.append(_tile(real, neighbour))
            ratio = gaps[sample, neighbour] / unit
            labels.append(f"{ratio:.2f}x {real.listing.files[neighbour].stem}")
    ranks = [str(rank) for rank in range(1, ends + 1)]
    sheet = grid(
        tiles,
        columns=1 + count,
        labels=labels,
        pad=4,
        column_labels=["generated", "nearest real", "second", "third"][: 1 + count],
        row_labels=[f"{end} {rank}" for end in ("farthest", "closest") for rank in ranks],
    )
    with replacing(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")


def _tile(opened: Opened, index: int) -> Pixels:
    """An image at a size fit for a sheet: enlarged by whole factors, or shrunk smoothly."""
    pixels = opened.stack([index])[0]
    smallest, largest = TILE
    side = max(pixels.shape[:2])
    if side > largest:
        height, width = (max(1, round(n * largest / side)) for n in pixels.shape[:2])
        shrunk = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(shrunk)
    factor = -(-smallest // side)
    return np.asarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1))
