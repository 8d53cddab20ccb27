"""Metal and ceramic surfaces under a grey camera: magnetic tiles, turned, blasted and ground parts."""

from __future__ import annotations

import numpy as np

from defectbench.standin.textures.noise import (
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


def ksdd2(shape: Shape, rng: np.random.Generator) -> Field:
    """Dark cast surface with vertical pale bands and a speckled grain, slightly coloured."""
    _, x = coordinates(shape)
    width = float(x.max())
    band = smooth((1, shape[1]), rng, (1.0, 0.12 * side(shape)))
    grain = white(shape, rng) + smooth(shape, rng, (0.02, 0.01)) + smooth(shape, rng, 0.03)
    tone = 1 + 0.10 * band + 0.06 * grain + 0.06 * fractal(shape, rng, 0.5, octaves=3)
    tone += 0.12 * sigmoid(smooth(shape, rng, 0.014), 1.7, 0.7)
    tone *= 1 - 0.25 * np.abs(2 * x / width - 1) ** 4
    level = rng.uniform(78, 115) * np.maximum(tone, 0.1)
    return np.asarray(level[..., None] * np.array([0.97, 1.0, rng.uniform(0.95, 1.02)]), np.float32)


def sdi_a(shape: Shape, rng: np.random.Generator) -> Field:
    """Turned face: concentric tool marks around a centre, with the two bright fans of turned metal."""
    y, x = coordinates(shape)
    height, width = float(y.max()), float(x.max())
    cy = 0.5 * height + rng.uniform(-0.015, 0.015)
    cx = 0.5 * width + rng.uniform(-0.015, 0.015)
    radius = np.hypot(y - cy, x - cx).astype(np.float32)
    theta = np.arctan2(y - cy, x - cx)
    table = smooth((1, 1024), rng, (1.0, 4.0))[0] + 0.6 * smooth((1, 1024), rng, (1.0, 16.0))[0]
    ring = np.interp(radius, np.linspace(0, 1.1, 1024), table).astype(np.float32)
    fan = np.cos(theta - rng.uniform(0.3, 1.2)) ** 8
    tone = 0.72 + 0.09 * ring + 0.55 * fan * (1 + 0.12 * ring) + 0.03 * white(shape, rng)
    tone += 0.04 * fractal(shape, rng, 0.2, octaves=3)
    bore = sigmoid(rng.uniform(0.09, 0.11) - radius, 0, 0.012)
    lip = np.exp(-(((radius - 0.125) / 0.008) ** 2))
    tone = (tone + 0.5 * lip) * (1 - 0.85 * bore)
    outside = sigmoid(radius, rng.uniform(0.46, 0.48), 0.012)
    tone = tone * (1 - outside) + 0.14 * outside
    return np.asarray(118 * np.maximum(tone, 0.05), np.float32)


def sdi_b(shape: Shape, rng: np.random.Generator) -> Field:
    """Sand-blasted plate: even matte grain, a soft hot spot of the lamp."""
    y, x = coordinates(shape)
    cy, cx = rng.uniform(0.2, 0.8, 2) * (y.max(), x.max())
    spot = np.exp(-(((y - cy) ** 2 + (x - cx) ** 2) / 0.18))
    grain = white(shape, rng) + 1.2 * smooth(shape, rng, 0.009)
    tone = 120 + 9 * grain + 38 * spot + 4 * fractal(shape, rng, 0.3, octaves=3)
    tone -= 20 * sigmoid(smooth(shape, rng, 0.012), 2.0, 0.6)
    return np.asarray(tone, np.float32)


def sdi_c(shape: Shape, rng: np.random.Generator) -> Field:
    """Ground strip: fine horizontal marks, cross-hatched by milling arcs, with bevelled edges."""
    y, x = coordinates(shape)
    height = float(y.max())
    brush = smooth(shape, rng, (0.004, 0.4)) + 0.5 * smooth(shape, rng, (0.02, 2.0))
    away = np.hypot(y - rng.uniform(1.6, 2.2), x - rng.uniform(0.2, 0.8))
    arcs = np.sin(2 * np.pi * away * min(26.0, side(shape) / 6)).astype(np.float32)
    tone = 152 + 9 * brush + 7 * arcs * (1 + 0.5 * smooth(shape, rng, 0.2)) + 4 * white(shape, rng)
    tone = tone * (1 + 0.18 * smooth((shape[0], 1), rng, 0.35 * shape[0]))
    edge = 0.07 - np.minimum(y, height - y)
    bevel = sigmoid(np.asarray(edge, np.float32), 0, 0.01)
    tone = tone * (1 - bevel) + (84 + 6 * brush) * bevel
    return np.asarray(tone + 60 * np.exp(-((edge / 0.006) ** 2)), np.float32)
