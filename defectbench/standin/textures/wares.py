"""Wares of MVTec AD on a plain ground: bottle, capsule, hazelnut, pill, toothbrush."""

from __future__ import annotations

import numpy as np

from defectbench.standin.textures import scene as sc
from defectbench.standin.textures.noise import (
    Field,
    Shape,
    fractal,
    light,
    sigmoid,
    smooth,
    tint,
    white,
)

BOTTLE_RADIUS = 0.42  # outer radius of the mouth, fraction of the side
PILL_AXES = (0.235, 0.36)  # half height and half width
CAPSULE = (0.13, 0.25)  # radius, and half length between the centres of its round ends
BRUSH = (0.40, 0.155)  # half height and half width of the head


def bottle(shape: Shape, rng: np.random.Generator) -> Field:
    """Mouth of a brown bottle from above: bright lip rings, amber glass, dark inside."""
    s = sc.blank(shape, 236 + 1.5 * white(shape, rng))
    radius = np.hypot(s.y - rng.normal(0, 0.004), s.x - rng.normal(0, 0.004)).astype(np.float32)
    theta = np.arctan2(s.y, s.x)
    around = np.stack([np.cos(theta), np.sin(theta)])
    wave: Field = np.zeros(shape, np.float32)
    for k in range(3):
        a = rng.uniform(0, 2 * np.pi)
        wave = wave + rng.normal(0, 0.25) * np.cos((k + 1) * theta + a)
    r = radius / BOTTLE_RADIUS
    stops = [0, 0.45, 0.52, 0.60, 0.66, 0.72, 0.78, 0.86, 0.93, 0.98, 1.0]
    red = [28, 30, 44, 168, 120, 40, 30, 58, 36, 20, 16]
    green = [26, 26, 34, 120, 72, 22, 18, 30, 22, 14, 12]
    blue = [26, 24, 26, 70, 34, 14, 12, 16, 14, 12, 12]
    glass = np.stack([np.interp(r, stops, c) for c in (red, green, blue)], -1).astype(np.float32)
    sheen = np.exp(-(((r - 0.62 - 0.01 * wave) / 0.05) ** 2)) * (0.6 + 0.4 * wave)
    side_light = np.clip(-0.7 * around[0] - 0.7 * around[1], 0, 1) ** 6
    glass *= (1 + 0.08 * fractal(shape, rng, 0.2, octaves=2))[..., None]
    glass += tint(np.asarray(70 * np.maximum(sheen, 0), np.float32), (1.0, 0.8, 0.55))
    gleam = side_light * np.exp(-(((r - 0.90) / 0.025) ** 2))
    glass += tint(np.asarray(130 * gleam, np.float32), (1.0, 0.92, 0.85))
    s.fill(np.asarray(BOTTLE_RADIUS - radius, np.float32), glass)
    return s.levels


def capsule(shape: Shape, rng: np.random.Generator) -> Field:
    """Two-coloured gelatine capsule lying flat, printed on its light half."""
    s = sc.blank(shape, (226 + 3 * white(shape, rng)) * light(shape, rng, 0.05))
    y0, x0 = rng.normal(0, 0.008, 2)
    radius, half = CAPSULE
    part = s.at(y0, x0, 0.47, rng.normal(0, 0.02))
    depth = sc.rod(part, (0, -half), (0, half), radius)
    part.shadow(depth - 0.01, 0.25, 0.03)
    factor = sc.lit(depth, s.unit, 1.0 * radius, 0.30)
    dark = sigmoid(-part.x, rng.normal(0.0, 0.008), 2.0 / s.unit)[..., None]
    colour = dark * np.array([42, 34, 34]) + (1 - dark) * np.array([196, 92, 52])
    gloss = np.exp(-(((part.y + 0.5 * radius) / 0.018) ** 2)) * sigmoid(depth, 0.03, 0.03)
    body = colour * factor[..., None] + (95 * gloss)[..., None]
    body = body + (3 * smooth(part.shape, rng, 0.05))[..., None]
    seam = np.exp(-(((part.x - 0.01) / 0.006) ** 2)) + 0.5 * np.exp(
        -(((part.x + 0.04) / 0.006) ** 2)
    )
    part.fill(depth, np.asarray(body * (1 - 0.25 * seam[..., None]), np.float32))
    imprint(part.at(0.0, 0.15, 0.09), 0.0, 0.0, 0.032, (250, 236, 226))
    return s.levels


def imprint(
    s: sc.Scene, y: float, x: float, height: float, colour: tuple[float, float, float]
) -> None:
    """Print `500` of half height `height`, centred at (y, x)."""
    pen = max(0.16 * height, 0.55 / s.unit)
    a, w = height, 0.55 * height
    left = x - 2.4 * w
    for start, end in (
        ((-a, w), (-a, -w)),
        ((-a, -w), (0, -w)),
        ((0, -w), (0, w)),
        ((0, w), (a, w)),
        ((a, w), (a, -w)),
    ):
        s.fill(
            sc.rod(s, (y + start[0], left + start[1]), (y + end[0], left + end[1]), pen),
            colour,
            0.9,
        )
    for k in (0.0, 2.4):
        ring = pen - np.abs(sc.ellipse(s, a, w, y, x + k * w))
        s.fill(np.asarray(ring, np.float32), colour, 0.9)


def hazelnut(shape: Shape, rng: np.random.Generator) -> Field:
    """Hazelnut at any turn on black: round, brown, streaked towards its pale base."""
    s = sc.blank(shape, 22 + 3 * white(shape, rng))
    part = s.near(rng, 0.012, 0.48, rng.uniform(0, 2 * np.pi))
    size = rng.uniform(0.33, 0.37)
    point = 1 - 0.20 * np.clip(-part.y / size, 0, 1) ** 2
    r = np.hypot(part.y / (1.05 * size), part.x / (size * point))
    depth = np.asarray((1 - r) * size, np.float32)
    angle = np.arctan2(part.x, part.y + 1.6 * size)
    table = rng.normal(0, 1, 400)
    streak = np.interp(angle, np.linspace(-1.2, 1.2, 400), table)
    streak = streak + 0.8 * np.interp(angle, np.linspace(-1.2, 1.2, 120), table[:120])
    tone = 1 + 0.055 * streak + 0.07 * fractal(part.shape, rng, 0.12, octaves=3)
    tone = tone * (1 - 0.55 * np.clip(r, 0, 1) ** 4) * (1 - 0.12 * part.y / size)
    colour = tint(np.asarray(tone, np.float32), (158, 98, 52))
    base = sigmoid(
        np.asarray(part.y / size - 0.62 + 0.3 * (part.x / size) ** 2, np.float32), 0, 0.1
    )
    rough = 1 + 0.10 * smooth(part.shape, rng, 0.015)
    colour += (base * 0.8)[..., None] * (tint(rough * tone, (182, 142, 96)) - colour)
    part.fill(depth, np.asarray(colour, np.float32), 1.0, 1.5)
    return s.levels


def pill(shape: Shape, rng: np.random.Generator) -> Field:
    """White oval pill with red speckles and a stamped mark, on black."""
    s = sc.blank(shape, 16 + 2.5 * white(shape, rng))
    part = s.near(rng, 0.008, 0.45, rng.normal(0, 0.02))
    pill_body(part, rng, (222, 216, 206), (168, 60, 48))
    return s.levels


def pill_body(
    part: sc.Scene,
    rng: np.random.Generator,
    body: tuple[float, float, float],
    speckle: tuple[float, float, float],
) -> None:
    """The pill itself, of one body colour and one colour of speckles."""
    depth = sc.ellipse(part, *PILL_AXES)
    factor = sc.lit(depth, part.unit, 0.11, 0.16) * (1 + 0.03 * fractal(part.shape, rng, 0.1))
    colour = tint(np.asarray(factor, np.float32), body)
    grain = max(0.008, 1.6 / part.unit)
    spots = sigmoid(smooth(part.shape, rng, grain) + 0.3 * smooth(part.shape, rng, 0.1), 1.9, 0.5)
    colour += (0.8 * spots)[..., None] * (np.asarray(speckle, np.float32) - colour)
    colour += (3 * white(part.shape, rng))[..., None]
    part.fill(depth, np.asarray(colour, np.float32), 1.0, 1.5)
    stamp(part.at(0.0, 0.0, 0.17), 0.0, 0.0, 0.0)


def stamp(part: sc.Scene, y: float, x: float, slip: float) -> None:
    """Pressed letters `FF`: dark on the side of the light and bright opposite; `slip` misplaces them."""
    pen = max(0.011, 0.6 / part.unit)
    for k, shift in ((-0.085, -slip), (0.045, slip)):
        for start, end in (
            ((-0.075, k), (0.075, k)),
            ((-0.075, k), (-0.075, k + 0.07)),
            ((0.0, k), (0.0, k + 0.055)),
        ):
            a = (start[0] + y + shift, start[1] + x + slip)
            b = (end[0] + y + shift, end[1] + x + slip)
            part.fill(
                sc.rod(part, (a[0] + pen, a[1] + pen), (b[0] + pen, b[1] + pen), pen), 248, 0.5
            )
            part.fill(sc.rod(part, a, b, pen), (150, 142, 134), 0.75)


def toothbrush(shape: Shape, rng: np.random.Generator) -> Field:
    """Head of a toothbrush from above: an oval of bristle tufts in two colours, on black."""
    s = sc.blank(shape, 20 + 2 * white(shape, rng))
    part = s.near(rng, 0.006, 0.49, rng.normal(0, 0.012))
    head = sc.ellipse(part, BRUSH[0] + 0.03, BRUSH[1] + 0.03)
    neck = sc.box(part, 0.2, 0.045, 0.45)
    body = np.maximum(head, neck)
    part.fill(body, tint(sc.lit(body, s.unit, 0.04, 0.3), (176, 178, 176)))
    dyes = ((64, 96, 176), (186, 58, 66), (70, 150, 92), (232, 176, 60))
    tufts(part, rng, dyes[rng.integers(4)], np.zeros(part.shape, np.float32))
    return s.levels


def tufts(
    part: sc.Scene, rng: np.random.Generator, dye: tuple[float, float, float], lean: Field
) -> None:
    """Bristle tufts on a staggered lattice; `lean` displaces them sideways, in units of the side."""
    head = sc.ellipse(part, BRUSH[0], BRUSH[1])
    pitch_y, pitch_x = 0.062, 0.052
    row = part.y / pitch_y
    odd = np.round(row) % 2
    column = (part.x - lean) / pitch_x + 0.5 * odd
    r = np.hypot((row - np.round(row)) * pitch_y, (column - np.round(column)) * pitch_x)
    centre_y = np.round(row) * pitch_y
    centre_x = (np.round(column) - 0.5 * odd) * pitch_x
    inside = (centre_y / BRUSH[0]) ** 2 + (centre_x / BRUSH[1]) ** 2 < 0.94
    depth = np.where(inside, 0.027 - r, -1).astype(np.float32)
    strand = 0.78 + 0.30 * smooth(part.shape, rng, max(0.005, 1.2 / part.unit))
    tone = strand * np.clip(0.55 + 26 * depth, 0.4, 1.1)
    middle = np.abs(centre_x) < 1.4 * pitch_x
    colour = np.where(middle[..., None], np.asarray(dye, np.float32), np.float32(236))
    part.fill(np.minimum(head, 0.002) - 0.002, (58, 60, 60), 0.8)
    part.fill(depth, np.asarray(colour * tone[..., None], np.float32))
