"""Binary masks from images: what a translation changed, what a soft mask holds, where the object is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, threshold_otsu
from torch import Tensor

from defectbench.batch import to_uint8
from defectbench.imaging.components import label_components
from defectbench.imaging.masks import anchor_difference_mask, difference_mask

LEAST_CONTRAST = 12  # grey levels; a flatter image is all object

_Rule = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], tuple[npt.NDArray[np.bool_], bool]]


def difference_masks(image: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """Derive masks from images and the normal images they were made from (`imaging.masks.difference_mask`).

    Args:
        image: (B, 3, H, W) in [-1, 1].
        source: (B, 3, H, W) in [-1, 1].

    Returns:
        masks (B, 1, H, W) in {0, 1} and whether each is valid, (B,) bool, on the images' device.
    """
    return _derive(difference_mask, image, source)


def anchor_masks(image: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor]:
    """Derive masks from images with and without a defect by the same generator (`imaging.masks.anchor_difference_mask`).

    Args and returns are those of `difference_masks`.
    """
    return _derive(anchor_difference_mask, image, anchor)


def _derive(rule: _Rule, image: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    pictures, others = (to_uint8(t).permute(0, 2, 3, 1).cpu().numpy() for t in (image, other))
    derived = [rule(one, two) for one, two in zip(pictures, others, strict=True)]
    masks = torch.from_numpy(np.stack([mask for mask, _ in derived]))[:, None].float()
    valid = torch.tensor([valid for _, valid in derived])
    return masks.to(image.device), valid.to(image.device)


def harden(
    soft: Tensor, *, level: float = 0.25, faint: float = 0.1, most: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Threshold soft masks with hysteresis: what exceeds the level, and what touches that and is not faint.

    So the thin edges of a mark belong to it, and traces elsewhere do not. A mask that stays below the level everywhere
    has Otsu's threshold for its level. Each image is treated on its own, so that what is made does not depend on what is
    made beside it.

    Args:
        soft: (B, 1, H, W) in [0, 1].
        level: high threshold.
        faint: low threshold; a mask whose largest value is below this is invalid.
        most: share of the image above which a mask is invalid.

    Returns:
        masks (B, 1, H, W) in {0, 1} and whether each is valid, (B,) bool.
    """
    soft = soft.detach().float()
    peak = soft.flatten(1).amax(1)  # (B,)
    mask = torch.zeros_like(soft)
    for row in (peak >= faint).nonzero().flatten().tolist():
        map_ = soft[row, 0].cpu().numpy()
        high = level if peak[row] > level else float(threshold_otsu(map_))
        found = apply_hysteresis_threshold(map_, min(faint, high), high)
        mask[row, 0] = torch.from_numpy(found).to(mask)
    share = mask.flatten(1).mean(1)
    return mask, (peak >= faint) & (share > 0) & (share <= most)


def object_masks(image: Tensor, closing: int = 5) -> Tensor:
    """Find objects by Otsu's threshold on the distance from the colour of the image's border.

    The largest component is kept, closed and filled. An image without contrast is all object.

    Args:
        image: normal images, (B, 3, H, W) in [-1, 1].
        closing: side of the closing's square, pixels.

    Returns:
        (B, 1, H, W) in {0, 1}, on the images' device.
    """
    masks = []
    for picture in to_uint8(image).permute(0, 2, 3, 1).cpu().numpy():
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        flat = np.median(border, axis=0)  # (3,)
        distance = np.abs(picture - flat).max(axis=2)  # (H, W)
        found = np.ones(distance.shape, dtype=np.bool_)
        if distance.max() >= LEAST_CONTRAST:
            labels, _ = label_components(distance > threshold_otsu(distance))
            found = labels == np.bincount(labels.ravel())[1:].argmax() + 1
            padded = np.pad(found, closing, mode="edge")
            closed = ndimage.binary_closing(padded, np.ones((closing, closing), dtype=bool))
            found = ndimage.binary_fill_holes(closed[closing:-closing, closing:-closing])
        masks.append(found)
    return torch.from_numpy(np.stack(masks))[:, None].float().to(image.device)
