"""Background and object mask drawn together by a StyleGAN3 whose layers may be given more detail as training goes on.

The first stage of ImbDef-GAN's reconstruction.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks import resample
from defectbench.nn.blocks.equalized import EqualConv
from defectbench.nn.stylegan.stylegan3 import After, AliasFreeGenerator

TAPS = (1 / 4, 1 / 2, 1 / 4)


class GatedDetail(nn.Module):
    """PGDI, progress-coupled gated detail injection: `x + s a g W(x - blur(x))`.

    s follows the progress of training, a is a learned strength that starts at 0, g a learned gate per pixel, W mixes the
    channels of what a binomial blur takes away. At first it is the identity, so the network starts as StyleGAN3.

    Departs: injecting unfiltered detail gives up strict freedom from aliasing.

    Args:
        channels: C.
    """

    taps: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            EqualConv(channels, max(channels // 4, 1), 3, active=True),
            EqualConv(max(channels // 4, 1), 1, 1),
        )
        self.mix = EqualConv(channels, channels, 1, bias=False)
        self.strength = nn.Parameter(torch.zeros(()))
        taps = torch.tensor(TAPS)
        self.register_buffer("taps", taps.outer(taps)[None, None], persistent=False)

    def forward(self, x: Tensor, progress: float) -> Tensor:
        """Inject detail into (B, C, H, W), weighted by `progress` in [0, 1]."""
        blurred = self.blur(x)  # first: gradients are added in this order
        detail = torch.sigmoid(self.gate(x)) * self.mix(x - blurred)
        injected: Tensor = x + (self.strength * progress).to(x.dtype) * detail.to(x.dtype)
        return injected

    def blur(self, x: Tensor) -> Tensor:
        """Filter (B, C, H, W) with [1, 2, 1] along both axes, borders repeated."""
        padded, channels = F.pad(x, (1, 1, 1, 1), mode="replicate"), x.shape[1]
        if resample.by_bands(x):
            return resample.filter_both_axes(padded, TAPS, (x.shape[2], x.shape[3]), start=2)
        taps = self.taps.to(x.dtype).expand(channels, 1, 3, 3)
        return F.conv2d(padded, taps, groups=channels)


def detail_schedule(progress: float, start: float = 0.1, end: float = 0.6) -> float:
    """Share of detail by the progress of the first stage: 0 up to `start`, 1 from `end` on, a square between."""
    return min(max((progress - start) / (end - start), 0.0), 1.0) ** 2


class JointBackground(nn.Module):
    """StyleGAN3-T with a fourth channel for the object's mask and detail injection in its fine layers.

    Args:
        size: side of the images, pixels, a power of two.
        joint: whether it makes the mask.
        detail: whether detail is injected, in layers of at least a quarter of the image's sampling rate.
        latents: length of z and of w.
        base: channels times resolution.
        most: upper limit of channels.
        layers: layers of the synthesis network without the last.
    """

    def __init__(
        self,
        *,
        size: int,
        joint: bool,
        detail: bool,
        latents: int,
        base: int,
        most: int,
        layers: int,
    ) -> None:
        super().__init__()
        self.generator = AliasFreeGenerator(
            size=size,
            channels=4 if joint else 3,
            latents=latents,
            base=base,
            most=most,
            layers=layers,
        )
        self.signals = self.generator.synthesis.signals
        self.fine = [n for n in range(layers) if self.signals[n].rate >= size / 4]
        self.details = nn.ModuleDict(
            {str(n): GatedDetail(self.signals[n].channels) for n in (self.fine if detail else ())}
        )

    def forward(
        self, ws: Tensor, progress: float, *, track: bool = False, after: After | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw images (B, 3, H, W) and logits of the object's mask (B, 1, H, W), which are ones without the joint mask.

        Args:
            ws: a style per layer, from `generator.styles`.
            progress: share of detail, in [0, 1].
            track: whether running means follow; for training steps.
            after: changes the features after each layer and its detail.
        """

        def finish(number: int, x: Tensor, y: Tensor) -> Tensor:
            if str(number) in self.details:
                y = self.details[str(number)](y, progress)
            return y if after is None else after(number, x, y)

        drawn: Tensor = self.generator.synthesis(ws, track=track, after=finish)
        image, logit = drawn[:, :3], drawn[:, 3:]
        return image, logit if logit.shape[1] else torch.ones_like(image[:, :1])

    def imagine(self, images: int, progress: float) -> tuple[Tensor, Tensor]:
        """Draw by fresh latents from torch's own generator, running means following; for training steps."""
        mapping = self.generator.mapping
        z = torch.randn(images, mapping.latents, device=mapping.average.device)
        ws = self.generator.styles(z)
        mapping.follow(ws[:, 0], decay=0.998)
        drawn: tuple[Tensor, Tensor] = self(ws, progress, track=True)
        return drawn
