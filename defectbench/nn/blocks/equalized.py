"""Layers of the StyleGAN family: equalised learning rate, leaky ReLU with gain, and the resampling filter.

A layer keeps weights of unit variance and scales them when it is called, so that one learning rate suits all
(Karras et al. 2018, sec. 4.1). Gains of activations are folded into weights and biases, which leaky ReLU allows, so a
layer costs one pass over the features less. Linear layers are small and always compute in float32.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks import resample
from defectbench.nn.training.penalties import full_precision

GAIN = math.sqrt(2)
"""Of leaky ReLU, so that it keeps the variance (Karras et al. 2018)."""
SLOPE = 0.2
TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)


class EqualLinear(nn.Module):
    """Fully connected, in float32 under autocast too.

    Args:
        cin: features in.
        cout: features out.
        bias: first value of the bias; None for no bias.
        rate: learning rate multiplier.
        active: whether leaky ReLU with gain follows.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        *,
        bias: float | None = 0.0,
        rate: float = 1.0,
        active: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(cout, cin) / rate)
        self.bias = None if bias is None else nn.Parameter(torch.full((cout,), bias / rate))
        gain = GAIN if active else 1.0
        self.weight_gain, self.bias_gain, self.active = (
            rate * gain / math.sqrt(cin),
            rate * gain,
            active,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., cin) to (..., cout), float32."""
        with full_precision(x.device):
            bias = None if self.bias is None else self.bias * self.bias_gain
            y = F.linear(x.float(), self.weight * self.weight_gain, bias)
            return F.leaky_relu_(y, SLOPE) if self.active else y


class EqualConv(nn.Module):
    """Convolution, 1x1 or 3x3, that keeps the size or halves it with a filter before it.

    Args:
        cin: channels in.
        cout: channels out.
        kernel: 1 or 3.
        down: whether to halve the size.
        bias: whether there is a bias.
        active: whether leaky ReLU with gain follows.
        gain: further factor on the output.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int,
        *,
        down: bool = False,
        bias: bool = True,
        active: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(cout, cin, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(cout)) if bias else None
        gain *= GAIN if active else 1.0
        self.weight_gain, self.bias_gain = gain / math.sqrt(cin * kernel**2), gain
        self.active, self.kernel = active, kernel
        self.filter = Fir() if down else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, H, W), or half of H and W."""
        stride, padding = 1, self.kernel // 2
        if self.filter is not None and self.kernel == 1:
            x = self.filter.down(x)
        elif self.filter is not None:
            x, stride, padding = (
                self.filter.blur(x, 2),
                2,
                0,
            )  # H + 1, of which the stride sees H / 2
        bias = None if self.bias is None else self.bias * self.bias_gain
        y = F.conv2d(x, self.weight * self.weight_gain, bias, stride, padding)
        return F.leaky_relu_(y, SLOPE) if self.active else y


class Fir(nn.Module):
    """The low-pass filter [1, 3, 3, 1] on both axes, for resampling by two; computes in the dtype of its input.

    Beyond the border it sees zeros, as StyleGAN2 does.
    """

    taps: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor(TAPS)
        self.register_buffer("taps", taps.outer(taps)[None, None], persistent=False)

    def blur(self, x: Tensor, padding: int, gain: float = 1.0) -> Tensor:
        """Filter alone: H becomes H + 2 padding - 3."""
        with full_precision(x.device):
            if resample.by_bands(x):
                size = x.shape[2] + 2 * padding - 3, x.shape[3] + 2 * padding - 3
                return resample.filter_both_axes(x, _taps(gain), size, start=3 - padding)
            return F.conv2d(x, self._for(x, gain), padding=padding, groups=x.shape[1])

    def down(self, x: Tensor) -> Tensor:
        """Halve the size: (B, C, 2H, 2W) to (B, C, H, W)."""
        with full_precision(x.device):
            if resample.by_bands(x):
                size = x.shape[2] // 2, x.shape[3] // 2
                return resample.filter_both_axes(x, _taps(), size, down=2, start=2)
            return F.conv2d(x, self._for(x), stride=2, padding=1, groups=x.shape[1])

    def up(self, x: Tensor) -> Tensor:
        """Double the size: (B, C, H, W) to (B, C, 2H, 2W)."""
        with full_precision(x.device):
            if resample.by_bands(x):
                size = x.shape[2] * 2, x.shape[3] * 2
                return resample.filter_both_axes(x, _taps(4.0), size, up=2, start=1)
            taps = self._for(x, 4.0)
            return F.conv_transpose2d(x, taps, stride=2, padding=1, groups=x.shape[1])

    def _for(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """One filter per channel, (C, 1, 4, 4)."""
        return (self.taps * gain).to(x.dtype).expand(x.shape[1], 1, 4, 4)


def _taps(gain: float = 1.0) -> tuple[float, ...]:
    """Taps of one axis, so that both give the gain."""
    return tuple(tap * math.sqrt(gain) for tap in TAPS)


def unit(x: Tensor) -> Tensor:
    """Scale rows (B, D) to a mean square of 1 (Karras et al. 2018, sec. 4.2)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
