"""Perlin's gradient noise (Perlin 1985, 2002)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Noise = npt.NDArray[np.float64]


def perlin(
    rng: np.random.Generator, shape: tuple[int, int], scale: float | tuple[float, float]
) -> Noise:
    """Return smooth noise with one random gradient per node of a lattice.

    Args:
        rng: source of the gradients; two numbers of lattice nodes are drawn, nothing else.
        shape: H, W in pixels.
        scale: lattice cells across the height and the width, or one number for both; more cells
            make finer noise. They need not divide the shape.

    Returns:
        (H, W) in [-1, 1], mean about 0, standard deviation about 0.3.

    Raises:
        ValueError: a scale is not positive.
    """
    cells = scale if isinstance(scale, tuple) else (scale, scale)
    if min(cells) <= 0:
        raise ValueError(f"scale is {scale}; wants a positive number of lattice cells")
    nodes = [int(np.ceil(number)) + 1 for number in cells]
    angle = rng.uniform(0, 2 * np.pi, size=nodes)
    gradients = np.cos(angle), np.sin(angle)
    (row, below), (column, beside) = (
        _split((np.arange(side) + 0.5) * number / side)
        for side, number in zip(shape, cells, strict=True)
    )

    def corner(down: int, right: int) -> Noise:
        """Return the ramp that one corner of each pixel's cell contributes."""
        node = np.ix_(row + down, column + right)
        ramp: Noise = gradients[0][node] * (below - down)[:, None]
        ramp += gradients[1][node] * (beside - right)[None, :]
        return ramp

    fade_down, fade_right = _fade(below)[:, None], _fade(beside)[None, :]
    upper = corner(0, 0) * (1 - fade_right) + corner(0, 1) * fade_right
    lower = corner(1, 0) * (1 - fade_right) + corner(1, 1) * fade_right
    # Unit gradients reach sqrt(1/2) at most, in the middle of a cell.
    noise: Noise = np.sqrt(2) * (upper * (1 - fade_down) + lower * fade_down)
    return noise


def _split(position: Noise) -> tuple[npt.NDArray[np.intp], Noise]:
    """Return the cell of each position and the place within it, [0, 1)."""
    cell = np.floor(position).astype(np.intp)
    return cell, position - cell


def _fade(place: Noise) -> Noise:
    """Return 6 t^5 - 15 t^4 + 10 t^3, whose first two derivatives vanish at 0 and 1."""
    faded: Noise = place**3 * (place * (place * 6 - 15) + 10)
    return faded
