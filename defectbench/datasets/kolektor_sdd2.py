"""KolektorSDD2: one coloured surface, one class of defects; every image has a mask, all zero when normal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from defectbench.data.files.scanning import GOOD, Scan, child, find_root, wanted
from defectbench.data.licence import Licence
from defectbench.data.manifest import Manifest
from defectbench.datasets.base import Dataset

PRODUCT: Final = "ksdd2"
DEFECT: Final = "defect"
IMAGE: Final = re.compile(r"\d+")


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

    def scan(self, root: Path, products: Sequence[str] | None = None) -> Manifest:
        """Read `train/` and `test/`; reads every mask, for only its pixels say whether an image is defective.

        Args:
            root: folder that holds `train/` and `test/`, or the one folder around it.
            products: only `ksdd2`.

        Raises:
            UserErrors: every offending file or folder.
            UserError: `root` does not have this layout, or a product is unknown.
        """
        wanted(self.products, products, self.title)
        root = find_root(
            root,
            lambda folder: all(child(folder, split) is not None for split in ("train", "test")),
            "the folders train and test",
        )
        scan = Scan(self.title, root)
        for split in ("train", "test"):
            self._read_split(scan, child(root, split) or root / split, split)
        return scan.finish(self.folder, (DEFECT,), self.products, self.mask_threshold)

    def _read_split(self, scan: Scan, folder: Path, split: str) -> None:
        listed = scan.files(folder, {".png"})
        images = {stem: path for stem, path in listed.items() if IMAGE.fullmatch(stem)}
        masks = {
            stem.removesuffix("_gt"): path
            for stem, path in listed.items()
            if stem.endswith("_gt") and IMAGE.fullmatch(stem.removesuffix("_gt"))
        }
        if folder.is_dir() and not images:
            scan.problem(folder, "holds no image; get the dataset again")
        for stem, image in images.items():
            mask = masks.get(stem)
            if mask is None:
                scan.problem(image, f"has no mask; expected {folder / (image.stem + '_GT.png')}")
                continue
            empty = scan.is_empty(mask, self.mask_threshold)
            scan.add(
                id=f"{split}/{image.stem}",
                image=image,
                mask=mask,
                product=PRODUCT,
                defects=() if empty else (DEFECT,),
                split=split,
            )
        for stem in masks.keys() - images.keys():
            scan.problem(masks[stem], "has no image of its number; get the dataset again")
