"""Magnetic Tile Defects drawn: tiles of all sizes, each photographed several times under other exposures."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from defectbench.data.files.decoding import Pixels
from defectbench.datasets.mtd import COUNTS, FREE, GAP, MTD, PRODUCT
from defectbench.standin import writing
from defectbench.standin.drawing import LEAST_AREA
from defectbench.standin.order import LEAST, Order

EXPOSURES: Final = 6
"""Photographs of a tile, at most."""
EDGES: Final = (1, 9, 13)
"""Grey values around the published masks."""
MARGIN: Final = 3
"""Pixels by which the cut-outs of a tile differ."""


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: images have this side on average, pixels; a tile's own sides lie between 0.6 and 1.5 of it.
    `normals`: images in `MT_Free`; there is no published split.
    `defective`: images in every other folder.
    """
    size, normals, defective, seed = order.size, order.normals, order.defective, order.seed
    frame = 400
    for name in COUNTS:
        count = normals if name == FREE else defective
        shots = int(
            np.clip(count // 4, 1, EXPOSURES)
        )  # four tiles of each label, if there are so many images
        for first in range(0, count, shots):
            rng = writing.stream(seed, MTD.folder, name, first)
            image, mask = _draw_tile(name, size, rng)
            frame += GAP + int(rng.integers(100, 1500))
            for shot in range(min(shots, count - first)):
                last = first + shot == count - 1
                photograph, cut = _photograph(image, mask, shot, rng)
                if name == "Uneven" and last and count > 1:
                    cut = np.zeros_like(cut)  # as four of the published masks
                stem = out / f"MT_{name}" / "Imgs" / f"exp{shot + 1}_num_{frame}"
                writing.save(stem.with_suffix(".jpg"), photograph)
                writing.save(stem.with_suffix(".png"), _with_grey_edges(cut))
                frame += int(rng.integers(10, 40))
    overview = writing.normal(PRODUCT, (size, 2 * size), writing.stream(seed, MTD.folder, "cover"))
    writing.save(out / "dataset.jpg", overview)
    (out / "README.md").write_text(
        "Drawn by defectbench in the layout of Magnetic Tile Defects; not its images.\n"
    )


def _draw_tile(name: str, size: int, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Draw a tile, larger than its photographs by the margin: image and mask."""
    stretch = rng.uniform(0.7, 1.4)
    height = max(LEAST, round(size * stretch**0.5)) + 2 * MARGIN
    width = max(LEAST, round(size / stretch**0.5)) + 2 * MARGIN
    if name == FREE:
        image = writing.normal(PRODUCT, (height, width), rng)
        return image, np.zeros((height, width), dtype=np.uint8)
    return writing.defective(PRODUCT, name, (height, width), rng)


def _photograph(
    image: Pixels, mask: Pixels, shot: int, rng: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Photograph a tile once: another exposure, sensor noise, another cut-out by hand; grey."""
    top, left, bottom, right = rng.integers(0, 2 * MARGIN, size=4)
    window = np.s_[top : image.shape[0] - bottom, left : image.shape[1] - right]
    if mask.any() and mask[window].sum() < LEAST_AREA:
        window = np.s_[:, :]
    light = writing.grey(image)[window].astype(np.float32) / 255
    gain, gamma = 0.85 + 0.1 * shot, rng.uniform(0.98, 1.02)
    exposed = np.clip(gain * light, 0, 1) ** gamma * 255 + rng.normal(0, 1.5, light.shape)
    return np.clip(np.round(exposed), 0, 255).astype(np.uint8), mask[window]


def _with_grey_edges(mask: Pixels) -> Pixels:
    """Write 255 for the defect and grey values for some pixels that touch it from outside, as published."""
    values = np.asarray(mask * np.uint8(255), dtype=np.uint8)
    padded = np.pad(mask, 1)
    beside = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    ys, xs = np.nonzero((beside > 0) & (mask == 0))
    for k, value in enumerate(EDGES):
        values[ys[k::7], xs[k::7]] = value
    return values
