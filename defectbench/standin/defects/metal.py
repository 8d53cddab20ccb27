"""Defects of metal and ceramic surfaces under a grey camera: magnetic tiles."""

from __future__ import annotations

import numpy as np

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures.metal import streaks
from defectbench.standin.textures.noise import fractal, sigmoid, smooth, white


def blowhole(canvas: Canvas, rng: np.random.Generator) -> None:
    """One or two small dark pores, round or drawn out."""
    for _ in range(1 if rng.random() < 0.8 else 2):
        at = canvas.place(rng, 0.08)
        level = rng.uniform(0.15, 0.4) * float(canvas.image.mean())
        radius = rng.uniform(0.012, 0.022)
        aspect = rng.choice([rng.uniform(1, 1.4), rng.uniform(2.5, 4)])
        colour = (level, level, level)
        marks.hole(canvas, rng, at, radius, colour, 0.3, 0.15, aspect, rng.uniform(0, np.pi))


def tile_break(canvas: Canvas, rng: np.random.Generator) -> None:
    """Chipped border: broken-out pieces at the edge of the tile, rough and bright, or dark beyond it."""
    height, width = canvas.shape
    where = rng.integers(4)
    for _ in range(rng.integers(1, 4)):
        along = rng.uniform(0.15, 0.85)
        at = (
            (0.0, along * width),
            (height - 1.0, along * width),
            (along * height, 0.0),
            (along * height, width - 1.0),
        )[where]
        size = canvas.pixels(rng.uniform(0.05, 0.13), 5)
        angle = 0.0 if where < 2 else np.pi / 2
        depth = shapes.blob(canvas.shape, at, size, rng, 0.25, rng.uniform(1, 1.8), angle)
        depth = shapes.ragged(depth, rng, 0.03, 0.12 * size)
        base = float(canvas.image.mean())
        if rng.random() < 0.6:
            facet = 1.35 + 0.35 * fractal(canvas.shape, rng, 0.06, octaves=3)
            facet = facet + 0.5 * marks.relief(depth, 0.8 * size)
            tone = base * np.clip(facet, 0.5, 2.2) + 6 * white(canvas.shape, rng)
        else:
            tone = base * (0.28 + 0.08 * smooth(canvas.shape, rng, 0.03))
        tone = np.repeat(tone[..., None], 3, axis=2).astype(np.float32)
        canvas.cover(shapes.soft(depth, 1.5), tone)
        edge = np.exp(-((depth / max(0.012 * canvas.side, 0.9)) ** 2)) * shapes.soft(depth)
        canvas.shade(np.asarray(edge, np.float32), 0.5)


def tile_crack(canvas: Canvas, rng: np.random.Generator) -> None:
    """One or two dark hairline cracks, mostly running in from the upper or lower edge."""
    height, width = canvas.shape
    long = rng.random() < 0.4
    down = rng.random() < 0.6
    x = rng.uniform(0.2, 0.8) * width
    for _ in range(1 if long else rng.integers(1, 3)):
        start = (2.0 if down else height - 3.0, x)
        if not long and rng.random() < 0.3:
            start = canvas.place(rng, 0.2)
        angle = (1 if down else -1) * np.pi / 2 + rng.normal(0, 0.12)
        reach = rng.uniform(0.6, 0.9) if long else rng.uniform(0.14, 0.3)
        level = rng.uniform(0.2, 0.35) * float(canvas.image.mean())
        width_ = rng.uniform(0.006, 0.012)
        marks.crack(canvas, rng, start, angle, reach, width_, level, 0, 0.16, 0.15)
        x += rng.normal(0, 0.12) * width


def tile_fray(canvas: Canvas, rng: np.random.Generator) -> None:
    """Large hollow that the grinding wheel did not reach: dark, dull, smooth-edged, often upright."""
    height, width = canvas.shape
    base = float(canvas.image.mean())
    if rng.random() < 0.7:
        at = (rng.uniform(0.4, 0.6) * height, rng.uniform(0.35, 0.65) * width)
        radius, aspect = rng.uniform(0.17, 0.27), rng.uniform(2.0, 2.8)
    else:  # along one flank
        at = (rng.uniform(0.45, 0.7) * height, rng.choice([0.04, 0.96]) * width)
        radius, aspect = rng.uniform(0.12, 0.18), rng.uniform(3.5, 5.5)
    size = canvas.pixels(radius)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.12, aspect, np.pi / 2 + rng.normal(0, 0.05))
    depth = shapes.ragged(depth, rng, 0.04, 0.02 * size)
    level = base * rng.uniform(0.5, 0.68)
    tone = level * (1 + 0.05 * smooth(canvas.shape, rng, 0.12) + 0.035 * white(canvas.shape, rng))
    tone = 0.85 * tone + 0.15 * level / base * canvas.image.mean(axis=2)
    tone = np.repeat(tone[..., None], 3, axis=2).astype(np.float32)
    canvas.cover(0.96 * shapes.soft(depth, 2), tone)
    if rng.random() < 0.4:
        marks.hole(canvas, rng, at, 0.012, (0.4 * level,) * 3, 0.2)


def tile_uneven(canvas: Canvas, rng: np.random.Generator) -> None:
    """Unevenly ground area: a band or patch of brighter, streakier brushing with a clear boundary."""
    height, width = canvas.shape
    shape = canvas.shape
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)[None, :]
    unit = float(canvas.side)
    if rng.random() < 0.7:  # a band at the upper or lower end
        reach = rng.uniform(0.12, 0.42) * height
        tilt = rng.normal(0, 0.08)
        edge = (
            reach
            + tilt * (x - width / 2)
            + 0.012 * unit * smooth((1, width), rng, (1.0, 0.1 * unit))
        )
        depth = edge - y if rng.random() < 0.6 else y - (height - edge)
    else:
        at = (rng.uniform(0.3, 0.7) * height, rng.uniform(0.35, 0.65) * width)
        size = (rng.uniform(0.5, 0.8) * width, rng.uniform(0.3, 0.55) * height)
        depth = shapes.box(shape, at, size, rng.normal(0, 0.06))
        depth = depth + 0.02 * unit * smooth(shape, rng, 0.2)
    depth = np.broadcast_to(depth, shape).astype(np.float32)
    gain = rng.uniform(1.28, 1.5) if rng.random() < 0.75 else rng.uniform(0.6, 0.72)
    comb = (
        streaks(shape, rng, 0.012, 0.5)
        - 0.5
        + 0.5 * sigmoid(smooth((1, width), rng, (1.0, 0.02 * unit)), 0.2, 0.5)
    )
    canvas.shade(shapes.soft(depth, 1.5), np.asarray(gain + 0.14 * comb, np.float32))
    line = np.exp(-((depth / max(0.008 * unit, 0.8)) ** 2)) * shapes.soft(depth)
    canvas.shade((0.5 * line).astype(np.float32), 0.8)


def imperfection(canvas: Canvas, rng: np.random.Generator) -> None:
    """KolektorSDD2: scratches, spots or a smeared imperfection, all under one name."""
    kind = rng.integers(3)
    at = canvas.place(rng, 0.2)
    if kind == 0:
        angle = rng.uniform(0, np.pi)
        for _ in range(rng.integers(1, 4)):
            near = (
                at[0] + rng.normal(0, 0.06) * canvas.side,
                at[1] + rng.normal(0, 0.06) * canvas.side,
            )
            marks.scratch(canvas, rng, near, rng.uniform(0.2, 0.5), 0.016, angle, 1.75, 0.05)
    elif kind == 1:
        spots(canvas, rng)
    else:
        radius, angle = rng.uniform(0.08, 0.18), np.pi / 2 + rng.normal(0, 0.4)
        factor, aspect = float(rng.choice([0.55, 1.65])), rng.uniform(1.5, 3.5)
        marks.stain(canvas, rng, at, radius, (factor,) * 3, 0.3, 0.35, aspect, angle)


def spots(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to five dark or pale spots with a soft halo."""
    y, x = canvas.place(rng, 0.15)
    factor = rng.uniform(0.3, 0.55) if rng.random() < 0.7 else rng.uniform(1.5, 1.8)
    for _ in range(rng.integers(1, 6)):
        near = (y + rng.normal(0, 0.06) * canvas.side, x + rng.normal(0, 0.06) * canvas.side)
        if canvas.region is not None and not canvas.region[_clip(near, canvas.shape)]:
            near = (y, x)
        radius, aspect = rng.uniform(0.012, 0.035), rng.uniform(1, 1.6)
        marks.stain(
            canvas, rng, near, radius, (factor,) * 3, 0.35, 0.25, aspect, rng.uniform(0, 3), 0.1
        )


def scratches(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to four bright scratches side by side, each with a dark lip."""
    at, angle = canvas.place(rng, 0.22), rng.uniform(0, np.pi)
    for _ in range(rng.integers(1, 5)):
        near = (
            at[0] + rng.normal(0, 0.05) * canvas.side,
            at[1] + rng.normal(0, 0.05) * canvas.side,
        )
        length, width = rng.uniform(0.12, 0.42), rng.uniform(0.006, 0.013)
        turn = angle + rng.normal(0, 0.15)
        marks.scratch(
            canvas, rng, near, length, width, turn, rng.uniform(1.8, 2.3), 0.03, 0.3, -0.4
        )


def _clip(at: tuple[float, float], shape: tuple[int, int]) -> tuple[int, int]:
    return min(max(int(at[0]), 0), shape[0] - 1), min(max(int(at[1]), 0), shape[1] - 1)
