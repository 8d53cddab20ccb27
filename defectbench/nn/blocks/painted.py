"""Samples of generators that paint on each normal image with numpy alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from defectbench.batch import Sample, to_float, to_uint8

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Paint = Callable[[Image, np.random.Generator, int], tuple[Image, Mask]]


def paint_each(normal: Tensor, rng: torch.Generator, paint: Paint) -> Sample:
    """Paint on every image of a batch with a random generator of its own.

    Args:
        normal: (B, 3, H, W) float32 in [-1, 1].
        rng: a CPU generator; one seed per image is taken from it, so an image does not depend on how the others were
            painted.
        paint: takes a uint8 image (H, W, 3), a numpy generator and the row's number, and returns the painted image and
            the bool mask (H, W) of what it painted.

    Returns:
        images and masks on the device of `normal`.
    """
    pictures = to_uint8(normal).permute(0, 2, 3, 1).cpu().numpy()
    seeds = torch.randint(2**62, (len(pictures),), generator=rng).tolist()
    images, masks = np.empty_like(pictures), np.zeros(pictures.shape[:3], dtype=np.bool_)
    for row, (picture, seed) in enumerate(zip(pictures, seeds, strict=True)):
        images[row], masks[row] = paint(picture.copy(), np.random.default_rng(seed), row)
    return Sample(
        image=to_float(torch.from_numpy(images).permute(0, 3, 1, 2)).contiguous().to(normal.device),
        mask=torch.from_numpy(masks)[:, None].float().to(normal.device),
    )
