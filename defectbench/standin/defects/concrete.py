"""Defects of concrete bridges: crack, spallation, efflorescence, exposed bars, corrosion stain.

They are often seen together; paint several on one picture in turn for a multi-label one.
"""

from __future__ import annotations

import numpy as np

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures.noise import Field, cells, fractal, ramp, sigmoid, smooth, white

_RUST = ((0.0, (58, 30, 18)), (0.5, (118, 70, 42)), (1.0, (168, 112, 70)))


def crack(canvas: Canvas, rng: np.random.Generator) -> None:
    """Long meandering crack, sometimes forked, mostly across the whole crop."""
    height, width = canvas.shape
    angle = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.55, 0.95)
    start = (
        (0.5 - 0.5 * reach * np.sin(angle)) * height + rng.normal(0, 0.05) * height,
        (0.5 - 0.5 * reach * np.cos(angle)) * width + rng.normal(0, 0.05) * width,
    )
    thick = rng.uniform(0.005, 0.015)
    fork = int(rng.integers(0, 3))
    marks.crack(canvas, rng, start, angle, reach, thick, (44, 41, 38), fork, 0.4, 0.18, 0.55, 48)


def _broken(canvas: Canvas, rng: np.random.Generator, depth: Field, size: float) -> None:
    """Broken-out ground inside `depth`: gravel in mortar, shadowed and lit walls."""
    shape = canvas.shape
    near, _ = cells(shape, rng, max(0.045, 4.0 / canvas.side))
    level = 0.8 * float(canvas.image.mean())
    stones = sigmoid(0.42 - near + 0.1 * smooth(shape, rng, 0.06), 0, 0.12)
    tone = level * (1 + 0.12 * fractal(shape, rng, 0.09, octaves=4, gain=0.6))
    tone = tone * (1 + stones * (0.16 * smooth(shape, rng, 0.06) - 0.02))
    slope = np.diff(fractal(shape, rng, 0.06, octaves=3), axis=0, append=0) * 0.05 * canvas.side
    tone = tone + 8 * np.clip(slope, -2, 2) + 5 * white(shape, rng)
    wall = marks.relief(depth, 0.22 * size)
    tone = tone * (1 + 0.65 * np.clip(wall, -0.85, 0.6))
    warm = np.asarray(tone[..., None] * np.array([1.04, 0.99, 0.92]), np.float32)
    canvas.cover(shapes.soft(depth, 0.03 * size), warm)


def spallation(canvas: Canvas, rng: np.random.Generator) -> None:
    """Broken-out piece: a large hollow with gravel at its ground."""
    at = canvas.place(rng, 0.32)
    size = canvas.pixels(rng.uniform(0.15, 0.28))
    angle = rng.uniform(0, np.pi)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.3, rng.uniform(1, 2), angle)
    depth = shapes.ragged(depth, rng, 0.05, 0.08 * size)
    depth = shapes.ragged(depth, rng, 0.015, 0.03 * size)
    _broken(canvas, rng, depth, size)


def _run_off(
    canvas: Canvas, rng: np.random.Generator, radius: float, aspect: float, fall: float
) -> Field:
    """Depth of a patch whose lower edge has run down in tongues up to `fall` times its height."""
    shape, unit = canvas.shape, canvas.side
    y0, x0 = canvas.place(rng, 0.28)
    y = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(y0)
    x = np.arange(shape[1], dtype=np.float32)[None, :] - np.float32(x0)
    tongues = np.maximum(smooth((1, shape[1]), rng, (1.0, max(0.035 * unit, 2.0))) + 0.4, 0)
    y = np.where(y > 0, y / (1 + fall * tongues), y) + 0.02 * unit * smooth(shape, rng, 0.1)
    x = x + 0.02 * unit * smooth(shape, rng, (0.2, 0.06))
    size = canvas.pixels(radius, 4)
    depth = size - np.hypot(y * np.sqrt(aspect), x / np.sqrt(aspect))
    return shapes.ragged(np.asarray(depth, np.float32), rng, 0.12, 0.22 * size)


def efflorescence(canvas: Canvas, rng: np.random.Generator) -> None:
    """White lime: a crust along a leak from which veils run down."""
    shape = canvas.shape
    depth = _run_off(canvas, rng, rng.uniform(0.09, 0.16), rng.uniform(1.5, 4), rng.uniform(1, 2.5))
    depth = shapes.ragged(depth, rng, 0.03, 0.02 * canvas.side)
    veil = 0.72 + 0.2 * fractal(shape, rng, 0.08, octaves=4, gain=0.65)
    alpha = shapes.soft(depth, 0.08 * canvas.side) * np.clip(veil, 0.35, 0.95)
    crust = 224 + 10 * smooth(shape, rng, 0.02) + 7 * white(shape, rng)
    lime = np.asarray(crust[..., None] * np.array([1.0, 0.995, 0.97]), np.float32)
    canvas.cover(np.asarray(alpha, np.float32), lime)


def exposed_bars(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to three rusty reinforcing bars in a broken-out trough."""
    height, width = canvas.shape
    angle = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.12)
    at = (rng.uniform(0.4, 0.6) * height, rng.uniform(0.4, 0.6) * width)
    count = int(rng.integers(1, 4))
    reach, gap = canvas.pixels(rng.uniform(0.45, 0.75)), canvas.pixels(rng.uniform(0.1, 0.15))
    trough = shapes.box(canvas.shape, at, (0.9 * reach, 0.7 * gap * (count + 0.4)), angle)
    trough = shapes.ragged(trough, rng, 0.08, 0.14 * gap)
    trough = shapes.ragged(trough, rng, 0.025, 0.06 * gap)
    _broken(canvas, rng, trough, 1.6 * gap)
    across, along = (
        np.array([np.cos(angle), -np.sin(angle)]),
        np.array([np.sin(angle), np.cos(angle)]),
    )
    radius = canvas.pixels(rng.uniform(0.013, 0.021), 1.2)
    bared = shapes.soft(trough)
    for k in range(count):
        middle = np.asarray(at) + across * gap * 0.8 * (k - (count - 1) / 2)
        path = middle + along * np.linspace(-0.6, 0.6, 24)[:, None] * reach
        path += across * np.cumsum(rng.normal(0, 0.03 * radius, 24))[:, None]
        dark, _ = shapes.stroke(canvas.shape, path + 0.9 * radius, radius)
        canvas.shade(0.9 * dark * bared, 0.4)
        alpha, profile = shapes.stroke(canvas.shape, path, radius)
        ground = 0.42 + 0.16 * fractal(canvas.shape, rng, 0.04, octaves=3)
        yy, xx = np.indices(canvas.shape, dtype=np.float32)
        ribs = np.cos((along[0] * yy + along[1] * xx) * np.float32(np.pi / (0.9 * radius)))
        tone = ramp(np.asarray(ground + 0.08 * ribs, np.float32), _RUST)
        canvas.cover(
            alpha * bared, np.asarray(tone * (0.45 + 0.75 * profile)[..., None], np.float32)
        )


def corrosion_stain(canvas: Canvas, rng: np.random.Generator) -> None:
    """Rust that has bled out of the concrete and run down."""
    shape = canvas.shape
    depth = _run_off(canvas, rng, rng.uniform(0.1, 0.18), rng.uniform(0.8, 2), rng.uniform(0.6, 2))
    blotch = 0.5 + 0.2 * fractal(shape, rng, 0.15, octaves=4, gain=0.6)
    blotch -= 0.1 * sigmoid(smooth(shape, rng, (0.3, 0.03)), 0.5, 1.0)
    heart = np.clip(depth / max(float(depth.max()), 1.0), 0, 1)
    alpha = shapes.soft(depth, 0.09 * canvas.side) * np.clip(
        0.35 + 0.5 * heart + 0.4 * blotch, 0, 0.9
    )
    grey = canvas.image.mean(axis=2, keepdims=True) / max(float(canvas.image.mean()), 1.0)
    tone = ramp(np.asarray(blotch - 0.25 * heart, np.float32), _RUST) * grey
    canvas.cover(np.asarray(alpha, np.float32), np.asarray(tone, np.float32))
