"""Procedural stand-ins of inspected products, defect-free: one drawing per product name.

The pictures look like the public inspection data sets that they stand for (grain, weave, lighting),
cost milliseconds and follow from the random generator alone. They are not those data.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from defectbench.standin.textures import (
    assemblies,
    boards,
    dagm,
    hardware,
    metal,
    planar,
    snacks,
    surfaces,
    wares,
)
from defectbench.standin.textures.noise import Field, Image, Shape, to_bytes

Drawing = Callable[[Shape, np.random.Generator], Field]

_DRAWINGS: dict[str, Drawing] = {
    "wood": surfaces.wood,
    "carpet": surfaces.carpet,
    "tile": surfaces.tile,
    "magnetic_tile": metal.magnetic_tile,
    "concrete": surfaces.concrete,
    **{f"dagm_{k}": drawing for k, drawing in enumerate(dagm.CLASSES, 1)},
    "commutator": metal.commutator,
    "ksdd2": metal.ksdd2,
    "sdi_a": metal.sdi_a,
    "sdi_b": metal.sdi_b,
    "sdi_c": metal.sdi_c,
    "bottle": wares.bottle,
    "cable": hardware.cable,
    "capsule": wares.capsule,
    "grid": planar.grid,
    "hazelnut": wares.hazelnut,
    "leather": planar.leather,
    "metal_nut": hardware.metal_nut,
    "pill": wares.pill,
    "screw": hardware.screw,
    "toothbrush": wares.toothbrush,
    "transistor": hardware.transistor,
    "zipper": planar.zipper,
    "breakfast_box": assemblies.breakfast_box,
    "juice_bottle": assemblies.juice_bottle,
    "pushpins": assemblies.pushpins,
    "screw_bag": assemblies.screw_bag,
    "splicing_connectors": assemblies.splicing_connectors,
    "candle": snacks.candle,
    "capsules": snacks.capsules,
    "cashew": snacks.cashew,
    "chewinggum": snacks.chewinggum,
    "fryum": snacks.fryum,
    "macaroni1": snacks.macaroni1,
    "macaroni2": snacks.macaroni2,
    "pipe_fryum": snacks.pipe_fryum,
    **{f"pcb{k}": drawing for k, drawing in enumerate(boards.DRAWINGS, 1)},
}

PRODUCTS: tuple[str, ...] = tuple(_DRAWINGS)


def draw(product: str, size: tuple[int, int] | int, rng: np.random.Generator) -> Image:
    """Draw one defect-free image of `product`: uint8 (H, W, 3) in [0, 255].

    Args:
        product: a name of `PRODUCTS`.
        size: (H, W) in pixels, or one side of a square; 16 at least.
        rng: the only source of chance; the same state draws the same bytes.

    Raises:
        ValueError: no such product, or a side under 16 pixels.
    """
    if product not in _DRAWINGS:
        raise ValueError(f"no drawing of product {product!r}; there are {', '.join(PRODUCTS)}")
    shape = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if min(shape) < 16:
        raise ValueError(f"size {size!r} is too small to draw {product}; want 16 pixels or more")
    return to_bytes(_DRAWINGS[product](shape, rng))
