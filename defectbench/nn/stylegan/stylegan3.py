"""The generator of StyleGAN3-T (Karras et al. 2021): features as samples of band-limited signals.

Each layer oversamples before its leaky ReLU and filters afterwards. Here that is plain torch, two one-dimensional
filters each way, and can be differentiated twice. There is no noise and no skip of images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.signal
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.config import UserError
from defectbench.nn.blocks import resample
from defectbench.nn.blocks.equalized import GAIN, SLOPE, EqualLinear
from defectbench.nn.stylegan.stylegan2 import Mapping, resolutions
from defectbench.nn.training.penalties import full_precision

After = Callable[[int, Tensor, Tensor], Tensor]
"""Called after each layer with its number, its incoming and its outgoing features; returns those to go on with."""

MARGIN = (
    10  # pixels around the canvas, all constants here are those of configuration T (appendix F)
)
CRITICAL = 2  # layers at the end that are critically sampled
FIRST_CUTOFF, FIRST_STOPBAND, LAST_STOPBAND = 2.0, 2.0**2.1, 2.0**0.3
TAPS = 6  # per sample of the lower rate
OUTPUT_SCALE = 0.25
HALF_LIFE = 20_000  # images, of the running mean of magnitudes


@dataclass(frozen=True)
class Signal:
    """What flows between two layers.

    Attributes:
        rate: samples across the image.
        size: samples across the canvas, margins included.
        cutoff: highest frequency passed, cycles per image.
        half_width: half of the transition band, cycles per image.
        channels: number of channels.
    """

    rate: int
    size: int
    cutoff: float
    half_width: float
    channels: int


def plan(size: int, layers: int, base: int, most: int) -> list[Signal]:
    """Lay out the signals into the first layer and out of each, `layers + 1` of them (appendix F, eq. 13).

    Args:
        size: side of the images, pixels, a power of two.
        layers: number of layers without the last, which makes the image.
        base: channels times resolution.
        most: upper limit of channels.

    Raises:
        UserError: there are too few layers.
        ValueError: the size is no power of two.
    """
    resolutions(size)
    if layers <= CRITICAL:
        raise UserError(f"layers is {layers}; StyleGAN3 wants at least {CRITICAL + 1}")
    last = size / 2
    share = np.minimum(np.arange(layers + 1) / (layers - CRITICAL), 1)
    cutoffs = FIRST_CUTOFF * (last / FIRST_CUTOFF) ** share
    stopbands = FIRST_STOPBAND * (last * LAST_STOPBAND / FIRST_STOPBAND) ** share
    rates = np.exp2(np.ceil(np.log2(np.minimum(stopbands * 2, size))))
    widths = np.maximum(stopbands, rates / 2) - cutoffs
    sizes = rates + 2 * MARGIN
    sizes[-2:] = size
    channels = np.rint(np.minimum(base / 2 / cutoffs, most))
    return [
        Signal(int(rate), int(side), float(cutoff), float(width), int(count))
        for rate, side, cutoff, width, count in zip(
            rates, sizes, cutoffs, widths, channels, strict=True
        )
    ]


def low_pass(taps: int, signal: Signal, rate: int) -> Tensor:
    """Design a Kaiser low-pass filter (taps,) of sum 1 for a signal sampled at `rate` (appendix C.1)."""
    if taps == 1:
        return torch.ones(1)
    designed = scipy.signal.firwin(
        numtaps=taps, cutoff=signal.cutoff, width=signal.half_width * 2, fs=rate
    )
    return torch.from_numpy(np.asarray(designed)).float()


class FourierInput(nn.Module):
    """Fixed frequencies, turned and shifted by the style, mixed to channels (sec. 3.2 and appendix F).

    Args:
        signal: of the output.
        styles: length of w.
    """

    frequencies: Tensor
    phases: Tensor

    def __init__(self, signal: Signal, *, styles: int) -> None:
        super().__init__()
        self.signal, channels = signal, signal.channels
        frequencies = torch.randn(channels, 2)
        radii = frequencies.square().sum(1, keepdim=True).sqrt()
        frequencies = frequencies / (radii * radii.square().exp().pow(0.25)) * signal.cutoff
        self.register_buffer("frequencies", frequencies)
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = EqualLinear(styles, 4)
        self.affine.weight.data.zero_()
        assert self.affine.bias is not None
        self.affine.bias.data.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))

    def forward(self, w: Tensor) -> Tensor:
        """Styles (B, D) to features (B, C, size, size), float32."""
        signal = self.signal
        with full_precision(w.device):
            turn = self.affine(w)  # (B, 4): cos and sin of the turn, x and y of the shift
            turn = turn / turn[:, :2].norm(dim=1, keepdim=True)
            cos, sin, x, y = turn.unbind(1)
            rotation = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
            shift = -torch.stack([x, y], 1)  # (B, 2)
            shift = (rotation @ shift[..., None])[..., 0]
            frequencies = self.frequencies @ rotation  # (B, C, 2)
            phases = self.phases + (self.frequencies @ shift[..., None])[..., 0]  # (B, C)
            radius = self.frequencies.norm(dim=1)
            fade = (signal.rate / 2 - radius) / (signal.rate / 2 - signal.cutoff)
            place = (torch.arange(signal.size, device=w.device) + 0.5) / signal.size - 0.5
            place = place * (signal.size / signal.rate)  # the image is [-0.5, 0.5]
            across = frequencies[..., :1, None] * place  # (B, C, 1, size)
            down = frequencies[..., 1:, None] * place[:, None]  # (B, C, size, 1)
            waves = torch.sin((across + down + phases[..., None, None]) * (2 * math.pi))
            waves = waves * fade.clamp(0, 1)[:, None, None]
            mix = self.weight / math.sqrt(signal.channels)
            return torch.einsum("oc,bchw->bohw", mix, waves)


class FilteredLeakyReLU(nn.Module):
    """Oversample, leaky ReLU with gain, filter and resample (sec. 3.1).

    Args:
        before: the signal that comes in; its canvas has grown by the convolution.
        after: the signal that goes out.
        grown: pixels by which the convolution grew the canvas.
    """

    rise: Tensor
    fall: Tensor

    def __init__(self, before: Signal, after: Signal, *, grown: int) -> None:
        """Design both filters and the crop that brings the canvas to its size."""
        super().__init__()
        rate = 2 * max(before.rate, after.rate)
        self.up, self.down = rate // before.rate, rate // after.rate
        rise = low_pass(TAPS * self.up if self.up > 1 else 1, before, rate)
        fall = low_pass(TAPS * self.down if self.down > 1 else 1, after, rate)
        total = (after.size - 1) * self.down + 1 - (before.size + grown) * self.up
        total += len(rise) + len(fall) - 2
        first = (total + self.up) // 2
        self.start = len(rise) - 1 - first  # of the full convolution
        self.length = (before.size + grown) * self.up + total - len(rise) + 1
        gain = self.up * math.sqrt(GAIN)  # twice, once per axis: leaky ReLU lets a gain through
        self.register_buffer("rise", rise.flip(0) * gain, persistent=False)
        self.register_buffer("fall", fall, persistent=False)
        self.taps = tuple(self.rise.tolist()), tuple(fall.tolist())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, size, size) of the outgoing signal, in the dtype of its input."""
        channels, rise, fall = x.shape[1], self.rise.to(x.dtype), self.fall.to(x.dtype)
        with full_precision(x.device):
            if resample.by_bands(x):
                return self._by_bands(x)
            for axis in (2, 3):
                shape = (channels, 1, -1, 1) if axis == 2 else (channels, 1, 1, -1)
                stride = (self.up, 1) if axis == 2 else (1, self.up)
                taps = rise.expand(channels, -1).reshape(shape)
                x = F.conv_transpose2d(x, taps, stride=stride, groups=channels)
                x = x.narrow(axis, self.start, self.length)
            x = F.leaky_relu(x, SLOPE)
            for axis in (2, 3):
                shape = (channels, 1, -1, 1) if axis == 2 else (channels, 1, 1, -1)
                stride = (self.down, 1) if axis == 2 else (1, self.down)
                taps = fall.expand(channels, -1).reshape(shape)
                x = F.conv2d(x, taps, stride=stride, groups=channels)
        return x

    def _by_bands(self, x: Tensor) -> Tensor:
        """Do the same with band matrices."""
        length = self.length
        size = (length - len(self.fall)) // self.down + 1
        x = resample.filter_both_axes(
            x, self.taps[0], (length, length), up=self.up, start=self.start
        )
        x = F.leaky_relu(x, SLOPE)
        start = len(self.fall) - 1
        return resample.filter_both_axes(x, self.taps[1], (size, size), down=self.down, start=start)


class FilteredConv(nn.Module):
    """Modulated convolution of normalised features, bias, filtered leaky ReLU; or the last one, without those filters.

    Args:
        before: signal that comes in.
        after: signal that goes out.
        styles: length of w.
        kernel: 3, or 1.
        image_channels: channels of the image if this is the last layer, which neither demodulates nor activates; 0
            otherwise.
    """

    magnitude: Tensor

    def __init__(
        self,
        before: Signal,
        after: Signal,
        *,
        styles: int,
        kernel: int = 3,
        image_channels: int = 0,
    ) -> None:
        super().__init__()
        cin, cout = before.channels, image_channels or after.channels
        self.affine = EqualLinear(styles, cin, bias=1.0)
        self.weight = nn.Parameter(torch.randn(cout, cin, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(cout))
        self.register_buffer("magnitude", torch.ones(()))
        self.activate = (
            None if image_channels else FilteredLeakyReLU(before, after, grown=kernel - 1)
        )

    def forward(self, x: Tensor, w: Tensor, track: bool = False) -> Tensor:
        """(B, cin, H, W) and styles (B, D) to (B, cout, size, size).

        Args:
            x: features.
            w: styles.
            track: whether the running mean of squared magnitudes, by which features are divided, follows these.
        """
        with full_precision(x.device):
            if track:
                with torch.no_grad():
                    share = 1 - 0.5 ** (len(x) / HALF_LIFE)
                    self.magnitude.lerp_(x.float().square().mean(), share)
            scale = self.affine(w)  # (B, cin)
            normal = self.magnitude.rsqrt()
            if self.activate is None:
                gain = normal / math.sqrt(self.weight[0].numel())
                y = F.conv2d(x.float() * (scale * gain)[..., None, None], self.weight)
                return y + self.bias[:, None, None]
            power = self.weight.square().sum((2, 3))  # (cout, cin)
            demodulate = (scale.square() @ power.T + 1e-8).rsqrt()  # (B, cout)
        x = x * (scale * normal).to(x.dtype)[..., None, None]
        y = F.conv2d(x, self.weight, padding=self.weight.shape[2] - 1)
        bias = self.bias.to(y.dtype)[:, None, None]
        y = torch.addcmul(bias, y, demodulate.to(y.dtype)[..., None, None])
        activated: Tensor = self.activate(y)
        return activated


class AliasFreeSynthesis(nn.Module):
    """Styles to images.

    Args:
        size: side of the images, pixels, a power of two.
        channels: channels of the images.
        styles: length of w.
        base: channels times resolution.
        most: upper limit of channels.
        layers: number of layers without the last.

    Attributes:
        signals: into the first layer and out of each.
        wanted: number of style vectors that an image takes.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int = 3,
        styles: int = 512,
        base: int = 32768,
        most: int = 512,
        layers: int = 14,
    ) -> None:
        super().__init__()
        self.signals, self.wanted = plan(size, layers, base, most), layers + 2
        self.input = FourierInput(self.signals[0], styles=styles)
        incoming = [self.signals[0], *self.signals[:-1]]
        self.layers = nn.ModuleList(
            FilteredConv(before, after, styles=styles)
            for before, after in zip(incoming[:layers], self.signals[:layers], strict=True)
        )
        self.to_image = FilteredConv(
            self.signals[layers - 1],
            self.signals[layers],
            styles=styles,
            kernel=1,
            image_channels=channels,
        )

    def forward(self, ws: Tensor, *, track: bool = False, after: After | None = None) -> Tensor:
        """Styles (B, wanted, D) to images (B, channels, H, W), about in [-1, 1], not clipped, float32.

        Args:
            ws: a style per layer.
            track: whether running means follow; for training steps.
            after: changes the features after each layer.
        """
        first, *styles, last = ws.unbind(1)
        x = self.input(first)
        for number, (layer, w) in enumerate(zip(self.layers, styles, strict=True)):
            y = layer(x, w, track)
            x = y if after is None else after(number, x, y)
        image: Tensor = self.to_image(x, last, track)
        return image * OUTPUT_SCALE


class AliasFreeGenerator(nn.Module):
    """Mapping and synthesis.

    Args:
        size: side of the images, pixels, a power of two.
        channels: channels of the images.
        labels: length of the label; 0 for none.
        latents: length of z and of w.
        base: channels times resolution.
        most: upper limit of channels.
        layers: number of layers without the last.
        mapping_layers: fully connected layers of the mapping.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int = 3,
        labels: int = 0,
        latents: int = 512,
        base: int = 32768,
        most: int = 512,
        layers: int = 14,
        mapping_layers: int = 2,
    ) -> None:
        super().__init__()
        self.mapping = Mapping(
            latents=latents, labels=labels, styles=latents, layers=mapping_layers
        )
        self.synthesis = AliasFreeSynthesis(
            size=size, channels=channels, styles=latents, base=base, most=most, layers=layers
        )

    def styles(self, z: Tensor, label: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """Map latents to the same style for each layer, (B, wanted, D)."""
        w: Tensor = self.mapping(z, label, psi)
        return w[:, None].expand(-1, self.synthesis.wanted, -1)

    def forward(self, z: Tensor, label: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """Latents (B, latents) and labels to images (B, channels, H, W)."""
        images: Tensor = self.synthesis(self.styles(z, label, psi))
        return images

    def imagine(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Like `forward`, with running means that follow; for training steps."""
        ws = self.styles(z, label)
        self.mapping.follow(ws[:, 0], decay=0.998)
        images: Tensor = self.synthesis(ws, track=True)
        return images
