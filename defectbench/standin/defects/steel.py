"""Defects of hot-rolled steel strip: the six of NEU-DET and the seven of X-SDD. Up and down is along the strip."""

from __future__ import annotations

import numpy as np

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures.noise import fractal, smooth

ALONG = np.pi / 2
"""Direction of the strip, radians."""


def _grey(canvas: Canvas) -> float:
    return float(canvas.image.mean())


def _scatter(
    canvas: Canvas, rng: np.random.Generator, at: marks.Point, down: float, across: float
) -> marks.Point:
    """Draw a point around another one; spreads are fractions of the side."""
    height, width = canvas.shape
    y = at[0] + rng.normal(0, down) * canvas.side
    x = at[1] + rng.normal(0, across) * canvas.side
    return float(np.clip(y, 2, height - 3)), float(np.clip(x, 2, width - 3))


def crazing(canvas: Canvas, rng: np.random.Generator) -> None:
    """Fine dark cracks over a wide area, mostly across the strip."""
    at = canvas.place(rng, 0.3)
    for _ in range(rng.integers(7, 14)):
        start = _scatter(canvas, rng, at, 0.2, 0.16)
        angle = rng.choice([0.0, np.pi]) + rng.normal(0, 0.3)
        reach, width = rng.uniform(0.15, 0.35), rng.uniform(0.006, 0.011)
        level = rng.uniform(0.3, 0.5) * _grey(canvas)
        marks.crack(canvas, rng, start, angle, reach, width, level, int(rng.integers(0, 2)))


def inclusion(canvas: Canvas, rng: np.random.Generator) -> None:
    """Two to five dark slivers drawn out along the strip."""
    at = canvas.place(rng, 0.25)
    for _ in range(rng.integers(2, 6)):
        near = _scatter(canvas, rng, at, 0.16, 0.06)
        factor, aspect = rng.uniform(0.35, 0.6), rng.uniform(3.0, 6.0)
        angle = ALONG + rng.normal(0, 0.06)
        radius = rng.uniform(0.015, 0.03)
        marks.stain(canvas, rng, near, radius, (factor,) * 3, 0.4, 0.2, aspect, angle)


def patches(canvas: Canvas, rng: np.random.Generator) -> None:
    """One or two large dark patches with torn edges."""
    for _ in range(rng.integers(1, 3)):
        factor, aspect = rng.uniform(0.25, 0.5), rng.uniform(1.0, 1.8)
        radius, angle = rng.uniform(0.1, 0.17), ALONG + rng.normal(0, 0.2)
        at = canvas.place(rng, 0.18)
        marks.stain(canvas, rng, at, radius, (factor,) * 3, 0.3, 0.35, aspect, angle)


def pitted_surface(canvas: Canvas, rng: np.random.Generator) -> None:
    """A field of small dark pits."""
    at = canvas.place(rng, 0.3)
    for _ in range(rng.integers(25, 50)):
        factor = rng.uniform(0.3, 0.6)
        near = _scatter(canvas, rng, at, 0.18, 0.12)
        radius = rng.uniform(0.007, 0.016)
        marks.stain(canvas, rng, near, radius, (factor,) * 3, 0.4, 0.3, rng.uniform(1, 1.6), ALONG)


def rolled_in_scale(canvas: Canvas, rng: np.random.Generator) -> None:
    """Flakes of scale pressed into the strip: dark with a light edge below, mostly across."""
    at = canvas.place(rng, 0.25)
    for _ in range(rng.integers(6, 14)):
        y, x = _scatter(canvas, rng, at, 0.13, 0.2)
        radius, aspect = rng.uniform(0.018, 0.04), rng.uniform(1.5, 3.0)
        angle = rng.normal(0, 0.3)
        below = (y + 0.6 * canvas.pixels(radius, 2.5), x)
        marks.stain(canvas, rng, below, radius, (1.3,) * 3, 0.4, 0.3, aspect, angle)
        marks.stain(
            canvas, rng, (y, x), radius, (rng.uniform(0.4, 0.6),) * 3, 0.3, 0.4, aspect, angle
        )


def scratches(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to three bright scratches, along the strip or across it."""
    angle = (ALONG if rng.random() < 0.7 else 0.0) + rng.normal(0, 0.1)
    at = canvas.place(rng, 0.25)
    for _ in range(rng.integers(1, 4)):
        near = _scatter(canvas, rng, at, 0.05, 0.05)
        length, width = rng.uniform(0.35, 0.9), rng.uniform(0.012, 0.03)
        marks.scratch(canvas, rng, near, length, width, angle, rng.uniform(1.5, 1.9), 0.02, 0.1)


def roll_printing(canvas: Canvas, rng: np.random.Generator) -> None:
    """Print of the finishing roll: a pale or dark straight band, oblique to the strip."""
    at = canvas.place(rng, 0.3)
    angle = rng.normal(0, 0.35)
    size = (canvas.pixels(rng.uniform(0.5, 1.0)), canvas.pixels(rng.uniform(0.03, 0.08), 3))
    depth = shapes.ragged(shapes.box(canvas.shape, at, size, angle), rng, 0.05, 0.3)
    factor = rng.choice([rng.uniform(1.14, 1.22), rng.uniform(0.8, 0.87)])
    canvas.shade(shapes.soft(depth, 2.0), float(factor))


def sheet_ash(canvas: Canvas, rng: np.random.Generator) -> None:
    """Iron sheet ash: a few dark lumps, each in a smoky halo."""
    for _ in range(rng.integers(1, 4)):
        at = canvas.place(rng, 0.2)
        radius = rng.uniform(0.03, 0.06)
        marks.stain(canvas, rng, at, 1.5 * radius, (0.82,) * 3, 0.6, 0.2)
        marks.stain(canvas, rng, at, radius, (rng.uniform(0.25, 0.45),) * 3, 0.3, 0.4, 1.3)


def plate_scale(canvas: Canvas, rng: np.random.Generator) -> None:
    """Oxide scale of the plate system: a long mottled patch along the strip, ribbed across."""
    at = canvas.place(rng, 0.3)
    size = canvas.pixels(rng.uniform(0.06, 0.11), 4)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.3, rng.uniform(2.0, 3.5), ALONG)
    depth = shapes.ragged(depth, rng, 0.03, 0.25 * size)
    ribs = 0.66 + 0.16 * smooth(canvas.shape, rng, (0.02, 0.06))
    canvas.shade(shapes.soft(depth, 1.5), np.clip(ribs, 0.4, 0.86))


def temperature_scale(canvas: Canvas, rng: np.random.Generator) -> None:
    """Oxide scale of the temperature system: a few small pits, scattered."""
    at = canvas.place(rng, 0.3)
    for _ in range(rng.integers(5, 12)):
        near, radius = _scatter(canvas, rng, at, 0.2, 0.2), rng.uniform(0.012, 0.022)
        marks.stain(canvas, rng, near, radius, (rng.uniform(0.5, 0.7),) * 3, 0.4, 0.2, 1.2)


def red_iron(canvas: Canvas, rng: np.random.Generator) -> None:
    """Red iron: dark rust drawn out along the strip, one large or many small."""
    at = canvas.place(rng, 0.3)
    many = rng.random() < 0.6
    for _ in range(rng.integers(6, 12) if many else 1):
        near = _scatter(canvas, rng, at, 0.22, 0.18) if many else at
        radius = rng.uniform(0.015, 0.03) if many else rng.uniform(0.06, 0.1)
        factor, aspect = rng.uniform(0.5, 0.68), rng.uniform(2.0, 3.5)
        marks.stain(canvas, rng, near, radius, (factor,) * 3, 0.2, 0.5, aspect, ALONG)


def slag(canvas: Canvas, rng: np.random.Generator) -> None:
    """Slag inclusion: a pale torn strip with a dark gap in it."""
    at = canvas.place(rng, 0.25)
    size = canvas.pixels(rng.uniform(0.05, 0.08), 4)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.25, rng.uniform(2.0, 3.5), ALONG)
    depth = shapes.ragged(depth, rng, 0.03, 0.2 * size)
    tone = rng.uniform(1.25, 1.45) + 0.1 * fractal(canvas.shape, rng, 0.06, octaves=3)
    canvas.shade(shapes.soft(depth, 1.5), np.clip(tone, 1.12, 1.7))
    near = _scatter(canvas, rng, at, 0.05, 0.01)
    marks.hole(canvas, rng, near, rng.uniform(0.02, 0.035), (25.0,) * 3, 0.3, 0.2, 2.0, ALONG)


def surface_scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    """One thin dark straight scratch along the strip."""
    at = canvas.place(rng, 0.2)
    length, width = rng.uniform(0.6, 1.1), rng.uniform(0.01, 0.022)
    angle = ALONG + rng.normal(0, 0.02)
    marks.scratch(canvas, rng, at, length, width, angle, rng.uniform(0.45, 0.65), 0.005, 0.02)
