"""What a user's copy of a dataset holds against what was published, and a sheet to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from defectbench.config import UserError, UserErrors
from defectbench.data.files.decoding import BadFile, Pixels, decode_image
from defectbench.data.files.listing import natural
from defectbench.data.files.mask_parts import decode_merged, decode_merged_values
from defectbench.data.files.scanning import GOOD
from defectbench.data.manifest import Manifest
from defectbench.datasets.base import Dataset

ANY: Final = "*"
"""In place of a defect's name in `Dataset.counts`: images with any defect."""


@dataclass(frozen=True)
class Count:
    """Images of one kind.

    Attributes:
        kind: `product/split/defect`; normal is `good`, `*` is any defect.
        found: images there.
        expected: images published; None if that kind is not in the fact sheet.
    """

    kind: str
    found: int
    expected: int | None

    @property
    def differs(self) -> bool:
        """Whether another number was published."""
        return self.expected is not None and self.found != self.expected


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        title: of the dataset.
        root: what was checked.
        counts: by kind, naturally sorted; empty if the scan failed.
        problems: what must be mended before the dataset can be used, one line each.
        notes: what is worth knowing: counts that differ, empty masks, grey mask pixels.
        manifest: what the scan gave; None if it failed.
    """

    title: str
    root: Path
    counts: tuple[Count, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    manifest: Manifest | None

    @property
    def usable(self) -> bool:
        """Whether the dataset can be used."""
        return not self.problems


def check(
    dataset: Dataset,
    root: Path,
    products: Sequence[str] | None = None,
    *,
    deep: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Scan a dataset and compare it with what was published.

    Args:
        dataset: the adapter.
        root: the dataset's folder.
        products: which products; all that are there by default.
        deep: also decode every image and mask, which finds damage that the heads of the files do not show.
        progress: called with (images decoded, images in all).
    """
    try:
        manifest = dataset.scan(root, products)
    except UserErrors as error:
        return Report(dataset.title, root, (), error.problems, (), None)
    except UserError as error:
        return Report(dataset.title, root, (), (str(error),), (), None)
    counts = count(manifest, dataset.counts)
    notes = list(manifest.remarks)
    if manifest.stand_in:
        notes.append(
            "this is a stand-in, drawn in place of the dataset: its counts are those asked for"
        )
    elif differing := [c for c in counts if c.differs]:
        said = ", ".join(f"{c.kind} {c.found} instead of {c.expected}" for c in differing[:6])
        more = f" and {len(differing) - 6} more" if len(differing) > 6 else ""
        notes.append(f"counts differ from the published ones: {said}{more}")
    problems: list[str] = []
    if deep:
        problems, seen = _decode_all(manifest, progress)
        notes += seen
        if dataset.own_images and not problems:
            notes += _told_alike(manifest)
    return Report(dataset.title, root, counts, tuple(problems), tuple(notes), manifest)


def count(manifest: Manifest, expected: Mapping[str, int]) -> tuple[Count, ...]:
    """Count images by product, published split and defect, and set the published numbers beside.

    An image with several defects counts for each of them. Of the published kinds only those of the manifest's products
    are listed.
    """
    table = manifest.table
    found: Counter[str] = Counter()
    rows = zip(table["product"], table["split"], table["defects"], strict=True)
    for product, split, names in rows:
        found.update(f"{product}/{split}/{name}" for name in names or (GOOD,))
        if names:
            found[f"{product}/{split}/{ANY}"] += 1
    known = {kind for kind in expected if kind.split("/")[0] in manifest.products}
    kinds = known | {kind for kind in found if not kind.endswith(f"/{ANY}")}
    return tuple(Count(k, found[k], expected.get(k)) for k in sorted(kinds, key=natural))


def _told_alike(manifest: Manifest) -> list[str]:
    """Say which images of different groups look alike: a split may put them on different sides."""
    from defectbench.data.files.groups import near_pairs, signatures

    table = manifest.table
    groups = np.unique(table["group"].to_numpy(dtype=str), return_inverse=True)[1]
    pairs = near_pairs(signatures(manifest), table["product"].tolist(), groups.astype(np.int64))
    if not pairs:
        return []
    first, second, alike = pairs[0]
    return [
        f"{len(pairs)} pairs of images look alike, as photographs of one part do (first: {table['id'].iloc[first]} and "
        f"{table['id'].iloc[second]}, correlation {alike:.2f}); a split may put them on different sides: name their part "
        "in the column `group` of a table of paths"
    ]


def _decode_all(
    manifest: Manifest, progress: Callable[[int, int], None] | None
) -> tuple[list[str], list[str]]:
    """Decode everything; return problems and notes."""
    problems: list[str] = []
    empty: list[str] = []
    marked: list[str] = []
    grey = pixels = 0
    table = manifest.table
    rows = list(zip(table["id"], table["image"], table["mask"], table["defects"], strict=True))
    for number, (name, image, mask, defects) in enumerate(rows, 1):
        path = manifest.root / image
        try:
            decode_image(path)
            if mask:
                path = manifest.root / mask
                values = decode_merged_values(path)
                grey += int(((values > 0) & (values < 255)).sum())
                pixels += values.size
                holds = bool((values >= manifest.mask_threshold).any())
                if defects and not holds:
                    empty.append(name)
                if holds and not defects:
                    marked.append(name)
        except BadFile as error:
            problems.append(f"{path}: {error}")
        if progress is not None:
            progress(number, len(rows))
    notes = []
    if grey:
        notes.append(
            f"{grey} of {pixels} mask pixels are neither 0 nor 255; a defect is value >= {manifest.mask_threshold}"
        )
    for names, text in (
        (empty, "defective images whose mask marks no pixel"),
        (marked, "normal images whose mask marks a pixel"),
    ):
        if names:
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            notes.append(f"{len(names)} {text}: {', '.join(names[:8])}{more}")
    return problems, notes


def contact_sheet(
    manifest: Manifest,
    rows: npt.NDArray[np.int64] | Sequence[int] | None = None,
    *,
    size: int = 160,
    columns: int = 8,
) -> Pixels:
    """Lay out images with their masks outlined in red.

    Args:
        manifest: the images.
        rows: which rows of its table, in order, labelled below; by default some of every kind (see `some_of_each`), each
            kind in a row of its own that begins with its name.
        size: side of a tile, pixels; oblong images keep their shape, on grey.
        columns: tiles per row.

    Returns:
        (H, W, 3) uint8.

    Raises:
        UserError: no rows.
        defectbench.data.files.decoding.BadFile: an image or mask cannot be decoded.
    """
    from defectbench.imaging.grid import grid

    if rows is not None and len(rows):
        tiles = [_tile(manifest, int(row), size) for row in rows]
        names = [" ".join(manifest.table["defects"].iloc[int(row)]) or GOOD for row in rows]
        return np.asarray(grid(tiles, min(columns, len(tiles)), labels=names), dtype=np.uint8)
    kinds: dict[str, list[Pixels]] = {}
    for row in some_of_each(manifest, columns) if rows is None else ():
        record = manifest.table.iloc[int(row)]
        name = " + ".join(record["defects"]) or GOOD
        if len(manifest.products) > 1:
            name = f"{record['product']}: {name}"
        kinds.setdefault(name, []).append(_tile(manifest, int(row), size))
    if not kinds:
        raise UserError(f"{manifest.root}: no image to show")
    wide = max(map(len, kinds.values()))
    blank = np.full((size, size, 3), 255, dtype=np.uint8)
    filled = [tile for tiles in kinds.values() for tile in [*tiles, *[blank] * (wide - len(tiles))]]
    return np.asarray(grid(filled, wide, row_labels=list(kinds)), dtype=np.uint8)


def _tile(manifest: Manifest, row: int, size: int) -> Pixels:
    """Fit an image into a square and outline its mask."""
    from defectbench.imaging.masks import outline

    record = manifest.table.iloc[row]
    image = decode_image(manifest.root / record["image"])
    mask = np.zeros(image.shape[:2], dtype=np.uint8)
    if record["mask"]:
        mask = decode_merged(manifest.root / record["mask"], manifest.mask_threshold)
    fitted = _fit(image, size, Image.Resampling.BICUBIC)
    return np.asarray(outline(fitted, _fit(mask, size, Image.Resampling.BOX) > 0), dtype=np.uint8)


def some_of_each(manifest: Manifest, number: int) -> npt.NDArray[np.int64]:
    """Choose up to `number` rows of every product and combination of defects, spread over the parts."""
    table = manifest.table
    parts: dict[tuple[str, tuple[str, ...]], dict[str, list[int]]] = {}
    rows = zip(table["product"], table["defects"], table["group"], strict=True)
    for row, (product, names, group) in enumerate(rows):
        parts.setdefault((product, names), {}).setdefault(group, []).append(row)
    picked: list[int] = []
    for kind in sorted(parts, key=lambda kind: (natural(kind[0]), len(kind[1]), kind[1])):
        members = list(parts[kind].values())
        if len(members) >= number:
            picked += [members[k * len(members) // number][0] for k in range(number)]
        else:
            turns = zip_longest(*members)  # the first of every part, then the second of every part
            picked += [row for turn in turns for row in turn if row is not None][:number]
    return np.array(picked, dtype=np.int64)


def _fit(pixels: Pixels, size: int, how: Image.Resampling) -> Pixels:
    """Shrink or enlarge to fit a square, on grey (images) or nothing (masks)."""
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    ground = 200 if pixels.ndim == 3 else 0
    square = np.full((size, size, *pixels.shape[2:]), ground, dtype=np.uint8)
    source = pixels if pixels.ndim == 3 else np.asarray(pixels * np.uint8(255), dtype=np.uint8)
    top, left = (size - inner[1]) // 2, (size - inner[0]) // 2
    square[top : top + inner[1], left : left + inner[0]] = Image.fromarray(source).resize(
        inner, how
    )
    return square
