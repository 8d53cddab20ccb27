"""Magnetic Tile Defects: 1,344 photographs in six folders, one per label, of tiles that were photographed several times.

Names say `expE_num_N`: exposure E of frame N. A tile was photographed under up to six exposures in a row, so images whose
frame numbers follow each other closely show one tile, or two that lay side by side; some tiles came back later.
Measured on the published images: within a recording neighbours are mostly 10 to 40 frames apart, between recordings 200 to
7,000. Five recordings are broken by gaps of 202 to 356 frames, and five tiles come back after 500 to 12,000, as the
correlation of all pairs of images shows and a look at them confirms; other pairs that correlate (up to 0.68) are different
tiles from one grinder. So frames at most `GAP` apart are one group, and `RETURNS` joins what came back: 161 groups of 5 to
32 images (Blowhole in 19 of them, Break 16, Crack 9, Fray 7, Uneven 17). That joins some different tiles, which costs
little, and leaves no tile in two groups. Without groups a random split of 60 to 40 has over 200 near-duplicate pairs on
two sides; with them, none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from defectbench.data.files.groups import join, runs
from defectbench.data.files.scanning import GOOD, Scan, child, find_root, wanted
from defectbench.data.licence import Licence
from defectbench.data.manifest import Manifest
from defectbench.datasets.base import Dataset

PRODUCT: Final = "magnetic_tile"
FREE: Final = "Free"
NAME: Final = re.compile(r"exp(\d+)_num_(\d+)", re.IGNORECASE)
GAP: Final = 400
"""Frames; twice what lies within a recording, and less than what usually lies between two."""
RETURNS: Final = (
    (5907, 13526),
    (8676, 9196),
    (9196, 10334),
    (53011, 65001),
    (85602, 86828),
    (86828, 88149),
    (355636, 358102),
)
"""Frames of one tile that are more than `GAP` apart: found by correlating all pairs of images, and confirmed by eye."""
COUNTS: Final = {"Blowhole": 115, "Break": 85, "Crack": 57, "Fray": 32, FREE: 952, "Uneven": 103}


class MTD(Dataset):
    """Magnetic Tile Defects as in the authors' repository."""

    folder = "mtd"
    title = "Magnetic Tile Defects"
    citation = (
        "Huang, Qiu, Yuan: Surface defect saliency of magnetic tile, The Visual Computer 36, 2020, "
        "doi:10.1007/s00371-018-1588-5"
    )
    licence = Licence(
        "none stated (the authors welcome its use and ask to be cited)", commercial=None
    )
    mask_threshold = 128
    mask_rule = (
        "value >= 128: edges carry values such as 1, 9 and 13, which >= 1 would add to the defect"
    )
    obtain = (
        "Run `defectbench data fetch mtd`, or clone https://github.com/abin24/Magnetic-tile-defect-datasets. "
        "(the dot belongs to the name) and rename it mtd/."
    )
    products = (PRODUCT,)
    defects: ClassVar[Mapping[str, tuple[str, ...]]] = {
        PRODUCT: tuple(n for n in COUNTS if n != FREE)
    }
    counts: ClassVar[Mapping[str, int]] = {
        f"{PRODUCT}//{GOOD if name == FREE else name}": n for name, n in COUNTS.items()
    }

    def scan(self, root: Path, products: Sequence[str] | None = None) -> Manifest:
        """Read the folders `MT_*`; there is no published split.

        The label is the folder's. Masks of normal images are there, black, and are not used; defective images whose
        mask is black (four of Uneven) stay defective and say so in the column `mask_empty`.

        Args:
            root: folder that holds `MT_Blowhole/ ... MT_Uneven/`, or the one folder around it.
            products: `magnetic_tile` is the only one.

        Raises:
            UserErrors: every offending file or folder.
            UserError: `root` does not have this layout.
        """
        wanted(self.products, products, self.title)
        root = find_root(
            root,
            lambda folder: any(child(folder, f"MT_{name}") is not None for name in COUNTS),
            "the folders MT_Blowhole, MT_Break, ..., MT_Uneven",
        )
        scan = Scan(self.title, root)
        found: list[tuple[str, Path, Path]] = []
        for name in COUNTS:
            folder = child(root, f"MT_{name}")
            inner = child(folder, "Imgs") if folder is not None else None
            if inner is None:
                scan.problem(root / f"MT_{name}" / "Imgs", "no such folder; get the dataset again")
                continue
            found += [(name, image, mask) for image, mask in _pairs(scan, inner)]
        frames = [int(match[2]) for _, image, _ in found if (match := NAME.fullmatch(image.stem))]
        group = join(runs(frames, GAP), RETURNS)
        for name, image, mask in found:
            match = NAME.fullmatch(image.stem)
            defective = name != FREE
            sound = scan.agree(image, mask)
            scan.add(
                id=f"MT_{name}/{image.stem}",
                image=image,
                mask=mask,
                product=PRODUCT,
                defects=(name,) if defective else (),
                group=f"tile_{group[int(match[2])]:06d}" if match else "",
                mask_empty=defective and sound and scan.is_empty(mask, self.mask_threshold),
            )
        return scan.finish(self.folder, self.defects[PRODUCT], self.products, self.mask_threshold)


def _pairs(scan: Scan, folder: Path) -> list[tuple[Path, Path]]:
    """Pair `X.jpg` with `X.png` by stem."""
    images = scan.files(folder, {".jpg", ".jpeg"})
    masks = scan.files(folder, {".png"})
    if not images:
        scan.problem(folder, "holds no image; get the dataset again")
    for stem in images.keys() - masks.keys():
        scan.problem(images[stem], f"has no mask; expected {images[stem].stem}.png beside it")
    for stem in masks.keys() - images.keys():
        scan.problem(masks[stem], f"has no image; expected {masks[stem].stem}.jpg beside it")
    return [(images[stem], masks[stem]) for stem in images if stem in masks]
