"""NEU-DET: 1,800 photographs of hot-rolled steel strip with boxes, six defects, no normal images and no masks.

An image is named after its main defect, which is its label; 123 images have boxes of other defects besides, and boxes
keep their own names. The images are cut-outs of larger photographs, and most of them overlap: 1,394 of the 1,800 share
pixels with another one, or show its place once more (`data.files.overlaps`; `patches_101` and `patches_105` are even the same
file). `neu_det_groups.txt` lists 315 groups of 2 to 44 images. Of a random split of images, 80 to 20, about 69 % of the test
images overlap a training image; with groups none that is known does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from defectbench.data.files.boxes import write_boxes
from defectbench.data.files.copies import group_copies
from defectbench.data.files.decoding import BadFile
from defectbench.data.files.listing import key
from defectbench.data.files.scanning import Scan, child, find_root, is_standin, wanted
from defectbench.data.files.voc import Annotation, read_annotation
from defectbench.data.licence import Licence
from defectbench.data.manifest import Manifest
from defectbench.datasets.base import Dataset

PRODUCT: Final = "hot_rolled_steel"
DEFECTS: Final = (
    "crazing",
    "inclusion",
    "patches",
    "pitted_surface",
    "rolled-in_scale",
    "scratches",
)
GROUPS: Final = Path(__file__).with_name("neu_det_groups.txt")
"""Overlapping images: a group per line, the defect and the numbers; `#` begins a remark."""


class NEUDet(Dataset):
    """NEU-DET as published: `IMAGES/` and `ANNOTATIONS/`."""

    folder = "neu_det"
    title = "NEU-DET"
    citation = (
        "He, Song, Meng, Yan: An End-to-End Steel Surface Defect Detection Approach via Fusing Multiple Hierarchical "
        "Features, IEEE Transactions on Instrumentation and Measurement 69(4), 2020, doi:10.1109/TIM.2019.2915404"
    )
    licence = Licence("none stated (offered for research)", commercial=None)
    mask_threshold = 128
    mask_rule = "the dataset has boxes and no masks"
    obtain = (
        "Download NEU-DET from http://faculty.neu.edu.cn/songkechen/zh_CN/zdylm/263270/list/ and unpack it into "
        "neu_det/, so that it holds IMAGES/ and ANNOTATIONS/."
    )
    products = (PRODUCT,)
    defects: ClassVar[Mapping[str, tuple[str, ...]]] = {PRODUCT: DEFECTS}
    counts: ClassVar[Mapping[str, int]] = {f"{PRODUCT}//{name}": 300 for name in DEFECTS}

    def scan(self, root: Path, products: Sequence[str] | None = None) -> Manifest:
        """Read images and their boxes; there is no published split.

        Args:
            root: folder that holds `IMAGES/` and `ANNOTATIONS/`, or the one folder around it.
            products: `hot_rolled_steel` is the only one.

        Returns:
            the manifest, with a column `boxes` (see `data.files.boxes`).

        Raises:
            UserErrors: every offending file.
            UserError: `root` does not have this layout.
        """
        wanted(self.products, products, self.title)
        root = find_root(
            root,
            lambda folder: all(child(folder, name) for name in ("IMAGES", "ANNOTATIONS")),
            "the folders IMAGES and ANNOTATIONS",
        )
        scan = Scan(self.title, root)
        images = scan.files(child(root, "IMAGES") or root)
        annotations = scan.files(child(root, "ANNOTATIONS") or root, {".xml"})
        for stem in annotations.keys() - images.keys():
            scan.problem(annotations[stem], "has no image of its name in IMAGES; get it again")
        names = {key(name): name for name in DEFECTS}
        group = {} if is_standin(root) else published_groups()
        for stem, image in images.items():
            label = names.get(stem.rpartition("_")[0])
            if label is None:
                scan.problem(
                    image, f"is named after no defect; wants NAME_NUMBER of {', '.join(DEFECTS)}"
                )
            elif stem not in annotations:
                scan.problem(image, f"has no boxes; expected {image.stem}.xml in ANNOTATIONS")
            elif (found := _boxes(scan, image, annotations[stem])) is not None:
                scan.add(
                    id=image.stem,
                    image=image,
                    product=PRODUCT,
                    defects=(label,),
                    group=group.get(image.stem, ""),
                    boxes=write_boxes(found.boxes),
                )
        group_copies(scan, scan.rows)
        return scan.finish(self.folder, DEFECTS, self.products, self.mask_threshold)


@cache
def published_groups() -> Mapping[str, str]:
    """Give the group of each published image that overlaps another one: the id of its first member, by id."""
    found: dict[str, str] = {}
    for line in GROUPS.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, *numbers = line.split()
            found |= {f"{name}_{number}": f"{name}_{numbers[0]}" for number in numbers}
    return found


def _boxes(scan: Scan, image: Path, path: Path) -> Annotation | None:
    """Read an image's annotation and check it against the image; what is wrong is noted."""
    try:
        found = read_annotation(path)
    except BadFile as error:
        scan.problem(path, str(error))
        return None
    unknown = sorted({box.name for box in found.boxes} - set(DEFECTS))
    if unknown:
        scan.problem(path, f"names {unknown[0]!r}; wants one of {', '.join(DEFECTS)}")
        return None
    head = scan.head(image)
    if head is not None and (head.width, head.height) != (found.width, found.height):
        scan.problem(
            path,
            f"is for {found.width}x{found.height} pixels, its image {image.name} is {head.width}x{head.height}; "
            "get both again",
        )
        return None
    return found
