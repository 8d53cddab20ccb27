"""Make the decoded cache: every image once, as RGB uint8 at training resolution.

A cache is a folder: `images.npy` (N, S, S, 3) uint8, `masks.npy` (N, S, S) uint8 in {0, 1}, `table.csv` (one row per
cached image) and `prepared.json`. Images are resized with antialiased bicubic, binarised masks with nearest or by area
(`imaging.shrinking`); an oblong image is stretched to the square, its mask and boxes alike. The bytes follow from the manifest, its files and the options alone,
whatever the number of workers. The cache is written under a temporary name, which a killed run leaves and the next one
continues, and renamed when complete.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from filelock import FileLock
from PIL import Image

from defectbench.config import CannotWrite, UserError, UserErrors, nearest
from defectbench.data.cache.prepared import FILES, REVISION, Prepared, is_whole
from defectbench.data.cache.windows import MIN_DEFECT, Window, defect_windows, normal_windows
from defectbench.data.cache.workers import Runner, runner
from defectbench.data.files.boxes import fill_boxes, place_boxes, read_boxes, write_boxes
from defectbench.data.files.decoding import BadFile, decode_image, read_header
from defectbench.data.files.digests import source_digest
from defectbench.data.files.mask_parts import decode_merged
from defectbench.data.manifest import BOXES, LIST_SEPARATOR, Manifest
from defectbench.files import flush, tell_damage
from defectbench.imaging.shrinking import RULES, Shrinking, resize_mask

__all__ = ["Options", "Prepared", "prepare"]

Progress = Callable[[int, int], None]

CHUNK: Final = 32
"""Source images per unit of work, which is also what a kill may lose."""


@dataclass(frozen=True)
class Options:
    """What, beside the images, the cached bytes follow from.

    Attributes:
        size: side of the cached images, pixels.
        crop: side of the patches that are cut first, source pixels; None for whole images.
        normals_per_image: patches per normal image when cropping.
        least_defect: fraction of a patch of a defective image that must be defect.
        masks: how masks are shrunk, see `imaging.shrinking`.
    """

    size: int
    crop: int | None = None
    normals_per_image: int = 4
    least_defect: float = MIN_DEFECT
    masks: Shrinking = "nearest"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("size", "crop", "normals_per_image"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"prepare: {name} is {value}; wants at least 1")
        if not 0 <= self.least_defect < 1:
            raise UserError(
                f"prepare: least_defect is {self.least_defect}; wants a fraction from 0 to below 1"
            )
        if self.masks not in RULES:
            raise UserError(f"prepare: masks is {self.masks!r}; {nearest(self.masks, RULES)}")

    def said(self) -> dict[str, object]:
        """Say the options for the header of a cache; `masks` where they are not shrunk as they always were."""
        said = asdict(self)
        if self.masks == "nearest":
            del said["masks"]
        return said


@dataclass(frozen=True)
class _Source:
    """One image to decode."""

    id: str
    image: Path
    mask: Path | None
    defective: bool
    threshold: int
    boxes: str = ""


@dataclass(frozen=True)
class _Work:
    """A chunk of sources and where their rows go; small enough to send to a worker."""

    sources: list[_Source]
    windows: list[list[Window]]
    first_row: int
    folder: Path
    options: Options


def prepare(
    manifest: Manifest,
    folder: Path,
    *,
    size: int,
    crop: int | None = None,
    normals_per_image: int = 4,
    least_defect: float = MIN_DEFECT,
    masks: Shrinking = "nearest",
    workers: int = 0,
    progress: Progress | None = None,
    memo: Path | None = None,
) -> Prepared:
    """Decode a manifest into a cache; a whole cache of the same manifest, files and options is opened as it is.

    Args:
        manifest: the images.
        folder: the cache; a whole but different one that lies there is replaced.
        size: side of the cached images, pixels.
        crop: cut patches of this side (source pixels) before resizing: of defective images every patch of a grid of
            stride `crop // 2` that is defect for at least `least_defect`, of normal ones `normals_per_image` seeded ones. Ids get
            `@y,x` behind them; the group is inherited. Where there are boxes and no mask, their inside counts as defect.
        normals_per_image: see `crop`.
        least_defect: see `crop`; a fraction. More leaves fewer patches, none of them with a mere corner of a defect.
        masks: how masks are shrunk: `"nearest"`, or `"area"`, under which no region disappears.
        workers: processes besides this one; 0 decodes here.
        progress: called with (source images done, source images in all).
        memo: file that remembers content hashes, see `source_digest`.

    Raises:
        UserErrors: every file that cannot be decoded or differs in size from its mask.
        UserError: bad options, a defective image without mask when cropping, no room or no permission to write.
    """
    options = Options(size, crop, normals_per_image, least_defect, masks)
    if not len(manifest):
        raise UserError(f"{manifest.root}: no image to prepare; see the rules of the split")
    sources = _sources(manifest, crop)
    said = {
        "revision": REVISION,
        "manifest": manifest.digest(),
        "sources": source_digest(manifest, memo),
        **options.said(),
    }
    plan = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    if is_whole(folder, plan):
        return Prepared.open(folder)
    _refuse_strange(folder)
    partial = folder.with_name(f"{folder.name}.partial")
    with _telling_of_writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")), runner(workers) as run:
            if is_whole(folder, plan):  # another process was faster
                return Prepared.open(folder)
            windows = _windows(sources, options, run)
            table = _table(manifest, windows, sources, size)
            if not len(table):
                raise UserError(f"{manifest.root}: no mask marks a pixel; nothing to crop")
            begin_cache(partial, plan, len(table), size)
            _fill(partial, sources, windows, options, run, progress)
            table["mask_pixels"] = _count_mask_pixels(partial)
            vanished = int(
                ((table["mask"] != "") & _defective(table) & (table["mask_pixels"] == 0)).sum()
            )
            header = {
                "plan": plan,
                **said,
                "images": len(table),
                "dataset": manifest.dataset,
                "defects": list(manifest.defects),
                "products": list(manifest.products),
                "stand_in": manifest.stand_in,
                "masks_without_a_pixel": vanished,
            }
            finish_cache(partial, folder, table, header)
    return Prepared.open(folder)


def _refuse_strange(folder: Path) -> None:
    """Refuse to replace a folder that holds anything but a cache."""
    with _telling_of_writing(folder):
        names = {p.name for p in folder.iterdir()} if folder.exists() else set()
    if names - set(FILES):
        raise UserError(
            f"{folder}: holds {min(names - set(FILES))}, so it is no cache; name another folder"
        )


def _defective(table: pd.DataFrame) -> pd.Series:
    return table["defects"].map(len) > 0


def _sources(manifest: Manifest, crop: int | None) -> list[_Source]:
    columns = [manifest.table[c] for c in ("id", "image", "mask", "defects")]
    boxes = manifest.table[BOXES] if manifest.has_boxes else [""] * len(manifest)
    sources = [
        _Source(
            id=str(name),
            image=manifest.root / image,
            mask=manifest.root / mask if mask else None,
            defective=len(defects) > 0,
            threshold=manifest.mask_threshold,
            boxes=str(marked),
        )
        for name, image, mask, defects, marked in zip(*columns, boxes, strict=True)
    ]
    blind = [
        s.id for s in sources if crop is not None and s.defective and s.mask is None and not s.boxes
    ]
    if blind:
        raise UserError(
            f"{manifest.root}: crop={crop} needs to know where the defects are, but {len(blind)} defective images "
            f"have neither mask nor boxes (first: {blind[0]}); leave crop out"
        )
    return sources


def _windows(sources: list[_Source], options: Options, run: Runner) -> list[list[Window]]:
    """Say which windows of each source are cached: `[]` for a defective image whose mask is empty."""
    if options.crop is None:
        return [[Window()] for _ in sources]
    chunks = [
        _Work(sources[i : i + CHUNK], [], 0, Path(), options) for i in range(0, len(sources), CHUNK)
    ]
    found: list[list[Window]] = []
    problems: list[str] = []
    for windows, bad in run(_choose_windows, chunks):
        found += windows
        problems += bad
    _raise(problems)
    return found


def _choose_windows(work: _Work) -> tuple[list[list[Window]], list[str]]:
    crop, count = work.options.crop or 0, work.options.normals_per_image
    least = work.options.least_defect
    windows: list[list[Window]] = []
    problems: list[str] = []
    for source in work.sources:
        try:
            if source.defective and source.mask is not None:
                mask = decode_merged(source.mask, source.threshold)
                windows.append(defect_windows(mask, crop, least))
                continue
            head = read_header(source.image)
            if source.defective:
                inside = fill_boxes(read_boxes(source.boxes), head.height, head.width)
                windows.append(defect_windows(inside, crop, least))
            else:
                windows.append(normal_windows(head.height, head.width, crop, count, source.id))
        except BadFile as error:
            bad = source.mask if source.defective and source.mask is not None else source.image
            problems.append(f"{bad}: {error}")
    return windows, problems


def _table(
    manifest: Manifest, windows: list[list[Window]], sources: list[_Source], size: int
) -> pd.DataFrame:
    """Make one row per cached image: the manifest's columns, `origin` and the window's place; boxes in cached pixels."""
    repeats = np.repeat(np.arange(len(windows)), [len(w) for w in windows])
    table = manifest.table.iloc[repeats].reset_index(drop=True)
    flat = [w for ws in windows for w in ws]
    table.insert(1, "origin", table["id"])
    table["id"] = [f"{i}{w.suffix}" for i, w in zip(table["id"], flat, strict=True)]
    for name in ("y", "x", "side"):
        table[name] = np.array([getattr(w, name) for w in flat], dtype=np.int64)
    if manifest.has_boxes:
        table[BOXES] = [
            _place(source, window, size)
            for source, chosen in zip(sources, windows, strict=True)
            for window in chosen
        ]
    return table


def _place(source: _Source, window: Window, size: int) -> str:
    """Write the boxes of a source in the pixels of the cached image of a window."""
    if not source.boxes:
        return ""
    width = height = window.side
    if not window.side:
        try:
            head = read_header(source.image)
        except BadFile:
            return ""  # told when the image is decoded, which stops the cache
        width, height = head.width, head.height
    boxes = place_boxes(
        read_boxes(source.boxes),
        left=window.x,
        top=window.y,
        width=width,
        height=height,
        size=size,
    )
    return write_boxes(boxes)


def begin_cache(partial: Path, plan: str, images: int, size: int) -> None:
    """Lay out empty arrays, unless a killed run of the same plan left them."""
    note = partial / "plan"
    shapes = {"images.npy": (images, size, size, 3), "masks.npy": (images, size, size)}
    if note.is_file() and note.read_text() == plan and _as_long(partial, shapes):
        return
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    for name, shape in shapes.items():
        with (partial / name).open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.flush()
            total = file.tell() + int(np.prod(shape))
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(
                    file.fileno(), 0, total
                )  # a full disk shows now, not hours later
            file.truncate(total)
    note.write_text(plan)


def _as_long(partial: Path, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Say whether the arrays of an unfinished cache are as long as they were made; names the first that is not."""
    for name, shape in shapes.items():
        path = partial / name
        try:
            with path.open("rb") as file:
                np.lib.format.read_magic(file)
                np.lib.format.read_array_header_1_0(file)
                wanted = file.tell() + int(np.prod(shape))
            there = path.stat().st_size
        except (OSError, ValueError) as error:
            tell_damage(path, error, "this cache is made again")
            return False
        if there != wanted:
            tell_damage(path, f"{there} bytes of {wanted}", "this cache is made again")
            return False
    return True


def _fill(
    partial: Path,
    sources: list[_Source],
    windows: list[list[Window]],
    options: Options,
    run: Runner,
    progress: Progress | None,
) -> None:
    """Decode what is not decoded yet; each chunk done is noted in `done`."""
    journal = partial / "done"
    done = set(journal.read_text().split("\n")[:-1]) if journal.is_file() else set()
    first = np.concatenate([[0], np.cumsum([len(w) for w in windows])])
    chunks = range(0, len(sources), CHUNK)
    todo = [
        (i, _Work(sources[i : i + CHUNK], windows[i : i + CHUNK], int(first[i]), partial, options))
        for i in chunks
        if str(i) not in done
    ]
    finished = len(sources) - sum(len(work.sources) for _, work in todo)
    problems: list[str] = []
    with journal.open("a") as notes:
        results = run(_decode, [work for _, work in todo])
        for (index, work), bad in zip(todo, results, strict=True):
            problems += bad
            finished += len(work.sources)
            if not bad:
                notes.write(f"{index}\n")
                notes.flush()
            if progress is not None:
                progress(finished, len(sources))
    _raise(problems)


def _decode(work: _Work) -> list[str]:
    """Decode a chunk of sources into their rows of the arrays; return what is wrong with the files."""
    size = work.options.size
    problems: list[str] = []
    row = work.first_row
    with (
        (work.folder / "images.npy").open("r+b") as images,
        (work.folder / "masks.npy").open("r+b") as masks,
    ):
        start = {file: _data_offset(file.name) for file in (images, masks)}
        for source, windows in zip(work.sources, work.windows, strict=True):
            try:
                image = decode_image(source.image) if windows else np.zeros((1, 1, 3), np.uint8)
                mask = np.zeros(image.shape[:2], np.uint8)
                if source.mask is not None and windows:
                    mask = decode_merged(source.mask, source.threshold)
                    if mask.shape != image.shape[:2]:
                        raise BadFile(f"has another size than its mask {source.mask.name}")
            except BadFile as error:
                problems.append(f"{source.image}: {error}")
                continue
            finally:
                first, row = row, row + len(windows)
            pixels = [_resize(w.cut(image), size) for w in windows]
            marks = [resize_mask(w.cut(mask), size, work.options.masks).tobytes() for w in windows]
            os.pwrite(images.fileno(), b"".join(pixels), start[images] + first * size * size * 3)
            os.pwrite(masks.fileno(), b"".join(marks), start[masks] + first * size * size)
        for file in (images, masks):
            os.fsync(file.fileno())
    return problems


def _data_offset(path: str) -> int:
    with Path(path).open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return file.tell()


def _resize(pixels: np.ndarray, size: int) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return image.resize((size, size), Image.Resampling.BICUBIC).tobytes()


def _count_mask_pixels(partial: Path) -> list[int]:
    masks = np.load(partial / "masks.npy", mmap_mode="r")
    return [int(mask.sum(dtype=np.int64)) for mask in masks]


def finish_cache(
    partial: Path, folder: Path, table: pd.DataFrame, header: dict[str, object]
) -> None:
    """Write table and header, drop the notes, and put the cache in its place."""
    written = table.copy()
    written["defects"] = written["defects"].map(LIST_SEPARATOR.join)
    written.to_csv(partial / "table.csv", index=False, lineterminator="\n")
    (partial / "prepared.json").write_text(json.dumps(header, indent=1) + "\n")
    for name in FILES:
        flush(partial / name)
    for name in ("plan", "done"):
        (partial / name).unlink(missing_ok=True)
    old = folder.with_name(f"{folder.name}.old")
    if folder.exists():
        if old.exists():
            shutil.rmtree(old)
        folder.rename(old)
    partial.rename(folder)
    if old.exists():
        shutil.rmtree(old)


@contextmanager
def _telling_of_writing(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into words."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            text = (
                "no room left on the disk; free some and run it again, it goes on where it stopped"
            )
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
            text = f"cannot be written ({error.strerror}); name another folder"
        else:
            raise
        raise CannotWrite(f"{folder}: {text}") from None


def _raise(problems: list[str]) -> None:
    if problems:
        raise UserErrors(f"prepare: {len(problems)} files cannot be used", problems)
