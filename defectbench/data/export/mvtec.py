"""MVTec-AD-style folders: `<product>/{train/good, test/good, test/<type>, ground_truth/<type>}`.

Defective images go to `test/<type>` whatever their split (which `files.csv` keeps): nothing but normal images stands in
`train/good`. There is one mask per defective image and none for normal ones, because readers pair them by position.
The layout has no validation folder: normal images of `val` go to `train/good`, which is where users of MVTec AD take their
validation images from.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from defectbench.config import UserError
from defectbench.data.export.items import GOOD, Item, Writer, folder_name, with_masks

CAP = 1000  # several loaders read a number from the first three characters of a name


def write(writer: Writer, items: list[Item]) -> dict[str, Any]:
    """Write the layout; see the module.

    Returns:
        the rules, for `export.json`.

    Raises:
        UserError: two types or products give one folder name.
    """
    folders: dict[tuple[str, str], list[Item]] = defaultdict(list)
    validation = 0
    for item in with_masks(writer, items, "a type's folder needs as many masks as images"):
        product = folder_name(item.product)
        if item.defects:
            place = f"test/{folder_name(item.label)}"
        else:
            place = f"{'test' if item.split == 'test' else 'train'}/{GOOD}"
            validation += item.split == "val"
        folders[product, place].append(item)
    if validation:
        writer.note(
            f"{validation} normal image(s) of the validation split stand in train/good, for the layout has no validation "
            "folder; files.csv keeps their split."
        )
    _no_clash([product for product, _ in folders])
    _no_clash([f"{product}/{place}" for product, place in folders])
    for (product, place), held in sorted(folders.items()):
        _folder(writer, product, place, held)
    return {
        "masks": "0 and 255, <stem>_mask.png, one per defective image",
        "split": "normal images of val in train, all defective images in test",
    }


def _folder(writer: Writer, product: str, place: str, items: list[Item]) -> None:
    width = max(3, len(str(len(items) - 1)))  # so that sorting by text is sorting by number
    if len(items) > CAP:
        writer.note(
            f"{product}/{place} holds {len(items)} images: names have {width} digits, and loaders that read the number "
            "from the first three characters will confuse them."
        )
    empty = 0
    for number, item in enumerate(items):
        stem = f"{number:0{width}d}"
        size = writer.image(item, f"{product}/{place}/{stem}.png")
        if size is None or not item.defects:
            continue
        mask = writer.read_mask(item)
        empty += not mask.any()
        folder = place.replace("test/", "ground_truth/", 1)
        writer.mask(mask, f"{product}/{folder}/{stem}_mask.png")
    if empty:
        writer.note(
            f"{product}/{place}: {empty} defective image(s) have an empty mask; written as such."
        )


def _no_clash(places: list[str]) -> None:
    seen: dict[str, str] = {}
    for place in sorted(set(places)):
        other = seen.setdefault(place.casefold(), place)
        if other != place:
            raise UserError(
                f"{other} and {place} differ only by case; rename one, some systems hold them for one folder"
            )
