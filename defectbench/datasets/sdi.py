"""SDI, Surface Defect Inspection (Bosch): three products with scratches and spots; no masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from defectbench.config import UserError
from defectbench.data.files.decoding import is_lfs_pointer
from defectbench.data.files.digests import file_digest
from defectbench.data.files.scanning import GOOD, Scan, child, find_root, wanted
from defectbench.data.licence import Licence
from defectbench.data.manifest import Manifest
from defectbench.datasets.base import Dataset

PRODUCTS: Final = ("A", "B", "C")
TYPES: Final = ("scratches", "spots")
SPLITS: Final = ("train", "val", "test")
ARCHIVE: Final = "SDI_DATASET_v1.zip"
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

    def scan(self, root: Path, products: Sequence[str] | None = None) -> Manifest:
        """Read the products that are there.

        Args:
            root: folder that holds `A_ok/`, `A_nok/` and so on, or the one folder around it.
            products: which of A, B and C; all that are there by default.

        Raises:
            UserErrors: every offending file or folder.
            UserError: `root` does not have this layout, e.g. a Git LFS pointer stands there, or a product is unknown.
        """
        names = wanted(self.products, products, self.title)
        _refuse_archive(root)
        root = find_root(
            root,
            lambda folder: any(child(folder, f"{p}_{k}") for p in PRODUCTS for k in ("ok", "nok")),
            "the folders A_ok, A_nok, B_ok, ...",
        )
        scan = Scan(self.title, root)
        found = []
        for product in names:
            normal, defective = child(root, f"{product}_ok"), child(root, f"{product}_nok")
            if normal is None and defective is None and products is None:
                continue
            found.append(product)
            _read_normal(scan, normal or root / f"{product}_ok", product)
            _read_defective(scan, defective or root / f"{product}_nok", product)
        _group_copies(scan)
        return scan.finish(self.folder, TYPES, found, self.mask_threshold)


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


def _read_normal(scan: Scan, folder: Path, product: str) -> None:
    images = scan.files(folder)
    if folder.is_dir() and not images:
        scan.problem(folder, "holds no image; get the dataset again")
    for image in images.values():
        scan.add(id=f"{folder.name}/{image.stem}", image=image, product=product)


def _read_defective(scan: Scan, folder: Path, product: str) -> None:
    for split in SPLITS:
        for kind in TYPES:
            place = child(folder, split) or folder / split
            place = child(place, kind) or place / kind
            images = scan.files(place)
            if place.is_dir() and not images:
                scan.problem(place, "holds no image; get the dataset again")
            for image in images.values():
                scan.add(
                    id=f"{folder.name}/{split}/{kind}/{image.stem}",
                    image=image,
                    product=product,
                    defects=(kind,),
                    split=split,
                )


def _group_copies(scan: Scan) -> None:
    """Put defective images with equal bytes into one group; only files of equal length are hashed."""
    by_size: dict[int, list[dict[str, object]]] = defaultdict(list)
    for row in scan.rows:
        if row["defects"]:
            by_size[(scan.root / str(row["image"])).stat().st_size].append(row)
    for rows in by_size.values():
        groups: dict[str, object] = {}
        for row in rows if len(rows) > 1 else ():
            digest = file_digest(scan.root / str(row["image"]))
            row["group"] = groups.setdefault(digest, row["group"])
