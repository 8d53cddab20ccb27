"""Hardware of MVTec AD: cable, metal nut, screw, transistor."""

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

WIRE_AT = tuple(
    (-0.175 * float(np.cos(a)), 0.175 * float(np.sin(a))) for a in (0.0, 2.0944, 4.1888)
)  # centres (y, x) of the three inner wires of a cable, in units of the side
WIRE_RADIUS, COPPER_RADIUS, CABLE_RADIUS = 0.158, 0.098, 0.40
WIRE_COLOURS = ((150, 170, 60), (70, 110, 168), (120, 74, 52))
LEGS = (-0.105, 0.0, 0.105)  # x of the transistor's legs
LEG_SPAN = (0.10, 0.36)  # y from the package to the tips
PACKAGE = (-0.08, 0.19, 0.20)  # middle y, half height, half width
SCREW_HEAD, SCREW_TIP = -0.33, 0.35  # along its axis


def cable(shape: Shape, rng: np.random.Generator) -> Field:
    """Cut through a cable: grey sheath around three insulated wires with copper strands."""
    s = sc.blank(shape, (96 + 4 * white(shape, rng)) * light(shape, rng, 0.08))
    depth = sc.disc(s, CABLE_RADIUS)
    s.shadow(depth, 0.35, 0.04)
    sheath = (196 + 4 * smooth(shape, rng, 0.03)) * sc.lit(depth, s.unit, 0.03, 0.3)
    s.fill(depth, np.asarray(sheath, np.float32))
    s.fill(sc.disc(s, CABLE_RADIUS - 0.035), 150 + 5 * smooth(shape, rng, 0.02), 0.9)
    for k in range(3):
        wire(s, rng, k, WIRE_COLOURS[k])
    return s.levels


def wire(
    s: sc.Scene, rng: np.random.Generator, place: int, colour: tuple[float, float, float]
) -> None:
    """One insulated wire at place 0, 1 or 2 of the cable."""
    part = s.at(*WIRE_AT[place], WIRE_RADIUS + 0.01)
    depth = sc.disc(part, WIRE_RADIUS)
    tone = sc.lit(depth, s.unit, 0.025, 0.3) * (1 + 0.04 * smooth(part.shape, rng, 0.02))
    part.fill(depth, tint(np.asarray(tone, np.float32), colour))
    strands(part, rng, np.zeros(part.shape, np.float32), np.zeros(part.shape, np.float32))


def strands(part: sc.Scene, rng: np.random.Generator, down: Field, right: Field) -> None:
    """Copper strands of one wire on a hexagonal lattice, displaced by (down, right)."""
    pitch = max(0.023, 3.0 / part.unit)
    core = sc.disc(part, COPPER_RADIUS)
    part.fill(core, (70, 38, 24))
    jitter = 0.05 * pitch
    y = (part.y - down) + jitter * smooth(part.shape, rng, 0.03)
    x = (part.x - right) + jitter * smooth(part.shape, rng, 0.03)
    row = np.round(y / (0.87 * pitch))
    fy = y - row * 0.87 * pitch
    shift = 0.5 * (row % 2)
    fx = x / pitch + shift
    fx = (fx - np.round(fx)) * pitch
    r = np.hypot(fy, fx)
    bead = np.minimum(0.46 * pitch - r, core)
    tone = 0.72 + 0.5 * np.clip(bead / (0.4 * pitch), 0, 1) - 5 * (fx + fy)
    tone = tone * (1 + 0.08 * smooth(part.shape, rng, pitch))
    part.fill(np.asarray(bead, np.float32), tint(np.asarray(tone, np.float32), (196, 118, 76)))


def metal_nut(shape: Shape, rng: np.random.Generator) -> Field:
    """Pressed nut with four ears at any turn, on dark grey: ring, bevel and bore."""
    s = sc.blank(shape, 38 + 3 * white(shape, rng))
    nut(s.at(0, 0, 0.5, rng.uniform(0, 2 * np.pi)), rng, mirrored=False)
    return s.levels


def nut(part: sc.Scene, rng: np.random.Generator, mirrored: bool) -> None:
    """The nut itself; `mirrored` shows its back: ears swept the other way, a flat paler face."""
    sweep = -1.0 if mirrored else 1.0
    radius = np.hypot(part.y, part.x)
    theta = np.arctan2(part.y, part.x)
    lobe = np.cos(4 * (theta + sweep * 0.9 * (radius - 0.3)))
    outline = 0.325 + 0.085 * sigmoid(np.asarray(lobe, np.float32), 0.25, 0.9)
    depth = np.asarray(outline - radius, np.float32)
    brushed = smooth(part.shape, rng, (0.004, 0.06)) + smooth(part.shape, rng, 0.02)
    base = 158 if mirrored else 132
    tone = (base + 5 * brushed) * sc.lit(depth, part.unit, 0.025, 0.35)
    part.fill(depth, np.asarray(tone, np.float32))
    if not mirrored:
        face = 0.225 - radius
        bevel = 118 + 55 * np.cos(theta + part.angle - 4.0)
        part.fill(np.asarray(face + 0.035, np.float32), np.asarray(bevel, np.float32))
        part.fill(np.asarray(face, np.float32), np.asarray(160 + 6 * brushed, np.float32))
    ring = np.asarray(0.135 - radius, np.float32)
    part.fill(
        ring + np.float32(0.018), np.asarray(88 + 70 * np.cos(theta + part.angle - 0.8), np.float32)
    )
    thread = 30 + 22 * np.cos(radius * 2 * np.pi * min(90.0, part.unit / 4))
    part.fill(ring, np.asarray(np.where(radius > 0.1, thread, 34.0), np.float32))


def screw(shape: Shape, rng: np.random.Generator) -> Field:
    """Wood screw at any turn on a pale ground: recessed head, neck, thread, tip."""
    s = sc.blank(shape, (206 + 2.5 * white(shape, rng)) * light(shape, rng, 0.06))
    part = s.near(rng, 0.01, 0.5, rng.uniform(0, 2 * np.pi))
    screw_body(part, rng)
    return s.levels


def screw_body(part: sc.Scene, rng: np.random.Generator, size: float = 1.0) -> None:
    """The screw along local x from head to tip, `size` times its usual length of 0.68."""
    x, y = part.x / np.float32(size), part.y / np.float32(size)
    head, tip = SCREW_HEAD, SCREW_TIP
    start, taper = -0.07, 0.22  # the thread begins; the tip begins to narrow
    core = np.where(x < head + 0.10, 0.095 - (x - head) * 0.62, 0.033)
    core = np.where(x < head + 0.035, 0.095, core)
    core = np.where(x > taper, 0.033 * np.clip((tip - x) / (tip - taper), 0, 1), core)
    pitch = max(0.036, 4.5 / (part.unit * size))
    turn = (x - start + 0.35 * y) / pitch
    ridge = 1 - np.abs(2 * (turn - np.floor(turn)) - 1)
    threaded = (x > start) & (x < tip - 0.01)
    fade = np.clip((tip - x) / (tip - taper), 0.2, 1)
    radius = core + threaded * 0.026 * fade * np.clip(1.7 * ridge - 0.35, 0, 1)
    along = np.minimum(x - head, tip - x)
    depth = np.minimum(radius - np.abs(y), along).astype(np.float32) * np.float32(size)
    part.shadow(depth - 0.012, 0.35, 0.035)
    across = np.clip(y / np.maximum(radius, 1e-3), -1, 1)
    turned = np.cos(part.angle)  # the lamp stays when the screw turns
    tone = 104 + 70 * np.sqrt(1 - across**2) - 34 * across * turned
    tone = tone + 45 * np.exp(-(((across + 0.35) / 0.16) ** 2))
    tone = np.where(threaded, tone * (0.62 + 0.5 * ridge), tone)
    tone = np.where(x < head + 0.028, tone * 0.82 + 22, tone)
    tone = tone + 5 * smooth(part.shape, rng, 0.01)
    part.fill(depth, np.asarray(tone, np.float32))


def transistor(shape: Shape, rng: np.random.Generator) -> Field:
    """Transistor on a perforated board: black package, three tinned legs in their holes."""
    s = sc.blank(shape, board(shape, rng))
    tab(s, rng)
    for x in LEGS:
        leg(s, x, LEG_SPAN[1], 0.0)
    return s.levels


def board(shape: Shape, rng: np.random.Generator) -> Field:
    """Perforated brown board with rows of holes, (H, W, 3)."""
    s = sc.blank(shape, 0.0)
    paper = 1 + 0.05 * fractal(shape, rng, 0.1, octaves=3) + 0.03 * white(shape, rng)
    paper = paper * light(shape, rng, 0.08)
    s.levels[...] = tint(np.asarray(paper, np.float32), (150, 116, 84))
    pitch = 0.105
    fy = s.y / pitch - 0.43
    fx = s.x / pitch
    r = np.hypot(fy - np.round(fy), fx - np.round(fx)) * pitch
    s.fill(np.asarray(0.030 - r, np.float32), (182, 148, 108))
    s.fill(np.asarray(0.021 - r, np.float32), (34, 26, 22))
    return s.levels


def tab(s: sc.Scene, rng: np.random.Generator, y: float = PACKAGE[0], angle: float = 0.0) -> None:
    """The package: black moulding with bevels, a dimple and a printed code."""
    part = s.at(y, 0.0, 0.4, angle)
    depth = sc.box(part, PACKAGE[1], PACKAGE[2], 0, 0, 0.02)
    part.shadow(depth - 0.01, 0.5, 0.04)
    tone = (46 + 4 * smooth(part.shape, rng, 0.01)) * sc.lit(depth, s.unit, 0.035, 0.55)
    part.fill(depth, np.asarray(tone, np.float32))
    part.fill(
        sc.box(part, PACKAGE[1] - 0.05, PACKAGE[2] - 0.05), np.asarray(tone * 1.18, np.float32), 0.8
    )
    part.fill(sc.disc(part, 0.028, -0.09, 0.0), 26.0)
    part.fill(sc.disc(part, 0.020, -0.085, 0.005), 62.0)
    pen = max(0.006, 0.5 / s.unit)
    for k in range(7):
        left = -0.09 + 0.028 * k
        if k != 3:
            part.fill(sc.rod(part, (0.01, left), (0.055, left), pen), 150.0, 0.7)
            part.fill(
                sc.rod(part, (0.01 + 0.02 * (k % 2), left), (0.01, left + 0.018), pen), 150.0, 0.7
            )


def leg(s: sc.Scene, x: float, tip: float, bend: float) -> None:
    """One leg from the package at x down to y = `tip`, its end displaced sideways by `bend`."""
    knee = LEG_SPAN[0] + 0.09
    width = 0.021
    for start, end in (((LEG_SPAN[0], x), (knee, x)), ((knee, x), (tip, x + bend))):
        if end[0] <= start[0]:
            continue
        depth = sc.rod(s, start, end, width)
        s.fill(depth - np.float32(0.0), 84.0)
        s.fill(depth - np.float32(0.006), 178.0)
        s.fill(sc.rod(s, (start[0], start[1] - 0.006), (end[0], end[1] - 0.006), 0.005), 232.0)
