"""NEU-DET drawn: grey JPEGs named after their main defect, boxes in VOC's XML, a second defect in some images."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np
from scipy.ndimage import binary_dilation

from defectbench.data.files.boxes import Box
from defectbench.data.files.decoding import Pixels
from defectbench.datasets.neu_det import DEFECTS, PRODUCT, NEUDet
from defectbench.imaging.components import boxes as boxes_of
from defectbench.standin import drawing, writing
from defectbench.standin.order import Order

FOLDERS: Final = dict(zip(DEFECTS, ("cr", "in", "pa", "ps", "rs", "sc"), strict=True))
"""What the published XML calls the folder."""
SECOND: Final = 8
"""Every so many images of a defect one shows another one besides; published are 123 of 1,800."""
REACH: Final = 0.04
"""Parts of a defect that are less than twice this apart share a box; fraction of the side."""


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: image side, pixels.
    `defective`: images of each defect.
    `normals`: none, the dataset has no normal images.
    """
    size, defective, seed = order.size, order.defective, order.seed
    for kind, name in enumerate(DEFECTS):
        for number in range(1, defective + 1):
            rng = writing.stream(seed, NEUDet.folder, name, number)
            image, mask = writing.defective(PRODUCT, name, size, rng)
            boxes = _boxes(mask > 0, name)
            if name == "crazing" and number == 1:  # as published, some boxes are the whole image
                boxes = [Box(0, 0, size, size, name)]
            if number % SECOND == 2:
                other = DEFECTS[(kind + 1) % len(DEFECTS)]
                image, second = drawing.add(PRODUCT, other, image, rng)
                boxes += _boxes(second, other)
            stem = f"{name}_{number}"
            grey = writing.grey(image)
            writing.save(out / "IMAGES" / f"{stem}.jpg", np.stack([grey] * 3, axis=-1))
            # the published files leave the suffix out in one image of thirty
            shown = stem if number % 30 == 4 else f"{stem}.jpg"
            _annotate(out / "ANNOTATIONS" / f"{stem}.xml", FOLDERS[name], shown, size, boxes)
    if defective > 2:  # as patches_101 and patches_105
        for folder, suffix in (("IMAGES", "jpg"), ("ANNOTATIONS", "xml")):
            twin = out / folder / f"patches_{defective}.{suffix}"
            shutil.copyfile(out / folder / f"patches_1.{suffix}", twin)


def _boxes(mask: Pixels | np.ndarray, name: str) -> list[Box]:
    """Box the parts of a defect, those near each other together."""
    reach = max(1, round(REACH * mask.shape[0]))
    boxes = []
    for part in boxes_of(binary_dilation(mask, iterations=reach)):
        inside = np.argwhere(mask[part.y0 : part.y1, part.x0 : part.x1])
        (top, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0) + 1
        x, y = part.x0, part.y0
        boxes.append(Box(x + int(left), y + int(top), x + int(right), y + int(bottom), name))
    return boxes


def _annotate(path: Path, folder: str, filename: str, size: int, boxes: Sequence[Box]) -> None:
    """Write boxes as VOC has them: corners count from 1 and belong to the box."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "folder").text = folder
    ElementTree.SubElement(root, "filename").text = filename
    sides = ElementTree.SubElement(root, "size")
    for side, number in (("width", size), ("height", size), ("depth", 1)):
        ElementTree.SubElement(sides, side).text = str(number)
    for box in boxes:
        item = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(item, "name").text = box.name
        corners = ElementTree.SubElement(item, "bndbox")
        edges = {"xmin": box.x0 + 1, "ymin": box.y0 + 1, "xmax": box.x1, "ymax": box.y1}
        for corner, edge in edges.items():
            ElementTree.SubElement(corners, corner).text = str(int(edge))
    ElementTree.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8")
