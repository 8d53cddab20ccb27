"""X-SDD: 1,360 photographs of hot-rolled steel strip in seven folders, one per defect; no normal images, no masks.

Nine photographs of `red iron` are there twice under another number; others overlap, or show one print of the roll again
(found by `data.files.overlaps`, and confirmed by eye): 30 groups of 2 to 12 images in all. All PNG files are of
`finishing roll printing`, where 61 of 203 are JPEG as everywhere else: a classifier may learn JPEG's traces instead of
the defect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from defectbench.data.files.copies import group_copies
from defectbench.data.files.scanning import Scan, child, find_root, is_standin, wanted
from defectbench.data.licence import Licence
from defectbench.data.manifest import Manifest
from defectbench.datasets.base import Dataset

PRODUCT: Final = "hot_rolled_strip"
COUNTS: Final = {
    "finishing roll printing": 203,
    "iron sheet ash": 122,
    "oxide scale of plate system": 63,
    "oxide scale of temperature system": 203,
    "red iron": 397,
    "slag inclusion": 238,
    "surface scratch": 134,
}

SAME: Final = (
    (1004, 1007),
    (1009, 1081),
    (1027, 1090),
    (1092, 1120),
    (1106, 1234),
    (2225, 2327),
    (2286, 2287),
    (3052, 3053),
    (3090, 3099),
    (3091, 3093),
    (4039, 4040),
    (4058, 4059),
    (4131, 4133),
    (6007, 6008),
    (6039, 6040),
    (6045, 6052, 6053, 6062, 6063, 6070, 6071, 6072, 6073, 6089, 6090, 6203),
    (6048, 6068),
    (6051, 6081, 6082, 6086),
    (6058, 6126, 6136),
    (6099, 6134),
    (6160, 6180, 6183, 6185, 6186, 6188, 6189),
)
"""Published images that overlap or show one place; numbers are unique over all folders."""


class XSDD(Dataset):
    """X-SDD as in the authors' repository: folders with blanks in their names below `X-SDD/datas`."""

    folder = "x_sdd"
    title = "X-SDD"
    citation = (
        "Feng, Gao, Luo: X-SDD: A New Benchmark for Hot Rolled Steel Strip Surface Defects Detection, Symmetry 13(4), "
        "2021, 706, doi:10.3390/sym13040706"
    )
    licence = Licence("Apache-2.0", commercial=True)
    mask_threshold = 128
    mask_rule = "the dataset has no masks"
    obtain = "Clone https://github.com/Fighter20092392/X-SDD-A-New-benchmark into x_sdd/, so that it holds X-SDD/datas/."
    products = (PRODUCT,)
    defects: ClassVar[Mapping[str, tuple[str, ...]]] = {PRODUCT: tuple(COUNTS)}
    counts: ClassVar[Mapping[str, int]] = {f"{PRODUCT}//{name}": n for name, n in COUNTS.items()}

    def scan(self, root: Path, products: Sequence[str] | None = None) -> Manifest:
        """Read the seven folders; there is no published split.

        Args:
            root: folder that holds `datas/`, that folder itself, or the one folder around either.
            products: `hot_rolled_strip` is the only one.

        Raises:
            UserErrors: every offending file or folder.
            UserError: `root` does not have this layout.
        """
        wanted(self.products, products, self.title)
        root = find_root(
            root,
            lambda folder: any(child(child(folder, "datas") or folder, name) for name in COUNTS),
            "the folder X-SDD/datas with finishing roll printing, ..., surface scratch in it",
        )
        scan = Scan(self.title, root)
        inside = child(root, "datas") or root
        same = () if is_standin(root) else SAME
        first = {str(number): str(group[0]) for group in same for number in group}
        for name in COUNTS:
            folder = child(inside, name)
            if folder is None:
                scan.problem(inside / name, "no such folder; get the dataset again")
                continue
            images = scan.files(folder)
            if not images:
                scan.problem(folder, "holds no image; get the dataset again")
            for image in images.values():
                scan.add(
                    id=f"{name}/{image.stem}",
                    image=image,
                    product=PRODUCT,
                    defects=(name,),
                    group=f"{name}/{first.get(image.stem, image.stem)}",
                )
        group_copies(scan, scan.rows)
        return scan.finish(self.folder, tuple(COUNTS), self.products, self.mask_threshold)
