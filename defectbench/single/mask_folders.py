"""Masks of generated images and the normal images they were made from, matched by file name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from defectbench.config import UserError
from defectbench.data.files.decoding import BadFile
from defectbench.data.files.mask_rule import levels_of, rule_of
from defectbench.data.files.pairing import told_size, told_turned
from defectbench.single.image_folders import Listing, Opened, list_images, open_images, read_mask
from defectbench.stages.image_values import Looked


@dataclass(frozen=True)
class Matched:
    """Files that belong together.

    Attributes:
        places: index in the generated set of each image that has a mask.
        masks: its mask.
        sources: the normal images in the same order.
        threshold: a mask's pixel is a defect if its value is at least this.
    """

    places: tuple[int, ...]
    masks: tuple[Path, ...]
    sources: Listing
    threshold: int


@dataclass(frozen=True)
class Masked:
    """Generated images with their masks and the normal images that they were made from.

    Attributes:
        places: index in the generated set of each image that has a mask.
        masks: (K, H, W) bool.
        sources: the normal images in the same order.
    """

    places: tuple[int, ...]
    masks: npt.NDArray[np.bool_]
    sources: Opened

    @property
    def digest(self) -> str:
        """SHA-256 of places, masks and sources."""
        content = hashlib.sha256(repr((self.places, self.masks.shape)).encode())
        content.update(np.packbits(self.masks).tobytes())
        content.update(self.sources.digest.encode())
        return content.hexdigest()


def match_masks(
    fake: Listing, masks: Path, sources: Path | None, say: Callable[[str], None]
) -> Matched | None:
    """Match masks and sources to generated images by stem; a mask may end in "_mask".

    Args:
        fake: the generated images.
        masks: folder of masks.
        sources: folder of normal images, or None.
        say: gets remarks.

    Returns:
        what belongs together; None without sources, as nothing can be measured then.

    Raises:
        UserError: a mask has no image or not its size, an image with a mask has no source, or a file
            is broken.
    """
    listing = list_images(masks, "masks")
    images = fake.by_stem()
    found: dict[str, Path] = {}
    for stem, file in listing.by_stem().items():
        short = stem if stem in images else stem.removesuffix("_mask")
        if short in found:
            raise UserError(f"{file} and {found[short].name} are masks of one image; keep one")
        found[short] = file
    _refuse("masks have no image", [found[s] for s in found if s not in images], fake.folder)
    stems = list(images)
    places = tuple(place for place, stem in enumerate(stems) if stem in found)
    chosen = tuple(found[stems[place]] for place in places)
    sizes = dict(zip(listing.files, listing.headers, strict=True))
    for place, mask in zip(places, chosen, strict=True):
        if wrong := told_size(fake.headers[place], sizes[mask], fake.files[place].name):
            raise UserError(f"{mask}: {wrong}")
    turned = [
        (fake.files[p].name, fake.headers[p], sizes[m]) for p, m in zip(places, chosen, strict=True)
    ]
    threshold = own_threshold(chosen, masks, say)
    for line in told_turned(turned):
        say(f"masks: {line}")
    if len(places) < len(stems):
        say(f"masks: {len(stems) - len(places)} of {len(stems)} generated images have none")
    if sources is None:
        say("masks: nothing is measured with them without --sources DIR, the normal images")
        return None
    normals = list_images(sources, "sources")
    normal = normals.by_stem()
    _refuse(
        "generated images have a mask but no source of the same stem",
        [fake.files[p] for p in places if stems[p] not in normal],
        sources,
    )
    heads = dict(zip(normals.files, normals.headers, strict=True))
    used = tuple(normal[stems[place]] for place in places)
    return Matched(
        places,
        chosen,
        Listing(
            "sources",
            sources,
            used,
            tuple(heads[file] for file in used),
            normals.ignored,
            normals.folders,
        ),
        threshold,
    )


def own_threshold(masks: Sequence[Path], named: Path, say: Callable[[str], None]) -> int:
    """Choose the value from which on pixels of a set of masks are a defect, see `data.files.mask_rule`.

    Args:
        masks: files.
        named: what the user named, for messages.
        say: gets remarks.

    Raises:
        UserError: a mask cannot be decoded, or no one threshold reads all.
    """
    found = []
    for path in masks:
        try:
            found.append(levels_of(path))
        except BadFile as error:
            raise UserError(f"{path}: {error}") from None
    rule = rule_of(found)
    if rule.problem:
        raise UserError(f"{named}: {rule.problem}")
    for line in rule.remarks:
        say(f"masks: {line}")
    return rule.threshold


def open_masks(matched: Matched, size: int | None) -> Masked:
    """Decode masks and sources.

    Args:
        matched: the files; their images have one size, or `size` is given.
        size: side in pixels to which they are resized, or None.

    Raises:
        UserError: a file cannot be decoded.
    """
    masks = np.stack([read_mask(path, size, matched.threshold) for path in matched.masks])
    return Masked(matched.places, masks, open_images(matched.sources, size, varied=False))


def _refuse(what: str, files: Sequence[Path], where: Path) -> None:
    """Raise if there are such files; names the first ten."""
    if files:
        more = f" and {len(files) - 10} more" if len(files) > 10 else ""
        names = ", ".join(file.name for file in files[:10])
        raise UserError(
            f"{where}: {len(files)} {what} here: {names}{more}; stems must match: add what is missing or "
            "take these away"
        )


def looked(masked: Masked, fake: Opened) -> Looked:
    """Generated images with their masks and sources, as mask scores look at them."""
    places = np.array(masked.places, dtype=np.int64)
    return Looked(
        images=lambda some: fake.stack(some.tolist()),
        masks=lambda some: masked.masks[np.searchsorted(places, some)],
        sources=lambda some: masked.sources.stack(np.searchsorted(places, some).tolist()),
        everyone=np.arange(len(fake), dtype=np.int64),
        masked=places,
        sourced=places,
    )
