"""Defects of wares on a plain ground: bottle, capsule, hazelnut, pill, toothbrush."""

from __future__ import annotations

import numpy as np

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures import wares
from defectbench.standin.textures.noise import smooth

Point = tuple[float, float]


def _around(canvas: Canvas, rng: np.random.Generator, radius: float) -> Point:
    """A point on the circle of `radius` around the middle."""
    a = rng.uniform(0, 2 * np.pi)
    return canvas.at(radius * np.sin(a), radius * np.cos(a))


def bottle_broken_large(canvas: Canvas, rng: np.random.Generator) -> None:
    """A large piece of the lip broken out."""
    at = _around(canvas, rng, rng.uniform(0.27, 0.38))
    marks.shards(canvas, rng, at, rng.uniform(0.08, 0.14), (104, 72, 50))


def bottle_broken_small(canvas: Canvas, rng: np.random.Generator) -> None:
    """A chip in the lip."""
    at = _around(canvas, rng, rng.uniform(0.26, 0.39))
    marks.shards(canvas, rng, at, rng.uniform(0.028, 0.05), (120, 84, 60))


def bottle_contamination(canvas: Canvas, rng: np.random.Generator) -> None:
    """Something pale in the dark of the bottle."""
    at = _around(canvas, rng, rng.uniform(0.0, 0.2))
    colours = ((196, 190, 178), (168, 140, 100), (120, 130, 140), (200, 196, 150))
    colour = colours[rng.integers(len(colours))]
    marks.smear(canvas, rng, at, rng.uniform(0.04, 0.1), colour, 0.85, rng.uniform(1, 2))


def capsule_crack(canvas: Canvas, rng: np.random.Generator) -> None:
    """Dark crack in the shell with a pale edge."""
    start, angle = canvas.place(rng, 0.06), rng.uniform(0, 2 * np.pi)
    marks.crack(
        canvas, rng, start, angle, rng.uniform(0.12, 0.25), 0.012, (24, 16, 14), 1, 0.4, 0.5
    )


def capsule_faulty_imprint(canvas: Canvas, rng: np.random.Generator) -> None:
    """The imprint doubled, or smeared out."""
    scene = canvas.scene()
    part = scene.at(0, 0.15, 0.14)
    if rng.random() < 0.5:
        y, x = rng.choice([-1, 1], 2) * rng.uniform(0.012, 0.03, 2)
        wares.imprint(part, float(y), float(x), 0.032, (250, 236, 226))
    else:
        smear = rng.choice([-1, 1]) * rng.uniform(0.015, 0.03)
        for k in np.linspace(0.2, 1, 6):
            wares.imprint(part, smear * k, 1.3 * smear * k, 0.030, (240, 206, 184))
    canvas.replace(scene.levels)


def capsule_poke(canvas: Canvas, rng: np.random.Generator) -> None:
    """A small hole poked into the shell, dented around it."""
    at = canvas.place(rng, 0.05)
    marks.hole(canvas, rng, at, rng.uniform(0.014, 0.026), (18, 10, 8), 0.9)


def capsule_scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    """Fine pale scratches."""
    at, angle = canvas.place(rng, 0.06), rng.uniform(0, np.pi)
    for k in range(rng.integers(1, 4)):
        near = (at[0] + 0.025 * k * canvas.side, at[1] + rng.normal(0, 0.03) * canvas.side)
        length, turn = rng.uniform(0.1, 0.25), angle + rng.normal(0, 0.2)
        path = shapes.walk((0, 0), turn, canvas.pixels(length, 8), rng, 0.05)
        alpha, _ = shapes.stroke(
            canvas.shape, shapes.centred(path, near), canvas.pixels(0.006, 1.1) / 2
        )
        canvas.cover(0.8 * alpha, (226, 206, 196))


def capsule_squeeze(canvas: Canvas, rng: np.random.Generator) -> None:
    """The shell pressed in from one or both sides."""
    x = rng.uniform(-0.26, 0.26)
    amount = rng.uniform(0.05, 0.08)
    both = rng.random() < 0.4
    sign = rng.choice([-1, 1])
    for side in (sign, -sign) if both else (sign,):
        at = canvas.at(-side * wares.CAPSULE[0], x)
        marks.push(canvas, at, rng.uniform(0.1, 0.15), side * amount, 0.0)
    dent = shapes.blob(
        canvas.shape, canvas.at(-sign * 0.05, x), canvas.pixels(0.035, 2), rng, 0.2, 2.0
    )
    canvas.shade(0.9 * shapes.soft(dent, 3), 0.55)


def hazelnut_crack(canvas: Canvas, rng: np.random.Generator) -> None:
    """Split shell."""
    start, angle = canvas.place(rng, 0.12), rng.uniform(0, 2 * np.pi)
    length, width = rng.uniform(0.2, 0.4), rng.uniform(0.014, 0.026)
    marks.crack(canvas, rng, start, angle, length, width, (20, 12, 8), 2, 0.35, 0.5)


def hazelnut_cut(canvas: Canvas, rng: np.random.Generator) -> None:
    """One or two shallow pale cuts."""
    at, angle = canvas.place(rng, 0.15), rng.uniform(0, np.pi)
    for _ in range(rng.integers(1, 3)):
        near = (
            at[0] + rng.normal(0, 0.04) * canvas.side,
            at[1] + rng.normal(0, 0.04) * canvas.side,
        )
        turn = angle + rng.normal(0, 0.3)
        factor = (1.75, 1.9, 2.1)
        marks.scratch(
            canvas, rng, near, rng.uniform(0.12, 0.25), 0.02, turn, factor, 0.04, 0.2, -0.5
        )


def hazelnut_hole(canvas: Canvas, rng: np.random.Generator) -> None:
    """Round hole of a weevil."""
    marks.hole(canvas, rng, canvas.place(rng, 0.1), rng.uniform(0.025, 0.045), (16, 9, 6), 0.7)


def hazelnut_print(canvas: Canvas, rng: np.random.Generator) -> None:
    """Pale printed figure."""
    scene = canvas.scene()
    at = canvas.place(rng, 0.16)
    y, x = (at[k] / canvas.side - canvas.shape[k] / 2 / canvas.side for k in (0, 1))
    part = scene.at(y, x, 0.3, rng.uniform(0, 2 * np.pi))
    wares.imprint(part, 0, 0.0, rng.uniform(0.04, 0.06), (214, 204, 184))
    canvas.replace(scene.levels)


def pill_color(canvas: Canvas, rng: np.random.Generator) -> None:
    """A tinted patch."""
    colours = ((0.95, 0.75, 0.40), (0.95, 0.55, 0.55), (0.55, 0.60, 0.85), (0.7, 0.6, 0.45))
    at, factor = canvas.place(rng, 0.08), colours[rng.integers(len(colours))]
    marks.stain(canvas, rng, at, rng.uniform(0.035, 0.08), factor, 0.25, aspect=rng.uniform(1, 2))


def pill_contamination(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to four foreign grains."""
    y, x = canvas.place(rng, 0.07)
    for _ in range(rng.integers(1, 5)):
        near = (y + rng.normal(0, 0.025) * canvas.side, x + rng.normal(0, 0.04) * canvas.side)
        colour = ((64, 54, 44), (70, 92, 58), (46, 46, 56))[rng.integers(3)]
        marks.paint(canvas, rng, near, rng.uniform(0.014, 0.028), colour, 0.95)


def pill_crack(canvas: Canvas, rng: np.random.Generator) -> None:
    """Crack, or a broken-off edge with cracks."""
    start, angle = canvas.place(rng, 0.08), rng.uniform(0, 2 * np.pi)
    marks.crack(
        canvas, rng, start, angle, rng.uniform(0.15, 0.3), 0.012, (88, 80, 74), 2, 0.4, -0.25
    )
    if rng.random() < 0.5:
        a = rng.uniform(0, 2 * np.pi)
        edge = canvas.at(wares.PILL_AXES[0] * np.sin(a), wares.PILL_AXES[1] * np.cos(a))
        marks.hole(canvas, rng, edge, rng.uniform(0.03, 0.05), (120, 112, 104), 0.2, 0.3)


def pill_faulty_imprint(canvas: Canvas, rng: np.random.Generator) -> None:
    """The letters stamped twice, or out of place."""
    scene = canvas.scene()
    y, x = rng.choice([-1, 1], 2) * rng.uniform(0.02, 0.05, 2)
    wares.stamp(scene.at(0, 0, 0.24), float(y), float(x), rng.uniform(0, 0.02))
    canvas.replace(scene.levels)


def pill_scratch(canvas: Canvas, rng: np.random.Generator) -> None:
    """One to three greyish scratches."""
    at, angle = canvas.place(rng, 0.1), rng.uniform(0, np.pi)
    for _ in range(rng.integers(1, 4)):
        near = (
            at[0] + rng.normal(0, 0.03) * canvas.side,
            at[1] + rng.normal(0, 0.03) * canvas.side,
        )
        turn = angle + rng.normal(0, 0.3)
        marks.scratch(canvas, rng, near, rng.uniform(0.12, 0.28), 0.011, turn, 0.62)


def pill_type(canvas: Canvas, rng: np.random.Generator) -> None:
    """Another pill: yellow with dark speckles; the whole pill is the defect."""
    part_region = canvas.region if canvas.region is not None else np.ones(canvas.shape, np.bool_)
    yellow = np.array([0.98, 0.80, 0.45]) * (1 + 0.03 * smooth(canvas.shape, rng, 0.2))[..., None]
    alpha = part_region.astype(np.float32)
    canvas.cover(alpha, np.asarray(canvas.image * yellow, np.float32))


def pill_combined(canvas: Canvas, rng: np.random.Generator) -> None:
    """Two of the other faults."""
    kinds = (pill_color, pill_contamination, pill_crack, pill_scratch)
    for k in rng.permutation(4)[:2]:
        kinds[int(k)](canvas, rng)


def toothbrush_defective(canvas: Canvas, rng: np.random.Generator) -> None:
    """Tufts missing, bent aside, or stuck together with dirt."""
    kind = rng.integers(3)
    half_height, half_width = wares.BRUSH
    at = canvas.at(rng.uniform(-0.7, 0.7) * half_height, rng.uniform(-0.4, 0.4) * half_width)
    if kind == 0:
        size = canvas.pixels(rng.uniform(0.035, 0.06), 3)
        depth = shapes.blob(canvas.shape, at, size, rng, 0.2, rng.uniform(1, 2), rng.uniform(0, 3))
        bare = np.array([66, 68, 68]) + (6 * smooth(canvas.shape, rng, 0.02))[..., None]
        canvas.cover(shapes.soft(depth, 1.5), np.asarray(bare, np.float32))
    elif kind == 1:
        amount = rng.choice([-1, 1]) * rng.uniform(0.05, 0.08)
        marks.push(canvas, at, rng.uniform(0.09, 0.14), 0.3 * amount, amount)
    else:
        for _ in range(rng.integers(5, 11)):
            start = (
                at[0] + rng.normal(0, 0.03) * canvas.side,
                at[1] + rng.normal(0, 0.03) * canvas.side,
            )
            path = shapes.thread(start, rng.uniform(0, 6.3), canvas.pixels(0.09, 5), 0.7, rng)
            alpha, _ = shapes.stroke(canvas.shape, path, canvas.pixels(0.006, 1.2) / 2)
            canvas.cover(0.9 * alpha, rng.uniform(190, 245))
