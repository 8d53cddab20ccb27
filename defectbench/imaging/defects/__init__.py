"""Procedural stand-ins of defects: one occurrence of a named defect painted on a product's picture.

The mask is known exactly because the defect is drawn: a pixel belongs to it where the paint covers
more than 0.3.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from defectbench.imaging.defects import concrete, dagm, hardware, metal, planar, surfaces, wares
from defectbench.imaging.defects.canvas import Canvas, foreground
from defectbench.imaging.defects.dagm import weak_ellipse
from defectbench.imaging.textures.noise import Image, Mask

__all__ = ["LEAST_AREA", "add", "names", "weak_ellipse"]

Painting = Callable[[Canvas, np.random.Generator], None]

LEAST_AREA = 12  # pixels; a smaller occurrence is drawn anew
LEAST_CHANGE = 10.0  # grey levels, mean over the mask; so is a fainter one
_ATTEMPTS = 20

_PAINTINGS: dict[str, dict[str, Painting]] = {
    "wood": {
        "color": surfaces.wood_color,
        "combined": surfaces.wood_combined,
        "hole": surfaces.wood_hole,
        "liquid": surfaces.wood_liquid,
        "scratch": surfaces.wood_scratch,
    },
    "carpet": {
        "color": surfaces.carpet_color,
        "cut": surfaces.carpet_cut,
        "hole": surfaces.carpet_hole,
        "metal_contamination": surfaces.carpet_metal_contamination,
        "thread": surfaces.carpet_thread,
    },
    "tile": {
        "crack": surfaces.tile_crack,
        "glue_strip": surfaces.tile_glue_strip,
        "gray_stroke": surfaces.tile_gray_stroke,
        "oil": surfaces.tile_oil,
        "rough": surfaces.tile_rough,
    },
    "magnetic_tile": {
        "Blowhole": metal.blowhole,
        "Break": metal.tile_break,
        "Crack": metal.tile_crack,
        "Fray": metal.tile_fray,
        "Uneven": metal.tile_uneven,
    },
    "concrete": {
        "Crack": concrete.crack,
        "Spallation": concrete.spallation,
        "Efflorescence": concrete.efflorescence,
        "ExposedBars": concrete.exposed_bars,
        "CorrosionStain": concrete.corrosion_stain,
    },
    **{f"dagm_{k}": {"defect": painting} for k, painting in enumerate(dagm.CLASSES, 1)},
    "commutator": {"defect": metal.fracture},
    "ksdd2": {"defect": metal.imperfection},
    **{
        product: {"scratches": metal.scratches, "spots": metal.spots}
        for product in ("sdi_a", "sdi_b", "sdi_c")
    },
    "bottle": {
        "broken_large": wares.bottle_broken_large,
        "broken_small": wares.bottle_broken_small,
        "contamination": wares.bottle_contamination,
    },
    "cable": {
        "bent_wire": hardware.cable_bent_wire,
        "cable_swap": hardware.cable_cable_swap,
        "combined": hardware.cable_combined,
        "cut_inner_insulation": hardware.cable_cut_inner_insulation,
        "cut_outer_insulation": hardware.cable_cut_outer_insulation,
        "missing_cable": hardware.cable_missing_cable,
        "missing_wire": hardware.cable_missing_wire,
        "poke_insulation": hardware.cable_poke_insulation,
    },
    "capsule": {
        "crack": wares.capsule_crack,
        "faulty_imprint": wares.capsule_faulty_imprint,
        "poke": wares.capsule_poke,
        "scratch": wares.capsule_scratch,
        "squeeze": wares.capsule_squeeze,
    },
    "grid": {
        "bent": planar.grid_bent,
        "broken": planar.grid_broken,
        "glue": planar.grid_glue,
        "metal_contamination": planar.grid_metal_contamination,
        "thread": planar.grid_thread,
    },
    "hazelnut": {
        "crack": wares.hazelnut_crack,
        "cut": wares.hazelnut_cut,
        "hole": wares.hazelnut_hole,
        "print": wares.hazelnut_print,
    },
    "leather": {
        "color": planar.leather_color,
        "cut": planar.leather_cut,
        "fold": planar.leather_fold,
        "glue": planar.leather_glue,
        "poke": planar.leather_poke,
    },
    "metal_nut": {
        "bent": hardware.nut_bent,
        "color": hardware.nut_color,
        "flip": hardware.nut_flip,
        "scratch": hardware.nut_scratch,
    },
    "pill": {
        "color": wares.pill_color,
        "combined": wares.pill_combined,
        "contamination": wares.pill_contamination,
        "crack": wares.pill_crack,
        "faulty_imprint": wares.pill_faulty_imprint,
        "pill_type": wares.pill_type,
        "scratch": wares.pill_scratch,
    },
    "screw": {
        "manipulated_front": hardware.screw_manipulated_front,
        "scratch_head": hardware.screw_scratch_head,
        "scratch_neck": hardware.screw_scratch_neck,
        "thread_side": hardware.screw_thread_side,
        "thread_top": hardware.screw_thread_top,
    },
    "toothbrush": {
        "defective": wares.toothbrush_defective,
    },
    "transistor": {
        "bent_lead": hardware.transistor_bent_lead,
        "cut_lead": hardware.transistor_cut_lead,
        "damaged_case": hardware.transistor_damaged_case,
        "misplaced": hardware.transistor_misplaced,
    },
    "zipper": {
        "broken_teeth": planar.zipper_broken_teeth,
        "combined": planar.zipper_combined,
        "fabric_border": planar.zipper_fabric_border,
        "fabric_interior": planar.zipper_fabric_interior,
        "rough": planar.zipper_rough,
        "split_teeth": planar.zipper_split_teeth,
        "squeezed_teeth": planar.zipper_squeezed_teeth,
    },
}

_PARTS = frozenset(
    {"sdi_a", "bottle", "capsule", "hazelnut", "metal_nut", "pill", "screw"}
)  # products seen on a plain background: defects stay on the part


def names(product: str) -> tuple[str, ...]:
    """Names of the defects that can be drawn on `product`, as its data set spells them.

    Raises:
        ValueError: no such product.
    """
    if product not in _PAINTINGS:
        known = ", ".join(_PAINTINGS)
        raise ValueError(f"no defects are drawn for product {product!r}; there are {known}")
    return tuple(_PAINTINGS[product])


def add(product: str, defect: str, image: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Paint one occurrence of `defect` as it looks on `product`.

    Args:
        product: a name that `names` knows.
        defect: a name of `names(product)`.
        image: uint8 (H, W, 3) in [0, 255], a picture of that product; not changed.
        rng: the only source of chance.

    Returns:
        The picture, uint8 (H, W, 3), and the mask, bool (H, W), True on the defect; at least 12 pixels,
        visibly different from before.

    Raises:
        ValueError: no such product or defect, or the image is not uint8 (H, W, 3).
    """
    known = names(product)
    if defect not in known:
        raise ValueError(f"{product} has no defect {defect!r}; it has {', '.join(known)}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image is {image.dtype} {image.shape}; want uint8 (H, W, 3)")
    region = foreground(image) if product in _PARTS else None
    for _ in range(_ATTEMPTS):
        canvas = Canvas(image, region)
        _PAINTINGS[product][defect](canvas, rng)
        painted, mask = canvas.finish()
        if _visible(image, painted, mask):
            return painted, mask
    raise ValueError(
        f"{defect} on {product} found no room in an image of {image.shape[:2]}; draw it larger"
    )


def _visible(before: Image, after: Image, mask: Mask) -> bool:
    """Whether the mask is large enough and the picture differs from before on most of it."""
    if mask.sum() < LEAST_AREA:
        return False
    change = np.abs(after[mask].astype(np.int16) - before[mask]).max(axis=1)
    return bool(change.mean() >= LEAST_CHANGE and (change > 3).mean() >= 0.6)
