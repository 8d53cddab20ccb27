"""CODEBRIM, classification set: crops of concrete bridges with any of five defects at once; no masks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final
from xml.etree import ElementTree

from defectbench.data.files.listing import key
from defectbench.data.files.scanning import GOOD, Scan, child
from defectbench.data.licence import Licence
from defectbench.datasets.base import Dataset

PRODUCT: Final = "concrete"
LABELS: Final = (
    "Background",
    "Crack",
    "Spallation",
    "Efflorescence",
    "ExposedBars",
    "CorrosionStain",
)
"""Tags of the metadata, in their order, which the authors' code relies on."""
DEFECTS: Final = LABELS[1:]
SPLITS: Final = ("train", "val", "test")
FOLDERS: Final = ("background", "defects")
COPY: Final = re.compile(r"(_-_.*|_copy\d+)$", re.IGNORECASE)
"""What the balanced set appends to the name of a replicated crop: which of the two the archive has is not known."""
PARENT: Final = re.compile(r"(image_\d+)_crop_\d+", re.IGNORECASE)
_COUNTS: Final = {
    # crops without any defect: the folder background, and 43, 5 and 4 crops in defects whose labels are all zero
    "train": (2185 + 43, 2208, 1608, 543, 1215, 1263),
    "val": (150 + 5, 149, 140, 141, 142, 146),
    "test": (150 + 4, 150, 150, 149, 150, 150),
}
"""The unbalanced set: 6,481, 616 and 632 crops; a crop with several defects counts once for each."""


class CODEBRIM(Dataset):
    """CODEBRIM's classification set, unbalanced or balanced (minority defects replicated in train).

    Crops of one photograph share a group. 52 crops in `defects/` have no defect label: they count as normal, and the
    column `folder` tells them apart. The balanced set has the same val and test; its train counts are not known.
    """

    folder = "codebrim"
    title = "CODEBRIM"
    citation = (
        "Mundt, Majumder, Murali, Panetsos, Ramesh: Meta-learning Convolutional Neural Architectures for Multi-target "
        "Concrete Defect Classification with the COncrete DEfect BRidge IMage Dataset, CVPR 2019, arXiv:1904.08486, "
        "doi:10.5281/zenodo.2620293"
    )
    licence = Licence(
        "custom: non-commercial research and education only, binds a for-profit employer; no redistribution of the data or "
        "of modified versions, which images generated from it are",
        commercial=False,
    )
    mask_threshold = 128
    mask_rule = "the dataset has no masks"
    obtain = (
        "Accept the licence at https://zenodo.org/records/2620293 and download CODEBRIM_classification_dataset.zip "
        "(7,911,716,093 bytes, MD5 c1612d9674e2e628e72e7f5817c40130) or CODEBRIM_classification_balanced_dataset.zip. The "
        "headers in these zips are broken: unzip and Python's zipfile stop early; a current 7-Zip (`7zz x FILE`) extracts "
        "them. Unpack into codebrim/ and compare the counts afterwards, for a part that is missing is the usual failure."
    )
    products = (PRODUCT,)
    defects: ClassVar[Mapping[str, tuple[str, ...]]] = {PRODUCT: DEFECTS}
    counts: ClassVar[Mapping[str, int]] = {
        f"{PRODUCT}/{split}/{name}": number
        for split, numbers in _COUNTS.items()
        for name, number in zip((GOOD, *DEFECTS), numbers, strict=True)
    }

    expected = "the folders metadata, train, val and test"

    def is_root(self, folder: Path) -> bool:
        """Say whether a folder holds one of the two sets."""
        return all(child(folder, name) for name in ("metadata", "train"))

    def read(self, scan: Scan, folder: Path, product: str) -> None:
        """Read `metadata/`, `train/`, `val/` and `test/` of one of the two sets."""
        labels = {name: _labels(scan, folder, name) for name in FOLDERS}
        for split in SPLITS:
            for name in FOLDERS:
                place = child(folder, split) or folder / split
                _read_folder(scan, child(place, name) or place / name, split, labels[name])


def original_stem(stem: str) -> str:
    """Cut off what marks a replicated crop, e.g. `_copy02` or `_-_1`."""
    return COPY.sub("", stem)


def read_metadata(path: Path) -> dict[str, tuple[str, ...]]:
    """Read `background.xml` or `defects.xml`: the defects of each crop, by stem as `scanning.key` makes it.

    Every child of the root is a crop: its first attribute is the name, its children are the labels, read by tag, or by
    their position where a tag is missing. All splits stand in one file.

    Raises:
        ValueError: not XML, or a crop without a name or without six labels; the message says which.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"is not XML ({error}); get it again") from None
    found = {}
    for crop in root:
        name = next(iter(crop.attrib.values()), "")
        if not name:
            raise ValueError(f"holds a {crop.tag} without a name; get it again")
        found[key(Path(name).stem)] = read_defects(crop, name)
    return found


def read_defects(labels: ElementTree.Element, name: str) -> tuple[str, ...]:
    """Read the six labels of a crop or box.

    Raises:
        ValueError: there are not six, or one is no number.
    """
    by_tag = {key(label.tag): label for label in labels}
    chosen = [by_tag.get(key(tag)) for tag in LABELS]
    if any(label is None for label in chosen):
        chosen = list(labels)
    if len(chosen) != len(LABELS):
        raise ValueError(f"{name} has {len(chosen)} labels; wants {', '.join(LABELS)}")
    try:
        flags = [float((label.text or "") if label is not None else "") > 0 for label in chosen]
    except ValueError:
        raise ValueError(f"{name} has a label that is neither 0 nor 1") from None
    return tuple(tag for tag, flag in zip(LABELS, flags, strict=True) if flag and tag in DEFECTS)


def _labels(scan: Scan, root: Path, name: str) -> dict[str, tuple[str, ...]]:
    folder = child(root, "metadata") or root / "metadata"
    path = child(folder, f"{name}.xml")
    if path is None:
        scan.problem(folder / f"{name}.xml", "no such file; the archive was not extracted whole")
        return {}
    try:
        return read_metadata(path)
    except (ValueError, OSError) as error:
        scan.problem(path, str(error))
        return {}


def _read_folder(scan: Scan, folder: Path, split: str, labels: dict[str, tuple[str, ...]]) -> None:
    images = scan.files(folder, empty="the archive was not extracted whole")
    for image in images.values():
        stem = original_stem(image.stem)
        defects = labels.get(key(stem))
        if defects is None:
            if labels:
                scan.problem(image, f"is not in metadata/{folder.name}.xml; get the metadata again")
            continue
        parent = PARENT.match(stem)
        scan.add(
            id=f"{split}/{folder.name}/{image.stem}",
            image=image,
            product=PRODUCT,
            defects=defects,
            split=split,
            group=parent.group(1).lower() if parent else stem,
            folder=folder.name,
        )
