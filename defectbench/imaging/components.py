"""Connected components of masks, and the forms that labels take: boxes, polygons, run lengths."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import approximate_polygon

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]

# Directions of travel along pixel edges as (dy, dx), each the right turn of the one before.
TURNS = ((0, 1), (1, 0), (0, -1), (-1, 0))


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


def polygons(mask: Mask, min_area: int = 1, *, tolerance: float = 0.0) -> list[Points]:
    """Return the outer contour of each 8-connected component.

    Contours run clockwise along pixel edges: the pixel (x, y) is the square from (x, y) to
    (x + 1, y + 1), so one pixel has four corners and a polygon's area is its component's. Holes
    are filled, since label formats made of polygons have none; `encode_rle` is exact. Where two
    pixels touch by a corner the contour passes that corner twice.

    Args:
        mask: (H, W).
        min_area: pixels of the smallest component reported.
        tolerance: distance in pixels by which a point may lie off a simplified contour
            (Douglas and Peucker 1973). A contour that this reduces to fewer than three points
            becomes the corners of its box.

    Returns:
        One (P, 2) array of x, y per component, P >= 3, the first point not repeated.

    Raises:
        ValueError: the mask is not (H, W) bool, or the tolerance is negative.
    """
    if tolerance < 0:
        raise ValueError(f"tolerance is {tolerance}; wants pixels, 0 or more")
    labels, _ = label_components(mask)
    contours = []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        component = labels[box] == index
        if np.count_nonzero(component) < min_area:
            continue
        contour = _outer_contour(component)
        if tolerance > 0:
            contour = _simplify(contour, tolerance)
        contours.append(contour + np.array([box[1].start, box[0].start]))
    return contours


def _outer_contour(component: Mask) -> Points:
    """Walk round a component with its pixels on the right hand; return the corners as (x, y)."""
    grid = np.pad(component, 1).tolist()  # corner (y, x) has pixel [y + 1][x + 1] below right
    start = (0, component[0].tolist().index(True))  # the left end of the topmost row
    (y, x), heading = start, 0
    corners = []
    while True:
        dy, dx = TURNS[heading]
        y, x = y + dy, x + dx
        # Pixels ahead of the corner, to the left and to the right of the heading.
        left = grid[y + (dy - dx + 1) // 2][x + (dx + dy + 1) // 2]
        right = grid[y + (dy + dx + 1) // 2][x + (dx - dy + 1) // 2]
        if left or not right:
            corners.append((x, y))
            heading = (heading - 1 if left else heading + 1) % 4
        if (y, x) == start and heading == 0:
            return np.array(corners, dtype=np.float64)


def _simplify(contour: Points, tolerance: float) -> Points:
    """Thin out a closed contour, starting at a point that is certain to stay."""
    farthest = int(np.argmax(((contour - contour[0]) ** 2).sum(axis=1)))
    halves = [contour[: farthest + 1], np.concatenate([contour[farthest:], contour[:1]])]
    kept = [approximate_polygon(half, tolerance)[:-1] for half in halves]
    thinned: Points = np.concatenate(kept)
    if len(thinned) < 3:
        (x0, y0), (x1, y1) = contour.min(axis=0), contour.max(axis=0)
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    return thinned


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


def decode_rle(rle: Rle) -> Mask:
    """Decode COCO's uncompressed run lengths.

    Args:
        rle: as of `encode_rle`.

    Returns:
        (H, W) mask.

    Raises:
        ValueError: a count is negative, or the counts do not add up to the size.
    """
    height, width = rle["size"]
    counts = np.asarray(rle["counts"], dtype=np.int64)
    if (counts < 0).any() or counts.sum() != height * width:
        raise ValueError(
            f"counts add up to {counts.sum()} with minimum {counts.min(initial=0)}; wants "
            f"{height * width} pixels for the size {rle['size']} and no negative count"
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(height, width, order="F")
