"""VisA: 12 objects; several anomaly classes per image, masks of class ids that look black."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np

from defectbench.config import UserError
from defectbench.data.files.decoding import Pixels, decode_mask_values
from defectbench.data.files.listing import key
from defectbench.data.files.scanning import GOOD, Scan, child
from defectbench.data.licence import Licence
from defectbench.datasets.base import Dataset

Setup = Literal["1cls", "2cls_fewshot", "2cls_highshot"]

CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    "candle": (
        "Chunk Of Wax Missing",
        "Damaged Corner of Packaging",
        "weird candle wick",
        "Different Colour Spot",
        "Extra Wax in Candle",
        "Foreign Particals on Candle",
        "Wax Melded out of the candle",
        "Other",
    ),
    "capsules": ("Bubble", "Discolor", "Scratch", "Leak", "Misshape"),
    "cashew": (
        "Burnt",
        "Corner or Edge Breakage",
        "Different Colour Spot",
        "Middle Breakage",
        "Small Holes",
        "Small Scratches",
        "Stuck Together",
        "Same Colour Spot",
        "Other",
    ),
    "chewinggum": (
        "Chunk of gum missing",
        "Corner Missing",
        "Scratches",
        "Similar Colour Spot",
        "Small Cracks",
        "Other",
    ),
    "fryum": (
        "Burnt",
        "Corner or Edge Breakage",
        "Different Colour Spot",
        "Fryum Stuck Together",
        "Middle Breakage",
        "Similar Colour Spot",
        "Small Scratches",
        "Other",
    ),
    "macaroni1": (
        "Chip Around Edge And Corner",
        "Different Colour Spot",
        "Middle Breakage",
        "Similar Colour Spot",
        "Small Cracks",
        "Small Scratches",
        "Other",
    ),
    "macaroni2": (
        "Breakage down the middle",
        "Color spot similar to the Object",
        "Different Color spot",
        "Small chip around edge",
        "Small Cracks",
        "Small Scratches",
        "Other",
    ),
    "pcb1": ("Bent", "Melt", "Scratch", "Missing"),
    "pcb2": ("Bent", "Melt", "Scratch", "Missing"),
    "pcb3": ("Bent", "Melt", "Scratch", "Missing"),
    "pcb4": ("Burnt", "Scratch", "Missing", "Damage", "Extra", "Wrong Place", "Dirt"),
    "pipe_fryum": (
        "Burnt",
        "Corner And Edge Breakage",
        "Different Colour Spot",
        "Middle Breakage",
        "Similar Colour Spot",
        "Small Scratches",
        "Stuck Together",
        "Small Cracks",
        "Other",
    ),
}
"""Names of the classes as in the authors' `utils/id2class.py`; the id in a mask is place + 1. The lists write them in lower
case."""
UNNAMED: Final = "Other"
"""Class of an anomaly that has no name in `image_anno.csv`."""
_NORMAL: Final = {
    "candle": (900, 100),
    "capsules": (542, 60),
    "cashew": (450, 50),
    "chewinggum": (453, 50),
    "fryum": (450, 50),
    "macaroni1": (900, 100),
    "macaroni2": (900, 100),
    "pcb1": (904, 100),
    "pcb2": (901, 100),
    "pcb3": (905, 101),
    "pcb4": (904, 101),
    "pipe_fryum": (450, 50),
}
"""Normal images for training and testing in the split `1cls`; besides 100 anomalous ones per object, all for testing."""


def _counts() -> dict[str, int]:
    counts = {}
    for product, (train, test) in _NORMAL.items():
        counts[f"{product}/train/{GOOD}"] = train
        counts[f"{product}/test/{GOOD}"] = test
        counts[f"{product}/test/*"] = 100  # of any defect
    return counts


class VisA(Dataset):
    """VisA as in `VisA_20220922.tar`; an object may be missing.

    Classes of an image come from `image_anno.csv`; where that is missing, from the ids in its mask.
    """

    folder = "visa"
    title = "VisA"
    citation = (
        "Zou, Jeong, Pemula, Zhang, Dabeer: SPot-the-Difference Self-Supervised Pre-training for Anomaly Detection and "
        "Segmentation, ECCV 2022, arXiv:2207.14315"
    )
    licence = Licence("CC BY 4.0", commercial=True)
    mask_threshold = 1
    mask_rule = "value > 0: values are class ids from 1 to 9, not 255; `class_mask` gives one class"
    obtain = (
        "defectbench data fetch visa; or download "
        "https://amazon-visual-anomaly.s3.us-west-2.amazonaws.com/VisA_20220922.tar (SHA-256 "
        "2eb8690c803ab37de0324772964100169ec8ba1fa3f7e94291c9ca673f40f362) and unpack it into visa/."
    )
    products = tuple(CLASSES)
    defects = CLASSES
    counts = _counts()

    expected = "the object folders candle, capsules, ..., pipe_fryum"
    unit = "object"
    in_order = False
    revision = 2

    def __init__(self, setup: Setup = "1cls") -> None:
        """Choose which of the publisher's splits to take."""
        self.setup = setup

    def is_root(self, folder: Path) -> bool:
        """Say whether a folder holds an object's data."""
        return any(self.locate(folder, product) for product in self.products)

    def locate(self, root: Path, product: str) -> Path | None:
        """Find an object's folder, which holds `Data`."""
        folder = child(root, product)
        return folder if folder is not None and child(folder, "Data") is not None else None

    def read(self, scan: Scan, folder: Path, product: str) -> None:
        """Read one object: images and masks in `Data`, classes in `image_anno.csv`."""
        data = child(folder, "Data") or folder / "Data"
        images = child(data, "Images") or data / "Images"
        masks = child(data, "Masks") or data / "Masks"
        classes = _annotations(scan, folder, product)
        for image in _images(scan, images, "Normal").values():
            scan.add(id=f"{product}/Normal/{image.stem}", image=image, product=product)
        truth = child(masks, "Anomaly") or masks / "Anomaly"
        pairs = scan.pairs(
            _images(scan, images, "Anomaly"),
            scan.files(truth),
            lambda image: str(truth / f"{image.stem}.png"),
            "has no image of its stem in Images/Anomaly; get this object again",
        )
        for image, mask in pairs:
            where = key(image.relative_to(scan.root).as_posix())
            scan.add(
                id=f"{product}/Anomaly/{image.stem}",
                image=image,
                mask=mask,
                product=product,
                defects=classes.get(where) or _classes_in(scan, mask, product),
            )

    def complete(self, scan: Scan) -> None:
        """Take the publisher's split, and compare its labels with the folders."""
        splits = _splits(scan, self.setup)
        for row in scan.rows:
            kind = "Anomaly" if row.defects else "Normal"
            row.split, label = splits.get(key(row.image), ("", kind))
            if label.casefold() != kind.casefold():
                scan.problem(
                    scan.root / row.image,
                    f"is {label!r} in split_csv but lies in {kind}; get both again",
                )


def class_mask(path: Path, product: str, defect: str) -> Pixels:
    """Read where a mask shows one class.

    Returns:
        (H, W) uint8 in {0, 1}.

    Raises:
        UserError: the object has no such class.
        BadFile: the mask cannot be decoded.
    """
    if defect not in CLASSES.get(product, ()):
        raise UserError(
            f"{product}: no class {defect!r}; known: {', '.join(CLASSES.get(product, ()))}"
        )
    id_ = CLASSES[product].index(defect) + 1
    return np.asarray(decode_mask_values(path) == id_, dtype=np.uint8)


def read_annotations(path: Path, product: str) -> dict[str, tuple[str, ...]]:
    """Read `image_anno.csv`: the classes of each image, none for a normal one, by its path from the root, as `key` makes it.

    One quoted field names one or several classes, e.g. `"melt, scratch"`. A name that `CLASSES` knows but for case is
    spelled as there; others stay as they are.

    Raises:
        ValueError: a column is missing.
    """
    found = {}
    spelled = {name.lower(): name for name in CLASSES.get(product, ())}
    for row in _rows(path, ("image", "label")):
        names = (" ".join(name.split()) for name in row["label"].split(","))
        classes = tuple(spelled.get(n.lower(), n) for n in names if n and n.lower() != "normal")
        found[key(row["image"].strip())] = classes
    return found


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"has no column {missing[0]!r}; wants {', '.join(columns)}")
        return [{k: v or "" for k, v in row.items() if isinstance(k, str)} for row in reader]


def _splits(scan: Scan, setup: Setup) -> dict[str, tuple[str, str]]:
    """Read the publisher's split: split and label by path; nothing if the folder `split_csv` is missing."""
    folder = child(scan.root, "split_csv")
    if folder is None:
        return {}
    path = child(folder, f"{setup}.csv")
    if path is None:
        scan.problem(folder / f"{setup}.csv", "no such file; get the folder split_csv again")
        return {}
    try:
        rows = _rows(path, ("object", "split", "label", "image", "mask"))
    except (ValueError, OSError) as error:
        scan.problem(path, str(error))
        return {}
    return {key(row["image"].strip()): (row["split"], row["label"]) for row in rows}


def _images(scan: Scan, folder: Path, kind: str) -> dict[str, Path]:
    place = child(folder, kind) or folder / kind
    return scan.files(place, empty="get this object again")


def _annotations(scan: Scan, folder: Path, product: str) -> dict[str, tuple[str, ...]]:
    path = child(folder, "image_anno.csv")
    try:
        return read_annotations(path, product) if path else {}
    except (ValueError, OSError) as error:
        scan.problem(folder / "image_anno.csv", str(error))
        return {}


def _classes_in(scan: Scan, mask: Path, product: str) -> tuple[str, ...]:
    """Name the classes whose ids a mask holds."""
    if scan.is_empty(mask, 1):
        return (UNNAMED,)
    known = CLASSES[product]
    ids = [int(value) for value in np.unique(decode_mask_values(mask)) if value]
    return tuple(dict.fromkeys(known[i - 1] if i <= len(known) else UNNAMED for i in ids))
