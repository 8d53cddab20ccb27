"""One closed line per region, holes included, for label formats whose polygons have none.

A hole is joined to the outline by a bridge of no width that runs through the region, so that the even-odd rule (OpenCV's
fillPoly, COCO's rasteriser) leaves the hole out, and a region stays one object.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from defectbench.imaging.components import label_components

Mask = npt.NDArray[np.bool_]
Point = tuple[int, int]

# Directions of travel along pixel edges as (dx, dy), each the right turn of the one before.
EAST, SOUTH = 0, 1
TURNS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def outlines(mask: Mask, min_area: int = 1, *, fill: bool = False) -> list[list[Point]]:
    """Outline each 8-connected component along pixel edges.

    Args:
        mask: (H, W).
        min_area: pixels of the smallest component outlined.
        fill: leave holes out of the line, so that they count as filled; else bridge to them.

    Returns:
        One list of (x, y) per component, in the order of `imaging.components.boxes`; four points at least.
    """
    labels, count = label_components(mask)
    lines = []
    for index, window in enumerate(ndimage.find_objects(labels, count), start=1):
        component = labels[window] == index
        if np.count_nonzero(component) < min_area:
            continue
        first = int(np.flatnonzero(component[0])[0])
        line = _walk(component, (first, 0), EAST)
        if not fill:
            line = _bridged(component, line)
        y, x = window[0].start, window[1].start
        lines.append([(px + x, py + y) for px, py in line])
    return lines


def _walk(component: Mask, start: Point, heading: int) -> list[Point]:
    """Follow a boundary with the component on the right hand, across corners where its pixels touch.

    Returns:
        The corners passed; the last one is `start`.
    """
    grid = np.pad(component, 1).tolist()  # corner (x, y) has pixel [y + 1][x + 1] below right
    (x, y), towards = start, heading
    line = []
    while True:
        dx, dy = TURNS[towards]
        x, y = x + dx, y + dy
        left = grid[y + (dy - dx + 1) // 2][x + (dx + dy + 1) // 2]  # of the pixels ahead
        right = grid[y + (dy + dx + 1) // 2][x + (dx - dy + 1) // 2]
        if left or not right:
            line.append((x, y))
            towards = (towards - 1 if left else towards + 1) % 4
        if (x, y) == start and towards == heading:
            return line


def _bridged(component: Mask, line: list[Point]) -> list[Point]:
    """Join every hole to the line, from left to right, each by a step to the left along a row."""
    holes = ndimage.binary_fill_holes(component) & ~component
    labels, _ = label_components(holes, connectivity=4)
    lefts = [
        (columns.start, index) for index, (_, columns) in enumerate(ndimage.find_objects(labels), 1)
    ]
    for x, index in sorted(lefts):
        y = int(np.flatnonzero(labels[:, x] == index)[0])  # the hole's upper left corner
        around = _walk(component, (x, y), SOUTH)
        before = np.flatnonzero(~component[y, :x])
        edge = int(before[-1]) + 1 if len(before) else 0
        line = _insert(line, (edge, y), [(x, y), *around])
    return line


def _insert(line: list[Point], at: Point, detour: list[Point]) -> list[Point]:
    """Leave a closed line at a point on one of its upright edges, follow the detour, and come back."""
    x, y = at
    for index, (ax, ay) in enumerate(line):
        bx, by = line[(index + 1) % len(line)]
        if ax == bx == x and min(ay, by) <= y <= max(ay, by):
            return [*line[: index + 1], at, *detour, at, *line[index + 1 :]]
    raise AssertionError(f"no edge of the outline passes {at}")
