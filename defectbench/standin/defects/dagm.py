"""The one defect of each of two DAGM-like textures, and the coarse ellipse that labels such defects."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from defectbench.standin.defects import shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures.noise import Field, Mask, white


def _patch(canvas: Canvas, rng: np.random.Generator, least: float, most: float) -> Field:
    """Depth of an elongated blob of mean radius between two fractions of the side."""
    at, angle = canvas.place(rng, 0.2), rng.uniform(0, np.pi)
    size = canvas.pixels(rng.uniform(least, most), 3)
    return shapes.blob(canvas.shape, at, size, rng, 0.2, rng.uniform(1.2, 2.8), angle)


def _grey(tone: Field) -> Field:
    return np.repeat(tone[..., None], 3, axis=2).astype(np.float32)


def smudge(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 1: a place where the fibres are blurred and paler."""
    depth = _patch(canvas, rng, 0.05, 0.09)
    blur = ndimage.gaussian_filter(canvas.image, (canvas.pixels(0.015),) * 2 + (0,), truncate=2.5)
    canvas.cover(0.92 * shapes.soft(depth, 3), blur + np.float32(24))


def dent_in_lines(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 7: a bright bruise with a dark rim over the contour lines."""
    depth = _patch(canvas, rng, 0.035, 0.06)
    rim = max(0.014 * canvas.side, 1.2)
    ring = np.exp(-((depth / rim) ** 2)).astype(np.float32)
    canvas.cover(0.8 * ring, 62.0)
    canvas.cover(0.85 * shapes.soft(depth - rim, 2), _grey(200 + 7 * white(canvas.shape, rng)))


def weak_ellipse(mask: Mask) -> Mask:
    """Coarse filled ellipse that covers the whole of `mask`, the weak label of DAGM 2007, bool (H, W).

    Its axes follow the second moments of the mask, lengthened until every masked pixel is inside. An
    empty mask stays empty.
    """
    points = np.argwhere(mask).astype(np.float64)
    if not len(points):
        return mask.copy()
    centre = (points.max(0) + points.min(0)) / 2 if len(points) < 3 else points.mean(0)
    spread = np.cov(points.T) if len(points) > 2 else np.zeros((2, 2))
    least = (0.012 * min(mask.shape)) ** 2 + 1
    shape_matrix = np.linalg.inv(spread + least * np.eye(2))
    offset = points - centre
    reach = float(np.einsum("ni,ij,nj->n", offset, shape_matrix, offset).max())
    y = np.arange(mask.shape[0])[:, None] - centre[0]
    x = np.arange(mask.shape[1])[None, :] - centre[1]
    (a, b), (_, d) = shape_matrix
    inside: Mask = a * y * y + 2 * b * y * x + d * x * x <= 1.1 * reach + 1e-9
    return inside | mask
