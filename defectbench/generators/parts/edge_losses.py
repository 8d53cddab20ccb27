"""Losses on the edges and the place of masks: Edge Structure Loss and Region Consistency Loss of ImbDef-GAN's reconstruction."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def edges(x: Tensor) -> Tensor:
    """Sobel magnitude of (B, 1, H, W): 1 beside a step of height 1; the border is continued."""
    across = x.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    kernels = torch.stack([across, across.T])[:, None]  # (2, 1, 3, 3)
    gradient = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernels)
    return (gradient.square().sum(1, keepdim=True) + 1e-12).sqrt()


def edge_alignment(image: Tensor, normal: Tensor, mask: Tensor, near: Tensor) -> Tensor:
    """Edges of what was changed shall be edges of the mask: mean difference of both, each scaled to a maximum of 1.

    Args:
        image: with the defect, (B, 3, H, W).
        normal: the same without it.
        mask: soft, (B, 1, H, W) in [0, 1].
        near: where to look, (B, 1, H, W) in {0, 1}.
    """
    change = (image.float() - normal.float()).mean(1, keepdim=True)
    found, wanted = (
        e / e.amax((1, 2, 3), keepdim=True).clamp(min=1e-3) for e in (edges(change), edges(mask))
    )
    return ((found - wanted).abs() * near).sum() / near.sum().clamp(min=1)


def edge_variation(mask: Tensor, other: Tensor, most: float = 0.1) -> Tensor:
    """Negative mean difference of the edges of two soft masks (B, 1, H, W), bounded: minimising it varies the form."""
    return -(edges(mask) - edges(other)).abs().mean().clamp(max=most)


def region_consistency(mask: Tensor, allowed: Tensor) -> Tensor:
    """Mean of the part of a soft mask (B, 1, H, W) that lies outside the allowed region, of the same shape in {0, 1}."""
    return F.relu(mask - allowed).mean()
