"""Metal and ceramic surfaces under a grey camera: magnetic tiles."""

from __future__ import annotations

import numpy as np

from defectbench.imaging.textures.noise import (
    Field,
    Shape,
    coordinates,
    fractal,
    side,
    sigmoid,
    smooth,
    white,
)


def streaks(shape: Shape, rng: np.random.Generator, width: float, length: float) -> Field:
    """Bright vertical grinding marks: few, thin, broken; non-negative, about 0 to 3."""
    column = np.maximum(smooth((1, shape[1]), rng, (1.0, width * side(shape))), 0) ** 2
    broken = 0.6 + 0.4 * smooth(shape, rng, (length, 2 * width))
    return np.asarray(column * np.maximum(broken, 0), np.float32)


def magnetic_tile(shape: Shape, rng: np.random.Generator) -> Field:
    """Ground ferrite tile: dark matte grey, near-vertical brushing, dark or glaring sides."""
    y, x = coordinates(shape)
    width, height = float(x.max()), float(y.max())
    exposure = rng.choice([rng.uniform(55, 80), rng.uniform(80, 125)])
    brush = smooth(shape, rng, (0.5, 0.006)) + 0.6 * smooth(shape, rng, (2.0, 0.03))
    tone = 1 + 0.055 * brush + 0.08 * fractal(shape, rng, 0.35, octaves=4, gain=0.6)
    grain = white(shape, rng) + 0.8 * smooth(shape, rng, (0.012, 0.005))
    tone += rng.uniform(0.03, 0.08) * streaks(shape, rng, 0.005, 0.08) * (1 + 0.4 * grain)
    tone += 0.055 * grain - 0.10 * sigmoid(smooth(shape, rng, (0.03, 0.012)), 1.6, 0.8)
    for _ in range(rng.integers(0, 5)):  # faint worm-like stains
        worm = np.abs(smooth(shape, rng, rng.uniform(0.1, 0.3)) - np.float32(rng.uniform(-1, 1)))
        here = sigmoid(smooth(shape, rng, 0.4), rng.uniform(0.3, 1.0), 0.6)
        tone -= 0.16 * np.maximum(1 - worm / 0.07, 0) * here
    centre, reach = rng.uniform(0.35, 0.65) * width, rng.uniform(0.6, 0.9) * width
    tone *= 1 - rng.uniform(0.25, 0.6) * np.minimum(np.abs((x - centre) / reach) ** 2.5, 1)
    if rng.random() < 0.35:  # the curved flank catches the lamp
        glare = (x - rng.choice([rng.uniform(0, 0.2), rng.uniform(0.8, 1)]) * width) / 0.09
        tone *= 1 + rng.uniform(0.2, 0.7) * np.exp(-(glare**2)) * (1 + 0.2 * brush)
    tone *= 1 + rng.uniform(-0.2, 0.3) * (y / height - 0.5)
    if rng.random() < 0.5:  # the bowed upper or lower edge of the tile comes into view
        bow = rng.uniform(0.0, 0.02) + rng.uniform(0.01, 0.03) * (2 * x / width - 1) ** 2
        gap = bow - y if rng.random() < 0.5 else bow - (height - y)
        tone *= 1 - 0.75 * sigmoid(np.asarray(gap, np.float32), 0, 0.012)
    return np.asarray(exposure * np.maximum(tone, 0.08), np.float32)
