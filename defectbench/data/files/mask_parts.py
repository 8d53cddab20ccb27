"""A mask that was published in several files: a folder, whose pixels are the brightest over all files in it.

MVTec LOCO has one file per changed object of an image; they may overlap at borders, so they are merged by maximum before
the threshold, which is their union.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from defectbench.config import UserError
from defectbench.data.files.decoding import BadFile, Pixels, decode_mask_values
from defectbench.data.files.listing import look, told_unread


def mask_files(path: Path) -> list[Path]:
    """List the files of a mask: itself, or the images in a folder, sorted.

    Raises:
        BadFile: the folder holds none.
    """
    if not path.is_dir():
        return [path]
    try:
        found = look(path)
    except UserError as error:
        raise BadFile(str(error)) from None
    if found.unread:
        raise BadFile(f"holds {found.unread[0].name}, which {told_unread(found.unread[0])}")
    if not found.images:
        raise BadFile("holds no mask; wants one image or more, e.g. 000.png")
    return sorted(found.images)


def decode_merged(path: Path, threshold: int) -> Pixels:
    """Decode a mask in one file or in a folder of files, and binarise it.

    Args:
        path: file or folder.
        threshold: a pixel is a defect if its value is at least this in any file; in [1, 255].

    Returns:
        (H, W) uint8 in {0, 1}.

    Raises:
        BadFile: a file cannot be used, or they differ in size.
    """
    return np.asarray(decode_merged_values(path) >= threshold, dtype=np.uint8)


def decode_merged_values(path: Path) -> Pixels:
    """Decode a mask in one file or in a folder of files to one value per pixel, before the threshold.

    Returns:
        (H, W) uint8 in [0, 255]: the brightest over all files.

    Raises:
        BadFile: a file cannot be used, or they differ in size.
    """
    parts = [decode_mask_values(part) for part in mask_files(path)]
    sizes = {part.shape for part in parts}
    if len(sizes) > 1:
        raise BadFile(f"holds masks of different sizes {sorted(sizes)}; wants the image's")
    return np.asarray(np.maximum.reduce(parts), dtype=np.uint8)
