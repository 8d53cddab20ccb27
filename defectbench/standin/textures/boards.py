"""Circuit boards of VisA: four layouts of components on a coloured board.

A component is (y, x, half height, half width, kind) in units of the side from the middle of the image;
the layouts are constants, so that a defect can take one away or move it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from defectbench.standin.textures import scene as sc
from defectbench.standin.textures.noise import (
    Colour,
    Field,
    Shape,
    light,
    side,
    smooth,
    tint,
    white,
)

Component = tuple[float, float, float, float, str]

BOARD = (0.33, 0.45)  # half height and half width
COLOURS: tuple[Colour, ...] = ((28, 74, 122), (24, 92, 66), (150, 36, 44), (34, 38, 44))
LAYOUTS: tuple[tuple[Component, ...], ...] = (
    (
        (-0.04, -0.30, 0.14, 0.095, "can"),
        (-0.04, 0.30, 0.14, 0.095, "can"),
        (0.02, 0.0, 0.075, 0.11, "chip"),
        (0.25, 0.0, 0.03, 0.16, "pins"),
        (-0.20, -0.08, 0.025, 0.05, "resistor"),
        (-0.20, 0.10, 0.025, 0.05, "resistor"),
        (0.20, -0.32, 0.03, 0.05, "capacitor"),
        (0.20, 0.32, 0.03, 0.05, "capacitor"),
    ),
    (
        (0.0, -0.08, 0.11, 0.11, "chip"),
        (-0.20, 0.26, 0.06, 0.06, "can"),
        (0.12, 0.26, 0.06, 0.06, "can"),
        (0.0, -0.39, 0.2, 0.025, "pins"),
        (-0.23, -0.18, 0.022, 0.05, "resistor"),
        (-0.23, 0.0, 0.022, 0.05, "resistor"),
        (0.24, -0.10, 0.028, 0.05, "capacitor"),
        (0.24, 0.08, 0.022, 0.04, "led"),
    ),
    (
        (-0.10, 0.20, 0.07, 0.13, "chip"),
        (-0.12, -0.28, 0.05, 0.05, "led"),
        (0.12, -0.28, 0.05, 0.05, "led"),
        (0.0, -0.06, 0.08, 0.06, "trimmer"),
        (0.25, 0.20, 0.03, 0.14, "pins"),
        (0.10, 0.12, 0.022, 0.05, "resistor"),
        (0.10, 0.30, 0.022, 0.05, "resistor"),
        (-0.25, 0.0, 0.028, 0.05, "capacitor"),
    ),
    (
        (-0.08, -0.18, 0.10, 0.15, "chip"),
        (-0.10, 0.24, 0.12, 0.10, "can"),
        (0.26, -0.12, 0.03, 0.22, "pins"),
        (0.14, 0.12, 0.03, 0.06, "capacitor"),
        (0.14, 0.30, 0.03, 0.06, "capacitor"),
        (-0.26, -0.30, 0.022, 0.05, "resistor"),
        (-0.26, -0.12, 0.022, 0.05, "resistor"),
        (0.12, -0.32, 0.05, 0.05, "trimmer"),
        (0.13, -0.12, 0.03, 0.035, "led"),
    ),
)


def _board(kind: int) -> Callable[[Shape, np.random.Generator], Field]:
    def drawing(shape: Shape, rng: np.random.Generator) -> Field:
        s = sc.blank(shape, (190 + 2 * white(shape, rng)) * light(shape, rng, 0.06))
        plate = sc.box(s, *BOARD, corner=0.02)
        s.shadow(plate, 0.35, 0.02)
        s.fill(plate, laminate(shape, rng, kind))
        for y in (-0.28, 0.28):
            for x in (-0.41, 0.41):
                hole = s.at(y, x, 0.05)
                hole.fill(sc.disc(hole, 0.03), (206, 180, 110))
                hole.fill(sc.disc(hole, 0.018), 190.0)
        for part in LAYOUTS[kind]:
            component(s, rng, part)
        return s.levels

    drawing.__doc__ = f"Circuit board number {kind + 1} of four."
    return drawing


def laminate(shape: Shape, rng: np.random.Generator, kind: int) -> Field:
    """Bare board with its lacquered copper tracks and vias, (H, W, 3)."""
    s = sc.blank(shape, 0.0)
    tone: Field = 1 + 0.03 * smooth(shape, rng, 0.02) + 0.02 * white(shape, rng)
    level: Field = np.ones(shape, np.float32)
    pitch = 0.075
    lane = (s.x + 0.5 * (kind - 1.5) * s.y) / pitch
    row = s.y / pitch
    track = np.abs(lane - np.round(lane)) * pitch < max(0.008, 0.6 / side(shape))
    level = level + 0.28 * (track & (np.cos(9 * s.y + 2 * np.round(lane) + kind) > -0.2))
    via = np.hypot(row - np.round(row), lane - np.round(lane)) * pitch
    s.levels[...] = tint(np.asarray(tone * level, np.float32), COLOURS[kind])
    s.fill(np.asarray(0.011 - via, np.float32), (176, 168, 140), 0.8)
    return s.levels


def component(s: sc.Scene, rng: np.random.Generator, part: Component, angle: float = 0.0) -> None:
    """One component, turned by `angle`."""
    y, x, h, w, kind = part
    p = s.at(y, x, 1.5 * max(h, w) + 0.02, angle)
    if kind == "pins":
        _pins(p, h, w)
        return
    body = sc.box(p, h, w, 0, 0, 0.3 * min(h, w))
    if kind in ("can", "led", "trimmer"):
        body = sc.ellipse(p, h, w)
    if kind == "chip":
        reach = w + 0.03
        row = p.y / 0.036
        fingers = np.minimum(0.011 - np.abs(row - np.round(row)) * 0.036, reach - np.abs(p.x))
        p.fill(np.minimum(fingers, h - np.abs(p.y)).astype(np.float32), 196.0)
    if kind in ("resistor", "capacitor"):
        p.fill(sc.box(p, 0.9 * h, w + 0.018), 200.0)
    p.shadow(body, 0.3, 0.012)
    dye = {
        "chip": (36, 36, 40),
        "can": (182, 184, 190),
        "resistor": (40, 40, 44),
        "capacitor": (190, 150, 96),
        "led": (226, 220, 190),
        "trimmer": (52, 96, 170),
    }[kind]
    tone = sc.lit(body, s.unit, 0.35 * min(h, w), 0.4) * (1 + 0.02 * smooth(p.shape, rng, 0.05))
    p.fill(body, tint(np.asarray(tone, np.float32), dye))
    if kind == "chip":
        p.fill(sc.disc(p, 0.012, -0.6 * h, -0.7 * w), 84.0)
        p.fill(sc.rod(p, (0, -0.5 * w), (0, 0.5 * w), max(0.006, 0.5 / s.unit)), 120.0, 0.7)
    elif kind == "can":
        p.fill(np.minimum(sc.ellipse(p, 0.72 * h, 0.72 * w), 0.01) - 0.004, (120, 122, 128), 0.6)
    elif kind == "trimmer":
        p.fill(sc.disc(p, 0.55 * min(h, w)), (214, 206, 180))
        p.fill(sc.box(p, 0.007, 0.4 * min(h, w)), 70.0)
    elif kind == "resistor":
        p.fill(sc.box(p, 0.5 * h, 0.4 * w), 150.0, 0.35)


def _pins(p: sc.Scene, h: float, w: float) -> None:
    """Row of gold pins in a black strip."""
    p.fill(sc.box(p, h, w), (34, 34, 36))
    along, across = (p.x, p.y) if w > h else (p.y, p.x)
    at = along / 0.045
    r = np.hypot((at - np.round(at)) * 0.045, across)
    inside = max(h, w) - 0.02 - np.abs(along)
    p.fill(np.minimum(0.014 - r, inside).astype(np.float32), (226, 196, 110))


DRAWINGS = tuple(_board(kind) for kind in range(4))
