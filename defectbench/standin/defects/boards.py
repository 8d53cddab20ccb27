"""Defects of circuit boards: bent, melted, scratched, missing, burnt, extra, misplaced, dirty."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures import boards
from defectbench.standin.textures import scene as sc

Painting = Callable[[Canvas, np.random.Generator], None]
Point = tuple[float, float]


def _any_point(canvas: Canvas, rng: np.random.Generator) -> Point:
    """A point well on the board."""
    height, width = boards.BOARD
    return canvas.at(rng.uniform(-0.8, 0.8) * height, rng.uniform(-0.8, 0.8) * width)


def _component(rng: np.random.Generator, kind: int) -> boards.Component:
    layout = boards.LAYOUTS[kind]
    return layout[rng.integers(len(layout))]


def _erase(
    canvas: Canvas, scene: sc.Scene, rng: np.random.Generator, kind: int, part: boards.Component
) -> None:
    """Bare board in place of a component."""
    y, x, h, w, _ = part
    margin = 0.03
    depth = sc.box(scene, h + margin, w + 1.4 * margin, y, x, 0.01)
    depth = np.minimum(depth, sc.box(scene, *boards.BOARD, corner=0.02) - np.float32(0.01))
    for other in boards.LAYOUTS[kind]:
        if other != part:
            depth = np.minimum(
                depth, -sc.box(scene, other[2] + 0.02, other[3] + 0.04, other[0], other[1])
            )
    scene.fill(depth, boards.laminate(canvas.shape, rng, kind))
    if min(h, w) < 0.05:  # solder pads remain
        for sign in (-1, 1):
            scene.fill(sc.box(scene, 0.8 * h, 0.014, y, x + sign * w), 178.0)


def bent(kind: int) -> Painting:
    """A component bent aside."""

    def painting(canvas: Canvas, rng: np.random.Generator) -> None:
        y, x, h, w, _ = _component(rng, kind)
        a = rng.uniform(0, 2 * np.pi)
        at = canvas.at(y + 0.7 * h * np.sin(a), x + 0.7 * w * np.cos(a))
        amount = rng.uniform(0.05, 0.075)
        marks.push(canvas, at, 0.14, amount * np.sin(a + 1.2), amount * np.cos(a + 1.2), 0.02)

    return painting


def melt(kind: int) -> Painting:
    """Molten plastic and solder over a component."""

    def painting(canvas: Canvas, rng: np.random.Generator) -> None:
        y, x, h, w, _ = _component(rng, kind)
        at = canvas.at(y + rng.uniform(-0.5, 0.5) * h, x + rng.uniform(-0.5, 0.5) * w)
        marks.smear(canvas, rng, at, rng.uniform(0.035, 0.07), (150, 146, 140), 0.9)

    return painting


def scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    """Scratches through the lacquer down to copper and glass."""
    at, angle = _any_point(canvas, rng), rng.uniform(0, np.pi)
    for k in range(rng.integers(1, 4)):
        near = (at[0] + 0.03 * k * canvas.side, at[1] + rng.normal(0, 0.02) * canvas.side)
        path = shapes.walk((0, 0), angle, canvas.pixels(rng.uniform(0.12, 0.3), 8), rng, 0.06)
        alpha, _ = shapes.stroke(
            canvas.shape, shapes.centred(path, near), canvas.pixels(0.008, 1.2) / 2
        )
        canvas.cover(0.85 * alpha, (206, 178, 140))


def missing(kind: int) -> Painting:
    """A component is not there."""

    def painting(canvas: Canvas, rng: np.random.Generator) -> None:
        scene = canvas.scene()
        _erase(canvas, scene, rng, kind, _component(rng, kind))
        canvas.replace(scene.levels, 16.0, 0.02)

    return painting


def burnt(canvas: Canvas, rng: np.random.Generator) -> None:
    """Scorched place."""
    at = _any_point(canvas, rng)
    colour = np.array([24.0, 18.0, 14.0], np.float32)
    size = canvas.pixels(rng.uniform(0.05, 0.09), 3)
    depth = shapes.ragged(shapes.blob(canvas.shape, at, size, rng, 0.3), rng, 0.03, 0.2 * size)
    canvas.cover(0.45 * shapes.soft(depth + 0.3 * size, 0.3 * size), (120, 78, 44))
    canvas.cover(0.9 * shapes.soft(depth, 0.3 * size), colour)


def damage(canvas: Canvas, rng: np.random.Generator) -> None:
    """Board or component broken: pale fibres and a hole."""
    at = _any_point(canvas, rng)
    marks.abrasion(canvas, rng, at, rng.uniform(0.035, 0.06), 170, 26)
    marks.hole(canvas, rng, at, rng.uniform(0.012, 0.022), (40, 36, 30), 0.3, 0.3)


def extra(canvas: Canvas, rng: np.random.Generator) -> None:
    """A component where none belongs."""
    scene = canvas.scene()
    kinds = ("resistor", "capacitor", "led")
    y, x = rng.uniform(-0.26, 0.26), rng.uniform(-0.38, 0.38)
    turn = rng.uniform(0, np.pi)
    boards.component(scene, rng, (y, x, 0.028, 0.045, kinds[rng.integers(3)]), turn)
    canvas.replace(scene.levels, close=0.02)


def wrong_place(kind: int) -> Painting:
    """A component moved and turned away from its place."""

    def painting(canvas: Canvas, rng: np.random.Generator) -> None:
        scene = canvas.scene()
        part = _component(rng, kind)
        _erase(canvas, scene, rng, kind, part)
        y, x, h, w, name = part
        a, step = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.06)
        moved = (y + step * np.sin(a), x + step * np.cos(a), h, w, name)
        boards.component(scene, rng, moved, float(rng.choice([-1, 1]) * rng.uniform(0.15, 0.6)))
        canvas.replace(scene.levels, 16.0, 0.02)

    return painting


def dirt(canvas: Canvas, rng: np.random.Generator) -> None:
    """Crumbs and a greasy film."""
    y, x = _any_point(canvas, rng)
    for _ in range(rng.integers(3, 8)):
        near = (y + rng.normal(0, 0.035) * canvas.side, x + rng.normal(0, 0.035) * canvas.side)
        colour = (166 + rng.uniform(-20, 20), 150, 120)
        marks.smear(canvas, rng, near, rng.uniform(0.01, 0.024), colour, 0.85)
