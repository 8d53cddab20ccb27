"""MVTec AD drawn: every category and defect by its official name, grid, screw and zipper in grey."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from defectbench.data.files.scanning import GOOD
from defectbench.datasets.mvtec_ad import MVTecAD
from defectbench.standin import writing
from defectbench.standin.order import Order

GREY: Final = frozenset({"grid", "screw", "zipper"})
NOTE: Final = "Drawn by defectbench in the layout of MVTec AD; not its images.\n"


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: image side, pixels.
    `normals`: images in each `train/good`; `test/good` gets a fifth of that besides.
    `defective`: images of each defect type.
    """
    size, normals, defective, seed = order.size, order.normals, order.defective, order.seed
    chosen = order.products or ()
    for product in chosen:
        folder = out / product
        shown = writing.grey if product in GREY else np.asarray
        for split, count in (("train", normals), ("test", writing.held_out(normals))):
            for i in range(count):
                rng = writing.stream(seed, MVTecAD.folder, product, split, i)
                image = writing.normal(product, size, rng)
                writing.save(folder / split / GOOD / f"{i:03d}.png", shown(image))
        for defect in MVTecAD.defects[product]:
            for i in range(defective):
                rng = writing.stream(seed, MVTecAD.folder, product, defect, i)
                image, mask = writing.defective(product, defect, size, rng)
                writing.save(folder / "test" / defect / f"{i:03d}.png", shown(image))
                writing.save_mask(folder / "ground_truth" / defect / f"{i:03d}_mask.png", mask)
        for name in ("license.txt", "readme.txt"):
            (folder / name).write_text(NOTE)
