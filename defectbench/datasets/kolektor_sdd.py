"""KolektorSDD: commutators in eight views each; every view has a mask, all zero when normal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from defectbench.data.files.decoding import BadFile, decode_mask
from defectbench.data.files.scanning import GOOD, Scan, subfolders
from defectbench.data.licence import Licence
from defectbench.datasets.base import Dataset
from defectbench.imaging.components import boxes

PRODUCT: Final = "commutator"
DEFECT: Final = "defect"
ITEM: Final = re.compile(r"kos\d+", re.IGNORECASE)


class KolektorSDD(Dataset):
    """KolektorSDD as in `KolektorSDD.zip` (fine masks) or `KolektorSDD-boxes.zip` (the same images, masks of rectangles).

    Which of the two was read stands in the manifest's column `release`, `fine` or `boxes`. The views of one item share a
    group. There is no split: the publishers' three folds are by item, in pickles that are never opened; use `k_fold`.
    Departs: the publishers' loader leaves out `kos21/Part7` without saying why; here it is kept.
    """

    folder = "kolektor_sdd"
    title = "KolektorSDD"
    citation = (
        "Tabernik, Šela, Skvarč, Skočaj: Segmentation-based deep-learning approach for surface-defect detection, Journal "
        "of Intelligent Manufacturing 31, 2020, doi:10.1007/s10845-019-01476-x"
    )
    licence = Licence("CC BY-NC-SA 4.0", commercial=False)
    mask_threshold = 1
    mask_rule = "value > 0; an image is defective if its mask has such a pixel"
    obtain = (
        "Accept the licence at https://www.vicos.si/resources/kolektorsdd/, download KolektorSDD.zip (SHA-256 "
        "65dc621693418585de9c4467d1340ea7958a6181816f0dc2883a1e8b61f9d4dc) or KolektorSDD-boxes.zip (MD5 "
        "4e559e7c4be5ab5001db8243c1b125df) and unpack it into kolektor_sdd/."
    )
    products = (PRODUCT,)
    defects: ClassVar[Mapping[str, tuple[str, ...]]] = {PRODUCT: (DEFECT,)}
    counts: ClassVar[Mapping[str, int]] = {f"{PRODUCT}//{GOOD}": 347, f"{PRODUCT}//{DEFECT}": 52}

    expected = "the folders kos01, ..., kos50"
    revision = 2

    def is_root(self, folder: Path) -> bool:
        """Say whether a folder holds an item."""
        return bool(_items(folder))

    def read(self, scan: Scan, folder: Path, product: str) -> None:
        """Read the items that are there; one has seven parts. Reads every mask: only its pixels say what is defective."""
        for item in _items(folder):
            pairs = scan.pairs(
                scan.files(
                    item,
                    {".jpg", ".jpeg", ".png"},
                    stems="(?!.*_label$).*",
                    empty="get this item again",
                ),
                scan.files(item, {".bmp", ".png"}, ending="_label"),
                lambda image: str(image.with_name(f"{image.stem}_label.bmp")),
                "has no image of its name; get this item again",
            )
            for image, mask in pairs:
                empty = scan.is_empty(mask, self.mask_threshold)
                scan.add(
                    id=f"{item.name}/{image.stem}",
                    image=image,
                    mask=mask,
                    product=product,
                    defects=() if empty else (DEFECT,),
                    group=item.name,
                )

    def complete(self, scan: Scan) -> None:
        """Say which of the two releases this is."""
        release = "boxes" if _only_rectangles(scan) else "fine"
        for row in scan.rows:
            row.extra["release"] = release


def _items(root: Path) -> list[Path]:
    return [folder for folder in subfolders(root) if ITEM.fullmatch(folder.name)]


def _only_rectangles(scan: Scan) -> bool:
    """Say whether every region of every mask fills its box, as in the release with boxes."""
    defective = [row for row in scan.rows if row.defects]
    for row in defective:
        try:
            mask = decode_mask(scan.root / row.mask, KolektorSDD.mask_threshold)
        except BadFile:
            continue  # noted already
        found = boxes(mask.astype(np.bool_))
        if any(box.area != (box.x1 - box.x0) * (box.y1 - box.y0) for box in found):
            return False
    return bool(defective)
