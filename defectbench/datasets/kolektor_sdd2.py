"""KolektorSDD2: one coloured surface, one class of defects; every image has a mask, all zero when normal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from defectbench.data.files.scanning import GOOD, Scan, child
from defectbench.data.licence import Licence
from defectbench.datasets.base import Dataset

PRODUCT: Final = "ksdd2"
DEFECT: Final = "defect"
SPLITS: Final = ("train", "test")


class KolektorSDD2(Dataset):
    """KolektorSDD2 as in `KolektorSDD2.zip`. The split pickles (`*.pyb`) in it are never opened.

    Those pickles only say how many positive images keep their pixel mask in the paper's weakly supervised settings.
    """

    folder = "kolektor_sdd2"
    title = "KolektorSDD2"
    citation = (
        "Božič, Tabernik, Skočaj: Mixed supervision for surface-defect detection: from weakly to fully supervised "
        "learning, Computers in Industry 129, 2021, doi:10.1016/j.compind.2021.103459"
    )
    licence = Licence("CC BY-NC-SA 4.0", commercial=False)
    mask_threshold = 1
    mask_rule = "value > 0: masks are 0 or 255; an image is defective if its mask has such a pixel"
    obtain = (
        "Accept the licence at https://www.vicos.si/resources/kolektorsdd2/, download KolektorSDD2.zip (853,126,555 bytes, "
        "MD5 1ed0f628122776ace4965afa30dfe316; SHA-256 by a third party "
        "edcdb486809b24f1d17b785e30c52fafc5999554dd5fe18ddf77b61ceb6f36a8) and unpack it into kolektor_sdd2/."
    )
    products = (PRODUCT,)
    defects: ClassVar[Mapping[str, tuple[str, ...]]] = {PRODUCT: (DEFECT,)}
    counts: ClassVar[Mapping[str, int]] = {
        f"{PRODUCT}/train/{GOOD}": 2085,
        f"{PRODUCT}/train/{DEFECT}": 246,
        f"{PRODUCT}/test/{GOOD}": 894,
        f"{PRODUCT}/test/{DEFECT}": 110,
    }

    expected = "the folders train and test"

    def is_root(self, folder: Path) -> bool:
        """Say whether a folder holds both splits."""
        return all(child(folder, split) is not None for split in SPLITS)

    def read(self, scan: Scan, folder: Path, product: str) -> None:
        """Read `train/` and `test/`; reads every mask, for only its pixels say whether an image is defective."""
        for split in SPLITS:
            place = child(folder, split) or folder / split
            pairs = scan.pairs(
                scan.files(place, {".png"}, stems=r"\d+", empty="get the dataset again"),
                scan.files(place, {".png"}, stems=r"\d+", ending="_gt"),
                lambda image: str(image.with_name(f"{image.stem}_GT.png")),
                "has no image of its number; get the dataset again",
            )
            for image, mask in pairs:
                empty = scan.is_empty(mask, self.mask_threshold)
                scan.add(
                    id=f"{split}/{image.stem}",
                    image=image,
                    mask=mask,
                    product=product,
                    defects=() if empty else (DEFECT,),
                    split=split,
                )
