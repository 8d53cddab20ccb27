"""SDI, Surface Defect Inspection (Bosch): three products with scratches and spots; no masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from defectbench.config import UserError
from defectbench.data.files.copies import group_copies
from defectbench.data.files.decoding import is_lfs_pointer
from defectbench.data.files.scanning import GOOD, Scan, child
from defectbench.data.licence import Licence
from defectbench.data.manifest import Manifest
from defectbench.datasets.base import Dataset

PRODUCTS: Final = ("A", "B", "C")
TYPES: Final = ("scratches", "spots")
SPLITS: Final = ("train", "val", "test")
ARCHIVE: Final = "SDI_DATASET_v1.zip"
AGAIN: Final = "get the dataset again"
_NORMAL: Final = {"A": 6184, "B": 6199, "C": 4760}
"""As measured in the archive; its documentation says 6,250 each."""
_DEFECTIVE: Final = {"A": (340, 108), "B": (167, 670), "C": (121, 258)}
"""Scratches and spots; of each, 50 are held out, 15 for validation and 35 for testing."""


def _counts() -> dict[str, int]:
    counts = {f"{product}//{GOOD}": number for product, number in _NORMAL.items()}
    for product, numbers in _DEFECTIVE.items():
        for kind, number in zip(TYPES, numbers, strict=True):
            for split, part in zip(SPLITS, (number - 50, 15, 35), strict=True):
                counts[f"{product}/{split}/{kind}"] = part
    return counts


class SDI(Dataset):
    """SDI as in `SDI_DATASET_v1.zip`: defects come in the publisher's split, normal images without one.

    Defective images with equal bytes share a group: product A has five that are scratches in one copy and spots in the
    other, some across splits.
    """

    folder = "sdi"
    revision = 2
    title = "SDI"
    citation = (
        "Wang, Hoppe, Monari, Huber: Defect Transfer GAN: Diverse Defect Synthesis for Data Augmentation, BMVC 2022, "
        "arXiv:2302.08366; https://github.com/boschresearch/The-Surface-Defect-Inspection-Dataset"
    )
    licence = Licence("CC BY-SA 4.0", commercial=True)
    mask_threshold = 128
    mask_rule = "the dataset has no masks"
    obtain = (
        "defectbench data fetch sdi; or download SDI_DATASET_v1.zip through Git LFS from "
        "https://github.com/boschresearch/The-Surface-Defect-Inspection-Dataset (1,647,097,112 bytes, SHA-256 "
        "d33ea340151cdf909f3807a37e00d335c66eb8960b0c2eb568fd9fc75d96fa7c) and unpack it into sdi/."
    )
    products = PRODUCTS
    defects = dict.fromkeys(PRODUCTS, TYPES)
    counts = _counts()

    expected = "the folders A_ok, A_nok, B_ok, ..."
    unit = "product"

    def scan(self, root: Path, products: Sequence[str] | None = None) -> Manifest:
        """Read the products that are there; see the base class.

        Raises:
            UserErrors: every offending file or folder.
            UserError: `root` does not have this layout, e.g. a Git LFS pointer stands there, or a product is unknown.
        """
        _refuse_archive(root)
        return super().scan(root, products)

    def is_root(self, folder: Path) -> bool:
        """Say whether a folder holds any product."""
        return any(self.locate(folder, product) for product in PRODUCTS)

    def locate(self, root: Path, product: str) -> Path | None:
        """A product's images lie in two folders of `root`: normal ones in one, defective ones in the other."""
        return root if child(root, f"{product}_ok") or child(root, f"{product}_nok") else None

    def read(self, scan: Scan, folder: Path, product: str) -> None:
        """Read one product."""
        normal, defective = (
            child(folder, f"{product}_{kind}") or folder / f"{product}_{kind}"
            for kind in ("ok", "nok")
        )
        for image in scan.files(normal, empty=AGAIN).values():
            scan.add(id=f"{normal.name}/{image.stem}", image=image, product=product)
        for split in SPLITS:
            for kind in TYPES:
                place = child(defective, split) or defective / split
                place = child(place, kind) or place / kind
                for image in scan.files(place, empty=AGAIN).values():
                    scan.add(
                        id=f"{defective.name}/{split}/{kind}/{image.stem}",
                        image=image,
                        product=product,
                        defects=(kind,),
                        split=split,
                    )

    def complete(self, scan: Scan) -> None:
        """Put defective images with equal bytes into one group."""
        group_copies(scan, [row for row in scan.rows if row.defects])


def _refuse_archive(root: Path) -> None:
    """Tell those who have the archive, or what Git leaves in its place without LFS, what to do."""
    archive = root if root.is_file() else child(root, ARCHIVE)
    if archive is None or any(child(root, f"{p}_ok") for p in PRODUCTS):
        return
    if is_lfs_pointer(archive):
        raise UserError(
            f"{archive}: is a Git LFS pointer, not the archive; run `git lfs pull` in that checkout, or "
            "`defectbench data fetch sdi`"
        )
    if root.is_file() or child(root, "SDI_DATASET_v1") is None:
        raise UserError(f"{archive}: unpack this archive and give the folder SDI_DATASET_v1")
