"""Every product that can be drawn: how it looks, and how each of its defects does, under the names that the data sets use.

What tables draw has functions of its own in `textures` and `defects`, whose bytes are kept; the rest are rows for `parts`.
The order of VisA's defects is that of its class ids, 1 first.
"""

# rows of a table
# fmt: off

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from defectbench.standin import objects as o
from defectbench.standin.defects import concrete, dagm, metal, steel, surfaces
from defectbench.standin.parts import Mark, Painting, Part, Put, all_of, any_of, ring
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
        hollow: whether it has openings that show the background.
    """

    draw: Drawing
    defects: Mapping[str, Painting]
    part: bool = False
    hollow: bool = False


def _object(name: str, defects: Mapping[str, Painting], part: bool = False, hollow: bool = False) -> Product:
    return Product(o.PICTURES[name], defects, part, hollow)


BURN, DULL, RUST, SHADE, GLOW = (0.36, 0.28, 0.22), (0.72, 0.66, 0.58), (0.9, 0.5, 0.3), (0.45, 0.45, 0.45), (1.9, 1.9, 1.9)
DYES = (o.RED, o.BLUE, o.GREEN, (60, 40, 30))
FIBRE, CRUMB, GLUE = (206, 200, 190), (52, 40, 34), (184, 178, 168)

# what pieces of food have in common
_BURNT = Mark("stain", (0.06, 0.12), (BURN,))
_BITE = Mark("bite", (0.04, 0.075), ((1.25, 1.25, 1.2),), rim=True)
_CORNER = Mark("bite", (0.07, 0.1), ((1.25, 1.25, 1.2),), rim=True)
_SPOT = Mark("paint", (0.018, 0.04), DYES)
_SIMILAR = Mark("stain", (0.025, 0.05), (DULL,))
_SCRATCHES = Mark("scratch", (0.06, 0.12), (SHADE,), 0.008, times=(2, 4))
_CRACKS = Mark("crack", (0.1, 0.2), ((70, 52, 36),), 0.009)
_HOLES = Mark("hole", (0.012, 0.018), ((70, 48, 30),), times=(1, 4))
_OTHER = Mark("strand", (0.15, 0.3), (FIBRE,), 0.01, loose=True)


def _break(ground: tuple[int, int, int]) -> Painting:
    return Mark("crack", (0.35, 0.5), (ground,), 0.035)


def _lump(colour: tuple[int, int, int]) -> Painting:
    return Mark("paint", (0.05, 0.08), (colour,), rim=True, loose=True)


_BLUE_GROUND = (40, 62, 96)


def _pcb(name: str) -> dict[str, Painting]:
    """Defects that circuit boards share; the places are those of its components."""
    small, colour = o.SMALL[name], o.BOARD_COLOURS[name]
    bare = Part((0.05, 0.075), (colour,), power=8, rounding=0)
    return {
        "Bent": Mark("push", (0.09, 0.12), at=(o.PIN_HEADS[name],), width=0.045),
        "Melt": Mark("smear", (0.04, 0.07), ((74, 66, 60),), at=o.CHIPS[name] + small),
        "Scratch": Mark("scratch", (0.12, 0.25), ((1.9, 1.9, 1.8),), 0.012, at=((0.1, -0.1), (-0.1, 0.0), (0.0, 0.15))),
        "Missing": Put((bare,), small),
        "Burnt": Mark("stain", (0.05, 0.08), ((0.25, 0.2, 0.16),), at=o.CHIPS[name] + small + ((0.05, 0.36), (0.25, 0.15))),
        "Damage": Mark("shards", (0.03, 0.05), ((150, 140, 126),), at=o.CHIPS[name] + small),
        "Extra": Put((o.RESISTOR,), ((0.13, 0.12), (-0.24, -0.05), (0.25, -0.3))),
        "Wrong Place": Put((bare, Part((0.024, 0.05), o.RESISTOR.colours, ((0.035, 0.03),), power=6, turn=0.7, shadow=0.2)), small),
        "Dirt": Mark("paint", (0.01, 0.02), (GLUE, (96, 84, 62)), times=(3, 6), at=((0.1, -0.1), (-0.1, 0.0), (0.0, 0.2))),
    }


def _of(defects: Mapping[str, Painting], *names: str) -> dict[str, Painting]:
    return {name: defects[name] for name in names}


_ON_CANDLE = tuple((y + dy, x + dx) for y, x in o.CANDLES for dy, dx in ring(5, 0.09))
_CANDLE_RIM = tuple((y + dy, x + dx) for y, x in o.CANDLES for dy, dx in ring(8, 0.17))
_INSULATION = tuple((y + dy, x + dx) for y, x in o.WIRES for dy, dx in ring(6, 0.128))
_SHEATH = ring(12, 0.397)
_GOLD = (0.95, 0.75, 0.35)
_POKE, _CUT_OUTER = Mark("hole", (0.013, 0.02), (o.BLACK,), at=_INSULATION), Mark("hole", (0.022, 0.035), (o.DARK,), at=_SHEATH)
_PILL_COLOUR = Mark("stain", (0.05, 0.1), ((1.0, 0.6, 0.55), (0.6, 0.75, 1.0), (1.0, 0.85, 0.4)))
_PILL_DIRT, _PILL_SCRATCH = Mark("paint", (0.02, 0.05), DYES), Mark("scratch", (0.15, 0.35), (DULL, (0.6, 0.55, 0.5)), 0.014, times=(1, 3))
_NO_TEETH = Put((Part((0.08, 0.05), ((32, 32, 34),), power=8, rounding=0),), ((-0.2, -0.05), (0.0, 0.05), (0.2, -0.05), (0.1, 0.05)))
_SPLIT_TEETH = Put((Part((0.09, 0.1), ((32, 32, 34),), power=8, rounding=0),
    Part((0.014, 0.04), (o.STEEL,), ((-0.06, -0.075), (-0.02, -0.09), (0.02, -0.09), (0.06, -0.075), (-0.06, 0.075), (-0.02, 0.09),
    (0.02, 0.09), (0.06, 0.075)), power=5)), ((-0.2, 0.0), (0.0, 0.0), (0.2, 0.0)))
_BORDER = Mark("abrasion", (0.04, 0.06), ((128, 128, 128),), aspect=(1.5, 2.5), at=((-0.2, -0.43), (0.1, -0.43), (0.0, 0.43), (0.25, 0.43)))
_INTERIOR = Mark("abrasion", (0.035, 0.055), ((140, 140, 140),), aspect=(1.5, 2.5),
    at=((-0.2, -0.28), (0.15, -0.28), (0.0, 0.28), (0.25, 0.28)))
_PACKAGE = Part((0.19, 0.2), (o.DARK,), ((-0.06, 0.02),), power=12, rounding=0.15, turn=0.35, shadow=0.4)
_WOOD = ((136, 92, 66),)
_BARE_TRAY = Part((0.14, 0.14), (o.PALE,), rounding=0)
_BARE_CELL = Part((0.115, 0.105), ((134, 136, 140),), power=14, rounding=0)
_BARE_BAG = Part((0.1, 0.1), ((112, 114, 116),), rounding=0)
_BARE_GROUND = Part((0.12, 0.27), ((122, 122, 124),), power=14, rounding=0)


def _crossing(colour: tuple[int, int, int], turn: float) -> Part:
    return Part((0.018, 0.29), (colour,), power=10, turn=turn)


PRODUCTS: Final[dict[str, Product]] = {
    # drawn by tables: every byte is kept
    "wood": Product(surface_textures.wood, {"color": surfaces.wood_color, "combined": surfaces.wood_combined, "hole": surfaces.wood_hole,
        "liquid": surfaces.wood_liquid, "scratch": surfaces.wood_scratch}),
    "carpet": Product(surface_textures.carpet, {"color": surfaces.carpet_color, "cut": surfaces.carpet_cut, "hole": surfaces.carpet_hole,
        "metal_contamination": surfaces.carpet_metal_contamination, "thread": surfaces.carpet_thread}),
    "tile": Product(surface_textures.tile, {"crack": surfaces.tile_crack, "glue_strip": surfaces.tile_glue_strip,
        "gray_stroke": surfaces.tile_gray_stroke, "oil": surfaces.tile_oil, "rough": surfaces.tile_rough}),
    "leather": Product(surface_textures.leather, {"color": surfaces.leather_color, "cut": surfaces.leather_cut,
        "fold": surfaces.leather_fold, "glue": surfaces.leather_glue, "poke": surfaces.leather_poke}),
    "magnetic_tile": Product(metal_textures.magnetic_tile, {"Blowhole": metal.blowhole, "Break": metal.tile_break,
        "Crack": metal.tile_crack, "Fray": metal.tile_fray, "Uneven": metal.tile_uneven}),
    "concrete": Product(surface_textures.concrete, {"Crack": concrete.crack, "Spallation": concrete.spallation,
        "Efflorescence": concrete.efflorescence, "ExposedBars": concrete.exposed_bars, "CorrosionStain": concrete.corrosion_stain}),
    "ksdd2": Product(metal_textures.ksdd2, {"defect": metal.imperfection}),
    "A": Product(metal_textures.sdi_a, {"scratches": metal.scratches, "spots": metal.spots}, part=True),
    "B": Product(metal_textures.sdi_b, {"scratches": metal.scratches, "spots": metal.spots}),
    "C": Product(metal_textures.sdi_c, {"scratches": metal.scratches, "spots": metal.spots}),
    "Class1": Product(dagm_textures.one, {"defect": dagm.smudge}),
    "Class7": Product(dagm_textures.seven, {"defect": dagm.dent_in_lines}),
    # NEU-DET and X-SDD
    "hot_rolled_steel": Product(steel_textures.hot_rolled_steel,
        {"crazing": steel.crazing, "inclusion": steel.inclusion, "patches": steel.patches, "pitted_surface": steel.pitted_surface,
        "rolled-in_scale": steel.rolled_in_scale, "scratches": steel.scratches}),
    "hot_rolled_strip": Product(steel_textures.hot_rolled_strip, {
        "finishing roll printing": steel.roll_printing, "iron sheet ash": steel.sheet_ash, "oxide scale of plate system": steel.plate_scale,
            "oxide scale of temperature system": steel.temperature_scale,
        "red iron": steel.red_iron, "slag inclusion": steel.slag, "surface scratch": steel.surface_scratch}),
    # DAGM 2007 and KolektorSDD
    "Class2": _object("Class2", {"defect": Mark("scratch", (0.25, 0.5), ((0.35, 0.35, 0.35),), 0.014)}),
    "Class3": _object("Class3", {"defect": Mark("stain", (0.06, 0.1), ((0.55, 0.55, 0.55),), aspect=(1.2, 2.5))}),
    "Class4": _object("Class4", {"defect": Mark("paint", (0.06, 0.1), ((150, 150, 150),), aspect=(1.2, 2.5))}),
    "Class5": _object("Class5", {"defect": Mark("scratch", (0.18, 0.4), ((2.2, 2.2, 2.2),), 0.014)}),
    "Class6": _object("Class6", {"defect": Mark("stain", (0.07, 0.11), ((1.6, 1.6, 1.6),), aspect=(1.2, 2.5))}),
    "Class8": _object("Class8", {"defect": Mark("paint", (0.012, 0.022), ((40, 40, 40),), times=(1, 3))}),
    "Class9": _object("Class9", {"defect": Mark("smear", (0.05, 0.09), ((110, 110, 110),), aspect=(1.2, 2.5))}),
    "Class10": _object("Class10", {"defect": Mark("stain", (0.06, 0.1), ((0.6, 0.6, 0.6),), aspect=(1.2, 2.8))}),
    "commutator": _object("commutator", {"defect": Mark("crack", (0.25, 0.5), ((42, 42, 42),), 0.01)}),
    # MVTec AD
    "bottle": _object("bottle", {"broken_large": Mark("shards", (0.08, 0.12), ((170, 140, 110),), rim=True),
        "broken_small": Mark("shards", (0.03, 0.05), ((170, 140, 110),), rim=True),
        "contamination": Mark("paint", (0.04, 0.08), ((200, 196, 186), (160, 150, 140)))}, part=True),
    "cable": _object("cable", {
        "bent_wire": Mark("push", (0.1, 0.13), width=0.05, at=o.WIRES), "cable_swap": Put(o.wire(o.RED), o.WIRES),
            "combined": all_of(_CUT_OUTER, _POKE),
        "cut_inner_insulation": Mark("hole", (0.025, 0.04), (o.GREY,), at=_INSULATION), "cut_outer_insulation": _CUT_OUTER,
        "missing_cable": Put((Part((0.165, 0.165), (o.DARK,), rounding=0),), o.WIRES),
            "missing_wire": Put((Part((0.1, 0.1), (o.BLACK,), rounding=0),), o.WIRES), "poke_insulation": _POKE}),
    "capsule": _object("capsule", {"crack": Mark("crack", (0.12, 0.22), (o.PALE,), 0.014),
        "faulty_imprint": Mark("abrasion", (0.03, 0.05), (o.PALE,), at=o.IMPRINT), "poke": Mark("hole", (0.014, 0.022), (o.BLACK,)),
        "scratch": Mark("scratch", (0.1, 0.22), ((2.2, 2.0, 2.0),), times=(1, 3)),
        "squeeze": Mark("push", (0.1, 0.14), width=0.05, rim=True, loose=True)}, part=True),
    "grid": _object("grid", {"bent": Mark("push", (0.13, 0.2), width=0.05), "broken": Mark("abrasion", (0.05, 0.08), ((46, 46, 46),)),
        "glue": Mark("smear", (0.04, 0.08), (GLUE,)), "metal_contamination": Mark("chip", (0.08, 0.14), ((236, 236, 236),), 0.026,
        times=(1, 3)), "thread": Mark("strand", (0.35, 0.7), ((228, 226, 220),), 0.013)}),
    "hazelnut": _object("hazelnut", {"crack": Mark("crack", (0.25, 0.4), ((36, 22, 14),), 0.016),
        "cut": Mark("scratch", (0.12, 0.25), ((1.5, 1.5, 1.5),), 0.02), "hole": Mark("hole", (0.025, 0.04), ((30, 18, 12),)),
        "print": Mark("paint", (0.025, 0.04), (o.WHITE,), aspect=(1, 3), times=(1, 3))}, part=True),
    "metal_nut": _object("metal_nut", {"bent": Mark("push", (0.12, 0.16), width=0.06, rim=True, loose=True),
        "color": Mark("paint", (0.04, 0.08), (o.RED, o.BLUE, o.BLACK)),
        "flip": Put((Part((0.33, 0.33), ((208, 208, 210),), inner=0.4, rounding=0.1),)),
        "scratch": Mark("scratch", (0.12, 0.25), (GLOW, SHADE), 0.014, times=(1, 3))}, part=True),
    "pill": _object("pill", {"color": _PILL_COLOUR, "combined": all_of(_PILL_DIRT, _PILL_SCRATCH), "contamination": _PILL_DIRT,
        "crack": Mark("crack", (0.2, 0.35), ((110, 100, 92),), 0.014),
        "faulty_imprint": Mark("abrasion", (0.04, 0.06), ((200, 196, 186),), at=((0.0, -0.07), (0.0, 0.07))),
        "pill_type": Mark("stain", (0.7, 0.8), ((1.0, 0.82, 0.5),)), "scratch": _PILL_SCRATCH}, part=True),
    "screw": _object("screw", {"manipulated_front": Mark("push", (0.09, 0.11), width=0.05, at=((0.0, 0.3),), loose=True),
        "scratch_head": Mark("scratch", (0.06, 0.1), (GLOW,), at=((0.0, -0.22),)),
        "scratch_neck": Mark("scratch", (0.06, 0.09), (GLOW,), at=((0.0, -0.13),)),
        "thread_side": Mark("bite", (0.02, 0.028), ((1.3, 1.3, 1.3),), at=((0.03, 0.1), (0.03, 0.02), (0.03, 0.17))),
        "thread_top": Mark("paint", (0.018, 0.028), (o.PALE, o.BLACK), at=((0.0, 0.1), (0.0, 0.02), (0.0, 0.17)))}, part=True),
    "toothbrush": _object("toothbrush", {"defective": any_of(Mark("push", (0.09, 0.13), width=0.06,
        at=((-0.2, 0.0), (0.1, 0.1), (0.2, -0.1))), Put((Part((0.05, 0.045), ((206, 210, 216),), rounding=0),),
        ((-0.22, 0.0), (0.11, 0.11), (0.22, -0.11))), Mark("strand", (0.2, 0.35), (o.YELLOW,), 0.012, at=((0.0, 0.0), (0.2, 0.05))))}),
    "transistor": _object("transistor", {
        "bent_lead": Put((Part((0.1, 0.03), _WOOD, ((0.03, 0.0),), power=12, rounding=0),
            Part((0.11, 0.017), (o.PALE,), ((0.02, 0.03),), power=6, turn=-0.45, rounding=0.8)), tuple((0.22, x) for x in o.LEGS)),
            "cut_lead": Put((Part((0.09, 0.03), _WOOD, power=12, rounding=0),), tuple((0.26, x) for x in o.LEGS)),
        "damaged_case": Mark("shards", (0.03, 0.06), ((120, 112, 104),), at=((-0.2, 0.1), (-0.1, -0.1), (0.0, 0.1))),
            "misplaced": Put((Part((0.24, 0.24), _WOOD, ((-0.05, 0.0),), power=12, rounding=0), _PACKAGE))}),
    "zipper": _object("zipper", {"broken_teeth": _NO_TEETH, "combined": all_of(_NO_TEETH, _INTERIOR), "fabric_border": _BORDER,
        "fabric_interior": _INTERIOR, "rough": Mark("strand", (0.05, 0.09), (o.PALE,), 0.008, times=(6, 10),
        at=((-0.2, -0.13), (0.1, 0.13), (0.2, -0.13))), "split_teeth": _SPLIT_TEETH,
        "squeezed_teeth": Mark("push", (0.11, 0.14), width=0.05, at=((-0.2, 0.0), (0.0, 0.0), (0.2, 0.0)))}),
    # MVTec LOCO AD: a part missing, exchanged or added; a part damaged or dirty
    "breakfast_box": _object("breakfast_box", {"logical_anomalies": any_of(Put((_BARE_TRAY,), o.FRUITS),
        Put((_BARE_TRAY, o.NECTARINE), o.FRUITS[1:]), Put((Part((0.19, 0.24), (o.PALE,), power=12, rounding=0),), o.SUPPLIES)),
        "structural_anomalies": any_of(Mark("stain", (0.04, 0.07), (SHADE,), at=o.FRUITS),
        Mark("chip", (0.08, 0.16), (o.BLUE,), 0.03, at=o.SUPPLIES), Mark("smear", (0.05, 0.08), (o.ORANGE,), at=o.SUPPLIES))}),
    "juice_bottle": _object("juice_bottle", {"logical_anomalies": any_of(Put((Part((0.15, 0.16), ((188, 190, 190),), power=10,
        rounding=0),), ((0.0, 0.0),)), Put((Part((0.055, 0.16), (o.RED, o.YELLOW), power=10, rounding=0),), ((0.5, 0.0),)),
        Put((Part((0.06, 0.06), (o.BLUE,), rounding=0.9),), ((0.2, 0.0),))),
        "structural_anomalies": any_of(Mark("stain", (0.04, 0.06), ((0.6, 0.45, 0.32),), at=((0.2, 0.1), (0.2, -0.1), (0.5, 0.1))),
        Mark("shards", (0.03, 0.05), ((176, 150, 120),), at=((0.14, 0.12), (0.26, -0.12))),
        Mark("paint", (0.02, 0.035), (o.DARK,), at=((0.02, 0.05), (0.38, -0.05))))}),
    "pushpins": _object("pushpins", {"logical_anomalies": any_of(Put((_BARE_CELL,), o.PINS),
        Put(tuple(Part(p.size, p.colours, ((p.places[0][0] + 0.07, p.places[0][1]),), power=p.power, shadow=p.shadow) for p in o.PIN),
        o.PINS)), "structural_anomalies": any_of(Put((_BARE_CELL, Part((0.008, 0.04), (o.PALE,), ((0.03, 0.04),), power=6, turn=1.0),
        o.PIN[1]), o.PINS), Mark("stain", (0.03, 0.045), (SHADE,), at=tuple((y, x - 0.04) for y, x in o.PINS)),
        Mark("smear", (0.03, 0.05), ((96, 76, 58),), at=o.PINS))}),
    "screw_bag": _object("screw_bag", {"logical_anomalies": any_of(Put((_BARE_BAG,), o.BAG), Put((_BARE_BAG, o.WASHER), o.BAG[2:]),
        Put((_BARE_BAG, *o.HEXNUT), o.BAG[:2]), Put((o.WASHER,), ((0.33, -0.2), (0.05, 0.1)))),
        "structural_anomalies": any_of(Mark("stain", (0.035, 0.055), (RUST,), at=tuple((y, x + 0.06) for y, x in o.BAG)),
        Mark("push", (0.12, 0.15), width=0.06, at=((0.2, 0.1),)), Mark("scratch", (0.15, 0.3), (SHADE,), 0.022,
        at=((0.33, 0.2), (0.1, 0.1))))}),
    "splicing_connectors": _object("splicing_connectors", {"logical_anomalies": any_of(Put((_BARE_GROUND,)),
        Put((_BARE_GROUND, _crossing(o.GREEN, 0.0))), Put((_BARE_GROUND, _crossing(o.RED, 0.28)))),
        "structural_anomalies": any_of(Put((Part((0.032, 0.085), ((96, 96, 98),), power=6, rounding=0),),
        tuple((y, x) for y in o.CLAMPS for x in (-0.47, 0.47))), Mark("scratch", (0.12, 0.2), (SHADE,), 0.016,
        at=((0.12, -0.45), (-0.12, 0.45))), Mark("stain", (0.04, 0.06), (BURN,), at=((0.0, -0.45), (0.0, 0.45))))}),
    # VisA
    "candle": _object("candle", {
        "Chunk Of Wax Missing": Mark("hole", (0.03, 0.05), ((150, 146, 134),), at=_ON_CANDLE),
            "Damaged Corner of Packaging": Mark("push", (0.09, 0.11), width=0.06, at=_CANDLE_RIM),
            "weird candle wick": Mark("strand", (0.13, 0.2), ((110, 104, 94),), 0.016, at=o.CANDLES),
            "Different Colour Spot": Mark("stain", (0.025, 0.045), (_GOLD, (0.5, 0.55, 0.7)), at=_ON_CANDLE),
        "Extra Wax in Candle": Mark("smear", (0.03, 0.05), ((196, 188, 170),), at=_ON_CANDLE),
            "Foreign Particals on Candle": Mark("paint", (0.01, 0.018), (CRUMB,), times=(2, 5), at=_ON_CANDLE),
            "Wax Melded out of the candle": Mark("smear", (0.04, 0.06), ((214, 208, 196),),
            at=tuple((1.12 * y, 1.12 * x) for y, x in _CANDLE_RIM)), "Other": Mark("strand", (0.15, 0.3), (DYES[0],), 0.01,
            at=_ON_CANDLE)}),
    "capsules": _object("capsules", {"Bubble": Mark("stain", (0.02, 0.03), ((1.7, 1.6, 1.7),)),
        "Discolor": Mark("stain", (0.06, 0.09), ((2.2, 1.3, 0.7), SHADE)), "Scratch": _SCRATCHES,
        "Leak": Mark("smear", (0.03, 0.05), ((70, 104, 66),), rim=True, loose=True),
        "Misshape": Mark("push", (0.07, 0.09), width=0.045, rim=True, loose=True)}, part=True),
    "cashew": _object("cashew", {"Burnt": _BURNT, "Corner or Edge Breakage": _BITE, "Different Colour Spot": _SPOT,
        "Middle Breakage": _break(_BLUE_GROUND), "Small Holes": _HOLES, "Small Scratches": _SCRATCHES,
        "Stuck Together": _lump((214, 178, 122)), "Same Colour Spot": _SIMILAR, "Other": _OTHER}, part=True),
    "chewinggum": _object("chewinggum", {"Chunk of gum missing": _BITE, "Corner Missing": _CORNER, "Scratches": _SCRATCHES,
        "Similar Colour Spot": _SIMILAR, "Small Cracks": _CRACKS, "Other": _OTHER}, part=True),
    "fryum": _object("fryum", {"Burnt": _BURNT, "Corner or Edge Breakage": _BITE, "Different Colour Spot": _SPOT,
        "Fryum Stuck Together": _lump((216, 172, 92)), "Middle Breakage": _break(_BLUE_GROUND), "Similar Colour Spot": _SIMILAR,
        "Small Scratches": _SCRATCHES, "Other": _OTHER}, part=True, hollow=True),
    "macaroni1": _object("macaroni1", {"Chip Around Edge And Corner": _BITE, "Different Colour Spot": _SPOT,
        "Middle Breakage": _break(_BLUE_GROUND), "Similar Colour Spot": _SIMILAR, "Small Cracks": _CRACKS, "Small Scratches": _SCRATCHES,
        "Other": _OTHER}, part=True),
    "macaroni2": _object("macaroni2", {"Breakage down the middle": _break(_BLUE_GROUND), "Color spot similar to the Object": _SIMILAR,
        "Different Color spot": _SPOT, "Small chip around edge": _BITE, "Small Cracks": _CRACKS, "Small Scratches": _SCRATCHES,
        "Other": _OTHER}, part=True),
    "pipe_fryum": _object("pipe_fryum", {"Burnt": _BURNT, "Corner And Edge Breakage": _BITE, "Different Colour Spot": _SPOT,
        "Middle Breakage": _break(_BLUE_GROUND), "Similar Colour Spot": _SIMILAR, "Small Scratches": _SCRATCHES,
        "Stuck Together": _lump((206, 150, 76)), "Small Cracks": _CRACKS, "Other": _OTHER}, part=True),
    **{name: _object(name, _of(_pcb(name), "Bent", "Melt", "Scratch", "Missing")) for name in ("pcb1", "pcb2", "pcb3")},
    "pcb4": _object("pcb4", _of(_pcb("pcb4"), "Burnt", "Scratch", "Missing", "Damage", "Extra", "Wrong Place", "Dirt")),
}
ALSO: Final = {"mtd": "magnetic_tile"}
"""Other names, in lower case, under which the oracle finds a product."""
