"""Folders of anybody's images, looked at before anything is computed or written.

Every file is decoded once here, so that a broken one is named before the feature store sees the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from defectbench.config import UserError, UserErrors
from defectbench.data.files.decoding import (
    WIDE,
    BadFile,
    Header,
    decode_image,
    read_header,
    transparent_share,
)
from defectbench.data.files.listing import IMAGE_SUFFIXES, JPEG_SUFFIXES, look, told_unread
from defectbench.data.files.mask_parts import decode_merged
from defectbench.data.files.pairing import told_transparent, told_turned
from defectbench.features.images import FileImages, HeldImages, Pixels
from defectbench.imaging.shrinking import resize_mask

FEWEST = 2  # images per set; no score is defined on one
WORKERS = 2  # threads that decode

T = TypeVar("T")


@dataclass(frozen=True)
class Listing:
    """The image files of a folder and what their heads say.

    Attributes:
        role: what a message calls the set, for example "real".
        folder: where they lie.
        files: image files in order of their names.
        headers: size and mode of each.
        ignored: other files in the folder.
        folders: folders in it, which are not looked into.
    """

    role: str
    folder: Path
    files: tuple[Path, ...]
    headers: tuple[Header, ...]
    ignored: int
    folders: tuple[str, ...] = ()

    @property
    def sizes(self) -> dict[tuple[int, int], Path]:
        """Each (width, height) in pixels with the first file that has it."""
        found: dict[tuple[int, int], Path] = {}
        for file, header in zip(self.files, self.headers, strict=True):
            found.setdefault((header.width, header.height), file)
        return found

    def by_stem(self) -> dict[str, Path]:
        """Files by name without suffix.

        Raises:
            UserError: two files share one.
        """
        found: dict[str, Path] = {}
        for file in self.files:
            if file.stem in found:
                raise UserError(
                    f"{file} and {found[file.stem].name} have the same stem; masks and sources are "
                    "matched by stem, so give each image its own"
                )
            found[file.stem] = file
        return found

    def remarks(self) -> list[str]:
        """What a reader of the scores should know, one line each."""
        total, said = len(self.files), []
        jpeg = sum(file.suffix.lower() in JPEG_SUFFIXES for file in self.files)
        if jpeg:
            said.append(f"{jpeg} of {total} images are JPEG; its blocks move every score")
        wide = sum(header.mode in WIDE for header in self.headers)
        if wide:
            said.append(f"{wide} of {total} images have 16 bits; their high byte is used")
        grey = sum(header.is_grey for header in self.headers)
        if grey:
            said.append(f"{grey} of {total} images are grayscale; converted to RGB")
        if self.ignored:
            files = "file" if self.ignored == 1 else "files"
            said.append(f"{self.ignored} {files} without an image's suffix ignored")
        if self.folders:
            names = ", ".join(self.folders[:5]) + (" ..." if len(self.folders) > 5 else "")
            said.append(f"the folders in it are not looked into: {names}")
        looked = list(zip(self.files, self.headers, strict=True))
        shares = [transparent_share(file) for file, header in looked if header.see_through]
        said += told_transparent(shares, total)
        said += told_turned([(file.name, header, None) for file, header in looked])
        return [f"{self.role}: {line}" for line in said]


@dataclass(frozen=True)
class Opened:
    """A set whose every image decodes.

    Attributes:
        listing: its files.
        images: the images at their final size, held in memory up to a limit.
        digest: SHA-256 of the files.
        pixels: SHA-256 of each image's pixels at its final size.
    """

    listing: Listing
    images: HeldImages
    digest: str
    pixels: tuple[str, ...]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.pixels)

    def stack(self, indices: Sequence[int]) -> Pixels:
        """Images as (n, H, W, 3) uint8."""
        return np.stack([self.images.load(index).transpose(1, 2, 0) for index in indices])


def list_images(folder: Path, role: str) -> Listing:
    """Find the images of a folder, without its subfolders, and read their heads.

    Args:
        folder: the folder.
        role: what messages call it.

    Raises:
        UserError: there is no such folder or no image in it, or files are broken (all are named).
    """
    if not folder.is_dir():
        kind = "is a file" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {kind}; --{role} names a folder of images")
    if (folder / "manifest.csv").is_file() and (folder / "images").is_dir():
        raise UserError(
            f"{folder}: holds samples of defectbench, whose images lie in images/ beside a sheet of them; expected a "
            f"folder of images: --{role} {folder / 'images'}"
        )
    found = look(folder)
    if found.unread:
        raise UserErrors(
            f"--{role}: {len(found.unread)} pictures of kinds that are not read:",
            [f"{path}: {told_unread(path)}" for path in found.unread],
        )
    images, below = found.images, tuple(p.name for p in found.folders)
    if not images:
        hint = f"; it has the subfolders {', '.join(below[:5])}: name one of them" if below else ""
        raise UserError(
            f"{folder}: no image in it ({len(found.others)} other files); --{role} wants "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}{hint}"
        )
    headers = _each(images, read_header, role)
    return Listing(role, folder, images, tuple(headers), len(found.others), below)


def check_sizes(listings: Sequence[Listing], size: int | None) -> list[str]:
    """Say how images come to one size.

    Args:
        listings: all sets that are compared.
        size: side in pixels to which everything is resized, or None.

    Raises:
        UserError: sizes are mixed and no size is given; names a file of each of three sizes.
    """
    sizes: dict[tuple[int, int], Path] = {}
    for listing in listings:
        sizes = {**listing.sizes, **sizes}
    mixed = f"{len(sizes)} sizes from {_px(min(sizes))} to {_px(max(sizes))}"
    if size is None:
        if len(sizes) > 1:
            some = ", ".join(f"{file} is {_px(wh)}" for wh, file in list(sizes.items())[:3])
            raise UserError(f"images have {mixed} ({some}); give --size N to bring all to N x N px")
        return []
    if set(sizes) == {(size, size)}:
        return []
    told = mixed if len(sizes) > 1 else _px(next(iter(sizes)))
    squashed = "; what is not square is squashed" if any(w != h for w, h in sizes) else ""
    return [f"images have {told}; resized to {size} px, antialiased bicubic{squashed}"]


def open_images(listing: Listing, size: int | None, *, varied: bool = True) -> Opened:
    """Decode every image of a listing once.

    Args:
        listing: the files.
        size: side in pixels to which they are resized, or None.
        varied: whether one image, or copies of one, are refused.

    Raises:
        UserError: an image cannot be decoded or is too dark to be read, there are fewer than two, or
            all are the same.
    """
    if varied and len(listing.files) < FEWEST:
        raise UserError(
            f"{listing.folder}: one image ({listing.files[0].name}); --{listing.role} wants at least "
            f"{FEWEST}, as no score is defined on one"
        )
    images = HeldImages(FileImages(listing.files, decode_image, size=size))
    place = {file: index for index, file in enumerate(listing.files)}

    def look(file: Path) -> str:
        pixels = images.load(place[file])
        return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()

    digests = _each(listing.files, look, listing.role)
    if varied and len(set(digests)) == 1:
        raise UserError(
            f"{listing.folder}: all {len(digests)} images are the same picture "
            f"({listing.files[0].name} and the rest); --{listing.role} wants different ones"
        )
    return Opened(listing, images, images.digest(), tuple(digests))


def read_mask(path: Path, size: int | None, threshold: int) -> npt.NDArray[np.bool_]:
    """A mask as (H, W) bool, brought to a size by `imaging.shrinking.resize_mask`.

    Args:
        path: the file.
        size: side in pixels, or None.
        threshold: a pixel is set if its value is at least this.

    Raises:
        UserError: it cannot be decoded.
    """
    try:
        mask = decode_merged(path, threshold)
    except BadFile as error:
        raise UserError(f"{path}: {error}") from None
    if size is not None and mask.shape != (size, size):
        mask = resize_mask(mask, size, "area")
    return np.asarray(mask != 0)


def _px(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} px"


def _each(files: Sequence[Path], look: Callable[[Path], T], role: str) -> list[T]:
    """What `look` gives for every file, in order.

    Raises:
        UserErrors: some files are broken; names all of them.
    """
    problems: list[str] = []

    def careful(file: Path) -> T | None:
        try:
            return look(file)
        except BadFile as error:
            problems.append(f"{file}: {error}")
            return None

    with ThreadPoolExecutor(WORKERS) as pool:
        found = [value for value in pool.map(careful, files) if value is not None]
    if problems:
        raise UserErrors(f"--{role}: {len(problems)} of {len(files)} files:", sorted(problems))
    return found
