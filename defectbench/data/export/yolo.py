"""Ultralytics' layout: `data.yaml`, `images/<split>/*.png`, `labels/<split>/*.txt`, for detection and segmentation.

`data.yaml` leaves `path` out, so that it means the folder it stands in. Every image has a label file; a normal image's is
empty, so that a missing one is noticed. A segmentation export writes every region as a polygon: one row of a box among
them would make Ultralytics drop the image. Regions are 8-connected components of the mask.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from defectbench.data.export.items import GOOD, Item, Mask, Writer, class_names, with_masks
from defectbench.data.export.outlines import outlines
from defectbench.imaging.components import boxes

SMALLEST_SIDE = 10  # pixels; Ultralytics drops smaller images as corrupt


def write_detect(writer: Writer, items: list[Item]) -> dict[str, Any]:
    """Write boxes: rows `class x_centre y_centre width height`, fractions of the image's sides."""
    return _write(writer, items, segments=False)


def write_segment(writer: Writer, items: list[Item]) -> dict[str, Any]:
    """Write polygons: rows `class x1 y1 ... xn yn`, fractions of the image's sides."""
    return _write(writer, items, segments=True)


def detect_rows(mask: Mask, class_id: int, min_area: int = 1) -> list[str]:
    """Make a label row per region of a mask; boxes reach to the far edge of their last pixel.

    Args:
        mask: (H, W) uint8 in {0, 1}.
        class_id: index in `names`.
        min_area: pixels of the smallest region.
    """
    height, width = mask.shape
    rows = []
    for box in boxes(mask.astype(bool), min_area):
        values = (
            (box.x0 + box.x1) / 2 / width,
            (box.y0 + box.y1) / 2 / height,
            (box.x1 - box.x0) / width,
            (box.y1 - box.y0) / height,
        )
        rows.append(_row(class_id, values))
    return rows


def segment_rows(mask: Mask, class_id: int, min_area: int = 1, *, fill: bool = False) -> list[str]:
    """Make a label row per region of a mask, four points at least: along pixel edges even one pixel has four corners.

    Args:
        mask: (H, W) uint8 in {0, 1}.
        class_id: index in `names`.
        min_area: pixels of the smallest region.
        fill: count holes as filled; else a bridge of no width leads to them.
    """
    scale = np.array(mask.shape[::-1], np.float64)
    return [
        _row(class_id, (np.array(line) / scale).ravel().tolist())
        for line in outlines(mask.astype(bool), min_area, fill=fill)
    ]


def _row(class_id: int, values: Sequence[float]) -> str:
    return " ".join([str(class_id), *(f"{value:.8g}" for value in values)])


def _write(writer: Writer, items: list[Item], *, segments: bool) -> dict[str, Any]:
    options = writer.options
    items = with_masks(writer, items, "boxes and polygons come from masks")
    classes = class_names(writer.manifest, items, options.classes)
    written: set[str] = set()
    empty = small = 0
    for item in items:
        size, rows = None, list[str]()
        if item.defects:
            mask = writer.read_mask(item)
            class_id = classes.index(item.label)
            rows = (
                segment_rows(mask, class_id, options.min_area, fill=options.holes == "fill")
                if segments
                else detect_rows(mask, class_id, options.min_area)
            )
            if not rows:
                empty += 1
                continue
        size = writer.image(item, f"images/{item.split}/{item.name}.png")
        small += size is not None and min(size) < SMALLEST_SIDE
        text = "".join(f"{row}\n" for row in dict.fromkeys(rows))
        writer.text(f"labels/{item.split}/{item.name}.txt", text)
        written.add(item.split)
    if empty:
        writer.note(
            f"{empty} defective image(s) have no region of {options.min_area} pixel(s) in their mask and were left out, "
            "for without a label they would count as background."
        )
    if small:
        writer.note(
            f"{small} image(s) have a side under {SMALLEST_SIDE} pixels: Ultralytics drops them."
        )
    if written:
        writer.text("data.yaml", _yaml(writer, classes, written))
    rules = {"classes": classes, "normal": GOOD, "connectivity": 8, "min_area": options.min_area}
    return {**rules, "holes": options.holes} if segments else rules


def _yaml(writer: Writer, classes: Sequence[str], written: set[str]) -> str:
    """Make `data.yaml`; train and val are both required, so a lacking one is taken from another split, and said."""
    lines = [
        "# written by defectbench; `path` is left out on purpose: it is the folder of this file"
    ]
    for split, instead in (("train", ("val", "test")), ("val", ("test", "train"))):
        source = split if split in written else next(s for s in instead if s in written)
        if source != split:
            text = f"no image has split {split!r}: `{split}` in data.yaml names the images of {source!r}"
            writer.note(f"{text}; do not take what is measured there for a result.")
            lines.append(f"# {text}")
        lines.append(f"{split}: images/{source}")
    if "test" in written:
        lines.append("test: images/test")
    names = list(classes)
    if names[0].startswith("n0"):
        writer.note(
            f"class {names[0]!r} is written as 'class_{names[0]}': Ultralytics takes a first name that starts with n0 for "
            "an ImageNet code."
        )
        names[0] = f"class_{names[0]}"
    lines += [f"nc: {len(names)}", "names:"]
    lines += [f"  {number}: {json.dumps(name)}" for number, name in enumerate(names)]
    return "\n".join(lines) + "\n"
