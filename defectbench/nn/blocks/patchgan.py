"""Critics that judge patches: a convolutional trunk and small heads on its feature map."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

PlainNorm = Callable[[int], nn.Module]
"""Makes the normalisation of a layer with so many channels, called on features alone."""


class PatchTrunk(nn.Module):
    """Convolutions k4 with leaky ReLU.

    Args:
        in_ch: channels in.
        widths: channels after each convolution.
        strides: stride of each; all 2 by default.
        norm: normalisation, `norm(channels)`; None for none. Convolutions before it have no bias, which it would undo.
        norm_first: whether the first convolution is normalised too.
        slope: of the leaky ReLU.
        wrap: applied to each convolution, e.g. `torch.nn.utils.parametrizations.spectral_norm`.
    """

    def __init__(
        self,
        *,
        in_ch: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        strides: Sequence[int] | None = None,
        norm: PlainNorm | None = None,
        norm_first: bool = False,
        slope: float = 0.2,
        wrap: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        """Build the layers.

        Raises:
            ValueError: there is not one stride per width.
        """
        super().__init__()
        strides = strides or [2] * len(widths)
        if len(strides) != len(widths):
            raise ValueError(f"{len(strides)} strides for {len(widths)} widths; give one for each")
        self.layers = nn.ModuleList()
        for index, (width, stride) in enumerate(zip(widths, strides, strict=True)):
            normed = norm is not None and (index > 0 or norm_first)
            conv: nn.Module = nn.Conv2d(in_ch, width, 4, stride, padding=1, bias=not normed)
            layer = nn.Sequential(wrap(conv) if wrap else conv)
            if norm is not None and normed:
                layer.append(norm(width))
            layer.append(nn.LeakyReLU(slope))
            self.layers.append(layer)
            in_ch = width
        self.out_ch = in_ch

    def features(self, x: Tensor) -> list[Tensor]:
        """Give the features after each convolution, for feature matching."""
        found = []
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Give the last features: (B, in_ch, H, W) to (B, C, h, w)."""
        for layer in self.layers:
            x = layer(x)
        return x


class PatchCritic(nn.Module):
    """A trunk and one map of logits.

    With the defaults, instance normalisation and `strides=(2, 2, 2, 1)`, `kernel=4` this is the 70x70 PatchGAN of pix2pix and CycleGAN.

    Args:
        trunk: the convolutions.
        kernel: of the head, 3 or 4, padding 1.
        logits: channels of the map: 1, or 2 for D2GAN.
        bias: of the head.
        wrap: applied to the head's convolution.
    """

    def __init__(
        self,
        trunk: PatchTrunk,
        *,
        kernel: int = 4,
        logits: int = 1,
        bias: bool = True,
        wrap: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        head: nn.Module = nn.Conv2d(trunk.out_ch, logits, kernel, padding=1, bias=bias)
        self.head = wrap(head) if wrap else head

    def forward(self, x: Tensor) -> Tensor:
        """Judge patches: (B, in_ch, H, W) to logits (B, L, h, w)."""
        judged: Tensor = self.head(self.trunk(x))
        return judged


class ClassCritic(nn.Module):
    """StarGAN's discriminator: a patch map and the logits of the classes (Choi et al. 2018, appendix, Table 5).

    Args:
        size: side of the images, pixels.
        classes: K.
        base: width of the first convolution, doubled by each of the others.
        depth: number of k4s2 convolutions; lessened so that their last map is at least 2 px.
        in_ch: channels in.
    """

    def __init__(
        self, *, size: int, classes: int, base: int = 64, depth: int = 6, in_ch: int = 3
    ) -> None:
        super().__init__()
        depth = min(depth, max(size.bit_length() - 2, 1))
        self.trunk = PatchTrunk(
            in_ch=in_ch, widths=[base * 2**level for level in range(depth)], slope=0.01
        )
        self.source = nn.Conv2d(self.trunk.out_ch, 1, 3, padding=1, bias=False)
        self.classes = nn.Conv2d(self.trunk.out_ch, classes, size >> depth, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Judge: (B, in_ch, H, W) to patch logits (B, 1, h, w) and class logits (B, K)."""
        features = self.trunk(x)
        return self.source(features), self.classes(features).flatten(1)


class MultiScale(nn.Module):
    """The same kind of critic on the image and its halvings (Wang et al. 2018, sec. 3.2).

    Args:
        make: makes one critic.
        scales: how many.
    """

    def __init__(self, make: Callable[[], nn.Module], scales: int = 2) -> None:
        super().__init__()
        self.critics = nn.ModuleList(make() for _ in range(scales))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Judge at each scale, finest first."""
        judged = []
        for index, critic in enumerate(self.critics):
            if index:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            judged.append(critic(x))
        return judged
