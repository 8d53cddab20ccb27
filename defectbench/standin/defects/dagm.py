"""The one defect of each of the ten DAGM-like textures, and the coarse ellipse that labels it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures.noise import Field, Mask, smooth, white


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


def dark_scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 2: a long thin dark scratch."""
    at, angle = canvas.place(rng, 0.25), rng.uniform(0, np.pi)
    marks.scratch(canvas, rng, at, rng.uniform(0.25, 0.5), 0.012, angle, 0.35, 0.05, 0.5)


def crossed_ripples(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 3: a patch whose ripples run across the others."""
    depth = _patch(canvas, rng, 0.06, 0.1)
    turned = np.rot90(canvas.image, axes=(0, 1))
    rows = np.arange(canvas.shape[0]) % turned.shape[0]
    columns = np.arange(canvas.shape[1]) % turned.shape[1]
    canvas.cover(shapes.soft(depth, 2), turned[np.ix_(rows, columns)].copy())


def blind_spot(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 4: a place without speckles, hazy."""
    depth = _patch(canvas, rng, 0.06, 0.1)
    haze = 82 + 5 * smooth(canvas.shape, rng, 0.03) + 5 * white(canvas.shape, rng)
    canvas.cover(0.95 * shapes.soft(depth, 2), _grey(haze))


def pale_scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 5: a pale scratch across the fibres."""
    at, angle = canvas.place(rng, 0.25), np.pi / 2 + rng.normal(0, 0.45)
    marks.scratch(canvas, rng, at, rng.uniform(0.18, 0.4), 0.012, angle, 2.1, 0.05, 0.4)


def bent_lattice(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 6: the dots are pulled out of their rows and pale."""
    depth = _patch(canvas, rng, 0.07, 0.11)
    shift = np.clip(depth, 0, 0.025 * canvas.side)
    angle = rng.uniform(0, 2 * np.pi)
    moved = shapes.displaced(canvas.image, np.sin(angle) * shift, np.cos(angle) * shift)
    canvas.cover(shapes.soft(depth, 2), 0.55 * moved + np.float32(70))


def dent_in_lines(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 7: a bright bruise with a dark rim over the contour lines."""
    depth = _patch(canvas, rng, 0.035, 0.06)
    rim = max(0.014 * canvas.side, 1.2)
    ring = np.exp(-((depth / rim) ** 2)).astype(np.float32)
    canvas.cover(0.8 * ring, 62.0)
    canvas.cover(0.85 * shapes.soft(depth - rim, 2), _grey(200 + 7 * white(canvas.shape, rng)))


def specks(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 8: one to three small dark specks."""
    y, x = canvas.place(rng, 0.15)
    for _ in range(rng.integers(1, 4)):
        near = (y + rng.normal(0, 0.04) * canvas.side, x + rng.normal(0, 0.04) * canvas.side)
        size = canvas.pixels(rng.uniform(0.01, 0.022), 2.2)
        depth = shapes.blob(
            canvas.shape, near, size, rng, 0.2, rng.uniform(1, 2), rng.uniform(0, 3)
        )
        canvas.cover(0.9 * shapes.soft(depth), _grey(44 + 6 * white(canvas.shape, rng)))


def dent(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 9: a smooth dent, dark on the side of the light and bright opposite."""
    depth = _patch(canvas, rng, 0.05, 0.09)
    wall = marks.relief(depth, float(max(depth.max(), 2.0)))
    smoothed = ndimage.uniform_filter(canvas.image, (max(2, canvas.side // 50),) * 2 + (0,))
    tone = 0.7 * smoothed + 0.3 * canvas.image + (75 * wall)[..., None]
    canvas.cover(shapes.soft(depth, 2), np.clip(tone, 0, 255).astype(np.float32))


def fault(canvas: Canvas, rng: np.random.Generator) -> None:
    """Class 10: a lens in which the ribs have slipped and stand darker."""
    depth = _patch(canvas, rng, 0.06, 0.1)
    slip = canvas.pixels(0.014, 1.5) * np.ones(canvas.shape, np.float32)
    moved = shapes.displaced(canvas.image, slip, slip)
    canvas.cover(shapes.soft(depth, 2), 0.72 * moved)


CLASSES = (
    smudge,
    dark_scratch,
    crossed_ripples,
    blind_spot,
    pale_scratch,
    bent_lattice,
    dent_in_lines,
    specks,
    dent,
    fault,
)


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
