"""The value range that ImageNet networks expect, as the first layer of a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's training images in [0, 1]
STD = (0.229, 0.224, 0.225)


class ImageNetInput(nn.Module):
    """Turns floats in [-1, 1] into ImageNet's standardised range, whether or not the network is pretrained."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
        self.register_buffer("scale", 0.5 / std, persistent=False)
        self.register_buffer("shift", (0.5 - mean) / std, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Standardise (B, 3, H, W) in [-1, 1] by channel."""
        return image * self.scale + self.shift
