"""Masks at their own size, read again from the files that a cache was made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from defectbench.config import UserError
from defectbench.data.cache.prepared import Prepared, Rows
from defectbench.data.cache.windows import Window
from defectbench.data.files.decoding import BadFile, read_header
from defectbench.data.files.mask_parts import decode_merged
from defectbench.data.manifest import Manifest
from defectbench.imaging.shrinking import Shrinking, resize_mask


def own_masks(
    prepared: Prepared, rows: Rows, manifest: Manifest, rule: Shrinking
) -> Sequence[npt.NDArray[np.uint8]]:
    """Read the masks behind some rows of a cache before they were shrunk.

    Args:
        prepared: the cache.
        rows: which of its images.
        manifest: the images that it was made from.
        rule: how their masks were shrunk.

    Returns:
        one (h, w) in {0, 1} per row, of the size of the image or patch; all zero where an image has no mask.

    Raises:
        UserError: a file cannot be read, or is not the one that the cache was made from.
    """
    found = []
    for row, image in zip(rows, prepared.table.iloc[rows].to_dict("records"), strict=True):
        path = manifest.root / (image["mask"] or image["image"])
        window = Window(image["y"], image["x"], image["side"])
        try:
            if image["mask"]:
                mask = window.cut(decode_merged(path, manifest.mask_threshold))
            else:
                head = read_header(path)
                mask = window.cut(np.zeros((head.height, head.width), np.uint8))
        except BadFile as error:
            raise UserError(f"{path}: {error}") from None
        if not np.array_equal(resize_mask(mask, prepared.size, rule), prepared.masks[row]):
            raise UserError(
                f"{path}: not the mask that {prepared.folder} was made from; bring that one back, or delete this folder "
                "and run again"
            )
        found.append(mask)
    return found
