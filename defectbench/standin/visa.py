"""VisA drawn: `.JPG` images, masks of class ids, several classes per image in one quoted field, three split files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from defectbench.data.files.decoding import Pixels
from defectbench.datasets.visa import CLASSES, VisA
from defectbench.standin import drawing, writing
from defectbench.standin.order import Order
from defectbench.standin.writing import allot, beside

ROWS = list[tuple[str, str, str]]
SETUPS: Final = {"2cls_fewshot": (20, 80), "2cls_highshot": (60, 40)}
"""Anomalous images for training and testing, of 100; in `1cls` all are for testing."""
SMALL: Final = 64
"""Pixels; on less some anomalies find no room."""
SECOND_EVERY: Final = 3
"""Every third anomalous image has a second class."""


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: image side, pixels.
    `normals`: normal images for training per object; a ninth of that besides for testing, as published.
    `defective`: anomalous images of each class; every third has another class besides.
    """
    size, normals, defective, seed = order.size, order.normals, order.defective, order.seed
    chosen = order.products or ()
    splits: dict[str, list[tuple[str, ...]]] = {setup: [] for setup in ("1cls", *SETUPS)}
    for product in chosen:
        plain = _write_normal(out, product, size, normals + beside(normals, 900, 100), seed)
        marked = _write_anomalous(out, product, size, defective, seed)
        _write_csv(out / product / "image_anno.csv", ("image", "label", "mask"), [*plain, *marked])
        for setup, rows in splits.items():
            few = allot(len(marked), SETUPS[setup])[0] if setup in SETUPS else 0
            for i, (image, _, _) in enumerate(plain):
                rows.append((product, "train" if i < normals else "test", "normal", image, ""))
            for i, (image, _, mask) in enumerate(marked):
                rows.append((product, "train" if i < few else "test", "anomaly", image, mask))
    for setup, rows in splits.items():
        _write_csv(
            out / f"split_csv/{setup}.csv", ("object", "split", "label", "image", "mask"), rows
        )


def _write_normal(out: Path, product: str, size: int, count: int, seed: int) -> ROWS:
    rows = []
    for i in range(count):
        name = f"{product}/Data/Images/Normal/{i:04d}.JPG"
        rng = writing.stream(seed, VisA.folder, product, "normal", i)
        writing.save(out / name, writing.normal(product, size, rng))
        rows.append((name, "normal", ""))
    return rows


def _write_anomalous(out: Path, product: str, size: int, count: int, seed: int) -> ROWS:
    """Write the anomalous images of an object, its classes in turn."""
    classes, rows = [c for c in CLASSES[product] if c in drawing.names(product)], []
    for i in range(count):
        for k, first in enumerate(classes):
            number = i * len(classes) + k
            names = [first]
            if number % SECOND_EVERY == SECOND_EVERY - 1 and len(classes) > 1:
                names.append(classes[(k + 1) % len(classes)])
            rng = writing.stream(seed, VisA.folder, product, first, i)
            image, ids = _draw(product, names, size, rng)
            place = f"{product}/Data/Images/Anomaly/{number:03d}.JPG"
            marks = f"{product}/Data/Masks/Anomaly/{number:03d}.png"
            writing.save(out / place, image)
            writing.save(out / marks, ids)
            rows.append((place, ", ".join(names).lower(), marks))
    return rows


def _draw(
    product: str, names: Sequence[str], size: int, rng: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Draw an anomalous image and its mask of class ids; small ones are drawn at twice their size, which has more room."""
    scale = 2 if size < SMALL else 1
    image = writing.normal(product, scale * size, rng)
    ids = np.zeros(image.shape[:2], np.uint8)
    for name in names:
        image, mask = drawing.add(product, name, image, rng)
        ids[mask] = CLASSES[product].index(name) + 1
    if scale == 1:
        return image, ids
    blocks = image.reshape(size, 2, size, 2, 3).astype(np.uint16)
    smaller = ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
    return smaller, ids.reshape(size, 2, size, 2).max(axis=(1, 3))


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
