"""Masks at another size: two rules for shrinking them.

`nearest` takes the pixel at the middle of each new one: what is thinner than the step may fall between the middles and
vanish. `area` looks at each region (8-connected) by itself and sets the new pixels of which it covers at least half, or, if
those are fewer than its area asks for, as many as that, those that it covers most. Of a region that covers half of no new
pixel it sets all of which it covers at least half as much as of the one that it covers most. So no region disappears, a
thin scratch stays as long as it is and becomes one or two pixels wide, and what is larger keeps its area. Enlarged masks,
and those of the right size, are the same under both.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

Mask = npt.NDArray[np.uint8]
Shrinking = Literal["nearest", "area"]
RULES: Final = get_args(Shrinking)
SLACK: Final = 1e-9
HALF: Final = 0.5 - SLACK
EIGHT: Final = np.ones((3, 3), dtype=np.uint8)


def resize_mask(mask: Mask, size: int, rule: Shrinking) -> Mask:
    """Bring a mask to a square.

    Args:
        mask: (H, W) uint8 in {0, 1}.
        size: side of the square, pixels.
        rule: how it is shrunk.

    Returns:
        (size, size) uint8 in {0, 1}.
    """
    height, width = mask.shape
    if rule == "nearest" or max(height, width) <= size:
        square = Image.fromarray(np.ascontiguousarray(mask))
        return np.asarray(square.resize((size, size), Image.Resampling.NEAREST), dtype=np.uint8)
    return _by_area(mask, size)


def _by_area(mask: Mask, size: int) -> Mask:
    from scipy.ndimage import find_objects, label

    if not mask.any():
        return np.zeros((size, size), dtype=np.uint8)
    down, across = (_shares(side, size) for side in mask.shape)
    kept = np.asarray(down @ mask.astype(np.float64) @ across.T >= HALF)
    regions, _ = label(mask, structure=EIGHT)
    for number, place in enumerate(find_objects(regions), 1):
        rows, columns = place
        region = (regions[place] == number).astype(np.float64)
        covered = down[:, rows] @ region @ across[:, columns].T  # share of each new pixel
        most = covered.max()
        asked = max(1, round(covered.sum()))  # pixels
        least = np.partition(covered, -asked, axis=None)[-asked] if most >= HALF else most / 2
        kept |= covered >= max(SLACK, min(HALF, least - SLACK))
    return kept.astype(np.uint8)


def _shares(side: int, size: int) -> npt.NDArray[np.float64]:
    """Share of each of `size` new pixels that each of `side` old ones covers, (size, side); rows sum to 1."""
    step = side / size
    edges = np.arange(side, dtype=np.float64)
    begin = np.arange(size, dtype=np.float64)[:, None] * step
    overlap = np.minimum(edges + 1, begin + step) - np.maximum(edges, begin)
    return np.asarray(np.clip(overlap, 0, None) / step)
