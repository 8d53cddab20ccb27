"""Two statistical grey textures in the manner of the DAGM 2007 competition, which tables draw."""

from __future__ import annotations

import numpy as np

from defectbench.standin.textures.noise import (
    Field,
    Shape,
    fractal,
    side,
    smooth,
    white,
)


def _pitch(shape: Shape, count: float, least: float = 4.0) -> float:
    """Periods per side: `count`, or fewer where a period would be under `least` pixels."""
    return min(count, side(shape) / least)


def one(shape: Shape, rng: np.random.Generator) -> Field:
    """Clouded felt: fine isotropic fibres."""
    fibre = smooth(shape, rng, (0.006, 0.03)) + smooth(shape, rng, (0.03, 0.006))
    return 112 + 16 * fibre + 9 * fractal(shape, rng, 0.12) + 5 * white(shape, rng)


def seven(shape: Shape, rng: np.random.Generator) -> Field:
    """Contour lines of a slow hill country."""
    hill = fractal(shape, rng, 0.35, octaves=3, gain=0.4)
    tone: Field = 132 + 30 * np.sin(hill * _pitch(shape, 22, 6)) + 6 * white(shape, rng)
    return tone
