"""Defects of hardware: cable, metal nut, screw, transistor."""

from __future__ import annotations

import numpy as np

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures import hardware as ware
from defectbench.standin.textures import scene as sc
from defectbench.standin.textures.noise import Field, smooth, white

Point = tuple[float, float]


def _wire_point(canvas: Canvas, rng: np.random.Generator, low: float, high: float) -> Point:
    """A point at a distance between `low` and `high` from the middle of one of the three wires."""
    y, x = ware.WIRE_AT[rng.integers(3)]
    a, r = rng.uniform(0, 2 * np.pi), rng.uniform(low, high)
    return canvas.at(y + r * np.sin(a), x + r * np.cos(a))


def cable_bent_wire(canvas: Canvas, rng: np.random.Generator) -> None:
    """Copper strands pushed aside, one sticking out."""
    at = _wire_point(canvas, rng, 0.0, 0.04)
    turn, amount = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.045)
    marks.push(canvas, at, 0.085, amount * np.sin(turn), amount * np.cos(turn))
    for _ in range(rng.integers(1, 4)):
        marks.chip(canvas, rng, at, rng.uniform(0.1, 0.16), 0.018, (226, 146, 98), 0.4)


def cable_cable_swap(canvas: Canvas, rng: np.random.Generator) -> None:
    """A wire with the colour of another one."""
    place = int(rng.integers(3))
    other = (place + int(rng.integers(1, 3))) % 3
    scene = canvas.scene()
    ware.wire(scene, rng, place, ware.WIRE_COLOURS[other])
    canvas.replace(scene.levels)


def cable_cut_inner_insulation(canvas: Canvas, rng: np.random.Generator) -> None:
    """Notch in the insulation of one wire."""
    at = _wire_point(canvas, rng, 0.12, 0.14)
    marks.hole(canvas, rng, at, rng.uniform(0.022, 0.04), (38, 30, 26), 0.3, 0.3)


def cable_cut_outer_insulation(canvas: Canvas, rng: np.random.Generator) -> None:
    """Slit through the sheath."""
    a = rng.uniform(0, 2 * np.pi)
    inner, outer = 0.33, ware.CABLE_RADIUS + 0.005
    path = np.array(
        [canvas.at(r * np.sin(a), r * np.cos(a)) for r in np.linspace(inner, outer, 12)]
    )
    path = path + rng.normal(0, 0.3, path.shape)
    width = canvas.pixels(rng.uniform(0.018, 0.04), 2)
    alpha, profile = shapes.stroke(canvas.shape, path, np.linspace(0.5, 1.2, 12) * width / 2)
    canvas.cover(alpha, np.repeat((64 - 30 * profile)[..., None], 3, axis=2))


def cable_missing_cable(canvas: Canvas, rng: np.random.Generator) -> None:
    """A whole wire is missing: an empty dark place."""
    scene = canvas.scene()
    part = scene.at(*ware.WIRE_AT[rng.integers(3)], ware.WIRE_RADIUS + 0.01)
    depth = sc.disc(part, ware.WIRE_RADIUS)
    tone = 62 + 4 * smooth(part.shape, rng, 0.04) + 26 * np.clip((part.x + part.y) * 4, -1, 1)
    part.fill(depth, np.asarray(tone, np.float32))
    canvas.replace(scene.levels)


def cable_missing_wire(canvas: Canvas, rng: np.random.Generator) -> None:
    """Some strands are missing from a bundle."""
    at = _wire_point(canvas, rng, 0.0, 0.05)
    marks.hole(canvas, rng, at, rng.uniform(0.03, 0.055), (44, 24, 16), 0.0, 0.25)


def cable_poke_insulation(canvas: Canvas, rng: np.random.Generator) -> None:
    """Small hole poked into an insulation."""
    at = _wire_point(canvas, rng, 0.118, 0.138)
    marks.hole(canvas, rng, at, rng.uniform(0.012, 0.018), (16, 14, 14), 0.8)


def cable_combined(canvas: Canvas, rng: np.random.Generator) -> None:
    """Two faults at once."""
    kinds = (cable_bent_wire, cable_cut_outer_insulation, cable_missing_wire, cable_poke_insulation)
    for k in rng.permutation(4)[:2]:
        kinds[int(k)](canvas, rng)


def nut_bent(canvas: Canvas, rng: np.random.Generator) -> None:
    """An ear or a piece of the rim bent away."""
    (y, x), _, _ = canvas.pose()
    a = rng.uniform(0, 2 * np.pi)
    at = (y + 0.37 * canvas.side * np.sin(a), x + 0.37 * canvas.side * np.cos(a))
    amount = rng.uniform(0.06, 0.09) * rng.choice([-1, 1])
    region, canvas.region = canvas.region, None  # metal moves over the background
    marks.push(canvas, at, 0.15, amount * np.cos(a) - 0.05 * np.sin(a), -amount * np.sin(a), 0.03)
    canvas.region = region
    spot = shapes.blob(canvas.shape, at, canvas.pixels(0.045, 2), rng, 0.3)
    canvas.shade(0.9 * shapes.soft(spot, 2), rng.choice([0.5, 1.6]))


def nut_color(canvas: Canvas, rng: np.random.Generator) -> None:
    """Drops of blue or red dye."""
    factor = ((0.35, 0.45, 1.15), (1.2, 0.35, 0.35))[rng.integers(2)]
    for _ in range(rng.integers(1, 4)):
        marks.stain(canvas, rng, canvas.place(rng, 0.06), rng.uniform(0.03, 0.06), factor, 0.15)


def nut_flip(canvas: Canvas, rng: np.random.Generator) -> None:
    """The nut lies on its face: all of it is the defect."""
    picture = np.empty_like(canvas.image)
    picture[...] = (38 + 3 * white(canvas.shape, rng))[..., None]
    scene = sc.over(picture)
    part = scene.at(0, 0, 0.5, rng.uniform(0, 2 * np.pi))
    ware.nut(part, rng, mirrored=True)
    body = np.abs(picture - 38).max(axis=2) > 24
    was = canvas.region if canvas.region is not None else body
    region, canvas.region = canvas.region, None
    canvas.cover((body | was).astype(np.float32), picture)
    canvas.region = region


def nut_scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    """Bright scratches over the face."""
    at, angle = canvas.place(rng, 0.07), rng.uniform(0, np.pi)
    for _ in range(rng.integers(2, 6)):
        near = (
            at[0] + rng.normal(0, 0.03) * canvas.side,
            at[1] + rng.normal(0, 0.03) * canvas.side,
        )
        turn = angle + rng.normal(0, 0.3)
        marks.scratch(canvas, rng, near, rng.uniform(0.1, 0.22), 0.012, turn, 1.9, lip=-0.4)


def _screw_point(canvas: Canvas, along: float, across: float = 0.0) -> tuple[Point, float]:
    """Pixel at `along` (-1 head, 1 tip) on the screw's axis, `across` of the side off it; its angle."""
    (y, x), angle, half = canvas.pose()
    off = across * canvas.side
    point = (
        y + along * half * np.sin(angle) + off * np.cos(angle),
        x + along * half * np.cos(angle) - off * np.sin(angle),
    )
    return (float(point[0]), float(point[1])), angle


def screw_manipulated_front(canvas: Canvas, rng: np.random.Generator) -> None:
    """The tip is bent over."""
    at, angle = _screw_point(canvas, rng.uniform(0.85, 0.95))
    amount = rng.choice([-1, 1]) * rng.uniform(0.05, 0.08)
    canvas.region = None
    marks.push(canvas, at, 0.12, amount * np.cos(angle), -amount * np.sin(angle))


def _screw_scratch(canvas: Canvas, rng: np.random.Generator, along: float) -> None:
    at, angle = _screw_point(canvas, along, rng.uniform(-0.015, 0.015))
    for _ in range(rng.integers(1, 4)):
        turn = angle + rng.normal(np.pi / 4, 0.6)
        factor = float(rng.choice([0.45, 1.7]))
        marks.scratch(canvas, rng, at, rng.uniform(0.07, 0.12), 0.02, turn, factor)


def screw_scratch_head(canvas: Canvas, rng: np.random.Generator) -> None:
    """Scratches on the head."""
    _screw_scratch(canvas, rng, rng.uniform(-0.95, -0.8))


def screw_scratch_neck(canvas: Canvas, rng: np.random.Generator) -> None:
    """Scratches on the neck."""
    _screw_scratch(canvas, rng, rng.uniform(-0.55, -0.3))


def screw_thread_side(canvas: Canvas, rng: np.random.Generator) -> None:
    """Threads crushed at the flank."""
    at, angle = _screw_point(canvas, rng.uniform(-0.1, 0.5), rng.choice([-1, 1]) * 0.045)
    level = float(np.median(canvas.image[canvas.region])) if canvas.region is not None else 120.0
    depth = shapes.box(canvas.shape, at, (canvas.pixels(0.09, 4), canvas.pixels(0.03, 2)), angle)
    tone = level * (0.75 + 0.12 * smooth(canvas.shape, rng, 0.015))
    canvas.cover(shapes.soft(depth, 1.5), np.repeat(tone[..., None], 3, axis=2).astype(np.float32))


def screw_thread_top(canvas: Canvas, rng: np.random.Generator) -> None:
    """Threads filed flat on top."""
    at, angle = _screw_point(canvas, rng.uniform(-0.1, 0.55))
    depth = shapes.blob(
        canvas.shape, at, canvas.pixels(rng.uniform(0.025, 0.035), 3), rng, 0.2, 2, angle
    )
    tone = 196 + 14 * smooth(canvas.shape, rng, 0.02)
    canvas.cover(0.9 * shapes.soft(depth), np.repeat(tone[..., None], 3, axis=2).astype(np.float32))


def _footprint(s: sc.Scene, margin: float) -> tuple[Field, list[Field]]:
    """Depths of the package and of each leg of a well placed transistor, `margin` wider."""
    y, height, width = ware.PACKAGE
    package = sc.box(s, height + margin, width + margin, y)
    tip = ware.LEG_SPAN[1] + 0.022 + margin
    middle, half = (tip + y + height) / 2, (tip - y - height) / 2
    legs = [sc.box(s, half, 0.022 + margin, middle, x) for x in ware.LEGS]
    return package, legs


def _leg(canvas: Canvas, rng: np.random.Generator, tip: float, bend: float) -> None:
    """Draw the board over one leg and the leg anew, down to `tip` and bent by `bend`."""
    k = int(rng.integers(3))
    scene = canvas.scene()
    package, legs = _footprint(scene, 0.012)
    scene.fill(np.minimum(legs[k], -package + np.float32(0.012)), ware.board(canvas.shape, rng))
    part = scene.levels.copy()
    ware.leg(scene, ware.LEGS[k], tip, bend)
    scene.levels[package > 0] = part[package > 0]
    canvas.replace(scene.levels, 24.0)


def transistor_bent_lead(canvas: Canvas, rng: np.random.Generator) -> None:
    """One leg bent aside."""
    bend = float(rng.choice([-1, 1]) * rng.uniform(0.04, 0.085))
    _leg(canvas, rng, ware.LEG_SPAN[1] - abs(bend) / 3, bend)


def transistor_cut_lead(canvas: Canvas, rng: np.random.Generator) -> None:
    """One leg cut short."""
    _leg(canvas, rng, float(rng.uniform(0.16, 0.25)), 0.0)


def transistor_damaged_case(canvas: Canvas, rng: np.random.Generator) -> None:
    """A piece of the package broken off, or cracked."""
    y, height, width = ware.PACKAGE
    canvas.region = _footprint(canvas.scene(), -0.005)[0] > 0
    at = canvas.at(y + rng.uniform(-0.8, 0.5) * height, rng.uniform(-0.8, 0.8) * width)
    marks.abrasion(canvas, rng, at, rng.uniform(0.035, 0.07), 112, 22, rng.uniform(1, 2), 0.6, 0.95)
    if rng.random() < 0.5:
        marks.crack(canvas, rng, at, rng.uniform(0, 6.3), 0.2, 0.014, (150, 148, 146), 1)


def transistor_misplaced(canvas: Canvas, rng: np.random.Generator) -> None:
    """The transistor stands turned or tipped over, or is not there at all."""
    scene = canvas.scene()
    package, legs = _footprint(scene, 0.03)
    scene.fill(np.maximum.reduce([package, *legs]), ware.board(canvas.shape, rng), 1.0, 3.0)
    if rng.random() < 0.75:
        angle = float(rng.choice([-1, 1]) * rng.uniform(0.35, 1.3))
        turned = scene.at(0, 0, 0.5, angle)
        for x in ware.LEGS:
            ware.leg(turned, x, ware.LEG_SPAN[1], 0.0)
        ware.tab(turned, rng)
    canvas.replace(scene.levels, 30.0, 0.05)
