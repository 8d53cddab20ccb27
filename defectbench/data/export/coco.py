"""COCO JSON: `annotations/instances_<split>.json` and `images/<split>/*.png`.

One annotation per 8-connected component of the mask, ids from 1. Regions are run lengths by default, which keep holes
and are exact (iscrowd 0); polygons run along pixel edges. Normal images stand in `images` without annotations.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from defectbench.data.export.items import Item, Writer, class_names, with_masks
from defectbench.data.export.outlines import outlines
from defectbench.imaging.components import boxes, encode_rle, label_components

RULE = "one annotation per 8-connected component of the mask"


def write(writer: Writer, items: list[Item]) -> dict[str, Any]:
    """Write one JSON file per split; see the module.

    Returns:
        the rules, for `export.json`.
    """
    options = writer.options
    items = with_masks(writer, items, "annotations come from masks")
    classes = class_names(writer.manifest, items, options.classes)
    categories = [
        {"id": number, "name": name, "supercategory": "defect"}
        for number, name in enumerate(classes, start=1)
    ]
    rules = {
        "rule": RULE,
        "min_area": options.min_area,
        "segmentation": "polygons" if options.polygons else "rle",
        "holes": options.holes if options.polygons else "kept",
    }
    empty = 0
    for split in sorted({item.split for item in items}):
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for item in (item for item in items if item.split == split):
            found = (
                regions(
                    writer.read_mask(item).astype(bool),
                    options.min_area,
                    polygons=options.polygons,
                    fill=options.holes == "fill",
                )
                if item.defects
                else []
            )
            if item.defects and not found:
                empty += 1
                continue
            size = writer.image(item, f"images/{split}/{item.name}.png")
            height, width = size or (0, 0)
            images.append(
                {
                    "id": len(images) + 1,
                    "file_name": f"{item.name}.png",
                    "width": width,
                    "height": height,
                }
            )
            annotations += [
                {
                    "id": number,
                    "image_id": len(images),
                    "category_id": classes.index(item.label) + 1,
                    "iscrowd": 0,
                    **region,
                }
                for number, region in enumerate(found, start=len(annotations) + 1)
            ]
        if images:
            content = {
                "info": {"description": f"{writer.manifest.dataset}, {split}", **rules},
                "licenses": [{"id": 1, "name": writer.licence, "url": ""}],
                "images": images,
                "annotations": annotations,
                "categories": categories,
            }
            writer.text(f"annotations/instances_{split}.json", json.dumps(content) + "\n")
    if empty:
        writer.note(
            f"{empty} defective image(s) have no region of {options.min_area} pixel(s) in their mask and were left out, "
            "for without an annotation they would count as background."
        )
    return {**rules, "classes": classes}


def regions(
    mask: npt.NDArray[np.bool_], min_area: int = 1, *, polygons: bool = False, fill: bool = False
) -> list[dict[str, Any]]:
    """Describe each region of a mask: `bbox` (x, y, width, height in pixels), `area` in pixels, `segmentation`.

    Args:
        mask: (H, W).
        min_area: pixels of the smallest region.
        polygons: write polygons instead of run lengths.
        fill: count holes as filled in polygons; else a bridge of no width leads to them.
    """
    labels, _ = label_components(mask)
    areas = np.bincount(labels.ravel())
    kept = [
        index
        for index, _ in enumerate(ndimage.find_objects(labels), start=1)
        if areas[index] >= min_area
    ]
    lines = outlines(mask, min_area, fill=fill) if polygons else []
    found = []
    for number, (index, box) in enumerate(zip(kept, boxes(mask, min_area), strict=True)):
        shape: Any
        if polygons:
            shape = [[float(value) for point in lines[number] for value in point]]
        else:
            shape = encode_rle(labels == index)
        found.append(
            {
                "bbox": [box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0],
                "area": box.area,
                "segmentation": shape,
            }
        )
    return found
