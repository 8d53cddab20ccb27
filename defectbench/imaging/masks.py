"""Masks from pairs of images: what did a translator change?

An image translator turns a normal image into a defective one and says not where. The mask is
derived from the difference, and refused if the translator changed the background too: a sample
then has no mask, which is honest, where a wrong one would spoil whatever is trained on it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, threshold_otsu

from defectbench.imaging.components import drop_small

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

LEAST_CHANGE = 25.0  # grey levels; a weaker change starts no defect
MIN_AREA_AT_128 = 16  # pixels
BACKGROUND_ERROR = 8.0  # grey levels; mean change outside the mask of a valid sample
VALID_SHARE = 0.001, 0.4  # of the image, the mask of a valid sample

EIGHT = np.ones((3, 3), dtype=bool)


def difference_mask(image: Image, source: Image) -> tuple[Mask, bool]:
    """Derive a mask from an image and the normal image it was made from.

    1. Change: the largest over the channels of |image - source|, both blurred 3x3, less its median
       over the image, which takes out a global drift of tone.
    2. Mask: hysteresis with the high threshold Otsu's (25 or more) and the low one half of that,
       less the pixels whose unblurred change is below the low one (the blur had widened the mask
       by about a pixel); 3x3 closing, holes filled, components below 16 pixels at 128 px dropped;
       this area scales with that of the image.
    3. Validity: the mean of |change| outside the mask is below 8 grey levels, and the mask is more
       than 0.1 % and less than 40 % of the image.

    Args:
        image: (H, W, 3).
        source: (H, W, 3).

    Returns:
        (H, W) mask, and whether it is valid. An invalid mask is for inspection only.

    Raises:
        ValueError: the images are not uint8 (H, W, 3) of one shape.
    """
    _check(image, source)
    signed = image.astype(np.float32) - source
    sharp = np.abs(signed).max(axis=2)
    blurred = np.abs(ndimage.uniform_filter(signed, size=(3, 3, 1))).max(axis=2)
    return _threshold(blurred - np.median(blurred), sharp - np.median(sharp))


def anchor_difference_mask(image: Image, anchor: Image) -> tuple[Mask, bool]:
    """Derive a mask from two outputs of one generator, with a defect and with none.

    Both hold the generator's error of drawing the background, so it cancels: there is no blur and
    no drift to take out. The rest is as in `difference_mask`.

    Args:
        image: output for a defect class, (H, W, 3).
        anchor: output for the same background and no defect, (H, W, 3).

    Returns:
        (H, W) mask, and whether it is valid.

    Raises:
        ValueError: the images are not uint8 (H, W, 3) of one shape.
    """
    _check(image, anchor)
    change = np.abs(image.astype(np.float32) - anchor).max(axis=2)
    return _threshold(change, change)


def outline(image: Image, mask: Mask, colour: tuple[int, int, int] = (255, 0, 0)) -> Image:
    """Draw the contour of a mask round, not over, what it marks.

    Args:
        image: (H, W, 3).
        mask: (H, W).
        colour: red, green and blue, [0, 255].

    Returns:
        A copy of the image with the line, one pixel wide, just outside the mask; where the mask
        touches the image border the line is left out.

    Raises:
        ValueError: the image is not uint8 (H, W, 3) or the mask not bool (H, W).
    """
    if image.dtype != np.uint8 or mask.dtype != np.bool_ or image.shape != (*mask.shape, 3):
        raise ValueError(
            f"image is {image.dtype} {image.shape} and mask {mask.dtype} {mask.shape}; wants uint8 "
            "(H, W, 3) and bool (H, W)"
        )
    drawn = image.copy()
    drawn[ndimage.binary_dilation(mask, EIGHT) & ~mask] = colour
    return drawn


def _threshold(
    change: npt.NDArray[np.float32], sharp: npt.NDArray[np.float32]
) -> tuple[Mask, bool]:
    """Carry out steps 2 and 3 of `difference_mask`."""
    otsu = float(threshold_otsu(change)) if change.min() < change.max() else 0.0
    high = max(otsu, LEAST_CHANGE)
    mask: Mask = apply_hysteresis_threshold(change, 0.5 * high, high) & (sharp > 0.5 * high)
    # Closing erodes from the image border inwards unless the border is repeated first.
    mask = ndimage.binary_closing(np.pad(mask, 1, mode="edge"), EIGHT)[1:-1, 1:-1]
    mask = ndimage.binary_fill_holes(mask)
    mask = drop_small(mask, math.ceil(MIN_AREA_AT_128 * mask.size / 128**2))
    outside = np.abs(change[~mask])
    quiet = outside.size > 0 and float(outside.mean()) < BACKGROUND_ERROR
    least, most = VALID_SHARE
    return mask, bool(quiet and least < mask.mean() < most)


def _check(image: Image, other: Image) -> None:
    for each in (image, other):
        if each.dtype != np.uint8 or each.ndim != 3 or each.shape != (*image.shape[:2], 3):
            raise ValueError(
                f"images are {image.dtype} {image.shape} and {other.dtype} {other.shape}; wants "
                "uint8 (H, W, 3) both"
            )
