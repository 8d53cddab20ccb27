"""The canvas on which a defect is painted: covers, shades and displacements leave their exact mask.

A defect function paints with soft alphas; `Canvas.finish` returns the picture and the mask of pixels
where the accumulated alpha exceeds 0.3, and takes back whatever was painted farther out than the
soft rim, so that outside the (slightly dilated) mask the picture is the original, bit for bit.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from defectbench.standin.textures.noise import Colour, Field, Image, Mask, side

ALPHA = 0.3  # a pixel counts as defective above this coverage
DIFFERENCE = 28.0  # grey levels by which a part stands out from its background


class Canvas:
    """One picture while a defect is painted on it.

    Args:
        image: uint8 (H, W, 3).
        region: bool (H, W), where the inspected part lies; None for a whole textured surface.
    """

    def __init__(self, image: Image, region: Mask | None = None) -> None:
        self.original = image
        self.image: Field = image.astype(np.float32)  # (H, W, 3)
        self.alpha: Field = np.zeros(image.shape[:2], np.float32)
        self.region = region

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.alpha.shape[0], self.alpha.shape[1]

    @property
    def side(self) -> int:
        """Shorter side in pixels; lengths of defects are fractions of it."""
        return side(self.shape)

    def pixels(self, fraction: float, least: float = 1.0) -> float:
        """Length in pixels of a fraction of the side, `least` at least."""
        return max(fraction * self.side, least)

    def place(self, rng: np.random.Generator, margin: float = 0.12) -> tuple[float, float]:
        """Draw a point (y, x), pixels, at least `margin` of the side inside the part."""
        height, width = self.shape
        inset = margin * self.side
        if self.region is None:
            return (
                float(rng.uniform(inset, height - inset)),
                float(rng.uniform(inset, width - inset)),
            )
        framed = np.pad(self.region, 1)
        step = max(1, self.side // 96)  # a coarse distance map is enough to choose a point
        depth = ndimage.distance_transform_edt(framed[::step, ::step]) * step
        deep = np.argwhere(depth >= min(inset, 0.8 * float(depth.max())))
        y, x = deep[rng.integers(len(deep))] * step
        return float(min(y, height - 1)), float(min(x, width - 1))

    def cover(self, alpha: Field, colour: Colour | Field | float) -> None:
        """Blend a colour (RGB, grey, or an (H, W, 3) picture) over the image with `alpha` (H, W)."""
        alpha = self._inside(alpha)
        paint = np.asarray(colour, np.float32)
        self.image += alpha[..., None] * (paint - self.image)
        np.maximum(self.alpha, alpha, out=self.alpha)

    def shade(self, alpha: Field, factor: Colour | Field | float) -> None:
        """Multiply the image by `factor` (number, RGB or (H, W)) where `alpha` (H, W) says so."""
        alpha = self._inside(alpha)
        factor = np.asarray(factor, np.float32)
        if factor.ndim == 2:
            factor = factor[..., None]
        self.image *= 1 + alpha[..., None] * (factor - 1)
        np.maximum(self.alpha, alpha, out=self.alpha)

    def replace(self, picture: Field, threshold: float = 12.0, close: float = 0.01) -> None:
        """Take over `picture` (H, W, 3); the mask is where it differs by over `threshold` grey levels.

        Gaps in that mask up to `close` of the side are closed and lone pixels left out.
        """
        change = np.abs(picture - self.image).max(axis=2) > threshold
        window = _window(change, 4 + int(2 * close * self.side))
        size = 3 + 2 * int(close * self.side / 2)
        closed = ndimage.maximum_filter(change[window].view(np.uint8), size)
        closed = ndimage.minimum_filter(closed, size)
        closed &= ndimage.uniform_filter(closed.astype(np.float32), 3) > ALPHA
        near = ndimage.maximum_filter(closed, 3).astype(np.bool_)
        here = self.alpha[window]
        np.maximum(here, closed, out=here)
        self.image[window] = np.where(near[..., None], picture[window], self.image[window])

    def rim(self, rng: np.random.Generator) -> tuple[float, float]:
        """A point (y, x) on the outline of the part, pixels."""
        region = np.ones(self.shape, np.bool_) if self.region is None else self.region
        edge = np.argwhere(region & ~ndimage.binary_erosion(region, border_value=0))
        y, x = edge[rng.integers(len(edge))]
        return float(y), float(x)

    def ground(self, rng: np.random.Generator) -> Field:
        """The plain background as it would look without the part, (H, W, 3)."""
        plane, spread = ground(self.original)
        noise = rng.standard_normal(self.shape, dtype=np.float32)
        return plane + np.float32(spread) * noise[..., None]

    def finish(self) -> tuple[Image, Mask]:
        """Return the painted picture, uint8 (H, W, 3), and its mask, bool (H, W)."""
        mask = self.alpha > ALPHA
        rim = 1 + self.side // 100
        keep = mask.astype(np.float32)
        window = _window(mask, 3 * rim)
        distance = ndimage.distance_transform_edt(~mask[window]).astype(np.float32)
        keep[window] = np.clip(1.0 + (1.0 - distance) / rim, 0, 1)  # 1 up to one pixel outside
        levels = self.original + keep[..., None] * (self.image - self.original)
        return np.clip(levels + np.float32(0.5), 0, 255).astype(np.uint8), mask

    def _inside(self, alpha: Field) -> Field:
        return alpha if self.region is None else alpha * self.region


def _window(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Bounding box of `mask`, `margin` pixels wider, clipped; everything where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return slice(None), slice(None)
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
    )


def ground(image: Image) -> tuple[Field, float]:
    """Plane (H, W, 3) that fits the colours along the border, and the spread of the border around it."""
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    frame = np.zeros((height, width), np.bool_)
    frame[[0, -1]] = frame[:, [0, -1]] = True
    terms = np.stack([np.ones_like(y), y, x], axis=-1)
    border = image[frame].astype(np.float32)
    plane, *_ = np.linalg.lstsq(terms[frame], border, rcond=None)
    plane = plane.astype(np.float32)
    fitted: Field = terms @ plane
    return fitted, float(np.std(border - terms[frame] @ plane))


def foreground(image: Image) -> Mask:
    """Where the part lies on a plain background, bool (H, W), in one piece or a few.

    The part differs by more than 28 grey levels from the `ground`; holes in it are filled. Everything counts as the part
    where nothing stands out.
    """
    height, width = image.shape[:2]
    away = np.abs(image - ground(image)[0]).max(axis=2)
    part = ndimage.uniform_filter(away, 3) > DIFFERENCE
    step = max(1, min(height, width) // 256)  # holes are filled and pieces counted on a coarse copy
    coarse = ndimage.binary_fill_holes(
        ndimage.maximum_filter(part.view(np.uint8), step)[::step, ::step]
    )
    label, count = ndimage.label(coarse)
    if not count:
        return np.ones((height, width), np.bool_)
    areas = np.bincount(label.ravel())[1:]
    label *= np.isin(label, 1 + np.flatnonzero(areas > 0.2 * areas.max()))
    inner = ndimage.binary_erosion(label, iterations=2) if step > 1 else label > 0
    whole, core = (v.repeat(step, 0).repeat(step, 1)[:height, :width] for v in (label > 0, inner))
    kept: Mask = (part & whole) | core
    return kept
