"""Shapes of defects as soft alphas: strokes along a path, irregular blobs, bands, cracks.

Points and radii are pixels, (y, x); alphas are float32 (H, W) in [0, 1] with edges about a pixel wide
unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from defectbench.standin.textures.noise import Field, Shape, smooth

Points = npt.NDArray[np.float64]  # (N, 2) as (y, x)


def walk(
    start: tuple[float, float],
    angle: float,
    length: float,
    rng: np.random.Generator,
    wobble: float = 0.25,
    curl: float = 0.0,
    steps: int = 40,
    memory: float = 0.75,
) -> Points:
    """Path of `length` pixels from `start` towards `angle` (radians, 0 = right, clockwise).

    `wobble` is the jaggedness in radians per step, which fades by the factor `memory` per step (0:
    zigzag, towards 1: meander); `curl` the total angle that the direction slowly turns through.
    """
    noise = rng.normal(0, wobble, steps)
    heading = np.empty(steps)
    deviation = 0.0
    for i in range(steps):
        deviation = memory * deviation + noise[i]
        heading[i] = angle + curl * i / steps + deviation
    step = length / steps
    moves = step * np.stack([np.sin(heading), np.cos(heading)], axis=1)
    return np.concatenate([[start], np.asarray(start) + np.cumsum(moves, axis=0)])


def thread(
    start: tuple[float, float], angle: float, length: float, bend: float, rng: np.random.Generator
) -> Points:
    """Smooth curve of `length` pixels whose curvature wanders; `bend` radians in all, about."""
    steps = 60
    t = np.linspace(0, 1, steps)
    turn = sum(
        rng.normal(0, bend / k) * np.sin(np.pi * k * t + rng.uniform(0, 2 * np.pi))
        for k in (1, 2, 3)
    )
    heading = angle + turn
    moves = length / steps * np.stack([np.sin(heading), np.cos(heading)], axis=1)
    return np.concatenate([[start], np.asarray(start) + np.cumsum(moves, axis=0)])


def centred(points: Points, at: tuple[float, float]) -> Points:
    """Move a path so that the middle of its bounding box lies at `at`."""
    middle: Points = (points.max(0) + points.min(0)) / 2
    moved: Points = points - middle + np.asarray(at)
    return moved


def taper(count: int, ends: float = 0.25) -> npt.NDArray[np.float64]:
    """Widths from `ends` over 1 in the middle to `ends`, (count,)."""
    return ends + (1 - ends) * np.sin(np.linspace(0, np.pi, count)) ** 0.7


def stroke(
    shape: Shape, points: Points, radius: float | Sequence[float] | npt.NDArray[np.float64]
) -> tuple[Field, Field]:
    """Draw a path as a stroke: its alpha, and its round profile (1 on the path, 0 at the edge).

    Radii under 0.6 pixels are raised to 0.6; both arrays are (H, W).
    """
    alpha, profile = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    radii = np.broadcast_to(np.maximum(radius, 0.6), (len(points),)).astype(np.float64)
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    spacing = max(0.6, 0.35 * float(radii.mean()))
    dense = np.linspace(0, lengths[-1], max(2, int(lengths[-1] / spacing) + 1))
    ys, xs = np.interp(dense, lengths, points[:, 0]), np.interp(dense, lengths, points[:, 1])
    for y, x, r in zip(ys, xs, np.interp(dense, lengths, radii), strict=True):
        top, left = max(int(y - r - 1), 0), max(int(x - r - 1), 0)
        bottom, right = min(int(y + r + 2), shape[0]), min(int(x + r + 2), shape[1])
        if top >= bottom or left >= right:
            continue
        dy = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y)
        dx = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(x)
        distance = np.sqrt(dy * dy + dx * dx)
        here = alpha[top:bottom, left:right]
        np.maximum(here, np.clip(np.float32(r + 0.5) - distance, 0, 1), out=here)
        here = profile[top:bottom, left:right]
        np.maximum(here, 1 - distance / np.float32(r + 0.5), out=here)
    return alpha, profile


def blob(
    shape: Shape,
    centre: tuple[float, float],
    radius: float,
    rng: np.random.Generator,
    rough: float = 0.25,
    aspect: float = 1.0,
    angle: float = 0.0,
) -> Field:
    """Depth in pixels inside an irregular blob of mean `radius`: positive inside, negative outside.

    `rough` is the relative unevenness of its outline; `aspect` > 1 stretches it along `angle`.
    Use `soft` to turn depth into an alpha.
    """
    y = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(centre[0])
    x = np.arange(shape[1], dtype=np.float32)[None, :] - np.float32(centre[1])
    along = (np.cos(angle) * x + np.sin(angle) * y) / np.float32(np.sqrt(aspect))
    across = (np.cos(angle) * y - np.sin(angle) * x) * np.float32(np.sqrt(aspect))
    distance = np.hypot(along, across).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, 7)
    sizes = rng.normal(0, 1, 7)
    theta = np.linspace(-np.pi, np.pi, 721)
    outline = np.ones_like(theta)
    for k in range(7):
        outline += rough * sizes[k] / (k + 1.5) * np.cos((k + 1) * theta + phases[k])
    outline = np.maximum(outline, 0.3)
    limit = 2.2 + 2 * rough
    near = distance < radius * limit
    depth = radius - distance
    own = np.interp(np.arctan2(across[near], along[near]), theta, outline)
    depth[near] = (radius * own).astype(np.float32) - distance[near]
    return np.asarray(depth / np.float32(np.sqrt(aspect)) ** 0.5, np.float32)


def soft(depth: Field, edge: float = 1.0) -> Field:
    """Alpha of a depth map: 0.5 at depth 0, over `edge` pixels."""
    alpha: Field = np.clip(depth / np.float32(max(edge, 1.0)) + np.float32(0.5), 0, 1)
    return alpha


def ragged(depth: Field, rng: np.random.Generator, scale: float, amount: float) -> Field:
    """Depth map with torn edges: noise of `amount` pixels and `scale` of the side added."""
    shape = (depth.shape[0], depth.shape[1])
    return depth + np.float32(amount) * smooth(shape, rng, scale)


def box(
    shape: Shape, centre: tuple[float, float], size: tuple[float, float], angle: float
) -> Field:
    """Depth in pixels inside a rectangle of `size` (along, across) pixels turned by `angle`."""
    y = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(centre[0])
    x = np.arange(shape[1], dtype=np.float32)[None, :] - np.float32(centre[1])
    along = np.cos(angle) * x + np.sin(angle) * y
    across = np.cos(angle) * y - np.sin(angle) * x
    depth: Field = np.minimum(size[0] / 2 - np.abs(along), size[1] / 2 - np.abs(across))
    return depth.astype(np.float32)


def displaced(picture: Field, down: Field, right: Field) -> Field:
    """Picture (H, W, 3) whose content is moved by (down, right) pixels, each (H, W), bilinearly."""
    height, width = picture.shape[:2]
    out = picture.copy()
    moved = np.argwhere((down != 0) | (right != 0))
    if not len(moved):
        return out
    (top, left), (bottom, last) = moved.min(0), moved.max(0)
    window = (slice(top, bottom + 1), slice(left, last + 1))
    y = np.arange(height, dtype=np.float32)[:, None] - down
    x = np.arange(width, dtype=np.float32)[None, :] - right
    where = np.stack([y[window], x[window]])
    for channel in range(picture.shape[2]):
        out[window][..., channel] = ndimage.map_coordinates(
            picture[..., channel], where, order=1, mode="nearest"
        )
    return out
