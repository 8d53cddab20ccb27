"""CODEBRIM drawn: crops of concrete photographs with up to four defects at once, in the balanced set's layout.

Crops of one photograph overlap and share its group; labels stand in XML for all splits together; some crops in `defects/`
have no label; one crop of the rarest defect is replicated under either way of naming; litter of the zip lies about.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

import numpy as np

from defectbench.data.files.decoding import Pixels
from defectbench.datasets.codebrim import CODEBRIM, DEFECTS, FOLDERS, LABELS, PRODUCT, SPLITS
from defectbench.standin import drawing, writing
from defectbench.standin.order import LEAST, Order
from defectbench.standin.writing import allot, beside

ROOT: Final = "classification_dataset_balanced"
BACKGROUND: Final = (2185, 150, 150)
"""Published crops of `background` by split."""
MARKED: Final = (4296, 466, 482)
"""Published crops of `defects` by split."""
SEVERAL: Final = (0.62, 0.81, 0.98)
"""Shares of crops with one defect, with up to two, with up to three, as published; the rest has four."""
TOGETHER: Final = {
    "ExposedBars": ("Spallation", "CorrosionStain"),
    "Spallation": ("ExposedBars", "CorrosionStain"),
    "CorrosionStain": ("Crack", "ExposedBars"),
    "Efflorescence": ("Crack", "CorrosionStain"),
    "Crack": ("Efflorescence", "Spallation"),
}
"""What usually comes with a defect."""
RARE: Final = "Efflorescence"
PER_PHOTOGRAPH: Final = 3
ORDER: Final = ("Spallation", "ExposedBars", "Crack", "Efflorescence", "CorrosionStain")
"""Which is painted first: bars lie in a spall, stains run over everything."""


@dataclass(frozen=True)
class Crop:
    """One crop: the photograph that it is cut from, its number there, its defects."""

    photograph: int
    number: int
    defects: tuple[str, ...]

    @property
    def name(self) -> str:
        """File name, as published."""
        return f"image_{self.photograph:07d}_crop_{self.number:07d}.png"


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: sides of crops lie between 0.6 and 1.5 of it, pixels.
    `normals`: crops in `train/background`; `val` and `test` get them in the published ratio besides.
    `defective`: crops drawn for each of the five defects, over the three splits; some have further defects.
    """
    size, normals, defective, seed = order.size, order.normals, order.defective, order.seed
    root = out / ROOT
    plain = [normals, *(beside(normals, BACKGROUND[0], n) for n in BACKGROUND[1:])]
    written: dict[str, list[Crop]] = {folder: [] for folder in FOLDERS}
    for s, (split, few, many) in enumerate(
        zip(SPLITS, plain, allot(defective, MARKED), strict=True)
    ):
        wanted: dict[str, list[tuple[str, ...]]] = {
            "background": [()] * few,
            "defects": _labels(split, many, seed),
        }
        for f, (folder, labels) in enumerate(wanted.items()):
            for first in range(0, len(labels), PER_PHOTOGRAPH):
                photograph = (2 * s + f) * 100_000 + first // PER_PHOTOGRAPH + 1
                crops = [
                    Crop(photograph, number, names)
                    for number, names in enumerate(labels[first : first + PER_PHOTOGRAPH], start=1)
                ]
                _draw(root / split / folder, crops, size, seed)
                written[folder] += crops
    _replicate(root / "train/defects", written["defects"])
    (root / "metadata").mkdir(parents=True, exist_ok=True)
    for folder, crops in written.items():
        (root / f"metadata/{folder}.xml").write_text(_xml(crops), encoding="utf-8")
    litter = out / "__MACOSX" / ROOT
    litter.mkdir(parents=True, exist_ok=True)
    (litter / "._train.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")


def _labels(split: str, count: int, seed: int) -> list[tuple[str, ...]]:
    """Choose the defects of crops, `count` for each defect; in train, one has three and one has none."""
    labels: list[tuple[str, ...]] = []
    for i in range(count):
        for defect in DEFECTS:
            rng = writing.stream(seed, CODEBRIM.folder, split, "labels", defect, i)
            number = 1 + int(np.searchsorted(SEVERAL, rng.random()))
            if split == "train" and i == 0 and defect == "ExposedBars":
                number = 3
            others = [
                *TOGETHER[defect],
                *(d for d in DEFECTS if d not in (defect, *TOGETHER[defect])),
            ]
            labels.append(tuple(sorted((defect, *others[: number - 1]), key=ORDER.index)))
    return [*labels, ()] if labels and split == "train" else labels


def _draw(folder: Path, crops: list[Crop], size: int, seed: int) -> None:
    """Draw a photograph, cut its crops out and paint their defects."""
    key = (CODEBRIM.folder, crops[0].photograph)
    photograph = writing.normal(PRODUCT, 2 * size, writing.stream(seed, *key))
    for crop in crops:
        rng = writing.stream(seed, *key, crop.number)
        height, width = (max(LEAST, round(size * s)) for s in rng.uniform(0.6, 1.5, 2))
        y = int(rng.integers(2 * size - height + 1))
        x = int(rng.integers(2 * size - width + 1))
        image: Pixels = photograph[y : y + height, x : x + width].copy()
        for defect in crop.defects:
            image, _ = drawing.add(PRODUCT, defect, image, rng)
        writing.save(folder / crop.name, image)


def _replicate(folder: Path, crops: list[Crop]) -> None:
    """Replicate a training crop of the rarest defect, under either name that the published set may have."""
    for crop in crops:
        path = folder / crop.name
        if RARE in crop.defects and path.is_file():
            for mark in ("_copy00", "_-_1"):
                shutil.copyfile(path, path.with_stem(path.stem + mark))
            return


def _xml(crops: list[Crop]) -> str:
    lines = ["<?xml version='1.0' encoding='utf-8'?>", "<Annotation>"]
    for crop in crops:
        flags = {"Background": not crop.defects, **{d: d in crop.defects for d in DEFECTS}}
        labels = "".join(f"<{label}>{int(flags[label])}</{label}>" for label in LABELS)
        lines.append(f"  <Defect name={quoteattr(crop.name)}>{labels}</Defect>")
    return "\n".join([*lines, "</Annotation>", ""])
