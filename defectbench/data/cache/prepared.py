"""A decoded cache as it is read: memory-mapped images and masks, and the table of what they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from defectbench.config import UserError
from defectbench.data.files.boxes import box_rows
from defectbench.data.manifest import BOXES, LIST_SEPARATOR

FILES: Final = ("images.npy", "masks.npy", "table.csv", "prepared.json")
REVISION: Final = 1
"""Raised when the same manifest and options would give other bytes."""
NUMBERS: Final = ("y", "x", "side", "mask_pixels")

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Prepared:
    """A decoded cache; its arrays are opened, read-only, when first used, and anew in every process.

    Attributes:
        folder: where it lies.
        size: side of the images, pixels.
        table: one row per cached image: `id`, `origin` (id of the source image), the window `y, x, side` in source
            pixels (side 0: the whole image), the manifest's columns, and `mask_pixels`, the defect pixels that the
            resized mask still has; where the dataset annotates boxes, `boxes` in pixels of the cached image.
        dataset: name of the dataset.
        defects: names of the K defects.
        products: names of the products.
        stand_in: whether the images were drawn in place of the real dataset.
    """

    folder: Path
    size: int
    table: pd.DataFrame
    dataset: str
    defects: tuple[str, ...]
    products: tuple[str, ...]
    stand_in: bool

    @classmethod
    def open(cls, folder: Path) -> Prepared:
        """Open a cache, checking that it is whole.

        Raises:
            UserError: a file is missing or not as `prepare` wrote it.
        """
        for name in FILES:
            if not (folder / name).is_file():
                raise UserError(
                    f"{folder / name}: no such file; prepare this cache again (`defectbench data prepare`)"
                )
        try:
            header = json.loads((folder / "prepared.json").read_text())
            table = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False)
            table["defects"] = table["defects"].map(
                lambda text: tuple(text.split(LIST_SEPARATOR)) if text else ()
            )
            for name in NUMBERS:
                table[name] = table[name].astype(np.int64)
            if "mask_empty" in table.columns:
                table["mask_empty"] = table["mask_empty"] == "True"
            cache = cls(
                folder=folder,
                size=int(header["size"]),
                table=table,
                dataset=str(header["dataset"]),
                defects=tuple(header["defects"]),
                products=tuple(header["products"]),
                stand_in=bool(header["stand_in"]),
            )
            whole = (len(table), cache.size, cache.size)
            shapes = (cache.images.shape, cache.masks.shape)
            if shapes != ((*whole, 3), whole) or header["images"] != len(table):
                raise ValueError(f"arrays have shapes {shapes}, the table {len(table)} rows")
        except (KeyError, TypeError, ValueError, EOFError, OSError) as error:
            raise UserError(
                f"{folder}: not a whole cache ({error}); delete it and prepare it again"
            ) from None
        return cache

    @cached_property
    def images(self) -> npt.NDArray[np.uint8]:
        """(N, S, S, 3) uint8 in [0, 255], memory-mapped."""
        array: npt.NDArray[np.uint8] = np.load(self.folder / "images.npy", mmap_mode="r")
        return array

    @cached_property
    def masks(self) -> npt.NDArray[np.uint8]:
        """(N, S, S) uint8 in {0, 1}, memory-mapped."""
        array: npt.NDArray[np.uint8] = np.load(self.folder / "masks.npy", mmap_mode="r")
        return array

    @cached_property
    def boxes(self) -> list[npt.NDArray[np.float32]] | None:
        """Annotated boxes of every image, (M, 5) float32 as of `boxes.box_rows`; None if the dataset has none."""
        if BOXES not in self.table.columns:
            return None
        return [box_rows(text, self.defects) for text in self.table[BOXES]]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the arrays behind, so that a copy for another process stays small."""
        return {k: v for k, v in self.__dict__.items() if k not in {"images", "masks"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __len__(self) -> int:
        """Count the cached images."""
        return len(self.table)

    def rows(
        self,
        *,
        split: str | None = None,
        defective: bool | None = None,
        product: str | None = None,
        defect: str | None = None,
    ) -> Rows:
        """Choose rows; a criterion left out does not restrict.

        Args:
            split: `"train"`, `"val"` or `"test"`.
            defective: True for images with a defect, False for normal ones.
            product: name of a product.
            defect: name of a defect that the image has, alone or among others.

        Returns:
            (n,) int64, ascending.

        Raises:
            UserError: an unknown product or defect.
        """
        for name, known in ((product, self.products), (defect, self.defects)):
            if name is not None and name not in known:
                raise UserError(f"{self.dataset}: no {name!r}; known: {', '.join(known)}")
        chosen = np.ones(len(self.table), dtype=bool)
        if split is not None:
            chosen &= (self.table["split"] == split).to_numpy()
        if product is not None:
            chosen &= (self.table["product"] == product).to_numpy()
        if defective is not None:
            chosen &= (self.table["defects"].map(len) > 0).to_numpy() == defective
        if defect is not None:
            chosen &= np.array([defect in names for names in self.table["defects"]], dtype=bool)
        return np.flatnonzero(chosen).astype(np.int64)

    def multi_hot(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Give the labels of some rows.

        Returns:
            (n, K) float32 in {0, 1} over `defects`; all zero = normal.
        """
        column = {name: k for k, name in enumerate(self.defects)}
        labels = np.zeros((len(rows), len(self.defects)), dtype=np.float32)
        for i, names in enumerate(self.table["defects"].to_numpy()[rows]):
            for name in names:
                labels[i, column[name]] = 1
        return labels


def told_vanished(prepared: Prepared) -> list[str]:
    """Say of how many images of each defect the mask has no pixel left at the cached size, one line in all.

    An image whose mask was empty to begin with counts as well: it trains as background.
    """
    table = prepared.table
    lost = []
    for defect in prepared.defects:
        shown = table["defects"].map(lambda names, defect=defect: defect in names) & (
            table["mask"] != ""
        )
        gone = int((shown & (table["mask_pixels"] == 0)).sum())
        if gone:
            lost.append(f"{gone} of {int(shown.sum())} of {defect}")
    if not lost:
        return []
    return [
        f"masks without a pixel at {prepared.size} px, whose images train and test as background: {', '.join(lost)}"
    ]


def is_whole(folder: Path, plan: str) -> bool:
    """Say whether a folder holds the whole cache of a plan (a hash of what it was made from)."""
    try:
        if json.loads((folder / "prepared.json").read_text())["plan"] != plan:
            return False
        Prepared.open(folder)
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return False
    return True
