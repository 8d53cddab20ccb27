"""DCDGANc's networks: contents from a constant map and a code, the code from an image, and the critic (Wei et al. 2023, Fig. 2)."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks.modulate import AdaIN, Norm, instance
from defectbench.nn.blocks.patchgan import PatchCritic, PatchTrunk

NormName = Literal["od_spade", "adain", "instance"]


class OneDimSpade(nn.Module):
    """OD-SPADE: spatially adaptive normalisation driven by a code vector (DCDGANc, sec. 2.2 and Fig. 2).

    The code becomes one map by a linear layer, three by a convolution, and from those the gain and bias of each pixel.
    Features are normalised across channels at each pixel; the gain is `gamma`, not `1 + gamma`. As the linear layer knows
    H and W, a network that holds this layer works at one size only.

    Departs: 1e-10 is added to the variance; the authors' code divides by zero on flat features. More would do harm: from
    N(0, 0.02) the gains start near 1e-4 and so do the features, and next to their variance 1e-5 is so large that a
    generator of several layers passes no gradient back.

    Args:
        channels: C of the features.
        code: length U of the code.
        size: height and width of the features, pixels.
        eps: added to the variance.
    """

    def __init__(
        self, channels: int, *, code: int, size: tuple[int, int], eps: float = 1e-10
    ) -> None:
        super().__init__()
        self.size, self.eps = size, eps
        self.spread = nn.Linear(code, size[0] * size[1])
        self.shared = nn.Conv2d(1, 3, 3, padding=1, bias=False)
        self.modulate = nn.Conv2d(3, 2 * channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise and modulate: (B, C, H, W) and (B, U) give (B, C, H, W)."""
        spread = self.spread(condition).unflatten(1, (1, *self.size))  # (B, 1, H, W)
        gain, bias = self.modulate(F.leaky_relu(self.shared(spread), 0.2)).chunk(2, 1)
        wide = x.float()  # differences of nearly equal numbers
        variance, mean = torch.var_mean(wide, 1, keepdim=True, correction=0)  # (B, 1, H, W) each
        modulated: Tensor = (wide - mean) * torch.rsqrt(variance + self.eps) * gain + bias
        return modulated.to(x.dtype)


class Block(nn.Module):
    """Convolution, normalisation steered by the code, leaky ReLU."""

    def __init__(self, conv: nn.Module, norm: nn.Module | None, *, up: bool = False) -> None:
        """Take the layers; `up` doubles the size first, nearest neighbour."""
        super().__init__()
        self.conv, self.norm, self.up = conv, norm, up

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """(B, C, H, W) and (B, U) to (B, C', H', W')."""
        if self.up:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x, code)
        return F.leaky_relu(x, 0.2)


class SharedNormBlock(nn.Module):
    """Residual block whose two normalisations are one module, as in the authors' code."""

    def __init__(self, channels: int, norm: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = norm

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """(B, C, H, W) and (B, U) to (B, C, H, W)."""
        h = F.leaky_relu(self.norm(self.first(x), code), 0.2)
        residual: Tensor = self.norm(self.second(h), code)
        return x + residual


class ContentNetwork(nn.Module):
    """From a constant map and a code to a content image (paper, Fig. 2b).

    Args:
        size: side of the image, pixels.
        code: length U of the code: latent and class.
        base: width of the first convolution.
        blocks: residual blocks.
        norm: what steers the features.
    """

    def __init__(self, *, size: int, code: int, base: int, blocks: int, norm: NormName) -> None:
        """Build down, residual and up part; as many downs as leave 2 pixels, at most 5."""
        super().__init__()
        downs = max(d for d in range(1, 6) if size % 2**d == 0 and size >> d >= 2)
        widths = [min(base * 2**level, base * 8) for level in range(downs)]
        self.size = size
        # The ablation without steering sees the code as a fourth input channel.
        self.spread = nn.Linear(code, size * size) if norm == "instance" else None

        def steer(level: int) -> Norm:
            if norm == "od_spade":
                return partial(OneDimSpade, code=code, size=(size >> level, size >> level))
            if norm == "adain":
                return partial(AdaIN, code=code, around_one=False, eps=1e-4)
            return instance()

        bias = norm == "od_spade"  # the others subtract each channel's mean, and the bias with it
        first = nn.Conv2d(3 if self.spread is None else 4, base, 4, 2, padding=1)
        layers: list[nn.Module] = [Block(first, None)]
        channels = base
        for level, width in enumerate(widths[1:], start=2):
            conv = nn.Conv2d(channels, width, 4, 2, padding=1, bias=bias)
            layers.append(Block(conv, steer(level)(width)))
            channels = width
        layers.extend(SharedNormBlock(channels, steer(downs)(channels)) for _ in range(blocks))
        for level in range(downs - 1, 0, -1):
            conv = nn.Conv2d(channels, channels // 2, 3, padding=1, bias=bias)
            layers.append(Block(conv, steer(level)(channels // 2), up=True))
            channels //= 2
        self.layers = nn.ModuleList(layers)
        self.out = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, code: Tensor, value: Tensor) -> Tensor:
        """Draw: codes (B, U) and class values (B,) to images (B, 3, H, W) in [-1, 1]."""
        x = value[:, None, None, None].expand(-1, 3, self.size, self.size)
        if self.spread is not None:
            extra = self.spread(code).unflatten(1, (1, self.size, self.size))
            x = torch.cat([x, extra], 1)
        for layer in self.layers:
            x = layer(x, code)
        return torch.tanh(self.out(F.interpolate(x, scale_factor=2, mode="nearest")))


class ContentEncoder(nn.Module):
    """From an image to mean and logarithmic variance of its latent code (paper, Fig. 2c).

    The normalisation's epsilon is 0.8, as in the authors' code; so it leaves contrast, which the code has to carry.
    """

    def __init__(self, *, size: int, width: int, latent: int, pool: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, padding=3, bias=False),
            nn.InstanceNorm2d(width, eps=0.8),
            nn.ReLU(),
            nn.AvgPool2d(pool),
            nn.Flatten(),
        )
        self.moments = nn.Linear(width * (size // 2 // pool) ** 2, 2 * latent)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) to mean (B, Z) and log variance (B, Z)."""
        mean, log_variance = self.moments(self.features(image)).float().chunk(2, 1)
        return mean, log_variance


class ContentCritic(nn.Module):
    """Patch critic that sees the class as a fourth channel, made by a linear layer (paper, Fig. 2d)."""

    def __init__(self, *, size: int, width: int, classes: int) -> None:
        super().__init__()
        self.spread = nn.Linear(classes, size * size)
        trunk = PatchTrunk(
            in_ch=4,
            widths=[width * 2**level for level in range(4)],
            norm=nn.InstanceNorm2d,
            norm_first=True,
        )
        self.critic = PatchCritic(trunk, kernel=3)

    def forward(self, image: Tensor, weights: Tensor) -> Tensor:
        """(B, 3, H, W) and class weights (B, K) to logits (B, 1, h, w)."""
        extra = self.spread(weights).unflatten(1, (1, *image.shape[2:]))
        logits: Tensor = self.critic(torch.cat([image, extra], 1))
        return logits
