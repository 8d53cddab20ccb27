"""Defects of small wares: candles, capsules, nuts, gum, snacks, pasta."""

from __future__ import annotations

import numpy as np

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures import snacks
from defectbench.standin.textures.noise import Colour, fractal, smooth

Point = tuple[float, float]


def _body(canvas: Canvas, factor: float = 1.0) -> tuple[float, float, float]:
    """Median colour of the part times `factor`, RGB."""
    pixels = canvas.image if canvas.region is None else canvas.image[canvas.region]
    red, green, blue = factor * np.median(pixels.reshape(-1, 3), axis=0)
    return float(red), float(green), float(blue)


def burnt(canvas: Canvas, rng: np.random.Generator) -> None:
    """Browned to black over a good part of one piece."""
    canvas.piece(rng)
    at = canvas.rim(rng)[0] if rng.random() < 0.5 else canvas.place(rng, 0.03)
    marks.stain(canvas, rng, at, rng.uniform(0.06, 0.12), (0.36, 0.27, 0.22), 0.4)


def edge_breakage(canvas: Canvas, rng: np.random.Generator) -> None:
    """A bite out of the edge: the ground shows, the break is pale."""
    canvas.piece(rng)
    _bite(canvas, rng, canvas.rim(rng)[0])


def corner_breakage(canvas: Canvas, rng: np.random.Generator) -> None:
    """A corner broken off: a bite at one of the points farthest from the middle."""
    canvas.piece(rng)
    (y, x), _, _ = canvas.pose()
    tries = [canvas.rim(rng)[0] for _ in range(12)]
    _bite(canvas, rng, max(tries, key=lambda p: (p[0] - y) ** 2 + (p[1] - x) ** 2))


def _bite(canvas: Canvas, rng: np.random.Generator, at: Point) -> None:
    size = canvas.pixels(rng.uniform(0.035, 0.07), 3)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.3)
    depth = shapes.ragged(depth, rng, 0.015, 0.12 * size)
    pale = np.minimum(np.asarray(_body(canvas, 1.25), np.float32) + 10, 255)
    canvas.cover(shapes.soft(depth + max(0.14 * size, 1.0)), pale)
    canvas.cover(shapes.soft(depth), canvas.ground(rng))


def middle_breakage(canvas: Canvas, rng: np.random.Generator) -> None:
    """Broken through the middle: a jagged gap across one piece."""
    canvas.piece(rng)
    (y, x), angle, half = canvas.pose()
    off = rng.uniform(-0.3, 0.3) * half
    across = angle + np.pi / 2 + rng.normal(0, 0.25)
    middle = (y + off * np.sin(angle), x + off * np.cos(angle))
    path = shapes.walk((0, 0), across, 2.2 * half, rng, 0.3, memory=0.3)
    path = shapes.centred(path, middle)
    width = canvas.pixels(rng.uniform(0.012, 0.026), 1.6)
    edge, _ = shapes.stroke(canvas.shape, path + 0.6 * width, 0.7 * width)
    canvas.shade(edge, 1.3)
    gap, _ = shapes.stroke(canvas.shape, path, 0.6 * width * rng.uniform(0.6, 1.4, len(path)))
    canvas.cover(gap, canvas.ground(rng))


def colour_spot(canvas: Canvas, rng: np.random.Generator) -> None:
    """A spot of quite another colour."""
    colours: tuple[Colour, ...] = ((60, 40, 30), (50, 90, 60), (150, 40, 40), (50, 60, 110))
    canvas.piece(rng)
    colour = colours[rng.integers(len(colours))]
    marks.paint(canvas, rng, canvas.place(rng, 0.02), rng.uniform(0.016, 0.04), colour, 0.9)


def similar_spot(canvas: Canvas, rng: np.random.Generator) -> None:
    """A spot a shade darker than its surroundings."""
    canvas.piece(rng)
    at = canvas.place(rng, 0.02)
    marks.stain(canvas, rng, at, rng.uniform(0.025, 0.05), (0.74, 0.68, 0.60), 0.3)


def small_scratches(canvas: Canvas, rng: np.random.Generator) -> None:
    """A few short scratches."""
    canvas.piece(rng)
    at, angle = canvas.place(rng, 0.03), rng.uniform(0, np.pi)
    factor = 0.6 if sum(_body(canvas)) > 360 else 1.8
    for _ in range(rng.integers(2, 5)):
        near = (
            at[0] + rng.normal(0, 0.02) * canvas.side,
            at[1] + rng.normal(0, 0.02) * canvas.side,
        )
        turn = angle + rng.normal(0, 0.3)
        marks.scratch(canvas, rng, near, rng.uniform(0.06, 0.14), 0.009, turn, factor)


def small_cracks(canvas: Canvas, rng: np.random.Generator) -> None:
    """A fine branching crack."""
    canvas.piece(rng)
    tone = _body(canvas, 0.35)
    start, length = canvas.place(rng, 0.03), rng.uniform(0.1, 0.22)
    marks.crack(canvas, rng, start, rng.uniform(0, 6.3), length, 0.008, tone, 1, 0.4, 0.25)


def small_holes(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to four small holes."""
    canvas.piece(rng)
    dark = _body(canvas, 0.3)
    for _ in range(rng.integers(1, 5)):
        marks.hole(canvas, rng, canvas.place(rng, 0.02), rng.uniform(0.009, 0.016), dark, 0.4)


def stuck_together(canvas: Canvas, rng: np.random.Generator) -> None:
    """A lump of the same stuff grown onto the edge."""
    canvas.piece(rng)
    (y, x), outward = canvas.rim(rng)
    size = canvas.pixels(rng.uniform(0.05, 0.08), 3)
    at = (y + 0.5 * size * np.sin(outward), x + 0.5 * size * np.cos(outward))
    body = np.asarray(_body(canvas), np.float32)
    canvas.region = None
    depth = shapes.blob(canvas.shape, at, size, rng, 0.25, 1.3, rng.uniform(0, 3))
    tone = 1 + 0.35 * marks.relief(-depth + size, size) + 0.05 * fractal(canvas.shape, rng, 0.1)
    tone = tone * (0.72 + 0.34 * np.sqrt(np.clip(depth / size, 0, 1)))
    canvas.cover(shapes.soft(depth, 1.5), np.asarray(tone[..., None] * body, np.float32))


def other(canvas: Canvas, rng: np.random.Generator) -> None:
    """A fibre that lies on the ware."""
    canvas.piece(rng)
    at = canvas.place(rng, 0.03)
    canvas.region = None
    marks.strand(canvas, rng, at, rng.uniform(0.15, 0.3), 0.009, (206, 200, 190))


def bubble(canvas: Canvas, rng: np.random.Generator) -> None:
    """Air bubble in a gel capsule: a bright ring around a clear middle."""
    canvas.piece(rng)
    at = canvas.place(rng, 0.03)
    size = canvas.pixels(rng.uniform(0.018, 0.028), 2.2)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.05)
    canvas.shade(shapes.soft(depth), 1.45)
    ring = np.exp(-(((depth - 0.2 * size) / max(0.2 * size, 0.7)) ** 2)) * shapes.soft(depth)
    canvas.cover(np.asarray(0.85 * ring, np.float32), (206, 226, 206))


def discolor(canvas: Canvas, rng: np.random.Generator) -> None:
    """A whole capsule, or most of it, of another colour."""
    canvas.piece(rng)
    colours = ((2.2, 1.3, 0.7), (0.45, 0.42, 0.45), (1.9, 1.6, 1.2))
    (y, x), _, half = canvas.pose()
    shift = rng.uniform(-0.6, 0.6) * half
    factor = colours[rng.integers(3)]
    marks.stain(canvas, rng, (y, x + shift), 1.1 * half / canvas.side, factor, 0.2)


def leak(canvas: Canvas, rng: np.random.Generator) -> None:
    """Content that has run out beside a capsule."""
    canvas.piece(rng)
    at, _ = canvas.rim(rng)
    canvas.region = None
    marks.smear(canvas, rng, at, rng.uniform(0.03, 0.05), (70, 104, 70), 0.8, 1.6)


def misshape(canvas: Canvas, rng: np.random.Generator) -> None:
    """A capsule pressed out of shape."""
    canvas.piece(rng)
    at, outward = canvas.rim(rng)
    amount = -rng.uniform(0.035, 0.05)
    canvas.region = None
    marks.push(canvas, at, 0.075, amount * np.sin(outward), amount * np.cos(outward), 0.02)


def _candle(
    canvas: Canvas, rng: np.random.Generator, low: float, high: float
) -> tuple[Point, float]:
    """Point between two fractions of the radius of one candle, and its direction from the middle."""
    y, x = snacks.CANDLES[rng.integers(4)]
    a, r = rng.uniform(0, 2 * np.pi), rng.uniform(low, high) * snacks.CANDLE_RADIUS
    return canvas.at(y + r * np.sin(a), x + r * np.cos(a)), a


def wax_missing(canvas: Canvas, rng: np.random.Generator) -> None:
    """A chunk of wax broken out."""
    at, _ = _candle(canvas, rng, 0.35, 0.75)
    marks.hole(canvas, rng, at, rng.uniform(0.03, 0.05), (150, 146, 134), 0.3, 0.35)


def packaging_damaged(canvas: Canvas, rng: np.random.Generator) -> None:
    """The metal cup dented in at one place."""
    at, a = _candle(canvas, rng, 0.98, 1.0)
    amount = -rng.uniform(0.045, 0.065)
    marks.push(canvas, at, 0.09, amount * np.sin(a), amount * np.cos(a), 0.02)


def weird_wick(canvas: Canvas, rng: np.random.Generator) -> None:
    """A second, long or crooked wick."""
    at, _ = _candle(canvas, rng, 0.0, 0.15)
    marks.strand(canvas, rng, at, rng.uniform(0.13, 0.2), 0.016, (120, 114, 104), 1.5)


def wax_spot(canvas: Canvas, rng: np.random.Generator) -> None:
    """A spot of another colour in the wax."""
    at, _ = _candle(canvas, rng, 0.1, 0.75)
    factors = ((0.85, 0.7, 0.4), (0.5, 0.55, 0.7), (0.75, 0.5, 0.5))
    marks.stain(canvas, rng, at, rng.uniform(0.018, 0.045), factors[rng.integers(3)], 0.2)


def extra_wax(canvas: Canvas, rng: np.random.Generator) -> None:
    """A drop of wax on top."""
    at, _ = _candle(canvas, rng, 0.3, 0.9)
    size = canvas.pixels(rng.uniform(0.025, 0.045), 2.5)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.2)
    tone = 226 * (
        1 - 0.42 * marks.relief(depth, size) - 0.2 * np.exp(-np.abs(depth) / (0.3 * size))
    )
    wax = np.asarray(tone[..., None] * np.array([1, 0.985, 0.93]), np.float32)
    canvas.cover(shapes.soft(depth), wax)


def foreign_particles(canvas: Canvas, rng: np.random.Generator) -> None:
    """Dark crumbs on the wax."""
    y, x = _candle(canvas, rng, 0.1, 0.6)[0]
    for _ in range(rng.integers(2, 6)):
        near = (y + rng.normal(0, 0.025) * canvas.side, x + rng.normal(0, 0.025) * canvas.side)
        marks.paint(canvas, rng, near, rng.uniform(0.008, 0.016), (58, 44, 36), 0.95)


def wax_melted_out(canvas: Canvas, rng: np.random.Generator) -> None:
    """Wax that has run over the cup onto the ground."""
    at, a = _candle(canvas, rng, 1.0, 1.05)
    size = canvas.pixels(rng.uniform(0.035, 0.055), 3)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.25, 1.6, a)
    tone = 214 * (1 - 0.3 * marks.relief(depth, size)) + 3 * smooth(canvas.shape, rng, 0.02)
    wax = np.asarray(tone[..., None] * np.array([1, 0.985, 0.93]), np.float32)
    canvas.cover(shapes.soft(depth), wax)
