"""A user's own images: MVTec-style folders, images and masks in two folders, or a table of paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import pandas as pd

from defectbench.config import UserError
from defectbench.data.files.scanning import GOOD, Scan, child, natural, subfolders, wanted
from defectbench.data.licence import Licence
from defectbench.data.manifest import LIST_SEPARATOR, Manifest
from defectbench.datasets.base import Dataset
from defectbench.datasets.mvtec_ad import read_category
from defectbench.files import read_table

IMAGES: Final = ("images", "imgs")
MASKS: Final = ("masks", "ground_truth")
TABLES: Final = (".csv", ".parquet")
COLUMNS: Final = ("image", "mask", "defects", "product", "split", "group", "id")
DEFECT: Final = "defect"
"""What a defect is called where nothing names it."""
LAYOUTS: Final = (
    "PRODUCT/{train/good, test/good, test/DEFECT, ground_truth/DEFECT} as MVTec AD has it; or images/ and masks/ with "
    "equal names, each flat or with one folder per defect; or a .csv or .parquet file with a column `image`"
)


class Folder(Dataset):
    """A user's own images, in one of three layouts; see `scan`."""

    folder = "folder"
    title = "Folder of images"
    own_images = True
    citation = "none: your own images"
    licence = Licence("yours", commercial=None)
    mask_threshold = 1
    mask_rule = "value >= 1: masks of 0 and 1, of class numbers and of 0 and 255 all work; edges must be clean"
    obtain = f"Put your images in one of these layouts: {LAYOUTS}."
    products = ()
    defects: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    counts: ClassVar[Mapping[str, int]] = {}

    def find(self, data: Path) -> Path | None:
        """Find `data/folder`, or take `data` itself if it is a table or has one of the layouts."""
        if data.is_file():
            return data if data.suffix.lower() in TABLES else None
        if data.is_dir() and (_is_category(data) or _images(data) or _categories(data)):
            return data
        return super().find(data)

    def scan(self, root: Path, products: Sequence[str] | None = None) -> Manifest:
        """Read a folder or a table.

        - MVTec-style: `root` is a category, or holds some; masks as `X_mask.png` or `X.png`.
        - Two folders: `root/images` and `root/masks` (or `ground_truth`). With folders inside, these name the defects
          and `good` is normal; without, an image is defective (`defect`) if its mask marks a pixel. An image without
          mask is normal in the flat layout; elsewhere a missing mask is an error.
        - A table: one row per image. `image` is needed; `mask`, `defects` (several with `;` between, none or `good` is
          normal), `product`, `split`, `group` and `id` are read if they are there. Paths are relative to the table.

        Args:
            root: folder or table.
            products: which products to keep; all by default.

        Raises:
            UserErrors: every offending file or row.
            UserError: no such layout, or a product is not there.
        """
        if root.is_file() and root.suffix.lower() in TABLES:
            scan = Scan(self.title, root.parent)
            _read_table(scan, root)
        elif not root.is_dir():
            raise UserError(f"{root}: no such folder or table; wants {LAYOUTS}")
        else:
            scan = Scan(self.title, root)
            self._read_folder(scan, root)
        rows = scan.rows
        found = sorted({row.product for row in rows})
        chosen = wanted(found, products, f"{self.title} at {root}") if rows else []
        scan.rows = [row for row in rows if row.product in chosen]
        names = sorted({name for row in scan.rows for name in row.defects})
        return scan.finish(self.folder, names, chosen, self.mask_threshold)

    def _read_folder(self, scan: Scan, root: Path) -> None:
        if _is_category(root):
            read_category(scan, root, root.resolve().name, relaxed=True)
            return
        images = _images(root)
        masks = next((found for name in MASKS if (found := child(root, name))), None)
        if images is not None:
            _read_pairs(scan, images, masks, root.resolve().name, self.mask_threshold)
            return
        categories = _categories(root)
        if not categories:
            raise UserError(f"{root}: holds none of the layouts that can be read: {LAYOUTS}")
        for category in categories:
            read_category(scan, category, category.name, relaxed=True)


def _is_category(folder: Path) -> bool:
    return child(folder, "train") is not None and child(folder, "test") is not None


def _images(folder: Path) -> Path | None:
    return next((found for name in IMAGES if (found := child(folder, name))), None)


def _categories(folder: Path) -> list[Path]:
    return [inner for inner in subfolders(folder) if _is_category(inner)]


def _read_pairs(scan: Scan, images: Path, masks: Path | None, product: str, threshold: int) -> None:
    """Read `images/` and `masks/`, flat or with one folder per defect."""
    kinds = subfolders(images)
    for kind in kinds:
        normal = kind.name.lower() == GOOD
        inner = child(masks, kind.name) if masks is not None else None
        if not normal and inner is None:
            at = (masks or images.parent / MASKS[0]) / kind.name
            scan.problem(at, f"no such folder; wants the masks of {kind}")
            continue
        there = _masks(scan, inner) if inner is not None and not normal else {}
        for stem, path in scan.files(kind).items():
            mask = there.pop(stem, None)
            if mask is None and not normal:
                scan.problem(path, f"has no mask of its name in {inner}")
                continue
            name = f"{kind.name}/{path.stem}"
            names = () if normal else (kind.name,)
            scan.add(id=name, image=path, mask=mask, product=product, defects=names)
        _say_orphans(scan, there)
    if kinds:
        return
    there = _masks(scan, masks) if masks is not None else {}
    for stem, path in scan.files(images).items():
        mask = there.pop(stem, None)
        defective = (
            mask is not None and scan.agree(path, mask) and not scan.is_empty(mask, threshold)
        )
        names = (DEFECT,) if defective else ()
        scan.add(id=path.stem, image=path, mask=mask, product=product, defects=names)
    _say_orphans(scan, there)


def _masks(scan: Scan, folder: Path) -> dict[str, Path]:
    """List masks by the stem of their image: `X_mask.png` or `X.png`."""
    marked = scan.files(folder, ending="_mask")
    plain = {
        stem: path for stem, path in scan.files(folder).items() if path not in set(marked.values())
    }
    return plain | marked


def _say_orphans(scan: Scan, masks: Mapping[str, Path]) -> None:
    for mask in masks.values():
        scan.problem(mask, "has no image of its name; add the image or remove the mask")


def _read_table(scan: Scan, path: Path) -> None:
    """Read a table of paths."""
    table = _load_table(path)
    if "image" not in table.columns:
        raise UserError(
            f"{path}: no column `image`; found {', '.join(map(str, table.columns)) or 'none'}, known are "
            f"{', '.join(COLUMNS)}"
        )
    seen: dict[str, int] = {}
    for number, row in enumerate(table.to_dict("records"), 2):  # line 1 is the header
        cell = {str(k): str(v).strip() for k, v in row.items()}
        if not cell["image"]:
            scan.problem(path, f"row {number}: no image; give its path")
            continue
        name = cell.get("id") or cell["image"].rsplit(".", 1)[0]
        if name in seen:
            scan.problem(
                path, f"row {number}: id {name!r} is that of row {seen[name]}; make it unique"
            )
            continue
        seen[name] = number
        names = [n.strip() for n in cell.get("defects", "").split(LIST_SEPARATOR)]
        scan.add(
            id=name,
            image=path.parent / cell["image"],
            mask=path.parent / cell["mask"] if cell.get("mask") else None,
            product=cell.get("product") or path.stem,
            defects=[n for n in names if n and n.lower() != GOOD],
            split=cell.get("split", ""),
            group=cell.get("group", ""),
        )
    scan.rows.sort(key=lambda r: natural(r.id))


def _load_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".csv":
            columns, rows = read_table(path)
            return pd.DataFrame(rows, columns=columns)
        return pd.read_parquet(path).fillna("").astype(str)
    except ImportError:
        raise UserError(
            f"{path}: Parquet needs pyarrow; `pip install pyarrow`, or give a .csv"
        ) from None
    except (ValueError, OSError) as error:
        detail = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as a table ({detail})") from None
