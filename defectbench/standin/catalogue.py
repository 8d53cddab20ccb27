"""Every product that can be drawn: how it looks, and how each of its defects does, under the names that the data sets use.

What tables draw has functions of its own in `textures` and `defects`, or rows for `parts`, and its bytes are kept. All other
objects of MVTec AD, MVTec LOCO AD and VisA are plain bodies on a plain ground, and the other surfaces of DAGM 2007 and
KolektorSDD plain grain: their look follows from the product's name, and how a defect of an object is drawn from the words in
its name. Layout, names and masks are what such a stand-in is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from defectbench.datasets.dagm2007 import DAGM2007
from defectbench.datasets.kolektor_sdd import KolektorSDD
from defectbench.datasets.mvtec_ad import MVTecAD
from defectbench.datasets.mvtec_loco import MVTecLOCO
from defectbench.datasets.visa import VisA
from defectbench.rng import numpy_rng
from defectbench.standin.defects import concrete, dagm, metal, steel, surfaces
from defectbench.standin.parts import Ground, Kind, Mark, Painting, Part, Picture
from defectbench.standin.textures import dagm as dagm_textures
from defectbench.standin.textures import metal as metal_textures
from defectbench.standin.textures import steel as steel_textures
from defectbench.standin.textures import surfaces as surface_textures
from defectbench.standin.textures.noise import Field, Shape

Drawing = Callable[[Shape, np.random.Generator], Field]


@dataclass(frozen=True)
class Product:
    """One product.

    Attributes:
        draw: draws a normal picture, (H, W) or (H, W, 3) in [0, 255].
        defects: painting by name of the defect.
        part: whether it is seen on a plain background, so that its defects stay on it.
    """

    draw: Drawing
    defects: Mapping[str, Painting]
    part: bool = False


DARK, PALE, RED, BLUE = (0.4, 0.4, 0.4), (1.8, 1.8, 1.8), (172, 44, 44), (58, 92, 160)
MARKS: Final[Mapping[str, Mark]] = {
    "scratch cut imprint": Mark("scratch", (0.15, 0.3), (DARK, PALE), 0.016, times=(1, 3)),
    "crack middle": Mark("crack", (0.2, 0.4), ((16, 14, 12), (250, 248, 244)), 0.02),
    "hole poke wick": Mark("hole", (0.02, 0.035), ((20, 14, 10),)),
    "thread rough fabric": Mark("strand", (0.2, 0.4), ((206, 200, 190),), 0.014),
    "metal wire": Mark("chip", (0.08, 0.16), ((236, 236, 236),), 0.028),
    "bent bend misshape squeeze manipulated": Mark(
        "push", (0.13, 0.18), width=0.07, rim=True, loose=True
    ),
    "missing corner edge breakage chip": Mark("bite", (0.05, 0.09), (PALE,), rim=True),
    "broken damage": Mark("shards", (0.04, 0.08), ((170, 140, 110),)),
    "glue melt leak wax stuck": Mark("smear", (0.05, 0.08), ((250, 244, 232), (30, 26, 22))),
    "burnt color colour": Mark("stain", (0.05, 0.09), ((0.36, 0.28, 0.22), (1.9, 1.4, 0.6))),
    "structural": Mark("abrasion", (0.05, 0.08), ((20, 0, 0), (240, 0, 0))),
    "": Mark("paint", (0.03, 0.06), (RED, BLUE, (250, 246, 240), (20, 18, 18))),
}
"""How defects of objects are drawn, by words in their names; the first that fits."""


def _object(name: str, defects: Iterable[str]) -> Product:
    """Draw an object whose shape and colours follow from its name."""
    rng = numpy_rng(0, "object", name)
    dark = bool(rng.random() < 0.5)
    ground = (38, 40, 46) if dark else (232, 231, 226)
    colour = rng.uniform(130 if dark else 70, 200 if dark else 140, 3).tolist()
    power, (height, width) = float(rng.choice((2, 4, 10))), rng.uniform(0.22, 0.4, 2)
    body = Part((height, width), colour, power=power, rounding=0.4, shadow=0.2)
    inlay = Part(
        (0.5 * height, 0.4 * width),
        [0.85 * v for v in colour],
        power=power,
        spin=0.4,
        ribs=float(rng.integers(5)),
    )
    look = Picture(Ground(ground, grain=2), (body, inlay), 0.3, 0.01)
    return Product(look, {defect: _mark(defect) for defect in defects}, part=True)


def _mark(defect: str) -> Mark:
    """Find how a defect of an object is drawn."""
    return next(m for w, m in MARKS.items() if any(word in defect.lower() for word in w.split(" ")))


def _surface(name: str, defects: Iterable[str]) -> Product:
    """Draw a grey surface whose grain and defects follow from its name."""
    rng = numpy_rng(0, "surface", name)
    down, across = (float(length) for length in np.exp(rng.uniform(-5, -2, 2)))
    ground = Ground((float(rng.uniform(80, 140)),) * 3, (down, across, 16), grain=6)
    kinds: tuple[Kind, ...] = ("stain", "paint", "scratch")
    kind = kinds[rng.integers(3)]
    colour = (210.0,) * 3 if kind == "paint" else DARK
    mark = Mark(kind, (0.25, 0.5) if kind == "scratch" else (0.06, 0.1), (colour,), 0.014)
    return Product(Picture(ground), dict.fromkeys(defects, mark))


PRODUCTS: Final[dict[str, Product]] = {
    # drawn by tables: every byte is kept
    "wood": Product(
        surface_textures.wood,
        {
            "color": surfaces.wood_color,
            "combined": surfaces.wood_combined,
            "hole": surfaces.wood_hole,
            "liquid": surfaces.wood_liquid,
            "scratch": surfaces.wood_scratch,
        },
    ),
    "carpet": Product(
        surface_textures.carpet,
        {
            "color": surfaces.carpet_color,
            "cut": surfaces.carpet_cut,
            "hole": surfaces.carpet_hole,
            "metal_contamination": surfaces.carpet_metal_contamination,
            "thread": surfaces.carpet_thread,
        },
    ),
    "tile": Product(
        surface_textures.tile,
        {
            "crack": surfaces.tile_crack,
            "glue_strip": surfaces.tile_glue_strip,
            "gray_stroke": surfaces.tile_gray_stroke,
            "oil": surfaces.tile_oil,
            "rough": surfaces.tile_rough,
        },
    ),
    "leather": Product(
        surface_textures.leather,
        {
            "color": surfaces.leather_color,
            "cut": surfaces.leather_cut,
            "fold": surfaces.leather_fold,
            "glue": surfaces.leather_glue,
            "poke": surfaces.leather_poke,
        },
    ),
    "magnetic_tile": Product(
        metal_textures.magnetic_tile,
        {
            "Blowhole": metal.blowhole,
            "Break": metal.tile_break,
            "Crack": metal.tile_crack,
            "Fray": metal.tile_fray,
            "Uneven": metal.tile_uneven,
        },
    ),
    "concrete": Product(
        surface_textures.concrete,
        {
            "Crack": concrete.crack,
            "Spallation": concrete.spallation,
            "Efflorescence": concrete.efflorescence,
            "ExposedBars": concrete.exposed_bars,
            "CorrosionStain": concrete.corrosion_stain,
        },
    ),
    "ksdd2": Product(metal_textures.ksdd2, {"defect": metal.imperfection}),
    "A": Product(
        metal_textures.sdi_a, {"scratches": metal.scratches, "spots": metal.spots}, part=True
    ),
    "B": Product(metal_textures.sdi_b, {"scratches": metal.scratches, "spots": metal.spots}),
    "C": Product(metal_textures.sdi_c, {"scratches": metal.scratches, "spots": metal.spots}),
    "Class1": Product(dagm_textures.one, {"defect": dagm.smudge}),
    "Class7": Product(dagm_textures.seven, {"defect": dagm.dent_in_lines}),
    # NEU-DET and X-SDD
    "hot_rolled_steel": Product(
        steel_textures.hot_rolled_steel,
        {
            "crazing": steel.crazing,
            "inclusion": steel.inclusion,
            "patches": steel.patches,
            "pitted_surface": steel.pitted_surface,
            "rolled-in_scale": steel.rolled_in_scale,
            "scratches": steel.scratches,
        },
    ),
    "hot_rolled_strip": Product(
        steel_textures.hot_rolled_strip,
        {
            "finishing roll printing": steel.roll_printing,
            "iron sheet ash": steel.sheet_ash,
            "oxide scale of plate system": steel.plate_scale,
            "oxide scale of temperature system": steel.temperature_scale,
            "red iron": steel.red_iron,
            "slag inclusion": steel.slag,
            "surface scratch": steel.surface_scratch,
        },
    ),
    "bottle": Product(
        Picture(
            Ground((240, 240, 238), grain=2, light=0.02),
            (
                Part((0.44, 0.44), (74, 46, 30), rounding=0.12),
                Part((0.43, 0.43), (132, 92, 58), inner=0.86, rounding=0.6),
                Part((0.3, 0.3), (26, 16, 12), rounding=0.3),
                Part((0.32, 0.32), (96, 64, 42), inner=0.9, rounding=0.5),
            ),
            0.0,
            0.006,
        ),
        {
            "broken_large": Mark("shards", (0.08, 0.12), ((170, 140, 110),), rim=True),
            "broken_small": Mark("shards", (0.03, 0.05), ((170, 140, 110),), rim=True),
            "contamination": Mark("paint", (0.04, 0.08), ((200, 196, 186), (160, 150, 140))),
        },
        part=True,
    ),
}
for _draw, _datasets in (
    (_object, (MVTecAD, MVTecLOCO, VisA)),
    (_surface, (DAGM2007, KolektorSDD)),
):
    for _name, _defects in ((n, d) for dataset in _datasets for n, d in dataset.defects.items()):
        PRODUCTS.setdefault(_name, _draw(_name, _defects))
ALSO: Final = {"mtd": "magnetic_tile"}
"""Other names, in lower case, under which the oracle finds a product."""
