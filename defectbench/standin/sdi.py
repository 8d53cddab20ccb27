"""SDI drawn: three products in grey and colour JPEG of several sizes; no masks, normal images without a split."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from defectbench.data.files.decoding import Pixels
from defectbench.datasets.sdi import SDI, SPLITS, TYPES
from defectbench.standin import writing
from defectbench.standin.order import LEAST, Order
from defectbench.standin.writing import allot

CODES: Final = {"scratches": "sc", "spots": "sp"}
SIDES: Final = {"A": 423, "B": 301, "C": 256}
"""Published sides, pixels; `size` stands for that of A."""
LARGE: Final = 680
"""Side of some images of B."""
COLOURED: Final = "C"
SHARES: Final = (58, 15, 35)
"""Of a product's images of one type: the fewest for training that were published, and what is held out of all."""


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: image side of product A, pixels; the others are smaller or larger as published.
    `normals`: images in each `A_ok`; they have no split.
    `defective`: images of each type and product over the three splits, one at least in each.
    """
    size, normals, defective, seed = order.size, order.normals, order.defective, order.seed
    chosen = order.products or ()
    root = out / "SDI_DATASET_v1"
    for product in chosen:
        for i in range(normals):
            rng = writing.stream(seed, SDI.folder, product, "ok", i)
            image = writing.normal(product, _side(product, i, size), rng)
            _save(root / f"{product}_ok" / f"{product}_ok_{i + 1:05d}.jpg", image, product)
        if defective:
            _write_defective(root / f"{product}_nok", product, size, max(defective, 3), seed)
    if "A" in chosen and defective:  # one picture with two labels, across splits
        folder = root / "A_nok"
        twin = sorted((folder / "test/spots").iterdir())[-1]
        shutil.copyfile(folder / "train/scratches/A_sc_train_00001.jpg", twin)


def _write_defective(folder: Path, product: str, size: int, count: int, seed: int) -> None:
    for kind in TYPES:
        for split, share in zip(SPLITS, allot(count, SHARES), strict=True):
            for i in range(share):
                rng = writing.stream(seed, SDI.folder, product, split, kind, i)
                side = _side(product, i, size)
                image, _ = writing.defective(product, kind, side, rng)
                name = f"{product}_{CODES[kind]}_{split}_{i + 1:05d}.jpg"
                _save(folder / split / kind / name, image, product)


def _side(product: str, index: int, size: int) -> int:
    published = LARGE if product == "B" and index % 5 == 4 else SIDES[product]
    return max(LEAST, round(size * published / SIDES["A"]))


def _save(path: Path, image: Pixels, product: str) -> None:
    writing.save(path, image if product == COLOURED else writing.grey(image))
