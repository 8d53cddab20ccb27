"""Where the boxes of a batch go when its images are mirrored, turned or warped.

Boxes are (B, M, 5) as in `Batch["boxes"]`: x0, y0, x1, y1 in pixels and the number of the defect, -1 in rows that hold none.
Images are square.
"""

from __future__ import annotations

import torch
from torch import Tensor

from defectbench.data.files.boxes import SHOWN


def mirrored(boxes: Tensor, side: int) -> Tensor:
    """Mirror boxes left to right in images of `side` pixels."""
    x0, y0, x1, y1, number = boxes.unbind(-1)
    return torch.stack([side - x1, y0, side - x0, y1, number], dim=-1)


def turned(boxes: Tensor, turns: Tensor, side: int) -> Tensor:
    """Turn boxes as `torch.rot90(image, k, (2, 3))` turns images, by k quarters each.

    Args:
        boxes: (B, M, 5).
        turns: (B,) int64, quarters from 0 to 3.
        side: of the images, pixels.
    """
    result = boxes
    for quarter in range(1, 4):
        x0, y0, x1, y1, number = result.unbind(-1)
        once = torch.stack([y0, side - x1, y1, side - x0, number], dim=-1)
        result = torch.where((turns >= quarter).view(-1, 1, 1), once, result)
    return result


def warped(boxes: Tensor, theta: Tensor, side: int) -> Tensor:
    """Move boxes as `grid_sample(image, affine_grid(theta))` moves images: by rotation, zoom and shift.

    A turned box becomes the box around the turned ellipse inside of it, for the defect rarely reaches the corners (Kalra et
    al. 2021, "Towards Rotation Invariance in Object Detection"). Boxes are cut at the border; those of which less than
    `boxes.SHOWN` stays inside are dropped (number -1). What a reflecting border shows once more gets no box.

    Args:
        boxes: (B, M, 5).
        theta: (B, 2, 3), output to input coordinates in [-1, 1].
        side: of the images, pixels.
    """
    back = torch.linalg.inv(theta[:, :, :2])  # input to output
    low, high, number = boxes[..., :2], boxes[..., 2:4], boxes[..., 4]
    centre = (low + high) / side - 1  # (B, M, 2) in [-1, 1]
    half = (high - low) / 2  # pixels
    centre = torch.einsum("bij,bmj->bmi", back, centre - theta[:, None, :, 2])
    reach = torch.einsum("bij,bmj->bmi", back.square(), half.square()).sqrt()
    middle = (centre + 1) * side / 2
    corners = torch.cat([middle - reach, middle + reach], dim=-1)
    cut = corners.clamp(0, side)
    shown = (cut[..., 2:] - cut[..., :2]).prod(-1)
    whole = (2 * reach).prod(-1)
    kept = (shown > 0) & (shown >= SHOWN * whole)
    return torch.cat([cut, torch.where(kept, number, -1.0)[..., None]], dim=-1)
