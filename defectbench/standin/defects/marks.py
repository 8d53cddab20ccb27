"""Marks that many products share: scratch, crack, hole, stain, thread, contamination, rough spot.

Each paints one mark on a `Canvas` at a point (y, x) in pixels; lengths are fractions of the side. Light
comes from the upper left, so walls there lie in shadow and those opposite catch it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from defectbench.standin.defects import shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures.noise import Colour, Field, fractal, sigmoid, smooth, white

Point = tuple[float, float]


def relief(depth: Field, reach: float) -> Field:
    """Shading of a dent from its depth map: -1 on walls in shadow, +1 on walls facing the light."""
    height = np.clip(depth / np.float32(max(reach, 1.0)), 0, 1)
    dy, dx = np.gradient(height)
    shading: Field = np.clip((-dx - dy) * np.float32(max(reach, 1.0)) * 0.9, -1, 1)
    return shading


def scratch(
    canvas: Canvas,
    rng: np.random.Generator,
    at: Point,
    length: float,
    width: float,
    angle: float,
    factor: Colour | float,
    wobble: float = 0.04,
    curl: float = 0.2,
    lip: float = 0.0,
) -> None:
    """Thin tapering line that multiplies what lies below; `lip` darkens (or lightens) one side."""
    reach = canvas.pixels(length, 8)
    path = shapes.walk((0, 0), angle, reach, rng, wobble, rng.uniform(-curl, curl))
    path = shapes.centred(path, at)
    radius = canvas.pixels(width, 0.75) / 2
    radii = np.maximum(radius * shapes.taper(len(path)) * rng.uniform(0.7, 1.2, len(path)), 0.5)
    if lip:
        shift = max(0.9, radius)
        side_alpha, _ = shapes.stroke(canvas.shape, path + shift * np.array([0.7, 0.7]), radii)
        canvas.shade(side_alpha, 1 + lip)
    alpha, _ = shapes.stroke(canvas.shape, path, radii)
    canvas.shade(alpha, factor)


def crack(
    canvas: Canvas,
    rng: np.random.Generator,
    start: Point,
    angle: float,
    length: float,
    width: float,
    colour: Colour | float,
    branches: int = 0,
    wobble: float = 0.35,
    lip: float = 0.0,
    memory: float = 0.6,
    steps: int = 36,
) -> None:
    """Jagged dark line with optional branches and a light edge of strength `lip` on its lower right."""
    reach = canvas.pixels(length, 10)
    trunk = shapes.walk(start, angle, reach, rng, wobble, steps=steps, memory=memory)
    paths = [(trunk, 1.0)]
    for _ in range(branches):
        fork = int(rng.integers(steps // 6, steps - 2))
        turn = angle + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
        arm = shapes.walk(
            (float(trunk[fork, 0]), float(trunk[fork, 1])),
            turn,
            reach * rng.uniform(0.2, 0.5),
            rng,
            wobble,
            steps=steps // 2,
            memory=memory,
        )
        paths.append((arm, 0.65))
    radius = canvas.pixels(width, 1.1) / 2
    line = np.zeros(canvas.shape, np.float32)
    light = np.zeros(canvas.shape, np.float32)
    for smooth_path, share in paths:
        path, radii = _rugged(smooth_path, radius * share, rng)
        np.maximum(line, shapes.stroke(canvas.shape, path, radii)[0], out=line)
        if lip:
            moved = path + (radius * share + 0.5)
            np.maximum(light, shapes.stroke(canvas.shape, moved, 0.8 * radii)[0], out=light)
    if lip:
        canvas.shade(light, 1 + lip)
    canvas.cover(0.92 * line, colour)


def hole(
    canvas: Canvas,
    rng: np.random.Generator,
    at: Point,
    radius: float,
    colour: Colour,
    rim: float = 0.35,
    rough: float = 0.12,
    aspect: float = 1.0,
    angle: float = 0.0,
) -> None:
    """Deep hole: dark ground of `colour`, wall in shadow at the upper left, lit rim of strength `rim`."""
    size = canvas.pixels(radius, 2.2)
    depth = shapes.blob(canvas.shape, at, size, rng, rough, aspect, angle)
    depth = shapes.ragged(depth, rng, max(0.01, radius / 4), 0.08 * size)
    if rim:
        ring = shapes.soft(depth + 0.22 * size) * (1 - shapes.soft(depth))
        facing = relief(depth + 0.22 * size, 0.5 * size)
        canvas.shade(ring, 1 + rim * facing)
    floor = (
        np.asarray(colour, np.float32) * (1 + 0.25 * smooth(canvas.shape, rng, radius))[..., None]
    )
    floor = floor * (1 + 1.2 * np.maximum(relief(depth, 0.6 * size), 0))[..., None]
    canvas.cover(shapes.soft(depth, 0.15 * size), np.asarray(floor, np.float32))


def stain(
    canvas: Canvas,
    rng: np.random.Generator,
    at: Point,
    radius: float,
    factor: Colour,
    edge: float = 0.1,
    rough: float = 0.3,
    aspect: float = 1.0,
    angle: float = 0.0,
    tide: float = 0.0,
) -> Field:
    """Transparent stain that multiplies by `factor`, blotchy, with a darker rim (`tide`); gives depth."""
    size = canvas.pixels(radius, 2.5)
    depth = shapes.blob(canvas.shape, at, size, rng, rough, aspect, angle)
    depth = shapes.ragged(depth, rng, max(0.015, radius / 3), 0.1 * size)
    alpha = shapes.soft(depth, edge * size)
    uneven = 1 + 0.18 * fractal(canvas.shape, rng, max(radius, 0.03), octaves=3)
    strength = np.asarray(factor, np.float32)
    canvas.shade(alpha * np.clip(uneven, 0.6, 1.2), strength)
    if tide:
        band = alpha * np.exp(-((depth / max(0.14 * size, 0.8)) ** 2))
        canvas.shade(np.asarray(band, np.float32), 1 - tide)
    return depth


def paint(
    canvas: Canvas,
    rng: np.random.Generator,
    at: Point,
    radius: float,
    colour: Colour,
    opacity: float = 0.85,
    rough: float = 0.3,
    aspect: float = 1.0,
    angle: float = 0.0,
) -> None:
    """Opaque coloured patch through which the texture's light and shade still show."""
    size = canvas.pixels(radius, 2.2)
    depth = shapes.blob(canvas.shape, at, size, rng, rough, aspect, angle)
    depth = shapes.ragged(depth, rng, max(0.012, radius / 3), 0.06 * size)
    grey = canvas.image.mean(axis=2)
    texture = grey / max(float(grey.mean()), 1.0)
    tone = np.asarray(colour, np.float32) * (0.45 + 0.55 * texture)[..., None]
    canvas.cover(opacity * shapes.soft(depth, 0.15 * size), np.asarray(tone, np.float32))


def strand(
    canvas: Canvas,
    rng: np.random.Generator,
    at: Point,
    length: float,
    width: float,
    colour: Colour,
) -> None:
    """Thread lying on the surface: round, twisted, with a narrow shadow at its lower right."""
    path = shapes.thread((0, 0), rng.uniform(0, 2 * np.pi), canvas.pixels(length, 12), 1.2, rng)
    path = shapes.centred(path, at)
    radius = canvas.pixels(width, 1.3) / 2
    dark, _ = shapes.stroke(canvas.shape, path + 0.8 * radius, radius)
    canvas.shade(dark, 0.55)
    alpha, profile = shapes.stroke(canvas.shape, path, radius)
    twist = 1 + 0.12 * smooth(canvas.shape, rng, max(0.006, width))
    tone = (
        np.asarray(colour, np.float32)
        * ((0.6 + 0.5 * np.sqrt(np.maximum(profile, 0))) * twist)[..., None]
    )
    canvas.cover(alpha, np.asarray(tone, np.float32))


def chip(
    canvas: Canvas,
    rng: np.random.Generator,
    at: Point,
    length: float,
    width: float,
    colour: Colour = (205, 208, 212),
) -> None:
    """Metal shaving: stiff bent strip with a hard highlight and a shadow."""
    path = shapes.thread((0, 0), rng.uniform(0, 2 * np.pi), canvas.pixels(length, 5), 0.5, rng)
    path = shapes.centred(path, at)
    radius = canvas.pixels(width, 1.8) / 2 * shapes.taper(len(path), rng.uniform(0.3, 0.9))
    dark, _ = shapes.stroke(canvas.shape, path + 0.9 * float(radius.max()), radius)
    canvas.shade(0.9 * dark, 0.35)
    alpha, profile = shapes.stroke(canvas.shape, path, radius)
    gleam = np.clip(1 + 0.5 * smooth(canvas.shape, rng, max(0.02, length / 4)), 0.35, 1.35)
    tone = np.asarray(colour, np.float32) * (gleam * (0.45 + 0.7 * profile))[..., None]
    canvas.cover(alpha, np.asarray(tone, np.float32))


def abrasion(
    canvas: Canvas,
    rng: np.random.Generator,
    at: Point,
    radius: float,
    level: float,
    contrast: float = 30.0,
    aspect: float = 1.0,
    angle: float = 0.0,
    opacity: float = 0.8,
) -> None:
    """Roughened patch: grain of `contrast` grey levels around `level`, with a broken outline."""
    size = canvas.pixels(radius, 3)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.3, aspect, angle)
    depth = shapes.ragged(depth, rng, 0.02, 0.16 * size)
    grain = smooth(canvas.shape, rng, 0.006) + 0.6 * white(canvas.shape, rng)
    grain = grain + 1.2 * sigmoid(smooth(canvas.shape, rng, 0.012), 0.5, 0.5) - 0.5
    tone = np.repeat((level + contrast * grain)[..., None], 3, axis=2)
    canvas.cover(opacity * shapes.soft(depth, 0.2 * size), np.clip(tone, 0, 255).astype(np.float32))


def push(
    canvas: Canvas, at: Point, radius: float, down: float, right: float, close: float = 0.01
) -> None:
    """Bend what lies within `radius` of `at`: its middle is moved by (down, right); fractions of the side.

    Gaps in the mask up to `close` of the side are closed.
    """
    size = radius * canvas.side
    y = np.arange(canvas.shape[0], dtype=np.float32)[:, None] - np.float32(at[0])
    x = np.arange(canvas.shape[1], dtype=np.float32)[None, :] - np.float32(at[1])
    away = (y**2 + x**2) / size**2
    pull = np.where(away < 1, (1 - away) ** 2, 0).astype(np.float32) * np.float32(canvas.side)
    canvas.replace(shapes.displaced(canvas.image, down * pull, right * pull), close=close)


def shards(
    canvas: Canvas, rng: np.random.Generator, at: Point, radius: float, colour: Colour
) -> None:
    """Broken glass or plastic: angular facets from dark to glaring around `colour`."""
    size = canvas.pixels(radius, 3)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.4)
    depth = shapes.ragged(depth, rng, max(radius / 3, 0.01), 0.15 * size)
    facet = np.round(2.2 * smooth(canvas.shape, rng, max(radius / 2.5, 0.01))) / 2.2
    tone = np.clip(0.95 + 0.55 * facet, 0.25, 2.4) + 0.05 * white(canvas.shape, rng)
    edge = np.exp(-((depth / max(0.1 * size, 0.8)) ** 2))
    paint_ = np.asarray(colour, np.float32) * (tone + 0.6 * edge)[..., None]
    canvas.cover(shapes.soft(depth), np.asarray(np.clip(paint_, 0, 255), np.float32))


def smear(
    canvas: Canvas,
    rng: np.random.Generator,
    at: Point,
    radius: float,
    colour: Colour,
    opacity: float = 0.6,
    aspect: float = 1.5,
) -> None:
    """Half transparent smear (glue, grease, dirt) with a bright wet rim and an uneven body."""
    size = canvas.pixels(radius, 3)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.3, aspect, rng.uniform(0, np.pi))
    depth = shapes.ragged(depth, rng, max(radius / 2, 0.015), 0.1 * size)
    body = (
        np.asarray(colour, np.float32)
        * (1 + 0.10 * smooth(canvas.shape, rng, radius / 2))[..., None]
    )
    shine = np.clip(relief(depth, 0.5 * size), -0.5, 1)
    body = body + (60 * shine)[..., None]
    canvas.cover(opacity * shapes.soft(depth, 0.1 * size), np.asarray(body, np.float32))


def _rugged(
    path: shapes.Points, radius: float, rng: np.random.Generator
) -> tuple[shapes.Points, npt.NDArray[np.float64]]:
    """A crack's path with fine jags added and radii that vary slowly and end in points."""
    fine = np.linspace(0, 1, 4 * len(path))
    coarse = np.linspace(0, 1, len(path))
    dense = np.stack([np.interp(fine, coarse, path[:, k]) for k in (0, 1)], axis=1)
    dense[1:-1] += rng.normal(0, 0.22 * radius, (len(fine) - 2, 2))
    width = np.interp(fine, np.linspace(0, 1, 9), rng.uniform(0.65, 1.35, 9))
    ends = np.minimum(np.minimum(fine / 0.08, 1), np.minimum((1 - fine) / 0.4, 1)) ** 0.7
    jag = rng.uniform(0.8, 1.2, len(fine))
    radii: npt.NDArray[np.float64] = radius * width * jag * np.maximum(ends, 0.2)
    return dense, radii
