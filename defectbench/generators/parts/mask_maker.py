"""Making masks that suit an object: the second GAN of MGDefect's reconstruction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks.equalized import EqualConv
from defectbench.nn.masks.mask_regions import keep_largest
from defectbench.nn.stylegan.stylegan2 import Mapping, Synthesis, Widths, resolutions


class MaskMaker(nn.Module):
    """Makes masks that suit an object: a small StyleGAN2 of one channel that is shown the object.

    Args:
        size: side of the masks, pixels.
        latents: length of z and of w.
        labels: length of the label; 0 for none.
        base: channels times resolution.
        most: upper limit of channels.
        seen: channels of what it sees of the object, from 16 px on.
    """

    def __init__(
        self, *, size: int, latents: int, labels: int, base: int, most: int, seen: int = 16
    ) -> None:
        super().__init__()
        width = Widths(base, most)
        self.size = size
        self.mapping = Mapping(latents=latents, labels=labels, styles=latents)
        self.synthesis = Synthesis(size=size, channels=1, styles=latents, base=base, most=most)
        self.sizes = [r for r in resolutions(size) if r >= min(16, size)][::-1]  # finest first
        self.see = nn.ModuleList(
            EqualConv(seen if index else 3, seen, 3, down=bool(index), active=True)
            for index in range(len(self.sizes))
        )
        self.project = nn.ModuleList(EqualConv(seen, width(r), 1) for r in self.sizes)

    def forward(
        self, image: Tensor, z: Tensor, label: Tensor | None = None, fresh: bool = False
    ) -> Tensor:
        """Make mask logits (B, 1, size, size) for objects (B, 3, size, size).

        Args:
            image: the object without a defect, in [-1, 1].
            z: latents.
            label: weights of the classes.
            fresh: whether noise is drawn from torch's own generator, for training steps, or fixed.
        """
        features, told = image, {}
        for size, see, project in zip(self.sizes, self.see, self.project, strict=True):
            features = see(features)
            told[size] = project(features)
        w = self.mapping(z, label)
        ws = w[:, None].expand(-1, self.synthesis.layers, -1)
        noise = self.synthesis.draw_noise(len(z)) if fresh else None
        logits: Tensor = self.synthesis(ws, noise, lambda size, _: told.get(size))
        return logits


def straight_through(logits: Tensor, sharpness: float = 10.0) -> Tensor:
    """Give hard masks in {0, 1} that pass the gradient of `sigmoid(sharpness * logits)`."""
    soft = torch.sigmoid(sharpness * logits.float())
    return (soft > 0.5).float() + soft - soft.detach()


def fit_masks(
    maker: nn.Module,
    image: Tensor,
    draws: Sequence[Tensor],
    label: Tensor | None,
    size: int,
    *,
    largest: float = 0.3,
    parts: int = 3,
) -> tuple[Tensor, Tensor]:
    """Make masks until they are neither empty nor too large, of their largest components.

    Args:
        maker: a `MaskMaker`.
        image: objects at the maker's size, (B, 3, S, S).
        draws: latents (B, Z) of each try.
        label: weights of the classes.
        size: side of the masks wanted, pixels.
        largest: largest share of the image.
        parts: components kept.

    Returns:
        masks (B, 1, size, size) in {0, 1}, and whether they are fit, (B,) bool; the last try stands where none was.
    """
    mask = torch.zeros(len(image), 1, size, size, device=image.device)
    fit = torch.zeros(len(image), dtype=torch.bool, device=image.device)
    for z in draws:
        logits = F.interpolate(maker(image, z, label), size=(size, size), mode="bilinear")
        made = keep_largest(logits > 0, parts)
        area = made.mean((1, 2, 3))
        mask = torch.where(fit[:, None, None, None], mask, made)
        fit = fit | ((area > 0) & (area <= largest))
    return mask, fit
