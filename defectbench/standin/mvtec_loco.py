"""MVTec LOCO drawn: oblong images, masks in one or two files per image, values other than 255 for the screw bag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np

from defectbench.data.files.decoding import Pixels
from defectbench.data.files.scanning import GOOD
from defectbench.datasets.mvtec_loco import TYPES, MVTecLOCO
from defectbench.standin import writing
from defectbench.standin.order import Order
from defectbench.standin.writing import beside, oblong

SIDES: Final = {
    "breakfast_box": (1280, 1600),
    "juice_bottle": (1600, 800),
    "pushpins": (1000, 1700),
    "screw_bag": (1100, 1600),
    "splicing_connectors": (850, 1700),
}
"""Published height and width, pixels."""
VALUES: Final = {"screw_bag": (236, 255)}
"""Grey values of an image's first and second mask; 255 elsewhere."""


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: square root of an image's area, pixels; sides are in the published ratio.
    `normals`: images in each `train/good`; `validation/good` and `test/good` get them in the published ratio besides.
    `defective`: images of each of the two anomaly types.
    """
    size, normals, defective, seed = order.size, order.normals, order.defective, order.seed
    chosen = order.products or ()
    for product in chosen:
        shape = oblong(size, *SIDES[product])
        published = [MVTecLOCO.counts[f"{product}/{s}/{GOOD}"] for s in ("train", "val", "test")]
        counts = (normals, *(beside(normals, published[0], n) for n in published[1:]))
        for split, count in zip(("train", "validation", "test"), counts, strict=True):
            for i in range(count):
                rng = writing.stream(seed, MVTecLOCO.folder, product, split, i)
                image = writing.normal(product, shape, rng)
                writing.save(out / product / split / GOOD / f"{i:03d}.png", image)
        for kind in TYPES:
            for i in range(defective):
                rng = writing.stream(seed, MVTecLOCO.folder, product, kind, i)
                image, mask = writing.defective(product, kind, shape, rng)
                writing.save(out / product / "test" / kind / f"{i:03d}.png", image)
                _save_masks(out / product / "ground_truth" / kind / f"{i:03d}", mask, product, i)
        _save_config(out / product)


def _save_masks(folder: Path, mask: Pixels, product: str, index: int) -> None:
    """Write a mask in one file, or every second one in two that overlap by a column of pixels."""
    columns = np.flatnonzero(mask.any(axis=0))
    middle = int(columns[len(columns) // 2])
    parts = [mask]
    if index % 2 == 0 and 0 < middle < mask.shape[1] - 1:
        left, right = mask.copy(), mask.copy()
        left[:, middle + 1 :] = 0
        right[:, :middle] = 0
        parts = [left, right]
    for number, part in enumerate(parts):
        value = VALUES.get(product, (255, 255))[number]
        writing.save_mask(folder / f"{number:03d}.png", part, value)


def _save_config(folder: Path) -> None:
    """Say what the grey values mean, in the file that the publishers have for that."""
    values = sorted(set(VALUES.get(folder.name, (255,))))
    config = [{"defect_name": f"anomaly_{value}", "pixel_value": value} for value in values]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "defects_config.json").write_text(json.dumps(config, indent=1) + "\n")
