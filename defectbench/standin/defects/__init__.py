"""Procedural stand-ins of defects: one occurrence of a named defect painted on a product's picture.

The mask is known exactly because the defect is drawn: a pixel belongs to it where the paint covers
more than 0.3.
"""

from __future__ import annotations

import numpy as np

from defectbench.standin.defects.canvas import Canvas, foreground
from defectbench.standin.defects.catalogue import HOLLOW, PAINTINGS, PARTS
from defectbench.standin.defects.dagm import weak_ellipse
from defectbench.standin.textures.noise import Image, Mask

__all__ = ["LEAST_AREA", "add", "names", "weak_ellipse"]

LEAST_AREA = 12  # pixels; a smaller occurrence is drawn anew
LEAST_CHANGE = 10.0  # grey levels, mean over the mask; so is a fainter one
_ATTEMPTS = 20


def names(product: str) -> tuple[str, ...]:
    """Names of the defects that can be drawn on `product`, as its data set spells them.

    Raises:
        ValueError: no such product.
    """
    if product not in PAINTINGS:
        known = ", ".join(PAINTINGS)
        raise ValueError(f"no defects are drawn for product {product!r}; there are {known}")
    return tuple(PAINTINGS[product])


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
    region = foreground(image, filled=product not in HOLLOW) if product in PARTS else None
    for _ in range(_ATTEMPTS):
        canvas = Canvas(image, region)
        PAINTINGS[product][defect](canvas, rng)
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
