"""Noise added to features: what makes one label give many images.

Noise is drawn by a function that the caller hands down, so that training and sampling decide where it comes from.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Draw = Callable[[Tensor], Tensor]
"""Gives the noise for features (B, C, H, W): (B, 1, H, W), standard normal, on their device."""


def draw_from(rng: torch.Generator | None) -> Draw:
    """Draw from `rng` and bring the noise to the features' device; None draws from torch's own generator there.

    None is for training steps only, before each of which the loop seeds that generator.
    """

    def draw(x: Tensor) -> Tensor:
        shape = (x.shape[0], 1, *x.shape[2:])
        if rng is None:
            return torch.randn(shape, device=x.device)
        return torch.randn(shape, generator=rng, device=rng.device).to(x.device)

    return draw


class AddNoise(nn.Module):
    """Add one noise map to all channels, times a learned strength that starts at 0 (Karras et al. 2019; Defect-GAN, sec. 3.3)."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, draw: Draw) -> Tensor:
        """Add noise: (B, C, H, W) in and out."""
        return x + self.strength * draw(x).to(x.dtype)
