"""The five assemblies of MVTec LOCO AD: each a fixed layout of parts, drawn part by part.

The constants give the layout, in units of the side from the middle of the image, so that a defect can
take a part away, add one or change it.
"""

from __future__ import annotations

import numpy as np

from defectbench.standin.textures import scene as sc
from defectbench.standin.textures.hardware import screw_body
from defectbench.standin.textures.noise import (
    Colour,
    Field,
    Shape,
    cells,
    fractal,
    light,
    smooth,
    tint,
    white,
)

TRAY = (0.38, 0.45)  # half height and half width of the breakfast box
FRUITS = ((-0.20, -0.30, "tangerine"), (-0.14, -0.10, "tangerine"), (0.16, -0.22, "nectarine"))
SUPPLIES = ((-0.17, "granola"), (0.19, "chips"))  # y in the right half, x = 0.22
JUICES: tuple[Colour, ...] = ((214, 160, 40), (150, 26, 34), (224, 206, 170))
FILL = -0.12  # y of the juice's surface
LABELS = (0.06, 0.27)  # y of the fruit label and of the text label
PIN_ROWS, PIN_COLUMNS = (-0.27, 0.0, 0.27), (-0.36, -0.18, 0.0, 0.18, 0.36)
BAG = (
    (-0.20, -0.16, "washer"),
    (-0.24, 0.04, "washer"),
    (-0.02, -0.24, "nut"),
    (0.02, -0.04, "nut"),
)
CLAMPS, CABLE_COLOURS = (-0.07, 0.0, 0.07), ((206, 60, 52), (66, 110, 190), (220, 186, 60))


def breakfast_box(shape: Shape, rng: np.random.Generator) -> Field:
    """Tray with two tangerines and a nectarine at the left, granola and banana chips at the right."""
    s = sc.blank(shape, (74 + 3 * white(shape, rng)) * light(shape, rng, 0.08))
    rim = sc.box(s, *TRAY, corner=0.05)
    s.shadow(rim, 0.4, 0.03)
    s.fill(rim, 226 * sc.lit(rim, s.unit, 0.02, 0.3))
    for half_width, x in ((0.205, -0.23), (0.205, 0.215)):
        well = sc.box(s, TRAY[0] - 0.03, half_width, 0, x, 0.04)
        s.fill(well, (208 + 2 * white(shape, rng)) * (2 - sc.lit(well, s.unit, 0.05, 0.2)))
    for y, x, kind in FRUITS:
        fruit(s, rng, y + rng.normal(0, 0.01), x + rng.normal(0, 0.01), kind)
    for y, kind in SUPPLIES:
        supply(s, rng, y, kind)
    return s.levels


def fruit(s: sc.Scene, rng: np.random.Generator, y: float, x: float, kind: str) -> None:
    """A tangerine (orange, dimpled) or a nectarine (larger, red and yellow)."""
    radius = 0.098 if kind == "tangerine" else 0.125
    part = s.at(y, x, 1.3 * radius)
    depth = sc.disc(part, radius)
    part.shadow(depth - 0.01, 0.35, 0.03)
    tone = sc.lit(depth, s.unit, radius, 0.5) * (1 + 0.05 * smooth(part.shape, rng, 0.008))
    base = np.array([232, 128, 30]) if kind == "tangerine" else np.array([150, 38, 34])
    blush = 0.5 + 0.5 * np.tanh(2 * smooth(part.shape, rng, 0.12))
    other = np.array([238, 142, 40]) if kind == "tangerine" else np.array([214, 132, 58])
    colour = (base + blush[..., None] * (other - base)) * tone[..., None]
    part.fill(depth, np.asarray(colour, np.float32))
    part.fill(sc.disc(part, 0.012, -0.02, 0.015), (96, 84, 40), 0.8)


def supply(s: sc.Scene, rng: np.random.Generator, y: float, kind: str) -> None:
    """A heap of granola or of banana chips and almonds at height y of the right half."""
    part = s.at(y, 0.215, 0.2)
    inside = sc.box(part, 0.165, 0.19, 0, 0, 0.05)
    scale = 0.03 if kind == "granola" else 0.075
    near, next_near = cells(part.shape, rng, _scale(part, scale))
    tone = (0.75 + 0.4 * np.clip(next_near - near, 0, 0.6)) * (
        1 + 0.12 * smooth(part.shape, rng, scale)
    )
    hue = smooth(part.shape, rng, 1.4 * scale)[..., None]
    first, second = (
        ((176, 128, 76), (110, 70, 40)) if kind == "granola" else ((228, 196, 112), (150, 88, 48))
    )
    colour = np.asarray(first) + np.clip(0.5 * hue - 0.1, 0, 1) * (
        np.asarray(second) - np.asarray(first)
    )
    edge = 0.02 * smooth(part.shape, rng, 0.05)
    part.fill(inside + edge - np.float32(0.015), np.asarray(colour * tone[..., None], np.float32))


def _scale(part: sc.Scene, length: float) -> float:
    """Length in units of the window's shorter side, which noise counts in."""
    return float(length * part.unit / max(min(part.shape), 1))


def juice_bottle(shape: Shape, rng: np.random.Generator) -> Field:
    """Clear bottle of yellow, red or white juice with a fruit label and a text label."""
    s = sc.blank(shape, (214 + 2 * white(shape, rng)) * light(shape, rng, 0.06))
    body = bottle_outline(s, 0.0)
    s.shadow(body - 0.01, 0.25, 0.03)
    s.fill(body, 196 * sc.lit(body, s.unit, 0.05, 0.35))
    colour = JUICES[rng.integers(3)]
    juice(s, rng, colour, FILL)
    label(s, rng, LABELS[0], colour)
    label(s, rng, LABELS[1], None)
    s.fill(sc.box(s, 0.04, 0.065, -0.45, 0, 0.01), (226, 226, 230))
    shine = np.minimum(sc.box(s, 0.3, 0.008, 0.1, -0.125), body)
    s.fill(shine, 246.0, 0.55, 2.0)
    return s.levels


def bottle_outline(s: sc.Scene, inset: float) -> Field:
    """Depth inside the bottle, walls `inset` thick taken off."""
    shoulder = sc.rod(s, (-0.14, 0.0), (0.32, 0.0), 0.155 - inset)
    neck = sc.box(s, 0.2, 0.05 - inset, -0.26)
    foot = sc.box(s, 0.3, 0.155 - inset, 0.155, 0, 0.02)
    return np.asarray(np.maximum(np.maximum(shoulder, neck), foot), np.float32)


def juice(s: sc.Scene, rng: np.random.Generator, colour: Colour, level: float) -> None:
    """Fill the bottle with juice up to y = `level`."""
    inside = np.minimum(bottle_outline(s, 0.012), s.y - np.float32(level))
    tone = sc.lit(bottle_outline(s, 0.012), s.unit, 0.12, 0.35)
    tone = tone * (1 + 0.02 * smooth(s.shape, rng, 0.1))
    s.fill(inside, tint(np.asarray(tone, np.float32), colour))


def label(s: sc.Scene, rng: np.random.Generator, y: float, fruit_colour: Colour | None) -> None:
    """White label at y: with a fruit of that colour, or with lines of text."""
    part = s.at(y, 0.0, 0.17)
    half = 0.095 if fruit_colour is not None else 0.055
    part.fill(sc.box(part, half, 0.12, 0, 0, 0.01), 240 + 2 * smooth(part.shape, rng, 0.05))
    if fruit_colour is not None:
        part.fill(sc.disc(part, 0.055), fruit_colour)
        part.fill(sc.disc(part, 0.02, -0.015, -0.015), (255, 250, 235), 0.35)
        part.fill(sc.rod(part, (-0.055, 0.0), (-0.075, 0.02), 0.008), (60, 110, 50))
        return
    for k, width in ((-0.028, 0.085), (0.0, 0.07), (0.028, 0.08)):
        part.fill(sc.rod(part, (k, -width), (k, width), max(0.006, 0.5 / s.unit)), (60, 64, 80))


def pushpins(shape: Shape, rng: np.random.Generator) -> Field:
    """Clear box with three rows of five compartments, one yellow pin in each."""
    s = sc.blank(shape, (86 + 3 * white(shape, rng)) * light(shape, rng, 0.08))
    for y in PIN_ROWS:
        for x in PIN_COLUMNS:
            compartment(s, y, x)
            pin(
                s,
                rng,
                y + rng.normal(0, 0.015),
                x + rng.normal(0, 0.012),
                rng.uniform(0, 2 * np.pi),
            )
    return s.levels


def compartment(s: sc.Scene, y: float, x: float, walls: bool = True) -> None:
    """An empty compartment around (y, x): pale floor and, if asked, bright walls."""
    part = s.at(y, x, 0.14)
    if walls:
        part.fill(sc.box(part, 0.132, 0.087, 0, 0, 0.02), 176.0)
    part.fill(sc.box(part, 0.124, 0.079, 0, 0, 0.015), 132 + 60 * (part.y + part.x))


def pin(
    s: sc.Scene,
    rng: np.random.Generator,
    y: float,
    x: float,
    angle: float,
    colour: Colour = (226, 186, 40),
    bend: float = 0.0,
) -> None:
    """Push pin lying on its side; `bend` radians in its needle."""
    part = s.at(y, x, 0.1, angle)
    needle = (0.066 * np.sin(bend), 0.012 + 0.066 * np.cos(bend))
    needle_width = max(0.0045, 0.6 / s.unit)
    part.fill(sc.rod(part, (0, 0.01), needle, needle_width), 214.0)
    for start, end, radius in (
        ((0, -0.048), (0, -0.048), 0.026),
        ((0, -0.05), (0, 0.0), 0.017),
        ((-0.012, 0.004), (0.012, 0.004), 0.014),
    ):
        depth = sc.rod(part, start, end, radius)
        part.shadow(depth, 0.25, 0.008)
        tone = sc.lit(depth, s.unit, radius, 0.4) * rng.uniform(0.94, 1.04)
        part.fill(depth, tint(np.asarray(tone, np.float32), colour))


def screw_bag(shape: Shape, rng: np.random.Generator) -> Field:
    """Clear bag with two washers, two nuts, a long and a short screw."""
    s = sc.blank(shape, (62 + 3 * white(shape, rng)) * light(shape, rng, 0.08))
    depth = sc.box(s, 0.42, 0.38, 0, 0, 0.03)
    wrinkle = np.abs(fractal(shape, rng, 0.25, octaves=3)) + 0.5 * np.abs(smooth(shape, rng, 0.06))
    s.fill(depth, np.asarray(118 - 18 * wrinkle, np.float32), 0.8)
    s.fill(sc.box(s, 0.015, 0.38, -0.36), 168.0, 0.7)
    for y, x, kind in BAG:
        (washer if kind == "washer" else hexagon_nut)(
            s, rng, y + rng.normal(0, 0.012), x + rng.normal(0, 0.012)
        )
    for y, x, size, angle in ((0.2, 0.0, 0.75, 0.1), (-0.04, 0.2, 0.45, 1.45)):
        screw_body(s.at(y, x, 0.38 * size + 0.02, angle + rng.normal(0, 0.1)), rng, size)
    glint = np.clip(smooth(shape, rng, (0.2, 0.03)) - 1.6, 0, 0.6)[..., None]
    s.levels += np.where(depth[..., None] > 0, glint, 0) * (np.float32(235) - s.levels)
    return s.levels


def washer(s: sc.Scene, rng: np.random.Generator, y: float, x: float) -> None:
    """Flat ring."""
    part = s.at(y, x, 0.09)
    depth = np.minimum(sc.disc(part, 0.075), -sc.disc(part, 0.04))
    part.shadow(depth, 0.4, 0.012)
    tone = (176 + 5 * smooth(part.shape, rng, 0.01)) * sc.lit(depth, s.unit, 0.012, 0.5)
    part.fill(depth, np.asarray(tone, np.float32))


def hexagon_nut(s: sc.Scene, rng: np.random.Generator, y: float, x: float) -> None:
    """Hexagon nut with a dark bore."""
    part = s.at(y, x, 0.09, rng.uniform(0, 1))
    depth = np.minimum(sc.ngon(part, 6, 0.062), -sc.disc(part, 0.034))
    part.shadow(depth, 0.4, 0.012)
    tone = (160 + 6 * smooth(part.shape, rng, 0.01)) * sc.lit(depth, s.unit, 0.018, 0.6)
    part.fill(depth, np.asarray(tone, np.float32))


def splicing_connectors(shape: Shape, rng: np.random.Generator) -> Field:
    """Two connectors of three clamps, joined by one cable whose ends sit in the same clamp."""
    s = sc.blank(shape, (120 + 4 * white(shape, rng)) * light(shape, rng, 0.1))
    place = int(rng.integers(3))
    cable(s, rng, CLAMPS[place], CLAMPS[place], CABLE_COLOURS[2])
    for sign in (-1, 1):
        connector(s, rng, sign)
    return s.levels


def connector(s: sc.Scene, rng: np.random.Generator, sign: int) -> None:
    """Connector at the left (-1) or right (1): clear body, three orange levers."""
    part = s.at(0.0, sign * 0.3, 0.17)
    body = sc.box(part, 0.125, 0.11, 0, 0, 0.015)
    part.shadow(body, 0.4, 0.02)
    part.fill(body, 196 * sc.lit(body, s.unit, 0.02, 0.4) + 2 * smooth(part.shape, rng, 0.02))
    for y in CLAMPS:
        lever = sc.box(part, 0.026, 0.062, y, sign * 0.035, 0.008)
        part.fill(lever, tint(sc.lit(lever, s.unit, 0.014, 0.5), (224, 112, 40)))
        part.fill(sc.disc(part, 0.016, y, -sign * 0.078), 58.0)


def cable(s: sc.Scene, rng: np.random.Generator, left: float, right: float, colour: Colour) -> None:
    """Cable from the left connector's clamp at y = `left` to the right one's at y = `right`."""
    sag = rng.uniform(-0.03, 0.06)
    xs = np.linspace(-0.24, 0.24, 13)
    ys = left + (right - left) * (xs + 0.24) / 0.48 + sag * (1 - (xs / 0.24) ** 2)
    depth = np.full(s.shape, -1.0, np.float32)
    for k in range(12):
        piece = sc.rod(s, (ys[k], xs[k]), (ys[k + 1], xs[k + 1]), 0.019)
        np.maximum(depth, piece, out=depth)
    s.shadow(depth, 0.35, 0.015)
    s.fill(depth, tint(sc.lit(depth, s.unit, 0.019, 0.5), colour))
