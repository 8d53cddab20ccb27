"""Masks of translated images, from what the translation changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from defectbench.batch import to_uint8
from defectbench.imaging.masks import anchor_difference_mask, difference_mask

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
