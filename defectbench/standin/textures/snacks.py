"""Small wares of VisA: candle, capsules, cashew, chewing gum, fryums, macaroni."""

from __future__ import annotations

import numpy as np

from defectbench.standin.textures import scene as sc
from defectbench.standin.textures.noise import (
    Colour,
    Field,
    Shape,
    fractal,
    light,
    smooth,
    tint,
    white,
)

CANDLES = ((-0.21, -0.21), (-0.21, 0.21), (0.21, -0.21), (0.21, 0.21))
CANDLE_RADIUS = 0.165


def _cloth(shape: Shape, rng: np.random.Generator, colour: Colour) -> sc.Scene:
    """Scene on a plain dark ground of one colour."""
    tone = (1 + 0.03 * white(shape, rng)) * light(shape, rng, 0.08)
    return sc.blank(shape, tint(np.asarray(tone, np.float32), colour))


def _crumb(
    part: sc.Scene,
    rng: np.random.Generator,
    depth: Field,
    colour: Colour,
    roundness: float,
    grain: float = 0.06,
) -> None:
    """Fill an outline with a baked, slightly uneven body and a shadow."""
    part.shadow(depth - 0.004, 0.45, 0.03)
    tone = sc.lit(depth, part.unit, roundness, 0.45)
    tone = tone * (1 + grain * fractal(part.shape, rng, 0.12, octaves=4, gain=0.6))
    part.fill(depth, tint(np.asarray(tone, np.float32), colour), 1.0, 1.5)


def candle(shape: Shape, rng: np.random.Generator) -> Field:
    """Four tea lights in their metal cups on a dark ground."""
    s = _cloth(shape, rng, (44, 44, 50))
    for y, x in CANDLES:
        tea_light(s.at(y, x, 0.2, rng.uniform(0, 2 * np.pi)), rng)
    return s.levels


def tea_light(part: sc.Scene, rng: np.random.Generator) -> None:
    """One tea light: crimped cup, pale wax, wick."""
    theta = np.arctan2(part.y, part.x)
    cup = sc.disc(part, CANDLE_RADIUS)
    part.shadow(cup, 0.4, 0.02)
    part.fill(
        cup,
        np.asarray(150 + 40 * np.cos(theta * 40) + 50 * np.cos(theta + part.angle - 4), np.float32),
    )
    wax = sc.disc(part, CANDLE_RADIUS - 0.016)
    tone = 1 + 0.02 * fractal(part.shape, rng, 0.2, octaves=3) - 0.25 * np.exp(-wax / 0.012)
    part.fill(wax, tint(np.asarray(tone, np.float32), (232, 228, 216)))
    part.fill(sc.disc(part, 0.016), (190, 186, 176))
    part.fill(sc.rod(part, (0, 0), (0.008, 0.045), max(0.007, 0.6 / part.unit)), (236, 234, 228))
    part.fill(sc.rod(part, (0.01, 0.0), (0.018, 0.045), 0.004), (150, 146, 138), 0.6)


def capsules(shape: Shape, rng: np.random.Generator) -> Field:
    """Fifteen dark green gel capsules, strewn."""
    s = _cloth(shape, rng, (176, 178, 180))
    for row in range(4):
        for column in range(4):
            y, x = (
                (row - 1.5) * 0.22 + rng.normal(0, 0.012),
                (column - 1.5) * 0.22 + rng.normal(0, 0.012),
            )
            if (row, column) != (3, 3):
                gel(s.at(y, x, 0.11, rng.uniform(0, np.pi)), rng)
    return s.levels


def gel(part: sc.Scene, rng: np.random.Generator) -> None:
    """One soft capsule: glossy, translucent, with a seam."""
    depth = sc.rod(part, (0, -0.042), (0, 0.042), 0.042)
    part.shadow(depth, 0.35, 0.015)
    tone = sc.lit(depth, part.unit, 0.042, 0.3) * (1 + 0.04 * smooth(part.shape, rng, 0.03))
    colour = tint(np.asarray(tone, np.float32), (52, 96, 62))
    glow = np.clip(depth / 0.042, 0, 1)[..., None] * np.array([26, 46, 20])
    part.fill(depth, np.asarray(colour + glow, np.float32))
    part.fill(
        sc.rod(part, (0.0, -0.08), (0.0, 0.08), 0.003) + np.minimum(depth, 0), (30, 60, 38), 0.5
    )
    part.fill(sc.rod(part, (-0.018, -0.03), (-0.018, 0.02), 0.006), (214, 232, 214), 0.8)


def cashew(shape: Shape, rng: np.random.Generator) -> Field:
    """One cashew nut at any turn: a kidney."""
    s = _cloth(shape, rng, (46, 74, 58))
    part = s.near(rng, 0.015, 0.42, rng.uniform(0, 2 * np.pi))
    radius = np.hypot(part.y - 0.16, part.x)
    theta = np.arctan2(part.x, -(part.y - 0.16))
    thick = 0.095 + 0.02 * np.cos(theta - 0.5)
    along = np.maximum(np.abs(theta) - 0.85, 0) * 0.2
    depth = thick - np.hypot(radius - 0.2, along)
    _crumb(part, rng, np.asarray(depth, np.float32), (216, 178, 124), 0.09)
    return s.levels


def chewinggum(shape: Shape, rng: np.random.Generator) -> Field:
    """One pad of white gum: a rounded, smooth oblong."""
    s = _cloth(shape, rng, (52, 54, 62))
    part = s.near(rng, 0.012, 0.42, rng.normal(0, 0.15))
    depth = sc.box(part, 0.16, 0.27, 0, 0, 0.07)
    _crumb(part, rng, depth, (206, 206, 200), 0.06, 0.025)
    return s.levels


def fryum(shape: Shape, rng: np.random.Generator) -> Field:
    """One wheel-shaped snack: ring, hub and spokes, blistered."""
    s = _cloth(shape, rng, (40, 66, 60))
    part = s.near(rng, 0.012, 0.45, rng.uniform(0, 2 * np.pi))
    wave = 0.012 * smooth(part.shape, rng, 0.12)
    radius = np.hypot(part.y, part.x) + wave
    theta = np.arctan2(part.y, part.x)
    ring = 0.055 - np.abs(radius - 0.27)
    hub = 0.075 - radius
    fold = theta * 6 / (2 * np.pi)
    spoke = 0.026 - np.abs(fold - np.round(fold)) * radius * 2 * np.pi / 6
    spoke = np.minimum(spoke, 0.27 - radius)
    depth = np.maximum(np.maximum(ring, hub), spoke)
    _crumb(part, rng, np.asarray(depth, np.float32), (204, 162, 92), 0.045, 0.09)
    return s.levels


def _macaroni(part: sc.Scene, rng: np.random.Generator, colour: Colour) -> None:
    """One elbow of pasta: a bent ribbed tube with a dark opening at each end."""
    radius = np.hypot(part.y - 0.09, part.x)
    theta = np.arctan2(part.x, -(part.y - 0.09))
    across = radius - 0.115
    along = (0.95 - np.abs(theta)) * 0.115
    depth = np.asarray(np.minimum(0.042 - np.abs(across), along), np.float32)
    part.shadow(depth - 0.003, 0.45, 0.02)
    tone = sc.lit(depth, part.unit, 0.042, 0.4) * (
        1 + 0.04 * fractal(part.shape, rng, 0.2, octaves=3)
    )
    tone = tone * (1 + 0.05 * np.cos(across * 500))
    part.fill(depth, tint(np.asarray(tone, np.float32), colour), 1.0, 1.5)
    for sign in (-1, 1):
        y, x = 0.09 - 0.115 * np.cos(0.9), sign * 0.115 * np.sin(0.9)
        end = part.at(y, x, 0.05, -sign * 0.9)
        end.fill(sc.ellipse(end, 0.026, 0.009), (88, 50, 22), 0.85)


def macaroni1(shape: Shape, rng: np.random.Generator) -> Field:
    """Four orange elbows in rows."""
    s = _cloth(shape, rng, (38, 40, 48))
    for y, x in CANDLES:
        part = s.at(y + rng.normal(0, 0.008), x + rng.normal(0, 0.008), 0.16, rng.normal(0, 0.1))
        _macaroni(part, rng, (222, 148, 58))
    return s.levels


def macaroni2(shape: Shape, rng: np.random.Generator) -> Field:
    """Four yellow elbows, strewn at any turn."""
    s = _cloth(shape, rng, (44, 60, 52))
    for y, x in CANDLES:
        part = s.at(
            y + rng.normal(0, 0.02), x + rng.normal(0, 0.02), 0.16, rng.uniform(0, 2 * np.pi)
        )
        _macaroni(part, rng, (226, 186, 92))
    return s.levels


def pipe_fryum(shape: Shape, rng: np.random.Generator) -> Field:
    """One short ribbed pipe, orange."""
    s = _cloth(shape, rng, (48, 52, 58))
    part = s.near(rng, 0.012, 0.45, rng.normal(0, 0.3))
    depth = sc.box(part, 0.12, 0.31, 0, 0, 0.03)
    depth = depth + 0.006 * smooth(part.shape, rng, 0.12)
    part.shadow(depth, 0.45, 0.03)
    tone = sc.lit(depth, s.unit, 0.12, 0.35) * (1 + 0.07 * np.cos(part.x * 150))
    tone = tone * (1 + 0.06 * fractal(part.shape, rng, 0.12, octaves=4, gain=0.6))
    part.fill(depth, tint(np.asarray(tone, np.float32), (222, 132, 52)), 1.0, 1.5)
    mouth = sc.ellipse(part, 0.085, 0.03, 0, 0.275)
    part.fill(mouth, (104, 52, 20))
    return s.levels
