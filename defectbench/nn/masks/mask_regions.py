"""Where masks are, as tensors: boxes, crops around them, jittered, widened and filled regions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from defectbench.imaging.components import label_components


def mask_boxes(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Find centre and half extent (x, y) of each mask's bounding box, where the image is [-1, 1].

    Args:
        mask: (B, 1, S, S) in {0, 1}; an empty one has the whole image for its box.

    Returns:
        (B, 2) each.
    """
    size = mask.shape[-1]
    edges = []
    for axis in (2, 1):  # columns give x, rows give y
        used = mask[:, 0].amax(3 - axis) > 0.5  # (B, size)
        first = used.int().argmax(1)
        last = size - used.flip(1).int().argmax(1)
        edges.append(torch.stack([first, last], 1) * (2 / size) - 1)
    box = torch.stack(edges, 1)  # (B, 2, first and last)
    return box.mean(2), (box[..., 1] - box[..., 0]) / 2


class Region(NamedTuple):
    """A square around each mask of a batch.

    Attributes:
        centre: (B, 2) x and y, where the image is [-1, 1].
        half: (B, 1) half of its side, likewise.
    """

    centre: Tensor
    half: Tensor

    @classmethod
    def around(
        cls, mask: Tensor, *, least: float = 0.25, factor: float = 1.5, jitter: float = 0.1
    ) -> Region:
        """Choose squares around masks; draws from torch's own generator.

        Args:
            mask: (B, 1, S, S) in {0, 1}.
            least: smallest side, as a share of the image's.
            factor: side over the longer side of the mask's box.
            jitter: largest shift, as a share of the side.
        """
        centre, half = mask_boxes(mask)
        half = (half.amax(1, keepdim=True) * factor).clamp(least, 1.0)  # (B, 1)
        shift = (2 * torch.rand_like(centre) - 1) * 2 * jitter * half
        room = 1 - half
        return cls((centre + shift).clamp(-room, room), half)

    def cut(self, x: Tensor, side: int) -> Tensor:
        """Cut the squares out and bring them to (B, C, side, side), float32."""
        scale = torch.diag_embed(self.half.expand(-1, 2))  # (B, 2, 2)
        theta = torch.cat([scale, self.centre[..., None]], 2)
        grid = F.affine_grid(theta, [len(x), 1, side, side], align_corners=False)
        return F.grid_sample(x.float(), grid, padding_mode="border", align_corners=False)


def jitter_masks(mask: Tensor) -> Tensor:
    """Give masks other places and sizes: mirrored, scaled by 0.8 to 1.25, moved anywhere within the image.

    Draws from torch's own generator. A mask that would vanish stays as it is.

    Args:
        mask: (B, 1, S, S) in {0, 1}.

    Returns:
        (B, 1, S, S) in {0, 1}.
    """
    b, device = len(mask), mask.device
    centre, half = mask_boxes(mask)
    factor = 1.25 ** (2 * torch.rand(b, 1, device=device) - 1)
    mirror = torch.where(torch.rand(b, 2, device=device) < 0.5, -1.0, 1.0)
    room = (1 - half * factor).clamp(min=0)
    target = (2 * torch.rand(b, 2, device=device) - 1) * room
    back = mirror / factor  # (B, 2)
    theta = torch.cat([torch.diag_embed(back), (centre - back * target)[..., None]], 2)
    grid = F.affine_grid(theta, list(mask.shape), align_corners=False)
    moved = (F.grid_sample(mask.float(), grid, align_corners=False) > 0.5).to(mask.dtype)
    kept = moved.flatten(1).any(1)
    return torch.where(kept[:, None, None, None], moved, mask)


def widen(mask: Tensor, pixels: int) -> Tensor:
    """Dilate masks (B, 1, S, S) by a square of so many pixels each way."""
    return F.max_pool2d(mask, 2 * pixels + 1, stride=1, padding=pixels)


def soften(mask: Tensor) -> Tensor:
    """Blur masks (B, 1, S, S) with a box of three pixels."""
    return F.avg_pool2d(mask, 3, stride=1, padding=1, count_include_pad=False)


def fill_masked(image: Tensor, mask: Tensor) -> Tensor:
    """Replace what a mask covers by its surroundings: each pixel by the finest mean that knows something.

    Args:
        image: (B, C, S, S).
        mask: (B, 1, S, S) in {0, 1}; one that covers everything leaves 0.

    Returns:
        (B, C, S, S); unmasked pixels keep their values.
    """
    levels = [(image * (1 - mask), 1 - mask)]
    while levels[-1][0].shape[-1] % 2 == 0:
        value, known = levels[-1]
        levels.append((F.avg_pool2d(value, 2), F.avg_pool2d(known, 2)))
    filled = torch.zeros_like(levels[-1][0]).mean((2, 3), keepdim=True)
    for value, known in reversed(levels):
        coarse = F.interpolate(filled, size=value.shape[-2:], mode="bilinear")
        filled = torch.where(known > 0, value / known.clamp(min=1e-6), coarse)
    return torch.where(mask > 0.5, filled, image)


def pair(image: Tensor, mask: Tensor) -> Tensor:
    """Join images (B, C, S, S) and masks (B, 1, S, S), the latter brought to [-1, 1]; float32."""
    return torch.cat([image.float(), 2 * mask - 1], 1)


def keep_largest(mask: Tensor, parts: int) -> Tensor:
    """Keep so many of the largest components of bool masks (B, 1, S, S); float in {0, 1}."""
    kept = []
    for one in mask[:, 0].cpu().numpy():
        labels, count = label_components(one)
        areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        kept.append(np.isin(labels, np.argsort(-areas, kind="stable")[:parts] + 1))
    return torch.from_numpy(np.stack(kept))[:, None].float().to(mask.device)
