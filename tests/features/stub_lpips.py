"""A stand-in for LPIPS networks: embeds by block means, and counts the images that pass."""

from __future__ import annotations

import torch
from torch import nn


class StubLpips(nn.Module):
    """Embeds (N, 3, H, W) uint8 as its pixels over 255; any two images' distance is easily checked."""

    name, sha256, resize = "lpips_stub", "0" * 64, "native"

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(1))
        self.passes = 0

    def dimensions(self, height: int, width: int) -> int:
        return 3 * height * width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.passes += len(images)
        return images.flatten(1).float() / 255
