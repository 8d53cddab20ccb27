"""A user's own images: MVTec-style folders, images and masks in two folders, or a table of paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import pandas as pd

from defectbench.config import UserError, nearest
from defectbench.data.files.decoding import BadFile
from defectbench.data.files.listing import look, natural
from defectbench.data.files.mask_rule import Levels, is_empty, levels_of, rule_of
from defectbench.data.files.scanning import GOOD, Scan, child, subfolders, wanted
from defectbench.data.licence import Licence
from defectbench.data.manifest import LIST_SEPARATOR, PROVENANCE, Manifest
from defectbench.datasets.base import Dataset
from defectbench.datasets.mvtec_ad import read_category
from defectbench.files import read_table

IMAGES: Final = ("images", "imgs")
MASKS: Final = ("masks", "ground_truth")
TABLES: Final = (".csv", ".parquet")
COLUMNS: Final = ("image", "mask", "defects", "product", "split", "group", "id")
IGNORED: Final = ("source", "mask_source", *PROVENANCE)
"""Columns of the manifests that this suite writes, which say nothing of an image."""
BOXES: Final = (".xml", ".json", ".txt")
DEFECT: Final = "defect"
NO_DEFECT: Final = frozenset(
    [
        "normal",
        "ok",
        "none",
        "nan",
        "null",
        "nodefect",
        "nodefects",
        "defectfree",
        "nondefective",
        "healthy",
        "negative",
    ]
)
"""What people call images without a defect, in lower case and without marks; as a defect's name it is a mistake."""
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
    mask_rule = (
        "value >= 1: masks of 0 and 1, of class numbers and of 0 and 255 all work; value >= 128 where values cluster "
        "near 0 and near 255, as JPEG and smooth edges leave them"
    )
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
          and `good` is normal; without, an image is defective (`defect`) if its mask marks a pixel. A missing mask is an
          error; in the flat layout `unlabelled` may say otherwise.
        - A table: one row per image. `image` is needed; `mask`, `defects` (several with `;` between, none or `good` is
          normal), `product`, `split`, `group` and `id` are read if they are there. Without `defects` an image is
          defective (`defect`) if its mask marks a pixel. Paths are relative to the table. Other columns are refused.

        An image of which nothing says whether it has a defect is never good by silence: it is an error, unless
        `unlabelled` says that such images are `good` or to be left out (`ignore`).

        Args:
            root: folder or table.
            products: which products to keep; all by default.

        Raises:
            UserErrors: every offending file or row.
            UserError: no such layout, or a product is not there.
        """
        if root.is_file() and root.suffix.lower() in TABLES:
            scan = Scan(self.title, root.parent)
            levels = _Levels(scan)
            unlabelled = _read_table(scan, root, levels, self.unlabelled)
            _say_unlabelled(
                scan, unlabelled, root, "the columns `defects` or `mask`", self.unlabelled
            )
        elif not root.is_dir():
            raise UserError(f"{root}: no such folder or table; wants {LAYOUTS}")
        else:
            scan = Scan(self.title, root)
            levels = _Levels(scan)
            self._read_folder(scan, root, levels)
        rows = scan.rows
        found = sorted({row.product for row in rows})
        chosen = wanted(found, products, f"{self.title} at {root}") if rows else []
        scan.rows = [row for row in rows if row.product in chosen]
        names = sorted({name for row in scan.rows for name in row.defects})
        for name in names:
            if "".join(c for c in name.lower() if c.isalnum()) in NO_DEFECT:
                scan.problem(
                    root,
                    f"has a defect called {name!r}, which reads as the name of images without one; call these {GOOD!r}, or "
                    "give the defect another name",
                )
        rule = rule_of(levels.of(scan.root / row.mask for row in scan.rows if row.mask))
        if rule.problem:
            scan.problem(root, rule.problem)
        scan.remarks += rule.remarks
        return scan.finish(self.folder, names, chosen, rule.threshold)

    def there(self, root: Path) -> tuple[str, ...]:
        """Name the products that lie in `root`."""
        return self.scan(root).products

    def _read_folder(self, scan: Scan, root: Path, levels: _Levels) -> None:
        if _is_category(root):
            read_category(scan, root, root.resolve().name, relaxed=True)
            return
        images = _images(root)
        masks = next((found for name in MASKS if (found := child(root, name))), None)
        if images is not None:
            if subfolders(images):
                _read_kinds(scan, images, masks, root.resolve().name, levels)
                return
            unlabelled = _read_flat(
                scan, images, masks, root.resolve().name, levels, self.unlabelled
            )
            _say_unlabelled(scan, unlabelled, images, f"{root}/{MASKS[0]}", self.unlabelled)
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


class _Levels:
    """What the values of masks are, each decoded once; a bad file is noted."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self._found: dict[Path, Levels | None] = {}

    def of(self, masks: Iterable[Path]) -> list[Levels]:
        """Sum up masks; those that cannot be used are left out."""
        return [found for found in map(self._one, masks) if found is not None]

    def _one(self, mask: Path) -> Levels | None:
        if mask not in self._found:
            self._found[mask] = None
            try:
                self._found[mask] = levels_of(mask)
            except BadFile as error:
                if f"{mask}: {error}" not in self.scan.problems:
                    self.scan.problem(mask, str(error))
        return self._found[mask]


def _read_kinds(
    scan: Scan, images: Path, masks: Path | None, product: str, levels: _Levels
) -> None:
    """Read `images/` and `masks/` with one folder per defect; masks of good images must be empty."""
    kinds = subfolders(images)
    known = {kind.name.lower() for kind in kinds}
    for lone in subfolders(masks) if masks is not None else ():
        if lone.name.lower() not in known and look(lone).images:
            scan.problem(lone, f"holds masks, and {images} has no folder of its name; add it")
    for kind in kinds:
        normal = kind.name.lower() == GOOD
        inner = child(masks, kind.name) if masks is not None else None
        if not normal and inner is None:
            at = (masks or images.parent / MASKS[0]) / kind.name
            scan.problem(at, f"no such folder; wants the masks of {kind}")
            continue
        there = _masks(scan, inner) if inner is not None else {}
        if normal:
            threshold = rule_of(levels.of(there.values())).threshold
            for path in there.values():
                if _is_marked(path, levels, threshold):
                    scan.problem(path, f"marks a defect of an image in {kind}; mend one of the two")
            there = {}
        for stem, path in scan.files(kind).items():
            mask = there.pop(stem, None)
            if mask is None and not normal:
                scan.problem(path, f"has no mask of its name in {inner}")
                continue
            name = f"{kind.name}/{path.stem}"
            names = () if normal else (kind.name,)
            scan.add(id=name, image=path, mask=mask, product=product, defects=names)
        _say_orphans(scan, there)
    if beside := look(images).images:
        scan.problem(
            images,
            f"holds {len(beside)} images beside its folders (first: {beside[0].name}), of which nothing says what they "
            "show; put them into good/ or into the folder of their defect",
        )


def _read_flat(
    scan: Scan, images: Path, masks: Path | None, product: str, levels: _Levels, unlabelled: str
) -> list[Path]:
    """Read flat `images/` and `masks/`; give the images that have no mask."""
    there = _masks(scan, masks) if masks is not None else {}
    pairs = [(path, there.pop(stem, None)) for stem, path in scan.files(images).items()]
    rule = rule_of(levels.of(mask for path, mask in pairs if mask and scan.agree(path, mask)))
    lacking = []
    for path, mask in pairs:
        if mask is None:
            lacking.append(path)
            if unlabelled != "good":
                continue
        marked = mask is not None and _is_marked(mask, levels, rule.threshold)
        names = (DEFECT,) if marked else ()
        scan.add(id=path.stem, image=path, mask=mask, product=product, defects=names)
    _say_orphans(scan, there)
    return lacking


def _is_marked(mask: Path, levels: _Levels, threshold: int) -> bool:
    return any(not is_empty(found, threshold) for found in levels.of([mask]))


def _say_unlabelled(
    scan: Scan, lacking: Sequence[Path], where: Path, wanted: str, unlabelled: str
) -> None:
    """Refuse images of which nothing says whether they are good, or say what they are taken for."""
    if not lacking:
        return
    names = ", ".join(path.name for path in lacking[:5]) + (" ..." if len(lacking) > 5 else "")
    many = f"{len(lacking)} image{'s have' if len(lacking) > 1 else ' has'} no mask ({names})"
    if unlabelled:
        done = {"good": "counted as good", "ignore": "left out"}[unlabelled]
        scan.remarks.append(f"{many}: {done}, as --unlabelled {unlabelled} says")
        return
    folders = {path.parent for path in lacking}
    beside = [p for at in sorted(folders | {f.parent for f in folders}) for p in _annotations(at)]
    hint = f"; {beside[0]} is not read, as boxes of own images are not" if beside else ""
    scan.problem(
        where,
        f"{many}, and nothing else says whether they are defective; expected one each in {wanted} (all 0 for a normal "
        f"image), or say what they are: --unlabelled good, or --unlabelled ignore to leave them out{hint}",
    )


def _annotations(folder: Path) -> list[Path]:
    """List a folder's annotations of boxes, or those in the folders of it that are called after them."""
    found = look(folder)
    inner = [p for p in found.folders if p.name.lower().startswith(("annotation", "label", "xml"))]
    return [p for at in (found, *map(look, inner)) for p in at.others if p.suffix.lower() in BOXES]


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


def _read_table(scan: Scan, path: Path, levels: _Levels, unlabelled: str) -> list[Path]:
    """Read a table of paths; give the images of which it does not say whether they are good."""
    table = _load_table(path)
    if "image" not in table.columns:
        raise UserError(
            f"{path}: no column `image`; found {', '.join(map(str, table.columns)) or 'none'}, known are "
            f"{', '.join(COLUMNS)}"
        )
    own = IGNORED if set(IGNORED) <= set(table.columns) else ()
    for column in map(str, table.columns):
        if column not in COLUMNS + own:
            scan.problem(
                path,
                f"column {column!r}: not read; {nearest(column, COLUMNS)}. Rename or remove it",
            )
    seen: dict[str, int] = {}
    rows: list[tuple[str, dict[str, str], Path, Path | None]] = []
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
        given = cell.get("mask")
        rows.append(
            (name, cell, path.parent / cell["image"], path.parent / given if given else None)
        )
    by_mask = "defects" not in table.columns
    lacking = []
    threshold = 0
    if by_mask:
        paired = ((image, mask) for _, _, image, mask in rows if mask is not None)
        threshold = rule_of(levels.of(m for i, m in paired if scan.agree(i, m))).threshold
    for name, cell, image, mask in rows:
        names = [n.strip() for n in cell.get("defects", "").split(LIST_SEPARATOR)]
        if by_mask:
            names = [DEFECT] if mask is not None and _is_marked(mask, levels, threshold) else []
            if mask is None:
                lacking.append(image)
                if unlabelled != "good":
                    continue
        scan.add(
            id=name,
            image=image,
            mask=mask,
            product=cell.get("product") or path.stem,
            defects=[n for n in names if n and n.lower() != GOOD],
            split=cell.get("split", ""),
            group=cell.get("group", ""),
        )
    scan.rows.sort(key=lambda r: natural(r.id))
    return lacking


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
