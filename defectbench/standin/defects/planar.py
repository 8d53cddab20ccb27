"""Defects of flat goods that fill the frame: wire grid, leather, zipper."""

from __future__ import annotations

import numpy as np

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures import planar
from defectbench.standin.textures.noise import smooth, white
from defectbench.standin.textures.scene import box


def grid_bent(canvas: Canvas, rng: np.random.Generator) -> None:
    """Wires pushed out of line."""
    angle = rng.uniform(0, 2 * np.pi)
    amount = rng.uniform(0.04, 0.06)
    at = canvas.place(rng, 0.22)
    marks.push(
        canvas, at, rng.uniform(0.13, 0.2), amount * np.sin(angle), amount * np.cos(angle), 0.04
    )


def grid_broken(canvas: Canvas, rng: np.random.Generator) -> None:
    """A piece of wire missing: the dark ground shows, one stump sticks out."""
    at = canvas.place(rng, 0.25)
    size = canvas.pixels(rng.uniform(0.05, 0.09), 4)
    depth = shapes.blob(canvas.shape, at, size, rng, 0.15, 2.0, rng.choice([0.785, 2.356]))
    ground = 44 + 6 * smooth(canvas.shape, rng, 0.05) + 3 * white(canvas.shape, rng)
    picture = canvas.image.copy()
    alpha = shapes.soft(depth)[..., None]
    picture += alpha * (ground[..., None] - picture)
    canvas.replace(picture.astype(np.float32))
    end = (at[0] + rng.normal(0, 0.5) * size, at[1] + rng.normal(0, 0.5) * size)
    marks.chip(canvas, rng, end, 0.07, 0.022, (190, 190, 190), 0.3)


def grid_glue(canvas: Canvas, rng: np.random.Generator) -> None:
    """A lump of glue in the meshes."""
    at = canvas.place(rng, 0.2)
    marks.smear(canvas, rng, at, rng.uniform(0.04, 0.08), (178, 178, 172), 0.8)


def grid_metal_contamination(canvas: Canvas, rng: np.random.Generator) -> None:
    """Bright shavings caught in the grid."""
    y, x = canvas.place(rng, 0.2)
    for _ in range(rng.integers(1, 4)):
        near = (y + rng.normal(0, 0.04) * canvas.side, x + rng.normal(0, 0.04) * canvas.side)
        marks.chip(canvas, rng, near, rng.uniform(0.08, 0.14), rng.uniform(0.02, 0.032), (235,) * 3)


def grid_thread(canvas: Canvas, rng: np.random.Generator) -> None:
    """A pale thread over the wires."""
    marks.strand(
        canvas, rng, canvas.place(rng, 0.3), rng.uniform(0.35, 0.7), 0.011, (226,) * 3, 1.4
    )


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


def _patch_of_cloth(canvas: Canvas, rng: np.random.Generator, x: float, radius: float) -> None:
    """Torn cloth: a dark slit with fluffy pale fibres around it."""
    at = canvas.at(rng.uniform(-0.32, 0.32), x)
    marks.abrasion(canvas, rng, at, radius, 128, 20, rng.uniform(1.5, 3), np.pi / 2, 0.75)
    marks.hole(canvas, rng, at, 0.35 * radius, (12, 12, 12), 0.2, 0.2, 2.5, np.pi / 2)


def zipper_fabric_border(canvas: Canvas, rng: np.random.Generator) -> None:
    """Tape torn at its outer border."""
    side = rng.choice([-1, 1])
    _patch_of_cloth(canvas, rng, side * rng.uniform(0.39, 0.42), rng.uniform(0.04, 0.07))


def zipper_fabric_interior(canvas: Canvas, rng: np.random.Generator) -> None:
    """Tape torn between border and seam."""
    side = rng.choice([-1, 1])
    _patch_of_cloth(canvas, rng, side * rng.uniform(0.22, 0.32), rng.uniform(0.035, 0.06))


def zipper_rough(canvas: Canvas, rng: np.random.Generator) -> None:
    """Fraying seam: fibres stand out along it."""
    side = rng.choice([-1, 1])
    y = rng.uniform(-0.3, 0.3)
    for _ in range(rng.integers(8, 16)):
        start = canvas.at(y + rng.normal(0, 0.06), side * (planar.ZIP_HALF + rng.uniform(0, 0.05)))
        path = shapes.thread(start, rng.uniform(0, 6.3), canvas.pixels(0.06, 4), 1.2, rng)
        alpha, _ = shapes.stroke(canvas.shape, path, canvas.pixels(0.004, 1) / 2)
        canvas.cover(0.85 * alpha, rng.uniform(130, 200))


def _teeth(canvas: Canvas, rng: np.random.Generator, mode: str) -> None:
    """Draw the teeth anew over some length: `split` apart, `squeezed` together, or `broken` out."""
    scene = canvas.scene()
    y0, half = rng.uniform(-0.28, 0.28), rng.uniform(0.06, 0.12)
    swell = np.clip(1 - ((scene.y - y0) / half) ** 2, 0, 1).astype(np.float32)
    scene.fill(box(scene, half, planar.ZIP_HALF - 0.005, y0), 34.0)
    if mode == "split":
        planar.zip_teeth(scene, rng, -0.055 * swell, 0.055 * swell)
    elif mode == "squeezed":
        lean = 0.05 * swell * np.sin((scene.y - y0) * np.float32(60))
        planar.zip_teeth(scene, rng, lean + 0.012, lean - 0.012)
    else:
        gone = np.where(swell > 0.3, np.float32(9), np.float32(0))
        left = rng.random() < 0.5
        planar.zip_teeth(scene, rng, gone if left else 0.0, 0.0 if left else gone)
    inside = np.abs(scene.y - np.float32(y0)) < half
    picture = np.where(inside[..., None], scene.levels, canvas.image)
    canvas.replace(np.asarray(picture, np.float32), 18.0)


def zipper_broken_teeth(canvas: Canvas, rng: np.random.Generator) -> None:
    """Teeth missing on one side."""
    _teeth(canvas, rng, "broken")


def zipper_split_teeth(canvas: Canvas, rng: np.random.Generator) -> None:
    """The two rows part."""
    _teeth(canvas, rng, "split")


def zipper_squeezed_teeth(canvas: Canvas, rng: np.random.Generator) -> None:
    """The rows are pressed together and out of line."""
    _teeth(canvas, rng, "squeezed")


def zipper_combined(canvas: Canvas, rng: np.random.Generator) -> None:
    """A fault of the teeth and one of the fabric."""
    (zipper_broken_teeth, zipper_split_teeth)[rng.integers(2)](canvas, rng)
    (zipper_fabric_border, zipper_fabric_interior, zipper_rough)[rng.integers(3)](canvas, rng)
