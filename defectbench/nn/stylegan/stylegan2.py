"""The generator of StyleGAN2-ADA (Karras et al. 2020a, 2020b): mapping, and synthesis with skips.

Modulated convolution scales its input, convolves all images with one kernel and scales its output, which is the same
as giving each image its own kernel, and faster. All operations are plain torch and can be differentiated twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks.equalized import GAIN, SLOPE, EqualLinear, Fir, unit
from defectbench.nn.training.penalties import full_precision

Inject = Callable[[int, Tensor], Tensor | None]
"""Called at each resolution with it and the incoming features (B, C, res / 2, res / 2); returns what to add to the
features after the block's convolutions (B, C', res, res), or None for nothing."""


def resolutions(size: int) -> list[int]:
    """List 4, 8, ..., size.

    Raises:
        ValueError: the size is no power of two, or less than 8.
    """
    if size < 8 or size & (size - 1):
        raise ValueError(f"size is {size}; this network wants a power of two, at least 8")
    return [2**level for level in range(2, size.bit_length())]


class Widths:
    """Channels by resolution: `min(base / resolution, most)`."""

    def __init__(self, base: int, most: int) -> None:
        self.base, self.most = base, most

    def __call__(self, resolution: int) -> int:
        """Give the channels at a resolution."""
        return min(self.base // resolution, self.most)


class Mapping(nn.Module):
    """Latents and labels to styles.

    Args:
        latents: length of z; 0 for a critic's mapping of labels.
        labels: length of the label; 0 for none.
        styles: length of w.
        layers: fully connected layers.
        rate: learning rate multiplier.
    """

    average: Tensor

    def __init__(
        self, *, latents: int, labels: int, styles: int, layers: int = 2, rate: float = 0.01
    ) -> None:
        super().__init__()
        self.latents = latents
        self.embed = EqualLinear(labels, styles) if labels else None
        first = latents + (styles if labels else 0)
        self.layers = nn.Sequential(
            *(
                EqualLinear(cin, cout, rate=rate, active=True)
                for cin, cout in pairwise([first, *[styles] * layers])
            )
        )
        self.register_buffer("average", torch.zeros(styles))

    def forward(self, z: Tensor | None, label: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """Map (B, latents) and (B, labels) to styles (B, styles), float32.

        Args:
            z: standard normal; None if there are no latents.
            label: weights of the classes; ignored if the network was built without labels.
            psi: truncation, 1 for none: styles are drawn towards the average by `1 - psi`.
        """
        parts = [unit(z.float())] if z is not None else []
        if self.embed is not None:
            assert label is not None, "a mapping built with labels is called with labels"
            parts.append(unit(self.embed(label)))
        styles: Tensor = self.layers(torch.cat(parts, 1))
        return styles if psi == 1 else torch.lerp(self.average, styles, psi)

    @torch.no_grad()
    def follow(self, styles: Tensor, decay: float = 0.995) -> None:
        """Move the average, which truncation uses, towards the mean of styles (B, styles)."""
        self.average.lerp_(styles.mean(0), 1 - decay)


def mix_styles(
    mapping: Mapping,
    z: Tensor,
    label: Tensor | None,
    layers: int,
    probability: float = 0.9,
    *,
    track: bool = True,
) -> Tensor:
    """Map latents to a style per layer; with some probability later layers take another latent's style.

    Draws from torch's own generator, so it is for training steps. One cut serves the batch, as in the official code
    (Karras et al. 2019, sec. 3.1).

    Args:
        mapping: the network.
        z: latents, (B, Z).
        label: (B, labels), or None.
        layers: number of styles wanted.
        probability: of mixing.
        track: whether the mapping's average follows; not for a frozen one.

    Returns:
        (B, layers, D).
    """
    w: Tensor = mapping(z, label)
    if track:
        mapping.follow(w)
    cut = int(torch.randint(1, layers, ())) if layers > 1 else layers
    if float(torch.rand(())) >= probability or cut == layers:
        return w[:, None].expand(-1, layers, -1)
    other = mapping(torch.randn_like(z), label)
    parts = [w[:, None].expand(-1, cut, -1), other[:, None].expand(-1, layers - cut, -1)]
    return torch.cat(parts, 1)


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU.

    Args:
        cin: channels in.
        cout: channels out.
        size: side of the output, pixels.
        styles: length of w.
        up: whether the size is doubled.
    """

    noise: Tensor

    def __init__(self, cin: int, cout: int, *, size: int, styles: int, up: bool = False) -> None:
        """Draw weights of unit variance; demodulation makes any gain on them void."""
        super().__init__()
        self.affine = EqualLinear(styles, cin, bias=1.0)
        self.weight = nn.Parameter(torch.randn(cout, cin, 3, 3))
        self.bias = nn.Parameter(torch.zeros(cout))
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(1, 1, size, size))
        self.filter = Fir() if up else None

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, cin, H, W) and styles (B, D) to (B, cout, size, size).

        Args:
            x: features.
            w: styles.
            noise: (B, 1, size, size) standard normal; None takes the layer's own fixed noise.
        """
        with full_precision(x.device):
            scale = self.affine(w)  # (B, cin)
            power = self.weight.square().sum((2, 3))  # (cout, cin)
            demodulate = (scale.square() @ power.T + 1e-8).rsqrt() * GAIN  # (B, cout)
        x = x * scale.to(x.dtype)[..., None, None]
        if self.filter is None:
            y = F.conv2d(x, self.weight, padding=1)
        else:
            y = F.conv_transpose2d(
                x, self.weight.transpose(0, 1), stride=2
            )  # (B, cout, 2H + 1, ...)
            y = self.filter.blur(y, 1, gain=4.0)  # (B, cout, 2H, 2W)
        dtype = y.dtype
        bias = (self.bias * GAIN).to(dtype)[:, None, None]
        y = torch.addcmul(bias, y, demodulate.to(dtype)[..., None, None])
        grain = (self.noise if noise is None else noise) * (self.strength * GAIN)
        return F.leaky_relu_(y.add_(grain.to(dtype)), SLOPE)


class ToImage(nn.Module):
    """Modulated 1x1 convolution without demodulation: features to image channels, float32.

    Args:
        cin: channels in.
        channels: channels of the image.
        styles: length of w.
    """

    def __init__(self, cin: int, channels: int, *, styles: int) -> None:
        super().__init__()
        self.affine = EqualLinear(styles, cin, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels, cin, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.gain = 1 / math.sqrt(cin)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(B, cin, H, W) and styles (B, D) to (B, channels, H, W)."""
        scale = (self.affine(w) * self.gain).to(x.dtype)
        y = F.conv2d(x * scale[..., None, None], self.weight)
        return y.float() + self.bias[:, None, None]


class Block(nn.Module):
    """The styled convolutions of one resolution.

    Args:
        cin: channels of the incoming features at half the resolution; 0 at 4 px, where a learned constant comes in.
        cout: channels out.
        size: the resolution, pixels.
        styles: length of w.
    """

    def __init__(self, cin: int, cout: int, *, size: int, styles: int) -> None:
        super().__init__()
        self.const = None if cin else nn.Parameter(torch.randn(1, cout, size, size))
        pairs = [(cin, cout, True), (cout, cout, False)] if cin else [(cout, cout, False)]
        self.convs = nn.ModuleList(
            StyledConv(a, b, size=size, styles=styles, up=up) for a, b, up in pairs
        )

    def forward(
        self, x: Tensor | None, ws: Sequence[Tensor], noise: Sequence[Tensor | None] = (None, None)
    ) -> Tensor:
        """(B, cin, size / 2, size / 2), one style and one noise per convolution, to (B, cout, size, size)."""
        if self.const is not None:
            x = self.const.expand(len(ws[0]), -1, -1, -1)
        assert x is not None, "blocks above 4 px take features"
        for conv, w, grain in zip(self.convs, ws, noise, strict=False):
            x = conv(x, w, grain)
        assert x is not None
        return x


class Synthesis(nn.Module):
    """Styles to images, by blocks of rising resolution whose images are summed.

    Args:
        size: side of the images, pixels, a power of two.
        channels: channels of the images.
        styles: length of w.
        base: channels times resolution.
        most: upper limit of channels.

    Attributes:
        layers: number of style vectors that an image takes.
    """

    def __init__(
        self, *, size: int, channels: int = 3, styles: int = 512, base: int = 16384, most: int = 512
    ) -> None:
        super().__init__()
        self.sizes, width = resolutions(size), Widths(base, most)
        self.convs = [1] + [2] * (len(self.sizes) - 1)
        self.layers = 2 * len(self.sizes)
        self.blocks = nn.ModuleList(
            Block(width(r // 2) if r > 4 else 0, width(r), size=r, styles=styles)
            for r in self.sizes
        )
        self.to_image = nn.ModuleList(
            ToImage(width(r), channels, styles=styles) for r in self.sizes
        )
        self.filter = Fir()

    def draw_noise(self, images: int) -> list[Tensor]:
        """Draw noise for all convolutions from torch's own generator; for training steps."""
        device = self.filter.taps.device
        sides = [
            side for side, convs in zip(self.sizes, self.convs, strict=True) for _ in range(convs)
        ]
        return [torch.randn(images, 1, side, side, device=device) for side in sides]

    def forward(
        self, ws: Tensor, noise: Sequence[Tensor] | None = None, inject: Inject | None = None
    ) -> Tensor:
        """Styles (B, layers, D) to images (B, channels, H, W), about in [-1, 1], not clipped.

        Args:
            ws: a style per layer.
            noise: from `draw_noise`; None takes the fixed noise, so that the image follows from the styles.
            inject: additions to the features of each resolution.
        """
        styles = ws.unbind(1)
        grains: Sequence[Tensor | None] = noise or [None] * (self.layers - 1)
        x: Tensor | None = None
        image: Tensor | None = None
        at = 0
        for size, convs, block, to_image in zip(
            self.sizes, self.convs, self.blocks, self.to_image, strict=True
        ):
            added = inject(size, x) if inject is not None and x is not None else None
            x = block(x, styles[at : at + convs], grains[at : at + convs])
            if added is not None:
                x = x + added
            at += convs
            shown = to_image(x, styles[at])
            image = shown if image is None else self.filter.up(image) + shown
        assert image is not None
        return image


class StyleGenerator(nn.Module):
    """Mapping and synthesis.

    Args:
        size: side of the images, pixels, a power of two.
        channels: channels of the images.
        labels: length of the label; 0 for none.
        latents: length of z.
        styles: length of w.
        base: channels times resolution.
        most: upper limit of channels.
        layers: fully connected layers of the mapping.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int = 3,
        labels: int = 0,
        latents: int = 512,
        styles: int = 512,
        base: int = 16384,
        most: int = 512,
        layers: int = 2,
    ) -> None:
        super().__init__()
        self.mapping = Mapping(latents=latents, labels=labels, styles=styles, layers=layers)
        self.synthesis = Synthesis(
            size=size, channels=channels, styles=styles, base=base, most=most
        )

    def forward(self, z: Tensor, label: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """Latents (B, latents) and labels to images (B, channels, H, W), with fixed noise."""
        w = self.mapping(z, label, psi)
        images: Tensor = self.synthesis(w[:, None].expand(-1, self.synthesis.layers, -1))
        return images

    def mixed(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Map latents to a style per layer, (B, layers, D), with mixing; for training steps."""
        return mix_styles(self.mapping, z, label, self.synthesis.layers)

    def imagine(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Like `forward`, with mixed styles and fresh noise; for training steps."""
        images: Tensor = self.synthesis(self.mixed(z, label), self.synthesis.draw_noise(len(z)))
        return images
