"""Which painting draws which defect of which product, under the names that the data sets use.

The order of VisA's defects is that of its class ids, 1 first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from defectbench.standin.defects import (
    assemblies,
    boards,
    concrete,
    dagm,
    hardware,
    metal,
    planar,
    snacks,
    surfaces,
    wares,
)
from defectbench.standin.defects.canvas import Canvas

Painting = Callable[[Canvas, np.random.Generator], None]

PAINTINGS: dict[str, dict[str, Painting]] = {
    "wood": {
        "color": surfaces.wood_color,
        "combined": surfaces.wood_combined,
        "hole": surfaces.wood_hole,
        "liquid": surfaces.wood_liquid,
        "scratch": surfaces.wood_scratch,
    },
    "carpet": {
        "color": surfaces.carpet_color,
        "cut": surfaces.carpet_cut,
        "hole": surfaces.carpet_hole,
        "metal_contamination": surfaces.carpet_metal_contamination,
        "thread": surfaces.carpet_thread,
    },
    "tile": {
        "crack": surfaces.tile_crack,
        "glue_strip": surfaces.tile_glue_strip,
        "gray_stroke": surfaces.tile_gray_stroke,
        "oil": surfaces.tile_oil,
        "rough": surfaces.tile_rough,
    },
    "magnetic_tile": {
        "Blowhole": metal.blowhole,
        "Break": metal.tile_break,
        "Crack": metal.tile_crack,
        "Fray": metal.tile_fray,
        "Uneven": metal.tile_uneven,
    },
    "concrete": {
        "Crack": concrete.crack,
        "Spallation": concrete.spallation,
        "Efflorescence": concrete.efflorescence,
        "ExposedBars": concrete.exposed_bars,
        "CorrosionStain": concrete.corrosion_stain,
    },
    **{f"dagm_{k}": {"defect": painting} for k, painting in enumerate(dagm.CLASSES, 1)},
    "commutator": {"defect": metal.fracture},
    "ksdd2": {"defect": metal.imperfection},
    **{
        product: {"scratches": metal.scratches, "spots": metal.spots}
        for product in ("sdi_a", "sdi_b", "sdi_c")
    },
    "bottle": {
        "broken_large": wares.bottle_broken_large,
        "broken_small": wares.bottle_broken_small,
        "contamination": wares.bottle_contamination,
    },
    "cable": {
        "bent_wire": hardware.cable_bent_wire,
        "cable_swap": hardware.cable_cable_swap,
        "combined": hardware.cable_combined,
        "cut_inner_insulation": hardware.cable_cut_inner_insulation,
        "cut_outer_insulation": hardware.cable_cut_outer_insulation,
        "missing_cable": hardware.cable_missing_cable,
        "missing_wire": hardware.cable_missing_wire,
        "poke_insulation": hardware.cable_poke_insulation,
    },
    "capsule": {
        "crack": wares.capsule_crack,
        "faulty_imprint": wares.capsule_faulty_imprint,
        "poke": wares.capsule_poke,
        "scratch": wares.capsule_scratch,
        "squeeze": wares.capsule_squeeze,
    },
    "grid": {
        "bent": planar.grid_bent,
        "broken": planar.grid_broken,
        "glue": planar.grid_glue,
        "metal_contamination": planar.grid_metal_contamination,
        "thread": planar.grid_thread,
    },
    "hazelnut": {
        "crack": wares.hazelnut_crack,
        "cut": wares.hazelnut_cut,
        "hole": wares.hazelnut_hole,
        "print": wares.hazelnut_print,
    },
    "leather": {
        "color": planar.leather_color,
        "cut": planar.leather_cut,
        "fold": planar.leather_fold,
        "glue": planar.leather_glue,
        "poke": planar.leather_poke,
    },
    "metal_nut": {
        "bent": hardware.nut_bent,
        "color": hardware.nut_color,
        "flip": hardware.nut_flip,
        "scratch": hardware.nut_scratch,
    },
    "pill": {
        "color": wares.pill_color,
        "combined": wares.pill_combined,
        "contamination": wares.pill_contamination,
        "crack": wares.pill_crack,
        "faulty_imprint": wares.pill_faulty_imprint,
        "pill_type": wares.pill_type,
        "scratch": wares.pill_scratch,
    },
    "screw": {
        "manipulated_front": hardware.screw_manipulated_front,
        "scratch_head": hardware.screw_scratch_head,
        "scratch_neck": hardware.screw_scratch_neck,
        "thread_side": hardware.screw_thread_side,
        "thread_top": hardware.screw_thread_top,
    },
    "toothbrush": {
        "defective": wares.toothbrush_defective,
    },
    "transistor": {
        "bent_lead": hardware.transistor_bent_lead,
        "cut_lead": hardware.transistor_cut_lead,
        "damaged_case": hardware.transistor_damaged_case,
        "misplaced": hardware.transistor_misplaced,
    },
    "zipper": {
        "broken_teeth": planar.zipper_broken_teeth,
        "combined": planar.zipper_combined,
        "fabric_border": planar.zipper_fabric_border,
        "fabric_interior": planar.zipper_fabric_interior,
        "rough": planar.zipper_rough,
        "split_teeth": planar.zipper_split_teeth,
        "squeezed_teeth": planar.zipper_squeezed_teeth,
    },
    "breakfast_box": {
        "logical_anomalies": assemblies.breakfast_box_logical,
        "structural_anomalies": assemblies.breakfast_box_structural,
    },
    "juice_bottle": {
        "logical_anomalies": assemblies.juice_bottle_logical,
        "structural_anomalies": assemblies.juice_bottle_structural,
    },
    "pushpins": {
        "logical_anomalies": assemblies.pushpins_logical,
        "structural_anomalies": assemblies.pushpins_structural,
    },
    "screw_bag": {
        "logical_anomalies": assemblies.screw_bag_logical,
        "structural_anomalies": assemblies.screw_bag_structural,
    },
    "splicing_connectors": {
        "logical_anomalies": assemblies.splicing_connectors_logical,
        "structural_anomalies": assemblies.splicing_connectors_structural,
    },
    "candle": {
        "Chunk Of Wax Missing": snacks.wax_missing,
        "Damaged Corner of Packaging": snacks.packaging_damaged,
        "weird candle wick": snacks.weird_wick,
        "Different Colour Spot": snacks.wax_spot,
        "Extra Wax in Candle": snacks.extra_wax,
        "Foreign Particals on Candle": snacks.foreign_particles,
        "Wax Melded out of the candle": snacks.wax_melted_out,
        "Other": snacks.other,
    },
    "capsules": {
        "Bubble": snacks.bubble,
        "Discolor": snacks.discolor,
        "Scratch": snacks.small_scratches,
        "Leak": snacks.leak,
        "Misshape": snacks.misshape,
    },
    "cashew": {
        "Burnt": snacks.burnt,
        "Corner or Edge Breakage": snacks.edge_breakage,
        "Different Colour Spot": snacks.colour_spot,
        "Middle Breakage": snacks.middle_breakage,
        "Small Holes": snacks.small_holes,
        "Small Scratches": snacks.small_scratches,
        "Stuck Together": snacks.stuck_together,
        "Same Colour Spot": snacks.similar_spot,
        "Other": snacks.other,
    },
    "chewinggum": {
        "Chunk of gum missing": snacks.edge_breakage,
        "Corner Missing": snacks.corner_breakage,
        "Scratches": snacks.small_scratches,
        "Similar Colour Spot": snacks.similar_spot,
        "Small Cracks": snacks.small_cracks,
        "Other": snacks.other,
    },
    "fryum": {
        "Burnt": snacks.burnt,
        "Corner or Edge Breakage": snacks.edge_breakage,
        "Different Colour Spot": snacks.colour_spot,
        "Fryum Stuck Together": snacks.stuck_together,
        "Middle Breakage": snacks.middle_breakage,
        "Similar Colour Spot": snacks.similar_spot,
        "Small Scratches": snacks.small_scratches,
        "Other": snacks.other,
    },
    "macaroni1": {
        "Chip Around Edge And Corner": snacks.edge_breakage,
        "Different Colour Spot": snacks.colour_spot,
        "Middle Breakage": snacks.middle_breakage,
        "Similar Colour Spot": snacks.similar_spot,
        "Small Cracks": snacks.small_cracks,
        "Small Scratches": snacks.small_scratches,
        "Other": snacks.other,
    },
    "macaroni2": {
        "Breakage down the middle": snacks.middle_breakage,
        "Color spot similar to the Object": snacks.similar_spot,
        "Different Color spot": snacks.colour_spot,
        "Small chip around edge": snacks.edge_breakage,
        "Small Cracks": snacks.small_cracks,
        "Small Scratches": snacks.small_scratches,
        "Other": snacks.other,
    },
    "pipe_fryum": {
        "Burnt": snacks.burnt,
        "Corner And Edge Breakage": snacks.edge_breakage,
        "Different Colour Spot": snacks.colour_spot,
        "Middle Breakage": snacks.middle_breakage,
        "Similar Colour Spot": snacks.similar_spot,
        "Small Scratches": snacks.small_scratches,
        "Stuck Together": snacks.stuck_together,
        "Small Cracks": snacks.small_cracks,
        "Other": snacks.other,
    },
    **{
        f"pcb{k + 1}": {
            "Bent": boards.bent(k),
            "Melt": boards.melt(k),
            "Scratch": boards.scratch,
            "Missing": boards.missing(k),
        }
        for k in range(3)
    },
    "pcb4": {
        "Burnt": boards.burnt,
        "Scratch": boards.scratch,
        "Missing": boards.missing(3),
        "Damage": boards.damage,
        "Extra": boards.extra,
        "Wrong Place": boards.wrong_place(3),
        "Dirt": boards.dirt,
    },
}

# Products seen on a plain background: their defects stay on the part.
PARTS = frozenset(
    {
        "sdi_a",
        "bottle",
        "capsule",
        "hazelnut",
        "metal_nut",
        "pill",
        "screw",
        "candle",
        "capsules",
        "cashew",
        "chewinggum",
        "fryum",
        "macaroni1",
        "macaroni2",
        "pipe_fryum",
    }
)
HOLLOW = frozenset({"fryum"})  # of these, parts with openings that show the background
