"""Normalisation layers that a condition steers. All are called as `norm(x, condition)`.

The condition is a code vector (B, U) or a map (B, C, h, w); a layer without one ignores it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]
"""Makes the normalisation of a layer with so many channels; what it makes is called as `norm(x, condition)`."""


class Unconditional(nn.Module):
    """A plain layer behind the interface of the conditional ones."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Ignore the condition; (B, C, H, W) in and out."""
        normalised: Tensor = self.layer(x)
        return normalised


def instance(affine: bool = False, **options: Any) -> Norm:
    """Make a factory of plain instance normalisation; options are those of `torch.nn.InstanceNorm2d`."""
    return lambda channels: Unconditional(nn.InstanceNorm2d(channels, affine=affine, **options))


class AdaIN(nn.Module):
    """Instance normalisation whose gain and bias are linear in a code (Huang & Belongie 2017, eq. 8).

    Args:
        channels: C.
        code: length U of the code.
        around_one: whether the gain is `1 + gamma(code)` (StarGAN v2) or `gamma(code)` (DCDGANc's ablation).
        eps: added to the variance.
    """

    def __init__(
        self, channels: int, *, code: int, around_one: bool = True, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.affine = nn.Linear(code, 2 * channels)
        self.offset, self.eps = float(around_one), eps

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise and modulate: (B, C, H, W) and (B, U) give (B, C, H, W)."""
        gain, bias = self.affine(condition)[..., None, None].chunk(2, 1)  # (B, C, 1, 1) each
        modulated: Tensor = F.instance_norm(x, eps=self.eps) * (self.offset + gain) + bias
        return modulated


class Spade(nn.Module):
    """Spatially adaptive normalisation: gain and bias are maps made from a map (Park et al. 2019, eq. 1).

    Args:
        channels: C of the features.
        map_channels: channels of the condition map.
        hidden: width of the shared layer.
        norm: parameter-free normalisation of the features; instance normalisation by default.
    """

    def __init__(
        self, channels: int, *, map_channels: int, hidden: int = 128, norm: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.norm = norm or nn.InstanceNorm2d(channels)
        self.shared = nn.Conv2d(map_channels, hidden, 3, padding=1)
        self.modulate = nn.Conv2d(hidden, 2 * channels, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise and modulate (B, C, H, W) by a map (B, M, h, w) of any size or by a vector (B, M), one value everywhere."""
        if condition.dim() == 2:
            maps = self._of_constant(condition, x.shape[2], x.shape[3])
        else:
            maps = self._of_map(F.interpolate(condition, size=x.shape[2:], mode="nearest"))
        gain, bias = maps.chunk(2, 1)  # (B, C, H, W) each
        modulated: Tensor = self.norm(x) * (1 + gain) + bias
        return modulated

    def _of_map(self, condition: Tensor) -> Tensor:
        maps: Tensor = self.modulate(F.relu(self.shared(condition)))
        return maps

    def _of_constant(self, vector: Tensor, height: int, width: int) -> Tensor:
        """Compute on 5x5 pixels what a constant map gives: away from the border, where zeros are seen, it is constant."""
        if min(height, width) <= 5:
            return self._of_map(vector[..., None, None].expand(-1, -1, height, width))
        small = self._of_map(vector[..., None, None].expand(-1, -1, 5, 5))
        middle = small[:, :, 2:3].expand(-1, -1, height - 4, -1)
        tall = torch.cat([small[:, :, :2], middle, small[:, :, 3:]], 2)  # (B, 2C, H, 5)
        middle = tall[..., 2:3].expand(-1, -1, -1, width - 4)
        return torch.cat([tall[..., :2], middle, tall[..., 3:]], 3)  # (B, 2C, H, W)
