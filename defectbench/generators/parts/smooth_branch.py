"""A residual branch beside a frozen StyleGAN3 whose features are blended in with a smooth edge.

The second stage of ImbDef-GAN's reconstruction.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.generators.parts.joint_background import JointBackground
from defectbench.nn.stylegan.stylegan2 import Mapping
from defectbench.nn.stylegan.stylegan3 import FilteredConv, Signal
from defectbench.nn.training.penalties import full_precision

SHARPNESS = 10.0
"""Factor on the mask's logit before sigmoid and tanh."""
NARROWEST, WIDEST, FIRST = 0.5, 3.0, 1.0
"""Range and first value of the smoothing coefficient, pixels of a 64 px image."""


def resample(x: Tensor, before: Signal, after: Signal) -> Tensor:
    """Bring (B, C, size, size) from the canvas of one signal to that of another, so that the image stays in place."""
    if (before.size, before.rate) == (after.size, after.rate):
        return x
    scale = (after.size / after.rate) / (before.size / before.rate)
    theta = torch.eye(2, 3, device=x.device)[None].expand(len(x), -1, -1) * scale
    shape = [len(x), 1, after.size, after.size]
    grid = F.affine_grid(theta, shape, align_corners=False)
    return F.grid_sample(x.float(), grid, padding_mode="border", align_corners=False)


class SmoothBranch(nn.Module):
    """Residual layers of the shape of the backbone's fine layers; the first also makes the mask.

    With `smoothing`, features are blended by `alpha = gaussian * sigmoid(10 m)`, whose width, the smoothing coefficient,
    is learned; without it by the hard indicator [m >= 0], as DFMGAN does.

    Args:
        background: the backbone whose layers are copied in shape; it is not kept.
        size: side of the images, pixels.
        latents: length of z and of w.
        smoothing: whether the blend is smooth.
        blend: "additive" is `F + alpha R`, "convex" is `(1 - alpha) F + alpha R`.
    """

    def __init__(
        self,
        background: JointBackground,
        *,
        size: int,
        latents: int,
        smoothing: bool,
        blend: Literal["additive", "convex"],
    ) -> None:
        super().__init__()
        signals = background.signals
        self.start, self.signals, self.blend = background.fine[0], signals, blend
        self.image = Signal(size, size, signals[-1].cutoff, signals[-1].half_width, 1)
        self.mapping = Mapping(latents=latents, labels=0, styles=latents)
        self.layers = nn.ModuleList(
            FilteredConv(signals[max(n - 1, 0)], signals[n], styles=latents)
            for n in background.fine
        )
        first = signals[self.start]
        self.to_mask = FilteredConv(first, first, styles=latents, kernel=1, image_channels=1)
        share = (FIRST - NARROWEST) / (WIDEST - NARROWEST)
        self.smooth = (
            nn.Parameter(torch.tensor(math.log(share / (1 - share)))) if smoothing else None
        )

    @property
    def coefficient(self) -> Tensor:
        """The smoothing coefficient, pixels of a 64 px image."""
        assert self.smooth is not None, "this branch was built without smoothing"
        return NARROWEST + (WIDEST - NARROWEST) * torch.sigmoid(self.smooth)

    def alpha(self, mask: Tensor, signal: Signal) -> Tensor:
        """Turn logits of the mask into the share of the defect on a layer's canvas, (B, 1, size, size) in [0, 1]."""
        logits = resample(mask, self.signals[self.start], signal)
        if self.smooth is None:
            return (logits >= 0).float()
        deviation = self.coefficient * signal.rate / 64
        radius = max(math.ceil(2 * WIDEST * signal.rate / 64), 1)
        place = torch.arange(-radius, radius + 1, device=mask.device)
        weights = torch.exp(-0.5 * (place / deviation).square())
        weights = weights / weights.sum()
        soft = torch.sigmoid(SHARPNESS * logits)
        soft = F.pad(soft, (radius,) * 4, mode="replicate")
        with full_precision(mask.device):
            across = F.conv2d(soft, weights.view(1, 1, 1, -1))
            return F.conv2d(across, weights.view(1, 1, -1, 1))

    def forward(
        self, background: JointBackground, ws: Tensor, w_defect: Tensor, track: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw images with defects.

        Args:
            background: the frozen backbone.
            ws: its styles, one per layer.
            w_defect: styles of the defects, (B, D).
            track: whether the branch's running means follow; for training steps.

        Returns:
            images (B, 3, H, W), logits of the object's mask and of the defect's mask, (B, 1, H, W) each.
        """
        mask: Tensor | None = None

        def mix(number: int, x: Tensor, y: Tensor) -> Tensor:
            nonlocal mask
            if number < self.start:
                return y
            residual: Tensor = self.layers[number - self.start](x, w_defect, track)
            if mask is None:
                mask = self.to_mask(residual, w_defect, track)
            alpha = self.alpha(mask, self.signals[number]).to(y.dtype)
            return (
                torch.lerp(y, residual, alpha) if self.blend == "convex" else y + alpha * residual
            )

        image, around = background(ws, 1.0, after=mix)
        assert mask is not None
        return image, around, resample(mask, self.signals[self.start], self.image)
