"""Flat goods of MVTec AD that fill the frame: wire grid, leather, zipper."""

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
    tint,
    white,
)
from defectbench.standin.textures.scene import Scene, blank, box


def grid(shape: Shape, rng: np.random.Generator) -> Field:
    """Welded wire mesh with diamond openings: bright round wires over a dark ground."""
    y, x = coordinates(shape)
    count = min(9.0, side(shape) / 10)
    sway = 0.004 * smooth(shape, rng, 0.5)
    u, v = (x + y + sway) * count, (x - y - sway) * count
    u, v = u + np.float32(rng.random()), v + np.float32(rng.random())
    du, dv = np.abs(u - np.round(u)), np.abs(v - np.round(v))
    wire = max(0.11, 1.1 * count / side(shape))
    tone = 46 + 8 * fractal(shape, rng, 0.2, octaves=3)
    cast = np.minimum(np.abs(u - 0.1 - np.round(u - 0.1)), np.abs(v - 0.1 - np.round(v - 0.1)))
    tone = tone * (1 - 0.35 * sigmoid(1.6 * wire - cast, 0, 0.1))
    for across in (dv, du):  # one set of wires over the other
        profile = np.clip(1 - (across / wire) ** 2, 0, 1)
        steel = 88 + 105 * np.sqrt(profile) * (1 + 0.06 * smooth(shape, rng, 0.02))
        tone = tone + sigmoid(wire - across, 0, 0.06) * (steel - tone)
    knot = sigmoid(1.7 * wire - np.hypot(du, dv), 0, 0.1)
    tone = (tone + 18 * knot) * light(shape, rng, 0.08) + 4 * white(shape, rng)
    return np.asarray(tone, np.float32)


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


ZIP_HALF = 0.105  # half width of the two rows of teeth, fraction of the side
ZIP_TEETH = 22.0  # teeth per side


def zip_teeth(
    scene: Scene, rng: np.random.Generator, left: Field | float, right: Field | float
) -> None:
    """Two rows of meshing teeth down the middle, each displaced sideways by `left` and `right`."""
    pitch = 1 / min(ZIP_TEETH, scene.unit / 5)
    for sign, shift, phase in ((-1, left, 0.0), (1, right, 0.5)):
        row = scene.y / pitch + np.float32(phase)
        fy = np.abs(row - np.round(row)) * pitch
        u = (scene.x - shift) * sign
        length = np.minimum(u + 0.028, ZIP_HALF - 0.02 - u)
        depth = np.asarray(np.minimum(length, 0.30 * pitch - fy), np.float32)
        head = np.asarray(0.40 * pitch - np.hypot(fy, u + 0.008), np.float32)
        depth = np.maximum(depth, head)
        shine = 105 + 70 * np.clip(depth / (0.3 * pitch), 0, 1)
        scene.fill(depth, np.asarray(shine * rng.uniform(0.95, 1.05), np.float32))


def zipper(shape: Shape, rng: np.random.Generator) -> Field:
    """Upright zipper, grey: woven tapes at both sides, a corded seam, two rows of metal teeth."""
    y, x = coordinates(shape)
    count = min(75.0, side(shape) / 3)
    weave = np.sin(2 * np.pi * count * (x + 0.5 * y)) + np.sin(2 * np.pi * count * (0.5 * x - y))
    cloth = 58 + 9 * weave + 5 * white(shape, rng) + 5 * smooth(shape, rng, 0.2)
    cloth = cloth * light(shape, rng, 0.1)
    scene = blank(shape, np.asarray(cloth, np.float32))
    seam = 0.03 - np.abs(np.abs(scene.x) - np.float32(ZIP_HALF + 0.02))
    cord = 76 + 14 * np.sin(2 * np.pi * min(60.0, side(shape) / 4) * (y + 2 * np.abs(scene.x)))
    scene.fill(np.broadcast_to(seam, shape).astype(np.float32), np.asarray(cord, np.float32), 0.85)
    scene.fill(box(scene, 2, ZIP_HALF - 0.01), 34.0)
    zip_teeth(scene, rng, 0.0, 0.0)
    beyond = np.abs(scene.x) - np.float32(0.43)
    scene.fill(np.broadcast_to(beyond, shape).astype(np.float32), 186.0 + 3 * white(shape, rng))
    return scene.levels
