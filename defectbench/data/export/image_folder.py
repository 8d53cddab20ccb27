"""`<split>/<class>/<file>`, as torchvision's ImageFolder and Ultralytics' classification task read it.

Readers number classes by the sorted names of the folders that they find, and refuse empty folders, so a class that a split
lacks would shift the numbers: `classes.json` holds the order over all splits. One folder per image cannot say that an
image has several defects: they share a folder named `a+b`, and `labels.csv` holds one column per defect.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from defectbench.config import UserError
from defectbench.data.export.items import GOOD, JOIN, Item, Writer, folder_name


def write(writer: Writer, items: list[Item]) -> dict[str, Any]:
    """Write the layout; see the module.

    Returns:
        the rules, for `export.json`.

    Raises:
        UserError: two classes give one folder name.
    """
    folders = {item.label: folder_name(item.label) for item in items}
    if len({name.casefold() for name in folders.values()}) < len(folders):
        raise UserError(
            f"classes {', '.join(sorted(folders))} do not give as many folder names; rename some"
        )
    places = [f"{item.split}/{folders[item.label]}/{item.name}.png" for item in items]
    for item, place in zip(items, places, strict=True):
        writer.image(item, place)
    order = sorted(folders.values())
    writer.text("classes.json", json.dumps({"classes": order}, indent=1, ensure_ascii=False) + "\n")
    writer.text("labels.csv", _labels(writer, items, places))
    for split in sorted({item.split for item in items}):
        lacks = set(order) - {folders[item.label] for item in items if item.split == split}
        if lacks:
            writer.note(
                f"{split} holds no image of {', '.join(sorted(lacks))}: readers that number the folders they find will "
                "number them otherwise there; take the numbers from classes.json."
            )
    several = sum(len(item.defects) > 1 for item in items)
    if several:
        writer.note(
            f"{several} image(s) have several defects: their folder joins the names by {JOIN!r}; labels.csv holds one "
            "column per defect."
        )
    return {"classes": order, "normal": GOOD}


def _labels(writer: Writer, items: list[Item], places: list[str]) -> str:
    """Make a table of one row per image: file, split, product, and 0 or 1 per defect."""
    buffer = io.StringIO()
    rows = csv.writer(buffer, lineterminator="\n")
    defects = writer.manifest.defects
    rows.writerow(["file", "split", "product", *defects])
    for item, place in zip(items, places, strict=True):
        rows.writerow([place, item.split, item.product, *(int(d in item.defects) for d in defects)])
    return buffer.getvalue()
