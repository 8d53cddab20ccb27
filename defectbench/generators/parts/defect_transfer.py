"""DT-GAN's networks: defects without products, taken from codes or images, and painted on backgrounds (Wang et al. 2022, sec. 3.1).

The paper's list of layers (appendix D) was not at hand; widths follow a third-party transcription of it, as fractions of
`base`, which it sets to 512.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks.content_noise import AddNoise, Draw
from defectbench.nn.blocks.modulate import AdaIN, instance
from defectbench.nn.blocks.resblk import PreActBlock
from defectbench.nn.translation.style_domains import (
    LatentTrunk,
    StyleBranches,
    ToVector,
    Trunk,
    pick,
)


class Defect(NamedTuple):
    """A defect without a product.

    Attributes:
        shape: (B, C, h, w), h = H / 8; zero for "normal", the anchor domain.
        style: (B, S).
    """

    shape: Tensor
    style: Tensor

    def halves(self) -> tuple[Defect, Defect]:
        """Split a batch in two."""
        shapes, styles = self.shape.chunk(2), self.style.chunk(2)
        return Defect(shapes[0], styles[0]), Defect(shapes[1], styles[1])


class DefectMapping(nn.Module):
    """From a random code to shapes and styles of all domains (paper, sec. 3.1, M).

    Args:
        latent: length of the code.
        hidden: width of the linear layers.
        base: largest width of the shape's layers.
        shape_ch: C.
        side: h, pixels; a power of two, at least 4.
        style: S.
        domains: N, with normal.
    """

    def __init__(
        self,
        *,
        latent: int,
        hidden: int,
        base: int,
        shape_ch: int,
        side: int,
        style: int,
        domains: int,
    ) -> None:
        """Build trunk, style branches and shape layers; noise follows each doubling."""
        super().__init__()
        self.trunk = LatentTrunk(latent, hidden)
        self.styles = StyleBranches(hidden, style, domains)
        doublings = side.bit_length() - 1
        widths = ([base] * doublings + [base // 2, base // 4])[-doublings:]
        self.blocks = nn.ModuleList(
            PreActBlock(cin, cout, resample="up", early=True)
            for cin, cout in pairwise([hidden, *widths])
        )
        self.noises = nn.ModuleList(AddNoise() for _ in self.blocks)
        self.shapes = nn.Conv2d(widths[-1], (domains - 1) * shape_ch, 3, padding=1)
        self.shape_ch = shape_ch

    def forward(self, z: Tensor, domain: Tensor, draw: Draw) -> Defect:
        """Codes (B, Z) and domain weights (B, N) to defects of those domains."""
        features = self.trunk(z)
        x = features[..., None, None]
        for block, noise in zip(self.blocks, self.noises, strict=True):
            x = noise(block(x), draw)
        return _of_domain(self.shapes(x), self.styles(features), domain, self.shape_ch)


class DefectEncoder(nn.Module):
    """From a reference image to its shapes and styles in all domains (paper, sec. 3.1, E)."""

    def __init__(self, *, base: int, shape_ch: int, side: int, style: int, domains: int) -> None:
        """Build trunk and both heads; the arguments are those of `DefectMapping`."""
        super().__init__()
        self.trunk = Trunk((base // 8, base // 2, base, base), kernel=1)
        self.shapes = nn.Conv2d(base, (domains - 1) * shape_ch, 1)
        self.vector = ToVector(base, side)
        self.styles = nn.Linear(base, domains * style)
        self.shape_ch, self.domains = shape_ch, domains

    def forward(self, image: Tensor, domain: Tensor) -> Defect:
        """Images (B, 3, H, W) and domain weights (B, N) to defects of those domains."""
        features = self.trunk(image)
        styles = self.styles(self.vector(features)).reshape(len(image), self.domains, -1)
        shapes = self.shapes(F.leaky_relu(features, 0.2))
        return _of_domain(shapes, styles, domain, self.shape_ch)


def _of_domain(shapes: Tensor, styles: Tensor, domain: Tensor, shape_ch: int) -> Defect:
    """Pick a domain's shape and style; "normal" has no shape of its own, and so zero (the anchor)."""
    by_defect = shapes.reshape(len(shapes), -1, shape_ch, *shapes.shape[2:])  # (B, K, C, h, w)
    return Defect(pick(by_defect, domain[:, 1:]), pick(styles, domain))


class Separated(NamedTuple):
    """An image taken apart.

    Attributes:
        background: (B, base - C, h, w).
        shape: (B, C, h, w), what the method calls FG_G: the defect that is replaced.
    """

    background: Tensor
    shape: Tensor


class Painter(nn.Module):
    """Encoder, split in depth, and two decoders whose features are joined (paper, sec. 3.1, G).

    Args:
        base: width at the split.
        shape_ch: C of these are the defect's.
        style: S.
        background_ch: channels that the background decoder ends with.
    """

    def __init__(self, *, base: int, shape_ch: int, style: int, background_ch: int) -> None:
        super().__init__()
        norm, styled = instance(affine=True), partial(AdaIN, code=style)
        half, quarter, rest = base // 2, base // 4, base - shape_ch
        self.shape_ch = shape_ch
        down = ((quarter, half), (half, base), (base, base))
        self.encode = nn.Sequential(
            nn.Conv2d(3, quarter, 1),
            *(PreActBlock(cin, cout, norm=norm, resample="down") for cin, cout in down),
            *(PreActBlock(base, base, norm=norm) for _ in range(2)),
        )
        flat = ((rest, rest), (rest, base), (base, base))
        up = ((base, base), (base, half), (half, background_ch))
        self.background = nn.Sequential(
            *(PreActBlock(cin, cout, norm=norm, early=True) for cin, cout in flat),
            *(PreActBlock(cin, cout, norm=norm, resample="up", early=True) for cin, cout in up),
        )
        flat = ((shape_ch, shape_ch), (shape_ch, half), (half, half))
        up = ((half, half), (half, quarter), (quarter, base // 8))
        self.defect = nn.ModuleList(
            [PreActBlock(cin, cout, norm=styled, early=True) for cin, cout in flat]
            + [PreActBlock(cin, cout, norm=styled, resample="up", early=True) for cin, cout in up]
        )
        self.out = nn.Conv2d(background_ch + base // 8, 3, 1)

    def separate(self, image: Tensor) -> Separated:
        """Take images (B, 3, H, W) apart."""
        features = self.encode(image)
        rest = features.shape[1] - self.shape_ch
        return Separated(features[:, :rest], features[:, rest:])

    def render(self, background: Tensor) -> Tensor:
        """Decode backgrounds (B, base - C, h, w) to features (B, ., H, W); once for any number of defects."""
        features: Tensor = self.background(background)
        return features

    def forward(self, behind: Tensor, *defects: Defect) -> Tensor:
        """Paint each of R defects before the same rendered backgrounds: R defects of B to images (R B, 3, H, W)."""
        x = torch.cat([defect.shape for defect in defects])
        style = torch.cat([defect.style for defect in defects])
        for block in self.defect:
            x = block(x, style)
        painted: Tensor = self.out(torch.cat([behind.repeat(len(defects), 1, 1, 1), x], 1))
        return painted


class Verdict(NamedTuple):
    """What the critic says.

    Attributes:
        domains: (B, N) logits "real of this domain".
        defect: (B, N) logits of the domain.
        product: (B, P) logits of the product.
    """

    domains: Tensor
    defect: Tensor
    product: Tensor


class MultiTaskCritic(nn.Module):
    """Branches of the domains and two classifiers on one trunk (paper, sec. 3.1, D)."""

    def __init__(self, *, base: int, side: int, domains: int, products: int) -> None:
        super().__init__()
        self.trunk = Trunk((base // 8, base // 2, base, base), kernel=1)
        self.vector = ToVector(base, side)
        self.heads = nn.Linear(base, 2 * domains + products)
        self.counts = [domains, domains, products]

    def forward(self, image: Tensor) -> Verdict:
        """Judge images (B, 3, H, W)."""
        return Verdict(*self.heads(self.vector(self.trunk(image))).split(self.counts, 1))
