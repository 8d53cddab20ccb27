"""Painting a defect inside a given mask, beside a frozen StyleGAN2.

Parts of MGDefect's reconstruction; the mask comes in, it is never made here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks.equalized import EqualConv
from defectbench.nn.masks.mask_regions import soften
from defectbench.nn.stylegan.stylegan2 import Mapping, StyledConv, Synthesis, Widths, resolutions


class MaskBlock(nn.Module):
    """A residual block that is told the mask twice: as a channel of its input, and as gain and bias per pixel.

    Args:
        cin: channels of the incoming features, at half the resolution.
        cout: channels out.
        size: the resolution, pixels.
        styles: length of w.
        hidden: width of the layer between mask and gain.
    """

    def __init__(self, cin: int, cout: int, *, size: int, styles: int, hidden: int) -> None:
        super().__init__()
        self.size = size
        self.first = StyledConv(cin + 1, cout, size=size, styles=styles, up=True)
        self.second = StyledConv(cout, cout, size=size, styles=styles)
        self.shared = EqualConv(1, hidden, 3, active=True)
        self.modulate = EqualConv(hidden, 2 * cout, 3)

    def forward(
        self, x: Tensor, mask: Tensor, ws: Sequence[Tensor], noise: Sequence[Tensor | None]
    ) -> Tensor:
        """Features (B, cin, size / 2, size / 2) and a mask (B, 1, H, W) to a residual (B, cout, size, size), 0 far from the mask."""
        here = F.interpolate(mask, size=(self.size, self.size), mode="area")
        below = F.interpolate(mask, size=x.shape[-2:], mode="area")
        y = self.first(torch.cat([x, below.to(x.dtype)], 1), ws[0], noise[0])
        gain, bias = self.modulate(self.shared(here)).to(y.dtype).chunk(2, 1)
        y = self.second(y * (1 + gain) + bias, ws[1], noise[1])
        residual: Tensor = y * soften(here).to(y.dtype)
        return residual


class MaskBranch(nn.Module):
    """Residual blocks beside a frozen synthesis network, confined to the mask.

    Args:
        size: side of the images, pixels.
        start: lowest resolution with a block.
        latents: length of z and of w.
        labels: length of the label; 0 for none.
        base: channels times resolution, as the backbone's.
        most: upper limit of channels, as the backbone's.
        hidden: width of the layer between mask and gain.
    """

    def __init__(
        self,
        *,
        size: int,
        start: int,
        latents: int,
        labels: int,
        base: int,
        most: int,
        hidden: int = 32,
    ) -> None:
        super().__init__()
        width = Widths(base, most)
        self.sizes = [r for r in resolutions(size) if r >= start]
        self.mapping = Mapping(latents=latents, labels=labels, styles=latents)
        self.blocks = nn.ModuleList(
            MaskBlock(width(r // 2), width(r), size=r, styles=latents, hidden=hidden)
            for r in self.sizes
        )

    def forward(
        self,
        synthesis: Synthesis,
        ws: Tensor,
        mask: Tensor,
        w_defect: Tensor,
        noise: Sequence[Tensor] | None = None,
        fresh: bool = False,
    ) -> Tensor:
        """Make images (B, 3, H, W) with a defect where the mask is.

        Args:
            synthesis: the backbone.
            ws: styles of the objects, (B, L, D).
            mask: (B, 1, H, W) in {0, 1}.
            w_defect: style of the defects, (B, D).
            noise: of the backbone; None takes its fixed noise.
            fresh: whether the branch draws noise from torch's own generator, for training steps, or takes its fixed noise.
        """

        def inject(size: int, x: Tensor) -> Tensor | None:
            if size not in self.sizes:
                return None
            block = self.blocks[self.sizes.index(size)]
            grain = (
                torch.randn(2, len(x), 1, size, size, device=x.device) if fresh else (None, None)
            )
            residual: Tensor = block(x, mask, (w_defect, w_defect), grain)
            return residual

        images: Tensor = synthesis(ws, noise, inject)
        return images
