"""Connected components of masks, and the forms that labels take: boxes, run lengths."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]


class Box(NamedTuple):
    """The extent of one component in pixels; x1 and y1 are exclusive, as in a slice."""

    x0: int
    y0: int
    x1: int
    y1: int
    area: int
    """Pixels of the component, not of the box."""


class Rle(TypedDict):
    """COCO's uncompressed run-length encoding."""

    size: list[int]
    """Height and width."""
    counts: list[int]
    """Lengths of runs down the columns, in turn of 0 and 1; the first is of 0 and may be 0."""


def label_components(mask: Mask, connectivity: int = 8) -> tuple[npt.NDArray[np.int32], int]:
    """Number the connected components of a mask.

    Args:
        mask: (H, W).
        connectivity: 8, or 4 where corners do not connect.

    Returns:
        (H, W) labels, 0 outside the mask and 1 to n in reading order of first pixels; and n.

    Raises:
        ValueError: the mask is not (H, W) bool, or the connectivity neither 4 nor 8.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"mask is {mask.dtype} {mask.shape}; wants bool (H, W)")
    if connectivity not in {4, 8}:
        raise ValueError(f"connectivity is {connectivity}; wants 4 or 8")
    structure = ndimage.generate_binary_structure(2, 2 if connectivity == 8 else 1)
    labels, count = ndimage.label(mask, structure)
    return labels, int(count)


def drop_small(mask: Mask, min_area: int, connectivity: int = 8) -> Mask:
    """Return the mask without its components of fewer than `min_area` pixels.

    Args:
        mask: (H, W).
        min_area: pixels of the smallest component kept.
        connectivity: 8 or 4.

    Returns:
        (H, W) mask, a copy.

    Raises:
        ValueError: see `label_components`.
    """
    labels, _ = label_components(mask, connectivity)
    keep = np.bincount(labels.ravel()) >= min_area
    keep[0] = False
    kept: Mask = keep[labels]
    return kept


def boxes(mask: Mask, min_area: int = 1) -> list[Box]:
    """Return the bounding box of each 8-connected component, in reading order of first pixels.

    Args:
        mask: (H, W).
        min_area: pixels of the smallest component reported.

    Returns:
        One `Box` per component; none for an empty mask.

    Raises:
        ValueError: the mask is not (H, W) bool.
    """
    labels, _ = label_components(mask)
    areas = np.bincount(labels.ravel())
    return [
        Box(columns.start, rows.start, columns.stop, rows.stop, int(area))
        for (rows, columns), area in zip(ndimage.find_objects(labels), areas[1:], strict=True)
        if area >= min_area
    ]


def encode_rle(mask: Mask) -> Rle:
    """Encode a mask as COCO's uncompressed run lengths, exactly.

    Args:
        mask: (H, W).

    Returns:
        ``{"size": [H, W], "counts": [...]}``, plain integers ready for JSON.

    Raises:
        ValueError: the mask is not (H, W) bool.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"mask is {mask.dtype} {mask.shape}; wants bool (H, W)")
    pixels = np.concatenate([[False], mask.ravel(order="F")])
    turns = np.flatnonzero(np.diff(pixels))
    counts = np.diff(turns, prepend=0, append=mask.size).tolist()
    return {"size": [int(side) for side in mask.shape], "counts": counts}
