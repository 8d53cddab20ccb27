"""What is exported and how it is written: one `Item` per image, and the `Writer` that every format shares.

Images are decoded by `data.files.decoding` and written as PNG, grey ones as grey, without EXIF or any other metadata, so that
no reader turns or reinterprets them. Every export carries `files.csv` (which file came from which image, with its
provenance) and `export.json` (the rules by which it was made).
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from defectbench.config import UserError, UserErrors
from defectbench.data.files.decoding import BadFile, decode_image, read_header
from defectbench.data.files.mask_parts import decode_merged, mask_files
from defectbench.data.files.pairing import told_size
from defectbench.data.manifest import LIST_SEPARATOR, PROVENANCE, Manifest

Mask = npt.NDArray[np.uint8]
Classes = Literal["defect", "product_defect", "single"]
Holes = Literal["bridge", "fill"]

GOOD: Final = "good"
"""Class of a normal image."""
JOIN: Final = "+"
"""Joins the names of an image with several defects to one class."""
SPLITS: Final = {
    "": "train",
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""The publisher's split, and what it is called in an export; without one an image is for training."""
UNMASKED: Final = frozenset({"invalid", "none"})


@dataclass(frozen=True)
class Options:
    """What a caller may choose; see `export`."""

    classes: Classes = "defect"
    min_area: int = 1
    polygons: bool = False
    holes: Holes = "bridge"


@dataclass(frozen=True)
class Item:
    """One image to export.

    Attributes:
        id: its id in the manifest.
        name: file name without suffix, unique in the export without regard to case.
        split: `train`, `val` or `test`.
        product: name of the product.
        defects: names of its defects; none = normal.
        label: its class, `good` if it has no defect.
        image: the file.
        mask: the mask's file; None if there is none that can be trusted.
        fields: further columns for `files.csv`.
    """

    id: str
    name: str
    split: str
    product: str
    defects: tuple[str, ...]
    label: str
    image: Path
    mask: Path | None
    fields: Mapping[str, str]


@dataclass
class Writer:
    """Writes the files of one export and keeps account of them.

    Attributes:
        manifest: what is exported.
        out: the folder that is filled.
        options: what the caller chose.
        licence: the dataset's, in the publisher's words.
        notes: what the user must know of this export.
        progress: called with images done and images in all.
    """

    manifest: Manifest
    out: Path
    options: Options
    licence: str
    notes: list[str] = field(default_factory=list)
    progress: Callable[[int, int], None] | None = None
    _files: list[dict[str, str]] = field(default_factory=list)
    _problems: dict[Path, str] = field(default_factory=dict)
    _masks: dict[Path, bool] = field(default_factory=dict)

    def image(self, item: Item, place: str) -> tuple[int, int] | None:
        """Write an item's image as PNG at `place`, relative to the export.

        Returns:
            (H, W) in pixels, None if it cannot be decoded (told by `finish`).
        """
        try:
            pixels = decode_image(item.image)
            grey = read_header(item.image).is_grey
        except BadFile as error:
            self._problems.setdefault(item.image, str(error))
            return None
        self._png(place, pixels[:, :, 0] if grey else pixels)
        self._files.append(
            {
                "file": place,
                "mask": "",
                "id": item.id,
                "split": item.split,
                "product": item.product,
                "defects": LIST_SEPARATOR.join(item.defects),
                **item.fields,
            }
        )
        if self.progress is not None:
            self.progress(len(self._files), len(self.manifest))
        return pixels.shape[0], pixels.shape[1]

    def read_mask(self, item: Item) -> Mask:
        """Read an item's mask by the manifest's rule.

        Returns:
            (H, W) uint8 in {0, 1}; all zero if there is none, or if it cannot be used (told by `finish`).
        """
        try:
            head = read_header(item.image)
        except BadFile as error:
            self._problems.setdefault(item.image, str(error))
            return np.zeros((1, 1), np.uint8)
        size = (head.height, head.width)
        if item.mask is None:
            return np.zeros(size, np.uint8)
        try:
            if wrong := told_size(head, read_header(mask_files(item.mask)[0]), item.image.name):
                raise BadFile(wrong)
            mask = decode_merged(item.mask, self.manifest.mask_threshold)
            self._masks[item.mask] = bool(mask.any())
            return mask
        except BadFile as error:
            self._problems.setdefault(item.mask, str(error))
            return np.zeros(size, np.uint8)

    def mask(self, mask: Mask, place: str) -> None:
        """Write the mask of the image written last, as grey PNG of 0 and 255."""
        self._png(place, mask * np.uint8(255))
        self._files[-1]["mask"] = place

    def text(self, place: str, content: str) -> None:
        """Write a text file in UTF-8 with line feeds, on every system."""
        path = self.out / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")

    def note(self, text: str) -> None:
        """Say something to the user, once."""
        if text not in self.notes:
            self.notes.append(text)

    def finish(self, to: str, rules: Mapping[str, Any]) -> None:
        """Write `files.csv` and `export.json`.

        Raises:
            UserErrors: images or masks that cannot be used, all of them.
        """
        if self._problems:
            raise UserErrors(
                f"export to {to}: {len(self._problems)} file(s) cannot be used",
                [f"{path}: {text}" for path, text in self._problems.items()],
            )
        if self._masks and not any(self._masks.values()):
            self.note(
                f"All {len(self._masks)} masks are empty: no pixel of them reaches {self.manifest.mask_threshold}."
            )
        if not self._files:
            raise UserError(
                f"export to {to}: nothing to write. " + " ".join(self.notes or ["No image."])
            )
        with (self.out / "files.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.DictWriter(file, list(self._files[0]), lineterminator="\n")
            rows.writeheader()
            rows.writerows(self._files)
        said = {
            "format": to,
            "dataset": self.manifest.dataset,
            "stand_in": self.manifest.stand_in,
            "licence": self.licence,
            "manifest_sha256": self.manifest.digest(),
            "mask_threshold": self.manifest.mask_threshold,
            **rules,
            "notes": self.notes,
        }
        self.text("export.json", json.dumps(said, indent=1, ensure_ascii=False) + "\n")

    @property
    def written(self) -> int:
        """Number of images written so far."""
        return len(self._files)

    def _png(self, place: str, pixels: npt.NDArray[np.uint8]) -> None:
        path = self.out / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, format="PNG", compress_level=1)


def items_of(manifest: Manifest, classes: Classes) -> list[Item]:
    """List what a manifest holds, in order of id.

    Raises:
        UserError: a split, a class or a defect has a name that no export can hold.
    """
    table = manifest.table.sort_values("id", kind="stable")
    splits = [str(split).casefold() for split in table["split"]]
    for split in sorted(set(splits) - set(SPLITS)):
        raise UserError(
            f"{manifest.dataset}: split {split!r} cannot be exported; rename it to train, val or test"
        )
    extra = [c for c in ("source", "mask_source", *PROVENANCE) if c in table.columns]
    names = file_names([str(id_) for id_ in table["id"]])
    items = []
    for row, split, name in zip(table.to_dict("records"), splits, names, strict=True):
        defects = tuple(str(defect) for defect in row["defects"])
        trusted = bool(row["mask"]) and row["mask_source"] not in UNMASKED
        items.append(
            Item(
                id=str(row["id"]),
                name=name,
                split=SPLITS[split],
                product=str(row["product"]),
                defects=defects,
                label=label_of(str(row["product"]), defects, classes),
                image=manifest.root / str(row["image"]),
                mask=manifest.root / str(row["mask"]) if trusted else None,
                fields={c: str(row[c]) for c in extra},
            )
        )
    return items


def label_of(product: str, defects: Sequence[str], classes: Classes) -> str:
    """Name the class of an image or of its regions.

    Raises:
        UserError: a defect is called like a normal image.
    """
    if not defects:
        return GOOD
    if GOOD in defects:
        raise UserError(f"{product}: a defect is called {GOOD!r}, as a normal image is; rename it")
    joined = JOIN.join(defects)
    return {"single": "defect", "defect": joined, "product_defect": f"{product}_{joined}"}[classes]


def class_names(manifest: Manifest, items: Iterable[Item], classes: Classes) -> list[str]:
    """List the classes in a fixed order, without `good`: those of the manifest first, then joined ones, sorted."""
    found = {item.label for item in items} - {GOOD}
    if classes == "single":
        return ["defect"]
    if classes == "defect":
        ours = [defect for defect in manifest.defects if defect != GOOD]
        return ours + sorted(found - set(ours))
    known = [f"{p}_{d}" for p in manifest.products for d in manifest.defects]
    return [name for name in known if name in found] + sorted(found - set(known))


def file_names(ids: Sequence[str]) -> list[str]:
    """Make one file name of each id: portable characters only, unique without regard to case."""
    names, seen = [], set[str]()
    for id_ in ids:
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", id_).strip("._") or "image"
        if name != id_.replace("/", "_") or name.casefold() in seen or len(name) > 120:
            name = f"{name[:100]}-{hashlib.sha256(id_.encode()).hexdigest()[:8]}"
        seen.add(name.casefold())
        names.append(name)
    return names


def folder_name(label: str) -> str:
    """Make a folder name of a class: no separators, nothing that a file system refuses."""
    name = re.sub(r'[\x00-\x1f/\\:*?"<>|]+', "_", label).strip(" .")
    if not name:
        raise UserError(f"class {label!r} gives no folder name; rename it")
    return name


def with_masks(writer: Writer, items: Iterable[Item], wanted: str) -> list[Item]:
    """Leave out defective images without a mask, and say so; they must not pass for background.

    Args:
        writer: takes the note.
        items: what is to be exported.
        wanted: what the format needs masks for, for the note.
    """
    kept, lost = [], 0
    for item in items:
        if item.defects and item.mask is None:
            lost += 1
        else:
            kept.append(item)
    if lost:
        writer.note(
            f"{lost} defective image(s) have no mask and were left out: {wanted}. "
            "image-folder and huggingface take them."
        )
    return kept
