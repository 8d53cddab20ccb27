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
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from defectbench.data.files.groups import join, runs
from defectbench.data.files.scanning import GOOD, Scan, child
from defectbench.data.licence import Licence
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

    expected = "the folders MT_Blowhole, MT_Break, ..., MT_Uneven"

    def is_root(self, folder: Path) -> bool:
        """Say whether a folder holds one of the labels' folders."""
        return any(child(folder, f"MT_{name}") is not None for name in COUNTS)

    def read(self, scan: Scan, folder: Path, product: str) -> None:
        """Read the folders `MT_*`; there is no published split.

        The label is the folder's. Masks of normal images are there, black, and are not used; defective images whose
        mask is black (four of Uneven) stay defective and say so in the column `mask_empty`.
        """
        found: list[tuple[str, Path, Path]] = []
        for name in COUNTS:
            place = child(folder, f"MT_{name}")
            inner = child(place, "Imgs") if place is not None else None
            if inner is None:
                scan.problem(
                    folder / f"MT_{name}" / "Imgs", "no such folder; get the dataset again"
                )
                continue
            pairs = scan.pairs(
                scan.files(inner, {".jpg", ".jpeg"}, empty="get the dataset again"),
                scan.files(inner, {".png"}),
                lambda image: f"{image.stem}.png beside it",
                "has no image; expected a .jpg of its stem beside it",
            )
            found += [(name, image, mask) for image, mask in pairs]
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
                product=product,
                defects=(name,) if defective else (),
                group=f"tile_{group[int(match[2])]:06d}" if match else "",
                mask_empty=defective and sound and scan.is_empty(mask, self.mask_threshold),
            )
