"""KolektorSDD drawn: items of eight views in grey JPEG with BMP masks, one item of seven, `kos21` among them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from defectbench.data.files.decoding import Pixels
from defectbench.datasets.kolektor_sdd import DEFECT, PRODUCT, KolektorSDD
from defectbench.standin import drawing, writing
from defectbench.standin.order import Order
from defectbench.standin.writing import oblong

PARTS: Final = 8
HEIGHT: Final = 1250
WIDTH: Final = 500
FIRST_ITEM: Final = 21
"""This item is always written, whole: the publishers' loader leaves out its `Part7`."""


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: square root of an image's area, pixels; images are upright, 2.5 times as high as wide.
    `normals`: normal images; there is no published split.
    `defective`: defective images, spread over the items.
    """
    size, normals, defective, seed = order.size, order.normals, order.defective, order.seed
    total = normals + defective
    items = _items(total)
    places = [
        (item, part) for part in range(PARTS) for item, parts in items.items() if part < parts
    ]
    shuffled = writing.stream(seed, KolektorSDD.folder, "places")
    shifted = {item: int(shuffled.integers(PARTS)) for item in items}
    marked = set(places[:defective])
    for item, part in places:
        view = (part + shifted[item]) % items[
            item
        ]  # which view has the defect differs from item to item
        _write_view(out / f"kos{item:02d}", view, item, (item, part) in marked, size, seed)


def _items(total: int) -> dict[int, int]:
    """Say how many views each item has: eight, but one of seven and the last what is left."""
    items: dict[int, int] = {}
    numbers = [FIRST_ITEM, *(n for n in range(1, total + 2) if n != FIRST_ITEM)]
    for count, number in enumerate(numbers):
        if total <= 0:
            break
        items[number] = min(PARTS - (count == 1), total)
        total -= items[number]
    return items


def _write_view(folder: Path, view: int, item: int, marked: bool, size: int, seed: int) -> None:
    """Write one view: a part of the item's surface, under a light of its own."""
    height, width = oblong(size, HEIGHT, WIDTH)
    height += item % 5  # heights differ a little, as published
    whole = (2 * height, width)
    surface = writing.normal(PRODUCT, whole, writing.stream(seed, KolektorSDD.folder, item))
    rng = writing.stream(seed, KolektorSDD.folder, item, view)
    top = view * height // PARTS
    image = _lit(surface[top : top + height], rng)
    mask = np.zeros((height, width), np.uint8)
    if marked:
        image, found = drawing.add(PRODUCT, DEFECT, image, rng)
        mask = np.asarray(found, dtype=np.uint8)
    writing.save(folder / f"Part{view}.jpg", writing.grey(image))
    writing.save_mask(folder / f"Part{view}_label.bmp", mask)


def _lit(image: Pixels, rng: np.random.Generator) -> Pixels:
    lit = image * rng.uniform(0.9, 1.1) + rng.normal(0, 2, image.shape)
    return np.clip(np.round(lit), 0, 255).astype(np.uint8)
