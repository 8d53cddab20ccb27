"""Residual blocks: activation after the convolution (ResNet) and before it (StarGAN v2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks.content_noise import AddNoise, Draw
from defectbench.nn.blocks.modulate import Norm

Padding = Literal["zeros", "reflect"]
"""How convolutions see beyond the border."""


class PostActBlock(nn.Module):
    """conv3 - norm - ReLU - [noise] - conv3 - norm - [noise], added to the input (Johnson et al. 2016).

    Args:
        channels: C, in and out.
        norm: factory of the normalisations.
        padding: beyond the border.
        bias: of the convolutions; without effect, and so to be left out, where a plain normalisation follows.
        noise: whether noise is added after each normalised convolution.
    """

    def __init__(
        self,
        channels: int,
        *,
        norm: Norm,
        padding: Padding = "zeros",
        bias: bool = False,
        noise: bool = False,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding, bias=bias)
            for _ in range(2)
        )
        self.norms = nn.ModuleList(norm(channels) for _ in range(2))
        self.noises = nn.ModuleList(AddNoise() for _ in range(2 if noise else 0))

    def forward(
        self, x: Tensor, condition: Tensor | None = None, draw: Draw | None = None
    ) -> Tensor:
        """Add the residual: (B, C, H, W) in and out; `draw` is needed if the block has noise."""
        h = x
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            h = norm(conv(h), condition)
            h = F.relu(h) if index == 0 else h
            if self.noises and draw is not None:
                h = self.noises[index](h, draw)
        return x + h


class PreActBlock(nn.Module):
    """norm - act - [up] - conv3 - [down] - norm - act - conv3, added to the resampled input, over the square root of 2.

    The block of StarGAN v2: nearest upsampling and average pooling, leaky ReLU 0.2.

    Args:
        cin: channels in.
        cout: channels out; a 1x1 convolution adapts the shortcut if they differ.
        norm: factory of the normalisations; None for none.
        resample: "up" doubles, "down" halves the size.
        early: whether the first convolution changes the width (decoders) or the second (encoders).
        conv: factory of convolutions, called like `torch.nn.Conv2d`, e.g. with spectral normalisation.
        scale: factor on the sum.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        *,
        norm: Norm | None = None,
        resample: Literal["up", "down"] | None = None,
        early: bool = False,
        conv: Callable[..., nn.Module] = nn.Conv2d,
        scale: float = 0.5**0.5,
    ) -> None:
        super().__init__()
        self.resample, self.scale = resample, scale
        middle = cout if early else cin
        self.first = conv(cin, middle, 3, padding=1)
        self.second = conv(middle, cout, 3, padding=1)
        self.shortcut = conv(cin, cout, 1, bias=False) if cin != cout else None
        self.first_norm = norm(cin) if norm else None
        self.second_norm = norm(middle) if norm else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Add the residual: (B, cin, H, W) in, (B, cout, 2H or H or H/2, ...) out."""
        h = F.leaky_relu(self.first_norm(x, condition) if self.first_norm else x, 0.2)
        if self.resample == "up":
            x, h = (F.interpolate(t, scale_factor=2, mode="nearest") for t in (x, h))
        h = self.first(h)
        if self.shortcut is not None:
            x = self.shortcut(x)
        if self.resample == "down":
            x, h = F.avg_pool2d(x, 2), F.avg_pool2d(h, 2)
        h = F.leaky_relu(self.second_norm(h, condition) if self.second_norm else h, 0.2)
        added: Tensor = (x + self.second(h)) * self.scale
        return added
