"""A manifest: one row per image, real or synthetic, whatever the dataset it comes from.

Columns of `Manifest.table` (see `COLUMNS`): `id` unique and sortable; `image` and `mask` paths relative to `root`, mask
"" if there is none; `product`; `defects` a sorted tuple of names, empty = normal; `split` the publisher's own split or
"" ; `group` images of one physical part share it; `source` "real" or the id of the job that made the image;
`mask_source` "annotation", a generator's `mask_source`, "invalid" or "none".
Where a dataset annotates boxes there is a column `boxes` besides, see `data.files.boxes`.
Synthetic manifests carry provenance besides: `seed`, `label`, `normal` and `reference` (ids), see `PROVENANCE`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from defectbench.config import UserError
from defectbench.files import read_table

COLUMNS = (
    "id",
    "image",
    "mask",
    "product",
    "defects",
    "split",
    "group",
    "source",
    "mask_source",
)
BOXES = "boxes"
PROVENANCE = ("seed", "label", "normal", "reference")
LIST_SEPARATOR = ";"


@dataclass(frozen=True)
class Manifest:
    """Images and what is known of them.

    Attributes:
        table: one row per image, sorted by `id`, with the columns above.
        root: the folder that `image` and `mask` are relative to.
        dataset: name of the dataset.
        defects: names of the K defects, in a fixed order.
        products: names of the products, in a fixed order.
        mask_threshold: a mask pixel is a defect if its grey value is at least this (1 or 128).
        stand_in: whether the images were drawn by `standin` in place of the real dataset.
        remarks: what a reader of results must know of the files, one line each; no part of `digest` and not saved.
    """

    table: pd.DataFrame
    root: Path
    dataset: str
    defects: tuple[str, ...]
    products: tuple[str, ...]
    mask_threshold: int = 128
    stand_in: bool = False
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check columns and ids."""
        missing = [c for c in COLUMNS if c not in self.table.columns]
        if missing:
            raise UserError(f"{self.root}: manifest lacks column(s) {', '.join(missing)}")
        duplicated = self.table["id"][self.table["id"].duplicated()].tolist()
        if duplicated:
            raise UserError(
                f"{self.root}: manifest repeats id {duplicated[0]!r}; ids must be unique"
            )

    def __len__(self) -> int:
        """Count the images."""
        return len(self.table)

    def where(self, rows: pd.Series) -> Manifest:
        """Keep the rows where a boolean series is true."""
        return replace(self, table=self.table[rows].reset_index(drop=True))

    def of_products(self, *products: str) -> Manifest:
        """Keep some products; `products` becomes just these, in the given order."""
        known = set(self.products)
        for product in products:
            if product not in known:
                raise UserError(
                    f"{self.dataset}: no product {product!r}; known: {', '.join(self.products)}"
                )
        kept = self.where(self.table["product"].isin(products))
        return replace(kept, products=tuple(products))

    @property
    def defective(self) -> pd.Series:
        """True where an image has a defect."""
        return self.table["defects"].map(len) > 0

    @property
    def has_boxes(self) -> bool:
        """Whether any image has annotated boxes."""
        return BOXES in self.table.columns and bool((self.table[BOXES] != "").any())

    def digest(self) -> str:
        """Hash what the manifest says (not where it lies): rows and names, hexadecimal."""
        lines = [json.dumps([self.dataset, self.defects, self.products, self.mask_threshold])]
        columns = [*COLUMNS, *([BOXES] if self.has_boxes else [])]
        rows = self.table[columns].sort_values("id", kind="stable")
        lines += [
            json.dumps([list(v) if isinstance(v, tuple) else str(v) for v in row])
            for row in rows.itertuples(index=False, name=None)
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def save(self, folder: Path) -> Path:
        """Write `manifest.csv` and `manifest.json` into `folder`; paths stay relative to `root`.

        Returns:
            the path of `manifest.csv`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        table = self.table.copy()
        table["defects"] = table["defects"].map(LIST_SEPARATOR.join)
        table.to_csv(folder / "manifest.csv", index=False, lineterminator="\n")
        header = {
            "dataset": self.dataset,
            "defects": list(self.defects),
            "products": list(self.products),
            "mask_threshold": self.mask_threshold,
            "stand_in": self.stand_in,
        }
        (folder / "manifest.json").write_text(json.dumps(header, indent=1) + "\n")
        return folder / "manifest.csv"

    @classmethod
    def load(cls, path: Path, root: Path | None = None) -> Manifest:
        """Read what `save` wrote; `path` is the folder or its `manifest.csv`.

        Raises:
            UserError: a file is missing or not as `save` writes it.
        """
        folder = path if path.is_dir() else path.parent
        csv, header_path = folder / "manifest.csv", folder / "manifest.json"
        for file in (csv, header_path):
            if not file.is_file():
                raise UserError(f"{file}: no such file; a manifest is manifest.csv + manifest.json")
        try:
            header = json.loads(header_path.read_text())
            columns, rows = read_table(csv)
            table = pd.DataFrame(rows, columns=columns)
            table["defects"] = table["defects"].map(
                lambda text: tuple(text.split(LIST_SEPARATOR)) if text else ()
            )
            if "mask_empty" in table.columns:  # a defective image whose mask marks no pixel
                table["mask_empty"] = table["mask_empty"] == "True"
            return cls(
                table=table,
                root=root or folder,
                dataset=header["dataset"],
                defects=tuple(header["defects"]),
                products=tuple(header["products"]),
                mask_threshold=int(header["mask_threshold"]),
                stand_in=bool(header["stand_in"]),
            )
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise UserError(
                f"{folder}: not a manifest ({error!r}); make it again with the job that wrote it"
            ) from None


def concatenate(first: Manifest, second: Manifest) -> Manifest:
    """Join two manifests, e.g. real and synthetic: paths become absolute, names must agree.

    Raises:
        UserError: the two name different defects or products.
    """
    for what in ("defects", "products"):
        ours, theirs = getattr(first, what), getattr(second, what)
        if set(theirs) - set(ours):
            raise UserError(
                f"{second.root}: has {what} {sorted(set(theirs) - set(ours))} that {first.root} lacks; "
                f"rename them (known: {', '.join(ours)})"
            )
    tables = []
    for manifest in (first, second):
        table = manifest.table.copy()
        root = manifest.root.resolve()
        for column in ("image", "mask"):
            table[column] = [str(root / p) if p else "" for p in table[column]]
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True).fillna("")
    return replace(first, table=joined, root=Path("/"))
