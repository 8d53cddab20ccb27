"""Boxes in the XML files of Pascal VOC, as several datasets publish theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from defectbench.data.files.boxes import Box
from defectbench.data.files.decoding import BadFile


@dataclass(frozen=True)
class Annotation:
    """What one file says.

    Attributes:
        width: of the image, pixels.
        height: of the image, pixels.
        boxes: in pixels from 0, the right and lower edge exclusive.
    """

    width: int
    height: int
    boxes: tuple[Box, ...]


def read_annotation(path: Path) -> Annotation:
    """Read the boxes of one image. In the file corners count from 1 and include the last pixel, as VOC has it.

    Its `folder` and `filename` are not read: they are often wrong.

    Raises:
        BadFile: the file is not such an annotation, or a box is empty or lies outside of the image.
    """
    try:
        root = ElementTree.parse(path).getroot()
        width, height = (int(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
        boxes = tuple(_box(item) for item in root.iter("object"))
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise BadFile(f"not an annotation in Pascal VOC's XML ({error}); get it again") from None
    for box in boxes:
        if not (0 <= box.x0 < box.x1 <= width and 0 <= box.y0 < box.y1 <= height):
            corners = ", ".join(f"{corner:g}" for corner in box[:4])
            raise BadFile(
                f"box {corners} of {box.name!r} is empty or not inside of {width}x{height} pixels; mend it"
            )
    return Annotation(width, height, boxes)


def _box(item: ElementTree.Element) -> Box:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise ValueError("an object has no name")
    x0, y0, x1, y1 = (
        float(item.findtext(f"bndbox/{corner}", "")) for corner in ("xmin", "ymin", "xmax", "ymax")
    )
    return Box(x0 - 1, y0 - 1, x1, y1, name)
