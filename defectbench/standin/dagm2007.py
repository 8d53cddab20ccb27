"""DAGM 2007 drawn: ten textures in grey, coarse ellipses, `Labels.txt` with CRLF, doubled folders for half of the classes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from defectbench.data.files.decoding import Pixels
from defectbench.datasets.dagm2007 import DAGM2007, DEFECT, PRODUCTS, SPLITS
from defectbench.standin import writing
from defectbench.standin.defects.dagm import weak_ellipse
from defectbench.standin.order import Order
from defectbench.standin.writing import allot

DOUBLED: Final = PRODUCTS[6:]
"""Classes written as `Class7/Class7`, as zips of single classes unpack."""
TINY: Final = "Class8"
"""Its last mask has two pixels; the published masks of this class go down to that."""


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: image side, pixels.
    `normals`: normal images in each `Train`; `Test` gets as many, as published.
    `defective`: defective images of each class, half of them in `Train`.
    """
    size, normals, defective, seed = order.size, order.normals, order.defective, order.seed
    chosen = order.products or ()
    for product in chosen:
        folder = out / product / product if product in DOUBLED else out / product
        parts = allot(defective, (1, 1))
        shuffled = writing.stream(seed, DAGM2007.folder, product, "numbers")
        numbers = [int(n) for n in shuffled.permutation(2 * normals + defective) + 1]
        for split, count in zip(SPLITS, parts, strict=True):
            taken, numbers = numbers[: normals + count], numbers[normals + count :]
            _write_split(folder / split, product, size, seed, taken[:normals], taken[normals:])


def _write_split(
    folder: Path, product: str, size: int, seed: int, normal: list[int], defective: list[int]
) -> None:
    """Write one split; its numbers interleave with those of the other."""
    rows = {}
    for i, number in enumerate(normal):
        rng = writing.stream(seed, DAGM2007.folder, product, folder.name, "normal", i)
        image = writing.normal(product, size, rng)
        writing.save(folder / f"{number:04d}.PNG", writing.grey(image))
        rows[number] = f"{number}\t0\t{number:04d}.PNG\t0\t0"
    for i, number in enumerate(defective):
        rng = writing.stream(seed, DAGM2007.folder, product, folder.name, DEFECT, i)
        image, mask = writing.defective(product, DEFECT, size, rng)
        label = f"{number:04d}_label.PNG"
        last = product == TINY and i and i == len(defective) - 1
        writing.save(folder / f"{number:04d}.PNG", writing.grey(image))
        writing.save_mask(folder / "Label" / label, _two_pixels(mask) if last else _ellipse(mask))
        rows[number] = f"{number}\t1\t{number:04d}.PNG\t0\t{label}"
    lines = [product.removeprefix("Class"), *(rows[number] for number in sorted(rows)), ""]
    (folder / "Label").mkdir(parents=True, exist_ok=True)
    (folder / "Label/Labels.txt").write_bytes("\r\n".join(lines).encode("ascii"))


def _ellipse(mask: Pixels) -> Pixels:
    return np.asarray(weak_ellipse(mask > 0), dtype=np.uint8)


def _two_pixels(mask: Pixels) -> Pixels:
    """Keep two neighbours of a mask."""
    tiny = np.zeros_like(mask)
    pair = np.argwhere((mask[:, :-1] & mask[:, 1:]) > 0)
    y, x = pair[len(pair) // 2]
    tiny[y, x : x + 2] = 1
    return tiny
