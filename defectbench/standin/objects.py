"""How the products look that are drawn as parts on a ground: MVTec AD's and LOCO's objects, VisA's, commutators, DAGM's.

One row is one product; see `parts` for what the numbers mean.
"""

# rows of a table
# fmt: off

from __future__ import annotations

from typing import Final

from defectbench.standin.parts import Ground, Part, Picture, lattice, ring

WHITE, PALE, GREY, DARK, BLACK = (238, 236, 230), (206, 204, 200), (128, 128, 126), (44, 44, 48), (20, 18, 18)
STEEL, COPPER, BROWN, ORANGE, YELLOW = (172, 174, 178), (190, 112, 72), (146, 94, 58), (220, 126, 44), (226, 186, 44)
RED, GREEN, BLUE = (172, 44, 44), (58, 116, 70), (58, 92, 160)

# places that defects ask for
WIRES: Final = ring(3, 0.175, -1.5708)
IMPRINT: Final = lattice((0.0,), (-0.28, -0.22, -0.16))
EARS: Final = ring(4, 0.31)
TEETH_Y: Final = tuple(-0.48 + 0.045 * k for k in range(22))
LEGS: Final = (-0.11, 0.0, 0.11)
FRUITS: Final = ((-0.25, -0.33), (0.02, -0.33), (0.27, -0.33))
SUPPLIES: Final = ((-0.2, 0.23), (0.21, 0.23))
PINS: Final = lattice((-0.3, 0.0, 0.3), (-0.56, -0.28, 0.0, 0.28, 0.56))
BAG: Final = ((-0.2, -0.28), (-0.2, -0.06), (-0.02, -0.28), (-0.02, -0.06))
CLAMPS: Final = (-0.08, 0.0, 0.08)
CANDLES: Final = lattice((-0.22, 0.22), (-0.22, 0.22))
CHIPS: Final = {"pcb1": ((0.02, 0.0),), "pcb2": ((0.0, -0.08),), "pcb3": ((-0.1, 0.2),), "pcb4": ((-0.05, 0.1),)}
SMALL: Final = {
    "pcb1": ((-0.2, -0.1), (-0.2, 0.1), (0.2, -0.32), (0.2, 0.32)), "pcb2": ((-0.23, -0.18), (-0.23, 0.0), (0.22, -0.1), (0.22, 0.08)),
    "pcb3": ((0.1, 0.12), (0.1, 0.3), (-0.24, 0.0), (-0.24, -0.2)), "pcb4": ((-0.22, -0.3), (-0.08, -0.3), (0.06, -0.3), (-0.24, 0.1)),
}
PIN_HEADS: Final = {"pcb1": (0.25, 0.0), "pcb2": (0.25, 0.28), "pcb3": (0.25, 0.2), "pcb4": (0.25, 0.15)}
BOARD_COLOURS: Final = {"pcb1": (30, 76, 124), "pcb2": (28, 96, 68), "pcb3": (150, 40, 46), "pcb4": (42, 50, 62)}

# parts that defects draw again


def wire(colour: tuple[int, int, int]) -> tuple[Part, ...]:
    """An insulated wire of a cable, with its copper."""
    return Part((0.155, 0.155), (colour,), rounding=0.2), Part((0.1, 0.1), (COPPER,), rounding=0.2, ribs=4)


PIN: Final = (Part((0.008, 0.05), (PALE,), ((0.0, 0.05),), power=6), Part((0.04, 0.04), (YELLOW,), ((0.0, -0.04),), shadow=0.3),
    Part((0.022, 0.022), ((190, 150, 30),), ((0.0, -0.0),)))
WASHER: Final = Part((0.08, 0.08), (STEEL,), inner=0.5, shadow=0.3)
HEXNUT: Final = (Part((0.068, 0.068), ((150, 152, 156),), sides=6, spin=1.0, shadow=0.3), Part((0.034, 0.034), (DARK,), rounding=0))
NECTARINE: Final = Part((0.125, 0.125), ((206, 84, 60),), shadow=0.3, rounding=0.9)
TANGERINE: Final = Part((0.105, 0.105), ((236, 138, 34),), shadow=0.3, rounding=0.9)
LEG: Final = Part((0.13, 0.017), (PALE,), power=6, rounding=0.8)
RESISTOR: Final = Part((0.024, 0.05), ((196, 176, 140),), power=6, shadow=0.2)


def board(name: str, *more: Part) -> Picture:
    """A circuit board: its chip, small components and row of pins, and what else is on it."""
    pins = PIN_HEADS[name]
    return Picture(Ground((214, 212, 206)), (
        Part((0.33, 0.45), (BOARD_COLOURS[name],), power=16, rounding=0.03, shadow=0.3),
        Part((0.014, 0.014), (COPPER,), lattice((-0.29, 0.29), (-0.41, 0.41)), inner=0.45, rounding=0),
        Part((0.003, 0.16), (tuple(1.35 * v for v in BOARD_COLOURS[name]),), lattice((-0.15, -0.12, 0.12, 0.15), (-0.2, 0.2)), power=16,
            rounding=0),
        Part((0.095, 0.11), (DARK,), CHIPS[name], power=16, rounding=0.1, shadow=0.3),
        Part((0.02, 0.008), (PALE,), tuple((y + s, x + d) for y,
            x in CHIPS[name] for s in (-0.105, 0.105) for d in (-0.08, -0.04, 0.0, 0.04, 0.08)), power=8, rounding=0.5),
        Part((0.03, 0.13), (BLACK,), (pins,), power=16, rounding=0.2),
        Part((0.014, 0.012), (YELLOW,), lattice((pins[0],), tuple(pins[1] + d for d in (-0.1, -0.05, 0.0, 0.05, 0.1))), power=8),
        Part(RESISTOR.size, RESISTOR.colours, SMALL[name], power=6, shadow=0.2),
        *more,
    ), spread=0.004)


def snack(ground: tuple[int, int, int], *parts: Part, turn: float = 3.1416) -> Picture:
    """Ware lying at any turn on a plain ground."""
    return Picture(Ground(ground, grain=2), parts, turn, 0.01)


PICTURES: Final[dict[str, Picture]] = {
    # MVTec AD
    "bottle": Picture(Ground((240, 240, 238), grain=2, light=0.02),
        (Part((0.44, 0.44), ((74, 46, 30),), rounding=0.12), Part((0.43, 0.43), ((132, 92, 58),), inner=0.86, rounding=0.6),
        Part((0.3, 0.3), ((26, 16, 12),), rounding=0.3), Part((0.32, 0.32), ((96, 64, 42),), inner=0.9, rounding=0.5)), 0.0, 0.006),
    "cable": Picture(Ground((96, 96, 96)), (Part((0.42, 0.42), ((196, 196, 194),), rounding=0.08, shadow=0.3),
        Part((0.375, 0.375), (GREY,), rounding=0), *(Part(p.size, p.colours, (at,), rounding=0.2, ribs=p.ribs) for at,
        colour in zip(WIRES, ((150, 170, 60), BLUE, BROWN), strict=True) for p in wire(colour)))),
    "capsule": Picture(Ground((240, 240, 236), grain=2, light=0.02),
        (Part((0.165, 0.42), (DARK,), power=2.8, rounding=0.8, shadow=0.15),
        Part((0.17, 0.22), ((206, 92, 44),), ((0.0, 0.205),), power=2.8, rounding=0.8),
        Part((0.03, 0.014), (PALE,), IMPRINT, power=6, inner=0.5, rounding=0)), 0.0, 0.004),
    "grid": Picture(Ground((104, 104, 104), ((0.2, 0.2, 4),), ((8, 8, 62, 6), (8, -8, 62, 6)), grain=4)),
    "hazelnut": snack((26, 26, 28), Part((0.32, 0.35), (BROWN,), rounding=0.9),
        Part((0.14, 0.11), ((196, 160, 118),), ((0.02, 0.2),), rounding=0.6)),
    "metal_nut": snack((38, 38, 40), Part((0.11, 0.12), (STEEL,), EARS, rounding=0.3), Part((0.34, 0.34), (STEEL,), rounding=0.12),
        Part((0.24, 0.24), ((140, 142, 146),), inner=0.9, rounding=0.3), Part((0.14, 0.14), (DARK,), rounding=0.5),
        Part((0.13, 0.13), (GREY,), inner=0.85)),
    "pill": Picture(Ground((16, 16, 16), grain=2), (Part((0.24, 0.41), ((226, 222, 212),), power=2.3, rounding=0.5),
        Part((0.012, 0.012), (RED,), ((-0.12, -0.2), (0.1, -0.26), (-0.04, 0.22), (0.13, 0.1), (-0.15, 0.08), (0.05, 0.32)), stray=0.04,
        rounding=0), Part((0.055, 0.05), (GREY,), lattice((0.0,), (-0.07, 0.07)), power=4, inner=0.75, rounding=0)), 0.0, 0.005),
    "screw": Picture(Ground((206, 206, 204), grain=2), (Part((0.034, 0.22), ((104, 104, 106),), ((0.0, 0.02),), power=6, ribs=5,
        rounding=0.9), Part((0.03, 0.1), ((96, 96, 98),), ((0.0, 0.24),), power=1.2, ribs=2, rounding=0.9),
        Part((0.09, 0.05), ((112, 112, 116),), ((0.0, -0.22),), power=3, rounding=0.8)), 0.05, 0.006),
    "toothbrush": Picture(Ground((30, 30, 32), grain=2), (Part((0.44, 0.2), ((206, 210, 216),), power=3, rounding=0.3),
        Part((0.036, 0.034), (BLUE, RED, GREEN), lattice((-0.33, -0.22, -0.11, 0.0, 0.11, 0.22, 0.33), (-0.11, 0.11)), power=3, ribs=4,
        rounding=0.6), Part((0.036, 0.034), (WHITE,), lattice((-0.33, -0.22, -0.11, 0.0, 0.11, 0.22, 0.33), (-0.0,)), power=3, ribs=4,
        rounding=0.6)), 0.0, 0.005),
    "transistor": Picture(Ground((136, 92, 66), ((0.01, 0.2, 5),)),
        (Part((0.02, 0.02), (BLACK,), lattice((-0.44, -0.33, 0.22, 0.33, 0.44), (-0.44, -0.33, -0.22, -0.11, 0.0, 0.11, 0.22, 0.33, 0.44)),
        rounding=0), Part(LEG.size, LEG.colours, lattice((0.2,), LEGS), power=6, rounding=0.8),
        Part((0.19, 0.2), (DARK,), ((-0.1, 0.0),), power=12, rounding=0.15, shadow=0.4),
        Part((0.012, 0.1), (GREY,), ((-0.13, 0.0), (-0.08, 0.0)), power=8, rounding=0))),
    "zipper": Picture(Ground((64, 64, 64), ((0.2, 0.2, 4),), ((30, 50, 8, 1), (-30, 50, 8, 1))),
        (Part((0.6, 0.04), (PALE,), lattice((0.0,), (-0.47, 0.47)), power=16, rounding=0.2),
        Part((0.6, 0.11), ((32, 32, 34),), power=24, rounding=0), Part((0.6, 0.012), ((96, 96, 96),), lattice((0.0,), (-0.13, 0.13)),
        power=16), Part((0.014, 0.05), (STEEL,), lattice(TEETH_Y, (-0.035,)), power=5, rounding=0.9),
        Part((0.014, 0.05), (STEEL,), lattice(tuple(y + 0.022 for y in TEETH_Y), (0.035,)), power=5, rounding=0.9))),
    # MVTec LOCO AD, in its oblong frames
    "breakfast_box": Picture(Ground((176, 178, 180)), (Part((0.44, 0.56), (PALE,), power=14, rounding=0.06, shadow=0.3),
        Part((0.4, 0.008), (GREY,), ((0.0, -0.06),), power=16), *(Part(fruit.size, fruit.colours, (at,), shadow=0.3,
        rounding=0.9) for fruit, at in zip((NECTARINE, TANGERINE, TANGERINE), FRUITS, strict=True)),
        Part((0.17, 0.22), ((150, 106, 62),), SUPPLIES[:1], power=5, ribs=9, rounding=0.2),
        Part((0.03, 0.05), ((216, 184, 110),), lattice((0.1, 0.17, 0.24, 0.31), (0.08, 0.18, 0.28, 0.38)), stray=0.012, spin=3,
        rounding=0.7))),
    "juice_bottle": Picture(Ground((38, 38, 42)), (Part((0.5, 0.2), ((188, 190, 190),), ((0.3, 0.0),), power=5, rounding=0.3),
        Part((0.22, 0.07), ((188, 190, 190),), ((-0.35, 0.0),), power=8, rounding=0.5),
        Part((0.47, 0.18), ((222, 150, 44), (186, 40, 50), (214, 206, 120)), ((0.3, 0.0),), power=5, rounding=0.3),
        Part((0.035, 0.085), (WHITE,), ((-0.58, 0.0),), power=8), Part((0.13, 0.16), (WHITE,), ((0.2, 0.0),), power=14, rounding=0),
        Part((0.06, 0.06), (ORANGE, RED, GREEN), ((0.2, 0.0),), rounding=0.9),
        Part((0.05, 0.15), (WHITE,), ((0.5, 0.0),), power=14, rounding=0),
        Part((0.008, 0.1), (DARK,), ((0.48, 0.0), (0.52, 0.0)), power=8, rounding=0))),
    "pushpins": Picture(Ground((90, 90, 92)), (Part((0.14, 0.13), ((176, 178, 182),), PINS, power=14, rounding=0),
        Part((0.13, 0.12), ((134, 136, 140),), PINS, power=14, rounding=0),
        *(Part(p.size, p.colours, tuple((y + p.places[0][0], x + p.places[0][1]) for y, x in PINS), power=p.power,
        shadow=p.shadow) for p in PIN))),
    "screw_bag": Picture(Ground((60, 60, 62)), (Part((0.44, 0.5), ((112, 114, 116),), power=16, rounding=0.02),
        Part((0.014, 0.5), (STEEL,), ((-0.38, 0.0),), power=16), Part(WASHER.size, WASHER.colours, BAG[:2], inner=0.5, shadow=0.3),
        *(Part(p.size, p.colours, BAG[2:], sides=p.sides, spin=p.spin, shadow=p.shadow, rounding=p.rounding) for p in HEXNUT),
        Part((0.024, 0.3), (STEEL,), ((0.2, 0.0),), power=5, ribs=9, spin=0.08, shadow=0.3),
        Part((0.06, 0.035), (STEEL,), ((0.2, -0.32),), power=3, shadow=0.3),
        Part((0.2, 0.024), (STEEL,), ((-0.1, 0.28),), power=5, ribs=1, shadow=0.3),
        Part((0.035, 0.06), (STEEL,), ((-0.31, 0.28),), power=3, shadow=0.3))),
    "splicing_connectors": Picture(Ground((122, 122, 124)), (Part((0.018, 0.34), (YELLOW, BLUE, RED), lattice((0.0,), (0.0,)), power=10,
        bend=0.12, shadow=0.3), Part((0.16, 0.15), ((198, 200, 204),), lattice((0.0,), (-0.45, 0.45)), power=12, rounding=0.15, shadow=0.4),
        Part((0.028, 0.08), (ORANGE,), lattice(CLAMPS, (-0.47, 0.47)), power=6, rounding=0.7),
        Part((0.016, 0.016), (DARK,), lattice(CLAMPS, (-0.34, 0.34)), rounding=0))),
    # VisA
    "candle": Picture(Ground((46, 46, 52), grain=2), (Part((0.18, 0.18), (STEEL,), CANDLES, rounding=0.1, shadow=0.3),
        Part((0.165, 0.165), ((216, 210, 196),), CANDLES, rounding=0.2), Part((0.012, 0.03), ((84, 78, 70),), CANDLES, spin=3))),
    "capsules": Picture(Ground((226, 226, 222), grain=2), (Part((0.045, 0.085), ((82, 118, 76),),
        lattice((-0.33, -0.11, 0.11, 0.33), (-0.33, -0.11, 0.11, 0.33)), power=2.6, spin=3, stray=0.015, rounding=0.8, shadow=0.2),)),
    "cashew": snack((40, 62, 96), Part((0.13, 0.32), ((214, 178, 122),), power=2.4, bend=0.45, rounding=0.9, shadow=0.3)),
    "chewinggum": snack((40, 44, 50), Part((0.2, 0.3), ((226, 226, 222),), power=5, rounding=0.35, shadow=0.3)),
    "fryum": snack((40, 62, 96), Part((0.3, 0.3), ((216, 172, 92),), inner=0.72, rounding=0.2, shadow=0.2),
        Part((0.035, 0.27), ((216, 172, 92),), power=8, rounding=0.8), Part((0.27, 0.035), ((216, 172, 92),), power=8, rounding=0.8),
        Part((0.09, 0.09), ((216, 172, 92),), rounding=0.5)),
    "macaroni1": Picture(Ground((40, 62, 96), grain=2), (Part((0.07, 0.15), ((222, 186, 96),), CANDLES, power=4, bend=0.3, spin=0.5,
        stray=0.01, ribs=3, rounding=0.7, shadow=0.3),)),
    "macaroni2": Picture(Ground((40, 62, 96), grain=2), (Part((0.06, 0.13), ((214, 170, 96),), CANDLES, power=4, bend=0.5, spin=3.1,
        stray=0.03, rounding=0.9, shadow=0.3),)),
    "pipe_fryum": snack((40, 62, 96), Part((0.16, 0.3), ((206, 150, 76),), power=5, rounding=0.8, ribs=4, shadow=0.3),
        Part((0.11, 0.035), ((96, 62, 34),), ((0.0, 0.29),), rounding=0)),
    "pcb1": board("pcb1", Part((0.12, 0.095), (STEEL,), lattice((-0.02,), (-0.3, 0.3)), rounding=0.3, shadow=0.3),
        Part((0.1, 0.075), (GREY,), lattice((-0.02,), (-0.3, 0.3)), rounding=0.2, ribs=6)),
    "pcb2": board("pcb2", Part((0.06, 0.06), (STEEL,), ((-0.18, 0.28), (0.05, 0.28)), shadow=0.3)),
    "pcb3": board("pcb3", Part((0.05, 0.05), (WHITE,), ((-0.12, -0.3), (0.12, -0.3)), shadow=0.2),
        Part((0.08, 0.06), (BLUE,), ((0.0, -0.1),), power=12, shadow=0.2), Part((0.03, 0.03), (PALE,), ((0.0, -0.1),))),
    "pcb4": board("pcb4", Part((0.1, 0.05), (STEEL,), ((0.05, 0.36),), power=12, shadow=0.3),
        Part((0.05, 0.05), (DARK,), ((0.15, -0.15),), shadow=0.3), Part((0.03, 0.03), (STEEL,), ((0.15, -0.15),))),
    # KolektorSDD and DAGM 2007
    "commutator": Picture(Ground((138, 138, 138), ((0.25, 0.006, 7), (0.06, 0.012, 5), (1.5, 0.08, 6)), grain=4)),
    "Class2": Picture(Ground((128, 128, 128), ((0.008, 0.008, 20),), grain=18)),
    "Class3": Picture(Ground((120, 120, 120), ((0.01, 0.01, 6),), ((0, 32, 26, 1),))),
    "Class4": Picture(Ground((84, 84, 84), cells=(38, 44))),
    "Class5": Picture(Ground((72, 72, 72), ((0.005, 0.14, 17), (0.012, 0.3, 10)), grain=6)),
    "Class6": Picture(Ground((104, 104, 104), ((0.05, 0.05, 5),), ((22, 0, 26, 1), (0, 22, 26, 1)), grain=6)),
    "Class8": Picture(Ground((126, 126, 126), cells=(26, 30))),
    "Class9": Picture(Ground((104, 104, 104), ((0.03, 0.03, 14), (0.01, 0.01, 8)), light=0.12)),
    "Class10": Picture(Ground((118, 118, 118), (), ((22, 28, 24, 1), (-7, 5, 9, 1)), grain=6)),
}
