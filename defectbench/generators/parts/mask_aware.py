"""A critic that compares image and mask scale by scale: the mask-aware matching discriminator of ImbDef-GAN's reconstruction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from defectbench.nn.blocks.equalized import EqualConv
from defectbench.nn.stylegan.style_critic import Critic
from defectbench.nn.stylegan.stylegan2 import Widths


class MaskAwareCritic(nn.Module):
    """A StyleGAN2 critic of images whose features at each scale are modulated by features of the mask, and judged.

    Args:
        size: side of the images, pixels, a power of two.
        base: channels times resolution.
        most: upper limit of channels.
    """

    def __init__(self, *, size: int, base: int, most: int) -> None:
        super().__init__()
        width = Widths(base, most)
        self.trunk = Critic(size=size, base=base, most=most)
        self.sizes = self.trunk.sizes
        light = [max(width(r) // 4, 1) for r in self.sizes]
        self.see = nn.ModuleList(
            EqualConv(cin, cout, 3, down=bool(index), active=True)
            for index, (cin, cout) in enumerate(zip([1, *light], light, strict=False))
        )
        self.modulate = nn.ModuleList(
            EqualConv(cin, 2 * width(r), 1) for cin, r in zip(light, self.sizes, strict=True)
        )
        self.judge = nn.ModuleList(EqualConv(width(r), 1, 1) for r in self.sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Judge pairs (B, 4, H, W), the mask last and in [-1, 1]: logits (B,), the mean over all scales, float32."""
        image, mask = x[:, :3], x[:, 3:]
        seen: dict[int, Tensor] = {}
        for size, see in zip(self.sizes, self.see, strict=True):
            mask = see(mask)
            seen[size] = mask
        judged: list[Tensor] = []

        def compare(size: int, features: Tensor) -> Tensor:
            index = self.sizes.index(size)
            gain, bias = self.modulate[index](seen[size]).chunk(2, 1)
            features = features * (1 + gain) + bias
            judged.append(self.judge[index](features).float().mean((1, 2, 3)))
            return features

        last = self.trunk(image, alter=compare)
        return torch.stack([last.float(), *judged]).mean(0)
