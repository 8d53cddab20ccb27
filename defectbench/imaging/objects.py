"""Where the object is: a photograph of a thing on a flat background, or of a surface that fills the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

FLAT = 20.0  # grey levels; the background differs from its own median by no more
FLAT_BORDER = 0.6  # share of the border's pixels that must be flat
BACKGROUND = 0.05, 0.9  # share of the image that a background may be
CONTRAST = 40.0  # grey levels; median difference of the object from the background


def object_area(image: Image) -> Mask:
    """Find the object, or call the whole image object if it has no flat background.

    The background is what hangs together with the image's border and differs from the border's median colour by at most
    `FLAT`. It counts only if most of the border is flat, if it is a plausible share of the image and if what remains
    stands out from it: otherwise the image shows a surface, e.g. a tile, and all of it is object.

    Args:
        image: (H, W, 3).

    Returns:
        (H, W), True on the object; holes are filled.

    Raises:
        ValueError: the image is not uint8 (H, W, 3).
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image is {image.dtype} {image.shape}; expected uint8 (H, W, 3)")
    whole = np.ones(image.shape[:2], dtype=np.bool_)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    colour = np.median(border, axis=0)
    distance = np.abs(image - colour).max(axis=2)
    if np.mean(np.abs(border - colour).max(axis=1) <= FLAT) < FLAT_BORDER:
        return whole
    labels, _ = ndimage.label(distance <= FLAT)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    background = np.isin(labels, np.unique(edge[edge > 0]))
    least, most = BACKGROUND
    if not least <= background.mean() <= most:
        return whole
    found: Mask = ndimage.binary_fill_holes(~background)
    found = ndimage.binary_opening(found)
    if not found.any() or float(np.median(distance[found])) < CONTRAST:
        return whole
    return found
