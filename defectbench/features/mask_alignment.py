"""Does a synthetic defect lie where its mask says, and is the rest of the image left alone?

For generators that give masks. Every function gives one value per image, so that means, intervals
and worst cases come from the same numbers (`scoring.image_rows`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from defectbench.features.images import Pixels
from defectbench.features.lpips import Lpips
from defectbench.features.lpips_pairs import batch_size, exact_arithmetic
from defectbench.metrics.base import Array, Floats

VISIBLE = 10.0  # grey levels of 255; below that a change is lost in the noise of most cameras


def mask_iou(masks: npt.ArrayLike, predicted: npt.ArrayLike) -> Floats:
    """Intersection over union of the given masks with those that an inspector finds.

    The inspector is a segmentation network trained on real images only, at its own threshold.

    Args:
        masks: (N, H, W), nonzero = where the generator says the defect is.
        predicted: (N, H, W), nonzero = where the inspector sees one.

    Returns:
        (N,) in [0, 1]; nan where both are empty.

    Raises:
        ValueError: shapes differ or are not (N, H, W).
    """
    given, found = _stack(masks, "masks"), _stack(predicted, "predicted masks")
    if given.shape != found.shape:
        raise ValueError(f"masks are {given.shape} but predicted masks are {found.shape}")
    return _ratio((given & found).sum(axis=(1, 2)), (given | found).sum(axis=(1, 2)))


def without_predicted_defect(scores: npt.ArrayLike, threshold: float) -> Floats:
    """1 where no pixel of an image reaches the inspector's threshold, else 0.

    Args:
        scores: (N, H, W) defect scores of a segmentation network trained on real images only.
        threshold: its threshold, chosen on validation data.

    Returns:
        (N,); the mean is the rate of images in which the inspector sees no defect.

    Raises:
        ValueError: not (N, H, W), or NaN.
    """
    maps = np.asarray(scores)
    if maps.ndim != 3 or np.isnan(maps).any():
        raise ValueError(f"scores are {maps.shape} or hold NaN; want (N, H, W) without")
    return np.asarray(maps.max(axis=(1, 2)) < threshold, dtype=np.float64)


def background_l1(images: Pixels, sources: Pixels, masks: npt.ArrayLike) -> Floats:
    """Mean absolute difference to the normal source image outside the mask.

    Args:
        images: (N, H, W, 3) uint8 synthetic images.
        sources: (N, H, W, 3) uint8 normal images they were made from.
        masks: (N, H, W), nonzero = defect.

    Returns:
        (N,) fraction of the full range, in [0, 1]; nan where the mask covers the image.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    change, mask = _change(images, sources, masks)
    outside = (~mask).sum(axis=(1, 2))
    return _ratio((change * ~mask).sum(axis=(1, 2)), 255.0 * outside)


def background_lpips(net: Lpips, images: Pixels, sources: Pixels, masks: npt.ArrayLike) -> Floats:
    """LPIPS to the normal source image with the masked part of the source put back.

    What changed inside the mask is erased, so only changes outside count.

    Args:
        net: the network, on the device to be used.
        images: (N, H, W, 3) uint8 synthetic images.
        sources: (N, H, W, 3) uint8 normal images they were made from.
        masks: (N, H, W), nonzero = defect.

    Returns:
        (N,) distances, 0 where nothing changed.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    mask = _checked(images, sources, masks)
    restored = np.where(mask[..., None], sources, images)
    device = net.shift.device
    step = batch_size(mask.shape[1], mask.shape[2], device)
    found = np.empty(len(mask))
    with exact_arithmetic():
        for start in range(0, len(mask), step):
            rows = slice(start, start + step)
            first, second = (
                net(torch.from_numpy(x[rows].transpose(0, 3, 1, 2).copy()).to(device))
                for x in (restored, sources)
            )
            found[rows] = (first - second).square().sum(dim=1).double().cpu().numpy()
    return found


def change_inside(images: Pixels, sources: Pixels, masks: npt.ArrayLike) -> Floats:
    """Share of the whole absolute change that falls inside the mask.

    Args:
        images: (N, H, W, 3) uint8 synthetic images.
        sources: (N, H, W, 3) uint8 normal images they were made from.
        masks: (N, H, W), nonzero = defect.

    Returns:
        (N,) in [0, 1]; nan where nothing changed.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    change, mask = _change(images, sources, masks)
    return _ratio((change * mask).sum(axis=(1, 2)), change.sum(axis=(1, 2)))


def without_visible_change(
    images: Pixels, sources: Pixels, masks: npt.ArrayLike, *, levels: float = VISIBLE
) -> Floats:
    """1 where nowhere inside the mask a 3 x 3 mean of the change reaches `levels`, else 0.

    Args:
        images: (N, H, W, 3) uint8 synthetic images.
        sources: (N, H, W, 3) uint8 normal images they were made from.
        masks: (N, H, W), nonzero = defect.
        levels: grey levels, in (0, 255].

    Returns:
        (N,); the mean is the rate of images without a visible defect.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    change, mask = _change(images, sources, masks)
    smooth = ndimage.uniform_filter(change, size=(1, 3, 3), mode="nearest")
    return np.asarray((smooth * mask).max(axis=(1, 2)) < levels, dtype=np.float64)


def _ratio(part: Array, whole: Array) -> Floats:
    """Give part / whole (N,); nan where the whole is 0."""
    out = np.full(len(whole), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _stack(masks: npt.ArrayLike, what: str) -> npt.NDArray[np.bool_]:
    """Masks as booleans (N, H, W)."""
    array: npt.NDArray[Any] = np.asarray(masks)
    if array.ndim != 3:
        raise ValueError(f"{what} are {array.shape}; want (N, H, W)")
    return np.asarray(array != 0)


def _checked(images: Pixels, sources: Pixels, masks: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """The masks, after checking that the three arrays fit."""
    mask = _stack(masks, "masks")
    for what, array in (("images", images), ("sources", sources)):
        if array.shape != (*mask.shape, 3) or array.dtype != np.uint8:
            raise ValueError(
                f"{what} are {array.shape} {array.dtype}; want {(*mask.shape, 3)} uint8, one per mask"
            )
    return mask


def _change(
    images: Pixels, sources: Pixels, masks: npt.ArrayLike
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Absolute difference (N, H, W) in grey levels, mean of the channels, and the masks."""
    mask = _checked(images, sources, masks)
    difference = np.abs(images.astype(np.int16) - sources.astype(np.int16))
    return difference.mean(axis=3), mask
