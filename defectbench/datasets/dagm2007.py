"""DAGM 2007: ten synthetic textures; the class is texture and defect type at once, masks are coarse ellipses."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from defectbench.data.files.listing import key
from defectbench.data.files.scanning import GOOD, Scan, child
from defectbench.data.licence import Licence
from defectbench.datasets.base import Dataset

DEFECT: Final = "defect"
PRODUCTS: Final = tuple(f"Class{k}" for k in range(1, 11))
SPLITS: Final = ("Train", "Test")
_DEFECTIVE: Final = {
    "Class1": (79, 71),
    "Class2": (66, 84),
    "Class3": (66, 84),
    "Class4": (82, 68),
    "Class5": (70, 80),
    "Class6": (83, 67),
    **{f"Class{k}": (150, 150) for k in range(7, 11)},
}
"""Defective images in Train and Test; a split has 575 images in classes 1 to 6 and 1,150 in classes 7 to 10."""


def _counts() -> dict[str, int]:
    counts = {}
    for product, defective in _DEFECTIVE.items():
        total = 575 if product in PRODUCTS[:6] else 1150
        for split, number in zip(SPLITS, defective, strict=True):
            counts[f"{product}/{split.lower()}/{GOOD}"] = total - number
            counts[f"{product}/{split.lower()}/{DEFECT}"] = number
    return counts


class DAGM2007(Dataset):
    """DAGM 2007 as downloaded per class (folders may be doubled, `Class1/Class1`) or in one pack; classes may be missing.

    Class1 to Class6 were the competition's development sets, Class7 to Class10 its competition sets.
    """

    folder = "dagm2007"
    title = "DAGM 2007"
    citation = (
        "Wieler, Hahn, Hamprecht: Weakly Supervised Learning for Industrial Optical Inspection, DAGM symposium 2007, "
        "https://hci.iwr.uni-heidelberg.de/content/weakly-supervised-learning-industrial-optical-inspection"
    )
    licence = Licence("none stated: publicly available, can be downloaded", commercial=None)
    mask_threshold = 1
    mask_rule = (
        "value > 0. Weak labels: a filled ellipse around the defect, not its outline; do not report overlap with it as the "
        "quality of a segmentation"
    )
    obtain = (
        "Download Class1.zip to Class10.zip from "
        "https://hci.iwr.uni-heidelberg.de/content/weakly-supervised-learning-industrial-optical-inspection or its mirror "
        "https://zenodo.org/records/8086136 and unpack each into dagm2007/."
    )
    products = PRODUCTS
    defects = dict.fromkeys(PRODUCTS, (DEFECT,))
    counts = _counts()

    expected = "the class folders Class1, ..., Class10"
    unit = "class"

    def read(self, scan: Scan, folder: Path, product: str) -> None:
        """Read one class.

        An image is defective if `Label/<stem>_label.PNG` exists; where `Labels.txt` says otherwise, that is a problem.
        """
        folder = child(folder, product) or folder
        for split in SPLITS:
            _read_split(scan, child(folder, split) or folder / split, product, split.lower())


def read_labels(path: Path) -> dict[int, bool]:
    """Read `Labels.txt`: whether each image is defective, by its number.

    The first line holds the class number alone; then follow `index flag image x mask`, separated by tabs. Line ends may
    be CRLF; numbers may be padded.

    Raises:
        ValueError: a line does not have this form; the message gives its number.
    """
    flags: dict[int, bool] = {}
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        fields = line.split("\t")
        if not line.strip() or (number == 1 and len(fields) == 1):
            continue
        if (
            len(fields) < 3
            or not fields[0].strip().isdigit()
            or fields[1].strip() not in {"0", "1"}
        ):
            raise ValueError(f"line {number} is {line[:60]!r}; wants index, 0 or 1, image, x, mask")
        flags[int(fields[0])] = fields[1].strip() == "1"
    return flags


def _read_split(scan: Scan, folder: Path, product: str, split: str) -> None:
    images = scan.files(folder, empty="get this class again")
    label = child(folder, "Label")
    masks = scan.files(label, ending="_label") if label else {}
    flags = _flags(scan, child(label, "Labels.txt") if label else None)
    for stem, image in images.items():
        mask = masks.get(stem)
        said = flags.get(int(image.stem)) if image.stem.isdigit() else None
        if said is True and mask is None:
            scan.problem(
                image,
                f"is defective by Labels.txt but has no mask; expected {folder / 'Label' / (image.stem + '_label.PNG')}",
            )
            continue
        if said is False and mask is not None:
            scan.problem(
                mask, f"is a mask, but Labels.txt says that {image.name} is normal; remove one"
            )
        scan.add(
            id=f"{product}/{split}/{image.stem}",
            image=image,
            mask=mask,
            product=product,
            defects=(DEFECT,) if mask else (),
            split=split,
        )
    for stem in masks.keys() - images.keys():
        scan.problem(masks[stem], f"has no image of its stem in {folder}; get this class again")


def _flags(scan: Scan, path: Path | None) -> dict[int, bool]:
    """Read `Labels.txt` if there is one; repackaged copies lack it, and the masks are enough."""
    if path is None or key(path.name) != "labels.txt":
        return {}
    try:
        return read_labels(path)
    except (ValueError, OSError) as error:
        scan.problem(path, str(error))
        return {}
