"""What flows between the parts: batches, requests and the one bridge between value ranges.

Floats are in [-1, 1] and uint8 in [0, 255]: the dtype is the range, and `to_uint8` / `to_float` are the only bridges.
Letters: B images, K defect names of the dataset, H and W pixels.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

import torch
from torch import Tensor


class Batch(TypedDict):
    """Images and what is known of them."""

    image: Tensor  # (B, 3, H, W) float32 in [-1, 1]
    mask: Tensor  # (B, 1, H, W) float32 in {0, 1}; 1 = defect
    defects: Tensor  # (B, K) float32 multi-hot over the dataset's defect names; all zero = normal
    product: Tensor  # (B,) int64, index into the dataset's products
    synthetic: Tensor  # (B,) bool
    boxes: NotRequired[
        Tensor
    ]  # (B, M, 5) float32: x0, y0, x1, y1 in pixels and defect number, -1 in rows that hold none


class TrainBatch(TypedDict):
    """Unpaired streams; a generator names the ones it wants in `streams`."""

    defect: NotRequired[Batch]
    normal: NotRequired[Batch]


class Request(TypedDict):
    """What is asked of a generator. Which keys it needs stands in its `reads`, which it understands besides in its `takes`.

    A label of zeros asks for a normal image; of a generator that restores, for `normal`, a defective image, restored.
    """

    defects: Tensor  # (B, K) float32, multi-hot or interpolated class weights
    product: Tensor  # (B,) int64
    normal: NotRequired[Tensor]  # (B, 3, H, W) float32: the normal image to start from
    mask: NotRequired[Tensor]  # (B, 1, H, W) float32 in {0, 1}: where the defect shall be
    reference: NotRequired[Batch]  # B defect images whose style or defect is to be taken
    style: NotRequired[Batch]  # B defect images whose style is to be taken instead
    draw_style: NotRequired[Tensor]  # (B,) bool: a style is to be drawn instead


class Sample(TypedDict):
    """What a generator returns for a `Request` of B images."""

    image: Tensor  # (B, 3, H, W) float32 in [-1, 1]
    mask: NotRequired[Tensor]  # (B, 1, H, W) float32 in {0, 1}; absent if the generator makes none
    valid: NotRequired[Tensor]  # (B,) bool; False where the mask could not be derived


def to_uint8(image: Tensor) -> Tensor:
    """Turn float images in [-1, 1] into uint8 in [0, 255], rounding to nearest; values beyond are clipped."""
    return image.detach().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_float(image: Tensor) -> Tensor:
    """Turn uint8 images in [0, 255] into float32 in [-1, 1]."""
    return image.float().div(127.5).sub(1)


def index_batch(batch: Batch, rows: Tensor | slice) -> Batch:
    """Take some rows of a batch, by index, boolean mask or slice."""
    taken = Batch(
        image=batch["image"][rows],
        mask=batch["mask"][rows],
        defects=batch["defects"][rows],
        product=batch["product"][rows],
        synthetic=batch["synthetic"][rows],
    )
    if "boxes" in batch:
        taken["boxes"] = batch["boxes"][rows]
    return taken
