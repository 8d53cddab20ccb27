"""The residual critic of StyleGAN2 (Karras et al. 2020a, sec. 3.3), which StyleGAN3 shares. It can be differentiated twice."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from defectbench.nn.blocks.equalized import EqualConv, EqualLinear
from defectbench.nn.stylegan.stylegan2 import Mapping, Widths, resolutions

Alter = Callable[[int, Tensor], Tensor]
"""Called at each resolution of a critic with it and its features; returns those to go on with."""


class Critic(nn.Module):
    """The residual discriminator of StyleGAN2.

    Args:
        size: side of the images, pixels, a power of two.
        channels: channels of what it judges.
        labels: length of the label; 0 for none.
        base: channels times resolution.
        most: upper limit of channels.
        group: images whose spread becomes a feature; lessened to a divisor of the batch.
        label_layers: layers of the mapping of labels.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int = 3,
        labels: int = 0,
        base: int = 16384,
        most: int = 512,
        group: int = 4,
        label_layers: int = 8,
    ) -> None:
        super().__init__()
        width, self.group = Widths(base, most), group
        self.sizes = resolutions(size)[:0:-1]  # size, ..., 8
        self.from_image = EqualConv(channels, width(size), 1, active=True)
        self.blocks = nn.ModuleList(CriticBlock(width(r), width(r // 2)) for r in self.sizes)
        last = width(4)
        self.conv = EqualConv(last + 1, last, 3, active=True)
        self.dense = EqualLinear(last * 16, last, active=True)
        self.out = EqualLinear(last, last if labels else 1)
        self.mapping = (
            Mapping(latents=0, labels=labels, styles=last, layers=label_layers) if labels else None
        )

    def forward(self, x: Tensor, label: Tensor | None = None, alter: Alter | None = None) -> Tensor:
        """Judge: (B, channels, H, W) and labels (B, labels) to logits (B,), float32.

        Args:
            x: images.
            label: weights of the classes; ignored if the network was built without labels.
            alter: changes the features at each resolution before its block.
        """
        x = self.from_image(x)
        for size, block in zip(self.sizes, self.blocks, strict=True):
            x = block(x if alter is None else alter(size, x))
        x = torch.cat([x, self._spread(x)], 1)
        y: Tensor = self.out(self.dense(self.conv(x).flatten(1)))  # (B, 1) or (B, last)
        if self.mapping is None:
            return y[:, 0]
        wanted: Tensor = self.mapping(None, label)  # (B, last)
        return (y * wanted).sum(1) / math.sqrt(y.shape[1])

    def _spread(self, x: Tensor) -> Tensor:
        """Mean standard deviation within groups of the batch, as one feature map (Karras et al. 2018, sec. 3)."""
        b, h, w = len(x), *x.shape[2:]
        group = max(g for g in range(1, min(self.group, b) + 1) if b % g == 0)
        grouped = x.float().view(group, b // group, *x.shape[1:])  # (G, n, C, H, W)
        spread = (grouped.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # (n,)
        return spread.repeat(group)[:, None, None, None].expand(b, 1, h, w).to(x.dtype)


class CriticBlock(nn.Module):
    """Two convolutions, the second halving the size, and a shortcut; the sum keeps the variance."""

    def __init__(self, cin: int, cout: int) -> None:
        """Fold the factor of the sum into the layers."""
        super().__init__()
        self.conv = EqualConv(cin, cin, 3, active=True)
        self.down = EqualConv(cin, cout, 3, down=True, active=True, gain=math.sqrt(0.5))
        self.skip = EqualConv(cin, cout, 1, down=True, bias=False, gain=math.sqrt(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, H / 2, W / 2)."""
        return torch.add(self.down(self.conv(x)), self.skip(x))
