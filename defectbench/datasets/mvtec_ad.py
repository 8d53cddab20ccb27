"""MVTec AD: 15 categories, 73 defect types; defects only in `test`, masks in `ground_truth`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from defectbench.data.files.scanning import GOOD, Scan, child, subfolders
from defectbench.data.licence import Licence
from defectbench.datasets.base import Dataset

_TABLE: Final = """
bottle 209 20: broken_large 20, broken_small 22, contamination 21
cable 224 58: bent_wire 13, cable_swap 12, combined 11, cut_inner_insulation 14, cut_outer_insulation 10, missing_cable 12, missing_wire 10, poke_insulation 10
capsule 219 23: crack 23, faulty_imprint 22, poke 21, scratch 23, squeeze 20
carpet 280 28: color 19, cut 17, hole 17, metal_contamination 17, thread 19
grid 264 21: bent 12, broken 12, glue 11, metal_contamination 11, thread 11
hazelnut 391 40: crack 18, cut 17, hole 18, print 17
leather 245 32: color 19, cut 19, fold 17, glue 19, poke 18
metal_nut 220 22: bent 25, color 22, flip 23, scratch 23
pill 267 26: color 25, combined 17, contamination 21, crack 26, faulty_imprint 19, pill_type 9, scratch 24
screw 320 41: manipulated_front 24, scratch_head 24, scratch_neck 25, thread_side 23, thread_top 23
tile 230 33: crack 17, glue_strip 18, gray_stroke 16, oil 18, rough 15
toothbrush 60 12: defective 30
transistor 213 60: bent_lead 10, cut_lead 10, damaged_case 10, misplaced 10
wood 247 19: color 8, combined 11, hole 10, liquid 10, scratch 21
zipper 240 32: broken_teeth 19, combined 16, fabric_border 17, fabric_interior 16, rough 17, split_teeth 18, squeezed_teeth 16
"""
"""Category, train/good, test/good: images of each defect type (facts of the published archive)."""


def _parse() -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    defects: dict[str, tuple[str, ...]] = {}
    counts: dict[str, int] = {}
    for line in _TABLE.strip().splitlines():
        head, tail = line.split(":")
        product, train, test = head.split()
        counts[f"{product}/train/{GOOD}"] = int(train)
        counts[f"{product}/test/{GOOD}"] = int(test)
        types = [item.split() for item in tail.split(",")]
        counts |= {f"{product}/test/{name}": int(number) for name, number in types}
        defects[product] = tuple(name for name, _ in types)
    return defects, counts


class MVTecAD(Dataset):
    """MVTec AD as in `mvtec_anomaly_detection.tar.xz`; an extra folder level around the categories is accepted."""

    folder = "mvtec_ad"
    title = "MVTec AD"
    citation = (
        "Bergmann, Fauser, Sattlegger, Steger: MVTec AD, CVPR 2019, pp. 9584-9592; "
        "IJCV 129(4), 2021, doi:10.1007/s11263-020-01400-4"
    )
    licence = Licence("CC BY-NC-SA 4.0", commercial=False)
    mask_threshold = 128
    mask_rule = "value >= 128: masks are 0 or 255, and DFMGAN's code cuts at 127.5"
    obtain = (
        "Fill in the form at https://www.mvtec.com/research-teaching/datasets/mvtec-ad, download "
        "mvtec_anomaly_detection.tar.xz (5,264,982,680 bytes, SHA-256 "
        "cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d) and unpack it into mvtec_ad/."
    )
    defects, counts = _parse()
    products = tuple(defects)

    expected = "the category folders bottle, cable, ..., zipper"
    in_order = False

    def is_root(self, folder: Path) -> bool:
        """Say whether a folder holds a category."""
        return any(_is_category(child(folder, product)) for product in self.products)

    def read(self, scan: Scan, folder: Path, product: str) -> None:
        """Read one category: `train/good`, `test/<type>` and `ground_truth/<type>`."""
        read_category(scan, folder, product)


def read_category(scan: Scan, folder: Path, product: str, relaxed: bool = False) -> None:
    """Read one category in MVTec AD's layout into a scan.

    Args:
        scan: takes rows and problems.
        folder: the category's folder, with `train/good`, `test/<type>` and `ground_truth/<type>`.
        product: its name in the manifest.
        relaxed: accept masks without the ending `_mask`, as repackaged copies have them.
    """
    parts = {name: child(folder, name) for name in ("train", "test", "ground_truth")}
    train, test = parts["train"], parts["test"]
    if train is None or test is None:
        missing = "train" if train is None else "test"
        scan.problem(folder / missing, f"no such folder; category {product} is not complete")
        return
    normal = child(train, GOOD) or train / GOOD
    empty = "the category is empty: get it again"
    for path in scan.files(normal, empty=empty).values():
        scan.add(id=_id(product, "train", path), image=path, product=product, split="train")
    kinds = subfolders(test)
    if not kinds:
        scan.problem(test, "holds no folder; wants good and one folder per defect type")
    for kind in kinds:
        images = scan.files(kind, empty="remove the folder or get the category again")
        if kind.name.lower() == GOOD:
            for path in images.values():
                scan.add(id=_id(product, "test", path), image=path, product=product, split="test")
            continue
        truth = parts["ground_truth"] or folder / "ground_truth"
        _read_defects(scan, images, child(truth, kind.name) or truth / kind.name, product, relaxed)


def _read_defects(
    scan: Scan, images: dict[str, Path], truth: Path, product: str, relaxed: bool
) -> None:
    """Pair the images of one defect type with their masks, by stem."""
    masks = scan.files(truth, ending="_mask") if truth.is_dir() or images else {}
    if relaxed and truth.is_dir():
        masks = scan.files(truth, stems="(?!.*_mask$).*") | masks
    pairs = scan.pairs(
        images,
        masks,
        lambda image: str(truth / f"{image.stem}_mask.png"),
        "has no image of its stem in test; get the category again",
    )
    for image, mask in pairs:
        scan.add(
            id=_id(product, "test", image),
            image=image,
            mask=mask,
            product=product,
            defects=(image.parent.name,),
            split="test",
        )


def _id(product: str, split: str, path: Path) -> str:
    return f"{product}/{split}/{path.parent.name}/{path.stem}"


def _is_category(folder: Path | None) -> bool:
    return folder is not None and (child(folder, "train") or child(folder, "test")) is not None
