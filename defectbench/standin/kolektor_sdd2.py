"""KolektorSDD2 drawn: sizes that differ, masks for all, one pair copied by a file manager, a split file never to be read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import numpy as np

from defectbench.data.files.scanning import GOOD
from defectbench.datasets.kolektor_sdd2 import DEFECT, PRODUCT, KolektorSDD2
from defectbench.standin import writing
from defectbench.standin.order import LEAST, Order
from defectbench.standin.writing import allot, beside, oblong

HEIGHT: Final = 630
WIDTH: Final = 230
WIDTHS: Final = (184, 242)
FIRST: Final = {"train": 10000, "test": 20000}
PICKLE: Final = b"stand-in of a split file: no pickle, and not to be opened\n"


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: square root of an image's area, pixels; images are upright, about 2.7 times as high as wide.
    `normals`: normal images in `train`; `test` gets them in the published ratio besides.
    `defective`: defective images, in `train` and `test` in the published ratio.
    """
    size, normals, defective, seed = order.size, order.normals, order.defective, order.seed
    name = KolektorSDD2.folder
    published = {
        key: KolektorSDD2.counts[f"{PRODUCT}/{key}"] for key in (f"train/{GOOD}", f"test/{GOOD}")
    }
    good = (normals, beside(normals, *published.values()))
    bad = allot(defective, [KolektorSDD2.counts[f"{PRODUCT}/{s}/{DEFECT}"] for s in FIRST])
    for (split, first), plain, marked in zip(FIRST.items(), good, bad, strict=True):
        shuffled = writing.stream(seed, name, split, "numbers").permutation(plain + marked)
        (out / split).mkdir(exist_ok=True)
        for i, place in enumerate(shuffled):
            kind, index = (DEFECT, i - plain) if i >= plain else (GOOD, i)
            rng = writing.stream(seed, name, split, kind, index)
            height, width = oblong(size, HEIGHT, WIDTH)
            width = max(LEAST, round(width * rng.integers(*WIDTHS) / WIDTH))
            height = round(height * rng.uniform(0.97, 1.03))
            if kind == DEFECT:
                image, mask = writing.defective(PRODUCT, DEFECT, (height, width), rng)
            else:
                image = writing.normal(PRODUCT, (height, width), rng)
                mask = np.zeros((height, width), np.uint8)
            stem = str(first + int(place))
            writing.save(out / split / f"{stem}.png", image)
            writing.save_mask(out / split / f"{stem}_GT.png", mask)
            if split == "train" and kind == DEFECT and index == 0:
                for file in (stem, f"{stem}_GT"):
                    shutil.copyfile(out / split / f"{file}.png", out / split / f"{file} (copy).png")
    (out / "split_weakly_16.pyb").write_bytes(PICKLE)
