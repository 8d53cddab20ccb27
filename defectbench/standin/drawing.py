"""Procedural stand-ins of inspected products: one drawing per product name, and one occurrence of a named defect on it.

The pictures look like the public inspection data sets that they stand for (grain, weave, lighting), cost milliseconds and
follow from the random generator alone. They are not those data. A mask is known exactly because the defect is drawn: a
pixel belongs to it where the paint covers more than 0.3.
"""

from __future__ import annotations

import numpy as np

from defectbench.standin.catalogue import ALSO
from defectbench.standin.catalogue import PRODUCTS as _PRODUCTS
from defectbench.standin.defects.canvas import Canvas, foreground
from defectbench.standin.textures.noise import Image, Mask, to_bytes

PRODUCTS: tuple[str, ...] = tuple(_PRODUCTS)
LEAST_AREA = 12  # pixels; a smaller occurrence is drawn anew
LEAST_CHANGE = 10.0  # grey levels, mean over the mask; so is a fainter one
_ATTEMPTS = 20


def known_as(name: str) -> str:
    """Name of a product's drawing: `name`, or what else it is called."""
    return ALSO.get(name.lower(), name)


def draw(product: str, size: tuple[int, int] | int, rng: np.random.Generator) -> Image:
    """Draw one defect-free image of `product`: uint8 (H, W, 3) in [0, 255].

    Args:
        product: a name of `PRODUCTS`.
        size: (H, W) in pixels, or one side of a square; 16 at least.
        rng: the only source of chance; the same state draws the same bytes.

    Raises:
        ValueError: no such product, or a side under 16 pixels.
    """
    if product not in _PRODUCTS:
        raise ValueError(f"no drawing of product {product!r}; there are {', '.join(PRODUCTS)}")
    shape = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if min(shape) < 16:
        raise ValueError(f"size {size!r} is too small to draw {product}; want 16 pixels or more")
    return to_bytes(_PRODUCTS[product].draw(shape, rng))


def names(product: str) -> tuple[str, ...]:
    """Names of the defects that can be drawn on `product`, as its data set spells them.

    Raises:
        ValueError: no such product.
    """
    if product not in _PRODUCTS:
        known = ", ".join(PRODUCTS)
        raise ValueError(f"no defects are drawn for product {product!r}; there are {known}")
    return tuple(_PRODUCTS[product].defects)


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
    row = _PRODUCTS[product]
    region = foreground(image) if row.part else None
    for _ in range(_ATTEMPTS):
        canvas = Canvas(image, region)
        row.defects[defect](canvas, rng)
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
