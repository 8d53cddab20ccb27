"""Ten statistical grey textures in the manner of the DAGM 2007 competition, each by its own rule."""

from __future__ import annotations

import numpy as np

from defectbench.standin.textures.noise import (
    Field,
    Shape,
    cells,
    coordinates,
    fractal,
    light,
    side,
    sigmoid,
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


def two(shape: Shape, rng: np.random.Generator) -> Field:
    """Sandpaper: sharp grain without any direction."""
    grain = 0.8 * white(shape, rng) + smooth(shape, rng, 0.008)
    return (128 + 22 * grain) * light(shape, rng, 0.08)


def three(shape: Shape, rng: np.random.Generator) -> Field:
    """Ripples: wandering vertical waves."""
    _, x = coordinates(shape)
    pitch = _pitch(shape, 34)
    phase = x * pitch + 0.024 * pitch * smooth(shape, rng, (0.15, 0.08))
    return (
        120 + 26 * np.sin(2 * np.pi * phase) + 6 * smooth(shape, rng, 0.01) + 4 * white(shape, rng)
    )


def four(shape: Shape, rng: np.random.Generator) -> Field:
    """Dark ground with many bright speckles."""
    near, _ = cells(shape, rng, 1 / _pitch(shape, 42, 4))
    speck: Field = np.maximum(1 - near / 0.42, 0)
    return 58 + 120 * speck * (0.7 + 0.3 * smooth(shape, rng, 0.03)) + 5 * white(shape, rng)


def five(shape: Shape, rng: np.random.Generator) -> Field:
    """Dark horizontal fibres."""
    fibre = smooth(shape, rng, (0.005, 0.14)) + 0.6 * smooth(shape, rng, (0.012, 0.3))
    return 72 + 17 * fibre + 6 * white(shape, rng) + 5 * smooth(shape, rng, 0.3)


def six(shape: Shape, rng: np.random.Generator) -> Field:
    """Regular lattice of pale dots."""
    y, x = coordinates(shape)
    count = 2 * np.pi * _pitch(shape, 24, 5)
    bend = 0.003 * smooth(shape, rng, 0.3)
    phase_y, phase_x = rng.uniform(0, 6.3, 2)
    dots = np.cos((y + bend) * count + phase_y) + np.cos((x - bend) * count + phase_x)
    return 96 + 44 * sigmoid(dots, 0.6, 2.2) + 7 * white(shape, rng) + 5 * smooth(shape, rng, 0.05)


def seven(shape: Shape, rng: np.random.Generator) -> Field:
    """Contour lines of a slow hill country."""
    hill = fractal(shape, rng, 0.35, octaves=3, gain=0.4)
    tone: Field = 132 + 30 * np.sin(hill * _pitch(shape, 22, 6)) + 6 * white(shape, rng)
    return tone


def eight(shape: Shape, rng: np.random.Generator) -> Field:
    """Scales: cells with dark joints."""
    near, next_near = cells(shape, rng, 1 / _pitch(shape, 26, 5))
    return (
        148 - 62 * (1 - sigmoid(next_near - near, 0.12, 0.25)) - 22 * near + 5 * white(shape, rng)
    )


def nine(shape: Shape, rng: np.random.Generator) -> Field:
    """Smooth leather-like mottling under oblique light."""
    height = fractal(shape, rng, 0.04, octaves=3, gain=0.5)
    slope = np.diff(height, axis=1, prepend=height[:, :1]) * side(shape) * 0.04
    return (104 + 16 * slope + 4 * white(shape, rng)) * light(shape, rng, 0.12)


def ten(shape: Shape, rng: np.random.Generator) -> Field:
    """Twill: fine diagonal ribs crossed by a coarser band."""
    y, x = coordinates(shape)
    warp = 0.002 * smooth(shape, rng, 0.2)
    fine = np.sin(2 * np.pi * _pitch(shape, 36, 5) * (0.8 * x + 0.6 * y + warp))
    band = np.sin(2 * np.pi * 9 * (0.6 * x - 0.8 * y) + rng.uniform(0, 6.3))
    tone: Field = 118 + 24 * fine + 9 * band + 7 * white(shape, rng) + 5 * smooth(shape, rng, 0.02)
    return tone


CLASSES = (one, two, three, four, five, six, seven, eight, nine, ten)
