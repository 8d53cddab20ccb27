"""CODEBRIM's original photographs: boxes from VOC-like XML, cut out of the pixels as stored.

Boxes refer to un-rotated pixels, and some photographs carry an EXIF rotation by half a turn: it is not applied here, unlike
everywhere else in this package. Not an adapter: whoever needs crops of their own making cuts them with this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from defectbench.config import UserError
from defectbench.data.codebrim import read_defects
from defectbench.data.decoding import Pixels


@dataclass(frozen=True)
class Box:
    """One annotated box.

    Attributes:
        x0: left, pixels from 0.
        y0: top, pixels from 0.
        x1: right, exclusive.
        y1: bottom, exclusive.
        defects: names of its defects; none where only Background is set.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    defects: tuple[str, ...]


def read_boxes(path: Path) -> list[Box]:
    """Read the boxes of one annotation; corners in the file count from 1 and include the last pixel.

    The classes are in each object's nested `Defect`, not in its `name`.

    Raises:
        UserError: the file is not such an annotation.
    """
    try:
        root = ElementTree.parse(path).getroot()
        return [_box(item) for item in root.iter("object")]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise UserError(
            f"{path}: not an annotation of CODEBRIM's originals ({error}); get it again"
        ) from None


def crops(image: Path, annotation: Path) -> Iterator[tuple[Pixels, tuple[str, ...]]]:
    """Cut the annotated boxes out of a photograph.

    Returns:
        (H, W, 3) uint8 in [0, 255] and the names of the defects, per box.

    Raises:
        UserError: a file cannot be read, or a box lies outside of the photograph.
    """
    boxes = read_boxes(annotation)
    try:
        with Image.open(image) as photograph:
            pixels = np.array(photograph.convert("RGB"), dtype=np.uint8)  # EXIF is not applied
    except OSError as error:
        raise UserError(f"{image}: cannot be decoded ({error}); get it again") from None
    height, width = pixels.shape[:2]
    for box in boxes:
        if not (0 <= box.x0 < box.x1 <= width and 0 <= box.y0 < box.y1 <= height):
            raise UserError(
                f"{annotation}: {box} lies outside of {image.name}, which is {width}x{height} pixels as stored"
            )
        yield pixels[box.y0 : box.y1, box.x0 : box.x1], box.defects


def _box(item: ElementTree.Element) -> Box:
    labels = item.find("Defect")
    if labels is None:
        raise ValueError("an object has no Defect")
    x0, y0, x1, y1 = (
        int(float(item.findtext(f"bndbox/{corner}", "")))
        for corner in ("xmin", "ymin", "xmax", "ymax")
    )
    return Box(x0 - 1, y0 - 1, x1, y1, read_defects(labels, "an object"))
