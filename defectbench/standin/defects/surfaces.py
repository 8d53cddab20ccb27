"""Defects of textured surfaces: wood, carpet, tile, leather."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures.noise import smooth

_DYES = ((60, 70, 160), (150, 40, 60), (110, 60, 140), (50, 120, 80), (180, 60, 40))


def wood_color(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to four drops or dabs of paint."""
    dyes = ((165, 40, 45), (70, 60, 130), (40, 35, 40), (190, 80, 130), (225, 225, 215))
    colour = dyes[rng.integers(len(dyes))]
    y, x = canvas.place(rng, 0.2)
    for _ in range(rng.integers(1, 5)):
        near = (y + rng.normal(0, 0.08) * canvas.side, x + rng.normal(0, 0.08) * canvas.side)
        marks.paint(
            canvas,
            rng,
            near,
            rng.uniform(0.025, 0.06),
            colour,
            0.88,
            rough=0.2,
            aspect=rng.uniform(1, 2.5),
            angle=rng.uniform(0, np.pi),
        )


def wood_hole(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to four drilled holes with torn fibres around them."""
    y, x = canvas.place(rng, 0.2)
    radius = rng.uniform(0.014, 0.032)
    for _ in range(rng.integers(1, 5)):
        near = (y + rng.normal(0, 0.09) * canvas.side, x + rng.normal(0, 0.09) * canvas.side)
        marks.hole(
            canvas, rng, near, radius, (34, 20, 12), 0.5, 0.06, rng.uniform(1, 1.3), np.pi / 2
        )
        for _ in range(rng.integers(0, 3)):
            splinter = (near[0] + rng.choice([-1.2, 1.2]) * radius * canvas.side, near[1])
            marks.scratch(canvas, rng, splinter, 1.5 * radius, 0.006, np.pi / 2, 1.4)


def wood_liquid(canvas: Canvas, rng: np.random.Generator) -> None:
    """Spilt drops that darken the wood, with a darker tide line and a small reflection."""
    y, x = canvas.place(rng, 0.22)
    for i in range(rng.integers(1, 6)):
        spread = 0.12 if i else 0.0
        near = (y + rng.normal(0, spread) * canvas.side, x + rng.normal(0, spread) * canvas.side)
        radius = rng.uniform(0.02, 0.05) if i else rng.uniform(0.05, 0.11)
        marks.stain(
            canvas,
            rng,
            near,
            radius,
            (0.68, 0.58, 0.50),
            rough=0.2,
            aspect=rng.uniform(1, 1.8),
            angle=rng.uniform(0, np.pi),
            tide=0.22,
        )
        gleam = (near[0] - 0.3 * radius * canvas.side, near[1] - 0.3 * radius * canvas.side)
        shine = shapes.blob(
            canvas.shape, gleam, canvas.pixels(0.12 * radius, 0.7), rng, 0.2, 2, 2.4
        )
        canvas.cover(0.7 * shapes.soft(shine), (250, 244, 232))


def wood_scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to four scratches that lay the pale wood bare."""
    y, x = canvas.place(rng, 0.25)
    angle = rng.uniform(0, np.pi)
    for _ in range(rng.integers(1, 5)):
        near = (y + rng.normal(0, 0.07) * canvas.side, x + rng.normal(0, 0.07) * canvas.side)
        marks.scratch(
            canvas,
            rng,
            near,
            rng.uniform(0.15, 0.4),
            rng.uniform(0.006, 0.014),
            angle + rng.normal(0, 0.25),
            (1.6, 1.75, 1.95),
            lip=-0.45,
        )


def wood_combined(canvas: Canvas, rng: np.random.Generator) -> None:
    """Two or three of the other defects in one picture."""
    kinds = (wood_color, wood_hole, wood_liquid, wood_scratch)
    for k in rng.permutation(4)[: rng.integers(2, 4)]:
        kinds[int(k)](canvas, rng)


def carpet_color(canvas: Canvas, rng: np.random.Generator) -> None:
    """Dye soaked into the yarn; the weave shows through."""
    dye = np.asarray(_DYES[rng.integers(len(_DYES))], np.float32)
    at = canvas.place(rng, 0.2)
    angle = rng.uniform(0, np.pi)
    factor = tuple(float(v) for v in 1.35 * dye / dye.max())
    radius = rng.uniform(0.06, 0.12)
    marks.stain(canvas, rng, at, radius, factor, 0.2, aspect=rng.uniform(1, 3), angle=angle)


def _fray(canvas: Canvas, rng: np.random.Generator, at: tuple[float, float], reach: float) -> None:
    """Loose pale fibre ends around a cut."""
    for _ in range(rng.integers(2, 6)):
        near = (at[0] + rng.normal(0, reach), at[1] + rng.normal(0, reach))
        path = shapes.thread(near, rng.uniform(0, 6.3), canvas.pixels(0.03, 3), 0.8, rng)
        alpha, _ = shapes.stroke(canvas.shape, path, canvas.pixels(0.003, 1) / 2)
        canvas.cover(0.6 * alpha, rng.uniform(110, 170))


def carpet_cut(canvas: Canvas, rng: np.random.Generator) -> None:
    """Slit: a dark gap with a lifted, lit edge and frayed fibres."""
    at = canvas.place(rng, 0.25)
    angle = rng.uniform(0, np.pi)
    length, width = (
        canvas.pixels(rng.uniform(0.15, 0.32)),
        canvas.pixels(rng.uniform(0.02, 0.04), 2.2),
    )
    path = shapes.walk((0, 0), angle, length, rng, 0.06, rng.uniform(-0.4, 0.4))
    path = shapes.centred(path, at)
    radii = np.maximum(width / 2 * shapes.taper(len(path), 0.15), 0.6)
    lifted, _ = shapes.stroke(canvas.shape, path + 0.35 * width, radii)
    canvas.shade(lifted, 1.45)
    gap, profile = shapes.stroke(canvas.shape, path, radii)
    canvas.cover(0.95 * gap, np.repeat((28 - 18 * profile)[..., None], 3, axis=2))
    for k in rng.integers(4, len(path) - 4, 3):
        _fray(canvas, rng, (float(path[k, 0]), float(path[k, 1])), 0.5 * width)


def carpet_hole(canvas: Canvas, rng: np.random.Generator) -> None:
    """Torn hole with a dark ground and fibres across its edge."""
    at = canvas.place(rng, 0.2)
    radius = rng.uniform(0.025, 0.06)
    marks.hole(
        canvas, rng, at, radius, (15, 14, 13), 0.6, 0.2, rng.uniform(1, 1.6), rng.uniform(0, 3)
    )
    _fray(canvas, rng, at, 0.8 * radius * canvas.side)


def carpet_metal_contamination(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to five shiny metal shavings close together."""
    y, x = canvas.place(rng, 0.2)
    for _ in range(rng.integers(1, 6)):
        near = (y + rng.normal(0, 0.05) * canvas.side, x + rng.normal(0, 0.05) * canvas.side)
        marks.chip(canvas, rng, near, rng.uniform(0.04, 0.11), rng.uniform(0.012, 0.024))


def carpet_thread(canvas: Canvas, rng: np.random.Generator) -> None:
    """A pale thread that lies loosely on the carpet."""
    at = canvas.place(rng, 0.3)
    colours = ((205, 200, 190), (226, 222, 214), (170, 120, 110), (215, 190, 120))
    colour = colours[rng.integers(len(colours))]
    marks.strand(canvas, rng, at, rng.uniform(0.25, 0.6), rng.uniform(0.009, 0.015), colour)


def tile_crack(canvas: Canvas, rng: np.random.Generator) -> None:
    """Branching break across the tile: dark fissure, pale broken edge."""
    height, width = canvas.shape
    angle = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.4, 0.75)
    start = (
        height / 2 - 0.5 * reach * np.sin(angle) * canvas.side + rng.normal(0, 0.06) * height,
        width / 2 - 0.5 * reach * np.cos(angle) * canvas.side + rng.normal(0, 0.06) * width,
    )
    marks.crack(
        canvas,
        rng,
        start,
        angle,
        reach,
        rng.uniform(0.010, 0.02),
        (26, 24, 22),
        branches=int(rng.integers(1, 4)),
        wobble=0.45,
        lip=0.7,
        memory=0.1,
        steps=22,
    )


def tile_glue_strip(canvas: Canvas, rng: np.random.Generator) -> None:
    """Strip of clear glue: flattened contrast, milky, shining edges and bubbles."""
    at = canvas.place(rng, 0.3)
    length, width = canvas.pixels(rng.uniform(0.3, 0.6)), canvas.pixels(rng.uniform(0.07, 0.14))
    depth = shapes.box(canvas.shape, at, (length, width), rng.uniform(0, np.pi))
    depth = shapes.ragged(depth, rng, 0.08, 0.01 * canvas.side)
    blurred = ndimage.uniform_filter(canvas.image, (max(3, canvas.side // 40),) * 2 + (1,))
    milk = 0.55 * blurred + 0.12 * canvas.image + 0.33 * np.array([226, 224, 212], np.float32)
    milk += (9 * smooth(canvas.shape, rng, 0.05))[..., None]
    canvas.cover(shapes.soft(depth, 2), milk.astype(np.float32))
    line = np.exp(-(((depth - 0.008 * canvas.side) / max(0.006 * canvas.side, 0.8)) ** 2))
    canvas.cover((0.6 * line * shapes.soft(depth)).astype(np.float32), (248, 247, 240))
    for _ in range(rng.integers(2, 7)):
        offset = rng.normal(0, 0.25, 2) * width
        bubble = shapes.blob(
            canvas.shape, (at[0] + offset[0], at[1] + offset[1]), canvas.pixels(0.007), rng, 0.1
        )
        canvas.cover(0.5 * shapes.soft(bubble) * shapes.soft(depth), (252, 252, 248))


def tile_gray_stroke(canvas: Canvas, rng: np.random.Generator) -> None:
    """Broad stroke of grey felt pen, streaky along its way."""
    at = canvas.place(rng, 0.3)
    reach = canvas.pixels(rng.uniform(0.25, 0.55))
    path = shapes.centred(shapes.thread((0, 0), rng.uniform(0, 6.3), reach, 0.5, rng), at)
    alpha, profile = shapes.stroke(
        canvas.shape, path, canvas.pixels(rng.uniform(0.025, 0.05), 3) / 1.6
    )
    streak = 10 * np.sin(14 * profile) + 6 * smooth(canvas.shape, rng, 0.02)
    tone = rng.uniform(55, 85) + streak + 0.12 * (canvas.image.mean(axis=2) - 130)
    opacity = 0.86 + 0.06 * smooth(canvas.shape, rng, 0.05)
    canvas.cover(np.clip(alpha * opacity, 0, 1), np.repeat(tone[..., None], 3, axis=2))


def tile_oil(canvas: Canvas, rng: np.random.Generator) -> None:
    """Oil that soaks in: a large warm dark stain with a soft edge and satellite drops."""
    at = canvas.place(rng, 0.25)
    radius = rng.uniform(0.09, 0.18)
    factor = (0.66, 0.60, 0.44)
    angle = rng.uniform(0, np.pi)
    marks.stain(canvas, rng, at, radius, factor, 0.12, 0.25, rng.uniform(1, 1.8), angle, 0.12)
    for _ in range(rng.integers(0, 4)):
        far = rng.uniform(0, 6.3)
        offset = 1.5 * radius * canvas.side
        near = (at[0] + offset * np.sin(far), at[1] + offset * np.cos(far))
        marks.stain(canvas, rng, near, rng.uniform(0.012, 0.03), factor, 0.2)


def tile_rough(canvas: Canvas, rng: np.random.Generator) -> None:
    """Patch where the polish is gone: pale, grainy."""
    at = canvas.place(rng, 0.25)
    radius, angle = rng.uniform(0.07, 0.15), rng.uniform(0, np.pi)
    marks.abrasion(canvas, rng, at, radius, 196, 20, rng.uniform(1, 2.5), angle, 0.85)


def leather_color(canvas: Canvas, rng: np.random.Generator) -> None:
    """Spots of foreign colour."""
    colours = ((196, 186, 170), (48, 60, 120), (150, 30, 34), (34, 26, 24), (196, 160, 60))
    at, colour = canvas.place(rng, 0.15), colours[rng.integers(len(colours))]
    marks.paint(canvas, rng, at, rng.uniform(0.025, 0.05), colour, 0.85)


def leather_cut(canvas: Canvas, rng: np.random.Generator) -> None:
    """Clean cut with a pale lifted lip."""
    at, angle = canvas.place(rng, 0.2), rng.uniform(0, np.pi)
    length = rng.uniform(0.1, 0.25)
    marks.scratch(canvas, rng, at, length, 0.016, angle, (0.22, 0.2, 0.2), 0.03, 0.2, 0.75)


def leather_fold(canvas: Canvas, rng: np.random.Generator) -> None:
    """Crease: a long soft ridge, bright on one flank and dark on the other."""
    reach = canvas.pixels(rng.uniform(0.3, 0.6))
    path = shapes.thread((0, 0), rng.uniform(0, 6.3), reach, 0.35, rng)
    path = shapes.centred(path, canvas.place(rng, 0.3))
    radius = canvas.pixels(0.014, 1.4)
    wide = radius * shapes.taper(len(path), 0.4)
    bright, _ = shapes.stroke(canvas.shape, path - 0.8 * radius, wide)
    dark, _ = shapes.stroke(canvas.shape, path + 0.8 * radius, wide)
    canvas.shade(bright, 1.55)
    canvas.shade(dark, 0.5)


def leather_glue(canvas: Canvas, rng: np.random.Generator) -> None:
    """Dried glue: a milky shining patch."""
    at = canvas.place(rng, 0.2)
    marks.smear(canvas, rng, at, rng.uniform(0.04, 0.09), (196, 168, 140), 0.6, rng.uniform(1, 3))


def leather_poke(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to three small punctures."""
    y, x = canvas.place(rng, 0.15)
    for _ in range(rng.integers(1, 4)):
        near = (y + rng.normal(0, 0.03) * canvas.side, x + rng.normal(0, 0.03) * canvas.side)
        marks.hole(canvas, rng, near, rng.uniform(0.012, 0.02), (26, 14, 10), 0.6)
