"""Logical and structural anomalies of the five assemblies of MVTec LOCO AD.

Logical: a part is missing, supernumerary, swapped or in the wrong place; structural: a part is damaged or
dirty. One of several such cases is drawn by chance.
"""

from __future__ import annotations

import numpy as np

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures import assemblies as parts
from defectbench.standin.textures import scene as sc
from defectbench.standin.textures.noise import Colour, Field, smooth, white

Point = tuple[float, float]


def _erase(
    scene: sc.Scene, depth: Field, colour: Colour | Field | float, edge: float = 3.0
) -> None:
    scene.fill(depth, colour, 1.0, edge)


def breakfast_box_logical(canvas: Canvas, rng: np.random.Generator) -> None:
    """A fruit missing, added or swapped; a supply missing or doubled."""
    scene = canvas.scene()
    floor = 207 + 2 * white(canvas.shape, rng)
    case = rng.integers(4)
    if case == 0:
        y, x, kind = parts.FRUITS[rng.integers(3)]
        _erase(scene, sc.disc(scene, 0.165 if kind == "nectarine" else 0.14, y, x), floor)
    elif case == 1:
        parts.fruit(scene, rng, 0.27, -0.35, "tangerine")
    elif case == 2:
        k = int(rng.integers(3))
        y, x, kind = parts.FRUITS[k]
        _erase(scene, sc.disc(scene, 0.14, y, x), floor)
        parts.fruit(scene, rng, y, x, "tangerine" if kind == "nectarine" else "nectarine")
    else:
        y, kind = parts.SUPPLIES[rng.integers(2)]
        well = sc.box(scene, 0.18, 0.205, y, 0.215)
        well = np.minimum(well, sc.box(scene, parts.TRAY[0] - 0.04, 0.195, 0, 0.215, 0.04))
        _erase(scene, well, floor)
        if rng.random() < 0.5:
            parts.supply(scene, rng, y, "chips" if kind == "granola" else "granola")
    canvas.replace(scene.levels, 16.0, 0.02)


def breakfast_box_structural(canvas: Canvas, rng: np.random.Generator) -> None:
    """Mould on a fruit, something foreign in the tray, or spilt juice."""
    case = rng.integers(3)
    y, x, _ = parts.FRUITS[rng.integers(3)]
    if case == 0:
        at = canvas.at(y + rng.normal(0, 0.03), x + rng.normal(0, 0.03))
        marks.stain(canvas, rng, at, rng.uniform(0.03, 0.06), (0.45, 0.42, 0.40), 0.2)
    elif case == 1:
        at = canvas.at(rng.uniform(-0.3, 0.3), rng.uniform(-0.38, 0.38))
        marks.chip(canvas, rng, at, rng.uniform(0.08, 0.16), 0.03, (70, 110, 190))
    else:
        at = canvas.at(rng.uniform(0.2, 0.3), rng.uniform(-0.38, -0.1))
        marks.smear(canvas, rng, at, rng.uniform(0.04, 0.07), (206, 128, 50), 0.75)


def _juice_colour(canvas: Canvas) -> tuple[float, float, float]:
    """Colour of the juice between the two labels."""
    y, x = canvas.at(0.185, 0.0)
    red, green, blue = canvas.image[int(y), int(x) - 1 : int(x) + 2].mean(axis=0)
    return float(red), float(green), float(blue)


def juice_bottle_logical(canvas: Canvas, rng: np.random.Generator) -> None:
    """Wrong filling level, a label missing or moved, or the fruit of another juice on the label."""
    scene = canvas.scene()
    colour = _juice_colour(canvas)
    case = rng.integers(4)
    inside = parts.bottle_outline(scene, 0.012)
    if case == 0:
        level = parts.FILL + rng.uniform(0.05, 0.08)
        empty = np.minimum(inside, np.minimum(scene.y - parts.FILL, level - scene.y))
        glass = 196 * sc.lit(parts.bottle_outline(scene, 0.0), scene.unit, 0.05, 0.35)
        scene.fill(np.asarray(empty, np.float32) + np.float32(0.004), glass)
    elif case == 1:
        y = parts.LABELS[rng.integers(2)]
        half = 0.1 if y < 0.2 else 0.06
        tone = sc.lit(inside, scene.unit, 0.12, 0.35)[..., None] * np.asarray(colour)
        scene.fill(sc.box(scene, half, 0.125, y), np.asarray(tone, np.float32))
    elif case == 2:
        away = [c for c in parts.JUICES if np.abs(np.asarray(c) - np.asarray(colour)).max() > 50]
        parts.label(scene, rng, parts.LABELS[0], away[rng.integers(len(away))])
    else:
        tone = sc.lit(inside, scene.unit, 0.12, 0.35)[..., None] * np.asarray(colour)
        scene.fill(sc.box(scene, 0.06, 0.125, parts.LABELS[1]), np.asarray(tone, np.float32))
        parts.label(scene, rng, parts.LABELS[1] + float(rng.choice([0.05, 0.04])), None)
    canvas.replace(scene.levels, 16.0, 0.02)


def juice_bottle_structural(canvas: Canvas, rng: np.random.Generator) -> None:
    """Torn or stained label, or something that floats in the juice."""
    case = rng.integers(3)
    at = canvas.at(rng.uniform(0.0, 0.3), rng.uniform(-0.1, 0.1))
    if case == 0:
        marks.stain(canvas, rng, at, rng.uniform(0.03, 0.05), (0.55, 0.42, 0.32), 0.2, tide=0.2)
    elif case == 1:
        marks.shards(canvas, rng, at, rng.uniform(0.025, 0.045), (176, 150, 120))
    else:
        where = canvas.at(rng.uniform(-0.1, -0.06), rng.uniform(-0.1, 0.1))
        marks.paint(canvas, rng, where, rng.uniform(0.015, 0.028), (40, 44, 40), 0.9)


def pushpins_logical(canvas: Canvas, rng: np.random.Generator) -> None:
    """A compartment without a pin, or with a second one."""
    scene = canvas.scene()
    y, x = parts.PIN_ROWS[rng.integers(3)], parts.PIN_COLUMNS[rng.integers(5)]
    if rng.random() < 0.5:
        parts.compartment(scene, y, x, walls=False)
    else:
        sign = rng.choice([-1, 1])
        parts.pin(scene, rng, y + sign * 0.075, x + rng.normal(0, 0.02), rng.uniform(0, 6.3))
    canvas.replace(scene.levels, 16.0, 0.03)


def pushpins_structural(canvas: Canvas, rng: np.random.Generator) -> None:
    """A pin with a bent needle, a broken or discoloured head, or dirt in a compartment."""
    scene = canvas.scene()
    y, x = parts.PIN_ROWS[rng.integers(3)], parts.PIN_COLUMNS[rng.integers(5)]
    case = rng.integers(3)
    if case < 2:
        parts.compartment(scene, y, x, walls=False)
        bend = float(rng.choice([-1, 1]) * rng.uniform(0.8, 1.4)) if case == 0 else 0.0
        colour = (226, 186, 40) if case == 0 else (150, 96, 60)
        parts.pin(scene, rng, y, x, rng.uniform(0, 2 * np.pi), colour, bend)
        canvas.replace(scene.levels, 16.0, 0.02)
    else:
        at = canvas.at(y + rng.normal(0, 0.04), x + rng.normal(0, 0.03))
        marks.smear(canvas, rng, at, rng.uniform(0.025, 0.045), (96, 76, 58), 0.85)


def screw_bag_logical(canvas: Canvas, rng: np.random.Generator) -> None:
    """A washer or nut missing, exchanged or one too many."""
    scene = canvas.scene()
    k = int(rng.integers(len(parts.BAG)))
    y, x, kind = parts.BAG[k]
    case = rng.integers(3)
    if case < 2:
        spot = sc.disc(scene, 0.1, y, x)
        around = canvas.image[(spot < 0) & (spot > -0.012)]
        film = np.median(around) + 3 * smooth(canvas.shape, rng, 0.1) + white(canvas.shape, rng)
        _erase(scene, spot, film, max(3.0, 0.03 * canvas.side))
    if case == 1:
        draw = parts.hexagon_nut if kind == "washer" else parts.washer
        draw(scene, rng, y, x)
    elif case == 2:
        draw = parts.hexagon_nut if rng.random() < 0.5 else parts.washer
        draw(scene, rng, rng.uniform(0.28, 0.33), rng.choice([-0.24, 0.24]))
    canvas.replace(scene.levels, 18.0, 0.02)


def screw_bag_structural(canvas: Canvas, rng: np.random.Generator) -> None:
    """Rust or paint on a part, a bent screw, or a torn bag."""
    case = rng.integers(3)
    y, x, _ = parts.BAG[rng.integers(len(parts.BAG))]
    if case == 0:
        factor = ((1.0, 0.55, 0.3), (0.5, 0.6, 1.1))[rng.integers(2)]
        marks.stain(canvas, rng, canvas.at(y, x + 0.055), rng.uniform(0.025, 0.045), factor, 0.2)
    elif case == 1:
        amount = float(rng.choice([-1, 1]) * rng.uniform(0.05, 0.07))
        marks.push(canvas, canvas.at(0.22, 0.18), 0.13, amount, 0.0, 0.02)
    else:
        at, angle = canvas.at(rng.uniform(-0.3, 0.35), rng.uniform(-0.3, 0.3)), rng.uniform(0, 3)
        marks.scratch(canvas, rng, at, rng.uniform(0.15, 0.3), 0.022, angle, 0.45, 0.05, 0.3, 0.7)


def _bare(canvas: Canvas, scene: sc.Scene, rng: np.random.Generator) -> None:
    """Take the cable away."""
    depth = sc.box(scene, 0.19, 0.186)
    scene.fill(depth, canvas.ground(rng), 1.0, 3.0)


def splicing_connectors_logical(canvas: Canvas, rng: np.random.Generator) -> None:
    """No cable, a second one, one of another colour, or one between different clamps."""
    scene = canvas.scene()
    case = rng.integers(4)
    left, right = (float(v) for v in rng.choice(parts.CLAMPS, 2, replace=False))
    if case != 3:
        _bare(canvas, scene, rng)
    if case == 1:
        parts.cable(scene, rng, left, right, parts.CABLE_COLOURS[2])
    elif case >= 2:
        parts.cable(scene, rng, left, left, parts.CABLE_COLOURS[rng.integers(2)])
    canvas.replace(scene.levels, 26.0, 0.02)


def splicing_connectors_structural(canvas: Canvas, rng: np.random.Generator) -> None:
    """A lever broken off, a scratched body, or something burnt."""
    case = rng.integers(3)
    sign = rng.choice([-1, 1])
    y = parts.CLAMPS[rng.integers(3)]
    at = canvas.at(y, sign * 0.33)
    if case == 0:
        scene = canvas.scene()
        scene.fill(
            sc.box(scene, 0.028, 0.064, y, sign * 0.335, 0.008),
            92 + 6 * smooth(canvas.shape, rng, 0.02),
        )
        canvas.replace(scene.levels)
    elif case == 1:
        path = shapes.walk((0, 0), rng.uniform(0, 3), canvas.pixels(0.16, 8), rng, 0.06)
        alpha, _ = shapes.stroke(
            canvas.shape, shapes.centred(path, at), canvas.pixels(0.012, 1.4) / 2
        )
        canvas.cover(0.85 * alpha, (52, 50, 50))
    else:
        marks.stain(canvas, rng, at, rng.uniform(0.04, 0.06), (0.3, 0.24, 0.2), 0.25)
