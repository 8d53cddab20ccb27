"""Textured surfaces: wood, carpet, tile, concrete, leather."""

from __future__ import annotations

import numpy as np

from defectbench.standin.textures.noise import (
    Field,
    Shape,
    cells,
    coordinates,
    fractal,
    light,
    ramp,
    side,
    sigmoid,
    smooth,
    tint,
    white,
)


def wood(shape: Shape, rng: np.random.Generator) -> Field:
    """Veneer with vertical grain: planks of their own tone, growth lines, pores, rarely a knot."""
    y, x = coordinates(shape)
    drift = 0.03 * smooth(shape, rng, (0.7, 0.25)) + 0.004 * smooth(shape, rng, (0.12, 0.05))
    knot = np.zeros((1, 1), np.float32)
    if rng.random() < 0.2:
        cy, cx = rng.uniform(0.1, 0.9, 2) * (y.max(), x.max())
        radius = rng.uniform(0.02, 0.045)
        distance = np.sqrt(((y - cy) / 1.9) ** 2 + (x - cx) ** 2).astype(np.float32)
        knot = np.exp(-((distance / radius) ** 2) / 2)
        drift = drift + 2.2 * radius * np.exp(-distance / (2.5 * radius)) * np.sign(x - cx)
    frequency = rng.uniform(16, 26)
    phase = (x + drift) * np.float32(frequency) + smooth(shape, rng, (3.0, 0.2))
    lines = (phase - np.floor(phase)).astype(np.float32)  # early to late wood, 0 to 1
    lines = lines**3 - 0.25
    fibre = smooth(shape, rng, (0.12, 0.004)) + 0.7 * smooth(shape, rng, (0.05, 0.0022))
    pores = sigmoid(smooth(shape, rng, (0.035, 0.0028)), 1.5, 0.8)
    band = smooth(shape, rng, (2.5, 0.09))
    tone = 0.50 + 0.055 * band - 0.10 * lines + 0.045 * fibre - 0.20 * pores - 0.35 * knot
    edge = rng.uniform(0.2, 0.8) * float(x.max())
    if rng.random() < 0.5:  # two planks meet
        tone = tone + np.where(x < edge, np.float32(0.05), np.float32(-0.05))
        tone = tone - 0.22 * np.exp(-(((x - edge) * min(300.0, side(shape) / 1.5)) ** 2))
    warm = rng.uniform(-8, 8)
    colours = ramp(
        np.asarray(tone, np.float32),
        [
            (0.0, (52, 28, 14)),
            (0.35, (128 + warm, 80, 44)),
            (0.55, (176 + warm, 124, 78)),
            (0.8, (216, 172, 124)),
        ],
    )
    shade = light(shape, rng, 0.08) + 0.015 * white(shape, rng)
    return np.asarray(colours * shade[..., None], np.float32)


def carpet(shape: Shape, rng: np.random.Generator) -> Field:
    """Woven grey carpet: interlaced bundles of yarn, each with its own brightness and slack."""
    y, x = coordinates(shape)
    cells = min(44.0, side(shape) / 4.5)
    slack = 0.05 / cells
    u = (x + slack * smooth(shape, rng, 0.04) + 0.12 / cells * smooth(shape, rng, 0.6)) * cells
    v = (y + slack * smooth(shape, rng, 0.04) + 0.12 / cells * smooth(shape, rng, 0.6)) * cells
    u += np.float32(rng.random())
    v += np.float32(rng.random())
    column, row = np.floor(u), np.floor(v)
    fu, fv = u - column, v - row
    over = (column + row) % 2 == 0
    across = np.where(over, fv, fu) * 2 - 1  # position across the yarn on top, -1 to 1
    along = np.where(over, fu, fv) * 2 - 1
    height = (1 - 0.85 * across**2) * (1 - 0.45 * along**2)
    table = rng.normal(0, 1, (97, 89)).astype(np.float32)
    own = table[row.astype(np.intp) % 97, column.astype(np.intp) % 89]
    fuzz = 0.6 * white(shape, rng) + smooth(shape, rng, 0.004)
    tone = 42 + 82 * height + 7 * own + 9 * fuzz + 4 * smooth(shape, rng, 0.1)
    tone *= light(shape, rng, 0.07)
    return tint(tone, (1.0, rng.uniform(0.97, 1.0), rng.uniform(0.93, 0.99)))


def tile(shape: Shape, rng: np.random.Generator) -> Field:
    """Speckled stone tile: dark and pale grains of several sizes in a grey ground."""
    ground = fractal(shape, rng, 0.05, octaves=4, gain=0.6)
    seen = min(1.0, 0.45 + side(shape) / 280)  # a small picture averages the finest grains away
    coarse = smooth(shape, rng, max(0.018, 1.8 / side(shape))) + 0.5 * smooth(shape, rng, 0.009)
    fine = smooth(shape, rng, 0.008) + 0.4 * white(shape, rng)
    tone = 8 * smooth(shape, rng, 0.004)
    tone += 52 * sigmoid(coarse, 0.75, 0.5) + 30 * sigmoid(fine, 1.2, 0.7)
    tone -= 78 * sigmoid(-coarse + 0.3 * ground, 1.05, 0.5) + 45 * sigmoid(-fine, 1.35, 0.6)
    tone = (138 + 12 * ground + np.float32(seen) * tone) * light(shape, rng, 0.05)
    return tint(tone, (1.0, rng.uniform(0.965, 0.985), rng.uniform(0.90, 0.95)))


def concrete(shape: Shape, rng: np.random.Generator) -> Field:
    """Weathered concrete: mottled, sandy, with pores, run-off streaks and sometimes a board mark."""
    y, x = coordinates(shape)
    mottle = fractal(shape, rng, 0.4, octaves=5, gain=0.65)
    grain = smooth(shape, rng, 0.006) + 0.6 * white(shape, rng)
    tone = rng.uniform(128, 172) + 13 * mottle + 5 * grain
    tone -= 9 * sigmoid(smooth(shape, rng, (0.6, 0.05)), 0.6, 1.5)
    pit = smooth(shape, rng, max(0.011, 2.0 / side(shape)))
    hollow = sigmoid(pit + 0.3 * smooth(shape, rng, 0.2), 2.5, 0.6)
    tone -= 50 * hollow
    tone += 14 * (sigmoid(pit, 1.7, 0.8) - hollow)
    if rng.random() < 0.35:  # joint between shuttering boards
        along, across = (y, x) if rng.random() < 0.5 else (x, y)
        where = rng.uniform(0.1, 0.9) + 0.04 * (along - 0.5) * rng.normal()
        joint = np.asarray((across - where) * 120, np.float32)
        tone += 9 * np.tanh(2 * joint) * np.exp(-(joint**2) / 40) - 16 * np.exp(-(joint**2))
    tone *= light(shape, rng, 0.12)
    return tint(tone, (1.0, rng.uniform(0.97, 1.0), rng.uniform(0.9, 0.97)))


def leather(shape: Shape, rng: np.random.Generator) -> Field:
    """Brown grained leather: pebbles parted by fine creases, lit obliquely."""
    count = min(52.0, side(shape) / 4.5)
    near, next_near = cells(shape, rng, 1 / count)
    pebble = sigmoid(next_near - near, 0.16, 0.4)
    tilt = np.gradient(pebble + 0.3 * smooth(shape, rng, 1 / count), axis=1) * side(shape) / count
    tone = 0.80 + 0.16 * pebble - 0.05 * tilt + 0.04 * fractal(shape, rng, 0.25, octaves=3)
    tone = tone + 0.02 * white(shape, rng)
    tone = tone * light(shape, rng, 0.1) * rng.uniform(0.85, 1.05)
    return tint(np.asarray(tone, np.float32), (128 + rng.uniform(-8, 8), 80, 56))
