"""MVTec LOCO AD: 5 categories with logical and structural anomalies; masks in several files, values not only 255."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from defectbench.data.files.decoding import BadFile
from defectbench.data.files.listing import key
from defectbench.data.files.mask_parts import mask_files
from defectbench.data.files.scanning import GOOD, Scan, child, subfolders
from defectbench.data.licence import Licence
from defectbench.datasets.base import Dataset

TYPES: Final = ("logical_anomalies", "structural_anomalies")
_TABLE: Final = {
    "breakfast_box": (351, 62, 102, 83, 90),
    "juice_bottle": (335, 54, 94, 142, 94),
    "pushpins": (372, 69, 138, 91, 81),
    "screw_bag": (360, 60, 122, 137, 82),
    "splicing_connectors": (360, 60, 119, 108, 85),
}
"""train/good, validation/good, test/good, logical, structural, as counted in the archive: 3,651 images. The paper's table
has 354 and 59 for the training and validation images of splicing_connectors."""


def _counts() -> dict[str, int]:
    places = (f"train/{GOOD}", f"val/{GOOD}", f"test/{GOOD}", *(f"test/{t}" for t in TYPES))
    return {
        f"{product}/{place}": number
        for product, row in _TABLE.items()
        for place, number in zip(places, row, strict=True)
    }


class MVTecLOCO(Dataset):
    """MVTec LOCO AD as in `mvtec_loco_anomaly_detection.tar.xz`.

    An image's mask is one file or, where there are several, the folder that holds them: see `mask_parts`.
    """

    folder = "mvtec_loco"
    title = "MVTec LOCO AD"
    citation = (
        "Bergmann, Batzner, Fauser, Sattlegger, Steger: Beyond Dents and Scratches: Logical Constraints in Unsupervised "
        "Anomaly Detection and Localization, IJCV 130, 2022, doi:10.1007/s11263-022-01578-9"
    )
    licence = Licence("CC BY-NC-SA 4.0", commercial=False)
    mask_threshold = 1
    mask_rule = (
        "value > 0, then the union over an image's files: values name the anomaly (screw_bag has 236 to 255), so a "
        "division by 255 would wipe most of them out"
    )
    obtain = (
        "Fill in the form at https://www.mvtec.com/company/research/datasets/mvtec-loco, download "
        "mvtec_loco_anomaly_detection.tar.xz (SHA-256 "
        "9e7c84dba550fd2e59d8e9e231c929c45ba737b6b6a6d3814100f54d63aae687) and unpack it into mvtec_loco/."
    )
    products = tuple(_TABLE)
    defects = dict.fromkeys(_TABLE, TYPES)
    counts = _counts()

    expected = "the category folders breakfast_box, juice_bottle, ..., splicing_connectors"
    in_order = False
    revision = 2

    def read(self, scan: Scan, folder: Path, product: str) -> None:
        """Read one category: normal images of three splits, and the anomaly types of `test`."""
        for split in ("train", "validation", "test"):
            place = child(folder, split)
            good = child(place, GOOD) if place else None
            if good is None:
                scan.problem(
                    folder / split / GOOD, f"no such folder; category {product} is not complete"
                )
                continue
            for image in scan.files(good, empty="get the category again").values():
                scan.add(
                    id=f"{product}/{split}/{GOOD}/{image.stem}",
                    image=image,
                    product=product,
                    split="val" if split == "validation" else split,
                )
        test = child(folder, "test")
        for kind in subfolders(test) if test else ():
            if key(kind.name) != GOOD:
                truth = child(folder, "ground_truth") or folder / "ground_truth"
                _read_type(scan, kind, child(truth, kind.name) or truth / kind.name, product)


def _read_type(scan: Scan, kind: Path, truth: Path, product: str) -> None:
    """Pair the images of one anomaly type with the folders of their masks, by stem."""
    images = scan.files(kind, empty="remove the folder or get the category again")
    folders = {key(path.name): path for path in subfolders(truth)} if truth.is_dir() else {}
    pairs = scan.pairs(
        images,
        folders,
        lambda image: str(truth / image.stem / "000.png"),
        "has no image of its name in test; get the category again",
    )
    for image, folder in pairs:
        try:
            parts = mask_files(folder)
        except BadFile as error:
            scan.problem(folder, str(error))
            continue
        for part in parts[1:]:
            scan.agree(image, part)
        scan.add(
            id=f"{product}/test/{kind.name}/{image.stem}",
            image=image,
            mask=parts[0],
            product=product,
            defects=(kind.name,),
            split="test",
        )
        if len(parts) > 1:
            scan.rows[-1].mask = folder.relative_to(scan.root).as_posix()
