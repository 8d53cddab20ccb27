"""Annotated boxes: how a manifest writes them, and how they follow an image into the decoded cache.

A manifest whose dataset annotates boxes has a column `boxes` besides those of every manifest: one text per image, in source
pixels, `""` where nothing is annotated. A box is `x0 y0 x1 y1 name`, several are parted by `;`; corners count from 0 and
the right and lower one are exclusive, as in a slice. The decoded cache has the same column in its own pixels. Whoever
wants boxes takes those of an image if it has any, and else those of its mask's connected components.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from defectbench.data.manifest import LIST_SEPARATOR

SHOWN: Final = 0.25
"""Least share of a box that a patch must show to keep it."""

Rows = npt.NDArray[np.float32]


class Box(NamedTuple):
    """A box around a defect, in pixels; the right and lower edge are exclusive.

    Attributes:
        x0: left.
        y0: top.
        x1: right.
        y1: bottom.
        name: of the defect.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    name: str


def write_boxes(boxes: Iterable[Box]) -> str:
    """Write boxes as a manifest has them; corners keep three decimals."""
    return LIST_SEPARATOR.join(
        " ".join([*(f"{round(corner, 3):.12g}" for corner in box[:4]), box.name]) for box in boxes
    )


def read_boxes(text: str) -> list[Box]:
    """Read what `write_boxes` wrote.

    Raises:
        ValueError: it is not such a text, or a box is empty.
    """
    boxes = []
    for item in text.split(LIST_SEPARATOR) if text else ():
        *corners, name = item.split(" ", 4)
        if len(corners) != 4 or not name:
            raise ValueError(f"box {item!r}; wants x0 y0 x1 y1 name")
        x0, y0, x1, y1 = map(float, corners)
        if not (x0 < x1 and y0 < y1):
            raise ValueError(f"box {item!r} is empty; wants x0 < x1 and y0 < y1")
        boxes.append(Box(x0, y0, x1, y1, name))
    return boxes


def place_boxes(
    boxes: Iterable[Box], *, left: float, top: float, width: float, height: float, size: int
) -> list[Box]:
    """Give boxes the pixels of a cached image that shows a window of their image.

    Args:
        boxes: in pixels of the source.
        left: of the window, source pixels.
        top: of the window, source pixels.
        width: of the window, source pixels.
        height: of the window, source pixels.
        size: side of the cached image, pixels.

    Returns:
        the boxes, cut at the window's border, without those of which less than `SHOWN` lies inside.
    """
    placed = []
    for box in boxes:
        x0, x1 = (min(max(x - left, 0.0), width) for x in (box.x0, box.x1))
        y0, y1 = (min(max(y - top, 0.0), height) for y in (box.y0, box.y1))
        whole = (box.x1 - box.x0) * (box.y1 - box.y0)
        if x0 < x1 and y0 < y1 and (x1 - x0) * (y1 - y0) >= SHOWN * whole:
            across, down = size / width, size / height
            placed.append(Box(x0 * across, y0 * down, x1 * across, y1 * down, box.name))
    return placed


def fill_boxes(boxes: Iterable[Box], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Fill boxes: (H, W) uint8, 1 inside of any of them."""
    mask = np.zeros((height, width), dtype=np.uint8)
    for box in boxes:
        mask[int(box.y0) : int(np.ceil(box.y1)), int(box.x0) : int(np.ceil(box.x1))] = 1
    return mask


def rename_boxes(text: str, names: dict[str, str | None]) -> str:
    """Give the boxes of an image other names; those that get None are left out."""
    boxes = [(box, names[box.name]) for box in read_boxes(text)]
    return write_boxes(box._replace(name=name) for box, name in boxes if name is not None)


def box_rows(text: str, defects: Sequence[str]) -> Rows:
    """Give boxes as numbers.

    Args:
        text: as of `write_boxes`.
        defects: names of the defects; a box of another name is left out, as a table may ask for some defects only.

    Returns:
        (M, 5) float32: x0, y0, x1, y1 in pixels and the number of the defect.
    """
    numbers = {name: k for k, name in enumerate(defects)}
    rows = [(*box[:4], numbers[box.name]) for box in read_boxes(text) if box.name in numbers]
    return np.array(rows, dtype=np.float32).reshape(-1, 5)
